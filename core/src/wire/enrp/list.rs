//! ENRP_LIST_REQUEST and its response (RFC 5353, 2.5 and 2.6).

use super::Body;
use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::list::List;
use crate::wire::message::RawMessage;
use crate::wire::param::{SERVER_INFORMATION, ServerInformation};
use crate::wire::reader::Params;
use crate::wire::writer::Writer;

/// A registrar asks a peer for the registrars that it knows.
///
/// ```text
/// |   Type = 0x05 |0|0|0|0|0|0|0|0|    Message Length = 0xC       |
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListRequest;

impl<'a> Body<'a> for ListRequest {
    const TYPE: u8 = 0x05;

    fn parse(_: &RawMessage<'a>, _: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        Ok(ListRequest)
    }

    fn emit_value(&self, _: &mut Writer<'_>) {}
}

/// The answer.
///
/// ```text
/// |   Type = 0x06 |0|0|0|0|0|0|0|R|        Message Length         |
/// :        Server Information Parameter of Peer #1 to #n          :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListResponse<'a> {
    /// R: the request is refused. There are no peers then.
    pub rejected: bool,
    /// The peers.
    pub servers: List<'a, ServerInformation<'a>>,
}

const R: u8 = 0x01;

impl<'a> Body<'a> for ListResponse<'a> {
    const TYPE: u8 = 0x06;

    fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let bytes = params.rest();
        let rejected = raw.bit(R);
        let mut any = false;
        while let Some(item) = params.optional(SERVER_INFORMATION)? {
            ServerInformation::from_tlv(item, params.reports())?;
            any = true;
        }
        // RFC 5353, 2.6: a rejection must not include any Server Information.
        if rejected && any {
            return Err(ParseError::new(ParseErrorKind::Misplaced(SERVER_INFORMATION), raw.whole));
        }
        Ok(ListResponse { rejected, servers: List::checked(bytes) })
    }

    fn flags(&self) -> u8 {
        if self.rejected { R } else { 0 }
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        self.servers.emit(w);
    }
}
