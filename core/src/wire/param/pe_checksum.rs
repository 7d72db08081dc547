//! PE Checksum (RFC 5354, 3.15): 16 bits, and padding.

use super::PE_CHECKSUM;
use crate::wire::error::ParseError;
use crate::wire::primitives::be_u16;
use crate::wire::reader::Tlv;
use crate::wire::writer::Writer;

pub(crate) fn pe_checksum<'a>(item: &Tlv<'a>) -> Result<u16, ParseError<'a>> {
    item.exactly(be_u16(item.value))
}

pub(crate) fn emit_pe_checksum(w: &mut Writer<'_>, checksum: u16) {
    w.tlv(PE_CHECKSUM, |w| w.u16(checksum));
}
