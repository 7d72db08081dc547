//! What a registrar shows of itself, for people and scripts.

use rserpool_core::handlespace::Handlespace;
use rserpool_core::wire::Policy;
use rserpool_core::{Instant, Registrar};
use serde::{Deserialize, Serialize};

use crate::driver::DriverStats;

/// A registrar at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegistrarStatus {
    /// Its identifier.
    pub id: u32,
    /// The addresses on which it listens.
    pub listening: Vec<String>,
    /// Seconds since its start.
    pub uptime: f64,
    /// How many pools there are; `pools` may show fewer.
    pub pool_count: u32,
    /// How many pool elements there are.
    pub element_count: u32,
    /// The pools.
    pub pools: Vec<PoolStatus>,
    /// The other registrars that it knows.
    pub peers: Vec<PeerStatus>,
    /// The checksum of the elements that it owns (RFC 5353, 3.6.2).
    pub checksum: u16,
    /// How many subscriptions there are.
    pub subscriptions: u32,
    /// What it has counted, by name.
    pub counters: Vec<(String, u64)>,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its handle, as text.
    pub handle: String,
    /// Its policy, by name.
    pub policy: String,
    /// Its transport protocol.
    pub transport: String,
    /// Its elements.
    pub elements: Vec<ElementStatus>,
}

/// A pool element.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElementStatus {
    /// Its identifier.
    pub id: u32,
    /// Its home registrar.
    pub home: u32,
    /// Where its service is.
    pub addresses: Vec<String>,
    /// Its policy and the values.
    pub policy: String,
    /// Seconds until its registration ends; `None`: never.
    pub expires_in: Option<f64>,
}

/// Another registrar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its identifier.
    pub id: u32,
    /// Where it is.
    pub address: String,
    /// How it stands.
    pub state: String,
    /// How many elements it owns.
    pub elements: u32,
    /// Their checksum.
    pub checksum: u16,
}

/// A registrar's state, with at most `most` elements.
pub(crate) fn snapshot(
    registrar: &Registrar<'_>,
    driver: &DriverStats,
    listening: Vec<String>,
    started: Instant,
    now: Instant,
    most: usize,
) -> RegistrarStatus {
    let handlespace = registrar.handlespace();
    RegistrarStatus {
        id: registrar.id().0,
        listening,
        uptime: now.saturating_duration_since(started).as_secs_f64(),
        pool_count: handlespace.pools(),
        element_count: handlespace.elements(),
        pools: pools(handlespace, now, most),
        peers: Vec::new(),
        checksum: handlespace.checksum(registrar.id()),
        subscriptions: registrar.subscriptions(),
        counters: counters(registrar, driver),
    }
}

fn pools(handlespace: &Handlespace<'_>, now: Instant, most: usize) -> Vec<PoolStatus> {
    let mut left = most;
    let mut shown = Vec::new();
    let mut at = None;
    while let Some(pool) = handlespace.next_pool(at) {
        at = Some(pool);
        let Some(view) = handlespace.pool(pool) else { continue };
        if left == 0 {
            break;
        }
        let (mut elements, mut policy) = (Vec::new(), String::new());
        let mut element = handlespace.next_element(pool, None);
        while let Some(e) = element.filter(|_| left > 0) {
            if let Some(view) = handlespace.element(e) {
                left -= 1;
                if let Some(element_policy) = view.policy() {
                    policy = policy_name(&element_policy);
                }
                elements.push(ElementStatus {
                    id: view.id.0,
                    home: view.home.0,
                    addresses: view
                        .user_transport()
                        .map_or_else(Vec::new, |t| t.socket_addrs().map(|a| a.to_string()).collect()),
                    policy: view.policy().map_or_else(String::new, |policy| policy.to_string()),
                    expires_in: view.expires.map(|at| at.saturating_duration_since(now).as_secs_f64()),
                });
            }
            element = handlespace.next_element(pool, Some(e));
        }
        shown.push(PoolStatus {
            handle: view.handle.to_string(),
            policy,
            transport: view.transport.to_string(),
            elements,
        });
    }
    shown.sort_by(|a, b| a.handle.cmp(&b.handle));
    shown
}

fn policy_name(policy: &Policy<'_>) -> String {
    match policy {
        Policy::Other { policy_type, .. } => format!("policy {policy_type:#010x}"),
        known => known.name().to_owned(),
    }
}

fn counters(registrar: &Registrar<'_>, driver: &DriverStats) -> Vec<(String, u64)> {
    let stats = registrar.stats();
    [
        ("registrations", stats.registrations),
        ("reregistrations", stats.reregistrations),
        ("registrations rejected", stats.registrations_rejected),
        ("deregistrations", stats.deregistrations),
        ("deregistrations rejected", stats.deregistrations_rejected),
        ("resolutions", stats.resolutions),
        ("resolutions rejected", stats.resolutions_rejected),
        ("updates", stats.updates),
        ("unreachable reports", stats.unreachable_reports),
        ("keep-alives", stats.keep_alives),
        ("keep-alive acks", stats.keep_alive_acks),
        ("elements expired", stats.expired),
        ("elements lost", stats.lost),
        ("elements reported", stats.reported),
        ("announcements", stats.announcements),
        ("malformed messages", stats.malformed),
        ("unexpected messages", stats.unexpected),
        ("error reports", stats.errors),
        ("connections accepted", driver.accepted),
        ("messages in", driver.messages_in),
        ("messages out", driver.messages_out),
        ("bytes in", driver.bytes_in),
        ("bytes out", driver.bytes_out),
    ]
    .into_iter()
    .map(|(name, count)| (name.to_owned(), count))
    .collect()
}
