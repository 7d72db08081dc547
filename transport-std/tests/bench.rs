#![allow(missing_docs, reason = "tests")]
//! `rserpool bench`, small and short.
#![cfg(feature = "cli")]

use std::net::TcpListener;
use std::process::{Command, Output};

use rserpool_std::{RegistrarOptions, RegistrarServer};
use serde_json::Value;

fn bench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rserpool")).arg("bench").args(args).output().unwrap()
}

#[track_caller]
fn report(args: &[&str]) -> Value {
    let output = bench(&[args, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn fails(args: &[&str], status: i32, text: &str) {
    let output = bench(args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{error}");
    assert!(error.contains(text), "{error}");
}

#[test]
fn three_servers_under_the_same_load() {
    let report = report(&["--null", "--pools", "7", "--register", "100", "--requests", "5000", "--window", "8"]);
    assert_eq!(report["registration"]["requests"], 100);
    let servers = report["resolution"].as_array().unwrap();
    let names: Vec<_> = servers.iter().map(|server| server["server"].as_str().unwrap()).collect();
    assert_eq!(names, ["registrar", "driver, null machine", "null server"]);
    for server in servers {
        assert!(server["requests"].as_u64().unwrap() >= 5000, "{server}");
        let latency = |name: &str| server["latency_us"][name].as_f64().unwrap();
        assert!(latency("p50") > 0.0 && latency("p50") <= latency("p99") && latency("p99") <= latency("max"));
        assert!(!cfg!(target_os = "linux") || server["server_cpu_us_per_request"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(servers[2]["of_null"], 1.0);
    // The header, the handle with its own, a policy, and three elements with a TCP transport and a policy.
    assert_eq!(report["load"]["answer_bytes"], 4 + 4 + 12 + 8 + 3 * (16 + 8 + 8 + 8));
}

#[test]
fn each_policy() {
    for policy in ["rr", "wrr", "rand", "wrand", "prio", "lu", "lud", "plu", "rlu"] {
        let report = report(&["--policy", policy, "--pools", "2", "--elements", "5", "--requests", "100"]);
        assert!(report["resolution"][0]["requests"].as_u64().unwrap() >= 100, "{policy}");
    }
}

#[test]
fn a_registrar_elsewhere() {
    let registrar = RegistrarServer::start(RegistrarOptions::listening_on("127.0.0.1:0".parse().unwrap())).unwrap();
    let address = registrar.local_addr().to_string();
    let report = report(&["--registrar", &address, "--pools", "3", "--duration", "50ms", "--connections", "2"]);
    assert_eq!(report["load"]["registrar"], address);
    assert_eq!(report["registration"]["requests"], 30);
    assert!(report["resolution"][0]["server_cpu_seconds"].is_null());
    registrar.stop().unwrap();
}

#[test]
fn a_table_for_people() {
    let output = bench(&["--pools", "2", "--requests", "100"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "Measured: a registrar in a thread of this process",
        "20 elements in 2 pools, policy round robin",
        "latency p99.9",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains('\x1b'), "no colours where there is no terminal");
}

#[test]
fn what_is_wrong_is_said() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    fails(&["--registrar", &nobody], 3, &format!("cannot connect to {nobody}: "));
    fails(&["--connections", "0"], 2, "invalid value '0' for '--connections <N>': 0 is not in 1..=4096");
    fails(&["--duration", "3h"], 2, "expected a time of 10ms to 10m");
    fails(
        &["--pools", "10", "--register", "9"],
        2,
        "invalid value '9' for '--register': expected at least as many as --pools, 10",
    );
    let mut options = RegistrarOptions::listening_on("127.0.0.1:0".parse().unwrap());
    options.limits.pools = 2;
    let registrar = RegistrarServer::start(options).unwrap();
    let address = registrar.local_addr().to_string();
    fails(&["--registrar", &address, "--pools", "3"], 1, "not positive: REGISTRATION_RESPONSE: lack of resources");
}
