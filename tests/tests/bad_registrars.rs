//! Registrars that misbehave. Elements and users go to another one, or have an error in time; they do not spin.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rserpool_core::wire::asap::{AsapError, EndpointKeepAlive, HandleResolutionResponse, RegistrationResponse};
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::{AsapMessage, List, OperationError, Policy};
use rserpool_core::{PeId, ServerId};
use rserpool_std::{EndpointOptions, Error, PoolElement, PoolUser, RegistrarOptions, RegistrarServer, Service};
use rserpool_tests::hostile::registrar::{BadRegistrar as Bad, hold};
use rserpool_tests::scene::{Peer, at, element, emit, endpoint, handle, until};

/// What a bad registrar does with a connection until this returns.
type Script = fn(&mut Peer, &AtomicBool);

fn closes_at_once(_: &mut Peer, _: &AtomicBool) {}

fn never_answers(peer: &mut Peer, stop: &AtomicBool) {
    hold(peer, stop);
}

fn speaks_http(peer: &mut Peer, stop: &AtomicBool) {
    let _ = peer.stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    hold(peer, stop);
}

fn answers_zeroes(peer: &mut Peer, _: &AtomicBool) {
    while peer.receive().is_some() {
        if !peer.try_send(&[0; 4096]) {
            return;
        }
    }
}

fn answers_unknown_messages(peer: &mut Peer, _: &AtomicBool) {
    while peer.receive().is_some() {
        if !peer.try_send(&[0x7f, 0, 0, 4].repeat(100)) {
            return;
        }
    }
}

/// A message that is well-formed, and then the end: again and again it looks as if there were a registrar.
fn greets_and_closes(peer: &mut Peer, _: &AtomicBool) {
    let _ = peer.try_send(&emit(AsapError { error: OperationError::new(&[Cause::Unspecified]) }));
}

fn asks_for_life_and_closes(peer: &mut Peer, _: &AtomicBool) {
    let question =
        EndpointKeepAlive { adopt: true, server: ServerId(7), pool_handle: handle(b"pool"), id: Some(PeId(1)) };
    let _ = peer.try_send(&emit(question));
}

fn closes_when_asked(peer: &mut Peer, _: &AtomicBool) {
    let _ = peer.receive();
}

fn answers_for_somebody_else(peer: &mut Peer, _: &AtomicBool) {
    while peer.receive().is_some() {
        let pool_handle = handle(b"another");
        let registered = RegistrationResponse { rejected: false, pool_handle, id: PeId(77), error: None };
        if !(peer.try_send(&emit(registered)) && peer.try_send(&update(b"another"))) {
            return;
        }
    }
}

fn update(pool: &[u8]) -> Vec<u8> {
    emit(HandleResolutionResponse {
        accepts_updates: true,
        pool_handle: handle(pool),
        policy: Some(Policy::RoundRobin),
        elements: List::new(&[element(1), element(2)]),
        error: None,
    })
}

fn updates_without_end(peer: &mut Peer, stop: &AtomicBool) {
    let updates = update(b"pool").repeat(100);
    while !stop.load(Ordering::Acquire) && peer.try_send(&updates) {}
}

fn asks_for_life_without_end_and_never_reads(peer: &mut Peer, stop: &AtomicBool) {
    let question =
        emit(EndpointKeepAlive { adopt: false, server: ServerId(7), pool_handle: handle(b"pool"), id: Some(PeId(1)) });
    let questions = question.repeat(100);
    while !stop.load(Ordering::Acquire) && peer.try_send(&questions) {}
}

const SCRIPTS: [(&str, Script); 11] = [
    ("closes at once", closes_at_once),
    ("never answers", never_answers),
    ("speaks HTTP", speaks_http),
    ("answers zeroes", answers_zeroes),
    ("answers unknown messages", answers_unknown_messages),
    ("greets and closes", greets_and_closes),
    ("asks for life and closes", asks_for_life_and_closes),
    ("closes when asked", closes_when_asked),
    ("answers for somebody else", answers_for_somebody_else),
    ("updates without end", updates_without_end),
    ("asks for life without end and never reads", asks_for_life_without_end_and_never_reads),
];

/// How often an endpoint may connect to a bad registrar within the short time that a test takes. The attempts are
/// further and further apart; one that spins is there a thousand times in a second.
const CONNECTIONS: usize = 100;

/// All scripts at once: what they are tested for is mostly waiting.
fn for_each_script(test: impl Fn(&'static str, Script) + Sync) {
    thread::scope(|scope| {
        for (what, script) in SCRIPTS {
            let test = &test;
            thread::Builder::new().name(what.to_owned()).spawn_scoped(scope, move || test(what, script)).unwrap();
        }
    });
}

/// Options of an endpoint that gives a registrar up soon.
fn impatient(registrars: &[SocketAddr]) -> EndpointOptions {
    let mut options = endpoint(registrars);
    options.asap.t1_enrp_request = Duration::from_millis(200);
    options.asap.t2_registration = Duration::from_millis(200);
    options.asap.t3_deregistration = Duration::from_millis(200);
    options.driver.write_stall = Duration::from_millis(500);
    options
}

fn service() -> Service<'static> {
    Service { id: Some(PeId(1)), ..Service::tcp("pool", at(9)) }
}

#[test]
fn a_user_with_a_bad_registrar_alone_has_an_error_in_time() {
    for_each_script(|what, script| {
        let bad = Bad::new(script);
        let options = EndpointOptions { timeout: Duration::from_millis(1500), ..impatient(&[bad.address()]) };
        let user = PoolUser::new(options).unwrap();
        let resolved = user.resolve("pool");
        if what != "updates without end" {
            assert!(matches!(resolved, Err(Error::TimedOut { .. } | Error::Unresolved(_))), "{what}: {resolved:?}");
        }
        let chosen = user.primary("nobody");
        assert!(matches!(chosen, Err(Error::TimedOut { .. } | Error::Unresolved(_))), "{what}: {chosen:?}");
        assert!(user.driver().is_running(), "{what}");
        assert!((1..=CONNECTIONS).contains(&bad.connections()), "{what}: {} connections", bad.connections());
    });
}

#[test]
fn an_element_with_a_bad_registrar_alone_has_an_error_in_time() {
    for_each_script(|what, script| {
        let bad = Bad::new(script);
        let options = EndpointOptions { timeout: Duration::from_millis(1500), ..impatient(&[bad.address()]) };
        let endpoint = PoolElement::new(options).unwrap();
        let refused = endpoint.register(&service()).map(|_| ());
        assert!(matches!(refused, Err(Error::TimedOut { .. })), "{what}: {refused:?}");
        assert!(endpoint.driver().is_running(), "{what}");
        assert!((1..=CONNECTIONS).contains(&bad.connections()), "{what}: {} connections", bad.connections());
    });
}

#[test]
fn two_registrars_that_only_greet_do_not_send_anybody_in_circles() {
    let (one, other) = (Bad::new(greets_and_closes), Bad::new(asks_for_life_and_closes));
    let options =
        || EndpointOptions { timeout: Duration::from_millis(1500), ..impatient(&[one.address(), other.address()]) };
    let user = PoolUser::new(options()).unwrap();
    assert!(user.resolve("pool").is_err());
    let endpoint = PoolElement::new(options()).unwrap();
    assert!(endpoint.register(&service()).is_err());
    let connections = one.connections() + other.connections();
    assert!((2..=2 * CONNECTIONS).contains(&connections), "{connections} connections");
}

fn good() -> RegistrarServer {
    RegistrarServer::start(RegistrarOptions::listening_on(at(0))).unwrap()
}

#[test]
fn a_user_goes_to_a_registrar_that_behaves() {
    for_each_script(|what, script| {
        let (bad, good) = (Bad::new(script), good());
        let endpoint = PoolElement::new(endpoint(&[good.local_addr()])).unwrap();
        let _registration = endpoint.register(&service()).unwrap();
        let user = PoolUser::new(impatient(&[bad.address(), good.local_addr()])).unwrap();
        // An error meanwhile is one that the application can answer with another try.
        until(what, || user.resolve("pool").is_ok_and(|members| members.iter().any(|m| m.addresses() == [at(9)])));
        assert!(bad.connections() <= CONNECTIONS, "{what}: {} connections", bad.connections());
    });
}

#[test]
fn an_element_goes_to_a_registrar_that_behaves() {
    for_each_script(|what, script| {
        let (bad, good) = (Bad::new(script), good());
        let endpoint = PoolElement::new(impatient(&[bad.address(), good.local_addr()])).unwrap();
        let registration = endpoint.register_later(&service()).unwrap();
        until(what, || good.status(0).unwrap().element_count == 1);
        until(what, || registration.is_registered().unwrap());
        assert!(bad.connections() <= CONNECTIONS, "{what}: {} connections", bad.connections());
    });
}

#[test]
fn a_watch_of_a_pool_that_is_updated_without_end_goes_on() {
    let bad = Bad::new(updates_without_end);
    let user = PoolUser::new(impatient(&[bad.address()])).unwrap();
    let mut watch = user.watch("pool").unwrap();
    let mut members = 0;
    until("the members", || {
        if let Some(Ok(update)) = watch.next(Duration::from_millis(100)).unwrap() {
            members = update.len();
        }
        members == 2
    });
    // Nothing changes, however often it is said.
    assert_eq!(watch.next(Duration::from_millis(100)).unwrap(), None);
    assert!(user.driver().is_running());
}

#[test]
fn an_answer_of_another_kind_is_not_taken_for_an_answer() {
    fn confused(peer: &mut Peer, _: &AtomicBool) {
        // Says that a registration is granted before anybody asked, and refuses what was not asked for.
        while let Some(question) = peer.receive() {
            let answer = match AsapMessage::parse(&question).unwrap().message {
                AsapMessage::Registration(_) => update(b"pool"),
                _ => emit(RegistrationResponse {
                    rejected: false,
                    pool_handle: handle(b"pool"),
                    id: PeId(1),
                    error: None,
                }),
            };
            if !peer.try_send(&answer) {
                return;
            }
        }
    }
    let bad = Bad::new(confused);
    let options = || EndpointOptions { timeout: Duration::from_millis(1000), ..impatient(&[bad.address()]) };
    let endpoint = PoolElement::new(options()).unwrap();
    assert!(matches!(endpoint.register(&service()), Err(Error::TimedOut { .. })));
    let user = PoolUser::new(options()).unwrap();
    assert!(matches!(user.resolve("pool"), Err(Error::TimedOut { .. } | Error::Unresolved(_))));
}
