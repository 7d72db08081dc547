//! How many items a handle resolution asks for: parameter 0x803f, 32 bits.
//!
//! It is not in the RFCs. rsplib sends it, 0xffffffff for "as many as possible", and Wireshark knows it; the upper bits
//! of its type let everyone else skip it.

use super::WANTED_ITEMS;
use crate::wire::error::ParseError;
use crate::wire::primitives::be_u32;
use crate::wire::reader::Tlv;
use crate::wire::writer::Writer;

pub(crate) fn wanted_items<'a>(item: &Tlv<'a>) -> Result<u32, ParseError<'a>> {
    item.exactly(be_u32(item.value))
}

pub(crate) fn emit_wanted_items(w: &mut Writer<'_>, items: u32) {
    w.tlv(WANTED_ITEMS, |w| w.u32(items));
}
