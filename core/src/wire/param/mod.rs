//! The parameters that ASAP and ENRP share (RFC 5354, 3), one file each.

mod address;
mod cookie;
mod operation_error;
mod pe_checksum;
mod pe_identifier;
mod policy;
mod pool_element;
mod pool_handle;
mod rsplib_policy;
mod server_information;
mod transport;
mod wanted_items;

use core::fmt;

pub use address::Addresses;
pub(crate) use cookie::{cookie, emit_cookie};
pub use operation_error::OperationError;
pub(crate) use pe_checksum::{emit_pe_checksum, pe_checksum};
pub(crate) use pe_identifier::{emit_pe_identifier, pe_identifier};
pub use policy::Policy;
pub use pool_element::{Lifetime, PoolElementParam};
pub use pool_handle::PoolHandle;
pub use rsplib_policy::RsplibPolicy;
pub use server_information::ServerInformation;
pub use transport::{Transport, TransportKind, TransportUse};
pub(crate) use transport::{is_control_transport, replace_address};
pub(crate) use wanted_items::{emit_wanted_items, wanted_items};

/// IPv4 Address.
pub const IPV4_ADDRESS: u16 = 0x1;
/// IPv6 Address.
pub const IPV6_ADDRESS: u16 = 0x2;
/// DCCP Transport.
pub const DCCP_TRANSPORT: u16 = 0x3;
/// SCTP Transport.
pub const SCTP_TRANSPORT: u16 = 0x4;
/// TCP Transport.
pub const TCP_TRANSPORT: u16 = 0x5;
/// UDP Transport.
pub const UDP_TRANSPORT: u16 = 0x6;
/// UDP-Lite Transport.
pub const UDP_LITE_TRANSPORT: u16 = 0x7;
/// Pool Member Selection Policy.
pub const POLICY: u16 = 0x8;
/// Pool Handle.
pub const POOL_HANDLE: u16 = 0x9;
/// Pool Element.
pub const POOL_ELEMENT: u16 = 0xa;
/// Server Information.
pub const SERVER_INFORMATION: u16 = 0xb;
/// Operation Error.
pub const OPERATION_ERROR: u16 = 0xc;
/// Cookie.
pub const COOKIE: u16 = 0xd;
/// PE Identifier.
pub const PE_IDENTIFIER: u16 = 0xe;
/// PE Checksum.
pub const PE_CHECKSUM: u16 = 0xf;
/// Opaque Transport.
pub const OPAQUE_TRANSPORT: u16 = 0x10;
/// How many items a handle resolution asks for: not of the RFCs, but what rsplib sends and Wireshark knows.
pub const WANTED_ITEMS: u16 = 0x803f;

/// Whether a parameter type is one of RFC 5354; others follow the rules of their upper bits.
pub(crate) const fn is_known(ty: u16) -> bool {
    matches!(ty, IPV4_ADDRESS..=OPAQUE_TRANSPORT)
}

/// A parameter type by its name in RFC 5354, or by its number.
pub(crate) struct ParameterName(pub(crate) u16);

impl fmt::Display for ParameterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            IPV4_ADDRESS => "IPv4 Address",
            IPV6_ADDRESS => "IPv6 Address",
            DCCP_TRANSPORT => "DCCP Transport",
            SCTP_TRANSPORT => "SCTP Transport",
            TCP_TRANSPORT => "TCP Transport",
            UDP_TRANSPORT => "UDP Transport",
            UDP_LITE_TRANSPORT => "UDP-Lite Transport",
            POLICY => "Pool Member Selection Policy",
            POOL_HANDLE => "Pool Handle",
            POOL_ELEMENT => "Pool Element",
            SERVER_INFORMATION => "Server Information",
            OPERATION_ERROR => "Operation Error",
            COOKIE => "Cookie",
            PE_IDENTIFIER => "PE Identifier",
            PE_CHECKSUM => "PE Checksum",
            OPAQUE_TRANSPORT => "Opaque Transport",
            other => return write!(f, "parameter {other:#06x}"),
        })
    }
}
