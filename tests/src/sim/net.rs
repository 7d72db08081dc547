//! What the network is like: how long things take, what is lost, and who cannot reach whom.

use std::time::Duration;

use rserpool_core::Instant;

use super::node::{Kind, NodeId};
use super::rng::{Rng, mix};

/// How a scenario's network behaves when nothing is broken.
#[derive(Clone, Copy, Debug)]
pub struct NetConfig {
    /// One way, for the nearest and the farthest pair of hosts.
    pub latency: (Duration, Duration),
    pub jitter: Duration,
    /// Of a thousand packets. On an association a lost one is only late.
    pub loss: u64,
    pub duplication: u64,
    /// How long until a lost packet is sent again, the first time; it doubles.
    pub retransmission: Duration,
    /// After that long without an acknowledgement an association breaks.
    pub transport_timeout: Duration,
    /// How often the transport itself looks whether the other host is still there (the heartbeats of SCTP, keep-alives of
    /// TCP).
    pub heartbeat: Duration,
    /// After that long an attempt to connect fails.
    pub connect_timeout: Duration,
}

/// How often one packet is lost at most, one time after the other.
const MAX_LOSSES: u32 = 4;

impl NetConfig {
    /// The longest that a message takes while nothing is broken. One that is late delays those behind it, but not more
    /// than that.
    pub fn delay(&self) -> Duration {
        let again = if self.loss > 0 { self.retransmission * ((1 << MAX_LOSSES) - 1) } else { Duration::ZERO };
        self.latency.1 + self.jitter + again
    }
}

/// Something that is broken between hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// Two groups that do not hear each other.
    Partition { salt: u64 },
    /// The same, but only for the registrars: elements and users reach both groups.
    Split { salt: u64 },
    /// One host reaches nobody.
    Isolated(NodeId),
    /// What one host sends to another one is lost.
    OneWay(NodeId, NodeId),
    /// What one host sends to anybody is lost.
    Mute(NodeId),
}

impl Breach {
    fn blocks(&self, from: (NodeId, Kind), to: (NodeId, Kind)) -> bool {
        let side = |salt: u64, n: NodeId| mix(salt ^ mix(n as u64)) & 1;
        match *self {
            Breach::Partition { salt } => side(salt, from.0) != side(salt, to.0),
            Breach::Split { salt } => {
                from.1 == Kind::Registrar && to.1 == Kind::Registrar && side(salt, from.0) != side(salt, to.0)
            }
            Breach::Isolated(n) => from.0 == n || to.0 == n,
            Breach::OneWay(a, b) => from.0 == a && to.0 == b,
            Breach::Mute(n) => from.0 == n,
        }
    }
}

pub struct Net {
    pub config: NetConfig,
    rng: Rng,
    salt: u64,
    breaches: Vec<(u64, Breach)>,
}

impl Net {
    pub fn new(config: NetConfig, mut rng: Rng) -> Self {
        Net { config, salt: rng.next(), rng, breaches: Vec::new() }
    }

    pub fn open(&mut self, name: u64, breach: Breach) {
        self.breaches.push((name, breach));
    }

    pub fn heal(&mut self, name: u64) {
        self.breaches.retain(|(open, _)| *open != name);
    }

    pub fn blocks(&self, from: (NodeId, Kind), to: (NodeId, Kind)) -> bool {
        self.breaches.iter().any(|(_, breach)| breach.blocks(from, to))
    }

    /// How long a packet takes that is not lost.
    pub fn latency(&mut self, a: NodeId, b: NodeId) -> Duration {
        let (low, high) = self.config.latency;
        let pair = mix(self.salt ^ mix(a.min(b) as u64) ^ (a.max(b) as u64)) % 1000;
        low + (high - low) * pair as u32 / 1000 + self.rng.up_to(self.config.jitter)
    }

    /// How long a message takes on an association.
    pub fn reliable(&mut self, a: NodeId, b: NodeId) -> Duration {
        let mut delay = self.latency(a, b);
        let mut again = self.config.retransmission;
        for _ in 0..MAX_LOSSES {
            if !self.rng.per_mille(self.config.loss) {
                break;
            }
            delay += again;
            again *= 2;
        }
        delay
    }

    /// When copies of a datagram arrive: none, one or two.
    pub fn datagram(&mut self, now: Instant, a: NodeId, b: NodeId) -> impl Iterator<Item = Instant> + use<> {
        let mut arrival = |chance: bool| chance.then(|| now + self.latency(a, b));
        let first = arrival(true);
        let lost = self.rng.per_mille(self.config.loss);
        let doubled = self.rng.per_mille(self.config.duplication);
        let second = doubled.then(|| now + self.latency(a, b));
        first.filter(|_| !lost).into_iter().chain(second)
    }

    /// How late what was held back comes once the way is free: the sender tries again at growing intervals.
    pub fn resumption(&mut self) -> Duration {
        let most = self.config.retransmission * 4;
        self.rng.up_to(most)
    }
}
