//! Keep-alives, the adoption of a registrar and unreachable elements (RFC 5352, 3.4 and 3.5).

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::{AsapMessage, Lifetime};
use rserpool_core::{
    AssocId, ElementEvent, ElementInfo, EndpointConfig, Home, Input, PeId, RegistrarConfig, RegistrarEvent,
    RemovalReason, ServerId,
};

fn acks(received: &[(AssocId, Vec<u8>)]) -> Vec<(Vec<u8>, PeId)> {
    let acks = received.iter().filter_map(|(_, bytes)| match AsapMessage::parse(bytes).unwrap().message {
        AsapMessage::EndpointKeepAliveAck(ack) => Some((ack.pool_handle.as_bytes().to_vec(), ack.id)),
        _ => None,
    });
    acks.collect()
}

fn removed(id: u32, reason: RemovalReason) -> RegistrarEvent {
    RegistrarEvent::Removed { id: PeId(id), reason }
}

/// A registrar and a script that is registered at it.
fn with_script(sim: &mut Sim, config: RegistrarConfig) -> (NodeId, NodeId, AssocId) {
    let registrar = sim.registrar_with(config);
    let pe = sim.script();
    let (assoc, _) = sim.connect(pe, registrar);
    let mut element = param(5, 7);
    element.lifetime = Lifetime::INFINITE;
    sim.send(pe, assoc, registration(b"echo", element));
    sim.run_for(Duration::from_millis(100));
    sim.received(pe);
    (registrar, pe, assoc)
}

/// One that always comes too late, as on a host that has too much to do or sleeps most of the time, is not one that stood
/// still for once. However late it comes.
#[test]
fn a_registrar_that_always_comes_late_removes_who_does_not_answer_though_later() {
    for period in [1_100, 3_700, 5_300, 6_000, 10_600, 11_000, 20_000, 60_000] {
        let mut sim = Sim::new(1);
        let (registrar, ..) = with_script(&mut sim, RegistrarConfig::new());
        for _ in 0..60 {
            sim.now = sim.now + Duration::from_millis(period);
            sim.input(registrar, Input::Timeout).unwrap();
        }
        assert_eq!(sim.elements_at(registrar), 0, "each {period} ms");
    }
}

/// RFC 5352, 3.5. What it had no time to read before it was stopped again counts as little as before the first time.
#[test]
fn a_registrar_that_is_stopped_again_soon_holds_nobody_for_dead_either() {
    let mut sim = Sim::new(1);
    let (registrar, pe, assoc) = with_script(&mut sim, RegistrarConfig::new());
    assert!(sim.run_until(|s| !s.sent(registrar, KEEP_ALIVE).is_empty(), Duration::from_secs(60)));
    for _ in 0..2 {
        sim.now = sim.now + Duration::from_secs(20);
        sim.input(registrar, Input::Timeout).unwrap();
        assert_eq!(sim.elements_at(registrar), 1, "its answer may lie in a socket");
    }
    sim.send(pe, assoc, ack(b"echo", 5));
    sim.run_secs(8);
    assert_eq!(sim.elements_at(registrar), 1);
}

/// RFC 5352, 3.5: an answer is late by when it was given, not by when a registrar that stood still comes to read it.
#[test]
fn nobody_is_held_for_dead_by_a_registrar_that_stood_still() {
    for answers in [true, false] {
        let mut sim = Sim::new(1);
        let (registrar, pe, assoc) = with_script(&mut sim, RegistrarConfig::new());
        assert!(sim.run_until(|s| !s.sent(registrar, KEEP_ALIVE).is_empty(), Duration::from_secs(60)));
        sim.now = sim.now + Duration::from_secs(20);
        sim.input(registrar, Input::Timeout).unwrap();
        assert_eq!(sim.elements_at(registrar), 1, "its answer may lie in a socket");
        if answers {
            sim.send(pe, assoc, ack(b"echo", 5));
        }
        sim.run_secs(8);
        assert_eq!(sim.elements_at(registrar), usize::from(answers));
    }
}

/// KA1: "If the Pool Handle does not match, the PE MUST silently discard the message."
#[test]
fn a_keep_alive_for_another_pool_is_discarded_silently() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, _) = sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    let stranger = sim.script();
    let (assoc, _) = sim.connect(stranger, pe);
    sim.send(stranger, assoc, keep_alive(b"other", Some(5), 9, true));
    sim.send(stranger, assoc, keep_alive(b"echo", Some(6), 9, true));
    sim.run_secs(1);
    assert!(sim.received(stranger).is_empty());
    assert_eq!(sim.home_of(pe), Some(registrar));
}

/// KA1: "matches the Pool Handle sent in its earlier ASAP_REGISTRATION message": nothing was sent yet.
#[test]
fn an_element_that_has_not_registered_yet_acknowledges_nothing() {
    let mut sim = Sim::new(1);
    let pe = sim.element(&[]);
    sim.register(pe, &info_with_id(b"echo", 5));
    let stranger = sim.script();
    let (assoc, _) = sim.connect(stranger, pe);
    sim.send(stranger, assoc, keep_alive(b"echo", Some(5), 9, true));
    sim.run_secs(1);
    assert!(sim.received(stranger).is_empty());
    assert!(sim.is_homeless(pe));
}

/// KA2.1 to KA2.3; 2.2.7: "Regardless of the setting of the 'H' bit, an ASAP Endpoint MUST respond".
#[test]
fn a_keep_alive_is_acknowledged_to_whoever_sent_it_and_without_the_h_flag_changes_nothing() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, _) = sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    let stranger = sim.script();
    let (assoc, _) = sim.connect(stranger, pe);
    sim.send(stranger, assoc, keep_alive(b"echo", Some(5), 9, false));
    sim.run_secs(1);
    assert_eq!(acks(&sim.received(stranger)), [(b"echo".to_vec(), PeId(5))]);
    assert_eq!(sim.home_of(pe), Some(registrar));
}

/// 2.2.7: the message names a pool, and no element: it is for all that the endpoint has in the pool.
#[test]
fn a_keep_alive_without_an_identifier_is_acknowledged_for_every_element_of_the_pool() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let pe = sim.element(&[registrar]);
    for (pool, id) in [(&b"echo"[..], 1), (b"echo", 2), (b"other", 3)] {
        sim.register(pe, &info_with_id(pool, id));
    }
    sim.run_secs(1);
    let stranger = sim.script();
    let (assoc, _) = sim.connect(stranger, pe);
    sim.send(stranger, assoc, keep_alive(b"echo", None, 9, false));
    sim.run_secs(1);
    assert_eq!(acks(&sim.received(stranger)), [(b"echo".to_vec(), PeId(1)), (b"echo".to_vec(), PeId(2))]);
}

/// KA2.4: "adopt the sender of the ASAP_ENDPOINT_KEEP_ALIVE message as the new Home ENRP server."
#[test]
fn the_h_flag_makes_the_sender_the_home() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, key) = sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    let successor = sim.script();
    let (assoc, at_pe) = sim.connect(successor, pe);
    sim.send(successor, assoc, keep_alive(b"echo", Some(5), 9, true));
    sim.run_secs(1);
    let home = Home { assoc: at_pe, id: ServerId(9) };
    assert!(sim.told_pe(pe, ElementEvent::HomeAdopted(home)));
    assert_eq!(sim.pe(pe, |pe, _| pe.home()), Some(home));
    assert_eq!(acks(&sim.received(successor)), [(b"echo".to_vec(), PeId(5))], "acknowledged, not registered again");
    assert!(sim.associations(registrar).is_empty(), "the association with the old home is closed");
    // From now on it is the home: renewals and deregistrations go there.
    sim.pe(pe, |pe, now| pe.deregister(now, key)).unwrap();
    sim.run_secs(1);
    assert_eq!(sim.received(successor)[0].1[0], DEREGISTRATION);
}

/// KA2.4: "(or it is not set, e.g., you have a no Home ENRP server)".
#[test]
fn the_h_flag_gives_a_home_to_an_element_that_has_none() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, _) = sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    sim.run_secs(11);
    sim.nodes[registrar].answer = Answer::Silence;
    sim.lose_all_between(pe, registrar);
    sim.run_secs(1);
    assert!(sim.is_homeless(pe));
    let successor = sim.script();
    let (assoc, _) = sim.connect(successor, pe);
    sim.send(successor, assoc, keep_alive(b"echo", Some(5), 9, true));
    sim.run_secs(1);
    sim.send(successor, assoc, granted(b"echo", PeId(5)));
    sim.run_secs(60);
    assert_eq!(sim.home_of(pe), Some(successor));
    assert_eq!(sim.nodes[pe].dialled.len(), 2, "the hunt is over");
    assert_eq!(sim.nodes[pe].abandoned, 1);
}

/// KA2.4: "the Server Identifier in the message is NOT the identity of your Home ENRP server".
#[test]
fn the_h_flag_from_the_home_itself_changes_nothing() {
    let mut sim = Sim::new(1);
    let home = sim.script();
    let pe = sim.element(&[home]);
    sim.register(pe, &info_with_id(b"echo", 5));
    sim.run_secs(1);
    let assoc = sim.associations(home)[0];
    sim.send(home, assoc, granted(b"echo", PeId(5)));
    for adopt in [false, true] {
        sim.send(home, assoc, keep_alive(b"echo", Some(5), 9, adopt));
        sim.run_secs(1);
    }
    let events = sim.nodes[pe].events.len();
    // And over a second association of the same registrar.
    let (second, _) = sim.connect(home, pe);
    sim.send(home, second, keep_alive(b"echo", Some(5), 9, true));
    sim.run_secs(1);
    assert_eq!(acks(&sim.received(home)).len(), 3);
    assert_eq!(sim.nodes[pe].events.len(), events);
    assert_eq!(sim.pe(pe, |pe, _| pe.home()).unwrap().id, ServerId(9));
}

/// 3.4: a new home is sent what was under way to the old one.
#[test]
fn a_registration_under_way_is_repeated_to_the_adopted_home() {
    let mut sim = Sim::new(1);
    let deaf = sim.script();
    let pe = sim.element(&[deaf]);
    sim.register(pe, &info_with_id(b"echo", 5));
    sim.run_secs(1);
    let successor = sim.script();
    let (assoc, _) = sim.connect(successor, pe);
    sim.send(successor, assoc, keep_alive(b"echo", None, 9, true));
    sim.run_secs(1);
    let types: Vec<_> = sim.received(successor).iter().map(|(_, bytes)| bytes[0]).collect();
    assert_eq!(types, [KEEP_ALIVE_ACK, REGISTRATION]);
}

/// 3.5: "varying the time between two ASAP_ENDPOINT_KEEP_ALIVE messages to the same PE randomly by plus/minus 50
/// percent"; the H flag is 0.
#[test]
fn keep_alives_are_spread_by_fifty_per_cent() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    // A registration is a sign of life as well; here there is one only.
    let config = EndpointConfig { t4_reregistration: Duration::from_secs(100_000), ..EndpointConfig::new() };
    let pe = sim.element_with(config, &[registrar]);
    sim.register(pe, &ElementInfo { lifetime: Lifetime::INFINITE, ..info_with_id(b"echo", 5) });
    sim.run_secs(10_000);
    let times = sim.times(registrar, KEEP_ALIVE);
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.len() > 250);
    assert!(gaps.iter().all(|gap| (15_000..=45_020).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap < 18_000) && gaps.iter().any(|gap| *gap > 42_000));
    assert_eq!(sim.count(pe, KEEP_ALIVE_ACK), times.len());
    for sent in sim.sent(registrar, KEEP_ALIVE) {
        let AsapMessage::EndpointKeepAlive(message) = sent.message() else { panic!() };
        assert!(!message.adopt);
        assert_eq!((message.server, message.id), (sim.pr(registrar).id(), Some(PeId(5))));
    }
}

/// 3.5: "If the sending of ASAP_ENDPOINT_KEEP_ALIVE to a PE fails, the ENRP server MUST consider the PE as unreachable
/// and MUST remove the PE".
#[test]
fn an_element_that_does_not_acknowledge_is_removed() {
    let mut sim = Sim::new(1);
    let (registrar, _, _) = with_script(&mut sim, RegistrarConfig::new());
    assert!(sim.run_until(|s| s.count(registrar, KEEP_ALIVE) == 1, Duration::from_secs(46)));
    assert_eq!(sim.elements_at(registrar), 1);
    sim.run_for(Duration::from_millis(4_900));
    assert_eq!(sim.elements_at(registrar), 1);
    sim.run_for(Duration::from_millis(200));
    assert_eq!(sim.elements_at(registrar), 0);
    assert!(sim.told_pr(registrar, removed(5, RemovalReason::Unreachable)));
    assert_eq!(sim.pr(registrar).stats().lost, 1);
}

/// An acknowledgement counts from the element's association only.
#[test]
fn an_acknowledgement_by_a_stranger_does_not_keep_an_element() {
    let mut sim = Sim::new(1);
    let (registrar, _, _) = with_script(&mut sim, RegistrarConfig::new());
    let stranger = sim.script();
    let (assoc, _) = sim.connect(stranger, registrar);
    for _ in 0..60 {
        sim.send(stranger, assoc, ack(b"echo", 5));
        sim.run_secs(1);
    }
    assert_eq!(sim.elements_at(registrar), 0);
    assert_eq!(sim.pr(registrar).stats().keep_alive_acks, 0);
}

#[test]
fn the_loss_of_its_association_removes_an_element() {
    let mut sim = Sim::new(1);
    let (registrar, pe, assoc) = with_script(&mut sim, RegistrarConfig::new());
    sim.lose(pe, assoc);
    assert_eq!(sim.elements_at(registrar), 0);
    assert!(sim.told_pr(registrar, removed(5, RemovalReason::Unreachable)));
}

/// 3.5: "it results in an SCTP SEND.FAILURE notification". The association lives on, and its share of the limits with it.
#[test]
fn a_keep_alive_that_cannot_be_sent_removes_the_elements_of_the_association() {
    let mut sim = Sim::new(1);
    let config = RegistrarConfig { max_elements_per_association: 2, ..RegistrarConfig::new() };
    let (registrar, pe, assoc) = with_script(&mut sim, config);
    for _ in 0..5 {
        let at_registrar = sim.associations(registrar)[0];
        sim.input(registrar, rserpool_core::Input::SendFailed { assoc: at_registrar }).unwrap();
        assert_eq!(sim.elements_at(registrar), 0);
        sim.send(pe, assoc, registration(b"echo", param(5, 7)));
        sim.run_for(Duration::from_millis(100));
        assert_eq!(sim.elements_at(registrar), 1, "what is gone does not count against the limit");
    }
}

#[test]
fn an_element_that_comes_back_within_the_grace_period_stays() {
    let grace = Duration::from_secs(10);
    let config = RegistrarConfig { lost_association_grace: grace, ..RegistrarConfig::new() };
    let mut sim = Sim::new(1);
    let (registrar, pe, assoc) = with_script(&mut sim, config);
    sim.lose(pe, assoc);
    sim.run_secs(9);
    let (assoc, _) = sim.connect(pe, registrar);
    sim.send(pe, assoc, registration(b"echo", param(5, 7)));
    sim.run_secs(5);
    assert_eq!(sim.elements_at(registrar), 1);
    assert!(!sim.told_pr(registrar, removed(5, RemovalReason::Unreachable)));
    sim.lose(pe, assoc);
    sim.run_secs(11);
    assert_eq!(sim.elements_at(registrar), 0);
}

/// 3.5: "Upon the reception of an ASAP_ENDPOINT_UNREACHABLE message, an ENRP server MUST immediately send a point-to-point
/// ASAP_ENDPOINT_KEEP_ALIVE message to the PE in question (the H flag in the message SHOULD be set to '0'". RFC 5355,
/// threat 9: not one for each report.
#[test]
fn a_report_leads_to_a_keep_alive_at_once_and_only_one_is_outstanding() {
    let mut sim = Sim::new(1);
    let (registrar, pe, assoc) = with_script(&mut sim, RegistrarConfig::new());
    let reporter = sim.script();
    let (to_registrar, _) = sim.connect(reporter, registrar);
    for _ in 0..3 {
        sim.send(reporter, to_registrar, unreachable(b"echo", 5));
    }
    sim.run_for(Duration::from_millis(100));
    let received = sim.received(pe);
    assert_eq!(received.len(), 1);
    let AsapMessage::EndpointKeepAlive(message) = AsapMessage::parse(&received[0].1).unwrap().message else { panic!() };
    assert!(!message.adopt);
    // "If the ASAP_ENDPOINT_KEEP_ALIVE message is transmitted successfully to the PE, the ENRP server MUST retain the PE".
    sim.send(pe, assoc, ack(b"echo", 5));
    sim.run_secs(10);
    assert_eq!(sim.elements_at(registrar), 1);
    assert!(sim.received(reporter).is_empty(), "a report is not answered");
    assert_eq!(sim.pr(registrar).stats().unreachable_reports, 3);
}

/// 3.5: "If the sending of ASAP_ENDPOINT_KEEP_ALIVE to a PE fails", here of the one that a report has led to.
#[test]
fn a_reported_element_that_does_not_acknowledge_is_removed() {
    let mut sim = Sim::new(1);
    let (registrar, pe, _) = with_script(&mut sim, RegistrarConfig::new());
    let reporter = sim.script();
    let (assoc, _) = sim.connect(reporter, registrar);
    sim.send(reporter, assoc, unreachable(b"echo", 5));
    sim.run_secs(4);
    assert_eq!((sim.received(pe).len(), sim.elements_at(registrar)), (1, 1));
    sim.run_secs(2);
    assert!(sim.told_pr(registrar, removed(5, RemovalReason::Unreachable)));
}

/// So many pool users, with an association each.
fn reporters(sim: &mut Sim, registrar: NodeId, count: usize) -> Vec<(NodeId, AssocId)> {
    let mut reporter = || {
        let reporter = sim.script();
        (reporter, sim.connect(reporter, registrar).0)
    };
    (0..count).map(|_| reporter()).collect()
}

/// 3.5: "If the counter exceeds the protocol threshold MAX-BAD-PE-REPORT, the ENRP server SHOULD remove the PE".
#[test]
fn an_element_that_more_than_max_bad_pe_report_have_reported_is_removed_though_it_answers() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    for (at, (reporter, assoc)) in reporters(&mut sim, registrar, 4).into_iter().enumerate() {
        sim.send(reporter, assoc, unreachable(b"echo", 5));
        sim.run_secs(1);
        assert_eq!(sim.elements_at(registrar), usize::from(at < 3));
    }
    assert!(sim.told_pr(registrar, removed(5, RemovalReason::Reported)));
}

/// 3.5: "the ENRP server MUST retain the PE". RFC 5355, 2.13: what one user can do with reports is limited, whether it is
/// malicious or only its own way to the element is blocked.
#[test]
fn who_reports_an_element_again_and_again_counts_once() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    let reporters = reporters(&mut sim, registrar, 3);
    for _ in 0..50 {
        for (reporter, assoc) in &reporters {
            sim.send(*reporter, *assoc, unreachable(b"echo", 5));
        }
        sim.run_secs(2);
    }
    assert_eq!(sim.elements_at(registrar), 1);
    assert_eq!(sim.pr(registrar).stats().unreachable_reports, 150);
}

/// 3.5: a new registration begins a new count.
#[test]
fn reports_are_counted_anew_after_a_registration() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, key) = sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    for three in reporters(&mut sim, registrar, 15).chunks(3) {
        for (reporter, assoc) in three {
            sim.send(*reporter, *assoc, unreachable(b"echo", 5));
        }
        sim.run_secs(1);
        sim.pe(pe, |pe, now| pe.reregister(now, key)).unwrap();
        sim.run_secs(1);
    }
    assert_eq!(sim.elements_at(registrar), 1);
}

#[test]
fn a_report_about_an_unknown_element_is_counted_and_nothing_else() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let reporter = sim.script();
    let (assoc, _) = sim.connect(reporter, registrar);
    sim.send(reporter, assoc, unreachable(b"echo", 5));
    sim.run_secs(1);
    assert!(sim.received(reporter).is_empty());
    assert!(sim.nodes[registrar].errors.is_empty());
    assert_eq!(sim.pr(registrar).stats().unreachable_reports, 1);
}
