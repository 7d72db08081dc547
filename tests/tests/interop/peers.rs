//! Our registrar and rsplib's as peers of one handlespace.

use std::time::Duration;

use rserpool_core::Ppid;
use rserpool_tests::lab::{self, Network, Process, Shape};

use crate::cast::{self, Kind};
use crate::checksum;
use crate::dump::{self, Handlespace};

const PRESENCE: u8 = 0x01;
const HANDLE_TABLE_REQUEST: u8 = 0x02;
const HANDLE_TABLE_RESPONSE: u8 = 0x03;
const HANDLE_UPDATE: u8 = 0x04;

/// rsplib's words for its policies, and what `hsdump` shows of their values.
const POLICIES: [(&str, &str); 13] = [
    ("RoundRobin", "t=$01"),
    ("WeightedRoundRobin:3", "w=3 "),
    ("Random", "t=$03"),
    ("WeightedRandom:7", "w=7 "),
    ("Priority:5", "w=5 "),
    ("LeastUsed", "t=$40000001"),
    ("LeastUsedDegradation:0.25", "t=$40000002"),
    ("PriorityLeastUsed:0.25", "t=$40000003"),
    ("RandomizedLeastUsed", "t=$40000004"),
    ("RandomizedPriorityLeastUsed", "t=$b0001001"),
    ("PriorityLeastUsedDegradation:0.25", "t=$b0001003"),
    ("WeightedRandomDPF:7:0.5", "t=$b0002001"),
    ("LeastUsedDPF:0.5", "t=$b0002002"),
];

/// Both registrars tell the same, and it is as wanted.
#[track_caller]
fn same(network: &Network, what: &str, wanted: impl Fn(&Handlespace) -> bool) -> Handlespace {
    let first = dump::until(network.host(3), 1, what, &wanted);
    let second = dump::until(network.host(3), 2, what, |space| *space == first);
    assert_eq!(first, second);
    first
}

/// An element of rsplib at each registrar, by each policy.
fn elements(network: &Network, count: usize) -> Vec<Process> {
    let policies = POLICIES.iter().take(count).enumerate();
    policies
        .flat_map(|(n, (policy, _))| {
            let pool = format!("Pool{n}");
            let policy = format!("-policy={policy}");
            let id = 0xabcd_0000 + 0x10 * u32::try_from(n).expect("a few");
            let [first, second] = [1u8, 2].map(|registrar| {
                cast::server(network.host(4), &pool, id + u32::from(registrar), &[registrar], &[&policy])
            });
            [first, second]
        })
        .collect()
}

/// What the links have to have shown, where the hosts 1 and 2 have been registrars and host `ours` is ours.
fn examine(capture: &lab::Capture, ours: u8) {
    capture.assert_clean(&[lab::v4(ours, 0)]);
    for (kind, least) in [(PRESENCE, 3), (HANDLE_UPDATE, 2)] {
        let from_ours = capture.of(Ppid::Enrp, kind).filter(|packet| packet.source == lab::v4(ours, 0));
        assert!(from_ours.count() >= least, "messages of type {kind} from our registrar");
    }
}

#[test]
fn theirs_joins_ours() {
    let Some(captures) = lab::run("peers::theirs_joins_ours", Duration::from_secs(180), |lab| {
        let network = lab.network(Shape { hosts: 4, ..Shape::default() });
        let recording = network.record("joined");
        let ours = cast::registrar(Kind::Ours, network.host(1), cast::id(1), &[2]);

        lab.case("ours is the mentor");
        let before = cast::server(network.host(4), "Before", 0xabcd_f001, &[1], &[]);
        ours.until("0xabcdf001 registered");
        let theirs = cast::registrar(Kind::Theirs, network.host(2), cast::id(2), &[1]);
        cast::ready(Kind::Theirs, &theirs);
        same(&network, "element of before", |space| space.len() == 1);

        lab.case("elements of every policy come, at both");
        let servers = elements(&network, POLICIES.len());
        let all = same(&network, "element of each", |space| space.len() == 1 + servers.len());
        for (n, (policy, shown)) in POLICIES.iter().enumerate() {
            let id = 0xabcd_0000 + 0x10 * u32::try_from(n).expect("a few");
            for registrar in [1, 2] {
                let element = &all[&(format!("Pool{n}"), id + registrar)];
                assert!(element.values.contains(shown), "{policy}: {element:#?}");
                assert_eq!(element.home, 0x1111_1111 * registrar);
            }
        }
        checksum::settled(&network, &recording, 1, 2, "after adds");

        lab.case("elements go, by themselves and not");
        for (n, server) in servers.into_iter().enumerate() {
            if n % 2 == 0 {
                server.kill();
            } else {
                server.signal("INT");
                drop(server);
            }
        }
        same(&network, "less than all elements", |space| space.len() == 1);
        checksum::settled(&network, &recording, 1, 2, "after deletes");
        before.interrupt();
        same(&network, "empty handlespace", Handlespace::is_empty);
        checksum::settled(&network, &recording, 1, 2, "without any");
        drop((recording, ours, theirs));
    }) else {
        return;
    };
    examine(&captures["joined"], 1);
    checksum::examine(&captures["joined"], 1, 2, 3);
    let joined = &captures["joined"];
    assert!(joined.of(Ppid::Enrp, HANDLE_TABLE_RESPONSE).any(|packet| packet.source == lab::v4(1, 0)));
}

#[test]
fn both_choose_alike() {
    let Some(captures) = lab::run("peers::both_choose_alike", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 5, ..Shape::default() });
        let recording = network.record("chosen");
        let ours = cast::registrar(Kind::Ours, network.host(1), cast::id(1), &[2]);
        let theirs = cast::registrar(Kind::Theirs, network.host(2), cast::id(2), &[1]);
        cast::ready(Kind::Theirs, &theirs);
        // Which of two comes first, the second, when it has these values.
        let policies = [
            ("Priority:5", "Priority:9"),
            ("PriorityLeastUsed:0.5", "PriorityLeastUsed:0.25"),
            ("PriorityLeastUsedDegradation:0.5", "PriorityLeastUsedDegradation:0.25"),
        ];
        let mut servers = Vec::new();
        for (n, (worse, better)) in (0u32..).zip(policies) {
            for (policy, id, registrar) in [(worse, 0x10 * n + 1, 1), (better, 0x10 * n + 2, 2)] {
                let policy = format!("-policy={policy}");
                servers.push(cast::server(network.host(4), &format!("Pool{n}"), id, &[registrar], &[&policy]));
            }
        }
        same(&network, "element of each", |space| space.len() == servers.len());
        for (n, (_, better)) in (0u32..).zip(policies) {
            for registrar in [1, 2] {
                let answer = cast::resolve(network.host(5), registrar, &format!("Pool{n}"), 1);
                let best = format!("\"id\":{},", 0x10 * n + 2);
                assert!(answer.contains(&best), "{better} at registrar {registrar}: {answer}");
            }
        }
        drop((recording, ours, theirs));
    }) else {
        return;
    };
    captures["chosen"].assert_clean(&[lab::v4(1, 0), lab::v4(5, 0)]);
}

#[test]
fn ours_joins_theirs() {
    let Some(captures) = lab::run("peers::ours_joins_theirs", Duration::from_secs(180), |lab| {
        let network = lab.network(Shape { hosts: 4, ..Shape::default() });
        let recording = network.record("joined");
        let theirs = cast::registrar(Kind::Theirs, network.host(1), cast::id(1), &[2]);
        cast::ready(Kind::Theirs, &theirs);

        lab.case("theirs is the mentor");
        let before = cast::server(network.host(4), "Before", 0xabcd_f001, &[1], &[]);
        before.until("Registration result is: okay!");
        let ours = cast::registrar(Kind::Ours, network.host(2), cast::id(2), &[1]);
        same(&network, "element of before", |space| space.len() == 1);

        lab.case("an element changes its values, at either");
        let loads = std::env::temp_dir();
        let elements_of_ours: Vec<_> = [1u8, 2]
            .map(|registrar| {
                let file = loads.join(format!("load-{}-{registrar}", std::process::id()));
                std::fs::write(&file, "lu:10%").expect("a file");
                let name = file.to_string_lossy().into_owned();
                let (port, id) = (7000 + u16::from(registrar), 0xabcd_e000 + u32::from(registrar));
                let more = ["--policy-file", name.as_str()];
                (cast::element_at(network.host(4), port, "Load", id, &[registrar], &more), file)
            })
            .into_iter()
            .collect();
        let loaded = |load: &'static str| {
            move |space: &Handlespace| {
                let pool = space.iter().filter(|((pool, _), _)| pool == "Load");
                pool.filter(|(_, element)| element.values.contains(load)).count() == 2
            }
        };
        same(&network, "element of each", loaded("l=10.000%"));
        checksum::settled(&network, &recording, 2, 1, "after adds");
        // In here a file's time of change is in seconds, and its length stays the same.
        std::thread::sleep(Duration::from_millis(1100));
        for (_, file) in &elements_of_ours {
            std::fs::write(file, "lu:75%").expect("a file");
        }
        same(&network, "new loads", loaded("l=75.000%"));
        checksum::settled(&network, &recording, 2, 1, "after updates");
        for (element, file) in elements_of_ours {
            element.interrupt();
            std::fs::remove_file(file).expect("a file");
        }
        same(&network, "only the element of before", |space| space.len() == 1);
        checksum::settled(&network, &recording, 2, 1, "after deletes");

        lab.case("elements come, at both, and go");
        let servers = elements(&network, 4);
        same(&network, "element of each", |space| space.len() == 1 + servers.len());
        drop(servers);
        same(&network, "less than all elements", |space| space.len() == 1);
        drop((recording, ours, theirs, before));
    }) else {
        return;
    };
    examine(&captures["joined"], 2);
    checksum::examine(&captures["joined"], 2, 1, 2);
    let joined = &captures["joined"];
    assert!(joined.of(Ppid::Enrp, HANDLE_TABLE_REQUEST).any(|packet| packet.source == lab::v4(2, 0)));
}
