//! Pool Element (RFC 5354, 3.10).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         Type = 0xa            |       Length=variable         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                         PE Identifier                         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                  Home ENRP Server Identifier                  |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                      Registration Life                        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! :                      User Transport param                     :
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! :                 Member Selection Policy param                 :
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! :                      ASAP Transport param                     :
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use core::fmt;
use core::time::Duration;

use super::policy::Policy;
use super::transport::{Transport, TransportKind, is_control_transport};
use super::{POLICY, POOL_ELEMENT, SCTP_TRANSPORT};
use crate::wire::error::{EmitError, ParseError, ParseErrorKind};
use crate::wire::list::Item;
use crate::wire::primitives::{be_u32, or_invalid};
use crate::wire::reader::{Params, Reports, Tlv, tlv};
use crate::wire::writer::Writer;
use crate::{PeId, ServerId};

/// For how long a registration is good: a signed number of seconds on the wire, where -1 is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lifetime(i32);

impl Lifetime {
    /// For ever.
    pub const INFINITE: Lifetime = Lifetime(-1);

    /// The number on the wire: seconds, or -1 for ever; anything else that is negative means nothing.
    pub const fn from_wire(value: i32) -> Self {
        Lifetime(value)
    }

    /// The number on the wire.
    pub const fn to_wire(self) -> i32 {
        self.0
    }

    /// This many seconds, at most 2,147,483,647.
    pub const fn from_secs(secs: u32) -> Self {
        if secs > i32::MAX.cast_unsigned() { Lifetime(i32::MAX) } else { Lifetime(secs.cast_signed()) }
    }

    /// Whether this is [`Lifetime::INFINITE`].
    pub const fn is_infinite(self) -> bool {
        self.0 == -1
    }

    /// Whether this is at least a second, or for ever.
    pub const fn is_valid(self) -> bool {
        self.0 > 0 || self.0 == -1
    }

    /// The time; `None` for ever, and for values that mean nothing.
    pub fn duration(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_secs)
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            -1 => f.write_str("infinite"),
            secs => write!(f, "{secs} s"),
        }
    }
}

/// A pool element as messages describe it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolElementParam<'a> {
    /// Its identifier.
    pub id: PeId,
    /// Its home registrar, or [`ServerId::NONE`].
    pub home: ServerId,
    /// For how long it is registered.
    pub lifetime: Lifetime,
    /// Where its users find it.
    pub user_transport: Transport<'a>,
    /// Its part in the pool's policy.
    pub policy: Policy<'a>,
    /// Where registrars find it: SCTP by the RFC; TCP for elements without SCTP. Messages between registrars carry it;
    /// others do not.
    pub asap_transport: Option<Transport<'a>>,
}

impl<'a> PoolElementParam<'a> {
    /// Reads a pool element parameter with its header, and nothing after it but padding.
    ///
    /// # Errors
    /// Those of a parameter that is malformed or no pool element.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        let (rest, item) = or_invalid(tlv(bytes), ParseErrorKind::ParameterLength, bytes)?;
        if item.ty != POOL_ELEMENT {
            return Err(ParseError::new(ParseErrorKind::Misplaced(item.ty), item.whole));
        }
        if !rest.is_empty() {
            return Err(ParseError::new(ParseErrorKind::TrailingBytes, bytes));
        }
        Self::from_tlv(item, &mut Reports::new())
    }

    /// Writes the parameter with its header, without padding, and returns what it wrote.
    ///
    /// # Errors
    /// The buffer is too small, or the parameter too long for its length field.
    pub fn emit<'b>(&self, buf: &'b mut [u8]) -> Result<&'b [u8], EmitError> {
        let mut w = Writer::new(buf);
        self.emit_item(&mut w);
        w.finish()
    }

    /// How many bytes [`PoolElementParam::emit`] writes.
    pub fn encoded_len(&self) -> usize {
        let mut w = Writer::new(&mut []);
        self.emit_item(&mut w);
        w.len()
    }

    pub(crate) fn from_tlv(item: Tlv<'a>, reports: &mut Reports<'a>) -> Result<Self, ParseError<'a>> {
        let invalid = ParseErrorKind::InvalidValue;
        let (rest, id) = or_invalid(be_u32(item.value), invalid, item.whole)?;
        let (rest, home) = or_invalid(be_u32(rest), invalid, item.whole)?;
        let (rest, life) = or_invalid(be_u32(rest), invalid, item.whole)?;

        let mut params = Params::new(rest, reports);
        let Some(transport) = params.next_if(|ty| TransportKind::from_parameter_type(ty).is_some())? else {
            return Err(ParseError::new(ParseErrorKind::Missing(SCTP_TRANSPORT), item.whole));
        };
        let user_transport = Transport::from_tlv(transport, params.reports())?;
        // RFC 5354, 3.10: a PE has one and only one User Transport. A second one is found here, before the policy.
        let policy = Policy::from_tlv(&params.required(POLICY).map_err(|e| e.about(item.whole))?)?;
        let asap_transport = match params.next_if(is_control_transport)? {
            Some(transport) => Some(Transport::from_tlv(transport, params.reports())?),
            None => None,
        };
        params.finish()?;
        Ok(PoolElementParam {
            id: PeId(id),
            home: ServerId(home),
            lifetime: Lifetime::from_wire(life.cast_signed()),
            user_transport,
            policy,
            asap_transport,
        })
    }
}

impl<'a> Item<'a> for PoolElementParam<'a> {
    fn from_checked(tlv: Tlv<'a>) -> Option<Self> {
        if tlv.ty != POOL_ELEMENT {
            return None;
        }
        Self::from_tlv(tlv, &mut Reports::new()).ok()
    }

    fn emit_item(&self, w: &mut Writer<'_>) {
        w.tlv(POOL_ELEMENT, |w| {
            w.u32(self.id.0);
            w.u32(self.home.0);
            w.u32(self.lifetime.to_wire().cast_unsigned());
            self.user_transport.emit_item(w);
            self.policy.emit_into(w);
            if let Some(transport) = &self.asap_transport {
                transport.emit_item(w);
            }
        });
    }
}
