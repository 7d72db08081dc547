//! ENRP_PRESENCE (RFC 5353, 2.1).

use super::Body;
use crate::wire::error::ParseError;
use crate::wire::list::Item;
use crate::wire::message::RawMessage;
use crate::wire::param::{PE_CHECKSUM, SERVER_INFORMATION, ServerInformation, emit_pe_checksum, pe_checksum};
use crate::wire::reader::Params;
use crate::wire::writer::Writer;

/// A registrar shows that it is there, or asks a peer to.
///
/// ```text
/// |   Type = 0x01 |0|0|0|0|0|0|0|R|        Message Length         |
/// :                      PE Checksum Param                        :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :               Server Information Param (optional)             :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Presence<'a> {
    /// "Reply required": the RFC's text names it, its figure lacks it; deployed registrars use bit 0.
    pub reply_required: bool,
    /// The checksum of the elements that the sender owns (3.6.2).
    pub checksum: Option<u16>,
    /// Where the sender is.
    pub server_information: Option<ServerInformation<'a>>,
}

const R: u8 = 0x01;

impl<'a> Body<'a> for Presence<'a> {
    const TYPE: u8 = 0x01;

    fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let checksum = match params.optional(PE_CHECKSUM)? {
            Some(item) => Some(pe_checksum(&item)?),
            None => None,
        };
        let server_information = match params.optional(SERVER_INFORMATION)? {
            Some(item) => Some(ServerInformation::from_tlv(item, params.reports())?),
            None => None,
        };
        Ok(Presence { reply_required: raw.bit(R), checksum, server_information })
    }

    fn flags(&self) -> u8 {
        if self.reply_required { R } else { 0 }
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        if let Some(checksum) = self.checksum {
            emit_pe_checksum(w, checksum);
        }
        if let Some(information) = &self.server_information {
            information.emit_item(w);
        }
    }
}
