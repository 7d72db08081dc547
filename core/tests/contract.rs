//! The rules of `Machine` under arbitrary sequences of inputs, calls and time, in fixed and in growable storage. What is
//! checked after every single input is in `harness/drain.rs` and `Sim::input`.

mod harness;

use std::time::Duration;

use harness::*;
use proptest::collection::vec;
use proptest::prelude::*;
use rserpool_core::wire::asap::{AsapError, BusinessCard, Cookie, HandleResolution};
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::enrp::{
    EnrpError, HandleTableEntry, HandleTableResponse, HandleUpdate, ListRequest, ListResponse, PoolEntries,
};
use rserpool_core::wire::{Lifetime, List, OperationError, Policy, PoolElementParam, Transport};
use rserpool_core::{
    AssocId, DialId, ElementInfo, ElementKey, ElementStorage, EndpointConfig, Input, Instant, Link, PeId, PoolElement,
    PoolUser, Ppid, Registrar, RegistrarConfig, RegistrarStorage, Resolution, ServerId, UserStorage,
};

#[derive(Clone, Debug)]
enum Op {
    /// A script sends a message, with one byte changed or none.
    Send {
        assoc: u8,
        kind: u8,
        pool: u8,
        id: u8,
        flag: bool,
        damage: Option<(u8, u8)>,
    },
    Garbage {
        assoc: u8,
        bytes: Vec<u8>,
    },
    Announce {
        server: u8,
        transports: bool,
    },
    Connect {
        script: bool,
    },
    Lose {
        assoc: u8,
    },
    SendFailed {
        assoc: u8,
    },
    /// Inputs for what the machine does not know.
    Stray {
        slot: u8,
        kind: u8,
    },
    Answer {
        kind: u8,
    },
    Deaf {
        deaf: bool,
    },
    Call {
        kind: u8,
        pool: u8,
        id: u8,
    },
    Time {
        millis: u32,
    },
    Backwards,
}

/// Which messages a machine is mostly sent.
const TO_REGISTRAR: &[u8] = &[0, 1, 2, 5, 6, 11, 12];
const TO_ELEMENT: &[u8] = &[3, 4, 7, 8, 9, 10];
const TO_USER: &[u8] = &[7, 7, 8, 9];

fn ops(usual: &'static [u8]) -> impl Strategy<Value = Vec<Op>> {
    vec(op(usual), 0..120)
}

fn op(usual: &'static [u8]) -> impl Strategy<Value = Op> {
    let damage = proptest::option::weighted(0.1, any::<(u8, u8)>());
    let kind = prop_oneof![4 => proptest::sample::select(usual), 1 => 0..16u8];
    let pool = || prop_oneof![3 => Just(0u8), 2 => 0..4u8];
    prop_oneof![
        8 => (any::<u8>(), kind, pool(), 0..5u8, any::<bool>(), damage).prop_map(
            |(assoc, kind, pool, id, flag, damage)| Op::Send { assoc, kind, pool, id, flag, damage }
        ),
        1 => (any::<u8>(), vec(any::<u8>(), 0..40)).prop_map(|(assoc, bytes)| Op::Garbage { assoc, bytes }),
        1 => (0..4u8, any::<bool>()).prop_map(|(server, transports)| Op::Announce { server, transports }),
        2 => any::<bool>().prop_map(|script| Op::Connect { script }),
        1 => any::<u8>().prop_map(|assoc| Op::Lose { assoc }),
        1 => any::<u8>().prop_map(|assoc| Op::SendFailed { assoc }),
        1 => (any::<u8>(), 0..5u8).prop_map(|(slot, kind)| Op::Stray { slot, kind }),
        1 => (0..4u8).prop_map(|kind| Op::Answer { kind }),
        1 => any::<bool>().prop_map(|deaf| Op::Deaf { deaf }),
        6 => (0..10u8, pool(), 0..5u8).prop_map(|(kind, pool, id)| Op::Call { kind, pool, id }),
        6 => prop_oneof![0..100u32, 100..40_000u32, 40_000..1_000_000u32].prop_map(|millis| Op::Time { millis }),
        1 => Just(Op::Backwards),
    ]
}

/// What a registrar's peers do: each speaks for itself, in turn on one of its associations.
#[derive(Clone, Debug)]
enum EnrpOp {
    /// A peer sends a message, with one byte changed or none.
    Send {
        peer: u8,
        kind: u8,
        pool: u8,
        id: u8,
        home: u8,
        flag: bool,
        damage: Option<(u8, u8)>,
    },
    /// By multicast.
    Datagram {
        id: u8,
        kind: u8,
    },
    Connect {
        peer: u8,
    },
    Lose {
        peer: u8,
    },
    Answer {
        peer: u8,
        kind: u8,
    },
    Leave,
    /// What pool elements and users do, and time.
    Other(Op),
}

fn enrp_ops() -> impl Strategy<Value = Vec<EnrpOp>> {
    let damage = || proptest::option::weighted(0.1, any::<(u8, u8)>());
    let send = (0..PEERS, 0..14u8, 0..4u8, 0..5u8, 0..5u8, any::<bool>(), damage());
    let one = prop_oneof![
        12 => send.prop_map(|(peer, kind, pool, id, home, flag, damage)| EnrpOp::Send {
            peer, kind, pool, id, home, flag, damage
        }),
        1 => (0..6u8, 0..14u8).prop_map(|(id, kind)| EnrpOp::Datagram { id, kind }),
        2 => (0..PEERS).prop_map(|peer| EnrpOp::Connect { peer }),
        1 => (0..PEERS).prop_map(|peer| EnrpOp::Lose { peer }),
        1 => (0..PEERS, 0..4u8).prop_map(|(peer, kind)| EnrpOp::Answer { peer, kind }),
        6 => op(TO_REGISTRAR).prop_map(EnrpOp::Other),
    ];
    (vec(one, 0..120), proptest::option::weighted(0.2, any::<proptest::sample::Index>())).prop_map(
        |(mut ops, leave)| {
            if let Some(leave) = leave {
                ops.insert(leave.index(ops.len() + 1), EnrpOp::Leave);
            }
            ops
        },
    )
}

const PEERS: u8 = 3;

/// Identifiers: the peers', the registrar's own, one that nobody has, and none.
fn server(n: u8) -> u32 {
    [11, 12, 13, 0x555, 77, 0][usize::from(n) % 6]
}

fn enrp_message(peer: u8, (kind, pool, id, home, flag): (u8, u8, u8, u8, bool)) -> Vec<u8> {
    let name = POOLS[usize::from(pool)];
    let element = PoolElementParam { home: ServerId(server(home)), ..element(id) };
    let by = server(peer);
    let receiver = if flag { 0x555 } else { 0 };
    let elements = [element, PoolElementParam { id: PeId(9), ..element }];
    let entry = HandleTableEntry { pool_handle: handle(name), elements: List::new(&elements) };
    let servers = [information(server(home), usize::from(id)), information(by, usize::from(peer) + 2)];
    let causes = [Cause::new(u16::from(id) + 3, b"")];
    match kind {
        0 | 1 => enrp_bytes(by, receiver, introduction(by, usize::from(peer) + 2, flag)),
        2 => enrp_bytes(by, receiver, presence(flag, Some(u16::from(id)))),
        3 => enrp_bytes(by, receiver, table_request(flag)),
        4 | 5 => {
            let entries = if id == 4 { PoolEntries::empty() } else { PoolEntries::new(std::slice::from_ref(&entry)) };
            enrp_bytes(by, receiver, HandleTableResponse { more: flag, rejected: id == 4 && home == 0, entries })
        }
        6 => enrp_bytes(by, receiver, add(name, PoolElementParam { home: ServerId(by), ..element })),
        7 => {
            let takeover_suggested = flag;
            enrp_bytes(by, receiver, HandleUpdate { takeover_suggested, ..add(name, element) })
        }
        8 => enrp_bytes(by, receiver, delete(name, element)),
        9 if flag => enrp_bytes(by, receiver, ListRequest),
        9 => enrp_bytes(by, receiver, ListResponse { rejected: false, servers: List::new(&servers) }),
        10 => enrp_bytes(by, receiver, init_takeover(server(home))),
        11 => enrp_bytes(by, receiver, init_takeover_ack(server(home))),
        12 => enrp_bytes(by, receiver, takeover_server(server(home))),
        _ => enrp_bytes(by, receiver, EnrpError { error: OperationError::new(&causes) }),
    }
}

const POOLS: [&[u8]; 4] = [b"a", b"bb", b"ccc", &[0xff; 40]];

fn policy(id: u8) -> Policy<'static> {
    match id {
        0 | 1 => Policy::RoundRobin,
        2 => Policy::WeightedRandom { weight: 0 },
        3 => Policy::LeastUsedDegradation { load: u32::MAX, degradation: u32::MAX },
        _ => Policy::Other { policy_type: 0x8000_0001, data: &[1, 2, 3, 4, 5] },
    }
}

fn element(id: u8) -> PoolElementParam<'static> {
    let lifetime = Lifetime::from_wire([60, -1, 1, 0, 300][usize::from(id)]);
    let user_transport = if id == 3 { Transport::Opaque(b"x") } else { service(u16::from(id)) };
    PoolElementParam { lifetime, policy: policy(id), user_transport, ..param(id.into(), 7) }
}

fn message(kind: u8, pool: u8, id: u8, flag: bool) -> Vec<u8> {
    let name = POOLS[usize::from(pool)];
    let causes = [Cause::new(u16::from(id) + 3, b"")];
    let error = OperationError::new(&causes);
    match kind {
        0 | 1 => bytes_of(registration(name, element(id))),
        2 => bytes_of(deregistration(name, id.into())),
        3 if flag => bytes_of(granted(name, PeId(id.into()))),
        3 => refused(name, PeId(id.into()), &causes),
        4 => bytes_of(left(name, PeId(id.into()))),
        5 | 6 => {
            let wanted_items = (id > 2).then(|| u32::from(id) - 3);
            bytes_of(HandleResolution { subscribe: flag, wanted_items, ..resolution(name) })
        }
        7 | 8 => answer(name, flag, Some(policy(id)), &[element(id), element(pool), element(1)]),
        9 => no_answer(name, causes[0]),
        10 => bytes_of(keep_alive(name, (id > 0).then_some(id.into()), pool.into(), flag)),
        11 => bytes_of(ack(name, id.into())),
        12 => bytes_of(unreachable(name, id.into())),
        13 => bytes_of(AsapError { error }),
        14 => bytes_of(Cookie { cookie: name }),
        _ => {
            let elements = [element(id)];
            bytes_of(BusinessCard { pool_handle: handle(name), policy: None, elements: List::new(&elements) })
        }
    }
}

/// The machine under test, two scripts that it may dial, and what it gave out.
struct World {
    sim: Sim,
    machine: NodeId,
    scripts: [NodeId; 2],
    keys: Vec<ElementKey>,
    pools: Vec<Resolution>,
}

impl World {
    fn new(role: impl FnOnce() -> Role) -> Self {
        let mut sim = Sim::new(7);
        let scripts = [sim.script(), sim.script()];
        let machine = sim.add(role());
        World { sim, machine, scripts, keys: Vec::new(), pools: Vec::new() }
    }

    /// One of the machine's associations, seen from the script.
    fn association(&self, nth: u8) -> Option<(NodeId, AssocId, AssocId)> {
        let own = self.sim.associations(self.machine);
        let at_machine = *own.get(usize::from(nth) % own.len().max(1))?;
        let (script, assoc) = self.sim.other_end(self.machine, at_machine)?;
        Some((script, assoc, at_machine))
    }

    fn apply(&mut self, op: &Op) {
        let machine = self.machine;
        match op {
            Op::Send { assoc, kind, pool, id, flag, damage } => {
                let mut bytes = message(*kind, *pool, *id, *flag);
                if let Some((at, value)) = damage {
                    let at = usize::from(*at) % bytes.len();
                    bytes[at] = *value;
                }
                if let Some((script, assoc, _)) = self.association(*assoc) {
                    self.sim.send_bytes(script, assoc, &bytes);
                }
            }
            Op::Garbage { assoc, bytes } => {
                if let Some((script, assoc, _)) = self.association(*assoc) {
                    self.sim.send_bytes(script, assoc, bytes);
                }
            }
            Op::Announce { server, transports } => {
                let at = [Transport::Tcp(address_of(usize::from(*server)))];
                let bytes = announce((*server).into(), if *transports { &at } else { &[] });
                self.sim.multicast(self.scripts[0], &bytes);
            }
            Op::Connect { script } => {
                if self.sim.associations(machine).len() < 5 {
                    self.sim.connect(self.scripts[usize::from(*script)], machine);
                }
            }
            Op::Lose { assoc } => {
                if let Some((_, _, assoc)) = self.association(*assoc) {
                    self.sim.lose(machine, assoc);
                }
            }
            Op::SendFailed { assoc } => {
                if let Some((_, _, assoc)) = self.association(*assoc) {
                    let _ = self.sim.input(machine, Input::SendFailed { assoc });
                }
            }
            Op::Stray { slot, kind } => {
                let (assoc, dial) = (AssocId { slot: (*slot).into(), generation: 99 }, DialId(u32::MAX));
                let bytes = message(*slot % 16, 0, 1, true);
                let input = match kind {
                    0 => Input::Closed { assoc },
                    1 => Input::SendFailed { assoc },
                    2 => Input::ConnectFailed { dial },
                    3 => Input::Message { assoc, ppid: Ppid::Asap, bytes: &bytes },
                    _ => Input::Message { assoc, ppid: Ppid::Enrp, bytes: &bytes },
                };
                let _ = self.sim.input(machine, input);
            }
            Op::Answer { kind } => {
                let late = Answer::AcceptLate(Duration::from_secs(12));
                let answer = [Answer::Accept, Answer::Refuse, Answer::Silence, late][usize::from(*kind)];
                self.sim.nodes[self.scripts[0]].answer = answer;
            }
            Op::Deaf { deaf } => self.sim.nodes[machine].deaf = *deaf,
            Op::Call { kind, pool, id } => self.call(*kind, *pool, *id),
            Op::Time { millis } => self.sim.run_for(Duration::from_millis((*millis).into())),
            Op::Backwards => {
                self.sim.handle(machine, Instant::ZERO, Input::Timeout).unwrap();
                self.sim.drain(machine);
            }
        }
    }

    /// An association that a peer speaks ENRP on.
    fn peer_association(&self, peer: u8) -> Option<(NodeId, AssocId)> {
        let node = usize::from(peer) + 2;
        let enrp = |assoc: &AssocId| self.sim.ppid(node, *assoc) == Some(Ppid::Enrp);
        self.sim.associations(node).into_iter().rfind(enrp).map(|assoc| (node, assoc))
    }

    fn apply_enrp(&mut self, op: &EnrpOp) {
        match op {
            EnrpOp::Send { peer, kind, pool, id, home, flag, damage } => {
                let mut bytes = enrp_message(*peer, (*kind, *pool, *id, *home, *flag));
                if let Some((at, value)) = damage {
                    let at = usize::from(*at) % bytes.len();
                    bytes[at] = *value;
                }
                if let Some((node, assoc)) = self.peer_association(*peer) {
                    self.sim.send_bytes(node, assoc, &bytes);
                }
            }
            EnrpOp::Datagram { id, kind } => {
                let bytes = enrp_message(*id, (*kind, 0, 1, 1, false));
                self.sim.multicast_enrp(self.scripts[0], &bytes);
            }
            EnrpOp::Connect { peer } => {
                if self.sim.associations(self.machine).len() < 6 {
                    self.sim.connect_enrp(usize::from(*peer) + 2, self.machine);
                }
            }
            EnrpOp::Lose { peer } => {
                if let Some((node, assoc)) = self.peer_association(*peer) {
                    self.sim.lose(node, assoc);
                }
            }
            EnrpOp::Answer { peer, kind } => {
                let late = Answer::AcceptLate(Duration::from_secs(12));
                let answer = [Answer::Accept, Answer::Refuse, Answer::Silence, late][usize::from(*kind)];
                self.sim.nodes[usize::from(*peer) + 2].answer = answer;
            }
            EnrpOp::Leave => {
                let now = self.sim.now;
                if let Role::Registrar(registrar) = &mut self.sim.nodes[self.machine].role {
                    registrar.leave(now);
                }
                self.sim.drain(self.machine);
            }
            EnrpOp::Other(op) => self.apply(op),
        }
    }

    fn call(&mut self, kind: u8, pool: u8, id: u8) {
        let (n, name) = (self.machine, POOLS[usize::from(pool)]);
        let key = self.keys.get(usize::from(id)).copied();
        let known = self.pools.get(usize::from(id)).copied();
        match &self.sim.nodes[n].role {
            Role::Element(_) => {
                let wanted = element(id);
                let info = ElementInfo {
                    pool_handle: name,
                    id: (kind == 0).then_some(PeId(id.into())),
                    user_transport: wanted.user_transport,
                    policy: wanted.policy,
                    lifetime: wanted.lifetime,
                };
                match (kind, key, known) {
                    (0..=2, ..) => self.keys.extend(self.sim.pe(n, |pe, now| pe.register(now, &info)).ok()),
                    (3, Some(key), _) => {
                        let _ = self.sim.pe(n, |pe, now| pe.set_policy(now, key, policy(pool)));
                    }
                    (4, Some(key), _) => {
                        let _ = self.sim.pe(n, |pe, now| pe.reregister(now, key));
                    }
                    (5, Some(key), _) => {
                        let _ = self.sim.pe(n, |pe, now| pe.deregister(now, key));
                    }
                    (6 | 7, ..) => {
                        self.pools.extend(self.sim.pe(n, |pe, now| pe.resolve(now, name)).map(|(pool, _)| pool).ok());
                    }
                    (8, _, Some(pool)) => {
                        let _ = self.sim.pe(n, |pe, now| pe.primary(now, pool).map(|e| e.id.0));
                    }
                    (9, _, Some(pool)) => {
                        self.sim.pe(n, |pe, now| pe.report_failure(now, pool, PeId(id.into())));
                    }
                    _ => {}
                }
            }
            Role::User(_) => match (kind, known) {
                (0..=2, _) => {
                    self.pools.extend(self.sim.pu(n, |pu, now| pu.resolve(now, name)).map(|(pool, _)| pool).ok());
                }
                (3 | 4, _) => {
                    self.pools.extend(self.sim.pu(n, |pu, now| pu.subscribe(now, name)).map(|(pool, _)| pool).ok());
                }
                (5, Some(pool)) => self.sim.pu(n, |pu, _| pu.unsubscribe(pool)),
                (6, Some(pool)) => self.sim.pu(n, |pu, _| pu.purge(pool)),
                (7, Some(pool)) => {
                    let _ = self.sim.pu(n, |pu, now| pu.primary(now, pool).map(|e| e.id.0));
                }
                (8 | 9, Some(pool)) => {
                    let _ = self.sim.pu(n, |pu, now| pu.next(now, pool, PeId(id.into())).map(|e| e.id.0));
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn run(mut self, ops: &[Op]) -> (Vec<Sent>, Vec<(Instant, Event)>) {
        for op in ops {
            self.apply(op);
        }
        self.sim.run_secs(700);
        (self.sim.trace, std::mem::take(&mut self.sim.nodes[self.machine].events))
    }
}

fn registrar_config() -> RegistrarConfig {
    let mut config = RegistrarConfig { announce: true, max_elements_per_association: 3, ..RegistrarConfig::new() };
    config.t6_server_announce = Duration::from_secs(20);
    config.announced.push((Link::Sctp, address_of(2)));
    config
}

/// A registrar that has the first two of its three peers configured.
fn with_peers(mut registrar: Registrar<'static>) -> Role {
    for n in [2, 3] {
        assert!(registrar.add_peer(Link::Tcp, &[address_of(n)]));
    }
    Role::Registrar(registrar)
}

fn enrp_config() -> RegistrarConfig {
    let mut config = RegistrarConfig { id: ServerId(0x555), ..registrar_config() };
    config.enrp.transport.push((Link::Tcp, address_of(5)));
    config.enrp.multicast = true;
    config.enrp.table_page_len = 150;
    config
}

fn fixed_registrar_with_peers() -> Role {
    let storage = leak(RegistrarStorage::<2, 6, 4, 7, 2>::new());
    with_peers(Registrar::new(storage, enrp_config(), 3, Instant::ZERO))
}

fn with_servers<T>(mut machine: T, add: impl Fn(&mut T, Link, &[std::net::SocketAddr]) -> bool) -> T {
    for n in [0, 1] {
        add(&mut machine, Link::Tcp, &[address_of(n)]);
    }
    machine
}

fn fixed_registrar() -> Role {
    Role::Registrar(Registrar::new(
        leak(RegistrarStorage::<2, 4, 1, 3, 2>::new()),
        registrar_config(),
        3,
        Instant::ZERO,
    ))
}

fn fixed_element() -> Role {
    let machine = PoolElement::new(leak(ElementStorage::<2, 3, 1, 2>::new()), EndpointConfig::new(), 3, Instant::ZERO);
    Role::Element(with_servers(machine, PoolElement::add_server))
}

fn fixed_user() -> Role {
    let machine = PoolUser::new(leak(UserStorage::<2, 3, 3>::new()), EndpointConfig::new(), 3, Instant::ZERO);
    Role::User(with_servers(machine, PoolUser::add_server))
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() }
}

/// Rule 4: the same inputs and seed give the same outputs; everything else is checked on the way.
fn check(role: fn() -> Role, ops: &[Op]) {
    let first = World::new(role).run(ops);
    let second = World::new(role).run(ops);
    assert!(first == second, "the same seed and inputs, another run");
}

/// The same with peers, which are the nodes 2 to 4.
fn check_enrp(role: fn() -> Role, ops: &[EnrpOp]) {
    let run = || {
        let mut sim = Sim::new(7);
        let scripts = [sim.script(), sim.script()];
        for _ in 0..PEERS {
            sim.script();
        }
        let machine = sim.add(role());
        let mut world = World { sim, machine, scripts, keys: Vec::new(), pools: Vec::new() };
        ops.iter().for_each(|op| world.apply_enrp(op));
        world.run(&[])
    };
    let (first, second) = (run(), run());
    assert!(first == second, "the same seed and inputs, another run");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_registrar_with_peers_keeps_the_contract(ops in enrp_ops()) {
        check_enrp(fixed_registrar_with_peers, &ops);
    }

    #[test]
    fn a_registrar_in_fixed_storage_keeps_the_contract(ops in ops(TO_REGISTRAR)) {
        check(fixed_registrar, &ops);
    }

    #[test]
    fn a_pool_element_in_fixed_storage_keeps_the_contract(ops in ops(TO_ELEMENT)) {
        check(fixed_element, &ops);
    }

    #[test]
    fn a_pool_user_in_fixed_storage_keeps_the_contract(ops in ops(TO_USER)) {
        check(fixed_user, &ops);
    }
}

#[cfg(feature = "alloc")]
mod growable {
    use rserpool_core::EndpointLimits;

    use super::*;

    const LIMITS: EndpointLimits = EndpointLimits { elements: 3, servers: 4, pools: 3, cached_elements: 5 };

    fn registrar() -> Role {
        Role::Registrar(Registrar::growable(Default::default(), registrar_config(), 3, Instant::ZERO))
    }

    fn registrar_with_peers() -> Role {
        with_peers(Registrar::growable(Default::default(), enrp_config(), 3, Instant::ZERO))
    }

    fn element() -> Role {
        let machine = PoolElement::growable(LIMITS, EndpointConfig::new(), 3, Instant::ZERO);
        Role::Element(with_servers(machine, PoolElement::add_server))
    }

    fn user() -> Role {
        let machine = PoolUser::growable(LIMITS, EndpointConfig::new(), 3, Instant::ZERO);
        Role::User(with_servers(machine, PoolUser::add_server))
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn a_registrar_with_peers_that_grows_keeps_the_contract(ops in enrp_ops()) {
            check_enrp(registrar_with_peers, &ops);
        }

        #[test]
        fn a_registrar_that_grows_keeps_the_contract(ops in ops(TO_REGISTRAR)) {
            check(registrar, &ops);
        }

        #[test]
        fn a_pool_element_that_grows_keeps_the_contract(ops in ops(TO_ELEMENT)) {
            check(element, &ops);
        }

        #[test]
        fn a_pool_user_that_grows_keeps_the_contract(ops in ops(TO_USER)) {
            check(user, &ops);
        }
    }
}
