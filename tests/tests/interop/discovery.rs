//! Who is configured with nothing finds the others by multicast, in rsplib's groups.

use std::time::Duration;

use rserpool_core::Ppid;
use rserpool_tests::lab::{self, Shape};

use crate::cast;
use crate::dump;

const SERVER_ANNOUNCE: u8 = 0x0a;
const PRESENCE: u8 = 0x01;

/// rsplib's groups, which our command is told of.
const GROUPS: [&str; 4] = ["--group", "239.0.0.50", "--enrp-group", "239.0.0.51"];

#[test]
fn by_announcements_and_presences() {
    let Some(captures) = lab::run("discovery::by_announcements_and_presences", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 6, ..Shape::default() });
        let recording = network.record("found");
        let listen =
            ["--listen", "10.251.0.1", "--enrp-listen", "10.251.0.1", "--id", "0x11111111", "--control", "none"];
        let registrar = ["-vv", "registrar", "--transport", "sctp", "--compat", "rsplib", "--hops", "30"];
        let ours = network.host(1).rserpool(&[&registrar[..], &listen, &GROUPS].concat());
        ours.until("registrar listens on");

        lab.case("theirs finds ours");
        let server = network.host(4).start("rspserver", &["-echo", "-poolhandle=Theirs", "-identifier=0x1"]);
        ours.until("0x00000001 registered");
        let mut terminal = network.host(5).start("rspterminal", &["-poolhandle=Theirs"]);
        cast::echo(&mut terminal, "one", Some(1));
        let theirs = network.host(2).start(
            "rspregistrar",
            &[
                "-asap=10.251.0.2:3863",
                "-enrp=10.251.0.2:9901",
                "-identifier=0x22222222",
                "-loglevel=5",
                "-logcolor=off",
            ],
        );
        ours.until("registrar 0x22222222 found");
        dump::until(network.host(3), 2, "element of ours' handlespace", |space| space.len() == 1);

        lab.case("ours finds theirs");
        ours.kill();
        let element = network.host(6).rserpool(&[
            "-vv",
            "element",
            "--transport",
            "sctp",
            "--pool",
            "Ours",
            "--id",
            "0x2",
            "--service",
            "sctp://10.251.0.6:7000",
            "--local",
            "10.251.0.6",
            "--echo",
            "--control-channel",
            "--rsplib",
            "--group",
            "239.0.0.50",
        ]);
        dump::until(network.host(3), 2, "element of ours", |space| space.contains_key(&("Ours".into(), 2)));
        let ours = network.host(1).rserpool(&[&registrar[..], &listen, &GROUPS].concat());
        ours.until("registrar 0x22222222 found");
        dump::until(network.host(3), 1, "element of ours", |space| space.contains_key(&("Ours".into(), 2)));
        drop((recording, server, theirs, element));
    }) else {
        return;
    };
    let found = &captures["found"];
    found.assert_clean(&[lab::v4(1, 0), lab::v4(6, 0)]);
    for (ppid, kind) in [(Ppid::Asap, SERVER_ANNOUNCE), (Ppid::Enrp, PRESENCE)] {
        for host in [1, 2] {
            let sent = found.of(ppid, kind).filter(|packet| packet.source == lab::v4(host, 0));
            let sent = sent.filter(|packet| packet.destination.is_multicast()).count();
            assert!(sent >= 1, "none by {ppid:?} of host {host}");
        }
    }
}
