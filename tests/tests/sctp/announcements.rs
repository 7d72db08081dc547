//! Registrars that are found by multicast, by users of either link.

use std::time::Duration;

use rserpool_tests::lab::{self, Shape, v4};

use crate::cast;

/// Of the RFCs, and of rsplib.
const GROUPS: [&str; 2] = ["224.0.1.185", "239.0.0.50"];

#[test]
fn found_by_multicast_over_sctp_and_tcp() {
    lab::run("announcements::found_by_multicast_over_sctp_and_tcp", Duration::from_secs(90), |lab| {
        let network = lab.network(Shape { hosts: 4, ..Shape::default() });
        let (one, two, e, user) = (network.host(1), network.host(2), network.host(3), network.host(4));
        let groups = ["--group", GROUPS[0], "--group", GROUPS[1]];
        let peers = ["--enrp-group", "224.0.1.185", "--enrp-group", "239.0.0.51"];
        let start = |host: lab::Host<'_>, listen: &[&str]| {
            let id = host.number().to_string();
            let head = ["-vv", "registrar", "--transport", "both", "--control", "none", "--id", &id];
            let timers = ["--peer-heartbeat-cycle", "1s", "--max-time-last-heard", "3s"];
            let registrar = host.rserpool(&[&head[..], &groups, &peers, &timers, listen].concat());
            registrar.until("registrar listens on sctp://");
            registrar
        };
        lab.case("registrars find each other, one of them at all addresses of its host");
        let first = start(one, &["--listen", &v4(1, 0).to_string()]);
        let second = start(two, &[]);
        first.until("registrar 0x00000002 found");
        second.until("registrar 0x00000001 found");

        let element = cast::element(e, "echo", 7, "sctp://0.0.0.0:7000", &["--group", GROUPS[1]]);
        for transport in ["sctp", "tcp"] {
            for group in GROUPS {
                lab.case(&format!("a user finds them over {transport} in {group}"));
                let arguments =
                    ["resolve", "--transport", transport, "--json", "--timeout", "8s", "--group", group, "echo"];
                let answer = user.rserpool(&arguments).wait_within(lab::HANG).text;
                assert!(answer.contains("\"id\":7,"), "{answer}");
            }
        }
        lab.case("and over TCP by name, as over SCTP");
        let at = v4(1, 0).to_string();
        for transport in ["sctp", "tcp"] {
            let arguments = ["resolve", "--transport", transport, "--json", "--timeout", "5s", "-r", &at, "echo"];
            let answer = user.rserpool(&arguments).wait_within(lab::HANG).text;
            assert!(answer.contains("\"id\":7,"), "{answer}");
        }
        assert!(element.interrupt().status.success());
        assert!(first.interrupt().status.success());
        assert!(second.interrupt().status.success());
    });
}
