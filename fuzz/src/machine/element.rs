//! A pool element under any sequence of inputs and calls, in fixed and in growable storage.

use std::collections::BTreeSet;

use rserpool_core::wire::asap::{DeregistrationResponse, EndpointKeepAlive, RegistrationResponse};
use rserpool_core::wire::{AsapMessage, OperationError, PoolHandle, cause};
use rserpool_core::{
    ElementEvent, ElementInfo, ElementKey, ElementStorage, Home, Instant, PeId, PoolElement, Ppid, RegisterError,
};

use super::endpoint::{Answers, LIMITS, announced, at_home, config, configured, last_words, speak};
use super::host::Subject;
use super::world::{Cause, Outcome, World, each_op};
use crate::wire::generate::Source;
use crate::wire::message::Message;

impl Subject for PoolElement<'_> {
    type State = (Option<Home>, bool);
    const SPEAKS_ENRP: bool = false;

    fn state(&self) -> Self::State {
        (self.home(), self.is_empty())
    }
}

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
        let _ = result.map_err(|error| error.to_string());
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

pub fn ops(data: &[u8]) {
    let Some((&[kind, flags], rest)) = data.split_first_chunk() else { return };
    if kind & 1 == 1 {
        run(PoolElement::growable(LIMITS, config(flags), 3, Instant::ZERO), rest);
    } else {
        let mut storage = Box::new(ElementStorage::<2, 5, 2, 4>::new());
        run(PoolElement::new(&mut storage, config(flags), 3, Instant::ZERO), rest);
    }
}

fn run(machine: PoolElement<'_>, data: &[u8]) {
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
                            0 => EndpointKeepAlive {
                                adopt: source.flag(),
                                server: source.server_id(),
                                pool_handle,
                                id: Some(id),
                            }
                            .into(),
                            1 => DeregistrationResponse { pool_handle, id, error: None }.into(),
                            _ => RegistrationResponse { rejected: false, pool_handle, id, error: None }.into(),
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
            0xf0..0xf8 => announced(&mut world, source),
            0xf8..0xfc => last_words(&mut world, source),
            0xfc..=0xff => match (world.pick(source.u8()), registered.keys.last()) {
                (Some(assoc), Some((key, pool))) if assoc.ppid == Ppid::Asap => {
                    // Somebody else has the identifier.
                    let id = world.host.machine.id(*key).expect("only those are kept");
                    let pool_handle = PoolHandle::new(pool).expect("it was taken");
                    let causes = [cause::Cause::NonUniquePeId];
                    let error = Some(OperationError::new(&causes));
                    let refusal = RegistrationResponse { rejected: true, pool_handle, id, error };
                    match Message::Asap(refusal.into()).bytes() {
                        Some(bytes) => world.message(assoc, &bytes),
                        None => world.outcome(Cause::Other),
                    }
                }
                _ => world.outcome(Cause::Other),
            },
            _ => world.happen(source),
        };
        registered.check(&world, &outcome);
        answers.check(&world, &outcome);
    });
}
