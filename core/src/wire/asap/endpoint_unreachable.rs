//! ASAP_ENDPOINT_UNREACHABLE (RFC 5352, 2.2.9).

use super::Body;
use super::deregistration::{emit_handle_id, handle_id};
use crate::PeId;
use crate::wire::error::ParseError;
use crate::wire::message::RawMessage;
use crate::wire::param::PoolHandle;
use crate::wire::reader::Params;
use crate::wire::writer::Writer;

/// A pool user, or a pool element, could not reach a pool element.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0x09 |0|0|0|0|0|0|0|0|        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                     Pool Handle Parameter                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                    PE Identifier Parameter                    :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndpointUnreachable<'a> {
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub id: PeId,
}

impl<'a> Body<'a> for EndpointUnreachable<'a> {
    const TYPE: u8 = 0x09;

    fn parse(_: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let (pool_handle, id) = handle_id(params)?;
        Ok(EndpointUnreachable { pool_handle, id })
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        emit_handle_id(w, &self.pool_handle, self.id);
    }
}
