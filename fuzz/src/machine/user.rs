//! A pool user under any sequence of inputs and calls, in fixed and in growable storage.

use rserpool_core::wire::PoolHandle;
use rserpool_core::wire::asap::HandleResolutionResponse;
use rserpool_core::{Home, Instant, PoolUser, Unresolved, UserEvent, UserStorage};

use super::endpoint::{Answers, Endpoint, LIMITS, announced, at_home, config, configured, id, last_words, speak};
use super::host::Subject;
use super::world::{Cause, World, each_op};
use crate::wire::generate::POOLS;
use crate::wire::message::Message;

/// What the user knows of each pool: whether it waits for an answer, what came last, and the elements.
type Known = (bool, Option<Result<(), Unresolved>>, Option<u32>, Vec<u32>);

impl Subject for PoolUser<'_> {
    type State = (Option<Home>, Vec<Option<Known>>);
    const SPEAKS_ENRP: bool = false;

    fn state(&self) -> Self::State {
        let known = |pool: &[u8]| {
            let at = self.find(pool)?;
            Some((self.is_pending(at), self.answer(at), self.policy_type(at), Endpoint::elements(self, at)))
        };
        (self.home(), POOLS.into_iter().map(known).collect())
    }
}

pub fn ops(data: &[u8]) {
    let Some((&[kind, flags], rest)) = data.split_first_chunk() else { return };
    if kind & 1 == 1 {
        run(PoolUser::growable(LIMITS, config(flags), 3, Instant::ZERO), rest);
    } else {
        let mut storage = Box::new(UserStorage::<2, 4, 5>::new());
        run(PoolUser::new(&mut storage, config(flags), 3, Instant::ZERO), rest);
    }
}

fn run(machine: PoolUser<'_>, data: &[u8]) {
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
                match resolved {
                    Ok((at, _)) => {
                        let machine = &world.host.machine;
                        assert_eq!(machine.pool_handle(at), Some(pool.as_bytes()));
                        assert_eq!(machine.find(pool.as_bytes()), Some(at));
                        answers.resolved(at, pool.as_bytes());
                    }
                    Err(error) => drop(error.to_string()),
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
            0xf0..0xf8 => announced(&mut world, source),
            0xf8..=0xff => last_words(&mut world, source),
            _ => world.happen(source),
        };
        for event in &outcome.events {
            if let UserEvent::Unresolved(_, why) = event {
                let _ = why.to_string();
            }
        }
        answers.check(&world, &outcome);
    });
}
