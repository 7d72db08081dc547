//! Messages that scripts send, as bytes.

use rserpool_core::wire::asap::{
    Deregistration, DeregistrationResponse, EndpointKeepAlive, EndpointKeepAliveAck, EndpointUnreachable,
    HandleResolution, Registration, RegistrationResponse, ServerAnnounce,
};
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::{
    AsapMessage, Lifetime, List, OperationError, Policy, PoolElementParam, PoolHandle, Transport,
};
use rserpool_core::{PeId, ServerId};

use super::service;

pub const REGISTRATION: u8 = 0x01;
pub const DEREGISTRATION: u8 = 0x02;
pub const REGISTRATION_RESPONSE: u8 = 0x03;
pub const DEREGISTRATION_RESPONSE: u8 = 0x04;
pub const HANDLE_RESOLUTION: u8 = 0x05;
pub const HANDLE_RESOLUTION_RESPONSE: u8 = 0x06;
pub const KEEP_ALIVE: u8 = 0x07;
pub const KEEP_ALIVE_ACK: u8 = 0x08;
pub const UNREACHABLE: u8 = 0x09;
pub const ANNOUNCE: u8 = 0x0a;
pub const ERROR: u8 = 0x0e;

pub fn bytes_of<'m>(message: impl Into<AsapMessage<'m>>) -> Vec<u8> {
    let mut buf = vec![0; 70_000];
    let message = message.into();
    message.emit(&mut buf).unwrap().to_vec()
}

pub fn handle(bytes: &[u8]) -> PoolHandle<'_> {
    PoolHandle::new(bytes).unwrap()
}

pub fn param(id: u32, port: u16) -> PoolElementParam<'static> {
    PoolElementParam {
        id: PeId(id),
        home: ServerId::NONE,
        lifetime: Lifetime::from_secs(300),
        user_transport: service(port),
        policy: Policy::RoundRobin,
        asap_transport: None,
    }
}

pub fn registration<'a>(pool: &'a [u8], element: PoolElementParam<'a>) -> Registration<'a> {
    Registration { pool_handle: handle(pool), element }
}

pub fn deregistration(pool: &[u8], id: u32) -> Deregistration<'_> {
    Deregistration { pool_handle: handle(pool), id: PeId(id) }
}

pub fn granted(pool: &[u8], id: PeId) -> RegistrationResponse<'_> {
    RegistrationResponse { rejected: false, pool_handle: handle(pool), id, error: None }
}

/// A refusal as bytes, since its causes are borrowed.
pub fn refused(pool: &[u8], id: PeId, causes: &[Cause<'_>]) -> Vec<u8> {
    let error = Some(OperationError::new(causes));
    bytes_of(RegistrationResponse { rejected: true, pool_handle: handle(pool), id, error })
}

pub fn left(pool: &[u8], id: PeId) -> DeregistrationResponse<'_> {
    DeregistrationResponse { pool_handle: handle(pool), id, error: None }
}

pub fn resolution(pool: &[u8]) -> HandleResolution<'_> {
    HandleResolution::new(handle(pool))
}

pub fn keep_alive(pool: &[u8], id: Option<u32>, server: u32, adopt: bool) -> EndpointKeepAlive<'_> {
    EndpointKeepAlive { adopt, server: ServerId(server), pool_handle: handle(pool), id: id.map(PeId) }
}

pub fn ack(pool: &[u8], id: u32) -> EndpointKeepAliveAck<'_> {
    EndpointKeepAliveAck { pool_handle: handle(pool), id: PeId(id) }
}

pub fn unreachable(pool: &[u8], id: u32) -> EndpointUnreachable<'_> {
    EndpointUnreachable { pool_handle: handle(pool), id: PeId(id) }
}

/// A positive answer.
pub fn answer(pool: &[u8], updates: bool, policy: Option<Policy<'_>>, elements: &[PoolElementParam<'_>]) -> Vec<u8> {
    bytes_of(rserpool_core::wire::asap::HandleResolutionResponse {
        accepts_updates: updates,
        pool_handle: handle(pool),
        policy,
        elements: List::new(elements),
        error: None,
    })
}

pub fn no_answer(pool: &[u8], cause: Cause<'_>) -> Vec<u8> {
    bytes_of(rserpool_core::wire::asap::HandleResolutionResponse {
        accepts_updates: false,
        pool_handle: handle(pool),
        policy: None,
        elements: List::empty(),
        error: Some(OperationError::new(&[cause])),
    })
}

pub fn announce(server: u32, transports: &[Transport<'_>]) -> Vec<u8> {
    bytes_of(ServerAnnounce { server: ServerId(server), transports: List::new(transports) })
}

/// The cause codes and data of a response of the registrar.
pub fn causes(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let error = match AsapMessage::parse(bytes).unwrap().message {
        AsapMessage::RegistrationResponse(m) => m.error,
        AsapMessage::DeregistrationResponse(m) => m.error,
        AsapMessage::HandleResolutionResponse(m) => m.error,
        AsapMessage::Error(m) => Some(m.error),
        other => panic!("no response: {other:?}"),
    };
    error.iter().flat_map(|e| e.causes()).map(|c| (c.code(), c.data().to_vec())).collect()
}
