//! What a registrar gives to peers that start or re-synchronise: the list of peers, and the handlespace in pages
//! (RFC 5353, 2.3, 2.6, 3.2.2.2, 3.2.3 and 3.6.3).

mod harness;

use std::collections::BTreeSet;
use std::time::Duration;

use harness::*;
use rserpool_core::wire::enrp::ListRequest;
use rserpool_core::wire::{EnrpBody, EnrpMessage, Policy, PoolElementParam};
use rserpool_core::{PeerState, RegistrarConfig};

const MENTOR: u32 = 0x100;

/// A registrar with small pages, a peer (9) that downloads, and one (5) whose elements it knows.
fn mentor(page_len: usize) -> (Sim, NodeId, Peer, Peer) {
    let mut config = RegistrarConfig::new();
    config.enrp.table_page_len = page_len;
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar_with(config, &[]);
    let (newcomer, other) = (sim.enrp_peer(registrar, 9), sim.enrp_peer(registrar, 5));
    (sim, registrar, newcomer, other)
}

fn fill(sim: &mut Sim, other: Peer, ids: std::ops::Range<u32>) {
    for id in ids {
        let pool = [b'a' + (id % 3) as u8];
        sim.tell(other, add(&pool, owned(other.id, id, 7)));
    }
}

fn ids(pages: &[Page]) -> Vec<u32> {
    pages.iter().flat_map(|page| page.elements.iter().map(|(_, id, _)| *id)).collect()
}

fn next_page(sim: &mut Sim, peer: Peer, own_only: bool) -> (Page, usize) {
    sim.tell(peer, table_request(own_only));
    let pages = sim.hears_of(peer, ty::TABLE_RESPONSE);
    assert_eq!(pages.len(), 1, "each request has one answer");
    (page(&pages[0]), pages[0].len())
}

fn download(sim: &mut Sim, peer: Peer, own_only: bool) -> Vec<Page> {
    let mut pages = Vec::new();
    loop {
        let (page, _) = next_page(sim, peer, own_only);
        pages.push(page);
        if !pages.last().unwrap().more {
            return pages;
        }
    }
}

#[test]
fn a_small_handlespace_is_one_page_with_m_0() {
    let (mut sim, registrar, newcomer, other) = mentor(8192);
    fill(&mut sim, other, 1..8);
    let pages = download(&mut sim, newcomer, false);
    assert_eq!(pages.len(), 1);
    assert!(!pages[0].more && !pages[0].rejected);
    let mut told = pages.into_iter().next().unwrap().elements;
    told.sort();
    assert_eq!(told, sim.homes(registrar));
}

#[test]
fn an_empty_handlespace_is_an_empty_page() {
    let (mut sim, _, newcomer, _) = mentor(8192);
    let pages = download(&mut sim, newcomer, false);
    assert_eq!(pages, [Page { more: false, rejected: false, elements: Vec::new() }]);
}

#[test]
fn a_great_handlespace_comes_in_pages_and_m_tells_whether_there_is_more() {
    let (mut sim, _, newcomer, other) = mentor(200);
    fill(&mut sim, other, 1..21);
    let pages = download(&mut sim, newcomer, false);
    assert!(pages.len() > 3);
    assert!(pages.iter().rev().skip(1).all(|page| page.more), "1 in all but the last");
    assert_eq!(ids(&pages).len(), 20, "none twice");
    assert_eq!(ids(&pages).into_iter().collect::<BTreeSet<_>>(), (1..21).collect());
    // The session is closed: the next request begins anew.
    assert_eq!(ids(&download(&mut sim, newcomer, false)).len(), 20);
}

#[test]
fn a_page_is_not_longer_than_configured() {
    let (mut sim, _, newcomer, other) = mentor(200);
    fill(&mut sim, other, 1..21);
    loop {
        let (page, len) = next_page(&mut sim, newcomer, false);
        assert!(len <= 200, "{len}");
        assert!(!page.elements.is_empty(), "and holds something");
        if !page.more {
            break;
        }
    }
}

#[test]
fn an_element_that_is_longer_than_a_page_goes_alone() {
    let (mut sim, _, newcomer, other) = mentor(20);
    fill(&mut sim, other, 1..4);
    let pages = download(&mut sim, newcomer, false);
    assert!(pages.iter().all(|page| page.elements.len() == 1));
    assert_eq!(pages.len(), 3);
}

#[test]
fn with_w_only_what_the_mentor_owns_is_listed() {
    let (mut sim, registrar, newcomer, other) = mentor(8192);
    fill(&mut sim, other, 1..4);
    sim.registered(&info_with_id(b"own", 0x77), &[registrar]);
    sim.hears(newcomer);
    let (page, _) = next_page(&mut sim, newcomer, true);
    assert_eq!(page.elements, [(b"own".to_vec(), 0x77, MENTOR)]);
    let (page, _) = next_page(&mut sim, newcomer, false);
    assert_eq!(page.elements.len(), 4);
}

#[test]
fn a_download_goes_on_behind_elements_that_are_removed_in_the_meantime() {
    for victim in 1..13 {
        let (mut sim, _, newcomer, other) = mentor(150);
        fill(&mut sim, other, 1..13);
        let (first, _) = next_page(&mut sim, newcomer, false);
        assert!(first.more);
        sim.tell(other, delete(&[b'a' + (victim % 3) as u8], owned(other.id, victim, 7)));
        let rest = download(&mut sim, newcomer, false);
        let mut all = ids(&[first]);
        all.extend(ids(&rest));
        let unique: BTreeSet<u32> = all.iter().copied().collect();
        assert_eq!(unique.len(), all.len(), "none twice");
        assert!((1..13).filter(|id| *id != victim).all(|id| unique.contains(&id)), "{victim}: {all:?}");
    }
}

#[test]
fn a_download_ends_although_all_that_was_to_come_is_removed() {
    let (mut sim, _, newcomer, other) = mentor(150);
    fill(&mut sim, other, 1..13);
    let (first, _) = next_page(&mut sim, newcomer, false);
    assert!(first.more);
    for id in 1..13 {
        sim.tell(other, delete(&[b'a' + (id % 3) as u8], owned(other.id, id, 7)));
    }
    let (last, _) = next_page(&mut sim, newcomer, false);
    assert_eq!(last, Page { more: false, rejected: false, elements: Vec::new() });
}

#[test]
fn elements_that_come_during_a_download_do_not_make_it_miss_others() {
    let (mut sim, _, newcomer, other) = mentor(150);
    fill(&mut sim, other, 1..13);
    let mut pages = Vec::new();
    for new in 20..100 {
        let (page, _) = next_page(&mut sim, newcomer, false);
        let more = page.more;
        pages.push(page);
        if !more {
            break;
        }
        fill(&mut sim, other, new..new + 1);
    }
    assert!(!pages.last().unwrap().more, "it ends");
    assert!((1..13).all(|id| ids(&pages).contains(&id)));
}

#[test]
fn elements_that_change_their_home_do_not_end_a_download_of_own_ones() {
    let (mut sim, registrar, newcomer, other) = mentor(150);
    let script = sim.script();
    let (assoc, _) = sim.connect(script, registrar);
    for id in 1..9 {
        sim.send(script, assoc, registration(b"a", param(id, 7)));
    }
    sim.run_secs(1);
    sim.hears(newcomer);
    let (first, _) = next_page(&mut sim, newcomer, true);
    assert!(first.more);
    // Another registrar takes one that was not listed yet.
    let missing: Vec<u32> = (1..9).filter(|id| !ids(std::slice::from_ref(&first)).contains(id)).collect();
    sim.say(other, add(b"a", owned(other.id, missing[0], 7)));
    sim.run_for(Duration::from_millis(25));
    let mut all = ids(&[first]);
    all.extend(ids(&download(&mut sim, newcomer, true)));
    assert!(missing[1..].iter().all(|id| all.contains(id)), "{all:?} lacks some of {missing:?}");
}

#[test]
fn a_session_that_is_not_continued_within_max_time_no_response_is_closed() {
    let (mut sim, _, newcomer, other) = mentor(150);
    fill(&mut sim, other, 1..13);
    let (first, _) = next_page(&mut sim, newcomer, false);
    let again = {
        sim.run_for(Duration::from_millis(5_100));
        sim.hears(newcomer);
        next_page(&mut sim, newcomer, false).0
    };
    assert_eq!(first, again, "it begins anew");
    sim.run_for(Duration::from_millis(4_900));
    sim.hears(newcomer);
    assert_ne!(next_page(&mut sim, newcomer, false).0, first, "in time it goes on");
}

#[test]
fn two_peers_download_at_the_same_time() {
    let (mut sim, _, newcomer, other) = mentor(150);
    fill(&mut sim, other, 1..13);
    sim.hears(other);
    let mut pages = [Vec::new(), Vec::new()];
    for _ in 0..40 {
        for (n, peer) in [newcomer, other].into_iter().enumerate() {
            if pages[n].last().is_none_or(|page: &Page| page.more) {
                pages[n].push(next_page(&mut sim, peer, false).0);
            }
        }
    }
    for pages in &pages {
        assert_eq!(ids(pages).into_iter().collect::<BTreeSet<_>>(), (1..13).collect());
    }
}

#[test]
fn the_table_tells_all_values_of_an_element() {
    let (mut sim, _, newcomer, other) = mentor(8192);
    let policy = Policy::WeightedRandom { weight: 77 };
    let told = PoolElementParam { policy, asap_transport: Some(service(99)), ..owned(5, 3, 8) };
    sim.tell(other, add(b"p", told));
    sim.tell(newcomer, table_request(false));
    let bytes = sim.hears_of(newcomer, ty::TABLE_RESPONSE).remove(0);
    let EnrpBody::HandleTableResponse(table) = EnrpMessage::parse(&bytes).unwrap().message.body else { panic!() };
    let entry = table.entries.iter().next().unwrap();
    assert_eq!(entry.pool_handle, handle(b"p"));
    assert_eq!(entry.elements.iter().collect::<Vec<_>>(), [told]);
}

#[test]
fn the_list_holds_the_peers_that_live_with_their_addresses() {
    let (mut sim, _, newcomer, other) = mentor(8192);
    let dead = sim.enrp_peer(0, 6);
    sim.keep_up(&[newcomer, other], Duration::from_secs(61));
    sim.run_for(Duration::from_millis(500));
    assert_eq!(sim.peer_state(0, dead.id), Some(PeerState::Suspected));
    sim.keep_up(&[newcomer, other], Duration::from_secs(10));
    sim.hears(newcomer);
    sim.tell(newcomer, ListRequest);
    let answers = sim.hears_of(newcomer, ty::LIST_RESPONSE);
    let EnrpBody::ListResponse(list) = EnrpMessage::parse(&answers[0]).unwrap().message.body else { panic!() };
    assert!(!list.rejected);
    // Neither the one that asks, nor one that is dead.
    assert_eq!(list.servers.iter().collect::<Vec<_>>(), [information(5, other.node)]);
}
