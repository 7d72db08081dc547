//! Registration and deregistration by a pool element (RFC 5352, 3.1 and 3.2; timers of 7.1). The registrar is a script
//! where its answers matter.

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::asap::RegistrationResponse;
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::{AsapMessage, Lifetime, OperationError, Policy, Transport};
use rserpool_core::{ElementEvent, ElementInfo, ElementKey, Input, Machine, PeId, Ppid, RegisterError};

/// A pool element whose home is a script; and the script's association with it.
fn with_script(sim: &mut Sim) -> (NodeId, NodeId, rserpool_core::AssocId) {
    let registrar = sim.script();
    let pe = sim.element(&[registrar]);
    assert!(sim.run_until(|s| !s.is_homeless(pe), Duration::from_secs(1)));
    (registrar, pe, sim.associations(registrar)[0])
}

fn last_registration(sim: &Sim, pe: NodeId) -> rserpool_core::wire::asap::Registration<'_> {
    match sim.sent(pe, REGISTRATION).last().unwrap().message() {
        AsapMessage::Registration(message) => message,
        other => panic!("{other:?}"),
    }
}

fn id_of(sim: &mut Sim, pe: NodeId, key: ElementKey) -> PeId {
    sim.pe(pe, |pe, _| pe.id(key)).unwrap()
}

/// 3.1, R2 and R3.
#[test]
fn a_registration_carries_handle_random_identifier_lifetime_transport_and_policy() {
    let mut sim = Sim::new(1);
    let (_, pe, _) = with_script(&mut sim);
    let wanted = ElementInfo { policy: Policy::LeastUsed { load: 5 }, ..info(b"echo") };
    let key = sim.register(pe, &wanted);
    let id = id_of(&mut sim, pe, key);
    let message = last_registration(&sim, pe);
    assert_eq!(message.pool_handle.as_bytes(), b"echo");
    assert_eq!(message.element.id, id);
    assert_ne!(id, PeId(0));
    assert_eq!(message.element.lifetime, Lifetime::from_secs(300));
    assert_eq!(message.element.user_transport, service(7));
    assert_eq!(message.element.policy, Policy::LeastUsed { load: 5 });
    assert_eq!(message.element.asap_transport, None, "the registrar fills it in");
    let other = sim.register(pe, &info(b"echo"));
    assert_ne!(id_of(&mut sim, pe, other), id);
}

/// 3.1: "If the PE has not established its Home ENRP server, it MUST follow the procedures specified in Section 3.6."
#[test]
fn an_element_without_a_home_registers_as_soon_as_it_has_one() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, key) = sim.registered(&info(b"echo"), &[registrar]);
    assert_eq!(sim.home_of(pe), Some(registrar));
    assert!(sim.pe(pe, |pe, _| pe.is_registered(key)));
    assert_eq!(sim.elements_at(registrar), 1);
}

/// 3.1, R4 and 7.1: T2 is 30 seconds; "the PE shall start the Server Hunt procedure ... After establishing a new Home
/// ENRP server, the PE SHOULD restart the registration procedure."
#[test]
fn when_t2_expires_the_element_hunts_and_registers_at_another_registrar() {
    let mut sim = Sim::new(1);
    let (deaf, pe, _) = with_script(&mut sim);
    let other = sim.registrar();
    let key = sim.register(pe, &info(b"echo"));
    sim.pe(pe, |pe, _| pe.add_server(rserpool_core::Link::Tcp, &[address_of(other)]));
    sim.run_secs(29);
    assert_eq!(sim.home_of(pe), Some(deaf));
    assert!(sim.run_until(|s| s.told_pe(pe, ElementEvent::Registered(key)), Duration::from_secs(2)));
    assert_eq!(sim.home_of(pe), Some(other));
    assert!(sim.told_pe(pe, ElementEvent::HomeLost));
}

/// 3.1 and 3.6: "a different ENRP server", although the one that does not answer is still accepting.
#[test]
fn the_registrar_that_did_not_answer_is_not_the_first_to_be_tried_again() {
    for seed in 0..10 {
        let mut sim = Sim::new(seed);
        let deaf = sim.script();
        let other = sim.registrar();
        sim.nodes[other].answer = Answer::Refuse;
        let pe = sim.element(&[deaf, other]);
        let key = sim.register(pe, &info(b"echo"));
        sim.run_secs(20);
        sim.nodes[other].answer = Answer::Accept;
        assert!(sim.run_until(|s| s.told_pe(pe, ElementEvent::Registered(key)), Duration::from_secs(25)));
        assert_eq!(sim.home_of(pe), Some(other));
    }
}

/// 3.1: "If repeated registration timeouts or failures occurs and the local count exceeds the Threshold
/// 'MAX-REG-ATTEMPT', the implementation SHOULD report the error to its upper layer and stop".
#[test]
fn more_than_max_reg_attempt_timeouts_are_reported_and_end_the_attempts() {
    let mut sim = Sim::new(1);
    let (_, pe, _) = with_script(&mut sim);
    let key = sim.register(pe, &info(b"echo"));
    assert!(sim.run_until(|s| s.told_pe(pe, ElementEvent::NoAnswer(key)), Duration::from_secs(200)));
    assert_eq!(sim.count(pe, REGISTRATION), 3);
    sim.run_secs(1_000);
    assert_eq!(sim.count(pe, REGISTRATION), 3);
    sim.pe(pe, |pe, now| pe.reregister(now, key)).unwrap();
    sim.run_secs(20);
    assert_eq!(sim.count(pe, REGISTRATION), 4);
}

/// 3.1: the count begins at zero again with each registration that is granted.
#[test]
fn attempts_are_counted_anew_after_a_success() {
    let mut sim = Sim::new(1);
    let (registrar, pe, _) = with_script(&mut sim);
    let key = sim.register(pe, &info_with_id(b"echo", 5));
    assert!(sim.run_until(|s| s.count(pe, REGISTRATION) == 3, Duration::from_secs(100)));
    let assoc = sim.associations(registrar)[0];
    sim.send(registrar, assoc, granted(b"echo", PeId(5)));
    sim.run_secs(1);
    assert!(sim.told_pe(pe, ElementEvent::Registered(key)));
    assert!(sim.run_until(|s| s.told_pe(pe, ElementEvent::NoAnswer(key)), Duration::from_secs(500)));
    assert_eq!(sim.count(pe, REGISTRATION), 6);
}

/// The same, for each element of an endpoint: one registrar that does not answer fails all of them.
#[test]
fn every_element_of_an_endpoint_counts_its_own_unanswered_attempts() {
    let mut sim = Sim::new(1);
    let (_, pe, _) = with_script(&mut sim);
    let keys: Vec<_> = (1..=3).map(|id| sim.register(pe, &info_with_id(b"echo", id))).collect();
    sim.run_secs(150);
    for key in keys {
        assert!(sim.told_pe(pe, ElementEvent::NoAnswer(key)));
    }
    assert_eq!(sim.count(pe, REGISTRATION), 9);
}

/// 3.1 and 3.7.1: a SEND.FAILURE starts the hunt; the message is made anew for the next home.
#[test]
fn a_send_failure_leads_to_a_hunt_and_a_new_registration() {
    let mut sim = Sim::new(1);
    let (first, pe, _) = with_script(&mut sim);
    let key = sim.register(pe, &info(b"echo"));
    let other = sim.registrar();
    sim.pe(pe, |pe, _| pe.add_server(rserpool_core::Link::Tcp, &[address_of(other)]));
    let assoc = sim.associations(pe)[0];
    sim.input(pe, rserpool_core::Input::SendFailed { assoc }).unwrap();
    assert!(sim.run_until(|s| s.told_pe(pe, ElementEvent::Registered(key)), Duration::from_secs(1)));
    assert_ne!(sim.home_of(pe), Some(first));
}

/// 3.1: "The PE MUST NOT re-attempt registration without correcting the error condition."
#[test]
fn a_rejected_registration_is_reported_with_its_cause_and_not_repeated() {
    let causes = [Cause::Unspecified, Cause::InconsistentPolicy(&[]), Cause::LackOfResources, Cause::NonUniquePeId];
    for cause in causes {
        let mut sim = Sim::new(1);
        let (registrar, pe, assoc) = with_script(&mut sim);
        let key = sim.register(pe, &info_with_id(b"echo", 5));
        sim.send_bytes(registrar, assoc, &refused(b"echo", PeId(5), &[cause]));
        sim.run_secs(2_000);
        assert!(sim.told_pe(pe, ElementEvent::Rejected { element: key, cause: cause.code() }));
        assert_eq!(sim.count(pe, REGISTRATION), 1);
        assert!(!sim.pe(pe, |pe, _| pe.is_registered(key)));
        // With another policy it is another registration.
        sim.pe(pe, |pe, now| pe.set_policy(now, key, Policy::Random)).unwrap();
        assert_eq!(last_registration(&sim, pe).element.policy, Policy::Random);
    }
}

/// 3.1 and RFC 5354, 3.12.5: an identifier chosen at random is corrected by choosing another one.
#[test]
fn a_random_identifier_that_is_taken_is_replaced() {
    let mut sim = Sim::new(1);
    let (registrar, pe, assoc) = with_script(&mut sim);
    let key = sim.register(pe, &info(b"echo"));
    let first = id_of(&mut sim, pe, key);
    sim.send_bytes(registrar, assoc, &refused(b"echo", first, &[Cause::NonUniquePeId]));
    sim.run_secs(1);
    let second = id_of(&mut sim, pe, key);
    assert_ne!(first, second);
    assert_eq!(last_registration(&sim, pe).element.id, second);
    sim.send(registrar, assoc, granted(b"echo", second));
    sim.run_secs(1);
    assert!(sim.told_pe(pe, ElementEvent::Registered(key)));
}

/// 3.1: "repeated registration timeouts or failures".
#[test]
fn a_registrar_that_takes_no_identifier_is_given_up_after_max_reg_attempt() {
    let mut sim = Sim::new(1);
    let (registrar, pe, assoc) = with_script(&mut sim);
    let key = sim.register(pe, &info(b"echo"));
    for _ in 0..10 {
        let id = last_registration(&sim, pe).element.id;
        sim.send_bytes(registrar, assoc, &refused(b"echo", id, &[Cause::NonUniquePeId]));
        sim.run_secs(1);
    }
    assert!(sim.told_pe(pe, ElementEvent::Rejected { element: key, cause: 4 }));
    assert_eq!(sim.count(pe, REGISTRATION), 3);
}

/// 2.2.3: an error without the R bit is a warning.
#[test]
fn a_granted_registration_with_an_error_is_a_warning() {
    let mut sim = Sim::new(1);
    let (registrar, pe, assoc) = with_script(&mut sim);
    let key = sim.register(pe, &info_with_id(b"echo", 5));
    let causes = [Cause::Unspecified];
    let error = Some(OperationError::new(&causes));
    let (rejected, pool_handle, id) = (false, handle(b"echo"), PeId(5));
    sim.send(registrar, assoc, RegistrationResponse { rejected, pool_handle, id, error });
    sim.run_secs(1);
    assert!(sim.told_pe(pe, ElementEvent::Warning { element: key, cause: 0 }));
    assert!(sim.pe(pe, |pe, _| pe.is_registered(key)));
}

/// 7.1: T4 is "10 minutes or 20 seconds less than the Lifetime"; with lifetimes of 40 s and below, half of it. R2.3: "a
/// PE that wishes to continue service MUST re-register before the registration expires."
#[test]
fn t4_renews_registrations_in_time_whatever_the_lifetime() {
    for (lifetime, t4) in [(86_400, 600_000), (300, 280_000), (45, 25_000), (30, 15_000), (1, 500), (-1, 600_000)] {
        let mut sim = Sim::new(1);
        let registrar = sim.registrar();
        let wanted = ElementInfo { lifetime: Lifetime::from_wire(lifetime), ..info(b"echo") };
        let (pe, key) = sim.registered(&wanted, &[registrar]);
        sim.run_secs(1_900);
        let times = sim.times(pe, REGISTRATION);
        assert!(times.len() >= 4, "{lifetime}: {times:?}");
        for pair in times.windows(2) {
            assert_eq!(pair[1] - pair[0], t4 + 20, "T4 runs from the answer: two times the latency of 10 ms");
        }
        assert!(!sim.told_pe(pe, ElementEvent::Expired(key)));
    }
}

/// 3.1: "a registered PE MAY wish to re-register to ... update its member selection Policy Value". "When re-registering,
/// the PE MUST use the same PE identifier."
#[test]
fn a_new_policy_value_is_registered_at_once_with_the_same_identifier() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let wanted = ElementInfo { policy: Policy::LeastUsed { load: 1 }, ..info(b"echo") };
    let (pe, key) = sim.registered(&wanted, &[registrar]);
    sim.pe(pe, |pe, now| pe.set_policy(now, key, Policy::LeastUsed { load: 9 })).unwrap();
    sim.run_secs(1);
    let id = id_of(&mut sim, pe, key);
    assert_eq!(last_registration(&sim, pe).element.id, id);
    let space = sim.pr(registrar).handlespace();
    let element = space.find_element(space.find_pool(handle(b"echo")).unwrap(), id).unwrap();
    assert_eq!(space.element(element).unwrap().policy(), Some(Policy::LeastUsed { load: 9 }));
    assert_eq!(sim.elements_at(registrar), 1);
}

#[test]
fn a_policy_that_changes_while_a_registration_is_under_way_is_registered_after_it() {
    let mut sim = Sim::new(1);
    let (registrar, pe, assoc) = with_script(&mut sim);
    let key = sim.register(pe, &ElementInfo { policy: Policy::LeastUsed { load: 1 }, ..info_with_id(b"echo", 5) });
    for load in [2, 3] {
        sim.pe(pe, |pe, now| pe.set_policy(now, key, Policy::LeastUsed { load })).unwrap();
    }
    sim.run_secs(1);
    assert_eq!(sim.count(pe, REGISTRATION), 1, "one at a time");
    sim.send(registrar, assoc, granted(b"echo", PeId(5)));
    sim.run_secs(1);
    assert_eq!(last_registration(&sim, pe).element.policy, Policy::LeastUsed { load: 3 });
    sim.send(registrar, assoc, granted(b"echo", PeId(5)));
    sim.run_secs(1);
    assert_eq!(sim.count(pe, REGISTRATION), 2);
    let told = sim.nodes[pe].events.iter().filter(|(_, e)| *e == Event::Element(ElementEvent::Registered(key)));
    assert_eq!(told.count(), 1);
}

#[test]
fn one_endpoint_is_several_elements_of_several_pools() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let pe = sim.element(&[registrar]);
    let pools: [&[u8]; 4] = [b"a", b"a", b"b", b"b"];
    let keys: Vec<_> = pools.iter().enumerate().map(|(i, p)| sim.register(pe, &info_with_id(p, i as u32))).collect();
    sim.run_secs(1);
    assert_eq!(sim.elements_at(registrar), 4);
    assert_eq!(sim.pe(pe, |pe, now| pe.register(now, &info(b"c"))), Err(RegisterError::Full));
    sim.pe(pe, |pe, now| pe.deregister(now, keys[1])).unwrap();
    sim.run_secs(1);
    assert!(sim.told_pe(pe, ElementEvent::Deregistered { element: keys[1], id: PeId(1) }));
    assert_eq!(sim.elements_at(registrar), 3);
    assert_eq!(sim.pe(pe, |pe, _| pe.id(keys[1])), None, "the key is void");
}

/// rsplib's registrar ends when it is sent a handle of more than 32 bytes.
#[cfg(feature = "alloc")]
#[test]
fn a_handle_that_is_too_long_for_rsplib_is_neither_registered_in_nor_resolved() {
    use rserpool_core::{Compat, EndpointConfig, EndpointLimits, Instant, PoolElement, PoolUser, ResolveError};
    let (fits, long) = ([b'x'; 32], [b'x'; 33]);
    for (compat, taken) in [(Compat::Rfc, true), (Compat::Auto, true), (Compat::Rsplib, false)] {
        let config = EndpointConfig { compat, ..EndpointConfig::new() };
        let mut pe = PoolElement::growable(EndpointLimits::default(), config, 1, Instant::ZERO);
        assert!(pe.register(Instant::ZERO, &info(&fits)).is_ok());
        let registered = pe.register(Instant::ZERO, &info(&long)).err();
        assert_eq!(registered, (!taken).then_some(RegisterError::BadHandle));
        assert_eq!(pe.resolve(Instant::ZERO, &long).err(), (!taken).then_some(ResolveError::BadHandle));
        let mut pu = PoolUser::growable(EndpointLimits::default(), config, 1, Instant::ZERO);
        assert!(pu.resolve(Instant::ZERO, &fits).is_ok());
        assert_eq!(pu.resolve(Instant::ZERO, &long).err(), (!taken).then_some(ResolveError::BadHandle));
    }
}

#[test]
fn what_cannot_be_registered_is_refused_before_it_is_sent() {
    let mut sim = Sim::new(1);
    let pe = sim.element(&[]);
    let mut refused = |info: ElementInfo<'_>| sim.pe(pe, |pe, now| pe.register(now, &info)).unwrap_err();
    assert_eq!(refused(info(b"")), RegisterError::BadHandle);
    assert_eq!(refused(info(&[b'x'; 33])), RegisterError::BadHandle);
    assert_eq!(refused(ElementInfo { lifetime: Lifetime::from_wire(0), ..info(b"a") }), RegisterError::BadLifetime);
    assert_eq!(refused(ElementInfo { lifetime: Lifetime::from_wire(-2), ..info(b"a") }), RegisterError::BadLifetime);
    assert_eq!(refused(ElementInfo { user_transport: service(0), ..info(b"a") }), RegisterError::BadTransport);
    let long = Policy::Other { policy_type: 0x8000_0001, data: &[0; 64] };
    assert_eq!(refused(ElementInfo { policy: long, ..info(b"a") }), RegisterError::TooLong);
    sim.register(pe, &info_with_id(b"a", 1));
    assert_eq!(sim.pe(pe, |pe, now| pe.register(now, &info_with_id(b"a", 1))), Err(RegisterError::DuplicateId));
}

/// 3.1: a registration replaces the one before it. Here because the host's address has changed.
#[test]
fn elements_move_with_their_host() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let pe = sim.element(&[registrar]);
    let at = |text: &str| text.parse::<std::net::SocketAddr>().unwrap();
    let tcp = ElementInfo { user_transport: Transport::Tcp(at("192.0.2.7:7")), ..info(b"tcp") };
    let addresses = ["192.0.2.7".parse().unwrap(), "198.51.100.7".parse().unwrap()];
    let sctp = ElementInfo { user_transport: Transport::sctp(9, &addresses), ..info(b"sctp") };
    let other = ElementInfo { user_transport: Transport::Tcp(at("203.0.113.9:7")), ..info(b"other") };
    let keys = [&tcp, &sctp, &other].map(|info| sim.register(pe, info));
    sim.run_secs(1);
    let before = sim.count(pe, REGISTRATION);

    let (from, to) = ("192.0.2.7".parse().unwrap(), "192.0.2.200".parse().unwrap());
    sim.pe(pe, |pe, now| pe.move_host(now, from, to));
    sim.run_secs(1);
    let sent = sim.sent(pe, REGISTRATION);
    let moved: Vec<Vec<_>> = sent[before..]
        .iter()
        .map(|sent| match sent.message() {
            AsapMessage::Registration(message) => message.element.user_transport.socket_addrs().collect(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(moved, [vec![at("192.0.2.200:7")], vec![at("192.0.2.200:9"), at("198.51.100.7:9")]]);
    assert!(keys.iter().all(|key| sim.pe(pe, |pe, _| pe.is_registered(*key))));
    assert_eq!(sim.elements_at(registrar), 3);

    // Nobody is reached at the old address any more.
    sim.pe(pe, |pe, now| pe.move_host(now, from, to));
    sim.run_secs(1);
    assert_eq!(sim.count(pe, REGISTRATION), before + 2);
}

/// T2 of one element expires when an acknowledgement of another one is to be sent. Of the lost home is told first, and then
/// comes what does not fit into the buffer.
#[test]
fn nothing_comes_between_a_message_that_does_not_fit_and_the_same_with_more_room() {
    for seed in 1..30 {
        let mut sim = Sim::new(seed);
        let (registrar, pe, assoc) = with_script(&mut sim);
        let at_pe = sim.associations(pe)[0];
        for id in [5, 6] {
            sim.register(pe, &info_with_id(b"echo", id));
        }
        sim.run_secs(1);
        sim.send(registrar, assoc, granted(b"echo", PeId(6)));
        sim.run_secs(1);
        sim.now = sim.now + Duration::from_secs(30);
        let bytes = bytes_of(keep_alive(b"echo", Some(6), 9, false));
        // The drain's buffer is too small now and then, and it looks at what comes next.
        let done =
            sim.pe(pe, |pe, now| pe.handle(now, Input::Message { assoc: at_pe, ppid: Ppid::Asap, bytes: &bytes }));
        assert_eq!(done, Ok(()));
        assert!(sim.told_pe(pe, ElementEvent::HomeLost));
    }
}
