//! The audit of the handlespace and its re-synchronisation (RFC 5353, 3.6).

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::enrp::HandleTableRequest;
use rserpool_core::wire::{ChecksumAccumulator, EnrpBody, EnrpMessage, Lifetime, PoolElementParam, element_sum};
use rserpool_core::{PeId, RecvError, RegistrarConfig, RegistrarEvent, RemovalReason, ServerId};

const REGISTRAR: u32 = 0x100;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A registrar with the peers 5, which owns 1 and 2 of pool "p", and 6, which owns 3.
fn world() -> (Sim, NodeId, Peer, Peer) {
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar(&[]);
    let (peer, other) = (sim.enrp_peer(registrar, 5), sim.enrp_peer(registrar, 6));
    for id in [1, 2] {
        sim.tell(peer, add(b"p", owned(5, id, 7)));
    }
    sim.tell(other, add(b"p", owned(6, 3, 7)));
    sim.hears(peer);
    sim.hears(other);
    (sim, registrar, peer, other)
}

/// RFC 5353, 3.6.2.
fn checksum_of(elements: &[(&[u8], u32)]) -> u16 {
    let mut all = ChecksumAccumulator::new();
    for (pool, id) in elements {
        all.add(element_sum(pool, PeId(*id)));
    }
    all.value()
}

/// The peer says that it owns these.
fn claims(sim: &mut Sim, peer: Peer, elements: &[(&[u8], u32)]) {
    sim.tell(peer, presence(false, Some(checksum_of(elements))));
}

/// The time in which another registrar could claim what is not listed.
fn nobody_claims_it(sim: &mut Sim) {
    sim.run_secs(3);
}

fn requests(sim: &Sim, registrar: NodeId) -> usize {
    sim.enrp_sent(registrar, ty::TABLE_REQUEST).len()
}

fn resynchronised(sim: &Sim, registrar: NodeId) -> Vec<(u32, u32)> {
    let events = sim.events_of(registrar).into_iter();
    let done = events.filter_map(|event| match event {
        RegistrarEvent::Resynchronised { peer, removed } => Some((peer.0, removed)),
        _ => None,
    });
    done.collect()
}

#[test]
fn the_copy_of_a_peers_elements_has_the_checksum_of_its_identifiers() {
    let (sim, registrar, ..) = world();
    assert_eq!(sim.checksum_at(registrar, 5), checksum_of(&[(b"p", 1), (b"p", 2)]));
    assert_eq!(sim.checksum_at(registrar, 6), checksum_of(&[(b"p", 3)]));
    assert_eq!(sim.checksum_at(registrar, REGISTRAR), checksum_of(&[]));
}

#[test]
fn presences_tell_the_checksum_as_it_is_at_that_moment() {
    let (mut sim, registrar, peer, _) = world();
    for n in 0..3 {
        if n > 0 {
            sim.registered(&info_with_id(b"own", n), &[registrar]);
        }
        sim.hears(peer);
        sim.tell(peer, presence(true, None));
        let heard = sim.hears_of(peer, ty::PRESENCE);
        let EnrpBody::Presence(presence) = EnrpMessage::parse(&heard[0]).unwrap().message.body else { panic!() };
        let own: Vec<(&[u8], u32)> = (1..=n).map(|id| (&b"own"[..], id)).collect();
        assert_eq!(presence.checksum, Some(checksum_of(&own)));
    }
}

#[test]
fn equal_checksums_are_no_reason_to_do_anything() {
    let (mut sim, registrar, peer, _) = world();
    claims(&mut sim, peer, &[(b"p", 1), (b"p", 2)]);
    sim.tell(peer, presence(false, None));
    assert_eq!(requests(&sim, registrar), 0);
}

#[test]
fn another_checksum_leads_to_a_request_for_what_the_peer_owns_at_once() {
    let (mut sim, registrar, peer, _) = world();
    claims(&mut sim, peer, &[(b"p", 1)]);
    let heard = sim.hears_of(peer, ty::TABLE_REQUEST);
    let message = EnrpMessage::parse(&heard[0]).unwrap().message;
    assert_eq!((message.sender, message.receiver), (ServerId(REGISTRAR), ServerId(5)));
    assert_eq!(message.body, EnrpBody::HandleTableRequest(HandleTableRequest { own_children_only: true }));
    assert_eq!(requests(&sim, registrar), 1);
}

#[test]
fn what_the_peer_does_not_list_is_removed_and_what_it_lists_is_replaced() {
    let (mut sim, registrar, peer, other) = world();
    claims(&mut sim, peer, &[(b"p", 2), (b"q", 4)]);
    let before = sim.space(registrar);
    sim.table(peer, false, &[(b"p", &[owned(5, 2, 8)]), (b"q", &[owned(5, 4, 7)])]);
    nobody_claims_it(&mut sim);
    let after = sim.space(registrar);
    let homes = [(b"p".to_vec(), 2, 5), (b"p".to_vec(), 3, 6), (b"q".to_vec(), 4, 5)];
    assert_eq!(sim.homes(registrar), homes);
    assert_ne!(before[1].3, after[0].3, "replaced");
    assert_eq!(resynchronised(&sim, registrar), [(5, 1)]);
    let removed = RegistrarEvent::Removed { id: PeId(1), reason: RemovalReason::Unlisted };
    assert!(sim.told_pr(registrar, removed));
    // Silently: it is not the registrar's to announce.
    assert!(sim.enrp_sent(registrar, ty::UPDATE).is_empty());
    assert!(sim.hears(other).is_empty());
    claims(&mut sim, peer, &[(b"p", 2), (b"q", 4)]);
    assert_eq!(requests(&sim, registrar), 1, "now they agree");
}

#[test]
fn nothing_is_removed_before_the_last_page() {
    let (mut sim, registrar, peer, _) = world();
    claims(&mut sim, peer, &[(b"p", 2), (b"p", 4)]);
    sim.table(peer, true, &[(b"p", &[owned(5, 4, 7)])]);
    assert_eq!(sim.owned_by(registrar, 5), 3);
    assert_eq!(requests(&sim, registrar), 2, "the next page");
    let EnrpBody::HandleTableRequest(request) = sim.enrp_sent(registrar, ty::TABLE_REQUEST)[1].enrp().body else {
        panic!()
    };
    assert!(request.own_children_only);
    sim.table(peer, false, &[(b"p", &[owned(5, 2, 7)])]);
    nobody_claims_it(&mut sim);
    assert_eq!(sim.owned_by(registrar, 5), 2);
    assert_eq!(resynchronised(&sim, registrar), [(5, 1)]);
}

#[test]
fn a_peer_that_owns_nothing_any_more_sends_an_empty_page() {
    let (mut sim, registrar, peer, _) = world();
    claims(&mut sim, peer, &[]);
    sim.table(peer, false, &[]);
    nobody_claims_it(&mut sim);
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 3, 6)]);
    assert_eq!(resynchronised(&sim, registrar), [(5, 2)]);
}

/// 3.6.3, step 5. Its home has given it up for another registrar that asks the element, and tells all when it has answered.
#[test]
fn what_another_registrar_claims_soon_after_its_home_has_not_listed_it_is_not_removed() {
    let (mut sim, registrar, peer, other) = world();
    claims(&mut sim, peer, &[(b"p", 2)]);
    sim.table(peer, false, &[(b"p", &[owned(5, 2, 7)])]);
    sim.run_secs(1);
    sim.tell(other, add(b"p", owned(6, 1, 7)));
    sim.run_secs(10);
    let homes = [(b"p".to_vec(), 1, 6), (b"p".to_vec(), 2, 5), (b"p".to_vec(), 3, 6)];
    assert_eq!(sim.homes(registrar), homes);
}

#[test]
fn elements_that_come_and_go_during_a_re_synchronisation_are_as_the_updates_say() {
    let (mut sim, registrar, peer, _) = world();
    claims(&mut sim, peer, &[(b"p", 2)]);
    sim.table(peer, true, &[(b"p", &[owned(5, 2, 7)])]);
    // An update about what was listed, one about what was not, and a new element.
    sim.tell(peer, delete(b"p", owned(5, 2, 7)));
    sim.tell(peer, add(b"p", owned(5, 1, 7)));
    sim.tell(peer, add(b"p", owned(5, 9, 7)));
    sim.table(peer, false, &[]);
    let homes = [(b"p".to_vec(), 1, 5), (b"p".to_vec(), 3, 6), (b"p".to_vec(), 9, 5)];
    assert_eq!(sim.homes(registrar), homes);
}

#[test]
fn an_element_that_changes_its_home_during_a_re_synchronisation_is_not_removed() {
    let (mut sim, registrar, peer, other) = world();
    claims(&mut sim, peer, &[(b"p", 2)]);
    sim.tell(other, add(b"p", owned(6, 1, 7)));
    sim.table(peer, false, &[(b"p", &[owned(5, 2, 7)])]);
    let homes = [(b"p".to_vec(), 1, 6), (b"p".to_vec(), 2, 5), (b"p".to_vec(), 3, 6)];
    assert_eq!(sim.homes(registrar), homes);
    assert_eq!(resynchronised(&sim, registrar), [(5, 0)]);
}

#[test]
fn what_another_registrar_owns_is_not_taken_from_an_answer_with_w() {
    let (mut sim, registrar, peer, _) = world();
    claims(&mut sim, peer, &[(b"p", 1)]);
    sim.table(peer, false, &[(b"p", &[owned(5, 1, 7), owned(6, 4, 7), owned(REGISTRAR, 5, 7)])]);
    nobody_claims_it(&mut sim);
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, 5), (b"p".to_vec(), 3, 6)]);
}

#[test]
fn the_same_peer_is_not_asked_again_within_the_resync_interval() {
    let (mut sim, registrar, peer, _) = world();
    let mut answered = 0;
    let begin = sim.now;
    // It lies.
    while sim.now < begin + secs(60) {
        claims(&mut sim, peer, &[(b"x", 99)]);
        if requests(&sim, registrar) > answered {
            answered += 1;
            sim.table(peer, false, &[(b"p", &[owned(5, 1, 7)])]);
        }
        sim.run_for(millis(200));
    }
    assert!((11..=13).contains(&answered), "{answered} in a minute");
}

#[test]
fn a_peer_that_refuses_is_asked_again_after_the_resync_interval() {
    let (mut sim, registrar, peer, _) = world();
    claims(&mut sim, peer, &[(b"p", 1)]);
    sim.refuse_table(peer);
    assert_eq!(sim.owned_by(registrar, 5), 2, "nothing is removed");
    assert_eq!(resynchronised(&sim, registrar), []);
    claims(&mut sim, peer, &[(b"p", 1)]);
    assert_eq!(requests(&sim, registrar), 1);
    sim.run_secs(6);
    claims(&mut sim, peer, &[(b"p", 1)]);
    assert_eq!(requests(&sim, registrar), 2);
    sim.table(peer, false, &[(b"p", &[owned(5, 1, 7)])]);
    assert_eq!(resynchronised(&sim, registrar), [(5, 1)]);
}

#[test]
fn an_answer_that_does_not_come_in_time_changes_nothing_and_is_not_waited_for_for_ever() {
    let (mut sim, registrar, peer, _) = world();
    claims(&mut sim, peer, &[(b"p", 1)]);
    sim.run_for(millis(5_100));
    assert_eq!(sim.owned_by(registrar, 5), 2);
    // Too late.
    sim.table(peer, false, &[]);
    assert_eq!(sim.owned_by(registrar, 5), 2);
    assert_eq!(sim.nodes[registrar].errors.last(), Some(&RecvError::Unexpected));
    sim.run_secs(12);
    claims(&mut sim, peer, &[(b"p", 1)]);
    assert_eq!(requests(&sim, registrar), 2);
}

#[test]
fn a_table_that_was_not_asked_for_changes_nothing() {
    let (mut sim, registrar, peer, other) = world();
    claims(&mut sim, other, &[]);
    let before = sim.space(registrar);
    sim.table(peer, false, &[(b"p", &[owned(5, 9, 7)])]);
    assert_eq!(sim.space(registrar), before);
    assert_eq!(sim.nodes[registrar].errors.last(), Some(&RecvError::Unexpected));
}

#[test]
fn after_an_association_was_lost_the_peers_elements_are_read_anew() {
    let (mut sim, registrar, peer, _) = world();
    sim.lose(peer.node, peer.assoc);
    sim.run_secs(1);
    let (assoc, _) = sim.connect_enrp(peer.node, registrar);
    let again = Peer { assoc, ..peer };
    let checksum = Some(checksum_of(&[(b"p", 1), (b"p", 2)]));
    sim.say(again, rserpool_core::wire::enrp::Presence { checksum, ..introduction(5, peer.node, true) });
    sim.run_for(millis(25));
    // The checksum is the same, but values may have changed of which it does not tell.
    assert_eq!(requests(&sim, registrar), 1);
    let changed = PoolElementParam { lifetime: Lifetime::from_secs(99), ..owned(5, 1, 7) };
    sim.table(again, false, &[(b"p", &[changed, owned(5, 2, 7)])]);
    let space = sim.pr(registrar).handlespace();
    let element = space.find_element(space.find_pool(handle(b"p")).unwrap(), PeId(1)).unwrap();
    assert_eq!(space.element(element).unwrap().lifetime, Lifetime::from_secs(99));
}

#[test]
fn an_element_that_is_connected_here_is_asked_before_a_table_is_believed() {
    let (mut sim, registrar, peer, _) = world();
    sim.registered(&info_with_id(b"p", 9), &[registrar]);
    claims(&mut sim, peer, &[(b"p", 1), (b"p", 2), (b"p", 9)]);
    sim.table(peer, false, &[(b"p", &[owned(5, 1, 7), owned(5, 2, 7), owned(5, 9, 7)])]);
    sim.run_secs(2);
    assert!(sim.homes(registrar).contains(&(b"p".to_vec(), 9, REGISTRAR)));
}

#[test]
fn a_lost_delete_is_found_by_the_next_heartbeat() {
    let mut config = RegistrarConfig::new();
    config.enrp.peer_heartbeat_cycle = secs(10);
    let mut sim = Sim::new(1);
    let [a, b, c] = sim.cluster::<3>(&config);
    let (element, key) = sim.registered(&info_with_id(b"p", 3), &[a]);
    sim.run_secs(6);
    assert!([b, c].iter().all(|n| sim.elements_at(*n) == 1));
    sim.nodes[c].deaf = true;
    sim.pe(element, |pe, now| pe.deregister(now, key)).unwrap();
    sim.run_secs(1);
    sim.nodes[c].deaf = false;
    assert_eq!((sim.elements_at(b), sim.elements_at(c)), (0, 1));
    sim.run_secs(11);
    assert_eq!(sim.elements_at(c), 0);
    assert_eq!(sim.pr(c).stats().resynchronisations, 1);
}

#[test]
fn copies_converge_while_elements_go_on_registering() {
    let mut config = RegistrarConfig::new();
    config.enrp.peer_heartbeat_cycle = secs(5);
    config.enrp.table_page_len = 200;
    let mut sim = Sim::new(1);
    let [a, b] = sim.cluster::<2>(&config);
    let script = sim.script();
    let (assoc, _) = sim.connect(script, a);
    for id in 1..16 {
        sim.send(script, assoc, registration(b"p", param(id, 7)));
    }
    sim.run_secs(1);
    sim.nodes[b].deaf = true;
    for id in 1..8 {
        sim.send(script, assoc, deregistration(b"p", id));
    }
    sim.run_secs(1);
    sim.nodes[b].deaf = false;
    assert_ne!(sim.space(a), sim.space(b));
    for n in 0..400 {
        let id = 100 + n % 10;
        if n % 20 < 10 {
            sim.send(script, assoc, registration(b"p", param(id, 7)));
        } else {
            sim.send(script, assoc, deregistration(b"p", id));
        }
        sim.run_for(millis(50));
        // It answers to keep-alives.
        for (on, bytes) in sim.received(script) {
            if let Ok(parsed) = rserpool_core::wire::AsapMessage::parse(&bytes)
                && let rserpool_core::wire::AsapMessage::EndpointKeepAlive(asked) = parsed.message
            {
                sim.send(script, on, ack(b"p", asked.id.unwrap().0));
            }
        }
    }
    sim.run_for(millis(100));
    assert_eq!(sim.space(a), sim.space(b));
    assert!(sim.pr(b).stats().resynchronisations >= 1);
}

/// Each page comes in time, and says that there is more.
#[test]
fn tables_without_end_do_not_keep_others_from_being_read() {
    let (mut sim, registrar, peer, other) = world();
    // More than are read at once.
    let endless: Vec<Peer> = (10..16).map(|id| sim.enrp_peer(registrar, id)).collect();
    for bad in &endless {
        sim.tell(*bad, presence(false, Some(7)));
    }
    claims(&mut sim, peer, &[(b"p", 1)]);
    let asked = |sim: &Sim, node| !sim.enrp_sent_to(registrar, node, ty::TABLE_REQUEST).is_empty();
    for second in 0..60 {
        for bad in &endless {
            // Nothing, or always the same.
            let known = [owned(bad.id, 1, 7)];
            let entries: &[(&[u8], &[PoolElementParam<'_>])] = if second % 2 == 0 { &[] } else { &[(b"q", &known)] };
            sim.table(*bad, true, entries);
            sim.tell(*bad, presence(false, Some(7)));
        }
        sim.tell(other, presence(false, None));
        if asked(&sim, peer.node) {
            sim.table(peer, false, &[(b"p", &[owned(5, 1, 7)])]);
            break;
        }
        sim.tell(peer, presence(false, None));
        sim.run_secs(1);
    }
    assert_eq!(resynchronised(&sim, registrar), [(5, 1)]);
    nobody_claims_it(&mut sim);
    assert_eq!(sim.owned_by(registrar, 5), 1);
}
