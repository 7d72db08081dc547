//! One registrar: registration, resolution, keep-alives, failover.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use rserpool_core::Link;
use rserpool_std::{EndpointOptions, PoolUser};
use rserpool_tests::lab::{self, Shape};

use crate::cast;

#[test]
fn a_pool_with_one_registrar() {
    lab::run("pool::a_pool_with_one_registrar", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 4, ..Shape::default() });
        let (r, a, b, user) = (network.host(1), network.host(2), network.host(3), network.host(4));
        let at = r.ip().to_string();
        let registrar = cast::registrar(r, 1, std::slice::from_ref(&at), &[]);

        lab.case("what is not there is not resolved");
        assert!(cast::resolve(user, &at, "echo").contains("unknown pool handle"));

        lab.case("registration and resolution");
        let one = cast::element(a, "echo", 0xa, "sctp://0.0.0.0:7000", &["-r", &at]);
        let two = cast::element(b, "echo", 0xb, "sctp://0.0.0.0:7000", &["-r", &at]);
        let answer = cast::resolve(user, &at, "echo");
        for (id, host) in [(0xa, a), (0xb, b)] {
            assert!(answer.contains(&format!("\"id\":{id},")), "{answer}");
            assert!(answer.contains(&format!("\"{}:7000\"", host.ip())), "{answer}");
        }
        assert!(answer.contains("\"transport\":\"SCTP\""), "{answer}");

        lab.case("failover: the user goes on with the other element, whichever it has");
        let mut terminal = cast::terminal(user, &at, "echo");
        cast::echo(&mut terminal, "hello");
        let (its, other) = match terminal.text().contains("connected to 0x0000000a") {
            true => (one, two),
            false => (two, one),
        };
        its.kill();
        cast::echo(&mut terminal, "again");
        lab::until("the element to be removed", || !cast::resolve(user, &at, "echo").contains("},{"));

        lab.case("an element that is registered gets keep-alives, and leaves the pool if it does not answer");
        registrar.until("registered in pool");
        std::thread::sleep(Duration::from_secs(4));
        assert!(cast::status(r).contains("\"element_count\":1"));
        other.signal("STOP");
        lab::until("its removal", || cast::status(r).contains("\"element_count\":0"));
        other.signal("CONT");
        lab::until("its return", || cast::status(r).contains("\"element_count\":1"));

        lab.case("one that leaves is gone at once");
        assert!(other.interrupt().status.success());
        assert!(cast::resolve(user, &at, "echo").contains("unknown pool handle"));
        assert!(registrar.interrupt().status.success());
    });
}

#[test]
fn a_program_talks_with_elements_over_sctp() {
    lab::run("pool::a_program_talks_with_elements_over_sctp", Duration::from_secs(120), |lab| {
        let network = lab.network(Shape { hosts: 3, ..Shape::default() });
        let (r, a, b) = (network.host(1), network.host(2), network.host(3));
        let at = r.ip().to_string();
        let registrar = cast::registrar(r, 1, std::slice::from_ref(&at), &[]);
        let prefer = |priority| ["-r", &at, "--policy", priority];
        let one = cast::element(a, "echo", 0xa, "sctp://0.0.0.0:7000", &prefer("prio:9"));
        let two = cast::element(b, "echo", 0xb, "sctp://0.0.0.0:7000", &prefer("prio:1"));
        let user = PoolUser::new(EndpointOptions {
            link: Link::Sctp,
            registrars: vec![vec![SocketAddr::new(r.ip(), 3863)]],
            timeout: Duration::from_secs(20),
            ..EndpointOptions::default()
        })
        .unwrap();

        lab.case("a write is a message, and so is a read, or as much of it as there is room for");
        let mut stream = user.connect("echo").unwrap();
        assert_eq!(stream.member().id().0, 0xa);
        assert!(stream.get_ref().tcp().is_none());
        assert_eq!(stream.get_ref().peer_addr().unwrap(), SocketAddr::new(a.ip(), 7000));
        let long = [7; 20_000];
        for message in [&b"one"[..], b"two", &long] {
            stream.write_all(message).unwrap();
        }
        let mut buffer = [0; 6];
        for message in [b"one", b"two"] {
            assert_eq!(stream.read(&mut buffer).unwrap(), 3);
            assert_eq!(&buffer[..3], message);
        }
        let mut rest = vec![0; long.len()];
        stream.read_exact(&mut rest).unwrap();
        assert!(rest == long);
        stream.get_ref().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        assert_eq!(stream.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        stream.get_ref().set_read_timeout(None).unwrap();

        lab.case("an element that dies ends what was read from it, and the next one goes on");
        one.kill();
        assert!(matches!(stream.read(&mut buffer), Ok(0) | Err(_)));
        stream.fail_over().unwrap();
        assert_eq!(stream.member().id().0, 0xb);
        stream.write_all(b"three").unwrap();
        let read = stream.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..read], b"three");

        lab.case("a thread that reads ends with the connection");
        let reader = stream.get_ref().try_clone().unwrap();
        let reader = thread::spawn(move || { &reader }.read(&mut [0; 6]));
        stream.get_ref().shutdown().unwrap();
        assert!(matches!(reader.join().unwrap(), Ok(0) | Err(_)));
        assert!(two.interrupt().status.success());
        assert!(registrar.interrupt().status.success());
    });
}
