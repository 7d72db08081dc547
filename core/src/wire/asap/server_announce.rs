//! ASAP_SERVER_ANNOUNCE (RFC 5352, 2.2.10).

use super::Body;
use crate::ServerId;
use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::list::List;
use crate::wire::message::RawMessage;
use crate::wire::param::{Transport, is_control_transport};
use crate::wire::primitives::{be_u32, or_invalid};
use crate::wire::reader::Params;
use crate::wire::writer::Writer;

/// A registrar tells where it can be reached.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0x0a |0|0|0|0|0|0|0|0|        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       Server Identifier                       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                  Transport Param #1 to #n                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerAnnounce<'a> {
    /// The registrar.
    pub server: ServerId,
    /// SCTP and TCP transports; where there are none, the datagram's source tells the address.
    pub transports: List<'a, Transport<'a>>,
}

impl<'a> Body<'a> for ServerAnnounce<'a> {
    const TYPE: u8 = 0x0a;

    fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let (rest, server) = or_invalid(be_u32(params.rest()), ParseErrorKind::Truncated, raw.whole)?;
        params.skip_to(rest);
        while let Some(transport) = params.next_if(is_control_transport)? {
            Transport::from_tlv(transport, params.reports())?;
        }
        Ok(ServerAnnounce { server: ServerId(server), transports: List::checked(rest) })
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        w.u32(self.server.0);
        self.transports.emit(w);
    }
}
