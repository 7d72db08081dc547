//! Leaving a pool (RFC 5352, 3.2): on request, by expiry, and when the registrar does not answer.

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::asap::DeregistrationResponse;
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::{AsapMessage, Lifetime, OperationError};
use rserpool_core::{ElementEvent, ElementInfo, PeId, RegisterError, RegistrarEvent, RemovalReason};

/// 3.2, D1 to D3, and "if the PE is the last one of the named pool, the ENRP server will remove the pool".
#[test]
fn a_deregistered_element_is_gone_and_its_pool_with_the_last_one() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, key) = sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    sim.pe(pe, |pe, now| pe.deregister(now, key)).unwrap();
    sim.run_secs(1);
    assert!(sim.told_pe(pe, ElementEvent::Deregistered { element: key, id: PeId(5) }));
    let removed = RegistrarEvent::Removed { id: PeId(5), reason: RemovalReason::Deregistered };
    assert!(sim.told_pr(registrar, removed));
    assert_eq!(sim.pr(registrar).handlespace().pools(), 0);
    assert!(sim.pe(pe, |pe, _| pe.is_empty()));
    assert_eq!(sim.pe(pe, |pe, now| pe.deregister(now, key)), Err(RegisterError::UnknownElement));
    sim.run_secs(1_000);
    assert_eq!(sim.count(pe, REGISTRATION), 1);
}

/// 3.2, D4 and 7.1: T3 is 30 seconds; then the hunt, and the deregistration again.
#[test]
fn when_t3_expires_the_element_deregisters_at_another_registrar() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, key) = sim.registered(&info(b"echo"), &[registrar]);
    sim.nodes[registrar].deaf = true;
    let other = sim.registrar();
    sim.pe(pe, |pe, _| pe.add_server(rserpool_core::Link::Tcp, &[address_of(other)]));
    sim.pe(pe, |pe, now| pe.deregister(now, key)).unwrap();
    sim.run_secs(29);
    assert!(!sim.pe(pe, |pe, _| pe.is_empty()));
    sim.run_secs(2);
    assert!(sim.pe(pe, |pe, _| pe.is_empty()));
    assert_eq!(sim.count(other, DEREGISTRATION_RESPONSE), 1);
}

#[test]
fn a_deregistration_that_nobody_answers_ends_after_max_reg_attempt() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, key) = sim.registered(&info(b"echo"), &[registrar]);
    sim.nodes[registrar].deaf = true;
    sim.pe(pe, |pe, now| pe.deregister(now, key)).unwrap();
    assert!(sim.run_until(|s| s.count(s.nodes.len() - 1, DEREGISTRATION) == 3, Duration::from_secs(100)));
    sim.run_secs(31);
    assert!(sim.pe(pe, |pe, _| pe.is_empty()));
}

/// An application that shuts down must get an end, also where no registrar can be reached at all.
#[test]
fn a_deregistration_without_any_registrar_ends_as_well() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, key) = sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    sim.nodes[registrar].answer = Answer::Refuse;
    sim.lose_all_between(pe, registrar);
    sim.pe(pe, |pe, now| pe.deregister(now, key)).unwrap();
    let gone = ElementEvent::Deregistered { element: key, id: PeId(5) };
    assert!(sim.run_until(|s| s.told_pe(pe, gone), Duration::from_secs(100)));
}

#[test]
fn an_element_that_was_never_sent_to_a_registrar_leaves_at_once() {
    let mut sim = Sim::new(1);
    let pe = sim.element(&[]);
    let key = sim.register(pe, &info_with_id(b"echo", 5));
    sim.pe(pe, |pe, now| pe.deregister(now, key)).unwrap();
    assert!(sim.told_pe(pe, ElementEvent::Deregistered { element: key, id: PeId(5) }));
    assert!(sim.pe(pe, |pe, _| pe.is_empty()));
}

/// 2.2.2: an endpoint may not deregister another one's element.
#[test]
fn only_its_owner_deregisters_an_element() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    let stranger = sim.script();
    let (assoc, _) = sim.connect(stranger, registrar);
    sim.send(stranger, assoc, deregistration(b"echo", 5));
    sim.run_secs(1);
    assert_eq!(causes(&sim.received(stranger)[0].1), [(0xa, vec![])]);
    assert_eq!(sim.elements_at(registrar), 1);
    assert_eq!(sim.pr(registrar).stats().deregistrations_rejected, 1);
}

/// 3.2: "If the ENRP server fails to find any record of the PE in its handlespace, it SHOULD consider the
/// de-registration granted".
#[test]
fn the_deregistration_of_an_unknown_element_or_pool_is_granted() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    let stranger = sim.script();
    let (assoc, _) = sim.connect(stranger, registrar);
    for (pool, id) in [(&b"echo"[..], 6), (&b"other"[..], 5)] {
        sim.send(stranger, assoc, deregistration(pool, id));
        sim.run_secs(1);
        let received = sim.received(stranger);
        let AsapMessage::DeregistrationResponse(response) = AsapMessage::parse(&received[0].1).unwrap().message else {
            panic!("{received:?}");
        };
        assert_eq!((response.pool_handle, response.id, response.error), (handle(pool), PeId(id), None));
    }
    assert_eq!(sim.elements_at(registrar), 1);
}

/// 3.2: a registration that is not renewed expires, and "an ASAP_DEREGISTRATION_RESPONSE message is sent".
#[test]
fn a_registration_that_is_not_renewed_expires_and_the_element_is_told() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let pe = sim.script();
    let (assoc, _) = sim.connect(pe, registrar);
    let mut element = param(5, 7);
    element.lifetime = Lifetime::from_secs(20);
    sim.send(pe, assoc, registration(b"echo", element));
    sim.run_secs(19);
    assert_eq!(sim.elements_at(registrar), 1);
    sim.received(pe);
    sim.run_secs(2);
    assert_eq!(sim.elements_at(registrar), 0);
    assert!(sim.told_pr(registrar, RegistrarEvent::Removed { id: PeId(5), reason: RemovalReason::Expired }));
    assert_eq!(sim.received(pe)[0].1, bytes_of(left(b"echo", PeId(5))));
    assert_eq!(sim.pr(registrar).stats().expired, 1);
}

/// RFC 5354, 3.10: a lifetime of -1 is infinite.
#[test]
fn an_infinite_registration_does_not_expire() {
    let mut sim = Sim::new(1);
    let config = rserpool_core::RegistrarConfig { keep_alive_interval: Duration::MAX, ..Default::default() };
    let registrar = sim.registrar_with(config);
    let pe = sim.script();
    let (assoc, _) = sim.connect(pe, registrar);
    let mut element = param(5, 7);
    element.lifetime = Lifetime::INFINITE;
    sim.send(pe, assoc, registration(b"echo", element));
    sim.run_secs(400_000_000);
    assert_eq!(sim.elements_at(registrar), 1);
}

/// 3.2: the element that still wants to serve registers again when it is told that its registration is over.
#[test]
fn an_unsolicited_deregistration_response_is_answered_by_a_new_registration() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, key) = sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    // As if the registrar had let it expire.
    let assoc = sim.associations(pe)[0];
    let bytes = bytes_of(left(b"echo", PeId(5)));
    let input = rserpool_core::Input::Message { assoc, ppid: rserpool_core::Ppid::Asap, bytes: &bytes };
    sim.input(pe, input).unwrap();
    assert!(sim.told_pe(pe, ElementEvent::Expired(key)));
    assert!(!sim.pe(pe, |pe, _| pe.is_registered(key)));
    sim.run_secs(1);
    assert_eq!(sim.count(pe, REGISTRATION), 2);
    assert!(sim.pe(pe, |pe, _| pe.is_registered(key)));
}

/// 3.2: "If the de-registration is rejected, the ENRP server MUST indicate the rejection by including the proper
/// Operational Error parameter."
#[test]
fn a_rejected_deregistration_is_reported_and_can_be_asked_for_again() {
    let mut sim = Sim::new(1);
    let registrar = sim.script();
    let pe = sim.element(&[registrar]);
    let key = sim.register(pe, &info_with_id(b"echo", 5));
    sim.run_secs(1);
    let assoc = sim.associations(registrar)[0];
    sim.send(registrar, assoc, granted(b"echo", PeId(5)));
    sim.run_secs(1);
    sim.pe(pe, |pe, now| pe.deregister(now, key)).unwrap();
    let causes = [Cause::RejectedForSecurity];
    let error = Some(OperationError::new(&causes));
    sim.send(registrar, assoc, DeregistrationResponse { pool_handle: handle(b"echo"), id: PeId(5), error });
    sim.run_secs(1);
    assert!(sim.told_pe(pe, ElementEvent::Rejected { element: key, cause: 0xa }));
    // It is not to be there any more, and does not say that it is.
    sim.send(registrar, assoc, keep_alive(b"echo", Some(5), 9, false));
    sim.run_secs(100);
    assert_eq!(sim.count(pe, KEEP_ALIVE_ACK), 0);
    assert_eq!(sim.count(pe, DEREGISTRATION), 1);
    sim.pe(pe, |pe, now| pe.deregister(now, key)).unwrap();
    sim.send(registrar, assoc, left(b"echo", PeId(5)));
    sim.run_secs(1);
    assert!(sim.pe(pe, |pe, _| pe.is_empty()));
}

/// An answer that crosses the request for something else is not taken for its answer.
#[test]
fn a_late_registration_response_does_not_end_a_deregistration() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let pe = sim.element(&[registrar]);
    let key = sim.register(pe, &ElementInfo { id: Some(PeId(5)), ..info(b"echo") });
    sim.run_until(|s| s.count(pe, REGISTRATION) == 1, Duration::from_secs(1));
    sim.pe(pe, |pe, now| pe.deregister(now, key)).unwrap();
    sim.run_secs(1);
    assert!(sim.pe(pe, |pe, _| pe.is_empty()));
    assert!(!sim.told_pe(pe, ElementEvent::Registered(key)));
    assert_eq!(sim.elements_at(registrar), 0);
}
