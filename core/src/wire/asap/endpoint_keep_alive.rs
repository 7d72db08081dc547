//! ASAP_ENDPOINT_KEEP_ALIVE and its acknowledgement (RFC 5352, 2.2.7 and 2.2.8).

use super::Body;
use super::deregistration::{emit_handle_id, handle_id};
use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::message::RawMessage;
use crate::wire::param::{PE_IDENTIFIER, POOL_HANDLE, PoolHandle, emit_pe_identifier, pe_identifier};
use crate::wire::primitives::{be_u32, or_invalid};
use crate::wire::reader::Params;
use crate::wire::writer::Writer;
use crate::{PeId, ServerId};

/// A registrar asks whether a pool element is alive.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0x07 |0|0|0|0|0|0|0|H|        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       Server Identifier                       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                     Pool Handle Parameter                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndpointKeepAlive<'a> {
    /// H: the sender wants to be the element's home registrar.
    pub adopt: bool,
    /// The sender.
    pub server: ServerId,
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element that is meant. The RFC has no such parameter; rsplib always sends it, and with several elements on
    /// one association only it tells them apart.
    pub id: Option<PeId>,
}

const H: u8 = 0x01;

impl<'a> Body<'a> for EndpointKeepAlive<'a> {
    const TYPE: u8 = 0x07;

    fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let (rest, server) = or_invalid(be_u32(params.rest()), ParseErrorKind::Truncated, raw.whole)?;
        params.skip_to(rest);
        let pool_handle = PoolHandle::from_tlv(&params.required(POOL_HANDLE)?)?;
        let id = match params.optional(PE_IDENTIFIER)? {
            Some(id) => Some(pe_identifier(&id)?),
            None => None,
        };
        Ok(EndpointKeepAlive { adopt: raw.bit(H), server: ServerId(server), pool_handle, id })
    }

    fn flags(&self) -> u8 {
        if self.adopt { H } else { 0 }
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        w.u32(self.server.0);
        self.pool_handle.emit_into(w);
        if let Some(id) = self.id {
            emit_pe_identifier(w, id);
        }
    }
}

/// The pool element's answer.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0x08 |0|0|0|0|0|0|0|0|        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                     Pool Handle Parameter                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                    PE Identifier Parameter                    :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndpointKeepAliveAck<'a> {
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub id: PeId,
}

impl<'a> Body<'a> for EndpointKeepAliveAck<'a> {
    const TYPE: u8 = 0x08;

    fn parse(_: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let (pool_handle, id) = handle_id(params)?;
        Ok(EndpointKeepAliveAck { pool_handle, id })
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        emit_handle_id(w, &self.pool_handle, self.id);
    }
}
