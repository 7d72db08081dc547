//! Server Information (RFC 5354, 3.11).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         Type = 0xb            |       Length=variable         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                           Server ID                           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! :                       Server Transport                        :
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::transport::{Transport, is_control_transport};
use super::{SCTP_TRANSPORT, SERVER_INFORMATION};
use crate::ServerId;
use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::list::Item;
use crate::wire::primitives::{be_u32, or_invalid};
use crate::wire::reader::{Params, Reports, Tlv};
use crate::wire::writer::Writer;

/// A registrar and where its peers find it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerInformation<'a> {
    /// Its identifier. rsplib lists peers that it has not heard yet with 0.
    pub id: ServerId,
    /// Its ENRP endpoint: SCTP by the RFC; TCP between registrars without SCTP.
    pub transport: Transport<'a>,
}

impl<'a> ServerInformation<'a> {
    pub(crate) fn from_tlv(item: Tlv<'a>, reports: &mut Reports<'a>) -> Result<Self, ParseError<'a>> {
        let (rest, id) = or_invalid(be_u32(item.value), ParseErrorKind::InvalidValue, item.whole)?;
        let mut params = Params::new(rest, reports);
        let Some(transport) = params.next_if(is_control_transport)? else {
            return Err(ParseError::new(ParseErrorKind::Missing(SCTP_TRANSPORT), item.whole));
        };
        let transport = Transport::from_tlv(transport, params.reports())?;
        params.finish()?;
        Ok(ServerInformation { id: ServerId(id), transport })
    }
}

impl<'a> Item<'a> for ServerInformation<'a> {
    fn from_checked(tlv: Tlv<'a>) -> Option<Self> {
        if tlv.ty != SERVER_INFORMATION {
            return None;
        }
        Self::from_tlv(tlv, &mut Reports::new()).ok()
    }

    fn emit_item(&self, w: &mut Writer<'_>) {
        w.tlv(SERVER_INFORMATION, |w| {
            w.u32(self.id.0);
            self.transport.emit_item(w);
        });
    }
}
