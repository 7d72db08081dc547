//! A pool element and a pool user under any sequence of inputs and calls, in fixed and in growable storage.

use std::collections::{BTreeMap, BTreeSet};

use rserpool_core::wire::asap::HandleResolutionResponse;
use rserpool_core::wire::{AsapMessage, PoolElementParam, PoolHandle};
use rserpool_core::{
    ElementEvent, ElementInfo, ElementKey, ElementStorage, EndpointConfig, EndpointLimits, Home, Instant, Link, Links,
    PeId, PoolElement, PoolUser, Ppid, RegisterError, Resolution, SelectError, UserStorage,
};

use super::host::Subject;
use super::world::{Cause, Outcome, World, each_op};
use crate::wire::generate::{POOLS, Source};
use crate::wire::message::Message;

const LIMITS: EndpointLimits = EndpointLimits { elements: 2, servers: 5, pools: 2, cached_elements: 4 };
/// RFC 5352, 3.6, SH1: no more than three at once.
const MAX_DIALS: usize = 3;

/// What both have in common.
trait Endpoint: Subject {
    fn elements(&self, resolution: Resolution) -> Vec<u32>;
    fn primary(&mut self, now: Instant, resolution: Resolution) -> Result<u32, SelectError>;
    fn report(&mut self, now: Instant, resolution: Resolution, failed: PeId) -> bool;
}

fn id(element: PoolElementParam<'_>) -> u32 {
    element.id.0
}

impl Endpoint for PoolElement<'_> {
    fn elements(&self, resolution: Resolution) -> Vec<u32> {
        self.elements(resolution).map(id).collect()
    }
    fn primary(&mut self, now: Instant, resolution: Resolution) -> Result<u32, SelectError> {
        self.primary(now, resolution).map(id)
    }
    fn report(&mut self, now: Instant, resolution: Resolution, failed: PeId) -> bool {
        self.report_failure(now, resolution, failed)
    }
}

impl Endpoint for PoolUser<'_> {
    fn elements(&self, resolution: Resolution) -> Vec<u32> {
        self.elements(resolution).map(id).collect()
    }
    fn primary(&mut self, now: Instant, resolution: Resolution) -> Result<u32, SelectError> {
        self.primary(now, resolution).map(id)
    }
    fn report(&mut self, now: Instant, resolution: Resolution, failed: PeId) -> bool {
        self.report_failure(now, resolution, failed)
    }
}

impl Subject for PoolElement<'_> {
    type State = (Option<Home>, bool);
    const SPEAKS_ENRP: bool = false;

    fn state(&self) -> Self::State {
        (self.home(), self.is_empty())
    }
}

/// What the user knows of each pool: whether it waits for an answer, and the elements.
type Known = (bool, Vec<u32>);

impl Subject for PoolUser<'_> {
    type State = (Option<Home>, Vec<Option<Known>>);
    const SPEAKS_ENRP: bool = false;

    fn state(&self) -> Self::State {
        let known = |pool: &[u8]| self.find(pool).map(|at| (self.is_pending(at), Endpoint::elements(self, at)));
        (self.home(), POOLS.into_iter().map(known).collect())
    }
}

/// Which elements of which pool registrars have ever told of, and who was asked for. Nothing else may be handed out.
#[derive(Default)]
struct Answers {
    told: BTreeMap<Vec<u8>, BTreeSet<u32>>,
    asked: BTreeSet<Vec<u8>>,
    resolutions: Vec<(Resolution, Vec<u8>)>,
}

impl Answers {
    fn resolved(&mut self, resolution: Resolution, pool: &[u8]) {
        self.asked.insert(pool.to_vec());
        self.resolutions.retain(|(known, _)| *known != resolution);
        self.resolutions.push((resolution, pool.to_vec()));
        if self.resolutions.len() > 8 {
            self.resolutions.remove(0);
        }
    }

    fn pick(&self, source: &mut Source<'_>) -> Option<(Resolution, Vec<u8>)> {
        let at = usize::from(source.u8()).checked_rem(self.resolutions.len())?;
        self.resolutions.get(at).cloned()
    }

    fn check<M: Endpoint>(&mut self, world: &World<M>, outcome: &Outcome<M::Event>) {
        if let Cause::Message { bytes, .. } = &outcome.cause
            && let Ok(AsapMessage::HandleResolutionResponse(answer)) = AsapMessage::parse(bytes).map(|p| p.message)
        {
            let told = self.told.entry(answer.pool_handle.as_bytes().to_vec()).or_default();
            told.extend(answer.elements.iter().map(id));
        }
        let mut cached = 0;
        for (resolution, pool) in &self.resolutions {
            let elements = world.host.machine.elements(*resolution);
            let told = self.told.get(pool);
            for (at, id) in elements.iter().enumerate() {
                assert!(told.is_some_and(|told| told.contains(id)), "nobody has told of {id:#x} in {pool:02x?}");
                assert!(!elements[..at].contains(id), "each once");
            }
            cached += elements.len();
        }
        assert!(cached <= LIMITS.cached_elements as usize, "storage bounds hold");
        assert!(world.dials.len() <= MAX_DIALS, "SH1");
        for sent in &outcome.sent {
            let asked = match sent.message() {
                Message::Asap(AsapMessage::HandleResolution(message)) => message.pool_handle,
                Message::Asap(AsapMessage::EndpointUnreachable(message)) => message.pool_handle,
                _ => continue,
            };
            assert!(self.asked.contains(asked.as_bytes()), "it asks for what it was asked for");
        }
    }

    /// Selects, and reports a failure.
    fn use_pool<M: Endpoint>(&mut self, world: &mut World<M>, source: &mut Source<'_>) {
        let Some((resolution, _)) = self.pick(source) else { return };
        let failed = PeId(if source.flag() {
            let known = world.host.machine.elements(resolution);
            usize::from(source.u8()).checked_rem(known.len()).map_or(0, |at| known[at])
        } else {
            source.pe_id().0
        });
        match source.below(3) {
            0 => {
                world.host.call(|machine, now| machine.report(now, resolution, failed));
                let chosen = world.host.call(|machine, now| machine.primary(now, resolution));
                assert_ne!(chosen, Ok(failed.0), "3.5: it has failed, and is not given out");
            }
            _ => {
                let known = world.host.machine.elements(resolution);
                let chosen = world.host.call(|machine, now| machine.primary(now, resolution));
                assert!(chosen.is_err() || known.contains(&chosen.unwrap_or(0)), "one of those that are known");
            }
        }
    }
}

fn config(flags: u8) -> EndpointConfig {
    let bit = |n: u8| flags >> n & 1 == 1;
    EndpointConfig {
        serve_stale: bit(0),
        wanted_items: bit(1).then_some(3),
        links: Links { sctp: bit(2), tcp: true },
        asap_port: if bit(3) { 3863 } else { 0 },
        max_reg_attempt: if bit(4) { 0 } else { 2 },
        ..EndpointConfig::new()
    }
}

/// Registrars are at hand, so that most inputs come to something.
fn configured<T>(mut machine: T, add: impl Fn(&mut T, Link, &[std::net::SocketAddr]) -> bool) -> T {
    for n in 1..=4 {
        assert!(add(&mut machine, Link::Tcp, &[([192, 0, 2, n], 3863).into()]));
    }
    machine
}

/// The op begins with the dials being answered, where the input says so: the home is there at once.
fn at_home<M: Subject>(world: &mut World<M>) {
    if let Some((dial, (link, ppid, to))) = world.dials.pop_first() {
        world.connect(Some(dial), link, ppid, &to);
    }
}

fn speak<M: Subject>(world: &mut World<M>, source: &mut Source<'_>) -> Outcome<M::Event> {
    match world.pick(source.u8()) {
        Some(assoc) => world.sensible(source, assoc),
        None => {
            at_home(world);
            world.outcome(Cause::Other)
        }
    }
}

// ---- pool element ----------------------------------------------------------------------------------------------------

#[derive(Default)]
struct Registered {
    /// The elements that there are: pool, identifier and whether it is registered.
    keys: Vec<(ElementKey, Vec<u8>)>,
    /// Names that the endpoint has ever had. What it says of an element may be about one that has just left.
    names: BTreeSet<(Vec<u8>, u32)>,
    registered: Vec<ElementKey>,
}

impl Registered {
    fn pick(&self, source: &mut Source<'_>) -> Option<ElementKey> {
        let at = usize::from(source.u8()).checked_rem(self.keys.len())?;
        self.keys.get(at).map(|(key, _)| *key)
    }

    fn register(&mut self, world: &mut World<PoolElement<'_>>, source: &mut Source<'_>) {
        let (wanted, own_id) = (source.element(), source.flag());
        let pool = source.handle();
        let info = ElementInfo {
            pool_handle: pool.as_bytes(),
            id: own_id.then_some(wanted.id),
            user_transport: wanted.user_transport,
            policy: wanted.policy,
            lifetime: wanted.lifetime,
        };
        let full = self.live(world) == LIMITS.elements as usize;
        let twice = own_id && self.is_named(world, pool.as_bytes(), wanted.id);
        let result = world.host.call(|machine, now| machine.register(now, &info));
        match result {
            Ok(key) => {
                assert!(!full && !twice && wanted.lifetime.is_valid());
                let id = world.host.machine.id(key).expect("it is there");
                assert!(!own_id || id == wanted.id);
                assert!(!world.host.machine.is_registered(key), "nobody has granted it");
                self.keys.push((key, pool.as_bytes().to_vec()));
                self.names.insert((pool.as_bytes().to_vec(), id.0));
            }
            Err(RegisterError::Full) => assert!(full),
            Err(RegisterError::DuplicateId) => assert!(twice),
            Err(RegisterError::BadLifetime) => assert!(!wanted.lifetime.is_valid()),
            Err(error) => assert_ne!(error, RegisterError::UnknownElement),
        }
    }

    fn live(&self, world: &World<PoolElement<'_>>) -> usize {
        self.keys.iter().filter(|(key, _)| world.host.machine.id(*key).is_some()).count()
    }

    fn is_named(&self, world: &World<PoolElement<'_>>, pool: &[u8], id: PeId) -> bool {
        self.keys.iter().any(|(key, name)| name == pool && world.host.machine.id(*key) == Some(id))
    }

    fn check(&mut self, world: &World<PoolElement<'_>>, outcome: &Outcome<ElementEvent>) {
        let machine = &world.host.machine;
        assert!(self.live(world) <= LIMITS.elements as usize, "storage bounds hold");
        assert_eq!(machine.is_empty(), self.live(world) == 0);
        let grants = match &outcome.cause {
            Cause::Message { bytes, .. } => match AsapMessage::parse(bytes).map(|p| p.message) {
                Ok(AsapMessage::RegistrationResponse(m)) if !m.rejected => Some((m.pool_handle, m.id)),
                _ => None,
            },
            _ => None,
        };
        for (key, pool) in &self.keys {
            if let Some(id) = machine.id(*key) {
                // An identifier that was drawn is drawn anew where the pool has it already (RFC 5352, 3.1).
                self.names.insert((pool.clone(), id.0));
                let granted = grants == PoolHandle::new(pool).map(|pool| (pool, id));
                let was = self.registered.contains(key);
                assert!(!machine.is_registered(*key) || was || granted, "nobody has granted it");
            } else {
                assert!(!machine.is_registered(*key));
            }
        }
        self.keys.retain(|(key, _)| machine.id(*key).is_some());
        let registered = self.keys.iter().map(|(key, _)| *key).filter(|key| machine.is_registered(*key));
        self.registered = registered.collect();
        for sent in &outcome.sent {
            let Message::Asap(message) = sent.message() else { panic!("an element speaks ASAP") };
            let named = match message {
                AsapMessage::Registration(m) => (m.pool_handle, m.element.id),
                AsapMessage::Deregistration(m) => (m.pool_handle, m.id),
                AsapMessage::EndpointKeepAliveAck(m) => (m.pool_handle, m.id),
                AsapMessage::HandleResolution(_) | AsapMessage::EndpointUnreachable(_) | AsapMessage::Error(_) => {
                    continue;
                }
                other => panic!("{other:?} is not for elements to say"),
            };
            let name = (named.0.as_bytes().to_vec(), named.1.0);
            assert!(self.names.contains(&name), "it speaks for its own elements: {name:02x?}");
        }
    }
}

pub fn element_ops(data: &[u8]) {
    let Some((&[kind, flags], rest)) = data.split_first_chunk() else { return };
    if kind & 1 == 1 {
        run_element(PoolElement::growable(LIMITS, config(flags), 3, Instant::ZERO), rest);
    } else {
        let mut storage = Box::new(ElementStorage::<2, 5, 2, 4>::new());
        run_element(PoolElement::new(&mut storage, config(flags), 3, Instant::ZERO), rest);
    }
}

fn run_element(machine: PoolElement<'_>, data: &[u8]) {
    let mut world = World::new(configured(machine, PoolElement::add_server), false);
    let (mut registered, mut answers) = (Registered::default(), Answers::default());
    world.outcome(Cause::Other);
    each_op(data, |source| {
        let outcome = match source.u8() {
            ..0x60 => speak(&mut world, source),
            0x60..0x70 => {
                // What a registrar would say: everything is granted, alive and answered.
                let last = registered.keys.last().cloned();
                match (world.pick(source.u8()), last) {
                    (Some(assoc), Some((key, pool))) if assoc.ppid == Ppid::Asap => {
                        let id = world.host.machine.id(key).expect("only those are kept");
                        let pool_handle = PoolHandle::new(&pool).expect("it was taken");
                        let message = match source.below(4) {
                            0 => rserpool_core::wire::asap::EndpointKeepAlive {
                                adopt: source.flag(),
                                server: source.server_id(),
                                pool_handle,
                                id: Some(id),
                            }
                            .into(),
                            1 => rserpool_core::wire::asap::DeregistrationResponse { pool_handle, id, error: None }
                                .into(),
                            _ => rserpool_core::wire::asap::RegistrationResponse {
                                rejected: false,
                                pool_handle,
                                id,
                                error: None,
                            }
                            .into(),
                        };
                        let bytes = Message::Asap(message).bytes().expect("the handle came in a message");
                        world.message(assoc, &bytes)
                    }
                    _ => {
                        at_home(&mut world);
                        world.outcome(Cause::Other)
                    }
                }
            }
            0x70..0x90 => {
                registered.register(&mut world, source);
                world.outcome(Cause::Other)
            }
            0x90..0xb0 => {
                let key = registered.pick(source);
                match (key, source.below(4)) {
                    (Some(key), 0) => {
                        let _ = world.host.call(|machine, now| machine.set_policy(now, key, source.policy()));
                    }
                    (Some(key), 1) => {
                        let _ = world.host.call(|machine, now| machine.reregister(now, key));
                    }
                    (Some(key), 2) => {
                        let _ = world.host.call(|machine, now| machine.deregister(now, key));
                    }
                    _ => {
                        let (from, to) = (source.socket_addr().ip(), source.socket_addr().ip());
                        world.host.call(|machine, now| machine.move_host(now, from, to));
                    }
                }
                world.outcome(Cause::Other)
            }
            0xb0..0xc0 => {
                let pool = source.handle();
                if let Ok((at, _)) = world.host.call(|machine, now| machine.resolve(now, pool.as_bytes())) {
                    answers.resolved(at, pool.as_bytes());
                }
                world.outcome(Cause::Other)
            }
            0xc0..0xd0 => {
                answers.use_pool(&mut world, source);
                world.outcome(Cause::Other)
            }
            _ => world.happen(source),
        };
        registered.check(&world, &outcome);
        answers.check(&world, &outcome);
    });
}

// ---- pool user -------------------------------------------------------------------------------------------------------

pub fn user_ops(data: &[u8]) {
    let Some((&[kind, flags], rest)) = data.split_first_chunk() else { return };
    if kind & 1 == 1 {
        run_user(PoolUser::growable(LIMITS, config(flags), 3, Instant::ZERO), rest);
    } else {
        let mut storage = Box::new(UserStorage::<2, 4, 5>::new());
        run_user(PoolUser::new(&mut storage, config(flags), 3, Instant::ZERO), rest);
    }
}

fn run_user(machine: PoolUser<'_>, data: &[u8]) {
    let mut world = World::new(configured(machine, PoolUser::add_server), false);
    let mut answers = Answers::default();
    world.outcome(Cause::Other);
    each_op(data, |source| {
        let outcome = match source.u8() {
            ..0x40 => speak(&mut world, source),
            0x40..0x70 => match (world.pick(source.u8()), answers.pick(source)) {
                (Some(assoc), Some((_, pool))) => {
                    // An answer to what was asked.
                    let pool_handle = PoolHandle::new(&pool).expect("it was taken");
                    let answer = HandleResolutionResponse { pool_handle, ..source.answer() };
                    world.say(source, assoc, Message::Asap(answer.into()))
                }
                _ => {
                    at_home(&mut world);
                    world.outcome(Cause::Other)
                }
            },
            0x70..0xa0 => {
                let pool = source.handle();
                let subscribe = source.flag();
                let resolved = world.host.call(|machine, now| match subscribe {
                    true => machine.subscribe(now, pool.as_bytes()),
                    false => machine.resolve(now, pool.as_bytes()),
                });
                if let Ok((at, _)) = resolved {
                    let machine = &world.host.machine;
                    assert_eq!(machine.pool_handle(at), Some(pool.as_bytes()));
                    assert_eq!(machine.find(pool.as_bytes()), Some(at));
                    answers.resolved(at, pool.as_bytes());
                }
                world.outcome(Cause::Other)
            }
            0xa0..0xb0 => {
                if let Some((at, _)) = answers.pick(source) {
                    let purge = source.flag();
                    world.host.call(|machine, _| if purge { machine.purge(at) } else { machine.unsubscribe(at) });
                }
                world.outcome(Cause::Other)
            }
            0xb0..0xc0 => {
                answers.use_pool(&mut world, source);
                world.outcome(Cause::Other)
            }
            0xc0..0xd0 => {
                if let Some((at, _)) = answers.pick(source) {
                    let failed = source.pe_id();
                    let next = world.host.call(|machine, now| machine.next(now, at, failed).map(id));
                    assert_ne!(next, Ok(failed.0), "another one");
                }
                world.outcome(Cause::Other)
            }
            _ => world.happen(source),
        };
        answers.check(&world, &outcome);
    });
}
