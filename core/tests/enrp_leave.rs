//! A registrar that leaves in good order: its elements have another home before it goes.

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::{AsapMessage, EnrpBody, Transport};
use rserpool_core::{
    ElementEvent, EndpointConfig, Instant, RecvError, Registrar, RegistrarConfig, RegistrarEvent, ServerId,
};

const REGISTRAR: u32 = 0x100;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn leave(sim: &mut Sim, n: NodeId) {
    let now = sim.now;
    let Role::Registrar(machine) = &mut sim.nodes[n].role else { panic!("not a registrar") };
    Registrar::leave(machine, now);
    sim.drain(n);
}

fn left(sim: &Sim, n: NodeId) -> Option<(Instant, u32)> {
    sim.nodes[n].events.iter().find_map(|(at, event)| match event {
        Event::Registrar(RegistrarEvent::Left { remaining }) => Some((*at, *remaining)),
        _ => None,
    })
}

/// Three registrars, and an element on each of two associations whose home is the first.
fn world() -> (Sim, [NodeId; 3], Vec<NodeId>) {
    let mut sim = Sim::new(4);
    let all = sim.cluster::<3>(&RegistrarConfig::new());
    let config = EndpointConfig { asap_port: 3863, ..EndpointConfig::new() };
    let elements: Vec<NodeId> = (0..2)
        .map(|id| {
            let n = sim.element_with(config, &[all[0]]);
            let key = sim.register(n, &info_with_id(b"p", id + 1));
            assert!(sim.run_until(|s| s.told_pe(n, ElementEvent::Registered(key)), secs(5)));
            n
        })
        .collect();
    sim.run_secs(1);
    (sim, all, elements)
}

#[test]
fn the_elements_move_to_the_peers_before_the_registrar_has_left() {
    let (mut sim, all, elements) = world();
    let begin = sim.now;
    leave(&mut sim, all[0]);
    assert!(sim.run_until(|s| left(s, all[0]).is_some(), secs(6)));
    let (at, remaining) = left(&sim, all[0]).unwrap();
    assert_eq!(remaining, 0);
    assert!(at.saturating_duration_since(begin) < secs(1), "at once");
    sim.kill(all[0]);
    sim.run_secs(15);
    for n in [all[1], all[2]] {
        assert_eq!(sim.elements_at(n), 2);
        assert_eq!(sim.owned_by(n, REGISTRAR), 0);
        let takeovers = sim.events_of(n).into_iter().filter(|e| matches!(e, RegistrarEvent::TakeoverBegun { .. }));
        assert_eq!(takeovers.count(), 0, "there is nothing to take over");
    }
    assert_eq!(sim.space(all[1]), sim.space(all[2]));
    for element in elements {
        assert!(sim.home_of(element).is_some_and(|home| home != all[0]));
    }
}

#[test]
fn no_element_is_missing_at_any_registrar_meanwhile() {
    let (mut sim, all, _) = world();
    leave(&mut sim, all[0]);
    let end = sim.now + secs(6);
    while sim.now < end && sim.step() {
        for n in [all[1], all[2]] {
            assert_eq!(sim.elements_at(n), 2, "at {:?}", sim.now);
        }
    }
}

#[test]
fn each_element_is_offered_by_an_update_that_suggests_to_take_it_over() {
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar(&[]);
    let peer = sim.enrp_peer(registrar, 5);
    let element = sim.script();
    let (assoc, _) = sim.connect(element, registrar);
    sim.send(element, assoc, registration(b"p", param(1, 7)));
    sim.run_secs(1);
    sim.hears(peer);
    leave(&mut sim, registrar);
    sim.run_for(Duration::from_millis(20));
    let offers = sim.hears_of(peer, ty::UPDATE);
    assert_eq!(offers.len(), 1);
    let EnrpBody::HandleUpdate(offer) = rserpool_core::wire::EnrpMessage::parse(&offers[0]).unwrap().message.body
    else {
        panic!()
    };
    assert!(offer.takeover_suggested);
    assert_eq!((offer.element.id.0, offer.element.home), (1, ServerId(REGISTRAR)));
    // The peer takes it.
    assert_eq!(left(&sim, registrar), None);
    sim.tell(peer, add(b"p", owned(5, 1, 7)));
    sim.run_for(Duration::from_millis(5));
    assert_eq!(left(&sim, registrar).map(|(_, remaining)| remaining), Some(0));
    assert!(sim.sent(registrar, KEEP_ALIVE).is_empty(), "it is not contested");
}

#[test]
fn a_registrar_without_peers_leaves_at_once_and_says_what_remains() {
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar(&[]);
    sim.registered(&info_with_id(b"p", 1), &[registrar]);
    let now = sim.now;
    leave(&mut sim, registrar);
    assert_eq!(left(&sim, registrar), Some((now, 1)));
}

#[test]
fn a_registrar_without_elements_leaves_at_once() {
    let mut sim = Sim::new(1);
    let [a, _] = sim.cluster::<2>(&RegistrarConfig::new());
    let now = sim.now;
    leave(&mut sim, a);
    assert_eq!(left(&sim, a), Some((now, 0)));
}

#[test]
fn a_registrar_whose_peers_do_not_take_the_elements_leaves_after_the_time_out() {
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar(&[]);
    sim.enrp_peer(registrar, 5);
    sim.registered(&info_with_id(b"p", 1), &[registrar]);
    let begin = sim.now;
    leave(&mut sim, registrar);
    sim.run_secs(6);
    assert_eq!(left(&sim, registrar), Some((begin + secs(5), 1)));
}

#[test]
fn while_it_leaves_a_registrar_serves_users_and_sends_new_elements_away() {
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar(&[]);
    sim.enrp_peer(registrar, 5);
    sim.registered(&info_with_id(b"p", 1), &[registrar]);
    leave(&mut sim, registrar);
    let (user, element) = (sim.script(), sim.script());
    let (assoc, _) = sim.connect(user, registrar);
    sim.send(user, assoc, resolution(b"p"));
    let (assoc, _) = sim.connect(element, registrar);
    sim.send(element, assoc, registration(b"p", param(2, 7)));
    sim.run_secs(1);
    let answer = sim.received(user).remove(0).1;
    assert!(
        matches!(AsapMessage::parse(&answer).unwrap().message, AsapMessage::HandleResolutionResponse(m) if m.error.is_none())
    );
    assert_eq!(sim.nodes[registrar].errors.last(), Some(&RecvError::NotServing));
    assert!(sim.associations(element).is_empty(), "it turns to another one");
    assert_eq!(sim.elements_at(registrar), 1);
}

#[test]
fn to_leave_twice_is_to_leave_once() {
    let mut sim = Sim::new(1);
    let [a, _] = sim.cluster::<2>(&RegistrarConfig::new());
    leave(&mut sim, a);
    leave(&mut sim, a);
    sim.run_secs(10);
    let told = sim.events_of(a).into_iter().filter(|e| matches!(e, RegistrarEvent::Left { .. })).count();
    assert_eq!(told, 1);
}

#[test]
fn an_element_that_cannot_be_reached_by_the_peers_stays_with_the_one_that_leaves_till_the_end() {
    let mut sim = Sim::new(4);
    let [a, b] = sim.cluster::<2>(&RegistrarConfig::new());
    // No port to reach it at.
    let element = sim.script();
    let (assoc, _) = sim.connect(element, a);
    let at = Transport::Tcp(address_of(60));
    sim.send(
        element,
        assoc,
        registration(b"p", rserpool_core::wire::PoolElementParam { asap_transport: Some(at), ..param(1, 7) }),
    );
    sim.run_secs(1);
    leave(&mut sim, a);
    sim.run_secs(6);
    // The peer dials the address of the association, where the script takes the keep-alive for nothing.
    assert_eq!(left(&sim, a).map(|(_, remaining)| remaining), Some(1));
    assert_eq!(sim.homes(b), [(b"p".to_vec(), 1, sim.id_of(a))]);
}
