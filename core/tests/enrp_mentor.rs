//! What a registrar gives to others: its list of peers and its handlespace (RFC 5353, 2.3, 2.6, 3.2.2.2 and 3.2.3).

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::EnrpBody;
use rserpool_core::wire::enrp::ListRequest;
use rserpool_core::{RegistrarConfig, ServerId};

const PAGE: usize = 200;

/// A registrar with `count` elements of its own in two pools, in pages of 200 bytes, and a peer.
fn with_elements(sim: &mut Sim, count: u32) -> (usize, Peer) {
    let mut config = RegistrarConfig::new();
    config.enrp.table_page_len = PAGE;
    let registrar = sim.registrar_with(config);
    let element = sim.script();
    let (assoc, _) = sim.connect(element, registrar);
    for id in 1..=count {
        let pool: &[u8] = if id % 2 == 0 { b"even" } else { b"odd" };
        sim.send(element, assoc, registration(pool, param(id, 7)));
    }
    sim.run_secs(1);
    let peer = sim.peer_of(registrar, 0x99);
    (registrar, peer)
}

fn ask_for_all(sim: &mut Sim, registrar: usize, peer: Peer, own: bool) -> (Vec<u32>, Vec<bool>) {
    let before = sim.enrp_count(registrar, TABLE_RESPONSE);
    for _ in 0..100 {
        sim.say(peer, table_request(own));
        sim.run_for(Duration::from_millis(100));
        let (_, more) = listed(&sim.enrp_sent(registrar, TABLE_RESPONSE));
        if more.last() == Some(&false) {
            break;
        }
    }
    listed(&sim.enrp_sent(registrar, TABLE_RESPONSE)[before..])
}

/// 3.2.2.2: "all existing ENRP servers known by the mentor peer".
#[test]
fn a_list_holds_every_registrar_that_lives() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (a, b) = (sim.peer_of(registrar, 0xa), sim.peer_of(registrar, 0xb));
    sim.tell(a, ListRequest);
    let sent = sim.enrp_sent(registrar, LIST_RESPONSE)[0].enrp();
    assert_eq!((sent.sender.0, sent.receiver), (sim.id_of(registrar), ServerId(0xa)));
    let EnrpBody::ListResponse(response) = sent.body else { panic!() };
    assert!(!response.rejected);
    let servers: Vec<_> = response.servers.iter().map(|s| (s.id, s.transport.socket_addrs().next())).collect();
    assert_eq!(servers, [(ServerId(0xb), Some(enrp_address(b.node)))]);
}

/// 3.2.3, step 2, and 2.3: the M flag, and each pool entry begins with its handle.
#[test]
fn a_large_handlespace_comes_in_pages() {
    let mut sim = Sim::new(1);
    let (registrar, peer) = with_elements(&mut sim, 20);
    let (mut ids, more) = ask_for_all(&mut sim, registrar, peer, false);
    ids.sort_unstable();
    assert_eq!(ids, (1..=20).collect::<Vec<_>>());
    assert!(more.len() > 5);
    assert!(more[..more.len() - 1].iter().all(|m| *m), "M is set in all pages but the last: {more:?}");
    for page in sim.enrp_sent(registrar, TABLE_RESPONSE) {
        assert!(page.bytes.len() <= PAGE, "{}", page.bytes.len());
        let EnrpBody::HandleTableResponse(table) = page.enrp().body else { panic!() };
        for entry in table.entries.iter() {
            let odd = entry.pool_handle.as_bytes() == b"odd";
            assert!(entry.elements.iter().all(|e| (e.id.0 % 2 == 1) == odd && e.asap_transport.is_some()));
        }
    }
    // The session is closed with the last page: another request begins anew.
    sim.forget_sent();
    let (ids, _) = ask_for_all(&mut sim, registrar, peer, false);
    assert_eq!(ids.len(), 20);
}

#[test]
fn an_element_that_is_larger_than_a_page_has_one_of_its_own() {
    let mut sim = Sim::new(1);
    let mut config = RegistrarConfig::new();
    config.enrp.table_page_len = 1;
    let registrar = sim.registrar_with(config);
    let element = sim.script();
    let (assoc, _) = sim.connect(element, registrar);
    for id in 1..=3 {
        sim.send(element, assoc, registration(b"echo", param(id, 7)));
    }
    sim.run_secs(1);
    let peer = sim.peer_of(registrar, 0x99);
    assert_eq!(ask_for_all(&mut sim, registrar, peer, false), (vec![1, 2, 3], vec![true, true, false]));
}

/// What is there from the beginning to the end of a download is in it exactly once.
#[test]
fn a_download_survives_what_happens_to_the_handlespace_meanwhile() {
    for victim in 1..=20u32 {
        let mut sim = Sim::new(u64::from(victim));
        let (registrar, peer) = with_elements(&mut sim, 20);
        for _ in 0..3 {
            sim.say(peer, table_request(false));
            sim.run_for(Duration::from_millis(100));
        }
        // Removed by its home, registered anew as the last one, and one more comes.
        let pool: &[u8] = if victim.is_multiple_of(2) { b"even" } else { b"odd" };
        let element = sim.peer(registrar, sim.associations(registrar)[0]).unwrap();
        let assoc = sim.associations(element)[0];
        sim.send(element, assoc, deregistration(pool, victim));
        sim.send(element, assoc, registration(b"late", param(99, 7)));
        sim.run_for(Duration::from_millis(100));
        let before = listed(&sim.enrp_sent(registrar, TABLE_RESPONSE)).0;
        let rest = ask_for_all(&mut sim, registrar, peer, false).0;
        let all: Vec<u32> = before.iter().chain(&rest).copied().collect();
        for id in (1..=20).filter(|id| *id != victim) {
            assert_eq!(
                all.iter().filter(|other| **other == id).count(),
                1,
                "element {id} of {all:?}, without {victim}"
            );
        }
        assert!(!rest.contains(&victim));
    }
}

/// 3.2.3: "it SHOULD start a session timer. If this timer expires ..., the mentor peer SHOULD abort the session".
#[test]
fn a_session_ends_when_the_next_page_is_not_asked_for() {
    for (pause, goes_on) in [(4, true), (6, false)] {
        let mut sim = Sim::new(1);
        let (registrar, peer) = with_elements(&mut sim, 20);
        sim.say(peer, table_request(false));
        sim.run_secs(pause);
        sim.tell(peer, table_request(false));
        let pages = sim.enrp_sent(registrar, TABLE_RESPONSE);
        let (first, second) = (listed(&pages[..1]).0, listed(&pages[1..]).0);
        assert_eq!(first != second, goes_on, "after {pause} s");
    }
}

/// 3.6.3, step 3, and 2.2: with W only what the receiver owns.
#[test]
fn w_asks_for_the_elements_of_the_receiver_only() {
    let mut sim = Sim::new(1);
    let (registrar, peer) = with_elements(&mut sim, 6);
    sim.tell(peer, add(b"theirs", owned_by(0x99, 50)));
    let (mut own, _) = ask_for_all(&mut sim, registrar, peer, true);
    own.sort_unstable();
    assert_eq!(own, [1, 2, 3, 4, 5, 6]);
    sim.forget_sent();
    let (mut all, _) = ask_for_all(&mut sim, registrar, peer, false);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5, 6, 50]);
}

#[test]
fn who_owns_nothing_answers_with_an_empty_table() {
    let mut sim = Sim::new(1);
    let (registrar, peer) = with_elements(&mut sim, 0);
    assert_eq!(ask_for_all(&mut sim, registrar, peer, true), (vec![], vec![false]));
}
