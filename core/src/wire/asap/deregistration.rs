//! ASAP_DEREGISTRATION and its response (RFC 5352, 2.2.2 and 2.2.4).

use super::Body;
use super::registration::{emit_handle_id_error, handle_id_error};
use crate::PeId;
use crate::wire::error::ParseError;
use crate::wire::message::RawMessage;
use crate::wire::param::{OperationError, PE_IDENTIFIER, POOL_HANDLE, PoolHandle, emit_pe_identifier, pe_identifier};
use crate::wire::reader::Params;
use crate::wire::writer::Writer;

/// A pool element leaves its pool.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0x02 |0|0|0|0|0|0|0|0|        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                     Pool Handle Parameter                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                    PE Identifier Parameter                    :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deregistration<'a> {
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub id: PeId,
}

impl<'a> Body<'a> for Deregistration<'a> {
    const TYPE: u8 = 0x02;

    fn parse(_: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let (pool_handle, id) = handle_id(params)?;
        Ok(Deregistration { pool_handle, id })
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        emit_handle_id(w, &self.pool_handle, self.id);
    }
}

/// The registrar's answer, or its notice that the registration has expired.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0x04 |0|0|0|0|0|0|0|0|        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                     Pool Handle Parameter                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                    PE Identifier Parameter                    :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                   Operational Error (optional)                :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeregistrationResponse<'a> {
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub id: PeId,
    /// Why it is refused; without an error it is granted.
    pub error: Option<OperationError<'a>>,
}

impl<'a> Body<'a> for DeregistrationResponse<'a> {
    const TYPE: u8 = 0x04;

    fn parse(_: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let (pool_handle, id, error) = handle_id_error(params)?;
        Ok(DeregistrationResponse { pool_handle, id, error })
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        emit_handle_id_error(w, &self.pool_handle, self.id, self.error.as_ref());
    }
}

/// What several messages consist of.
pub(super) fn handle_id<'a>(params: &mut Params<'a, '_>) -> Result<(PoolHandle<'a>, PeId), ParseError<'a>> {
    let pool_handle = PoolHandle::from_tlv(&params.required(POOL_HANDLE)?)?;
    let id = pe_identifier(&params.required(PE_IDENTIFIER)?)?;
    Ok((pool_handle, id))
}

pub(super) fn emit_handle_id(w: &mut Writer<'_>, pool_handle: &PoolHandle<'_>, id: PeId) {
    pool_handle.emit_into(w);
    emit_pe_identifier(w, id);
}
