//! Taking over a failed peer (RFC 5353, 3.5): arbitration, acknowledgements, and what becomes of the elements.

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::enrp::{HandleUpdate, UpdateAction};
use rserpool_core::wire::{AsapMessage, EnrpBody, EnrpMessage, PoolElementParam, Transport};
use rserpool_core::{
    Compat, EndpointConfig, Instant, PeId, PeerState, RecvError, RegistrarConfig, RegistrarEvent, RemovalReason,
    ServerId,
};

const REGISTRAR: u32 = 0x100;
/// The registrar that dies; it owns the element 1 of pool "p".
const TARGET: u32 = 0x500;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A registrar, a target, and other peers.
fn world(config: RegistrarConfig, others: &[u32]) -> (Sim, NodeId, Peer, Vec<Peer>) {
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar_with(config, &[]);
    let target = sim.enrp_peer(registrar, TARGET);
    sim.tell(target, add(b"p", owned(TARGET, 1, 7)));
    let others: Vec<Peer> = others.iter().map(|id| sim.enrp_peer(registrar, *id)).collect();
    (sim, registrar, target, others)
}

fn begun(sim: &Sim, registrar: NodeId) -> bool {
    sim.told_pr(registrar, RegistrarEvent::TakeoverBegun { target: ServerId(TARGET) })
}

fn given_up(sim: &Sim, registrar: NodeId) -> bool {
    sim.told_pr(registrar, RegistrarEvent::TakeoverGivenUp { target: ServerId(TARGET) })
}

fn taken_over(sim: &Sim, registrar: NodeId) -> Option<(u32, u32)> {
    sim.events_of(registrar).into_iter().find_map(|event| match event {
        RegistrarEvent::TakenOver { target: ServerId(TARGET), by, elements } => Some((by.0, elements)),
        _ => None,
    })
}

/// The target falls silent, its association included, and the registrar wants to take it over.
fn fail(sim: &mut Sim, registrar: NodeId, target: Peer) {
    sim.lose(target.node, target.assoc);
    assert!(sim.run_until(|s| begun(s, registrar), secs(6)));
}

/// The target falls silent, but its association stays.
fn fall_silent(sim: &mut Sim, registrar: NodeId, others: &[Peer]) {
    sim.keep_up(others, secs(60));
    for _ in 0..20 {
        if !begun(sim, registrar) {
            sim.keep_up(others, millis(500));
        }
    }
    assert!(begun(sim, registrar));
}

fn targets(heard: &[Vec<u8>]) -> Vec<(u8, u32)> {
    let bodies = heard.iter().map(|bytes| EnrpMessage::parse(bytes).unwrap().message.body);
    let targets = bodies.filter_map(|body| match body {
        EnrpBody::InitTakeover(m) => Some((ty::INIT_TAKEOVER, m.target.0)),
        EnrpBody::InitTakeoverAck(m) => Some((ty::INIT_TAKEOVER_ACK, m.target.0)),
        EnrpBody::TakeoverServer(m) => Some((ty::TAKEOVER_SERVER, m.target.0)),
        _ => None,
    });
    targets.collect()
}

fn hears_of_takeovers(sim: &mut Sim, peer: Peer) -> Vec<(u8, u32)> {
    targets(&sim.hears(peer))
}

#[test]
fn the_initiator_announces_the_takeover_to_all_its_peers_and_to_the_target() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[5, 6]);
    fall_silent(&mut sim, registrar, &others);
    sim.run_for(millis(20));
    for peer in [target, others[0], others[1]] {
        let heard = sim.hears_of(peer, ty::INIT_TAKEOVER);
        assert_eq!(heard.len(), 1);
        let message = EnrpMessage::parse(&heard[0]).unwrap().message;
        assert_eq!((message.sender, message.body), (ServerId(REGISTRAR), init_takeover(TARGET).into()));
    }
}

#[test]
fn it_waits_for_the_acknowledgement_of_each_peer_but_the_target() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[5, 6]);
    fail(&mut sim, registrar, target);
    sim.tell(others[0], init_takeover_ack(TARGET));
    assert_eq!(taken_over(&sim, registrar), None);
    sim.tell(others[0], init_takeover_ack(TARGET));
    assert_eq!(taken_over(&sim, registrar), None, "twice the same one is not two");
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, TARGET)]);
    sim.tell(others[1], init_takeover_ack(TARGET));
    assert_eq!(taken_over(&sim, registrar), Some((REGISTRAR, 1)));
}

#[test]
fn the_winner_tells_all_and_owns_the_elements() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[5, 6]);
    fail(&mut sim, registrar, target);
    for peer in &others {
        sim.tell(*peer, init_takeover_ack(TARGET));
    }
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, REGISTRAR)]);
    assert_eq!(sim.peer_view(registrar, TARGET), None, "removed from the peer list");
    assert!(sim.told_pr(registrar, RegistrarEvent::PeerRemoved { peer: ServerId(TARGET) }));
    sim.run_for(millis(20));
    for peer in others {
        let heard = hears_of_takeovers(&mut sim, peer);
        assert_eq!(heard, [(ty::INIT_TAKEOVER, TARGET), (ty::TAKEOVER_SERVER, TARGET)]);
    }
}

#[test]
fn a_sole_survivor_takes_over_at_once() {
    let (mut sim, registrar, target, _) = world(RegistrarConfig::new(), &[]);
    sim.lose(target.node, target.assoc);
    sim.run_for(millis(5_510));
    assert_eq!(taken_over(&sim, registrar), Some((REGISTRAR, 1)));
}

#[test]
fn acknowledgements_for_another_target_do_not_count() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[5]);
    fail(&mut sim, registrar, target);
    sim.tell(others[0], init_takeover_ack(0x77));
    assert_eq!(taken_over(&sim, registrar), None);
    assert_eq!(sim.nodes[registrar].errors.last(), Some(&RecvError::Unexpected));
}

#[test]
fn a_message_of_the_target_stops_the_takeover() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[5]);
    fall_silent(&mut sim, registrar, &others);
    sim.tell(target, introduction(TARGET, target.node, false));
    assert!(given_up(&sim, registrar));
    assert_eq!(sim.peer_state(registrar, TARGET), Some(PeerState::Active));
    sim.tell(others[0], init_takeover_ack(TARGET));
    assert_eq!(taken_over(&sim, registrar), None);
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, TARGET)]);
}

#[test]
fn the_target_itself_announces_its_presence_to_all() {
    let (mut sim, registrar, _, others) = world(RegistrarConfig::new(), &[5, 6]);
    sim.hears(others[1]);
    sim.tell(others[0], init_takeover(REGISTRAR));
    for peer in others {
        let heard = sim.hears_of(peer, ty::PRESENCE);
        assert_eq!(heard.len(), 1, "to each peer, the initiator among them");
    }
    assert!(sim.enrp_sent(registrar, ty::INIT_TAKEOVER_ACK).is_empty());
}

#[test]
fn who_was_taken_over_by_mistake_announces_its_presence_and_keeps_its_elements() {
    let (mut sim, registrar, _, others) = world(RegistrarConfig::new(), &[5, 6]);
    sim.registered(&info_with_id(b"q", 3), &[registrar]);
    sim.hears(others[1]);
    sim.tell(others[0], takeover_server(REGISTRAR));
    assert_eq!(sim.hears_of(others[1], ty::PRESENCE).len(), 1);
    assert_eq!(sim.owned_by(registrar, REGISTRAR), 1);
}

#[test]
fn a_peer_that_is_not_concerned_acknowledges_and_watches_the_target_no_more() {
    let (mut sim, registrar, _, others) = world(RegistrarConfig::new(), &[5]);
    sim.tell(others[0], init_takeover(TARGET));
    assert_eq!(hears_of_takeovers(&mut sim, others[0]), [(ty::INIT_TAKEOVER_ACK, TARGET)]);
    assert_eq!(sim.peer_state(registrar, TARGET), Some(PeerState::BeingTakenOver));
    sim.keep_up(&others, secs(55));
    assert_eq!(sim.peer_state(registrar, TARGET), Some(PeerState::BeingTakenOver));
    assert!(!begun(&sim, registrar));
}

#[test]
fn a_takeover_of_a_registrar_that_is_not_known_is_acknowledged() {
    let (mut sim, _, _, others) = world(RegistrarConfig::new(), &[5]);
    sim.tell(others[0], init_takeover(0x77));
    assert_eq!(hears_of_takeovers(&mut sim, others[0]), [(ty::INIT_TAKEOVER_ACK, 0x77)]);
}

#[test]
fn of_two_initiators_the_one_with_the_smaller_identifier_gives_way() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[0x900]);
    fail(&mut sim, registrar, target);
    sim.hears(others[0]);
    sim.tell(others[0], init_takeover(TARGET));
    assert!(given_up(&sim, registrar));
    assert_eq!(sim.peer_state(registrar, TARGET), Some(PeerState::BeingTakenOver));
    assert_eq!(hears_of_takeovers(&mut sim, others[0]).last(), Some(&(ty::INIT_TAKEOVER_ACK, TARGET)));
    sim.tell(others[0], init_takeover_ack(TARGET));
    assert_eq!(taken_over(&sim, registrar), None, "it is too late for that");
    sim.tell(others[0], takeover_server(TARGET));
    assert_eq!(taken_over(&sim, registrar), Some((0x900, 1)));
}

#[test]
fn the_one_with_the_greater_identifier_ignores_the_other() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[5]);
    fail(&mut sim, registrar, target);
    sim.run_for(millis(20));
    sim.hears(others[0]);
    sim.tell(others[0], init_takeover(TARGET));
    assert!(!given_up(&sim, registrar));
    assert_eq!(hears_of_takeovers(&mut sim, others[0]), []);
    sim.tell(others[0], init_takeover_ack(TARGET));
    assert_eq!(taken_over(&sim, registrar), Some((REGISTRAR, 1)));
}

#[test]
fn among_rsplib_the_smaller_identifier_wins() {
    let mut config = RegistrarConfig::new();
    config.enrp.compat = Compat::Rsplib;
    for (other, gives_way) in [(5, true), (0x900, false)] {
        let (mut sim, registrar, target, others) = world(config.clone(), &[other]);
        fail(&mut sim, registrar, target);
        sim.tell(others[0], init_takeover(TARGET));
        assert_eq!(given_up(&sim, registrar), gives_way, "{other}");
    }
}

#[test]
fn two_different_targets_are_no_matter_of_arbitration() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[0x900, 0x901]);
    fail(&mut sim, registrar, target);
    sim.run_for(millis(20));
    sim.hears(others[0]);
    sim.tell(others[0], init_takeover(0x901));
    assert!(!given_up(&sim, registrar));
    assert_eq!(hears_of_takeovers(&mut sim, others[0]), [(ty::INIT_TAKEOVER_ACK, 0x901)]);
    // The other target is not waited for either.
    sim.tell(others[0], init_takeover_ack(TARGET));
    assert_eq!(taken_over(&sim, registrar), Some((REGISTRAR, 1)));
}

#[test]
fn a_missing_acknowledgement_is_asked_for_again_with_growing_patience() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[5]);
    fail(&mut sim, registrar, target);
    sim.keep_up(&others, secs(60));
    let times: Vec<Instant> =
        sim.enrp_sent_to(registrar, others[0].node, ty::INIT_TAKEOVER).iter().map(|sent| sent.at).collect();
    let pauses: Vec<u128> =
        times.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0]).as_secs_f64().round() as u128).collect();
    assert_eq!(pauses[..3], [5, 10, 20], "{pauses:?}");
    assert_eq!(taken_over(&sim, registrar), None);
    sim.tell(others[0], init_takeover_ack(TARGET));
    assert_eq!(taken_over(&sim, registrar), Some((REGISTRAR, 1)));
}

#[test]
fn a_peer_that_dies_during_the_arbitration_is_not_waited_for() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[5, 6]);
    sim.tell(others[1], add(b"p", owned(6, 2, 7)));
    fail(&mut sim, registrar, target);
    sim.tell(others[0], init_takeover_ack(TARGET));
    sim.lose(others[1].node, others[1].assoc);
    sim.keep_up(&others[..1], secs(7));
    assert_eq!(taken_over(&sim, registrar), Some((REGISTRAR, 1)));
    // And then it is its turn.
    sim.run_for(millis(600));
    let second = RegistrarEvent::TakeoverBegun { target: ServerId(6) };
    sim.keep_up(&others[..1], secs(6));
    assert!(sim.told_pr(registrar, second));
    sim.tell(others[0], init_takeover_ack(6));
    assert!(sim.homes(registrar).contains(&(b"p".to_vec(), 2, REGISTRAR)));
}

#[test]
fn a_peer_that_is_found_during_the_arbitration_is_asked_too() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[5]);
    fail(&mut sim, registrar, target);
    let node = sim.script();
    let (assoc, _) = sim.connect_enrp(node, registrar);
    let newcomer = Peer { node, assoc, id: 7 };
    sim.tell(newcomer, introduction(7, node, true));
    assert_eq!(hears_of_takeovers(&mut sim, newcomer), [(ty::INIT_TAKEOVER, TARGET)]);
    sim.tell(others[0], init_takeover_ack(TARGET));
    assert_eq!(taken_over(&sim, registrar), None);
    sim.tell(newcomer, init_takeover_ack(TARGET));
    assert_eq!(taken_over(&sim, registrar), Some((REGISTRAR, 1)));
}

#[test]
fn if_the_initiator_dies_another_one_takes_up_the_matter() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[0x900]);
    sim.lose(target.node, target.assoc);
    sim.tell(others[0], init_takeover(TARGET));
    sim.lose(others[0].node, others[0].assoc);
    sim.run_secs(60);
    assert!(!begun(&sim, registrar));
    sim.run_secs(7);
    assert_eq!(taken_over(&sim, registrar), Some((REGISTRAR, 1)));
}

#[test]
fn takeover_server_gives_the_elements_a_new_home_and_removes_the_target() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[5, 6]);
    let checksum = sim.checksum_at(registrar, TARGET);
    sim.tell(others[0], takeover_server(TARGET));
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, 5)]);
    assert_eq!((sim.checksum_at(registrar, 5), sim.checksum_at(registrar, TARGET)), (checksum, 0xffff));
    assert_eq!(sim.peer_view(registrar, TARGET), None);
    assert_eq!(taken_over(&sim, registrar), Some((5, 1)));
    assert_eq!(sim.pr(registrar).stats().takeovers, 0);
    sim.run_for(millis(20));
    assert!(sim.associations(target.node).is_empty());
    assert!(sim.sent(registrar, KEEP_ALIVE).is_empty(), "the new home asks them");
}

#[test]
fn a_takeover_of_the_sender_itself_or_of_nobody_is_refused() {
    let (mut sim, registrar, _, others) = world(RegistrarConfig::new(), &[5]);
    sim.tell(others[0], add(b"q", owned(5, 2, 7)));
    for target in [5, 0] {
        sim.tell(others[0], init_takeover(target));
        sim.tell(others[0], takeover_server(target));
    }
    assert_eq!(sim.nodes[registrar].errors, [RecvError::Unexpected; 4]);
    assert_eq!(sim.peer_state(registrar, 5), Some(PeerState::Active));
    assert_eq!(sim.owned_by(registrar, 5), 1);
}

#[test]
fn a_takeover_server_during_ones_own_arbitration_ends_it() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[5, 6]);
    fail(&mut sim, registrar, target);
    sim.tell(others[0], takeover_server(TARGET));
    assert!(given_up(&sim, registrar));
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, 5)]);
    for peer in &others {
        sim.tell(*peer, init_takeover_ack(TARGET));
    }
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, 5)]);
}

/// An element that can be reached, and three registrars; its home dies.
fn cluster_with_element(asap_port: u16) -> (Sim, [NodeId; 3], NodeId, NodeId) {
    let mut sim = Sim::new(4);
    let all = sim.cluster::<3>(&RegistrarConfig::new());
    let config = EndpointConfig { asap_port, ..EndpointConfig::new() };
    let element = sim.element_with(config, &all);
    let key = sim.register(element, &info_with_id(b"p", 3));
    assert!(sim.run_until(|s| s.told_pe(element, rserpool_core::ElementEvent::Registered(key)), secs(5)));
    sim.run_secs(1);
    let home = sim.home_of(element).unwrap();
    (sim, all, element, home)
}

#[test]
fn the_elements_are_asked_to_adopt_the_winner() {
    let (mut sim, all, element, home) = cluster_with_element(3863);
    // The element itself notices nothing: its association hangs, and no other registrar can be reached from there.
    let target = sim.id_of(home);
    sim.nodes[element].dialled.clear();
    for n in all {
        sim.nodes[n].answer = Answer::Refuse;
    }
    sim.kill(home);
    let survivors: Vec<NodeId> = all.into_iter().filter(|n| *n != home).collect();
    sim.run_secs(8);
    let done = sim.events_of(survivors[0]).into_iter().find_map(|event| match event {
        RegistrarEvent::TakenOver { target: t, by, elements } if t.0 == target => Some((by, elements)),
        _ => None,
    });
    let (by, elements) = done.expect("it is taken over");
    assert_eq!(elements, 1);
    let winner = *survivors.iter().find(|n| sim.id_of(**n) == by.0).unwrap();
    let asked: Vec<_> = sim.sent(winner, KEEP_ALIVE);
    let AsapMessage::EndpointKeepAlive(asked) = asked[0].message() else { panic!() };
    assert!(asked.adopt && asked.server == by, "H=1");
    assert_eq!(sim.home_of(element), Some(winner));
    for n in survivors {
        assert_eq!(sim.homes(n), [(b"p".to_vec(), 3, by.0)]);
    }
}

#[test]
fn an_element_that_cannot_be_reached_any_more_is_removed_everywhere() {
    let (mut sim, all, element, home) = cluster_with_element(3863);
    sim.kill(home);
    sim.kill(element);
    let survivors: Vec<NodeId> = all.into_iter().filter(|n| *n != home).collect();
    sim.run_secs(20);
    for n in survivors {
        assert_eq!(sim.homes(n), []);
    }
}

#[test]
fn an_element_that_does_not_answer_to_the_winner_is_removed() {
    let (mut sim, registrar, target, _) = world(RegistrarConfig::new(), &[]);
    let element = sim.script();
    let at = Some(Transport::Tcp(address_of(element)));
    sim.tell(target, add(b"p", PoolElementParam { asap_transport: at, ..owned(TARGET, 1, 7) }));
    sim.lose(target.node, target.assoc);
    assert!(sim.run_until(|s| taken_over(s, registrar).is_some(), secs(6)));
    sim.run_for(millis(4_900));
    assert_eq!(sim.owned_by(registrar, REGISTRAR), 1);
    let heard = sim.received(element);
    let AsapMessage::EndpointKeepAlive(asked) = AsapMessage::parse(&heard[0].1).unwrap().message else { panic!() };
    assert!(asked.adopt);
    assert_eq!((asked.pool_handle, asked.id), (handle(b"p"), Some(PeId(1))));
    sim.run_for(millis(600));
    assert_eq!(sim.elements_at(registrar), 0);
    let removed = RegistrarEvent::Removed { id: PeId(1), reason: RemovalReason::Unreachable };
    assert!(sim.told_pr(registrar, removed));
    sim.run_secs(1);
    assert!(sim.associations(element).is_empty(), "the association serves no more");
}

#[test]
fn an_element_that_answers_to_the_winner_stays() {
    let (mut sim, registrar, target, _) = world(RegistrarConfig::new(), &[]);
    let element = sim.script();
    let at = Some(Transport::Tcp(address_of(element)));
    sim.tell(target, add(b"p", PoolElementParam { asap_transport: at, ..owned(TARGET, 1, 7) }));
    sim.lose(target.node, target.assoc);
    assert!(sim.run_until(|s| taken_over(s, registrar).is_some(), secs(6)));
    sim.run_for(millis(100));
    let assoc = sim.received(element)[0].0;
    sim.send(element, assoc, ack(b"p", 1));
    sim.run_secs(12);
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, REGISTRAR)]);
}

/// RFC 5352, 3.4, KA2.4: it looks for a registrar itself, finds the winner, and then hears from it by the other association.
#[test]
fn an_element_that_comes_while_it_is_asked_may_take_either_association() {
    let (mut sim, registrar, target, _) = world(RegistrarConfig::new(), &[]);
    let element = sim.script();
    let at = Some(Transport::Tcp(address_of(element)));
    sim.tell(target, add(b"p", PoolElementParam { asap_transport: at, ..owned(TARGET, 1, 7) }));
    sim.lose(target.node, target.assoc);
    assert!(sim.run_until(|s| taken_over(s, registrar).is_some(), secs(6)));
    sim.run_for(millis(100));
    let asked = sim.received(element)[0].0;
    let (own, _) = sim.connect(element, registrar);
    sim.send(element, own, registration(b"p", PoolElementParam { asap_transport: at, ..param(1, 7) }));
    sim.run_for(millis(100));
    sim.send(element, asked, ack(b"p", 1));
    sim.run_for(millis(100));
    sim.lose(element, own);
    sim.run_secs(12);
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, REGISTRAR)]);
}

#[test]
fn several_elements_behind_one_transport_share_an_association() {
    let (mut sim, registrar, target, _) = world(RegistrarConfig::new(), &[]);
    let element = sim.script();
    let at = Some(Transport::Tcp(address_of(element)));
    for id in 1..10 {
        sim.tell(target, add(b"p", PoolElementParam { asap_transport: at, ..owned(TARGET, id, 7) }));
    }
    sim.lose(target.node, target.assoc);
    assert!(sim.run_until(|s| taken_over(s, registrar).is_some(), secs(6)));
    sim.run_secs(1);
    let heard = sim.received(element);
    let asked: std::collections::BTreeSet<u32> = heard
        .iter()
        .map(|(_, bytes)| match AsapMessage::parse(bytes).unwrap().message {
            AsapMessage::EndpointKeepAlive(m) => m.id.unwrap().0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(asked, (1..10).collect());
    assert_eq!(sim.nodes[registrar].dialled.iter().filter(|(_, to)| *to == element).count(), 1);
}

#[test]
fn more_elements_than_can_be_dialled_at_once_are_all_asked_in_time() {
    let (mut sim, registrar, target, _) = world(RegistrarConfig::new(), &[]);
    let elements: Vec<NodeId> = (0..16).map(|_| sim.script()).collect();
    for (id, node) in elements.iter().enumerate() {
        let at = Some(Transport::Tcp(address_of(*node)));
        sim.tell(target, add(b"p", PoolElementParam { asap_transport: at, ..owned(TARGET, 100 + id as u32, 7) }));
    }
    sim.tell(target, delete(b"p", owned(TARGET, 1, 7)));
    sim.lose(target.node, target.assoc);
    assert!(sim.run_until(|s| taken_over(s, registrar).is_some(), secs(6)));
    for _ in 0..40 {
        sim.run_for(millis(50));
        for (id, node) in elements.iter().enumerate() {
            for (assoc, _) in sim.received(*node) {
                sim.send(*node, assoc, ack(b"p", 100 + id as u32));
            }
        }
    }
    sim.run_secs(6);
    assert_eq!(sim.owned_by(registrar, REGISTRAR), 16);
}

#[test]
fn an_update_that_suggests_a_takeover_makes_the_receiver_ask_the_element() {
    let (mut sim, registrar, target, others) = world(RegistrarConfig::new(), &[5]);
    let element = sim.script();
    let at = Some(Transport::Tcp(address_of(element)));
    let told = PoolElementParam { asap_transport: at, ..owned(TARGET, 2, 7) };
    sim.tell(target, add(b"p", told));
    sim.hears(others[0]);
    sim.tell(target, HandleUpdate { takeover_suggested: true, ..add(b"p", told) });
    sim.run_for(millis(100));
    let (assoc, bytes) = sim.received(element).remove(0);
    let AsapMessage::EndpointKeepAlive(asked) = AsapMessage::parse(&bytes).unwrap().message else { panic!() };
    assert!(asked.adopt);
    assert_eq!(sim.homes(registrar)[1], (b"p".to_vec(), 2, TARGET), "not before it agrees");
    sim.send(element, assoc, ack(b"p", 2));
    sim.run_for(millis(100));
    assert_eq!(sim.homes(registrar)[1], (b"p".to_vec(), 2, REGISTRAR));
    let heard = sim.hears_of(others[0], ty::UPDATE);
    let EnrpBody::HandleUpdate(update) = EnrpMessage::parse(&heard[0]).unwrap().message.body else { panic!() };
    assert_eq!((update.action, update.element.home), (UpdateAction::Add, ServerId(REGISTRAR)));
}

#[test]
fn registrars_that_all_notice_at_once_agree_on_one_successor() {
    for seed in 0..20 {
        let mut sim = Sim::new(seed);
        let all = sim.cluster::<5>(&RegistrarConfig::new());
        let (element, _) = sim.registered(&info_with_id(b"p", 3), &[all[2]]);
        sim.run_secs(1);
        sim.kill(all[2]);
        sim.kill(element);
        let survivors: Vec<NodeId> = all.into_iter().filter(|n| *n != all[2]).collect();
        let told = |s: &Sim, n: NodeId| s.events_of(n).iter().any(|e| matches!(e, RegistrarEvent::TakenOver { .. }));
        assert!(sim.run_until(|s| survivors.iter().all(|n| told(s, *n)), secs(30)), "seed {seed}");
        let winners: std::collections::BTreeSet<u32> = survivors
            .iter()
            .flat_map(|n| sim.events_of(*n))
            .filter_map(|event| if let RegistrarEvent::TakenOver { by, .. } = event { Some(by.0) } else { None })
            .collect();
        assert_eq!(winners.len(), 1, "seed {seed}");
        assert_eq!(survivors.iter().map(|n| sim.pr(*n).stats().takeovers).sum::<u64>(), 1);
    }
}
