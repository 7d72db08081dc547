//! Firmware on an emulated chip, and the `rserpool` command on the host: registration, service, failover, discovery.

use std::time::Duration;

use rserpool_tests::rig::{Process, Rig, eventually};

const SOON: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_secs(60);

const PEER: &str = env!("CARGO_BIN_EXE_lab-peer");

/// An echo service on the host.
fn echo(rig: &Rig, port: u16) -> Process {
    let mut echo = rig.command(PEER);
    echo.args(["echo", &port.to_string()]);
    let echo = Process::start("echo", echo);
    echo.wait_for("ready", SOON);
    echo
}

#[test]
fn a_host_is_served_by_a_sensor_that_tells_its_load_and_leaves() {
    let Some(rig) = Rig::or_skip() else { return };
    let registrar = rig.registrar(&[]);
    registrar.wait_for("listens", SOON);
    let mut sensor = rig.guest(0, "sensor", &[]);
    sensor.wait_for("registered", SOON);
    let pool = rig.resolve("sensors", "10.77.0.1");
    assert!(pool.contains("10.77.0.2:7000") && pool.contains("least used"), "{pool}");

    let reading = rig.output(PEER, &["ask", "10.77.0.2:7000", "read"]);
    assert!(reading.ends_with(" C\n"), "{reading}");

    let load = |rig: &Rig, load: &str| rig.resolve("sensors", "10.77.0.1").contains(&format!("load {load}"));
    // Two of its four places are taken for a while.
    let busy = [(); 2].map(|()| rig.command(PEER).args(["ask", "10.77.0.2:7000", "read", "5"]).spawn().unwrap());
    eventually(SOON, "the registrar knows that it is half busy", || load(&rig, "0x7ffffffe"));
    for mut user in busy {
        user.wait().unwrap();
    }
    eventually(SOON, "and that it is not any more", || load(&rig, "0x00000000"));

    rig.output(PEER, &["ask", "10.77.0.2:7000", "stop"]);
    assert!(sensor.ends_well(SOON));
    let pool = rig.resolve("sensors", "10.77.0.1");
    assert!(!pool.contains("10.77.0.2"), "{pool}");
}

#[test]
fn an_element_registers_again_with_a_registrar_that_was_started_again() {
    let Some(rig) = Rig::or_skip() else { return };
    let registrar = rig.registrar(&[]);
    let element = rig.guest(0, "element", &[]);
    element.wait_for("registered", SOON);
    // A home that was lost sooner than T5 (10 s) would count as one that could not be reached.
    std::thread::sleep(Duration::from_secs(11));
    registrar.kill();
    element.wait_for("the registrar is gone", LATER);
    let again = rig.registrar(&[]);
    again.wait_for("registered in pool hello", LATER);
    assert!(rig.resolve("hello", "10.77.0.1").contains("10.77.0.2:7"));
}

#[test]
fn an_element_is_removed_when_its_chip_stops_and_back_when_it_starts() {
    let Some(rig) = Rig::or_skip() else { return };
    let _registrar = rig.registrar(&["--keep-alive-interval", "2s", "--keep-alive-timeout", "2s"]);
    let element = rig.guest(0, "element", &[]);
    element.wait_for("registered", SOON);
    let is_there = || rig.resolve("hello", "10.77.0.1").contains("10.77.0.2:7");
    assert!(is_there());
    element.kill();
    eventually(SOON, "the element is removed", || !is_there());
    let element = rig.guest(0, "element", &["seed=77"]);
    element.wait_for("registered", SOON);
    assert!(is_there());
}

#[test]
fn a_registrar_is_found_by_multicast() {
    let Some(rig) = Rig::or_skip() else { return };
    let mut element = rig.guest(0, "element", &["multicast=true"]);
    std::thread::sleep(Duration::from_secs(1));
    assert!(element.is_running() && element.count("registered") == 0);
    let _registrar = rig.registrar(&["--multicast", "--interface", "10.77.0.1", "--announce", "10.77.0.1:3863"]);
    element.wait_for("registered", SOON);
    assert!(rig.resolve("hello", "10.77.0.1").contains("10.77.0.2:7"));
}

#[test]
fn a_user_on_a_chip_survives_the_death_of_a_service_on_the_host() {
    let Some(rig) = Rig::or_skip() else { return };
    let _registrar = rig.registrar(&[]);
    let (one, _two) = (echo(&rig, 5001), echo(&rig, 5002));
    let element = |port: u16| {
        let service = format!("tcp://10.77.0.1:{port}");
        rig.rserpool(&["element", "--pool", "echo", "--service", &service, "--registrar", "10.77.0.1"])
    };
    let (first, _second) = (element(5001), element(5002));
    eventually(SOON, "both are registered", || rig.resolve("echo", "10.77.0.1").matches("10.77.0.1:500").count() == 2);
    let mut user = rig.guest(0, "user", &["run=12"]);
    user.wait_for_nth("served by", 2, SOON);
    // The service dies, and nobody says so.
    one.kill();
    user.wait_for("does not answer", SOON);
    assert!(user.ends_well(LATER));
    let last = user.wait_for("requests were served", SOON);
    let numbers: Vec<u32> = last.split(' ').filter_map(|word| word.trim_matches(',').parse().ok()).collect();
    assert!(numbers[0] > 50, "{last}");
    drop(first);
}

#[test]
fn hosts_use_a_registrar_on_a_chip() {
    let Some(rig) = Rig::or_skip() else { return };
    let mut registrar = rig.guest(0, "registrar", &[]);
    registrar.wait_for("listens", SOON);
    let _services = [6001, 6002, 6003].map(|port| echo(&rig, port));
    let elements: Vec<_> = (6001..=6003)
        .map(|port| {
            let service = format!("tcp://10.77.0.1:{port}");
            rig.rserpool(&["element", "--pool", "web", "--service", &service, "--registrar", "10.77.0.2"])
        })
        .collect();
    registrar.wait_for("3 elements", SOON);
    let pool = rig.resolve("web", "10.77.0.2");
    assert_eq!(pool.matches("10.77.0.1:600").count(), 3, "{pool}");
    // Killed: their connections end, and they are removed.
    drop(elements);
    registrar.wait_for("0 elements", SOON);
    assert!(registrar.is_running());
}

/// RFC 5353, 3.5, and RFC 5352, 3.4, KA2.4: the H flag.
#[test]
fn a_registrar_takes_an_element_on_a_chip_over() {
    let Some(rig) = Rig::or_skip() else { return };
    // Both at the same address, since the guest reaches only that one.
    let quick = ["--max-time-last-heard", "2s", "--max-time-no-response", "1s", "--peer-heartbeat-cycle", "1s"];
    let registrar = |asap: &str, enrp: &str, peer: &str| {
        let own = ["--listen", asap, "--enrp-listen", enrp, "--peer", peer];
        rig.registrar(&[&own[..], &quick[..]].concat())
    };
    let one = registrar("10.77.0.1:3863", "10.77.0.1:9901", "10.77.0.1:9902");
    let two = registrar("10.77.0.1:3864", "10.77.0.1:9902", "10.77.0.1:9901");
    one.wait_for("found", SOON);
    let element = rig.guest(0, "element", &[]);
    element.wait_for("registered", SOON);
    std::thread::sleep(Duration::from_secs(2));
    // It stops, and does not even close its connections.
    one.stop();
    element.wait_for("another registrar has taken over", LATER);
    let pool = rig.resolve("hello", "10.77.0.1:3864");
    assert!(pool.contains("10.77.0.2:7"), "{pool}");
    drop(two);
}

#[test]
fn a_registrar_on_a_chip_and_one_on_the_host_keep_one_handlespace() {
    let Some(rig) = Rig::or_skip() else { return };
    let chip = rig.guest(0, "registrar", &["peer=true"]);
    chip.wait_for("listens", SOON);
    let host = rig.registrar(&["--listen", "10.77.0.1", "--enrp-listen", "10.77.0.1", "--peer", "10.77.0.2"]);
    chip.wait_for("found", SOON);
    let _services = [echo(&rig, 6001), echo(&rig, 6002)];
    let element = |registrar: &str, port: u16| {
        let service = format!("tcp://10.77.0.1:{port}");
        rig.rserpool(&["element", "--pool", "web", "--service", &service, "--registrar", registrar])
    };
    let (_at_chip, _at_host) = (element("10.77.0.2", 6001), element("10.77.0.1", 6002));
    for registrar in ["10.77.0.1", "10.77.0.2"] {
        eventually(SOON, "each knows both elements", || {
            rig.resolve("web", registrar).matches("10.77.0.1:600").count() == 2
        });
    }
    drop(host);
}

#[test]
fn ten_elements_on_chips_and_two_on_the_host_are_one_pool() {
    let Some(rig) = Rig::or_skip() else { return };
    (0..10).for_each(|guest| rig.plug(guest));
    let _registrar = rig.registrar(&[]);
    let _services = [echo(&rig, 6001), echo(&rig, 6002)];
    let _elements = [6001, 6002].map(|port| {
        let service = format!("tcp://10.77.0.1:{port}");
        rig.rserpool(&["element", "--pool", "hello", "--service", &service, "--registrar", "10.77.0.1"])
    });
    let guests: Vec<_> = (0..10).map(|guest| rig.guest(guest, "element", &[])).collect();
    for guest in &guests {
        guest.wait_for("registered", LATER);
    }
    eventually(SOON, "all twelve are known", || {
        let pool = rig.resolve("hello", "10.77.0.1");
        (0..10).all(|guest| pool.contains(&format!("10.77.{guest}.2:7")))
            && [6001, 6002].iter().all(|port| pool.contains(&format!("10.77.0.1:{port}")))
    });
}
