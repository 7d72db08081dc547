//! ASAP_ERROR (RFC 5352, 2.2.14).

use super::Body;
use crate::wire::error::ParseError;
use crate::wire::message::RawMessage;
use crate::wire::param::{OPERATION_ERROR, OperationError};
use crate::wire::reader::Params;
use crate::wire::writer::Writer;

/// A receiver reports what it did not understand.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0x0e |0|0|0|0|0|0|0|0|        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                 Operational Error Parameter                   :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AsapError<'a> {
    /// What.
    pub error: OperationError<'a>,
}

impl<'a> Body<'a> for AsapError<'a> {
    const TYPE: u8 = 0x0e;

    fn parse(_: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        Ok(AsapError { error: OperationError::from_tlv(&params.required(OPERATION_ERROR)?)? })
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        self.error.emit_into(w);
    }
}
