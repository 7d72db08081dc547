//! Identifiers of others.

use rserpool_core::ServerId;
use rserpool_core::wire::asap::EndpointKeepAliveAck;
use rserpool_core::wire::enrp::{HandleUpdate, InitTakeover, TakeoverServer, UpdateAction};
use rserpool_core::wire::{PoolElementParam, Transport};

use super::corpus::{GHOST, POOL, emit_enrp, presence};
use super::stage::{FAR, GOOD, Outcome, Setup, Stage};
use super::volley;
use crate::scene::{at, deregistration, element, emit, handle, registration, response, unreachable};

pub(super) fn of_an_element() -> Outcome {
    const TIMES: usize = 1000;
    Stage::start(&Setup::default()).endures(|stage| {
        let pool = GOOD.as_bytes();
        let mut peer = stage.asap();
        let elsewhere = PoolElementParam { user_transport: Transport::Tcp(at(10)), ..element(stage.id.0) };
        for _ in 0..TIMES {
            // Somebody else's; or too many of them.
            for question in [registration(pool, elsewhere), deregistration(pool, stage.id.0)] {
                let answer = response(&peer.ask(&question));
                assert!(matches!(answer, (false, Some(0x4 | 0xa | 0x6))), "{answer:?}");
            }
            peer.send(&emit(EndpointKeepAliveAck { pool_handle: handle(pool), id: stage.id }));
        }
        for _ in 0..TIMES {
            peer.send(&unreachable(pool, stage.id.0));
        }
        peer.is_served_without_an_answer_before();
        format!(
            "{TIMES} registrations with its identifier, {TIMES} deregistrations, {TIMES} acknowledgements, {TIMES} reports"
        )
    })
}

/// An element that comes back says nothing else than these.
pub(super) fn exactly_as_an_element() -> Outcome {
    const TIMES: usize = 300;
    Stage::start(&Setup::default()).endures(|stage| {
        let pool = GOOD.as_bytes();
        let exactly = PoolElementParam { user_transport: Transport::Tcp(at(7)), ..element(stage.id.0) };
        let mut stay = Vec::new();
        for n in 0..TIMES {
            let mut peer = stage.asap();
            assert_eq!(response(&peer.ask(&registration(pool, exactly))), (true, None));
            match n % 3 {
                // Leaves, answers for it and leaves, or stays until the end.
                0 => {
                    peer.ask(&deregistration(pool, stage.id.0));
                }
                1 => peer.send(&emit(EndpointKeepAliveAck { pool_handle: handle(pool), id: stage.id })),
                _ => stay.push(peer),
            }
        }
        format!("{TIMES} connections on which its registration is repeated; {} stayed until the end", stay.len())
    })
}

pub(super) fn of_a_registrar() -> Outcome {
    const TIMES: usize = 300;
    Stage::start(&Setup::peered()).endures(|stage| {
        let (far, own) = (stage.far_id(), ServerId(stage.status().id));
        let foreign = {
            let mut element = element(stage.id.0);
            element.home = far;
            element
        };
        for _ in 0..TIMES {
            // Its name on another association, and in this name an element of others is removed.
            let delete = |pool: &str| {
                emit_enrp(
                    far,
                    HandleUpdate {
                        takeover_suggested: false,
                        action: UpdateAction::Delete,
                        pool_handle: handle(pool.as_bytes()),
                        element: foreign,
                    },
                )
            };
            let messages = [presence(far, true, 7), delete(GOOD), delete(FAR)];
            volley::over(stage.enrp(), messages.into_iter());
            // The name of the registrar itself.
            volley::over(stage.enrp(), std::iter::once(presence(own, true, 7)));
        }
        format!("{TIMES} connections with its name, {TIMES} with the attacked one's own")
    })
}

pub(super) fn takeover_of_the_living() -> Outcome {
    const TIMES: usize = 200;
    Stage::start(&Setup::peered()).endures(|stage| {
        let (far, own) = (stage.far_id(), ServerId(stage.status().id));
        for _ in 0..TIMES {
            let messages = [
                presence(GHOST, false, 0xffff),
                emit_enrp(GHOST, InitTakeover { target: own }),
                emit_enrp(GHOST, TakeoverServer { target: own }),
                emit_enrp(GHOST, InitTakeover { target: far }),
                emit_enrp(GHOST, TakeoverServer { target: far }),
            ];
            volley::over(stage.enrp(), messages.into_iter());
        }
        format!("{TIMES} takeovers of the attacked one, {TIMES} of its peer")
    })
}

pub(super) fn of_foreign_elements() -> Outcome {
    const TIMES: u32 = 2000;
    Stage::start(&Setup::peered()).endures(|stage| {
        let update = |action, pool: &[u8], id: u32| {
            let mut element = element(id);
            element.home = GHOST;
            emit_enrp(GHOST, HandleUpdate { takeover_suggested: true, action, pool_handle: handle(pool), element })
        };
        let messages = (1..=TIMES).flat_map(|n| {
            [
                // The good element, which has another home, is not the ghost's to remove.
                update(UpdateAction::Delete, GOOD.as_bytes(), stage.id.0),
                update(UpdateAction::Add, POOL, n % 100 + 1),
                update(UpdateAction::Delete, POOL, n % 100 + 1),
            ]
        });
        volley::over(stage.enrp(), messages);
        format!("{} updates", 3 * TIMES)
    })
}
