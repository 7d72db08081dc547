//! A large cluster: how many messages and bytes registrars send, and how that grows with their number.

use std::fmt;
use std::time::Duration;

use rserpool_core::{EndpointConfig, Instant, RegistrarConfig};

use super::cluster::Cluster;
use super::net::NetConfig;
use super::node::Sent;
use super::sabotage::Sabotage;
use super::scenario::{Scenario, Topology};
use super::trace::Detail;
use super::world::Violation;

/// What a registrar sent, on average, per second.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub registrars: usize,
    pub enrp: f64,
    pub enrp_bytes: f64,
    pub asap: f64,
    pub asap_bytes: f64,
    pub presences: f64,
    pub updates: f64,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:10}   {:13.1}   {:10.0}   {:13.1}   {:10.0}   {:18.2}   {:9.2}",
            self.registrars, self.enrp, self.enrp_bytes, self.asap, self.asap_bytes, self.presences, self.updates
        )
    }
}

/// The RFCs' timers, lifetimes of five minutes, a network of a few milliseconds; nothing breaks and nobody goes.
///
/// # Errors
/// The rule that was broken.
pub fn scale(registrars: usize, elements: usize, users: usize, time: Duration) -> Result<Row, Violation> {
    let registrar = RegistrarConfig::new();
    // All have come by then.
    let begin = Instant::ZERO + registrar.enrp.max_time_last_heard;
    let end = begin + time;
    let scenario = Scenario {
        seed: 1,
        registrars,
        element_hosts: elements,
        elements_per_host: 1,
        users,
        pools: 20,
        topology: Topology::Mesh,
        knows_one: 0,
        fixed_storage: false,
        net: NetConfig {
            latency: (Duration::from_micros(200), Duration::from_millis(5)),
            jitter: Duration::from_millis(1),
            loss: 1,
            duplication: 0,
            retransmission: Duration::from_millis(200),
            transport_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
        },
        registrar,
        endpoint: EndpointConfig::new(),
        lifetime: Duration::from_secs(300),
        churn: None,
        steady: true,
        demand: Duration::from_secs(60),
        faults: Vec::new(),
        quiet_at: begin,
        ends_at: end,
    };
    let mut cluster = Cluster::new(scenario, Sabotage::None, Detail::None);
    cluster.run_until(begin);
    let before = sent(&cluster);
    cluster.run();
    let after = sent(&cluster);
    if let Some(violation) = cluster.world.violation {
        return Err(violation);
    }
    let per = registrars as f64 * time.as_secs_f64();
    let rate = |count: fn(&Sent) -> u64| {
        let total: u64 = after.iter().zip(&before).map(|(after, before)| count(after) - count(before)).sum();
        total as f64 / per
    };
    Ok(Row {
        registrars,
        enrp: rate(Sent::enrp_messages),
        enrp_bytes: rate(|sent| sent.enrp_bytes),
        asap: rate(Sent::asap_messages),
        asap_bytes: rate(|sent| sent.asap_bytes),
        presences: rate(|sent| sent.enrp[1]),
        updates: rate(|sent| sent.enrp[4]),
    })
}

fn sent(cluster: &Cluster) -> Vec<Sent> {
    (0..cluster.scenario.registrars).map(|r| cluster.world.nodes[r].sent).collect()
}
