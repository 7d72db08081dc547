//! ENRP messages that are not understood (RFC 5353, 3.7): reports, and what is not reported.

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::enrp::{EnrpError, ListRequest};
use rserpool_core::wire::{EnrpBody, EnrpMessage, OperationError};
use rserpool_core::{PeerState, RecvError, ServerId};

const REGISTRAR: u32 = 0x100;
const UNRECOGNIZED_PARAMETER: u16 = 1;
const UNRECOGNIZED_MESSAGE: u16 = 2;

fn world() -> (Sim, NodeId, Peer) {
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar(&[]);
    let peer = sim.enrp_peer(registrar, 5);
    (sim, registrar, peer)
}

/// An ENRP message with these bytes after the identifiers.
fn raw(message_type: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![message_type, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0];
    bytes.extend_from_slice(rest);
    let len = bytes.len() as u16;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    bytes
}

/// What is reported: the causes and their data.
fn reports(sim: &mut Sim, peer: Peer, bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    sim.hears(peer);
    sim.send_bytes(peer.node, peer.assoc, bytes);
    sim.run_for(Duration::from_millis(25));
    let heard = sim.hears_of(peer, ty::ERROR);
    let mut all = Vec::new();
    for bytes in &heard {
        let message = EnrpMessage::parse(bytes).unwrap().message;
        assert_eq!((message.sender, message.receiver), (ServerId(REGISTRAR), ServerId(5)));
        let EnrpBody::Error(error) = message.body else { panic!() };
        all.extend(error.error.causes().map(|c| (c.code(), c.data().to_vec())));
    }
    all
}

#[test]
fn an_unknown_message_is_reported_if_its_type_says_so() {
    for (message_type, reported) in [(0x0b, false), (0x4b, true), (0x8b, false), (0xcb, false)] {
        let (mut sim, registrar, peer) = world();
        let bytes = raw(message_type, &[]);
        let expected = if reported { vec![(UNRECOGNIZED_MESSAGE, bytes.clone())] } else { Vec::new() };
        assert_eq!(reports(&mut sim, peer, &bytes), expected, "{message_type:#x}");
        assert!(matches!(sim.nodes[registrar].errors.last(), Some(RecvError::Malformed(_))));
    }
}

#[test]
fn an_unknown_parameter_is_skipped_or_stops_and_is_reported_as_its_type_says() {
    for (ty_high, stops, reported) in
        [(0x00, true, false), (0x40, true, true), (0x80, false, false), (0xc0, false, true)]
    {
        let (mut sim, registrar, peer) = world();
        let unknown = [ty_high, 0x77, 0, 4];
        // A list request, which would be answered.
        let bytes = raw(ty::LIST_REQUEST, &unknown);
        let causes = reports(&mut sim, peer, &bytes);
        let expected = if reported { vec![(UNRECOGNIZED_PARAMETER, unknown.to_vec())] } else { Vec::new() };
        assert_eq!(causes, expected, "{ty_high:#x}");
        let answers = sim.enrp_sent(registrar, ty::LIST_RESPONSE).len();
        assert_eq!(answers, usize::from(!stops), "{ty_high:#x}");
    }
}

#[test]
fn an_error_is_never_answered_with_an_error() {
    let (mut sim, registrar, peer) = world();
    let causes = [Cause::new(UNRECOGNIZED_MESSAGE, &[1, 2, 3, 4])];
    let error = EnrpError { error: OperationError::new(&causes) };
    let good = enrp_bytes(5, 0, error);
    // One that is damaged, one with an unknown parameter that wants a report.
    let unknown = raw(ty::ERROR, &[0xc0, 0x77, 0, 4]);
    let mut with_unknown = good.clone();
    with_unknown.extend_from_slice(&[0xc0, 0x77, 0, 4]);
    let len = with_unknown.len() as u16;
    with_unknown[2..4].copy_from_slice(&len.to_be_bytes());
    for bytes in [good, unknown, with_unknown, raw(ty::ERROR, &[])] {
        assert_eq!(reports(&mut sim, peer, &bytes), []);
    }
    assert_eq!(sim.peer_state(registrar, 5), Some(PeerState::Active));
}

#[test]
fn two_registrars_do_not_send_errors_to_and_fro() {
    let mut sim = Sim::new(1);
    let [a, b] = sim.cluster::<2>(&rserpool_core::RegistrarConfig::new());
    let (assoc, at_b) = sim
        .associations(a)
        .into_iter()
        .find_map(|assoc| sim.other_end(a, assoc).map(|(_, other)| (assoc, other)))
        .unwrap();
    assert_eq!(sim.other_end(b, at_b), Some((a, assoc)));
    let mut bytes = raw(0x4b, &[]);
    bytes[4..8].copy_from_slice(&sim.id_of(a).to_be_bytes());
    sim.send_bytes(a, assoc, &bytes);
    sim.run_secs(20);
    assert_eq!(sim.enrp_sent(b, ty::ERROR).len(), 1);
    assert_eq!(sim.enrp_sent(a, ty::ERROR).len(), 0);
    assert_eq!((sim.active_peers(a), sim.active_peers(b)), (1, 1));
}

/// All kinds of messages, each with something in it.
fn messages() -> Vec<Vec<u8>> {
    let causes = [Cause::new(9, &[1, 2, 3, 4])];
    let table = {
        let elements = [owned(5, 1, 7), owned(5, 2, 7)];
        let entry = rserpool_core::wire::enrp::HandleTableEntry {
            pool_handle: handle(b"pool"),
            elements: rserpool_core::wire::List::new(&elements),
        };
        enrp_bytes(
            5,
            0,
            rserpool_core::wire::enrp::HandleTableResponse {
                more: false,
                rejected: false,
                entries: rserpool_core::wire::enrp::PoolEntries::new(&[entry]),
            },
        )
    };
    let servers = [information(8, 3)];
    vec![
        enrp_bytes(5, 0, introduction(5, 1, true)),
        enrp_bytes(5, 0, table_request(true)),
        table,
        enrp_bytes(5, 0, add(b"pool", owned(5, 1, 7))),
        enrp_bytes(5, 0, delete(b"pool", owned(5, 1, 7))),
        enrp_bytes(5, 0, ListRequest),
        enrp_bytes(
            5,
            0,
            rserpool_core::wire::enrp::ListResponse {
                rejected: false,
                servers: rserpool_core::wire::List::new(&servers),
            },
        ),
        enrp_bytes(5, 0, init_takeover(9)),
        enrp_bytes(5, 0, init_takeover_ack(9)),
        enrp_bytes(5, 0, takeover_server(9)),
        enrp_bytes(5, 0, EnrpError { error: OperationError::new(&causes) }),
    ]
}

#[test]
fn a_message_that_is_cut_off_anywhere_is_refused_and_does_nothing() {
    for whole in messages() {
        for len in 0..whole.len() {
            let (mut sim, registrar, peer) = world();
            let before = sim.space(registrar);
            sim.send_bytes(peer.node, peer.assoc, &whole[..len]);
            sim.run_for(Duration::from_millis(25));
            assert!(matches!(sim.nodes[registrar].errors.last(), Some(RecvError::Malformed(_))), "{len} of {whole:x?}");
            assert_eq!(sim.space(registrar), before);
            assert_eq!(sim.peer_state(registrar, 5), Some(PeerState::Active), "and the peer stays");
        }
    }
}

#[test]
fn a_message_with_a_damaged_byte_does_no_harm() {
    for whole in messages() {
        let (mut sim, registrar, mut peer) = world();
        for at in 0..whole.len() {
            for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                sim.send_bytes(peer.node, peer.assoc, &bytes);
                sim.run_for(Duration::from_millis(15));
                // The association may be closed; what matters is that it goes on.
                if sim.other_end(peer.node, peer.assoc).is_none() {
                    peer.assoc = sim.connect_enrp(peer.node, registrar).0;
                    sim.tell(peer, introduction(peer.id, peer.node, true));
                    assert_eq!(sim.peer_state(registrar, peer.id), Some(PeerState::Active));
                }
            }
        }
        sim.run_secs(1);
        assert!(sim.pr(registrar).peers().count() <= 7);
    }
}

#[test]
fn a_malformed_message_from_somebody_who_has_not_spoken_makes_no_peer() {
    let (mut sim, registrar, _) = world();
    let node = sim.script();
    let (assoc, _) = sim.connect_enrp(node, registrar);
    sim.send_bytes(node, assoc, &raw(ty::UPDATE, &[0, 0, 0, 0]));
    sim.run_for(Duration::from_millis(25));
    assert_eq!(sim.pr(registrar).peers().count(), 1);
    assert_eq!(sim.pr(registrar).stats().malformed, 1);
}
