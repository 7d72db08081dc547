//! Firmware on an emulated chip under conditions that take long, or are not friendly.

use std::time::Duration;

use rserpool_tests::rig::{Process, Rig};

const SOON: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_secs(120);

const PEER: &str = env!("CARGO_BIN_EXE_lab-peer");

/// The chip's clock jumps over what it would sleep, so half an hour passes in seconds; the host's clock does not. A host
/// that is slow for a moment lets the chip's time-outs pass, so a home may be lost; it has to be found again each time.
#[test]
fn half_an_hour_of_registrations_leaks_nothing() {
    let Some(rig) = Rig::or_skip() else { return };
    // What are 20 ms for the host are seconds for the chip.
    let registrar = rig.registrar(&["--keep-alive-interval", "200ms", "--keep-alive-timeout", "5s"]);
    registrar.wait_for("listens", SOON);
    let fast = ["-icount", "shift=5,sleep=off"];
    let mut sensor = rig.guest_with(0, "sensor", &["lifetime=30", "run=1800", "beat=2"], &fast);
    let begin = std::time::Instant::now();
    assert!(sensor.ends_well(LATER));
    println!("took {:?}", begin.elapsed());
    let last = sensor.wait_for("events, after", SOON);
    // It is still there at the end, and leaves in good order: no place for a connection was lost.
    sensor.wait_for("deregistered", SOON);
    let registrars: usize = last.split(' ').next().and_then(|number| number.parse().ok()).unwrap();
    assert!((1..=20).contains(&registrars), "{last}");
}

#[test]
fn frames_are_lost_and_overtake_each_other() {
    let Some(rig) = Rig::or_skip() else { return };
    let end = |port: u16, other: u16| {
        format!(
            "dgram,id=d,local.type=inet,local.host=127.0.0.1,local.port={port},\
             remote.type=inet,remote.host=127.0.0.1,remote.port={other}"
        )
    };
    let mut relay = rig.command(PEER);
    relay.args(["relay", "10", "10", "15592", "15591", "15593", "15594"]);
    let relay = Process::start("relay", relay);
    relay.wait_for("ready", SOON);
    // No machine: it joins the host's end of the cable and the relay.
    let mut joint = rig.command("qemu-system-arm");
    joint.args(["-M", "none", "-display", "none", "-monitor", "none", "-serial", "null"]);
    joint.args(["-netdev", "tap,id=t,ifname=tap0,script=no,downscript=no", "-netdev", &end(15594, 15593)]);
    joint.args(["-netdev", "hubport,id=h1,hubid=0,netdev=t", "-netdev", "hubport,id=h2,hubid=0,netdev=d"]);
    let _joint = Process::start("joint", joint);

    let registrar = rig.registrar(&["--keep-alive-interval", "2s", "--keep-alive-timeout", "20s"]);
    registrar.wait_for("listens", SOON);
    let nic = ["-netdev", &end(15591, 15592), "-net", "nic,netdev=d"];
    let mut sensor = rig.machine(0, "sensor", &["run=30", "lifetime=40"], &nic);
    sensor.wait_for("registered", LATER);
    assert!(sensor.ends_well(LATER));
    sensor.wait_for("deregistered", SOON);
}

#[test]
fn what_is_no_registrar_does_not_stop_the_firmware() {
    let Some(rig) = Rig::or_skip() else { return };
    let mut impostor = rig.command(PEER);
    impostor.args(["garbage", "3863"]);
    let impostor = Process::start("impostor", impostor);
    impostor.wait_for("ready", SOON);
    let mut elements: Vec<_> = (0..2).map(|guest| rig.guest(guest, "element", &[])).collect();
    std::thread::sleep(Duration::from_secs(25));
    for element in &mut elements {
        assert!(element.is_running());
        assert!(element.count("there is a registrar") > 0 && element.count("registered") == 0);
    }
    impostor.kill();
    let registrar = rig.registrar(&[]);
    registrar.wait_for("listens", SOON);
    for element in &elements {
        element.wait_for("registered", LATER);
    }
}
