//! The start of a registrar (RFC 5353, 3.2).

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::enrp::{HandleTableRequest, ListRequest, ListResponse};
use rserpool_core::wire::{EnrpBody, List, Policy, ServerInformation, Transport};
use rserpool_core::{RegistrarConfig, RegistrarEvent, ServerId};

/// A script that is somebody's only mentor, and has been greeted by it and answered.
fn greeted(sim: &mut Sim) -> (Peer, usize) {
    let mentor = sim.script();
    let registrar = sim.registrar_among(RegistrarConfig::new(), &[mentor]);
    sim.run_secs(1);
    let peer = sim.dialled_peer(mentor, 0x77);
    sim.tell(peer, presence(mentor, 0x77, false));
    (peer, registrar)
}

fn no_servers() -> ListResponse<'static> {
    ListResponse { rejected: false, servers: List::empty() }
}

fn refused_list() -> ListResponse<'static> {
    ListResponse { rejected: true, servers: List::empty() }
}

/// 3.2.2.1: "If no existing peer server is specified, the initiating server MUST assume that it is alone".
#[test]
fn a_registrar_that_was_told_of_no_peer_serves_at_once() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    assert!(sim.pr(registrar).is_serving());
    sim.run_secs(600);
    assert!(sim.trace.is_empty());
}

/// 3.2.2.2 and 3.2.3, steps 1 to 5.
#[test]
fn the_mentor_is_asked_for_its_list_and_then_for_its_handlespace() {
    let mut sim = Sim::new(1);
    let (peer, registrar) = greeted(&mut sim);
    let own = sim.id_of(registrar);
    let first = sim.enrp_sent(registrar, PRESENCE)[0];
    assert_eq!((first.enrp().sender, first.enrp().receiver), (ServerId(own), ServerId::NONE));
    assert_eq!(sim.enrp_sent(registrar, LIST_REQUEST)[0].enrp().body, EnrpBody::ListRequest(ListRequest));
    assert_eq!(sim.enrp_count(registrar, TABLE_REQUEST), 0);
    assert!(!sim.pr(registrar).is_serving());

    let third = sim.script();
    let listed = [ServerInformation { id: ServerId(0x33), transport: Transport::Tcp(enrp_address(third)) }];
    sim.tell(peer, ListResponse { rejected: false, servers: List::new(&listed) });
    assert_eq!(sim.peer_view(registrar, 0x33).unwrap().address, Some(enrp_address(third)));
    assert!(sim.nodes[registrar].dialled.iter().any(|(_, n)| *n == third), "a listed peer is spoken to");

    let request = HandleTableRequest { own_children_only: false };
    assert_eq!(sim.enrp_sent(registrar, TABLE_REQUEST)[0].enrp().body, EnrpBody::HandleTableRequest(request));
    let bytes = page(0x77, true, b"echo", &[owned_by(0x77, 1), owned_by(0x33, 2)]);
    sim.send_bytes(peer.node, peer.assoc, &bytes);
    sim.run_secs(1);
    assert_eq!(sim.enrp_count(registrar, TABLE_REQUEST), 2, "after a page with M comes another request");
    assert!(!sim.pr(registrar).is_serving());
    let bytes = page(0x77, false, b"fax", &[owned_by(0x77, 3)]);
    sim.send_bytes(peer.node, peer.assoc, &bytes);
    sim.run_secs(1);
    assert_eq!(sim.enrp_count(registrar, TABLE_REQUEST), 2);
    assert!(sim.pr(registrar).is_serving());
    assert!(sim.told(registrar, RegistrarEvent::Serving { mentor: Some(ServerId(0x77)) }));
    let expected = [(b"echo".to_vec(), 1, 0x77), (b"echo".to_vec(), 2, 0x33), (b"fax".to_vec(), 3, 0x77)];
    assert_eq!(sim.space(registrar), expected);
}

/// 3.2.3, step 4, rules A to C.
#[test]
fn a_page_makes_pools_adds_elements_and_replaces_attributes() {
    let mut sim = Sim::new(1);
    let (peer, registrar) = greeted(&mut sim);
    sim.tell(peer, no_servers());
    let weighted = |id, weight| {
        let policy = Policy::WeightedRoundRobin { weight };
        rserpool_core::wire::PoolElementParam { policy, ..owned_by(0x77, id) }
    };
    for elements in [&[weighted(1, 5)][..], &[weighted(2, 6)], &[weighted(1, 7)]] {
        let bytes = page(0x77, true, b"echo", elements);
        sim.send_bytes(peer.node, peer.assoc, &bytes);
        sim.run_secs(1);
    }
    let space = sim.pr(registrar).handlespace();
    let pool = space.find_pool(handle(b"echo")).unwrap();
    assert_eq!(space.pool(pool).unwrap().policy_type, 2, "the pool has the policy of its first element");
    let policy = |id| space.element(space.find_element(pool, rserpool_core::PeId(id)).unwrap()).unwrap().policy();
    assert_eq!(policy(1), Some(Policy::WeightedRoundRobin { weight: 7 }));
    assert_eq!(policy(2), Some(Policy::WeightedRoundRobin { weight: 6 }));
    let element = space.element(space.find_element(pool, rserpool_core::PeId(1)).unwrap()).unwrap();
    assert_eq!(element.asap_transport(), owned_by(0x77, 1).asap_transport);
    assert_eq!(element.user_transport(), Some(owned_by(0x77, 1).user_transport));
}

/// 3.2.2.2 and 3.2.3: MAX-TIME-NO-RESPONSE, 5 s, for the list as well as for each page.
#[test]
fn a_mentor_that_does_not_answer_is_given_up_for_another_one() {
    for silent_at in ["presence", "list", "table"] {
        let mut sim = Sim::new(1);
        let (a, b) = (sim.script(), sim.script());
        let registrar = sim.registrar_among(RegistrarConfig::new(), &[a, b]);
        sim.run_secs(1);
        let [a, b] = [a, b].map(|n| sim.dialled_peer(n, 0x70 + n as u32));
        for peer in [a, b] {
            if silent_at != "presence" {
                sim.say(peer, presence(peer.node, peer.id, false));
            }
        }
        sim.run_for(Duration::from_millis(500));
        let asked = |sim: &Sim, peer: Peer, ty| sim.enrp_to(registrar, peer.node, ty).len();
        if silent_at == "presence" {
            sim.run_secs(6);
            // The second one is asked as soon as it is known.
            sim.say(b, presence(b.node, b.id, false));
            sim.say(a, presence(a.node, a.id, false));
            sim.run_secs(1);
            assert!(asked(&sim, a, LIST_REQUEST) + asked(&sim, b, LIST_REQUEST) >= 1, "{silent_at}");
            continue;
        }
        let (first, second) = if asked(&sim, a, LIST_REQUEST) == 1 { (a, b) } else { (b, a) };
        assert_eq!((asked(&sim, first, LIST_REQUEST), asked(&sim, second, LIST_REQUEST)), (1, 0));
        if silent_at == "table" {
            sim.say(first, no_servers());
            sim.run_for(Duration::from_millis(500));
            assert_eq!(asked(&sim, first, TABLE_REQUEST), 1);
        }
        sim.run_for(Duration::from_millis(4000));
        assert_eq!(asked(&sim, second, LIST_REQUEST), 0, "{silent_at}: not before MAX-TIME-NO-RESPONSE");
        sim.run_for(Duration::from_millis(1500));
        assert_eq!(asked(&sim, second, LIST_REQUEST), 1, "{silent_at}: the backup mentor");
        sim.tell(second, no_servers());
        let bytes = page(second.id, false, b"none", &[]);
        sim.send_bytes(second.node, second.assoc, &bytes);
        sim.run_secs(1);
        assert!(sim.told(registrar, RegistrarEvent::Serving { mentor: Some(ServerId(second.id)) }));
    }
}

/// 3.2.2.2 and 3.2.3: "wait for a few seconds and re-send". The refused one has the smaller identifier, so it waits.
#[test]
fn a_mentor_that_refuses_is_asked_again_after_a_while() {
    let mut sim = Sim::new(1);
    let mentor = sim.script();
    let config = RegistrarConfig { id: ServerId(5), ..RegistrarConfig::new() };
    let registrar = sim.registrar_among(config, &[mentor]);
    sim.run_secs(1);
    let peer = sim.dialled_peer(mentor, 0x77);
    sim.tell(peer, presence(mentor, 0x77, false));
    sim.say(peer, refused_list());
    sim.run_for(Duration::from_millis(1200));
    assert_eq!(sim.enrp_count(registrar, LIST_REQUEST), 1);
    sim.run_for(Duration::from_millis(1800));
    assert_eq!(sim.enrp_count(registrar, LIST_REQUEST), 2);
    sim.tell(peer, no_servers());
    assert_eq!(sim.enrp_count(registrar, TABLE_REQUEST), 1);
    sim.say(peer, refusal());
    sim.run_secs(3);
    assert_eq!(sim.enrp_count(registrar, LIST_REQUEST), 3, "a refused download begins anew");
    assert!(!sim.pr(registrar).is_serving());
}

/// 3.2.2.2 and 3.2.3: "it MUST reject the request", with nothing in it.
#[test]
fn a_registrar_that_starts_refuses_lists_and_tables() {
    let mut sim = Sim::new(1);
    let (_, registrar) = greeted(&mut sim);
    let other = sim.peer_of(registrar, 0x99);
    sim.say(other, ListRequest);
    sim.tell(other, table_request(false));
    let EnrpBody::ListResponse(response) = sim.enrp_sent(registrar, LIST_RESPONSE)[0].enrp().body else { panic!() };
    assert!(response.rejected && response.servers.is_empty());
    let EnrpBody::HandleTableResponse(response) = sim.enrp_sent(registrar, TABLE_RESPONSE)[0].enrp().body else {
        panic!()
    };
    assert!(response.rejected && response.entries.iter().next().is_none());
}

#[test]
fn registrars_that_start_together_do_not_wait_for_each_other() {
    let mut sim = Sim::new(1);
    let all = [0, 1, 2];
    for n in all {
        let others: Vec<_> = all.into_iter().filter(|other| *other != n).collect();
        sim.registrar_among(RegistrarConfig::new(), &others);
    }
    sim.run_secs(5);
    assert!(all.iter().all(|n| sim.pr(*n).is_serving()));
    assert!(all.iter().all(|n| sim.pr(*n).peers().filter(|p| p.connected).count() == 2));
}

#[test]
fn a_registrar_whose_mentors_are_not_there_serves_alone() {
    let mut sim = Sim::new(1);
    let absent = sim.script();
    sim.nodes[absent].answer = Answer::Refuse;
    let registrar = sim.registrar_among(RegistrarConfig::new(), &[absent]);
    sim.run_secs(1);
    assert!(sim.told(registrar, RegistrarEvent::Serving { mentor: None }));
    // It goes on looking for the peer.
    sim.nodes[absent].answer = Answer::Accept;
    sim.run_secs(31);
    assert_eq!(sim.associations(absent).len(), 1);
}

/// 3.2.3, step 5: services begin with the last page. Registrations do not depend on it.
#[test]
fn a_user_is_sent_elsewhere_while_the_registrar_starts() {
    let mut sim = Sim::new(1);
    let (_, registrar) = greeted(&mut sim);
    let user = sim.script();
    let (assoc, _) = sim.connect(user, registrar);
    sim.send(user, assoc, resolution(b"echo"));
    sim.run_secs(1);
    assert!(sim.received(user).is_empty() && sim.associations(user).is_empty());
    let element = sim.script();
    let (assoc, _) = sim.connect(element, registrar);
    sim.send(element, assoc, registration(b"echo", param(5, 7)));
    sim.run_secs(1);
    assert_eq!(sim.count(registrar, REGISTRATION_RESPONSE), 1);
    let (assoc, _) = sim.connect(user, registrar);
    sim.send(user, assoc, resolution(b"echo"));
    sim.run_secs(1);
    assert_eq!(sim.count(registrar, HANDLE_RESOLUTION_RESPONSE), 1, "what is known is answered");
}

/// A registrar that is restarted with its identifier finds its elements in the mentor's handlespace, and asks them.
#[test]
fn one_that_was_restarted_with_its_identifier_has_its_elements_again() {
    let mut sim = Sim::new(1);
    let all = sim.cluster(2);
    let id = sim.id_of(all[0]);
    let element = sim.reachable(b"echo", 5, &[all[0]]);
    sim.kill(all[0], true);
    let config = RegistrarConfig { id: ServerId(id), ..RegistrarConfig::new() };
    let again = sim.registrar_among(config, &[all[1]]);
    sim.run_secs(3);
    assert_eq!(sim.space(again), [(b"echo".to_vec(), 5, id)]);
    assert_eq!(sim.home_of(element), Some(again), "it has moved to the association that it was asked on");
    sim.run_secs(100);
    assert_eq!(sim.space(again), sim.space(all[1]));
}
