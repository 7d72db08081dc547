//! ENRP_HANDLE_UPDATE (RFC 5353, 2.4).

use super::Body;
use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::list::Item;
use crate::wire::message::RawMessage;
use crate::wire::param::{POOL_ELEMENT, POOL_HANDLE, PoolElementParam, PoolHandle};
use crate::wire::primitives::{be_u16, or_invalid};
use crate::wire::reader::Params;
use crate::wire::writer::Writer;

/// A home registrar tells of a change.
///
/// ```text
/// |   Type = 0x04 |0|0|0|0|0|0|0|T|        Message Length         |
/// |        Update Action          |        (reserved)             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                     Pool Handle Parameter                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                    Pool Element Parameter                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandleUpdate<'a> {
    /// T: the sender suggests that the receiver takes the element over. Not of the RFC (a draft that rsplib has);
    /// registrars that do not know it ignore it.
    pub takeover_suggested: bool,
    /// What happened.
    pub action: UpdateAction,
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The element.
    pub element: PoolElementParam<'a>,
}

/// What happened to a pool element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum UpdateAction {
    /// ADD_PE, 0x0000: it is new or has changed.
    Add,
    /// DEL_PE, 0x0001: it is gone.
    Delete,
}

impl UpdateAction {
    pub(crate) const fn to_wire(self) -> u16 {
        match self {
            UpdateAction::Add => 0,
            UpdateAction::Delete => 1,
        }
    }
}

const T: u8 = 0x01;

impl<'a> Body<'a> for HandleUpdate<'a> {
    const TYPE: u8 = 0x04;

    fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let (rest, action) = or_invalid(be_u16(params.rest()), ParseErrorKind::Truncated, raw.whole)?;
        let (rest, _reserved) = or_invalid(be_u16(rest), ParseErrorKind::Truncated, raw.whole)?;
        params.skip_to(rest);
        let action = match action {
            0 => UpdateAction::Add,
            1 => UpdateAction::Delete,
            _ => return Err(ParseError::new(ParseErrorKind::InvalidValue, raw.whole)),
        };
        let pool_handle = PoolHandle::from_tlv(&params.required(POOL_HANDLE)?)?;
        let element = params.required(POOL_ELEMENT)?;
        let element = PoolElementParam::from_tlv(element, params.reports())?;
        Ok(HandleUpdate { takeover_suggested: raw.bit(T), action, pool_handle, element })
    }

    fn flags(&self) -> u8 {
        if self.takeover_suggested { T } else { 0 }
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        w.u16(self.action.to_wire());
        w.u16(0);
        self.pool_handle.emit_into(w);
        self.element.emit_item(w);
    }
}
