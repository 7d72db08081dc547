//! Error causes (RFC 5354, 3.12.1 to 3.12.11).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |           Cause Code          |       Cause Length            |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! :                    Cause-Specific Information                 :
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! They are all of one shape, a code and bytes, and live in one file for that. A cause that is to hold a parameter or a
//! message but does not (rsplib sends some without) is still a cause: the code is what counts.

use core::fmt;

use super::reader::Tlv;
use super::writer::Writer;

/// An error cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Cause<'a> {
    /// 0x0.
    Unspecified,
    /// 0x1: the parameter, complete.
    UnrecognizedParameter(&'a [u8]),
    /// 0x2: the message.
    UnrecognizedMessage(&'a [u8]),
    /// 0x3: the parameter with the invalid value.
    InvalidValues(&'a [u8]),
    /// 0x4.
    NonUniquePeId,
    /// 0x5: the pool's policy, a complete policy parameter.
    InconsistentPolicy(&'a [u8]),
    /// 0x6.
    LackOfResources,
    /// 0x7: the pool's transport type, a complete transport parameter.
    InconsistentTransport(&'a [u8]),
    /// 0x8.
    InconsistentControlChannel,
    /// 0x9.
    UnknownPoolHandle,
    /// 0xa.
    RejectedForSecurity,
    /// A code that RFC 5354 does not define.
    Other {
        /// The code.
        code: u16,
        /// The information.
        data: &'a [u8],
    },
}

impl<'a> Cause<'a> {
    /// The cause code.
    pub const fn code(&self) -> u16 {
        match self {
            Cause::Unspecified => 0x0,
            Cause::UnrecognizedParameter(_) => 0x1,
            Cause::UnrecognizedMessage(_) => 0x2,
            Cause::InvalidValues(_) => 0x3,
            Cause::NonUniquePeId => 0x4,
            Cause::InconsistentPolicy(_) => 0x5,
            Cause::LackOfResources => 0x6,
            Cause::InconsistentTransport(_) => 0x7,
            Cause::InconsistentControlChannel => 0x8,
            Cause::UnknownPoolHandle => 0x9,
            Cause::RejectedForSecurity => 0xa,
            Cause::Other { code, .. } => *code,
        }
    }

    /// The cause-specific information.
    pub const fn data(&self) -> &'a [u8] {
        match self {
            Cause::UnrecognizedParameter(data)
            | Cause::UnrecognizedMessage(data)
            | Cause::InvalidValues(data)
            | Cause::InconsistentPolicy(data)
            | Cause::InconsistentTransport(data)
            | Cause::Other { data, .. } => data,
            Cause::Unspecified
            | Cause::NonUniquePeId
            | Cause::LackOfResources
            | Cause::InconsistentControlChannel
            | Cause::UnknownPoolHandle
            | Cause::RejectedForSecurity => &[],
        }
    }

    /// The cause of a code and its information. What comes with a code that should have none is lost.
    pub const fn new(code: u16, data: &'a [u8]) -> Self {
        match code {
            0x0 => Cause::Unspecified,
            0x1 => Cause::UnrecognizedParameter(data),
            0x2 => Cause::UnrecognizedMessage(data),
            0x3 => Cause::InvalidValues(data),
            0x4 => Cause::NonUniquePeId,
            0x5 => Cause::InconsistentPolicy(data),
            0x6 => Cause::LackOfResources,
            0x7 => Cause::InconsistentTransport(data),
            0x8 => Cause::InconsistentControlChannel,
            0x9 => Cause::UnknownPoolHandle,
            0xa => Cause::RejectedForSecurity,
            _ => Cause::Other { code, data },
        }
    }

    pub(crate) const fn from_tlv(item: &Tlv<'a>) -> Self {
        Self::new(item.ty, item.value)
    }

    pub(crate) fn emit_into(&self, w: &mut Writer<'_>) {
        w.tlv(self.code(), |w| w.bytes(self.data()));
    }
}

/// The name of a cause code in RFC 5354; of codes beyond it, what rsplib means by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CauseCode(pub u16);

impl fmt::Display for CauseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0x0 => "unspecified error",
            0x1 => "unrecognized parameter",
            0x2 => "unrecognized message",
            0x3 => "invalid values",
            0x4 => "non-unique PE identifier",
            0x5 => "inconsistent pool policy",
            0x6 => "lack of resources",
            0x7 => "inconsistent transport type",
            0x8 => "inconsistent data/control configuration",
            0x9 => "unknown pool handle",
            0xa => "rejected due to security considerations",
            0x10 => "invalid message (rsplib)",
            0x11 => "invalid value (rsplib)",
            0x100a => "wrong protocol (rsplib)",
            0x100b => "unsupported pool policy (rsplib)",
            0xf000 => "invalid identifier (rsplib)",
            0xf008 => "no usable user addresses (rsplib)",
            code => return write!(f, "cause {code:#06x}"),
        })
    }
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        CauseCode(self.code()).fmt(f)
    }
}
