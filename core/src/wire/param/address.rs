//! IPv4 and IPv6 Address (RFC 5354, 3.1 and 3.2).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     Type = 0x1 / 0x2          |   Length = 0x8 / 0x14         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                   IPv4 / IPv6 Address                         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use core::net::IpAddr;

use super::{IPV4_ADDRESS, IPV6_ADDRESS};
use crate::wire::error::ParseError;
use crate::wire::list::{Item, List};
use crate::wire::reader::{Params, Tlv};
use crate::wire::writer::Writer;

/// The addresses of an SCTP transport: one or more.
pub type Addresses<'a> = List<'a, IpAddr>;

pub(super) fn is_address(ty: u16) -> bool {
    matches!(ty, IPV4_ADDRESS | IPV6_ADDRESS)
}

fn from_value(tlv: &Tlv<'_>) -> Option<IpAddr> {
    match tlv.ty {
        IPV4_ADDRESS => <[u8; 4]>::try_from(tlv.value).ok().map(IpAddr::from),
        IPV6_ADDRESS => <[u8; 16]>::try_from(tlv.value).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Reads exactly one address, where nothing but unknown parameters may follow.
pub(super) fn one<'a>(outer: &Tlv<'a>, mut params: Params<'a, '_>) -> Result<IpAddr, ParseError<'a>> {
    let Some(tlv) = params.next_if(is_address)? else { return outer.invalid() };
    let Some(address) = from_value(&tlv) else { return tlv.invalid() };
    if params.next()?.is_some() {
        return outer.invalid();
    }
    Ok(address)
}

/// Reads one or more addresses, where nothing but unknown parameters may stand between them.
pub(super) fn several<'a>(outer: &Tlv<'a>, mut params: Params<'a, '_>) -> Result<Addresses<'a>, ParseError<'a>> {
    let bytes = params.rest();
    let mut any = false;
    while let Some(tlv) = params.next()? {
        if from_value(&tlv).is_none() {
            return tlv.invalid();
        }
        any = true;
    }
    if any { Ok(List::checked(bytes)) } else { outer.invalid() }
}

impl<'a> Item<'a> for IpAddr {
    fn from_checked(tlv: Tlv<'a>) -> Option<Self> {
        from_value(&tlv)
    }

    fn emit_item(&self, w: &mut Writer<'_>) {
        match self {
            IpAddr::V4(a) => w.tlv(IPV4_ADDRESS, |w| w.bytes(&a.octets())),
            IpAddr::V6(a) => w.tlv(IPV6_ADDRESS, |w| w.bytes(&a.octets())),
        }
    }
}
