//! What is said where the kernel has no SCTP: never anything else is used silently. Where it has SCTP there is nothing
//! to see.
#![cfg(all(target_os = "linux", feature = "cli"))]

use std::io::{BufRead, BufReader, ErrorKind};
use std::process::{Command, Stdio};

use rserpool_core::{Link, Ppid, Registrar};
use rserpool_std::driver::{Driver, DriverConfig, Listener, StartError, sctp_available};
use rserpool_std::{EndpointOptions, Error, PoolElement, PoolUser, RegistrarOptions, RegistrarServer};

fn is_missing() -> bool {
    match sctp_available() {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            true
        }
    }
}

#[track_caller]
fn says_so(error: &StartError) {
    let StartError::ListenSctp { error: why, .. } = error else { panic!("{error}") };
    assert_eq!(why.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("this system's kernel has no SCTP"), "{error}");
}

#[test]
fn a_driver_a_registrar_and_endpoints_say_so() {
    if !is_missing() {
        return;
    }
    let address = "127.0.0.1:0".parse().unwrap();
    let listeners = vec![Listener::sctp(Ppid::Asap, address, Vec::new())];
    says_so(&Driver::<Registrar<'_>>::bind(DriverConfig { listeners, ..DriverConfig::default() }).unwrap_err());

    // Even where TCP is asked for, too: who wants both without one of them has to say it.
    let options = RegistrarOptions { sctp_listen: vec![address], ..RegistrarOptions::listening_on(address) };
    let Err(Error::Start(error)) = RegistrarServer::start(options) else { panic!("it has started") };
    says_so(&error);

    let options = EndpointOptions { link: Link::Sctp, ..EndpointOptions::with_registrar("127.0.0.1").unwrap() };
    let Err(Error::Start(error)) = PoolUser::new(options.clone()) else { panic!("it has started") };
    says_so(&error);
    let Err(Error::Start(error)) = PoolElement::new(options) else { panic!("it has started") };
    says_so(&error);
}

#[test]
fn the_command_says_what_can_be_done() {
    if !is_missing() {
        return;
    }
    let element = ["element", "--pool", "p", "--service", "tcp://127.0.0.1:1", "--transport", "sctp"];
    let echo = ["element", "--pool", "p", "--service", "sctp://127.0.0.1:0", "--echo"];
    for arguments in [
        &["resolve", "--transport", "sctp", "pool"][..],
        &["terminal", "--transport", "sctp", "pool"],
        &["registrar", "--transport", "sctp", "--control", "none"],
        &element,
        &echo,
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_rserpool")).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(said.contains("kernel has no SCTP") && said.contains("modprobe sctp"), "{said}");
    }
}

#[test]
fn a_registrar_for_both_warns_and_serves_over_tcp() {
    if !is_missing() {
        return;
    }
    let arguments = ["registrar", "--transport", "both", "--listen", "127.0.0.1:0", "--control", "none"];
    let mut registrar =
        Command::new(env!("CARGO_BIN_EXE_rserpool")).args(arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(registrar.stderr.take().unwrap()).lines() {
        said += &line.unwrap();
        if said.contains("listens on tcp://127.0.0.1:") {
            break;
        }
    }
    registrar.kill().unwrap();
    registrar.wait().unwrap();
    assert!(said.contains("kernel has no SCTP") && said.contains("listens over TCP only"), "{said}");
    assert!(said.contains("listens on tcp://127.0.0.1:"), "{said}");
}
