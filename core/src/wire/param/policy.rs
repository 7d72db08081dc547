//! Pool Member Selection Policy (RFC 5354, 3.8; RFC 5356).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |        Type = 0x8             |      Length = variable        |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |X|A|                     Policy Number                         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! :         none or some 32-bit values by the type               :
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use core::fmt;

use super::POLICY;
use super::rsplib_policy::RsplibPolicy;
use crate::wire::error::{EmitError, ParseError, ParseErrorKind};
use crate::wire::primitives::{Step, be_u32, or_invalid};
use crate::wire::reader::{Tlv, tlv};
use crate::wire::writer::Writer;

/// A policy and the values by which an element takes part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
// So that the first one, and with it an empty place in a cache, is all zeros, whatever the others hold.
#[repr(u8)]
pub enum Policy<'a> {
    /// Round Robin, 0x00000001 (RFC 5356, 4.1).
    RoundRobin,
    /// Weighted Round Robin, 0x00000002 (4.2).
    WeightedRoundRobin {
        /// Turns per round; 0 is no service.
        weight: u32,
    },
    /// Random, 0x00000003 (4.3).
    Random,
    /// Weighted Random, 0x00000004 (4.4).
    WeightedRandom {
        /// Share; 0 is no service.
        weight: u32,
    },
    /// Priority, 0x00000005 (4.5).
    Priority {
        /// Higher is served first.
        priority: u32,
    },
    /// Least Used, 0x40000001 (5.1).
    LeastUsed {
        /// 0 is idle, 0xffffffff is fully used.
        load: u32,
    },
    /// Least Used with Degradation, 0x40000002 (5.2).
    LeastUsedDegradation {
        /// 0 is idle, 0xffffffff is fully used.
        load: u32,
        /// What one more user adds to the load.
        degradation: u32,
    },
    /// Priority Least Used, 0x40000003 (5.3).
    PriorityLeastUsed {
        /// 0 is idle, 0xffffffff is fully used.
        load: u32,
        /// What one more user adds to the load.
        degradation: u32,
    },
    /// Randomized Least Used, 0x40000004 (5.4).
    RandomizedLeastUsed {
        /// 0 is idle, 0xffffffff is fully used.
        load: u32,
    },
    /// A private policy of rsplib.
    Rsplib(RsplibPolicy),
    /// Any other policy: private (0x80000000 to 0xffffffff) or of a later standard. It is kept and passed on as it is.
    Other {
        /// The policy type.
        policy_type: u32,
        /// What follows the type.
        data: &'a [u8],
    },
}

impl<'a> Policy<'a> {
    /// The policy type (RFC 5356, 7.1).
    pub const fn policy_type(&self) -> u32 {
        match self {
            Policy::RoundRobin => 0x0000_0001,
            Policy::WeightedRoundRobin { .. } => 0x0000_0002,
            Policy::Random => 0x0000_0003,
            Policy::WeightedRandom { .. } => 0x0000_0004,
            Policy::Priority { .. } => 0x0000_0005,
            Policy::LeastUsed { .. } => 0x4000_0001,
            Policy::LeastUsedDegradation { .. } => 0x4000_0002,
            Policy::PriorityLeastUsed { .. } => 0x4000_0003,
            Policy::RandomizedLeastUsed { .. } => 0x4000_0004,
            Policy::Rsplib(policy) => policy.policy_type(),
            Policy::Other { policy_type, .. } => *policy_type,
        }
    }

    /// The policy's name in RFC 5356 or at rsplib, in lower case, or "policy".
    pub const fn name(&self) -> &'static str {
        match self {
            Policy::RoundRobin => "round robin",
            Policy::WeightedRoundRobin { .. } => "weighted round robin",
            Policy::Random => "random",
            Policy::WeightedRandom { .. } => "weighted random",
            Policy::Priority { .. } => "priority",
            Policy::LeastUsed { .. } => "least used",
            Policy::LeastUsedDegradation { .. } => "least used with degradation",
            Policy::PriorityLeastUsed { .. } => "priority least used",
            Policy::RandomizedLeastUsed { .. } => "randomized least used",
            Policy::Rsplib(policy) => policy.name(),
            Policy::Other { .. } => "policy",
        }
    }

    /// The same, where a policy that is not known loses its data.
    pub(crate) const fn without_data(&self) -> Policy<'static> {
        match *self {
            Policy::RoundRobin => Policy::RoundRobin,
            Policy::WeightedRoundRobin { weight } => Policy::WeightedRoundRobin { weight },
            Policy::Random => Policy::Random,
            Policy::WeightedRandom { weight } => Policy::WeightedRandom { weight },
            Policy::Priority { priority } => Policy::Priority { priority },
            Policy::LeastUsed { load } => Policy::LeastUsed { load },
            Policy::LeastUsedDegradation { load, degradation } => Policy::LeastUsedDegradation { load, degradation },
            Policy::PriorityLeastUsed { load, degradation } => Policy::PriorityLeastUsed { load, degradation },
            Policy::RandomizedLeastUsed { load } => Policy::RandomizedLeastUsed { load },
            Policy::Rsplib(policy) => Policy::Rsplib(policy),
            Policy::Other { policy_type, .. } => Policy::Other { policy_type, data: &[] },
        }
    }

    /// Whether the policy uses load that the elements report (the A bit of the type).
    pub const fn is_adaptive(&self) -> bool {
        self.policy_type() & 0x4000_0000 != 0
    }

    /// Reads a policy parameter with its header, and nothing after it but padding.
    ///
    /// # Errors
    /// Those of a parameter that is malformed or no policy.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        let (rest, item) = or_invalid(tlv(bytes), ParseErrorKind::ParameterLength, bytes)?;
        if item.ty != POLICY {
            return Err(ParseError::new(ParseErrorKind::Misplaced(item.ty), item.whole));
        }
        if !rest.is_empty() {
            return Err(ParseError::new(ParseErrorKind::TrailingBytes, bytes));
        }
        Self::from_tlv(&item)
    }

    /// Writes the parameter with its header, without padding, and returns what it wrote.
    ///
    /// # Errors
    /// The buffer is too small, or the parameter too long for its length field.
    pub fn emit<'b>(&self, buf: &'b mut [u8]) -> Result<&'b [u8], EmitError> {
        let mut w = Writer::new(buf);
        self.emit_into(&mut w);
        w.finish()
    }

    /// How many bytes `emit` writes.
    pub fn encoded_len(&self) -> usize {
        let mut w = Writer::new(&mut []);
        self.emit_into(&mut w);
        w.len()
    }

    pub(crate) fn from_tlv(item: &Tlv<'a>) -> Result<Self, ParseError<'a>> {
        let (rest, policy_type) = or_invalid(be_u32(item.value), ParseErrorKind::InvalidValue, item.whole)?;
        let none: Step<'a, ()> = Ok((rest, ()));
        let one = || item.exactly(be_u32(rest));
        let two = || {
            item.exactly(
                be_u32(rest)
                    .and_then(|(rest, load)| be_u32(rest).map(|(rest, degradation)| (rest, (load, degradation)))),
            )
        };
        Ok(match policy_type {
            0x0000_0000 | 0x4000_0000 => return item.invalid(),
            0x0000_0001 => item.exactly(none).map(|()| Policy::RoundRobin)?,
            0x0000_0002 => Policy::WeightedRoundRobin { weight: one()? },
            0x0000_0003 => item.exactly(none).map(|()| Policy::Random)?,
            0x0000_0004 => Policy::WeightedRandom { weight: one()? },
            0x0000_0005 => Policy::Priority { priority: one()? },
            0x4000_0001 => Policy::LeastUsed { load: one()? },
            0x4000_0002 => two().map(|(load, degradation)| Policy::LeastUsedDegradation { load, degradation })?,
            0x4000_0003 => two().map(|(load, degradation)| Policy::PriorityLeastUsed { load, degradation })?,
            0x4000_0004 => Policy::RandomizedLeastUsed { load: one()? },
            _ => match RsplibPolicy::new(policy_type, rest) {
                Some(policy) => Policy::Rsplib(policy),
                None => Policy::Other { policy_type, data: rest },
            },
        })
    }

    pub(crate) fn emit_into(&self, w: &mut Writer<'_>) {
        w.tlv(POLICY, |w| {
            w.u32(self.policy_type());
            match self {
                Policy::RoundRobin | Policy::Random => {}
                Policy::WeightedRoundRobin { weight: value }
                | Policy::WeightedRandom { weight: value }
                | Policy::Priority { priority: value }
                | Policy::LeastUsed { load: value }
                | Policy::RandomizedLeastUsed { load: value } => w.u32(*value),
                Policy::LeastUsedDegradation { load, degradation }
                | Policy::PriorityLeastUsed { load, degradation } => {
                    w.u32(*load);
                    w.u32(*degradation);
                }
                Policy::Rsplib(policy) => policy.emit_into(w),
                Policy::Other { data, .. } => w.bytes(data),
            }
        });
    }
}

impl fmt::Display for Policy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Policy::Rsplib(policy) = self {
            return policy.fmt(f);
        }
        f.write_str(self.name())?;
        match self {
            Policy::RoundRobin | Policy::Random | Policy::Rsplib(_) => Ok(()),
            Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } => write!(f, ", weight {weight}"),
            Policy::Priority { priority } => write!(f, " {priority}"),
            Policy::LeastUsed { load } | Policy::RandomizedLeastUsed { load } => write!(f, ", load {load:#010x}"),
            Policy::LeastUsedDegradation { load, degradation } | Policy::PriorityLeastUsed { load, degradation } => {
                write!(f, ", load {load:#010x}, degradation {degradation:#010x}")
            }
            Policy::Other { policy_type, data } => write!(f, " {policy_type:#010x} with {} bytes", data.len()),
        }
    }
}
