//! Keep-alives between our registrar and elements of rsplib, and the other way round.

use std::time::Duration;

use rserpool_core::Ppid;
use rserpool_tests::lab::{self, Shape};

use crate::cast::{self, Kind};
use crate::dump;

const ENDPOINT_KEEP_ALIVE: u8 = 0x07;
const ENDPOINT_KEEP_ALIVE_ACK: u8 = 0x08;

#[test]
fn of_our_registrar() {
    let Some(captures) = lab::run("keep_alive::of_our_registrar", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 4, ..Shape::default() });
        let recording = network.record("ours");
        let ours = cast::registrar(Kind::Ours, network.host(1), cast::id(1), &[]);
        // Each registration puts off the next keep-alive, so there are not too many. The life is three times that.
        let server = cast::server(network.host(3), "EchoPool", 0xabcd_0001, &[1], &["-rereginterval=4000"]);
        ours.until("0xabcd0001 registered");

        lab.case("who answers and registers again stays, for longer than its registration's life");
        std::thread::sleep(Duration::from_secs(14));
        assert!(!ours.text().contains("removed from pool"), "{}", ours.text());
        assert_eq!(dump::dump(network.host(2), 1).len(), 1);

        lab.case("who does not answer is removed");
        server.signal("STOP");
        ours.until("0xabcd0001 removed from pool EchoPool: unreachable");
        assert!(dump::dump(network.host(2), 1).is_empty());
        server.signal("CONT");
        lab::until("a registration anew", || ours.count("0xabcd0001 registered") == 2);

        lab.case("whose association is lost is removed at once");
        server.kill();
        lab::until("the removal", || ours.count("0xabcd0001 removed from pool") == 2);
        let (text, from) = (ours.text(), format!("peer={}", network.host(3).ip()));
        let before: Vec<_> = text.lines().take_while(|line| !line.contains("0xabcd0001 removed")).collect();
        let between = text.lines().skip(before.len() + 1).take_while(|line| !line.contains("0xabcd0001 removed"));
        // Its end is what has just been noted, in the same turn.
        let lines: Vec<_> = between.collect();
        let last = &lines[lines.len().saturating_sub(3)..];
        let is_its_end = |line: &&str| line.contains("connection closed") && line.contains(&from);
        assert!(last.iter().any(is_its_end), "by something else than its end: {last:#?}");
        drop(recording);
    }) else {
        return;
    };
    let capture = &captures["ours"];
    capture.assert_clean(&[lab::v4(1, 0)]);
    let asked = capture.of(Ppid::Asap, ENDPOINT_KEEP_ALIVE).filter(|packet| packet.source == lab::v4(1, 0));
    assert!(asked.count() >= 3);
    assert!(capture.of(Ppid::Asap, ENDPOINT_KEEP_ALIVE_ACK).count() >= 3);
}

#[test]
fn of_their_registrar() {
    let Some(captures) = lab::run("keep_alive::of_their_registrar", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 4, ..Shape::default() });
        let recording = network.record("theirs");
        let theirs = cast::registrar(Kind::Theirs, network.host(1), cast::id(1), &[]);
        let element = cast::element(network.host(3), "Pool", 0xabcd_0001, &[1], &[]);
        dump::until(network.host(2), 1, "element of ours", |space| space.len() == 1);

        lab.case("who answers stays");
        std::thread::sleep(Duration::from_secs(8));
        assert_eq!(dump::dump(network.host(2), 1).len(), 1);

        lab.case("who does not answer is removed");
        element.signal("STOP");
        dump::until(network.host(2), 1, "less than one element", |space| space.is_empty());
        element.signal("CONT");
        dump::until(network.host(2), 1, "registration anew", |space| space.len() == 1);

        lab.case("whose association is lost is removed at once");
        let expired = theirs.count("Keep-alive timeout expired");
        element.kill();
        dump::until(network.host(2), 1, "less than one element", |space| space.is_empty());
        assert_eq!(theirs.count("Keep-alive timeout expired"), expired, "only by a keep-alive");

        lab.case("who leaves deregisters");
        let element = cast::element(network.host(3), "Pool", 0xabcd_0002, &[1], &[]);
        dump::until(network.host(2), 1, "element of ours", |space| space.len() == 1);
        element.interrupt();
        assert!(dump::dump(network.host(2), 1).is_empty());
        drop((recording, theirs));
    }) else {
        return;
    };
    let capture = &captures["theirs"];
    capture.assert_clean(&[lab::v4(3, 0)]);
    assert!(capture.of(Ppid::Asap, ENDPOINT_KEEP_ALIVE).count() >= 3);
    let answered = capture.of(Ppid::Asap, ENDPOINT_KEEP_ALIVE_ACK).filter(|packet| packet.source == lab::v4(3, 0));
    assert!(answered.count() >= 3);
}
