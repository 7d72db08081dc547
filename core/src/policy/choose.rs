//! The pool user's side of all policies: which of the elements of an answer to use next.

use super::{SelectionPolicy, Values, by_type};
use crate::rand::Rng;
use crate::wire::Policy;

/// An element of the list that the registrar returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    /// Its values; the type is the pool's.
    pub(crate) policy: Policy<'a>,
    /// Whether it may be picked: not, if it has failed.
    pub(crate) usable: bool,
}

/// Picks a candidate by a policy and returns its position.
///
/// `candidates` are in the registrar's order. `cursor` is 0 for a fresh list, and kept between the picks of one list.
/// `None` where no candidate is usable, or all that are have weight 0.
pub(crate) fn choose<'a>(
    policy_type: u32,
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    cursor: &mut u32,
    rng: &mut Rng,
) -> Option<usize> {
    by_type!(policy_type, choose(candidates, cursor, rng))
}

/// The first usable candidate at or after the cursor, round and round; the cursor moves behind it (RFC 5356, 4.1.3,
/// 4.2.3, 5.1.3, 5.2.3 and 5.3.3).
pub(super) fn in_order<'a>(candidates: impl Iterator<Item = Candidate<'a>> + Clone, cursor: &mut u32) -> Option<usize> {
    let usable = || candidates.clone().enumerate().filter(|(_, c)| c.usable).map(|(at, _)| at);
    let from = usize::try_from(*cursor).unwrap_or(0);
    let at = usable().find(|at| *at >= from).or_else(|| usable().next())?;
    *cursor = u32::try_from(at).map_or(0, |at| at.saturating_add(1));
    Some(at)
}

/// A usable candidate at random, with a probability in proportion to its weight.
pub(super) fn by_weight<'a>(
    candidates: impl Iterator<Item = Candidate<'a>> + Clone,
    rng: &mut Rng,
    weight: impl Fn(&Values) -> u32,
) -> Option<usize> {
    let weight = |c: &Candidate<'a>| if c.usable { u64::from(weight(&Values::from(&c.policy))) } else { 0 };
    let total = candidates.clone().map(|c| weight(&c)).fold(0, u64::saturating_add);
    if total == 0 {
        return None;
    }
    let mut point = rng.below(total);
    for (at, candidate) in candidates.enumerate() {
        let weight = weight(&candidate);
        if point < weight {
            return Some(at);
        }
        point -= weight;
    }
    None
}
