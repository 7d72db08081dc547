//! The blocking pool user, pool element and registrar together, over loopback.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use rserpool_core::wire::{Policy, Transport};
use rserpool_core::{EndpointConfig, PeId};
use rserpool_std::{
    EndpointOptions, Error, PoolElement, PoolListener, PoolUser, RegistrarOptions, RegistrarServer, Service,
};

fn registrar() -> RegistrarServer {
    RegistrarServer::start(RegistrarOptions::listening_on("127.0.0.1:0".parse().unwrap())).unwrap()
}

fn options(registrars: &[SocketAddr]) -> EndpointOptions {
    EndpointOptions {
        registrars: registrars.iter().map(|address| vec![*address]).collect(),
        asap: EndpointConfig {
            t1_enrp_request: Duration::from_secs(2),
            t5_server_hunt: Duration::from_millis(200),
            ..EndpointConfig::default()
        },
        timeout: Duration::from_secs(10),
        ..EndpointOptions::default()
    }
}

/// Waits for a condition, not for a time.
fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "the condition did not come true");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Serves one connection after the other, a byte at a time, until `count` connections have ended.
fn echo(listener: PoolListener<'_>, count: usize) {
    for _ in 0..count {
        let (mut stream, _) = listener.accept().unwrap();
        let mut byte = [0];
        while let Ok(1) = stream.read(&mut byte) {
            stream.write_all(&byte).unwrap();
        }
    }
    listener.close().unwrap();
}

#[test]
fn a_user_finds_an_element_and_talks_to_it() {
    let registrar = registrar();
    let address = registrar.local_addr();
    let server = thread::spawn(move || {
        let endpoint = PoolElement::new(options(&[address])).unwrap();
        let listener = PoolListener::bind(&endpoint, "echo", "127.0.0.1:0").unwrap();
        echo(listener, 1);
    });
    until(|| registrar.status(10).unwrap().element_count == 1);
    let user = PoolUser::new(options(&[address])).unwrap();
    let mut stream = user.connect("echo").unwrap();
    stream.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
    drop(stream);
    server.join().unwrap();
    assert_eq!(registrar.status(10).unwrap().element_count, 0, "the element has deregistered");
    registrar.stop().unwrap();
}

#[test]
fn a_dead_element_is_reported_and_the_next_one_serves() {
    let registrar = registrar();
    let address = registrar.local_addr();
    let endpoint = PoolElement::new(options(&[address])).unwrap();
    // Nobody listens on this port any more.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let prio = |priority| Policy::Priority { priority };
    let dead = endpoint.register(&Service { policy: prio(9), ..Service::tcp("pool", dead) }).unwrap();
    let live = PoolListener::with_policy(&endpoint, "pool", "127.0.0.1:0", prio(1)).unwrap();

    let user = PoolUser::new(options(&[address])).unwrap();
    assert_eq!(user.primary("pool").unwrap().id(), dead.id().unwrap().unwrap(), "the policy prefers the dead one");
    let stream = user.connect("pool").unwrap();
    assert_eq!(stream.get_ref().peer_addr().unwrap(), live.local_addr().unwrap());
    until(|| {
        let status = registrar.status(0).unwrap();
        status.counters.iter().any(|(name, count)| name == "unreachable reports" && *count == 1)
    });
}

#[test]
fn an_unknown_pool_is_an_answer_and_an_unreachable_registrar_a_timeout() {
    let registrar = registrar();
    let user = PoolUser::new(options(&[registrar.local_addr()])).unwrap();
    let error = user.resolve("nobody").unwrap_err();
    assert_eq!(error.to_string(), "the pool cannot be resolved: unknown pool handle");
    let error = user.primary("nobody").unwrap_err();
    assert_eq!(error.to_string(), "the pool cannot be resolved: unknown pool handle");
    registrar.stop().unwrap();

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let user = PoolUser::new(EndpointOptions { timeout: Duration::from_millis(300), ..options(&[nobody]) }).unwrap();
    assert!(matches!(user.resolve("echo"), Err(Error::TimedOut { .. })));
}

#[test]
fn a_watch_tells_of_every_change() {
    let registrar = registrar();
    let endpoint = PoolElement::new(options(&[registrar.local_addr()])).unwrap();
    let user = PoolUser::new(options(&[registrar.local_addr()])).unwrap();
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let first = endpoint.register(&Service::tcp("pool", at(1))).unwrap();

    let mut watch = user.watch("pool").unwrap();
    let patience = Duration::from_secs(10);
    let count = |update: Option<Result<Vec<rserpool_std::Member>, _>>| update.unwrap().map(|members| members.len());
    assert_eq!(count(watch.next(patience).unwrap()), Ok(1));
    let second = endpoint.register(&Service::tcp("pool", at(2))).unwrap();
    assert_eq!(count(watch.next(patience).unwrap()), Ok(2));
    second.deregister().unwrap();
    assert_eq!(count(watch.next(patience).unwrap()), Ok(1));
    first.deregister().unwrap();
    assert!(count(watch.next(patience).unwrap()).is_err(), "the pool is gone");
    assert_eq!(watch.next(Duration::from_millis(10)).unwrap(), None, "nothing has changed");
}

#[test]
fn a_refusal_names_its_cause() {
    let registrar = registrar();
    let endpoint = PoolElement::new(options(&[registrar.local_addr()])).unwrap();
    let at: SocketAddr = "127.0.0.1:7".parse().unwrap();
    let _first = endpoint.register(&Service::tcp("pool", at)).unwrap();
    let other_policy = Service { policy: Policy::Random, ..Service::tcp("pool", at) };
    assert!(matches!(endpoint.register(&other_policy), Err(Error::Refused(0x5))));
    let other_transport = Service { transport: Transport::Udp(at), ..Service::tcp("pool", at) };
    assert!(matches!(endpoint.register(&other_transport), Err(Error::Refused(0x7))));
    let taken = Service { id: Some(PeId(7)), ..Service::tcp("pool", at) };
    let _taken = endpoint.register(&taken).unwrap();
    let stranger = PoolElement::new(options(&[registrar.local_addr()])).unwrap();
    let same_id = Service { id: Some(PeId(7)), ..Service::tcp("pool", "127.0.0.1:8".parse().unwrap()) };
    assert!(matches!(stranger.register(&same_id), Err(Error::Refused(0x4))));
}

#[test]
fn elements_and_users_move_on_when_their_registrar_stops() {
    let (first, second) = (registrar(), registrar());
    let both = [first.local_addr(), second.local_addr()];
    let endpoint = PoolElement::new(options(&both)).unwrap();
    let _registration = endpoint.register(&Service::tcp("pool", "127.0.0.1:7".parse().unwrap())).unwrap();
    let (home, other) = if first.status(0).unwrap().element_count == 1 { (first, second) } else { (second, first) };
    home.stop().unwrap();
    until(|| other.status(0).unwrap().element_count == 1);
    let user = PoolUser::new(options(&both)).unwrap();
    assert_eq!(user.resolve("pool").unwrap().len(), 1);
}
