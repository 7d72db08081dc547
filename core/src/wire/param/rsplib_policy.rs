//! The private policies of rsplib, the reference implementation: variants of those of RFC 5356 with more randomness,
//! and with the distance to the element (draft-dreibholz-rserpool-delay).

use core::fmt;

use crate::wire::primitives::be_u32;
use crate::wire::writer::Writer;

/// A private policy of rsplib and the values by which an element takes part in it.
///
/// Loads and degradations are as those of RFC 5356, from 0, nothing, to 0xffffffff, all of it. A delay penalty factor
/// (DPF) is what one millisecond of distance costs, by the same measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RsplibPolicy {
    /// 0xb0001001: drawn by what load and degradation leave unused.
    RandomizedPriorityLeastUsed {
        /// The load now, 0 to 0xffffffff.
        load: u32,
        /// What one more user adds to the load, 0 to 0xffffffff.
        degradation: u32,
    },
    /// 0xb0001002: drawn by what is unused, where each user adds the degradation to the load.
    RandomizedLeastUsedDegradation {
        /// The load now, 0 to 0xffffffff.
        load: u32,
        /// What one more user adds to the load, 0 to 0xffffffff.
        degradation: u32,
    },
    /// 0xb0001003: the lowest of load + degradation first, where each user adds the degradation.
    PriorityLeastUsedDegradation {
        /// The load now, 0 to 0xffffffff.
        load: u32,
        /// What one more user adds to the load, 0 to 0xffffffff.
        degradation: u32,
    },
    /// 0xb0001004: drawn by what load and degradation leave unused, where each user adds the degradation.
    RandomizedPriorityLeastUsedDegradation {
        /// The load now, 0 to 0xffffffff.
        load: u32,
        /// What one more user adds to the load, 0 to 0xffffffff.
        degradation: u32,
    },
    /// 0xb0002001: drawn by the weight, which the distance reduces.
    WeightedRandomDpf {
        /// Share; 0 is no service.
        weight: u32,
        /// Which part of the weight each millisecond of distance takes, 0 to 0xffffffff, all of it.
        dpf: u32,
        /// How far away the element is, in milliseconds.
        distance: u32,
    },
    /// 0xb0002002: the lowest of load + penalty first.
    LeastUsedDpf {
        /// The load now, 0 to 0xffffffff.
        load: u32,
        /// What each millisecond of distance adds, 0 to 0xffffffff.
        dpf: u32,
        /// How far away the element is, in milliseconds.
        distance: u32,
    },
    /// 0xb0002003: the lowest of load + penalty first, where each user adds the degradation.
    LeastUsedDegradationDpf {
        /// The load now, 0 to 0xffffffff.
        load: u32,
        /// What one more user adds to the load, 0 to 0xffffffff.
        degradation: u32,
        /// What each millisecond of distance adds, 0 to 0xffffffff.
        dpf: u32,
        /// How far away the element is, in milliseconds.
        distance: u32,
    },
}

impl RsplibPolicy {
    /// The policy type.
    pub const fn policy_type(&self) -> u32 {
        match self {
            RsplibPolicy::RandomizedPriorityLeastUsed { .. } => 0xb000_1001,
            RsplibPolicy::RandomizedLeastUsedDegradation { .. } => 0xb000_1002,
            RsplibPolicy::PriorityLeastUsedDegradation { .. } => 0xb000_1003,
            RsplibPolicy::RandomizedPriorityLeastUsedDegradation { .. } => 0xb000_1004,
            RsplibPolicy::WeightedRandomDpf { .. } => 0xb000_2001,
            RsplibPolicy::LeastUsedDpf { .. } => 0xb000_2002,
            RsplibPolicy::LeastUsedDegradationDpf { .. } => 0xb000_2003,
        }
    }

    /// The policy's name, in lower case.
    pub const fn name(&self) -> &'static str {
        match self {
            RsplibPolicy::RandomizedPriorityLeastUsed { .. } => "randomized priority least used",
            RsplibPolicy::RandomizedLeastUsedDegradation { .. } => "randomized least used with degradation",
            RsplibPolicy::PriorityLeastUsedDegradation { .. } => "priority least used with degradation",
            RsplibPolicy::RandomizedPriorityLeastUsedDegradation { .. } => {
                "randomized priority least used with degradation"
            }
            RsplibPolicy::WeightedRandomDpf { .. } => "weighted random with delay penalty",
            RsplibPolicy::LeastUsedDpf { .. } => "least used with delay penalty",
            RsplibPolicy::LeastUsedDegradationDpf { .. } => "least used with degradation and delay penalty",
        }
    }

    /// By a policy type and what follows it; `None`: another policy, or values that do not fit.
    pub(super) fn new(policy_type: u32, data: &[u8]) -> Option<Self> {
        let (rest, first) = be_u32(data).ok()?;
        let (rest, second) = be_u32(rest).ok()?;
        let third = be_u32(rest).ok();
        let fourth = third.and_then(|(rest, _)| be_u32(rest).ok());
        let two = rest.is_empty().then_some((first, second));
        let three = third.filter(|(rest, _)| rest.is_empty()).map(|(_, third)| (first, second, third));
        let four = fourth.filter(|(rest, _)| rest.is_empty()).zip(third);
        let four = four.map(|((_, fourth), (_, third))| (first, second, third, fourth));
        Some(match policy_type {
            0xb000_1001 => {
                let (load, degradation) = two?;
                RsplibPolicy::RandomizedPriorityLeastUsed { load, degradation }
            }
            0xb000_1002 => {
                let (load, degradation) = two?;
                RsplibPolicy::RandomizedLeastUsedDegradation { load, degradation }
            }
            0xb000_1003 => {
                let (load, degradation) = two?;
                RsplibPolicy::PriorityLeastUsedDegradation { load, degradation }
            }
            0xb000_1004 => {
                let (load, degradation) = two?;
                RsplibPolicy::RandomizedPriorityLeastUsedDegradation { load, degradation }
            }
            0xb000_2001 => {
                let (weight, dpf, distance) = three?;
                RsplibPolicy::WeightedRandomDpf { weight, dpf, distance }
            }
            0xb000_2002 => {
                let (load, dpf, distance) = three?;
                RsplibPolicy::LeastUsedDpf { load, dpf, distance }
            }
            0xb000_2003 => {
                let (load, degradation, dpf, distance) = four?;
                RsplibPolicy::LeastUsedDegradationDpf { load, degradation, dpf, distance }
            }
            _ => return None,
        })
    }

    /// Writes what follows the policy type.
    pub(super) fn emit_into(&self, w: &mut Writer<'_>) {
        match *self {
            RsplibPolicy::RandomizedPriorityLeastUsed { load, degradation }
            | RsplibPolicy::RandomizedLeastUsedDegradation { load, degradation }
            | RsplibPolicy::PriorityLeastUsedDegradation { load, degradation }
            | RsplibPolicy::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
                w.u32(load);
                w.u32(degradation);
            }
            RsplibPolicy::WeightedRandomDpf { weight: value, dpf, distance }
            | RsplibPolicy::LeastUsedDpf { load: value, dpf, distance } => {
                w.u32(value);
                w.u32(dpf);
                w.u32(distance);
            }
            RsplibPolicy::LeastUsedDegradationDpf { load, degradation, dpf, distance } => {
                w.u32(load);
                w.u32(degradation);
                w.u32(dpf);
                w.u32(distance);
            }
        }
    }
}

impl fmt::Display for RsplibPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            RsplibPolicy::RandomizedPriorityLeastUsed { load, degradation }
            | RsplibPolicy::RandomizedLeastUsedDegradation { load, degradation }
            | RsplibPolicy::PriorityLeastUsedDegradation { load, degradation }
            | RsplibPolicy::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
                write!(f, ", load {load:#010x}, degradation {degradation:#010x}")
            }
            RsplibPolicy::WeightedRandomDpf { weight, dpf, distance } => {
                write!(f, ", weight {weight}, {dpf:#010x} for each of {distance} ms")
            }
            RsplibPolicy::LeastUsedDpf { load, dpf, distance } => {
                write!(f, ", load {load:#010x}, {dpf:#010x} for each of {distance} ms")
            }
            RsplibPolicy::LeastUsedDegradationDpf { load, degradation, dpf, distance } => {
                write!(f, ", load {load:#010x}, degradation {degradation:#010x}, {dpf:#010x} for each of {distance} ms")
            }
        }
    }
}
