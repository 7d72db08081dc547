//! PE Identifier (RFC 5354, 3.14): 32 bits.

use super::PE_IDENTIFIER;
use crate::PeId;
use crate::wire::error::ParseError;
use crate::wire::primitives::be_u32;
use crate::wire::reader::Tlv;
use crate::wire::writer::Writer;

pub(crate) fn pe_identifier<'a>(item: &Tlv<'a>) -> Result<PeId, ParseError<'a>> {
    item.exactly(be_u32(item.value)).map(PeId)
}

pub(crate) fn emit_pe_identifier(w: &mut Writer<'_>, id: PeId) {
    w.tlv(PE_IDENTIFIER, |w| w.u32(id.0));
}
