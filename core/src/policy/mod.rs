//! Pool member selection policies (RFC 5356), for both who applies them: the registrar, which answers a handle
//! resolution, and the pool user, which picks one element of the answer.
//!
//! # At the registrar
//!
//! A request for at most k elements gets k different ones, or all that can be selected if they are fewer.
//!
//! * Round Robin: the elements form a circle in the order of their registration, with a head. A request gets those from
//!   the head on, and the head moves on by one. A new element comes last: just before the head.
//! * Weighted Round Robin: as if each element stood in the circle as often as its weight says, spread as evenly as
//!   possible. After any t requests from the first one on, with the same elements, an element of weight w out of W has
//!   come first t * w / W times, to within one. (From any other point on: to within two.) The others follow in the
//!   order of their next turns. With equal weights it is Round Robin.
//! * Random, Weighted Random, Randomized Least Used: each element is drawn with probability weight / (sum of weights) of
//!   those not drawn yet; the weight is 1 for Random, and 0xffffffff less the load for Randomized Least Used.
//! * Priority: descending by priority.
//! * Least Used: ascending by load. Priority Least Used: by load + degradation. Least Used with Degradation: by load +
//!   counter * degradation, where the counter is how often the element was returned since it (re-)registered.
//! * Among equals these go round robin: whenever a request reaches them, the head of their circle moves on by one.
//! * The private policies of rsplib vary these. In their randomized ones an element without a free share has weight 1.
//! * Policies that are not known are Round Robin, the default policy (RFC 5356, 4.1.1).
//! * Weight 0 is no service (RFC 5356, 3.2): such an element is never returned.
//!
//! # At the pool user
//!
//! [`mod@choose`] picks one of the usable candidates: at random by weight for the three random policies, the highest
//! priority for Priority, and otherwise in the order of the list, round and round.

mod choose;
mod least_used;
mod least_used_degradation;
mod least_used_degradation_dpf;
mod least_used_dpf;
mod member;
mod priority;
mod priority_least_used;
mod priority_least_used_degradation;
mod random;
mod randomized_least_used;
mod randomized_least_used_degradation;
mod randomized_priority_least_used;
mod randomized_priority_least_used_degradation;
mod ranking;
mod rings;
mod round_robin;
mod shares;
#[cfg(test)]
mod tests;
mod tree;
mod turns;
mod weighted_random;
mod weighted_random_dpf;
mod weighted_round_robin;

pub(crate) use choose::{Candidate, choose};
pub(crate) use member::{InRing, Member, Order, Ranked, Values};
pub(crate) use ranking::Ranking;
pub(crate) use tree::Node;

use crate::rand::Rng;

/// The policy types: of RFC 5356, 7.1, and private ones.
pub(crate) mod policy_type {
    pub(crate) const WEIGHTED_ROUND_ROBIN: u32 = 0x0000_0002;
    pub(crate) const RANDOM: u32 = 0x0000_0003;
    pub(crate) const WEIGHTED_RANDOM: u32 = 0x0000_0004;
    pub(crate) const PRIORITY: u32 = 0x0000_0005;
    pub(crate) const LEAST_USED: u32 = 0x4000_0001;
    pub(crate) const LEAST_USED_DEGRADATION: u32 = 0x4000_0002;
    pub(crate) const PRIORITY_LEAST_USED: u32 = 0x4000_0003;
    pub(crate) const RANDOMIZED_LEAST_USED: u32 = 0x4000_0004;
    // Private ones of rsplib.
    pub(crate) const RANDOMIZED_PRIORITY_LEAST_USED: u32 = 0xb000_1001;
    pub(crate) const RANDOMIZED_LEAST_USED_DEGRADATION: u32 = 0xb000_1002;
    pub(crate) const PRIORITY_LEAST_USED_DEGRADATION: u32 = 0xb000_1003;
    pub(crate) const RANDOMIZED_PRIORITY_LEAST_USED_DEGRADATION: u32 = 0xb000_1004;
    pub(crate) const WEIGHTED_RANDOM_DPF: u32 = 0xb000_2001;
    pub(crate) const LEAST_USED_DPF: u32 = 0xb000_2002;
    pub(crate) const LEAST_USED_DEGRADATION_DPF: u32 = 0xb000_2003;
}

/// Where an element stands among those of its pool, at the registrar. One policy always gives the same variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// In ascending order of a key below 2^63, round robin among equal keys.
    Key(u64),
    /// Drawn at random, in proportion to a weight.
    Share(u32),
    /// Served in turn, as often as a weight says.
    Turns(u32),
}

/// One policy, for the registrar and for the pool user.
trait SelectionPolicy {
    /// Whether it matters how often an element was returned.
    const DEGRADES: bool = false;

    /// The same as a function, which can be asked for by the policy's type.
    fn degrades() -> bool {
        Self::DEGRADES
    }

    /// The element's standing by its policy's values and by how often it was returned since it (re-)registered.
    fn standing(values: &Values, returned: u32) -> Standing;

    /// The pool user's pick: the position of a usable candidate.
    fn choose<'a>(
        candidates: impl Iterator<Item = Candidate<'a>> + Clone,
        cursor: &mut u32,
        _rng: &mut Rng,
    ) -> Option<usize> {
        choose::in_order(candidates, cursor)
    }
}

/// Calls a function of the policy of a type.
macro_rules! by_type {
    ($ty:expr, $function:ident($($arg:expr),*)) => {
        match $ty {
            $crate::policy::policy_type::WEIGHTED_ROUND_ROBIN => {
                $crate::policy::weighted_round_robin::WeightedRoundRobin::$function($($arg),*)
            }
            $crate::policy::policy_type::RANDOM => $crate::policy::random::Random::$function($($arg),*),
            $crate::policy::policy_type::WEIGHTED_RANDOM => {
                $crate::policy::weighted_random::WeightedRandom::$function($($arg),*)
            }
            $crate::policy::policy_type::PRIORITY => $crate::policy::priority::Priority::$function($($arg),*),
            $crate::policy::policy_type::LEAST_USED => $crate::policy::least_used::LeastUsed::$function($($arg),*),
            $crate::policy::policy_type::LEAST_USED_DEGRADATION => {
                $crate::policy::least_used_degradation::LeastUsedDegradation::$function($($arg),*)
            }
            $crate::policy::policy_type::PRIORITY_LEAST_USED => {
                $crate::policy::priority_least_used::PriorityLeastUsed::$function($($arg),*)
            }
            $crate::policy::policy_type::RANDOMIZED_LEAST_USED => {
                $crate::policy::randomized_least_used::RandomizedLeastUsed::$function($($arg),*)
            }
            $crate::policy::policy_type::RANDOMIZED_PRIORITY_LEAST_USED => {
                $crate::policy::randomized_priority_least_used::RandomizedPriorityLeastUsed::$function($($arg),*)
            }
            $crate::policy::policy_type::RANDOMIZED_LEAST_USED_DEGRADATION => {
                $crate::policy::randomized_least_used_degradation::RandomizedLeastUsedDegradation::$function($($arg),*)
            }
            $crate::policy::policy_type::PRIORITY_LEAST_USED_DEGRADATION => {
                $crate::policy::priority_least_used_degradation::PriorityLeastUsedDegradation::$function($($arg),*)
            }
            $crate::policy::policy_type::RANDOMIZED_PRIORITY_LEAST_USED_DEGRADATION => {
                $crate::policy::randomized_priority_least_used_degradation::RandomizedPriorityLeastUsedDegradation::$function($($arg),*)
            }
            $crate::policy::policy_type::WEIGHTED_RANDOM_DPF => {
                $crate::policy::weighted_random_dpf::WeightedRandomDpf::$function($($arg),*)
            }
            $crate::policy::policy_type::LEAST_USED_DPF => {
                $crate::policy::least_used_dpf::LeastUsedDpf::$function($($arg),*)
            }
            $crate::policy::policy_type::LEAST_USED_DEGRADATION_DPF => {
                $crate::policy::least_used_degradation_dpf::LeastUsedDegradationDpf::$function($($arg),*)
            }
            _ => $crate::policy::round_robin::RoundRobin::$function($($arg),*),
        }
    };
}
use by_type;

fn standing(policy_type: u32, values: &Values, returned: u32) -> Standing {
    by_type!(policy_type, standing(values, returned))
}

/// Whether it matters how often elements were returned.
fn degrades(policy_type: u32) -> bool {
    by_type!(policy_type, degrades())
}

/// What is left unused when the degradation has been added to the load so often; never nothing, so the element stays in
/// service.
fn unused(values: &Values, degraded: u32) -> u32 {
    let used = u64::from(values.degradation) * u64::from(degraded) + u64::from(values.value);
    u32::try_from(used).map_or(1, |used| (u32::MAX - used).max(1))
}
