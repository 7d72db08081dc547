//! What is refused, and what is survived.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_core::Ppid;
use rserpool_tests::lab::{self, Shape};
use rserpool_tests::scene::{message, resolution, tlv};

use crate::cast::{self, Kind};
use crate::checksum;
use crate::dump;
use crate::raw::{ASAP, ENRP, Raw};

const REGISTRATION_RESPONSE: u8 = 0x03;
const HANDLE_RESOLUTION_RESPONSE: u8 = 0x06;
const ASAP_ERROR: u8 = 0x0e;

const POLICY: &str = "0x0005";
const TRANSPORT: &str = "0x0007";
const UNKNOWN_POOL: &str = "0x0009";

/// Sends a registrar what it cannot take; gives the types of its answers to a request with an unknown parameter of each
/// of the four kinds.
fn by_hand(registrar: IpAddr) -> Vec<Vec<u8>> {
    let at = SocketAddr::new(registrar, 3863);
    let types = |answers: Vec<Vec<u8>>| answers.iter().map(|answer| answer[0]).collect::<Vec<_>>();
    let request = resolution(b"nobody", false);
    let peer = Raw::connect(at);
    assert_eq!(peer.ask(ASAP, &request).map(types), Some(vec![HANDLE_RESOLUTION_RESPONSE]));
    assert_eq!(peer.ask(ENRP, &request), None, "the association is to be ended");
    let peer = Raw::connect(at);
    assert_eq!(peer.ask(0, &request), Some(vec![]), "it is no message of ASAP");
    let handle = tlv(0x9, b"nobody");
    // In front: behind the last parameter it knows rsplib takes nothing.
    let ask = |parameter| peer.ask(ASAP, &message(0x05, &[&tlv(parameter, b"what"), &handle]));
    [0x3fff, 0x7fff, 0xbfff, 0xffff].map(|parameter| types(ask(parameter).expect("an association"))).to_vec()
}

#[test]
fn at_our_registrar() {
    let Some(captures) = lab::run("errors::at_our_registrar", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 5, ..Shape::default() });
        let recording = network.record("ours");
        let mut ours = cast::registrar(Kind::Ours, network.host(1), cast::id(1), &[]);
        let first = cast::server(network.host(3), "EchoPool", 0xabcd_0001, &[1], &[]);
        first.until("Registration result is: okay!");

        lab.case("another policy than the pool's");
        let wrong = cast::server(network.host(4), "EchoPool", 0xabcd_0002, &[1], &["-policy=Random"]);
        wrong.until("Registration result is:");
        assert_eq!(wrong.count("Registration result is: okay!"), 0, "{}", wrong.text());
        drop(wrong);

        lab.case("another transport than the pool's");
        let wrong = cast::tcp_element(network.host(4), "EchoPool", 0xabcd_0003, &[1]);
        wrong.until("the registrar refused: ");
        println!("{}", wrong.text());
        drop(wrong);

        lab.case("a pool that nobody has");
        let mut terminal = cast::terminal(network.host(5), "Nobody", &[1]);
        terminal.say("hello");
        terminal.until("Handle resolution did not find new pool element");
        assert!(terminal.is_running() && !terminal.text().contains("from PE"), "{}", terminal.text());
        drop(terminal);

        lab.case("by hand: another protocol's identifier, none, and an unknown parameter");
        let unknown = by_hand(network.host(1).ip());
        // RFC 5354, 2: the two highest bits say whether to go on and whether to report.
        let expected: [&[u8]; 4] =
            [&[], &[ASAP_ERROR], &[HANDLE_RESOLUTION_RESPONSE], &[HANDLE_RESOLUTION_RESPONSE, ASAP_ERROR]];
        assert_eq!(unknown, expected);

        assert_eq!(dump::dump(network.host(2), 1).len(), 1);
        assert!(ours.is_running());
        drop(recording);
    }) else {
        return;
    };
    let capture = &captures["ours"];
    capture.assert_clean(&[lab::v4(1, 0)]);
    let causes = |kind, wanted: &str, host| {
        let wanted = u32::from_str_radix(wanted.trim_start_matches("0x"), 16).expect("a number");
        let sent = capture.of(Ppid::Asap, kind).filter(|packet| packet.source == lab::v4(1, 0));
        sent.filter(|packet| packet.destination == lab::v4(host, 0)).any(|packet| {
            packet.values("asap.cause_code").any(|code| {
                let code =
                    code.strip_prefix("0x").map_or_else(|| code.parse().ok(), |c| u32::from_str_radix(c, 16).ok());
                code == Some(wanted)
            })
        })
    };
    assert!(causes(REGISTRATION_RESPONSE, POLICY, 4), "no refusal of a policy");
    assert!(causes(REGISTRATION_RESPONSE, TRANSPORT, 4), "no refusal of a transport");
    assert!(causes(HANDLE_RESOLUTION_RESPONSE, UNKNOWN_POOL, 5), "no refusal of a pool handle");
}

#[test]
fn at_their_registrar() {
    let Some(captures) = lab::run("errors::at_their_registrar", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 5, ..Shape::default() });
        let recording = network.record("theirs");
        let mut theirs = cast::registrar(Kind::Theirs, network.host(1), cast::id(1), &[]);
        let first = cast::server(network.host(3), "EchoPool", 0xabcd_0001, &[1], &[]);
        first.until("Registration result is: okay!");

        lab.case("another policy than the pool's, and another transport");
        let wrong = cast::element(network.host(4), "EchoPool", 0xabcd_0002, &[1], &["--policy", "rand"]);
        wrong.until("the registrar refused: ");
        println!("{}", wrong.text());
        drop(wrong);
        let wrong = cast::tcp_element(network.host(4), "EchoPool", 0xabcd_0003, &[1]);
        wrong.until("the registrar refused: ");
        println!("{}", wrong.text());
        drop(wrong);

        lab.case("a pool that nobody has");
        let answer = cast::resolve(network.host(5), 1, "Nobody", 1);
        assert!(answer.contains("unknown pool handle"), "{answer}");

        lab.case("by hand: as at ours, but that it skips what it should report as well");
        let unknown = by_hand(network.host(1).ip());
        let expected: [&[u8]; 4] = [&[], &[ASAP_ERROR], &[HANDLE_RESOLUTION_RESPONSE], &[HANDLE_RESOLUTION_RESPONSE]];
        assert_eq!(unknown, expected);

        let space = dump::dump(network.host(2), 1);
        assert_eq!(space.len(), 1, "{space:#?}");
        assert!(theirs.is_running());
        drop(recording);
    }) else {
        return;
    };
    // Its cause "inconsistent pooling policy" lacks the policy.
    let without_policy = |packet: &lab::Packet| packet.is(Ppid::Asap, REGISTRATION_RESPONSE);
    captures["theirs"].assert_clean_but(&[lab::v4(4, 0), lab::v4(5, 0)], without_policy);
}

#[test]
fn a_handle_too_long_for_rsplib_is_kept_from_it() {
    let Some(captures) =
        lab::run("errors::a_handle_too_long_for_rsplib_is_kept_from_it", Duration::from_secs(90), |lab| {
            let network = lab.network(Shape { hosts: 5, ..Shape::default() });
            let recording = network.record("long");
            let ours = cast::registrar(Kind::Ours, network.host(1), cast::id(1), &[2]);
            let mut theirs = cast::registrar(Kind::Theirs, network.host(2), cast::id(2), &[1]);
            cast::ready(Kind::Theirs, &theirs);
            let long = "x".repeat(33);
            // Our element would be the end of their registrar.
            let refused = cast::element(network.host(4), &long, 0xabcd_0001, &[2], &[]);
            let ended = refused.wait_within(lab::HANG);
            assert!(!ended.status.success() && ended.text.contains("32 bytes at most"), "{}", ended.text);
            let before = cast::element_of_rfc(network.host(4), &long, 0xabcd_0001, &[1]);
            ours.until("0xabcd0001 registered");
            let fits = cast::element(network.host(5), &long[1..], 0xabcd_0002, &[1], &[]);
            ours.until("0xabcd0002 registered");
            // Some heartbeats, so there would be re-synchronisations for what is not the same at both.
            checksum::presences(&network, 1, 2, 5);
            before.kill();
            ours.until("0xabcd0001 removed");
            checksum::presences(&network, 1, 2, 2);
            assert!(theirs.is_running(), "{}", theirs.text());
            let space = dump::dump(network.host(3), 2);
            assert_eq!(space.keys().map(|(_, id)| *id).collect::<Vec<_>>(), [0xabcd_0002]);
            drop((recording, fits));
        })
    else {
        return;
    };
    let capture = &captures["long"];
    capture.assert_clean(&[lab::v4(1, 0)]);
    let long = "78".repeat(33);
    let to_theirs = capture.packets.iter().filter(|packet| packet.destination == lab::v4(2, 0));
    for packet in to_theirs {
        assert!(!packet.values("enrp.pool_handle_pool_handle").any(|handle| handle.replace(':', "") == long));
    }
}
