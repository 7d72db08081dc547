//! Two registrars and a pool element, and whatever a network can do to them. When it has stopped, both registrars have
//! the same handlespace within the protocol's bounds, and the element is in it exactly once, if it lives.

use std::collections::BTreeSet;
use std::time::Duration;

use bumpalo::Bump;
use rserpool_core::wire::{Lifetime, Policy, Transport};
use rserpool_core::{
    ElementEvent, ElementInfo, ElementKey, EndpointConfig, EndpointLimits, Instant, Link, PeId, PoolElement, Ppid,
    Registrar, RegistrarConfig, RegistrarLimits, ServerId,
};

use super::host::Host;
use super::network::{CONNECT_TIMEOUT, ELEMENT, Machinery, NODES, Network, REGISTRARS, address};
use super::registrar::{Space, checksum, space};
use crate::wire::generate::Source;

const POOL: &[u8] = b"EchoPool";
/// More of them would only take more time to settle.
const MAX_DEATHS: u32 = 3;
/// How long an application waits after a refusal.
const PAUSE: Duration = Duration::from_secs(5);

struct Pair {
    network: Network,
    lifetime: Lifetime,
    /// The element's registration, as long as the application wants it.
    key: Option<ElementKey>,
    own_id: Option<PeId>,
    policy: u32,
    /// How many machines have been started, for seeds and identifiers.
    started: u32,
    deaths: u32,
}

pub fn ops(data: &[u8]) {
    let Some((&[flags], rest)) = data.split_first_chunk() else { return };
    let mut network = Network::new();
    for n in 0..REGISTRARS {
        network.add(registrar(n, n as u32, Instant::ZERO));
    }
    network.add(element(2, Instant::ZERO));
    // The longest outlives the run, so that nothing ends by itself.
    let lifetime = Lifetime::from_secs(match flags & 9 {
        0 => 300,
        1 => 60,
        _ => 86_400,
    });
    let own_id = (flags & 2 == 2).then_some(PeId(5));
    let mut pair = Pair { network, lifetime, key: None, own_id, policy: 1, started: 3, deaths: 0 };
    if flags & 4 == 0 {
        // All is well before anything happens.
        pair.register();
        pair.run(Duration::from_secs(30));
    }
    let bump = Bump::new();
    let mut source = Source::new(rest, &bump);
    while source.left() > 0 {
        pair.op(&mut source);
    }
    pair.settle();
    pair.check();
}

fn registrar(n: usize, started: u32, now: Instant) -> Machinery {
    let mut config = RegistrarConfig { id: ServerId(0x11 + started), ..RegistrarConfig::new() };
    config.enrp.transport.push((Link::Tcp, address(n, Ppid::Enrp)));
    let limits = RegistrarLimits { peers: 6, ..RegistrarLimits::default() };
    let mut machine = Registrar::growable(limits, config, started.into(), now);
    for peer in (0..REGISTRARS).filter(|peer| *peer != n) {
        assert!(machine.add_peer(Link::Tcp, &[address(peer, Ppid::Enrp)]));
    }
    Machinery::Registrar(Host::new(machine, now))
}

fn element(started: u32, now: Instant) -> Machinery {
    let config = EndpointConfig { asap_port: Ppid::Asap.port(), ..EndpointConfig::new() };
    let mut machine = PoolElement::growable(EndpointLimits::default(), config, started.into(), now);
    for n in 0..REGISTRARS {
        assert!(machine.add_server(Link::Tcp, &[address(n, Ppid::Asap)]));
    }
    Machinery::Element(Host::new(machine, now))
}

fn policy(weight: u32) -> Policy<'static> {
    Policy::WeightedRandom { weight }
}

impl Pair {
    fn op(&mut self, source: &mut Source<'_>) {
        let network = &mut self.network;
        match source.below(16) {
            0..=4 => {
                let time = match source.u8() {
                    byte @ ..0x80 => Duration::from_millis(u64::from(byte) * 8),
                    byte @ 0x80..0xf0 => Duration::from_millis(u64::from(byte - 0x7f) * 500),
                    byte => Duration::from_secs(u64::from(byte - 0xef) * 20),
                };
                self.run(time);
            }
            5 => network.delay = Duration::from_millis([1, 10, 100, 700, 3000][usize::from(source.below(5))]),
            6 | 7 => {
                let (a, b) = [(0, 1), (0, ELEMENT), (1, ELEMENT)][usize::from(source.below(3))];
                network.set_cut(a, b, true);
            }
            8 => {
                let (a, b) = [(0, 1), (0, ELEMENT), (1, ELEMENT)][usize::from(source.below(3))];
                network.set_cut(a, b, false);
            }
            9 | 10 => {
                let open = network.open_conns();
                let (nth, times) = (usize::from(source.u8()), [source.u8(), source.u8()]);
                if let Some(nth) = nth.checked_rem(open.len()) {
                    network.lose(open[nth], times.map(|time| Duration::from_millis(u64::from(time) * 40)));
                }
            }
            11 => self.register(),
            12 => {
                self.policy = u32::from(source.u8()) + 1;
                if let Some(key) = self.key {
                    let policy = policy(self.policy);
                    self.network.call(|element, now| element.set_policy(now, key, policy));
                }
            }
            13 => match (source.below(3), self.key) {
                (0, Some(key)) => {
                    self.network.call(|element, now| element.deregister(now, key));
                    self.key = None;
                }
                (_, Some(key)) => {
                    self.network.call(|element, now| element.reregister(now, key));
                }
                _ => {}
            },
            14 => {
                // The element dies, and maybe another process comes in its place.
                let now = self.network.now;
                let again = source.flag();
                self.started += 1;
                self.network.replace(ELEMENT, if again { element(self.started, now) } else { Machinery::Dead });
                self.key = None;
            }
            _ => {
                let n = usize::from(source.below(REGISTRARS as u8));
                if self.deaths < MAX_DEATHS {
                    self.deaths += 1;
                    self.started += 1;
                    self.network.replace(n, registrar(n, self.started, self.network.now));
                }
            }
        }
        self.application();
    }

    fn register(&mut self) {
        if self.key.is_some() {
            return;
        }
        let info = ElementInfo {
            pool_handle: POOL,
            id: self.own_id,
            user_transport: Transport::Tcp(([192, 0, 2, 3], 7).into()),
            policy: policy(self.policy),
            lifetime: self.lifetime,
        };
        self.key = self.network.call(|element, now| element.register(now, &info)).and_then(Result::ok);
    }

    /// What an application does: where it is refused or not answered it tries again.
    fn application(&mut self) {
        for event in std::mem::take(&mut self.network.element_events) {
            if let ElementEvent::NoAnswer(key) | ElementEvent::Rejected { element: key, .. } = event {
                self.network.run(PAUSE);
                // One that wants to leave goes on to.
                if self.key == Some(key) {
                    self.network.call(|element, now| element.reregister(now, key));
                }
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.network.now + time;
        while self.network.now < end {
            let left = end.saturating_duration_since(self.network.now);
            self.network.run(left.min(PAUSE));
            self.application();
        }
    }

    /// The network is sound from now on, and each procedure has the time that its thresholds sum up to: RFC 5353,
    /// 3.4.3, 3.5 and 3.6, RFC 5352, 3.1, 3.5 and 3.6. (`tests/src/sim/bounds.rs` tells each of them.)
    fn settle(&mut self) {
        for a in 0..NODES {
            for b in 0..a {
                self.network.set_cut(a, b, false);
            }
        }
        self.network.delay = Duration::from_millis(10);
        let (registrar, endpoint) = (RegistrarConfig::new(), EndpointConfig::new());
        let enrp = registrar.enrp;
        let (heard, response) = (enrp.max_time_last_heard, enrp.max_time_no_response);
        let lives = REGISTRARS as u32 + self.deaths;
        let takeovers = heard + response + (response * 3 + response / 10) * lives * 2 + heard + response * 2;
        let rehome = registrar.keep_alive_timeout * 2 + CONNECT_TIMEOUT;
        // A registrar that stood still has patience before.
        let patience = registrar.keep_alive_timeout.max(response) + Duration::from_millis(500);
        let unreachable = registrar.keep_alive_interval * 3 / 2 + registrar.keep_alive_timeout + patience;
        let heartbeat = enrp.peer_heartbeat_cycle;
        let audit = heartbeat + CONNECT_TIMEOUT + (heartbeat + enrp.resync_interval + response * 2) * 2;
        let start = (response * 3 + enrp.mentor_retry * 2) * (enrp.mentor_rounds + 2) + enrp.mentor_discovery;
        let attempts = endpoint.t2_registration * (endpoint.max_reg_attempt + 1);
        let renewal = endpoint.t4_reregistration.min(self.lifetime.duration().unwrap_or_default());
        let register = renewal + attempts + endpoint.retran_max * 4 + start;
        self.run(takeovers + rehome + unreachable + audit + register);
    }

    fn check(&self) {
        let spaces: Vec<Space> = (0..REGISTRARS).map(|n| space(self.network.registrar(n).handlespace())).collect();
        let ids: Vec<ServerId> = (0..REGISTRARS).map(|n| self.network.registrar(n).id()).collect();
        for n in 0..REGISTRARS {
            let registrar = self.network.registrar(n);
            assert!(registrar.is_serving(), "registrar {n} serves");
            for id in &ids {
                assert_eq!(registrar.handlespace().checksum(*id), checksum(&spaces[0], *id), "{id} at registrar {n}");
            }
        }
        let told = |space: &Space| -> Vec<_> {
            space.iter().map(|(key, listed)| (key.clone(), listed.home, listed.parameters.clone())).collect()
        };
        assert_eq!(told(&spaces[0]), told(&spaces[1]), "both have the same handlespace");

        let living = self.key.and_then(|key| Some((self.network.element()?, key)));
        let wanted: BTreeSet<(Vec<u8>, u32)> =
            living.iter().filter_map(|(element, key)| Some((POOL.to_vec(), element.id(*key)?.0))).collect();
        let listed: BTreeSet<(Vec<u8>, u32)> = spaces[0].keys().cloned().collect();
        assert_eq!(listed, wanted, "the living, each once, and nobody else");
        if let Some((element, key)) = living {
            assert!(element.is_registered(key), "it knows that it is registered");
            let home = element.home().and_then(|home| self.network.peer(ELEMENT, home.assoc));
            let home = home.map(|n| self.network.registrar(n).id());
            let all: Vec<Option<ServerId>> = spaces[0].values().map(|listed| Some(listed.home)).collect();
            assert_eq!(all, [home], "its home is the one that it holds for its home");
            let mut buf = [0; 16];
            let own = policy(self.policy).emit(&mut buf).expect("it is short");
            assert!(spaces[0].values().all(|listed| listed.policy == own), "as it registered last");
        }
    }
}
