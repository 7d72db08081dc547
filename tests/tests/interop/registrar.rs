//! Our registrar with pool elements and pool users of rsplib.

use std::time::Duration;

use rserpool_core::Ppid;
use rserpool_tests::lab::{self, Shape};

use crate::cast::{self, Kind};
use crate::dump;

/// ASAP's message types.
const REGISTRATION: u8 = 0x01;
const DEREGISTRATION: u8 = 0x02;
const REGISTRATION_RESPONSE: u8 = 0x03;
const DEREGISTRATION_RESPONSE: u8 = 0x04;
const HANDLE_RESOLUTION_RESPONSE: u8 = 0x06;

#[test]
fn serves_elements_and_users() {
    let Some(captures) = lab::run("registrar::serves_elements_and_users", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 5, ..Shape::default() });
        let recording = network.record("service");
        let ours = cast::registrar(Kind::Ours, network.host(1), cast::id(1), &[]);

        lab.case("two elements register");
        let first = cast::server(network.host(3), "EchoPool", 0xabcd_0001, &[1], &[]);
        first.until("Registration result is: okay!");
        let second = cast::server(network.host(4), "EchoPool", 0xabcd_0002, &[1], &[]);
        second.until("Registration result is: okay!");
        let space = dump::dump(network.host(2), 1);
        assert_eq!(space.len(), 2, "{space:#?}");
        for element in space.values() {
            assert_eq!((element.home, element.policy.as_str(), element.life), (cast::id(1), "RoundRobin", 6000));
        }

        lab.case("a user is served, and by another one when its element dies");
        let mut terminal = cast::terminal(network.host(5), "EchoPool", &[1]);
        cast::echo(&mut terminal, "before", None);
        let served = if terminal.text().contains("from PE $abcd0001> before") { 1 } else { 2 };
        let (dies, stays, left) = if served == 1 { (first, second, 0xabcd_0002) } else { (second, first, 0xabcd_0001) };
        dies.kill();
        cast::echo(&mut terminal, "after", Some(left));
        let space = dump::dump(network.host(2), 1);
        assert_eq!(space.keys().map(|(_, id)| *id).collect::<Vec<_>>(), [left]);

        lab.case("the other deregisters when it is interrupted");
        stays.interrupt();
        ours.until("deregistered");
        assert!(dump::dump(network.host(2), 1).is_empty());
        assert!(terminal.is_running());
        drop(recording);
        assert!(ours.interrupt().status.success());
    }) else {
        return;
    };
    let service = &captures["service"];
    service.assert_clean(&[lab::v4(1, 0)]);
    for kind in [REGISTRATION, DEREGISTRATION] {
        assert!(service.of(Ppid::Asap, kind).next().is_some(), "no message of type {kind}");
    }
    let ours = |kind| service.of(Ppid::Asap, kind).filter(|packet| packet.source == lab::v4(1, 0));
    assert!(ours(REGISTRATION_RESPONSE).count() >= 2);
    assert!(ours(REGISTRATION_RESPONSE).all(|packet| packet.flags == 0));
    assert!(ours(HANDLE_RESOLUTION_RESPONSE).count() >= 2);
    assert!(ours(DEREGISTRATION_RESPONSE).next().is_some());
}
