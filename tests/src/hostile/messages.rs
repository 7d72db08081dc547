//! Messages that are not as they should be.

use rserpool_core::wire::List;
use rserpool_core::wire::asap::{DeregistrationResponse, EndpointKeepAliveAck, RegistrationResponse};
use rserpool_core::wire::enrp::{HandleTableRequest, InitTakeoverAck, ListResponse};
use rserpool_core::{PeId, ServerId};

use super::corpus::{self, GHOST, POOL, answer, emit_enrp, emit_enrp_to, page, presence};
use super::stage::{GOOD, Outcome, Setup, Stage};
use super::{mutate, volley};
use crate::scene::{Peer, deregistration, element, emit, handle, registration, unreachable};

/// How often each is done, so that it lasts long enough for the good user to ask some times.
const ROUNDS: usize = 20;

/// Each message with the port that it is for.
fn all(stage: &Stage) -> Vec<(std::net::SocketAddr, Vec<u8>)> {
    let asap = corpus::asap().into_iter().map(|message| (stage.asap, message));
    let enrp = corpus::enrp(GHOST).into_iter().map(|message| (stage.enrp, message));
    asap.chain(enrp).collect()
}

/// Sends what is made of each message, over a connection for each.
fn mutated(mutate: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> Outcome {
    Stage::start(&Setup::peered()).endures(|stage| {
        let (mut sent, mut answers) = (0, 0);
        let messages = all(stage);
        for (to, message) in &messages {
            let changed = mutate(message);
            let len = ROUNDS * changed.len();
            sent += len;
            answers += volley::over(Peer::connect(*to), changed.into_iter().cycle().take(len));
        }
        let malformed = stage.counted("malformed messages");
        assert!(malformed > 0);
        format!("{} messages, {sent} changes, {answers} answers, {malformed} malformed", messages.len())
    })
}

pub(super) fn truncated() -> Outcome {
    mutated(mutate::truncated)
}

pub(super) fn extremes() -> Outcome {
    mutated(mutate::extremes)
}

pub(super) fn flags() -> Outcome {
    Stage::start(&Setup::peered()).endures(|stage| {
        let mut sent = 0;
        for (to, message) in all(stage) {
            let changed = mutate::flags(&message);
            let len = 10 * ROUNDS * changed.len();
            sent += len;
            volley::over(Peer::connect(to), changed.into_iter().cycle().take(len));
        }
        format!("{sent} messages")
    })
}

pub(super) fn broken_off() -> Outcome {
    Stage::start(&Setup::peered()).endures(|stage| {
        let mut connections = 0;
        for (to, message) in all(stage) {
            for len in 1..message.len() {
                volley::over(Peer::connect(to), std::iter::once(message[..len].to_vec()));
                connections += 1;
            }
        }
        format!("{connections} connections")
    })
}

pub(super) fn wrong_port() -> Outcome {
    Stage::start(&Setup::peered()).endures(|stage| {
        let (asap, enrp) = (corpus::asap(), corpus::enrp(GHOST));
        let sent = 1000 * (asap.len() + enrp.len());
        volley::over(stage.enrp(), asap.into_iter().cycle().take(sent / 2));
        volley::over(stage.asap(), enrp.into_iter().cycle().take(sent / 2));
        format!("{sent} messages")
    })
}

pub(super) fn wrong_order() -> Outcome {
    Stage::start(&Setup::peered()).endures(|stage| {
        // Each pair in both orders: an end before a beginning, an acknowledgement before the question, a second beginning.
        let mut pairs = 0;
        for (to, messages) in [(stage.asap, corpus::asap()), (stage.enrp, corpus::enrp(GHOST))] {
            for first in &messages {
                let batch: Vec<_> =
                    messages.iter().flat_map(|second| [first.clone(), second.clone(), first.clone()]).collect();
                pairs += messages.len();
                let len = ROUNDS * batch.len();
                volley::over(Peer::connect(to), batch.into_iter().cycle().take(len));
            }
        }
        format!("{pairs} pairs, {ROUNDS} times each")
    })
}

pub(super) fn never_asked_for() -> Outcome {
    const TIMES: usize = 2000;
    Stage::start(&Setup::peered()).endures(|stage| {
        let unexpected = stage.counted("unexpected messages");
        let (pool_handle, id) = (handle(GOOD.as_bytes()), stage.id);
        let asap = [
            emit(RegistrationResponse { rejected: false, pool_handle, id, error: None }),
            emit(DeregistrationResponse { pool_handle, id, error: None }),
            answer(GOOD.as_bytes(), &[element(1)]),
            emit(EndpointKeepAliveAck { pool_handle: handle(POOL), id: PeId(1) }),
        ];
        let far = stage.far_id();
        let enrp = [
            page(GHOST, true, 1),
            emit_enrp(GHOST, ListResponse { rejected: false, servers: List::empty() }),
            emit_enrp(GHOST, InitTakeoverAck { target: far }),
        ];
        volley::over(stage.asap(), asap.into_iter().cycle().take(TIMES));
        // What announces the ghost has a request for its table as an answer, to which it does not answer.
        volley::over(stage.enrp(), enrp.into_iter().cycle().take(TIMES));
        let unexpected = stage.counted("unexpected messages") - unexpected;
        assert!(unexpected > TIMES as u64, "{unexpected}");
        format!("{} messages, {unexpected} passed over", 2 * TIMES)
    })
}

pub(super) fn for_somebody_else() -> Outcome {
    const TIMES: usize = 2000;
    Stage::start(&Setup::peered()).endures(|stage| {
        let ack = emit(EndpointKeepAliveAck { pool_handle: handle(GOOD.as_bytes()), id: stage.id });
        volley::over(stage.asap(), std::iter::repeat_n(ack, TIMES));
        // To registrars that are not this one.
        let elsewhere = [ServerId(1), stage.far_id(), ServerId(u32::MAX)];
        let messages =
            elsewhere.map(|receiver| emit_enrp_to(GHOST, receiver, HandleTableRequest { own_children_only: true }));
        let answers = volley::over(stage.enrp(), messages.into_iter().cycle().take(TIMES));
        format!("{} messages, {answers} answers", 2 * TIMES)
    })
}

pub(super) fn everything_at_once() -> Outcome {
    Stage::start(&Setup::peered()).endures(|stage| {
        // One pool, registered in, asked for, reported and left by connections that do not know of each other.
        let answers = volley::from_many(stage.asap, 8, |n| {
            let id = n % 4 + 1;
            let round = [registration(POOL, element(id)), unreachable(POOL, id % 4 + 1), deregistration(POOL, id)];
            round.into_iter().cycle().take(6000)
        });
        let sound = presence(GHOST, false, 0xffff);
        volley::over(stage.enrp(), std::iter::once(sound));
        format!("48000 messages from 8 connections, {answers} answers")
    })
}
