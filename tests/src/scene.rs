//! A registrar that misbehaving peers are let loose on, and those who behave and must not suffer from it.

#![allow(missing_docs, reason = "the names say it")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rserpool_core::wire::asap::{Deregistration, EndpointUnreachable, HandleResolution, Registration};
use rserpool_core::wire::{
    AsapMessage, Deframer, Lifetime, MAX_MESSAGE_LEN, Policy, PoolElementParam, PoolHandle, Transport,
};
use rserpool_core::{EndpointConfig, PeId, RegistrarStats, ServerId};
use rserpool_std::driver::Listener;
use rserpool_std::{DriverStats, EndpointOptions, PoolElement, PoolUser, RegistrarOptions, RegistrarServer, Service};

/// How long anything may take on a busy host.
pub const HANG: Duration = Duration::from_secs(30);

/// The pool of those who behave.
const GOOD: &str = "good";

/// Waits for a condition, not for a time.
///
/// # Panics
/// If it does not come true.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + HANG;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A registrar with a well-behaved element and a well-behaved user.
pub struct Scene {
    pub registrar: RegistrarServer,
    /// It holds the registration for as long as it lives.
    _element: PoolElement,
    id: PeId,
    user: PoolUser,
}

impl Scene {
    pub fn new() -> Self {
        Scene::with(|_| {})
    }

    /// With other options; the listener is the first of the driver's.
    pub fn with(change: impl FnOnce(&mut RegistrarOptions)) -> Self {
        let mut options = RegistrarOptions { listen: Vec::new(), ..RegistrarOptions::default() };
        options.driver.listeners.push(Listener::tcp(rserpool_core::Ppid::Asap, ([127, 0, 0, 1], 0).into()));
        // Those who behave speak often enough for any idle timeout that a test sets.
        options.registrar.keep_alive_interval = Duration::from_millis(200);
        options.registrar.keep_alive_timeout = HANG;
        change(&mut options);
        let registrar = RegistrarServer::start(options).expect("a registrar");
        let element = PoolElement::new(endpoint(&[registrar.local_addr()])).expect("an element");
        let registration = element.register(&Service::tcp(GOOD, at(7))).expect("a registration");
        let id = registration.id().expect("a driver").expect("an identifier");
        // To drop it would deregister.
        std::mem::forget(registration);
        let user = PoolUser::new(endpoint(&[registrar.local_addr()])).expect("a user");
        let scene = Scene { registrar, _element: element, id, user };
        scene.check();
        scene
    }

    pub fn address(&self) -> SocketAddr {
        self.registrar.local_addr()
    }

    pub fn peer(&self) -> Peer {
        Peer::connect(self.address())
    }

    /// Asserts that those who behave are served: the element is registered, and the user is told so.
    #[track_caller]
    pub fn check(&self) {
        let members = self.user.resolve(GOOD).expect("the well-behaved user is answered");
        assert_eq!(members.iter().map(rserpool_std::Member::id).collect::<Vec<_>>(), [self.id]);
        assert!(self.registrar.is_running());
    }

    pub fn stats(&self) -> DriverStats {
        self.registrar.driver().handle().stats()
    }

    /// What the registrar itself has counted.
    pub fn counters(&self) -> RegistrarStats {
        self.registrar.driver().handle().with(|machine, _| machine.stats()).expect("a running registrar")
    }

    /// How many elements there are beside the well-behaved one.
    pub fn strangers(&self) -> u32 {
        self.registrar.status(0).expect("a running registrar").element_count - 1
    }
}

impl Default for Scene {
    fn default() -> Self {
        Scene::new()
    }
}

/// Options for elements and users that lose no time.
pub fn endpoint(registrars: &[SocketAddr]) -> EndpointOptions {
    EndpointOptions {
        registrars: registrars.iter().map(|address| vec![*address]).collect(),
        asap: EndpointConfig {
            t5_server_hunt: Duration::from_millis(100),
            stale_cache_value: Duration::ZERO,
            ..EndpointConfig::default()
        },
        timeout: HANG,
        ..EndpointOptions::default()
    }
}

pub fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// A peer that does with its connection what it likes.
pub struct Peer {
    pub stream: TcpStream,
    received: Vec<u8>,
}

impl Peer {
    pub fn connect(address: SocketAddr) -> Self {
        Peer::over(TcpStream::connect(address).expect("a connection"))
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(HANG)).expect("a socket");
        stream.set_write_timeout(Some(HANG)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Peer { stream, received: Vec::new() }
    }

    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the registrar reads");
    }

    /// Sends, and does not care whether the other side still listens. `false`: it does not.
    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next message; `None`: the connection is closed.
    #[track_caller]
    pub fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some((message, len)) = Deframer::new(MAX_MESSAGE_LEN).next(&self.received).expect("messages") {
                let message = message.to_vec();
                self.received.drain(..len);
                return Some(message);
            }
            let mut chunk = [0; 65_536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(len) => self.received.extend_from_slice(&chunk[..len]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("no answer")
                }
                Err(_) => return None,
            }
        }
    }

    /// Sends, and gives the answer.
    #[track_caller]
    pub fn ask(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.send(bytes);
        self.receive().expect("an answer, not the end of the connection")
    }

    /// Asserts that what was sent had no answer, and that the connection still serves.
    #[track_caller]
    pub fn is_served_without_an_answer_before(&mut self) {
        let answer = self.ask(&resolution(b"nobody", false));
        assert_eq!(response(&answer), (false, Some(0x9)), "{answer:02x?}");
    }

    /// Asserts that the other side ends the connection.
    #[track_caller]
    pub fn is_closed(&mut self) {
        while self.receive().is_some() {}
    }

    pub fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// Whether an answer grants, and its first error cause. Of a handle resolution response: whether it accepts updates.
#[track_caller]
pub fn response(bytes: &[u8]) -> (bool, Option<u16>) {
    let parsed = AsapMessage::parse(bytes).expect("a well-formed answer");
    let (granted, error) = match parsed.message {
        AsapMessage::RegistrationResponse(response) => (!response.rejected, response.error),
        AsapMessage::DeregistrationResponse(response) => (response.error.is_none(), response.error),
        AsapMessage::HandleResolutionResponse(response) => (response.accepts_updates, response.error),
        AsapMessage::Error(error) => (false, Some(error.error)),
        other => panic!("no answer: {other:?}"),
    };
    (granted, error.and_then(|error| error.code()))
}

pub fn emit<'a>(message: impl Into<AsapMessage<'a>>) -> Vec<u8> {
    let message = message.into();
    let mut bytes = vec![0; message.encoded_len()];
    message.emit(&mut bytes).expect("a message that fits").to_vec()
}

pub fn handle(bytes: &[u8]) -> PoolHandle<'_> {
    PoolHandle::new(bytes).expect("a pool handle")
}

/// An element of no fault.
pub fn element(id: u32) -> PoolElementParam<'static> {
    PoolElementParam {
        id: PeId(id),
        home: ServerId::NONE,
        lifetime: Lifetime::from_secs(300),
        user_transport: Transport::Tcp(at(9)),
        policy: Policy::RoundRobin,
        asap_transport: None,
    }
}

pub fn registration(pool: &[u8], element: PoolElementParam<'_>) -> Vec<u8> {
    emit(Registration { pool_handle: handle(pool), element })
}

pub fn deregistration(pool: &[u8], id: u32) -> Vec<u8> {
    emit(Deregistration { pool_handle: handle(pool), id: PeId(id) })
}

pub fn resolution(pool: &[u8], subscribe: bool) -> Vec<u8> {
    emit(HandleResolution { subscribe, pool_handle: handle(pool), wanted_items: None })
}

pub fn unreachable(pool: &[u8], id: u32) -> Vec<u8> {
    emit(EndpointUnreachable { pool_handle: handle(pool), id: PeId(id) })
}

/// A parameter by hand: type, length and value, padded.
pub fn tlv(parameter_type: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).expect("a parameter");
    let mut bytes = [parameter_type.to_be_bytes(), length.to_be_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A message by hand.
pub fn message(message_type: u8, parameters: &[&[u8]]) -> Vec<u8> {
    let value = parameters.concat();
    let length = u16::try_from(value.len() + 4).expect("a message");
    let mut bytes = vec![message_type, 0];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&value);
    bytes
}

/// Changes the 16 bits at a place.
pub fn with_u16(mut bytes: Vec<u8>, place: usize, value: u16) -> Vec<u8> {
    bytes[place..place + 2].copy_from_slice(&value.to_be_bytes());
    bytes
}
