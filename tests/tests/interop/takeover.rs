//! A registrar of a mixed group dies, and exactly one of the others becomes the home of its elements.

use std::collections::BTreeSet;
use std::time::Duration;

use rserpool_core::Ppid;
use rserpool_tests::lab::{self, Lab, Shape};

use crate::cast::{self, Kind};
use crate::dump;

const INIT_TAKEOVER: u8 = 0x07;
const ENDPOINT_KEEP_ALIVE: u8 = 0x07;

/// The hosts 1, 2 and 3 are registrars of these kinds with these identifiers. The one on host `dies` is home of an
/// element of each kind, and is killed.
fn one_dies(lab: &Lab, kinds: [Kind; 3], ids: [u32; 3], dies: u8) {
    lab.case(&format!("{kinds:?} with {ids:x?}: the registrar on host {dies} dies"));
    let network = lab.network(Shape { hosts: 7, ..Shape::default() });
    let recording = network.record(&format!("takeover-{dies}"));
    let mut registrars: Vec<_> = (1u8..)
        .zip(kinds)
        .zip(ids)
        .map(|((host, kind), id)| {
            let peers: Vec<u8> = (1..=3).filter(|peer| *peer != host).collect();
            Some(cast::registrar(kind, network.host(host), id, &peers))
        })
        .collect();
    for (kind, registrar) in kinds.iter().zip(&registrars) {
        cast::ready(*kind, registrar.as_ref().expect("a registrar"));
    }
    // It would come back by itself when it registers again, so it does not.
    let server = cast::server(network.host(4), "Theirs", 0xabcd_0001, &[dies], &["-rereginterval=90000"]);
    server.until("Registration result is: okay!");
    let mut element = cast::element(network.host(5), "Ours", 0xabcd_0002, &[dies], &[]);
    element.until("registered");
    // All know all: ours by what they say, theirs after some presences.
    for (host, _) in (1u8..).zip(kinds).filter(|(_, kind)| kind.is_ours()) {
        lab::until("both peers and both elements", || {
            let status = cast::status(network.host(host));
            let known = status.peers.iter().filter(|peer| peer.connected && ids.contains(&peer.id));
            known.count() == 2 && status.element_count == 2
        });
    }
    std::thread::sleep(Duration::from_secs(3));
    registrars[usize::from(dies) - 1].take().expect("a registrar").kill();

    // Dead after 5 s, and some more until the elements have been asked.
    std::thread::sleep(Duration::from_secs(10));
    let survivors: Vec<u8> = (1..=3).filter(|host| *host != dies).collect();
    let homes: Vec<u32> = survivors.iter().map(|host| ids[usize::from(*host) - 1]).collect();
    let space = dump::until(network.host(6), survivors[0], "two elements with one home that lives", |space| {
        let home: BTreeSet<u32> = space.values().map(|element| element.home).collect();
        space.len() == 2 && home.len() == 1 && home.iter().all(|home| homes.contains(home))
    });
    // Not more than the homes: one that is not told that `hsdump` is rsplib's tells it seconds.
    let found = dump::homes(&space);
    dump::until(network.host(6), survivors[1], "the same", |other| dump::homes(other) == found);

    lab.case("the elements answer their new home, and serve");
    std::thread::sleep(Duration::from_secs(5));
    for survivor in &survivors {
        assert_eq!(dump::homes(&dump::dump(network.host(6), *survivor)), found);
        let mut terminal = cast::terminal(network.host(7), "Theirs", &[*survivor]);
        cast::echo(&mut terminal, "still there", Some(0xabcd_0001));
    }
    assert!(element.is_running());
    drop(recording);
}

/// Each of a group dies in turn.
fn each_dies(name: &str, kinds: [Kind; 3], ids: [u32; 3]) {
    let Some(captures) = lab::run(&format!("takeover::{name}"), Duration::from_secs(240), |lab| {
        for dies in 1..=3 {
            one_dies(lab, kinds, ids, dies);
        }
    }) else {
        return;
    };
    let ours: Vec<_> = (1u8..).zip(kinds).filter(|(_, kind)| kind.is_ours()).map(|(host, _)| host).collect();
    let ours: Vec<_> = ours.into_iter().chain([5]).map(|host| lab::v4(host, 0)).collect();
    assert_eq!(captures.len(), 3);
    for (name, capture) in &captures {
        println!("{name}");
        capture.assert_clean(&ours);
        assert!(capture.of(Ppid::Enrp, INIT_TAKEOVER).next().is_some());
        let adopted = capture.of(Ppid::Asap, ENDPOINT_KEEP_ALIVE).filter(|packet| packet.flags == 1);
        let told: BTreeSet<_> = adopted.map(|packet| packet.destination).collect();
        assert_eq!(told, BTreeSet::from([lab::v4(4, 0), lab::v4(5, 0)]), "who was told of a new home");
    }
}

#[test]
fn two_of_ours_above_and_below_one_of_theirs() {
    let ids = [0x1111_1111, 0x3333_3333, 0x2222_2222];
    each_dies("two_of_ours_above_and_below_one_of_theirs", [Kind::Ours, Kind::Ours, Kind::Theirs], ids);
}

#[test]
fn two_of_ours_below_one_of_theirs() {
    let ids = [0x1111_1111, 0x2222_2222, 0x3333_3333];
    each_dies("two_of_ours_below_one_of_theirs", [Kind::Ours, Kind::Ours, Kind::Theirs], ids);
}

#[test]
fn two_of_ours_above_one_of_theirs() {
    let ids = [0x2222_2222, 0x3333_3333, 0x1111_1111];
    each_dies("two_of_ours_above_one_of_theirs", [Kind::Ours, Kind::Ours, Kind::Theirs], ids);
}

#[test]
fn one_of_ours_above_two_of_theirs() {
    let ids = [0x3333_3333, 0x1111_1111, 0x2222_2222];
    each_dies("one_of_ours_above_two_of_theirs", [Kind::Ours, Kind::Theirs, Kind::Theirs], ids);
}

#[test]
fn one_of_ours_below_two_of_theirs() {
    let ids = [0x1111_1111, 0x2222_2222, 0x3333_3333];
    each_dies("one_of_ours_below_two_of_theirs", [Kind::Ours, Kind::Theirs, Kind::Theirs], ids);
}

#[test]
fn ours_finds_out_by_itself() {
    let ids = [0x3333_3333, 0x1111_1111, 0x2222_2222];
    each_dies("ours_finds_out_by_itself", [Kind::OursUntold, Kind::OursUntold, Kind::Theirs], ids);
}

#[test]
fn ours_is_left_alone() {
    let Some(captures) = lab::run("takeover::ours_is_left_alone", Duration::from_secs(90), |lab| {
        let network = lab.network(Shape { hosts: 6, ..Shape::default() });
        let recording = network.record("alone");
        let ours = cast::registrar(Kind::Ours, network.host(1), cast::id(1), &[2]);
        let theirs = cast::registrar(Kind::Theirs, network.host(2), cast::id(2), &[1]);
        cast::ready(Kind::Theirs, &theirs);
        let server = cast::server(network.host(4), "Theirs", 0xabcd_0001, &[2], &["-rereginterval=90000"]);
        server.until("Registration result is: okay!");
        let element = cast::element(network.host(5), "Ours", 0xabcd_0002, &[2], &[]);
        element.until("registered");
        std::thread::sleep(Duration::from_secs(3));
        theirs.kill();
        ours.until("taken over");
        // Longer than the elements have to answer.
        std::thread::sleep(Duration::from_secs(5));
        let space = dump::dump(network.host(3), 1);
        assert!(space.len() == 2 && space.values().all(|element| element.home == cast::id(1)), "{space:#?}");
        let mut terminal = cast::terminal(network.host(6), "Theirs", &[1]);
        cast::echo(&mut terminal, "still there", Some(0xabcd_0001));
        drop(recording);
    }) else {
        return;
    };
    captures["alone"].assert_clean(&[lab::v4(1, 0), lab::v4(5, 0)]);
}
