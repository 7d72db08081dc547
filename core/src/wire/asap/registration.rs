//! ASAP_REGISTRATION and its response (RFC 5352, 2.2.1 and 2.2.3).

use super::Body;
use crate::PeId;
use crate::wire::error::ParseError;
use crate::wire::list::Item;
use crate::wire::message::RawMessage;
use crate::wire::param::{
    OPERATION_ERROR, OperationError, PE_IDENTIFIER, POOL_ELEMENT, POOL_HANDLE, PoolElementParam, PoolHandle,
    emit_pe_identifier, pe_identifier,
};
use crate::wire::primitives::be_u32;
use crate::wire::reader::{Checked, Params};
use crate::wire::writer::Writer;

/// A pool element registers, or renews what it registered.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0x01 |0|0|0|0|0|0|0|0|        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                     Pool Handle Parameter                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                     Pool Element Parameter                    :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Registration<'a> {
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub element: PoolElementParam<'a>,
}

impl<'a> Body<'a> for Registration<'a> {
    const TYPE: u8 = 0x01;

    fn parse(_: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let pool_handle = PoolHandle::from_tlv(&params.required(POOL_HANDLE)?)?;
        let element = params.required(POOL_ELEMENT)?;
        Ok(Registration { pool_handle, element: PoolElementParam::from_tlv(element, params.reports())? })
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        self.pool_handle.emit_into(w);
        self.element.emit_item(w);
    }
}

/// Whose registration a message is that cannot be processed: enough to refuse it.
pub(crate) fn unusable_registration(bytes: &[u8]) -> Option<(PoolHandle<'_>, PeId)> {
    let raw = RawMessage::parse(bytes).ok().filter(|raw| raw.ty == Registration::TYPE)?;
    let mut items = Checked(raw.value);
    let handle = items.next().filter(|item| item.ty == POOL_HANDLE)?;
    let element = items.next().filter(|item| item.ty == POOL_ELEMENT)?;
    let (_, id) = be_u32(element.value).ok()?;
    Some((PoolHandle::from_tlv(&handle).ok()?, PeId(id)))
}

/// The registrar's answer.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0x03 |0|0|0|0|0|0|0|R|        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                     Pool Handle Parameter                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                    PE Identifier Parameter                    :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                   Operational Error (optional)                :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegistrationResponse<'a> {
    /// R: the registration is refused. An error without it is a warning.
    pub rejected: bool,
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub id: PeId,
    /// Why, or what was changed.
    pub error: Option<OperationError<'a>>,
}

const R: u8 = 0x01;

impl<'a> Body<'a> for RegistrationResponse<'a> {
    const TYPE: u8 = 0x03;

    fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let (pool_handle, id, error) = handle_id_error(params)?;
        Ok(RegistrationResponse { rejected: raw.bit(R), pool_handle, id, error })
    }

    fn flags(&self) -> u8 {
        if self.rejected { R } else { 0 }
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        emit_handle_id_error(w, &self.pool_handle, self.id, self.error.as_ref());
    }
}

/// What both responses consist of.
pub(super) fn handle_id_error<'a>(
    params: &mut Params<'a, '_>,
) -> Result<(PoolHandle<'a>, PeId, Option<OperationError<'a>>), ParseError<'a>> {
    let pool_handle = PoolHandle::from_tlv(&params.required(POOL_HANDLE)?)?;
    let id = pe_identifier(&params.required(PE_IDENTIFIER)?)?;
    let error = match params.optional(OPERATION_ERROR)? {
        Some(error) => Some(OperationError::from_tlv(&error)?),
        None => None,
    };
    Ok((pool_handle, id, error))
}

pub(super) fn emit_handle_id_error(
    w: &mut Writer<'_>,
    pool_handle: &PoolHandle<'_>,
    id: PeId,
    error: Option<&OperationError<'_>>,
) {
    pool_handle.emit_into(w);
    emit_pe_identifier(w, id);
    if let Some(error) = error {
        error.emit_into(w);
    }
}
