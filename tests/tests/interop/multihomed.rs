//! Hosts on two links, and hosts without IPv4.

use std::time::Duration;

use rserpool_tests::lab::{self, Shape};

use crate::cast::{self, Kind};
use crate::dump;

/// A registrar of one kind with elements and users of both, while links fail.
fn a_link_is_cut(name: &str, kind: Kind) {
    let Some(captures) = lab::run(&format!("multihomed::{name}"), Duration::from_secs(150), |lab| {
        let network = lab.network(Shape { hosts: 7, links: 2, ..Shape::default() });
        let recording = network.record("cut");
        let registrar = cast::registrar_on_two_links(kind, network.host(1), cast::id(1));
        // It gives up an association on which a response takes 3 s, and each end needs 1 s to try another path.
        let theirs = cast::server(network.host(3), "Theirs", 0xabcd_0001, &[1], &["-rereginterval=60000"]);
        theirs.until("Registration result is: okay!");
        let ours = cast::element_on_two_links(network.host(4), "Ours", 0xabcd_0002, &[1]);
        let space = dump::until(network.host(2), 1, "two elements", |space| space.len() == 2);
        for element in space.values() {
            assert!(
                element.user_transport.contains("10.251.0.") && element.user_transport.contains("10.252.0."),
                "{element:#?}"
            );
        }
        let mut users = [("Theirs", 0xabcd_0001, 5), ("Ours", 0xabcd_0002, 6)]
            .map(|(pool, id, host)| (cast::terminal(network.host(host), pool, &[1]), id));
        for (user, id) in &mut users {
            cast::echo(user, "before", Some(*id));
        }

        lab.case("the registrar and an element lose a link each");
        network.host(1).cut(0);
        network.host(3).cut(0);
        network.host(4).cut(0);
        for (user, id) in &mut users {
            cast::echo(user, "during", Some(*id));
        }
        // Time for keep-alives to fail.
        std::thread::sleep(Duration::from_secs(12));
        for (user, id) in &mut users {
            cast::echo(user, "later", Some(*id));
        }
        network.host(1).mend(0);
        network.host(3).mend(0);
        network.host(4).mend(0);
        let space = dump::until(network.host(2), 1, "two elements", |space| space.len() == 2);
        assert_eq!(space.len(), 2);
        if kind.is_ours() {
            assert!(!registrar.text().contains("removed from pool"), "{}", registrar.text());
        }
        drop((recording, registrar, theirs, ours));
    }) else {
        return;
    };
    let ours = [0, 1].map(|link| lab::v4(if kind.is_ours() { 1 } else { 4 }, link));
    captures["cut"].assert_clean(&ours);
}

#[test]
fn our_registrar_loses_a_link() {
    a_link_is_cut("our_registrar_loses_a_link", Kind::Ours);
}

#[test]
fn their_registrar_loses_a_link() {
    a_link_is_cut("their_registrar_loses_a_link", Kind::Theirs);
}

#[test]
fn without_ipv4() {
    let Some(captures) = lab::run("multihomed::without_ipv4", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 7, ipv4: false, ipv6: true, ..Shape::default() });
        let recording = network.record("ipv6");
        let ours = cast::registrar(Kind::Ours, network.host(1), cast::id(1), &[2]);
        let theirs = cast::registrar(Kind::Theirs, network.host(2), cast::id(2), &[1]);
        cast::ready(Kind::Theirs, &theirs);
        let server = cast::server(network.host(4), "Theirs", 0xabcd_0001, &[1], &[]);
        let element = cast::element(network.host(5), "Ours", 0xabcd_0002, &[2], &[]);
        let all = dump::until(network.host(3), 1, "two elements", |space| space.len() == 2);
        dump::until(network.host(3), 2, "the same", |space| *space == all);
        for (pool, id, registrar) in [("Theirs", 0xabcd_0001, 2), ("Ours", 0xabcd_0002, 1)] {
            let mut terminal = cast::terminal(network.host(6), pool, &[registrar]);
            cast::echo(&mut terminal, "hello", Some(id));
            let mut user = cast::user(network.host(7), pool, &[registrar]);
            cast::echo_by_ours(&mut user, "hello");
        }
        drop((recording, ours, server, element));
    }) else {
        return;
    };
    captures["ipv6"].assert_clean(&[lab::v6(1, 0), lab::v6(5, 0), lab::v6(7, 0)]);
}
