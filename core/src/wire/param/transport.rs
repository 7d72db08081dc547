//! The transport parameters (RFC 5354, 3.3 to 3.7 and 3.16).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |        Type = 0x3 to 0x7      |      Length = variable        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |            Port               | SCTP: Transport Use; else 0   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                DCCP only: DCCP Service Code                   |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! :        IPv4 or IPv6 Address; SCTP: one or more of them        :
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use super::address::{self, Addresses};
use super::{DCCP_TRANSPORT, OPAQUE_TRANSPORT, SCTP_TRANSPORT, TCP_TRANSPORT, UDP_LITE_TRANSPORT, UDP_TRANSPORT};
use crate::bounded;
use crate::wire::error::{EmitError, ParseError, ParseErrorKind};
use crate::wire::list::{Item, List};
use crate::wire::primitives::{be_u16, be_u32, or_invalid};
use crate::wire::reader::{Params, Reports, Tlv, tlv};
use crate::wire::writer::Writer;

/// Which transport protocol, without its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TransportKind {
    /// DCCP.
    Dccp,
    /// SCTP.
    Sctp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// UDP-Lite.
    UdpLite,
    /// Something that only the users understand.
    Opaque,
}

impl TransportKind {
    /// The parameter type.
    pub const fn parameter_type(self) -> u16 {
        match self {
            TransportKind::Dccp => DCCP_TRANSPORT,
            TransportKind::Sctp => SCTP_TRANSPORT,
            TransportKind::Tcp => TCP_TRANSPORT,
            TransportKind::Udp => UDP_TRANSPORT,
            TransportKind::UdpLite => UDP_LITE_TRANSPORT,
            TransportKind::Opaque => OPAQUE_TRANSPORT,
        }
    }

    /// The kind of a parameter type.
    pub const fn from_parameter_type(ty: u16) -> Option<Self> {
        Some(match ty {
            DCCP_TRANSPORT => TransportKind::Dccp,
            SCTP_TRANSPORT => TransportKind::Sctp,
            TCP_TRANSPORT => TransportKind::Tcp,
            UDP_TRANSPORT => TransportKind::Udp,
            UDP_LITE_TRANSPORT => TransportKind::UdpLite,
            OPAQUE_TRANSPORT => TransportKind::Opaque,
            _ => return None,
        })
    }
}

impl fmt::Display for TransportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TransportKind::Dccp => "DCCP",
            TransportKind::Sctp => "SCTP",
            TransportKind::Tcp => "TCP",
            TransportKind::Udp => "UDP",
            TransportKind::UdpLite => "UDP-Lite",
            TransportKind::Opaque => "opaque",
        })
    }
}

/// Whether ASAP and ENRP themselves run over a transport of this type: SCTP by the RFCs, and TCP where there is no SCTP.
pub(crate) const fn is_control_transport(ty: u16) -> bool {
    matches!(ty, SCTP_TRANSPORT | TCP_TRANSPORT)
}

/// What a pool element means an SCTP transport for (RFC 5354, 3.4). All other transports are "data only".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TransportUse {
    /// 0x0000.
    #[default]
    DataOnly,
    /// 0x0001: data and ASAP's control channel.
    DataPlusControl,
}

impl TransportUse {
    /// The number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            TransportUse::DataOnly => 0,
            TransportUse::DataPlusControl => 1,
        }
    }
}

impl fmt::Display for TransportUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TransportUse::DataOnly => "data only",
            TransportUse::DataPlusControl => "data plus control",
        })
    }
}

/// A transport address.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transport<'a> {
    /// DCCP (3.3).
    Dccp {
        /// Port.
        port: u16,
        /// DCCP service code.
        service_code: u32,
        /// Address.
        address: IpAddr,
    },
    /// SCTP (3.4).
    Sctp {
        /// Port.
        port: u16,
        /// What for.
        transport_use: TransportUse,
        /// At least one address.
        addresses: Addresses<'a>,
    },
    /// TCP (3.5).
    Tcp(SocketAddr),
    /// UDP (3.6).
    Udp(SocketAddr),
    /// UDP-Lite (3.7).
    UdpLite(SocketAddr),
    /// Opaque (3.16): a byte string.
    Opaque(&'a [u8]),
}

impl<'a> Transport<'a> {
    /// An SCTP transport for data only.
    pub const fn sctp(port: u16, addresses: &'a [IpAddr]) -> Self {
        Transport::Sctp { port, transport_use: TransportUse::DataOnly, addresses: List::new(addresses) }
    }

    /// Which protocol.
    pub const fn kind(&self) -> TransportKind {
        match self {
            Transport::Dccp { .. } => TransportKind::Dccp,
            Transport::Sctp { .. } => TransportKind::Sctp,
            Transport::Tcp(_) => TransportKind::Tcp,
            Transport::Udp(_) => TransportKind::Udp,
            Transport::UdpLite(_) => TransportKind::UdpLite,
            Transport::Opaque(_) => TransportKind::Opaque,
        }
    }

    /// What for; "data only" wherever the parameter has no field for it.
    pub const fn transport_use(&self) -> TransportUse {
        match self {
            Transport::Sctp { transport_use, .. } => *transport_use,
            _ => TransportUse::DataOnly,
        }
    }

    /// The port; `None` where the transport is opaque.
    pub const fn port(&self) -> Option<u16> {
        match self {
            Transport::Dccp { port, .. } | Transport::Sctp { port, .. } => Some(*port),
            Transport::Tcp(at) | Transport::Udp(at) | Transport::UdpLite(at) => Some(at.port()),
            Transport::Opaque(_) => None,
        }
    }

    /// The addresses with their port: several for SCTP, none where the transport is opaque.
    pub fn socket_addrs(&self) -> impl Iterator<Item = SocketAddr> + use<'a> {
        let (one, several, port) = match *self {
            Transport::Dccp { port, address, .. } => (Some(SocketAddr::new(address, port)), List::empty(), port),
            Transport::Sctp { port, addresses, .. } => (None, addresses, port),
            Transport::Tcp(at) | Transport::Udp(at) | Transport::UdpLite(at) => (Some(at), List::empty(), at.port()),
            Transport::Opaque(_) => (None, List::empty(), 0),
        };
        one.into_iter().chain(several.iter().map(move |address| SocketAddr::new(address, port)))
    }

    /// Reads a transport parameter with its header, and nothing after it but padding.
    ///
    /// # Errors
    /// Those of a parameter that is malformed or no transport.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        let (rest, item) = or_invalid(tlv(bytes), ParseErrorKind::ParameterLength, bytes)?;
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

    /// How many bytes `emit` writes.
    pub fn encoded_len(&self) -> usize {
        let mut w = Writer::new(&mut []);
        self.emit_item(&mut w);
        w.len()
    }

    pub(crate) fn from_tlv(item: Tlv<'a>, reports: &mut Reports<'a>) -> Result<Self, ParseError<'a>> {
        let Some(kind) = TransportKind::from_parameter_type(item.ty) else {
            return Err(ParseError::new(ParseErrorKind::Misplaced(item.ty), item.whole));
        };
        if kind == TransportKind::Opaque {
            return Ok(Transport::Opaque(item.value));
        }
        let invalid = ParseErrorKind::InvalidValue;
        let (rest, port) = or_invalid(be_u16(item.value), invalid, item.whole)?;
        let (rest, second) = or_invalid(be_u16(rest), invalid, item.whole)?;
        match kind {
            TransportKind::Sctp => {
                let transport_use = match second {
                    0 => TransportUse::DataOnly,
                    1 => TransportUse::DataPlusControl,
                    _ => return item.invalid(),
                };
                let addresses = address::several(&item, Params::new(rest, reports))?;
                Ok(Transport::Sctp { port, transport_use, addresses })
            }
            TransportKind::Dccp => {
                let (rest, service_code) = or_invalid(be_u32(rest), invalid, item.whole)?;
                let address = address::one(&item, Params::new(rest, reports))?;
                Ok(Transport::Dccp { port, service_code, address })
            }
            TransportKind::Tcp | TransportKind::Udp | TransportKind::UdpLite | TransportKind::Opaque => {
                // The second field is reserved: what stands there is ignored. (rsplib writes a transport use.)
                let at = SocketAddr::new(address::one(&item, Params::new(rest, reports))?, port);
                Ok(match kind {
                    TransportKind::Tcp => Transport::Tcp(at),
                    TransportKind::Udp => Transport::Udp(at),
                    _ => Transport::UdpLite(at),
                })
            }
        }
    }
}

/// Puts another address where `from` stands in a well-formed transport parameter, if both are of one family. Says
/// whether it stood there.
pub(crate) fn replace_address(transport: &mut [u8], from: IpAddr, to: IpAddr) -> bool {
    const LONGEST: usize = 20;
    fn encoded(address: IpAddr, buf: &mut [u8; LONGEST]) -> &[u8] {
        let mut w = Writer::new(buf);
        address.emit_item(&mut w);
        w.finish().unwrap_or(&[])
    }
    let (mut old, mut new) = ([0; LONGEST], [0; LONGEST]);
    let (old, new) = (encoded(from, &mut old), encoded(to, &mut new));
    // Behind type, length, port and the field after it, and DCCP's service code.
    let first = match transport.first_chunk().map(|ty| u16::from_be_bytes(*ty)) {
        None | Some(OPAQUE_TRANSPORT) => return false,
        Some(DCCP_TRANSPORT) => 12,
        Some(_) => 8,
    };
    let mut rest = transport.get_mut(first..).unwrap_or(&mut []);
    let mut replaced = false;
    while let Some([_, _, high, low]) = rest.first_chunk() {
        let len = usize::from(u16::from_be_bytes([*high, *low])).max(4);
        let Some((item, after)) = rest.split_at_mut_checked(len) else { break };
        if item == old && old.len() == new.len() {
            bounded::copy(item, new);
            replaced = true;
        }
        rest = after;
    }
    replaced
}

impl<'a> Item<'a> for Transport<'a> {
    fn from_checked(tlv: Tlv<'a>) -> Option<Self> {
        Self::from_tlv(tlv, &mut Reports::new()).ok()
    }

    fn emit_item(&self, w: &mut Writer<'_>) {
        w.tlv(self.kind().parameter_type(), |w| match self {
            Transport::Opaque(data) => w.bytes(data),
            Transport::Sctp { port, transport_use, addresses } => {
                w.u16(*port);
                w.u16(transport_use.number());
                addresses.emit(w);
            }
            Transport::Dccp { port, service_code, address } => {
                w.u16(*port);
                w.u16(0);
                w.u32(*service_code);
                address.emit_item(w);
            }
            Transport::Tcp(at) | Transport::Udp(at) | Transport::UdpLite(at) => {
                w.u16(at.port());
                w.u16(0);
                at.ip().emit_item(w);
            }
        });
    }
}
