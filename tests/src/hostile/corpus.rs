//! One sound message of each type.

use rserpool_core::wire::asap::{
    AsapError, BusinessCard, Cookie, CookieEcho, DeregistrationResponse, EndpointKeepAlive, EndpointKeepAliveAck,
    HandleResolutionResponse, RegistrationResponse, ServerAnnounce,
};
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::enrp::{
    EnrpError, HandleTableEntry, HandleTableRequest, HandleTableResponse, HandleUpdate, InitTakeover, InitTakeoverAck,
    ListRequest, ListResponse, PoolEntries, Presence, TakeoverServer, UpdateAction,
};
use rserpool_core::wire::{EnrpBody, EnrpMessage, List, OperationError, Policy, ServerInformation, Transport};
use rserpool_core::{PeId, ServerId};

use crate::scene::{at, deregistration, element, emit, handle, registration, resolution, unreachable};

/// The attackers' pool.
pub(super) const POOL: &[u8] = b"hostile";

/// The attackers' server identifier.
pub(super) const GHOST: ServerId = ServerId(0x0bad_0000);

/// Nobody's.
const NOBODY: ServerId = ServerId(0x0bad_ffff);

/// Every message of ASAP.
pub(super) fn asap() -> Vec<Vec<u8>> {
    let (pool_handle, id) = (handle(POOL), PeId(1));
    let error = OperationError::new(&[Cause::LackOfResources]);
    let elements = [element(1), element(2)];
    vec![
        registration(POOL, element(1)),
        resolution(POOL, true),
        deregistration(POOL, 1),
        unreachable(POOL, 1),
        emit(RegistrationResponse { rejected: true, pool_handle, id, error: Some(error) }),
        emit(DeregistrationResponse { pool_handle, id, error: Some(error) }),
        answer(POOL, &elements),
        emit(EndpointKeepAlive { adopt: true, server: GHOST, pool_handle, id: Some(id) }),
        emit(EndpointKeepAliveAck { pool_handle, id }),
        announcement(GHOST),
        emit(Cookie { cookie: b"cookie" }),
        emit(CookieEcho { cookie: b"cookie" }),
        emit(BusinessCard { pool_handle, policy: None, elements: List::new(&elements) }),
        emit(AsapError { error }),
    ]
}

/// Every message of ENRP.
pub(super) fn enrp(sender: ServerId) -> Vec<Vec<u8>> {
    let pool_handle = handle(POOL);
    let mut owned = element(1);
    owned.home = sender;
    let update = |action| HandleUpdate { takeover_suggested: false, action, pool_handle, element: owned };
    let servers = [ServerInformation { id: sender, transport: Transport::Tcp(at(9)) }];
    let error = OperationError::new(&[Cause::Unspecified]);
    vec![
        presence(sender, true, 7),
        emit_enrp(sender, HandleTableRequest { own_children_only: true }),
        page(sender, true, 1),
        emit_enrp(sender, update(UpdateAction::Add)),
        emit_enrp(sender, update(UpdateAction::Delete)),
        emit_enrp(sender, ListRequest),
        emit_enrp(sender, ListResponse { rejected: false, servers: List::new(&servers) }),
        emit_enrp(sender, InitTakeover { target: NOBODY }),
        emit_enrp(sender, InitTakeoverAck { target: NOBODY }),
        emit_enrp(sender, TakeoverServer { target: NOBODY }),
        emit_enrp(sender, EnrpError { error }),
    ]
}

/// A message to nobody in particular.
pub(super) fn emit_enrp<'a>(sender: ServerId, body: impl Into<EnrpBody<'a>>) -> Vec<u8> {
    emit_enrp_to(sender, ServerId::NONE, body)
}

/// A message to a certain registrar.
pub(super) fn emit_enrp_to<'a>(sender: ServerId, receiver: ServerId, body: impl Into<EnrpBody<'a>>) -> Vec<u8> {
    let message = EnrpMessage { sender, receiver, body: body.into() };
    let mut bytes = vec![0; message.encoded_len()];
    message.emit(&mut bytes).expect("a message that fits").to_vec()
}

/// A presence, with a place where nobody is.
pub(super) fn presence(sender: ServerId, reply_required: bool, checksum: u16) -> Vec<u8> {
    let information = ServerInformation { id: sender, transport: Transport::Tcp(at(9)) };
    emit_enrp(sender, Presence { reply_required, checksum: Some(checksum), server_information: Some(information) })
}

/// A page of a handle table with one element; 0 for none.
pub(super) fn page(sender: ServerId, more: bool, id: u32) -> Vec<u8> {
    let mut owned = element(id);
    owned.home = sender;
    let elements = [owned];
    let entries = [HandleTableEntry { pool_handle: handle(POOL), elements: List::new(&elements) }];
    let entries = if id == 0 { PoolEntries::empty() } else { PoolEntries::new(&entries) };
    emit_enrp(sender, HandleTableResponse { more, rejected: false, entries })
}

/// A registrar that is not there.
pub(super) fn announcement(server: ServerId) -> Vec<u8> {
    emit(ServerAnnounce { server, transports: List::new(&[Transport::Tcp(at(9))]) })
}

/// The answer to a resolution, which promises updates.
pub(super) fn answer(pool: &[u8], elements: &[rserpool_core::wire::PoolElementParam<'_>]) -> Vec<u8> {
    emit(HandleResolutionResponse {
        accepts_updates: true,
        pool_handle: handle(pool),
        policy: Some(Policy::RoundRobin),
        elements: List::new(elements),
        error: None,
    })
}
