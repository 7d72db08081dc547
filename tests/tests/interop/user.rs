//! Our pool elements and pool users with rsplib's registrar, and with each other's.

use std::time::Duration;

use rserpool_tests::lab::{self, Shape};

use crate::cast::{self, Kind};
use crate::dump;

#[test]
fn at_their_registrar() {
    let Some(captures) = lab::run("user::at_their_registrar", Duration::from_secs(150), |lab| {
        let network = lab.network(Shape { hosts: 7, ..Shape::default() });
        let recording = network.record("theirs");
        let theirs = cast::registrar(Kind::Theirs, network.host(1), cast::id(1), &[]);

        lab.case("our elements, by several policies, as rsplib shows them");
        let policies = [
            ("rr", "RoundRobin", "t=$01 "),
            ("wrr:3", "WeightedRoundRobin", "w=3 "),
            ("rand", "Random", "t=$03 "),
            ("wrand:7", "WeightedRandom", "w=7 "),
            ("prio:5", "Priority", "w=5 "),
            ("lu:50%", "LeastUsed", "l=50.000%"),
            ("lud:25%:10%", "LeastUsedDegradation", "ldeg=10.000%"),
            ("plu:25%:10%", "PriorityLeastUsed", "ldeg=10.000%"),
            ("rlu:25%", "RandomizedLeastUsed", "l=25.000%"),
        ];
        let elements: Vec<_> = (1u32..)
            .zip(&policies)
            .map(|(n, (policy, ..))| {
                let port = ["--policy", policy];
                cast::element_at(network.host(3), 7000 + u16::try_from(n).unwrap(), &format!("Pool{n}"), n, &[1], &port)
            })
            .collect();
        let space = dump::until(network.host(2), 1, "element of each policy", |space| space.len() == policies.len());
        for (n, (_, name, values)) in (1u32..).zip(&policies) {
            let element = &space[&(format!("Pool{n}"), n)];
            assert!(element.policy == *name && element.values.contains(values), "{name}: {element:#?}");
            assert_eq!(element.life, 300_000, "{name}");
        }
        for element in elements {
            element.signal("INT");
            drop(element);
        }
        dump::until(network.host(2), 1, "empty handlespace", |space| space.is_empty());

        lab.case("our element serves their user");
        let ours = cast::element(network.host(3), "Mixed", 0xabcd_0001, &[1], &[]);
        dump::until(network.host(2), 1, "element of ours", |space| space.len() == 1);
        let mut terminal = cast::terminal(network.host(5), "Mixed", &[1]);
        cast::echo(&mut terminal, "one", Some(0xabcd_0001));

        lab.case("and their element takes over when it dies, for users of both");
        let theirs_too = cast::server(network.host(4), "Mixed", 0xabcd_0002, &[1], &[]);
        theirs_too.until("Registration result is: okay!");
        let mut user = cast::user(network.host(6), "Mixed", &[1]);
        cast::echo_by_ours(&mut user, "two");
        let answer = cast::resolve(network.host(6), 1, "Mixed", 3);
        // What theirs registers for is three times its -rereginterval.
        assert!(answer.contains("\"lifetime\":\"300 s\"") && answer.contains("\"lifetime\":\"6 s\""), "{answer}");
        ours.kill();
        cast::echo(&mut terminal, "three", Some(0xabcd_0002));
        cast::echo_by_ours(&mut user, "four");

        lab.case("and ours when theirs dies");
        let ours = cast::element(network.host(3), "Mixed", 0xabcd_0003, &[1], &[]);
        dump::until(network.host(2), 1, "two elements", |space| space.len() == 2);
        theirs_too.kill();
        cast::echo(&mut terminal, "five", Some(0xabcd_0003));
        cast::echo_by_ours(&mut user, "six");

        lab.case("our element deregisters when it is interrupted");
        ours.interrupt();
        assert!(dump::dump(network.host(2), 1).is_empty());
        drop((recording, theirs));
    }) else {
        return;
    };
    captures["theirs"].assert_clean(&[lab::v4(3, 0), lab::v4(6, 0)]);
}

#[test]
fn at_our_registrar() {
    let Some(captures) = lab::run("user::at_our_registrar", Duration::from_secs(150), |lab| {
        let network = lab.network(Shape { hosts: 7, ..Shape::default() });
        let recording = network.record("ours");
        let registrar = cast::registrar(Kind::Ours, network.host(1), cast::id(1), &[]);

        lab.case("users of both kinds, with an element of theirs and then one of ours");
        let theirs = cast::server(network.host(4), "Mixed", 0xabcd_0002, &[1], &[]);
        theirs.until("Registration result is: okay!");
        let mut user = cast::user(network.host(6), "Mixed", &[1]);
        let mut terminal = cast::terminal(network.host(5), "Mixed", &[1]);
        cast::echo_by_ours(&mut user, "one");
        cast::echo(&mut terminal, "two", Some(0xabcd_0002));
        let ours = cast::element(network.host(3), "Mixed", 0xabcd_0003, &[1], &[]);
        registrar.until("0xabcd0003 registered");
        theirs.kill();
        cast::echo_by_ours(&mut user, "three");
        cast::echo(&mut terminal, "four", Some(0xabcd_0003));
        ours.interrupt();
        assert!(dump::dump(network.host(2), 1).is_empty());
        drop(recording);
    }) else {
        return;
    };
    captures["ours"].assert_clean(&[lab::v4(1, 0), lab::v4(3, 0), lab::v4(6, 0)]);
}
