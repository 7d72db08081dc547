//! What is unknown, malformed, unexpected or from nobody (RFC 5352, 2.2.14; RFC 5354, 3 and 4).

mod harness;

use harness::*;
use rserpool_core::wire::asap::{AsapError, BusinessCard, Cookie, CookieEcho, ServerAnnounce};
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::{List, OperationError};
use rserpool_core::{AssocId, ElementEvent, Input, PeId, Ppid, RecvError, ServerId};

/// One message of every type.
fn one_of_each() -> Vec<Vec<u8>> {
    let causes = [Cause::Unspecified];
    vec![
        bytes_of(registration(b"echo", param(9, 7))),
        bytes_of(deregistration(b"echo", 9)),
        bytes_of(granted(b"echo", PeId(5))),
        bytes_of(left(b"echo", PeId(5))),
        bytes_of(resolution(b"echo")),
        answer(b"echo", true, None, &[param(9, 7)]),
        bytes_of(keep_alive(b"nobody", None, 9, true)),
        bytes_of(ack(b"echo", 5)),
        bytes_of(unreachable(b"nobody", 5)),
        bytes_of(ServerAnnounce { server: ServerId(9), transports: List::empty() }),
        bytes_of(Cookie { cookie: b"c" }),
        bytes_of(CookieEcho { cookie: b"c" }),
        bytes_of(BusinessCard { pool_handle: handle(b"echo"), policy: None, elements: List::new(&[param(9, 7)]) }),
        bytes_of(AsapError { error: OperationError::new(&causes) }),
    ]
}

/// A resolution with one more parameter at its end.
fn with_parameter(ty: u16, value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut item = [ty.to_be_bytes(), (4 + value.len() as u16).to_be_bytes()].concat();
    item.extend_from_slice(value);
    let mut message = bytes_of(resolution(b"echo"));
    message.extend_from_slice(&item);
    let length = message.len() as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
    message.resize(message.len().next_multiple_of(4), 0);
    (message, item)
}

struct Net {
    sim: Sim,
    registrar: NodeId,
    pe: NodeId,
    pu: NodeId,
    script: NodeId,
}

fn net() -> Net {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, _) = sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    let pu = sim.user(&[registrar]);
    let script = sim.script();
    sim.run_secs(1);
    Net { sim, registrar, pe, pu, script }
}

/// RFC 5354, 3: the upper two bits of an unknown parameter's type: stop or skip, and whether to report.
#[test]
fn unknown_parameters_are_treated_by_the_upper_bits_of_their_type() {
    for (ty, answered, reported) in [(0x0123, 0, 0), (0x4123, 0, 1), (0x8123, 1, 0), (0xc123, 1, 1)] {
        let Net { mut sim, registrar, script, .. } = net();
        let (assoc, _) = sim.connect(script, registrar);
        let (message, item) = with_parameter(ty, b"odd");
        sim.send_bytes(script, assoc, &message);
        sim.run_secs(1);
        let received = sim.received(script);
        let of = |ty: u8| received.iter().filter(|(_, b)| b[0] == ty).collect::<Vec<_>>();
        assert_eq!((of(HANDLE_RESOLUTION_RESPONSE).len(), of(ERROR).len()), (answered, reported), "{ty:#06x}");
        for (_, bytes) in of(ERROR) {
            assert_eq!(causes(bytes), [(1, item.clone())], "the parameter as it came, without padding");
        }
        assert_eq!(sim.pr(registrar).stats().errors, reported as u64);
    }
}

/// RFC 5354, 4: message types with the upper bits 01 are reported, others are discarded.
#[test]
fn unknown_messages_are_reported_where_their_type_says_so() {
    for (ty, reported) in [(0x0f, false), (0x3f, false), (0x40, true), (0x7f, true), (0x80, false), (0xff, false)] {
        let Net { mut sim, registrar, script, pe, .. } = net();
        for to in [registrar, pe] {
            let (assoc, _) = sim.connect(script, to);
            sim.send_bytes(script, assoc, &[ty, 0, 0, 8, 1, 2, 3, 4]);
            sim.run_secs(1);
            let received = sim.received(script);
            if reported {
                assert_eq!(causes(&received[0].1), [(2, vec![ty, 0, 0, 8, 1, 2, 3, 4])]);
            } else {
                assert!(received.is_empty());
            }
        }
    }
}

/// 2.2.14: an error is not answered by an error, whatever is in it.
#[test]
fn an_error_message_is_never_answered() {
    let Net { mut sim, registrar, script, pe, .. } = net();
    let causes = [Cause::Unspecified];
    let good = bytes_of(AsapError { error: OperationError::new(&causes) });
    let mut unknown_inside = good.clone();
    unknown_inside.extend_from_slice(&[0xc1, 0x23, 0, 4]);
    unknown_inside[3] += 4;
    let mut stop_inside = good.clone();
    stop_inside.extend_from_slice(&[0x41, 0x23, 0, 4]);
    stop_inside[3] += 4;
    for bytes in [&good[..], &unknown_inside, &stop_inside, &[0x0e, 0, 0, 4], &[0x0e, 0, 0, 8, 0, 0xc, 0, 4]] {
        for to in [registrar, pe] {
            let (assoc, _) = sim.connect(script, to);
            sim.send_bytes(script, assoc, bytes);
            sim.run_secs(1);
            assert!(sim.received(script).is_empty(), "{bytes:?}");
        }
    }
    // Nor if it comes from the home.
    let home = sim.associations(pe)[0];
    let before = sim.trace.len();
    sim.input(pe, Input::Message { assoc: home, ppid: Ppid::Asap, bytes: &unknown_inside }).unwrap();
    assert_eq!(sim.trace.len(), before);
}

/// RFC 5354, 3.12.4: a known parameter with an invalid value is shown.
#[test]
fn an_invalid_parameter_is_reported_with_it() {
    let Net { mut sim, registrar, script, .. } = net();
    let (assoc, _) = sim.connect(script, registrar);
    // An empty pool handle.
    sim.send_bytes(script, assoc, &[5, 0, 0, 8, 0, 9, 0, 4]);
    sim.run_secs(1);
    assert_eq!(causes(&sim.received(script)[0].1), [(3, vec![0, 9, 0, 4])]);
    assert_eq!(sim.pr(registrar).stats().malformed, 1);
}

#[test]
fn malformed_bytes_are_counted_and_dropped() {
    let Net { mut sim, registrar, script, pe, .. } = net();
    for to in [registrar, pe] {
        let (assoc, _) = sim.connect(script, to);
        for bytes in [&[][..], &[5], &[5, 0, 0, 3], &[5, 0, 0, 200, 1], &[5, 0, 0, 8, 0, 9, 0, 3], &[1, 0, 0, 4]] {
            sim.send_bytes(script, assoc, bytes);
        }
        sim.run_secs(1);
        assert!(sim.received(script).is_empty());
    }
    assert_eq!(sim.pr(registrar).stats().malformed, 6);
    assert_eq!(sim.nodes[pe].errors.len(), 6);
}

/// Every message type, to every machine, from a peer that it is not for: nothing but counters changes.
#[test]
fn messages_from_strangers_change_nothing() {
    let Net { mut sim, pe, pu, script, registrar } = net();
    for to in [pe, pu] {
        let (assoc, _) = sim.connect(script, to);
        let (events, home) = (sim.nodes[to].events.len(), sim.home_of(to));
        for bytes in one_of_each() {
            sim.send_bytes(script, assoc, &bytes);
            sim.run_secs(1);
            assert_eq!(sim.nodes[to].events.len(), events, "message type {}", bytes[0]);
        }
        assert_eq!(sim.home_of(to), home);
        assert!(sim.received(script).is_empty());
        assert_eq!(sim.nodes[to].errors.len(), 14);
    }
    assert_eq!(sim.elements_at(registrar), 1);
}

/// What only a registrar sends is nothing to a registrar, and answers that nobody asked for are nothing to anyone.
#[test]
fn messages_for_another_role_are_ignored() {
    let Net { mut sim, registrar, script, pe, pu } = net();
    let (assoc, _) = sim.connect(script, registrar);
    for bytes in one_of_each() {
        if ![0x01, 0x02, 0x05].contains(&bytes[0]) {
            sim.send_bytes(script, assoc, &bytes);
        }
    }
    sim.run_secs(1);
    assert!(sim.received(script).is_empty());
    assert_eq!(sim.elements_at(registrar), 1);
    for to in [pe, pu] {
        let home = sim.associations(to)[0];
        let events = sim.nodes[to].events.len();
        for bytes in one_of_each() {
            // The deregistration response is one that a registrar may send unasked.
            if bytes[0] != DEREGISTRATION_RESPONSE {
                let _ = sim.input(to, Input::Message { assoc: home, ppid: Ppid::Asap, bytes: &bytes });
            }
        }
        assert_eq!(sim.nodes[to].events.len(), events);
    }
}

/// ENRP on an ASAP association, and ASAP messages that are no announcements on the channel.
#[test]
fn the_wrong_protocol_is_refused() {
    let Net { mut sim, registrar, pe, pu, script } = net();
    let from = sim.nodes[script].address;
    for n in [registrar, pe, pu] {
        let assoc = sim.associations(n)[0];
        let bytes = bytes_of(resolution(b"echo"));
        assert_eq!(sim.input(n, Input::Message { assoc, ppid: Ppid::Enrp, bytes: &bytes }), Err(RecvError::Unexpected));
        assert_eq!(sim.input(n, Input::Datagram { from, ppid: Ppid::Asap, bytes: &bytes }), Err(RecvError::Unexpected));
        let bytes = announce(9, &[]);
        assert_eq!(sim.input(n, Input::Datagram { from, ppid: Ppid::Enrp, bytes: &bytes }), Err(RecvError::Unexpected));
        let malformed = sim.input(n, Input::Datagram { from, ppid: Ppid::Asap, bytes: &[0x0a, 0, 0, 5] });
        assert!(matches!(malformed, Err(RecvError::Malformed(_))));
        sim.run_secs(1);
    }
    assert!(sim.trace.iter().all(|sent| sent.to.is_some() && sent.bytes[0] != ERROR));
}

/// An association is named by slot and generation: what comes late for an old one is inert.
#[test]
fn inputs_for_associations_that_are_gone_are_inert() {
    let Net { mut sim, registrar, pe, pu, .. } = net();
    for n in [registrar, pe, pu] {
        let (events, messages) = (sim.nodes[n].events.len(), sim.trace.len());
        for slot in [0, 1, 99] {
            let assoc = AssocId { slot, generation: 77 };
            sim.input(n, Input::Closed { assoc }).unwrap();
            sim.input(n, Input::SendFailed { assoc }).unwrap();
            for bytes in one_of_each() {
                sim.input(n, Input::Message { assoc, ppid: Ppid::Asap, bytes: &bytes }).unwrap_err();
            }
        }
        sim.input(n, Input::ConnectFailed { dial: rserpool_core::DialId(77) }).unwrap();
        assert_eq!((sim.nodes[n].events.len(), sim.trace.len()), (events, messages));
    }
    assert_eq!(sim.elements_at(registrar), 1);
}

/// The association may go at any point of a registration; each time the element ends up registered, once.
#[test]
fn an_association_may_close_in_every_state() {
    for micros in (0..120_000).step_by(1_700) {
        let mut sim = Sim::new(micros);
        let registrar = sim.registrar();
        let pe = sim.element(&[registrar]);
        let key = sim.register(pe, &info_with_id(b"echo", 5));
        let pu = sim.user(&[registrar]);
        let (pool, _) = sim.pu(pu, |pu, now| pu.subscribe(now, b"echo")).unwrap();
        sim.run_for(std::time::Duration::from_micros(micros));
        sim.lose_all_between(pe, registrar);
        sim.lose_all_between(pu, registrar);
        sim.run_secs(60);
        assert!(sim.pe(pe, |pe, _| pe.is_registered(key)));
        assert!(sim.told_pe(pe, ElementEvent::Registered(key)));
        assert_eq!(sim.elements_at(registrar), 1);
        assert_eq!(sim.pu(pu, |pu, _| pu.elements(pool).count()), 1);
        assert_eq!(sim.pr(registrar).subscriptions(), 1);
    }
}
