//! What a pool and a pool element keep for their policy at a registrar.

use super::tree::Root;
use crate::arena::Idx;
use crate::handlespace::ElementRef;
use crate::handlespace::list::{Linked, Links};
use crate::wire::{Policy, RsplibPolicy};

/// The values of a policy parameter, without its type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values {
    /// Weight, priority or load, as the policy has it; 0 otherwise.
    pub(crate) value: u32,
    /// Load degradation, where the policy has one; 0 otherwise.
    pub(crate) degradation: u32,
}

impl From<&Policy<'_>> for Values {
    fn from(policy: &Policy<'_>) -> Self {
        let (value, degradation) = match *policy {
            Policy::RoundRobin | Policy::Random | Policy::Other { .. } => (0, 0),
            Policy::WeightedRoundRobin { weight } | Policy::WeightedRandom { weight } => (weight, 0),
            Policy::Priority { priority } => (priority, 0),
            Policy::LeastUsed { load } | Policy::RandomizedLeastUsed { load } => (load, 0),
            Policy::LeastUsedDegradation { load, degradation } | Policy::PriorityLeastUsed { load, degradation } => {
                (load, degradation)
            }
            Policy::Rsplib(policy) => of_rsplib(policy),
        };
        Values { value, degradation }
    }
}

/// Where distance counts it is put into the first value once and for all. What is beyond full load is the same there.
fn of_rsplib(policy: RsplibPolicy) -> (u32, u32) {
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    let penalty = |dpf: u32, distance: u32| u64::from(dpf) * u64::from(distance);
    match policy {
        RsplibPolicy::RandomizedPriorityLeastUsed { load, degradation }
        | RsplibPolicy::RandomizedLeastUsedDegradation { load, degradation }
        | RsplibPolicy::PriorityLeastUsedDegradation { load, degradation }
        | RsplibPolicy::RandomizedPriorityLeastUsedDegradation { load, degradation } => (load, degradation),
        RsplibPolicy::WeightedRandomDpf { weight, dpf, distance } => {
            let left = u64::from(u32::MAX).saturating_sub(penalty(dpf, distance));
            // Far away is not out of service, which only weight 0 is.
            (narrow(u64::from(weight) * left / u64::from(u32::MAX)).max(weight.min(1)), 0)
        }
        RsplibPolicy::LeastUsedDpf { load, dpf, distance } => {
            (narrow(u64::from(load).saturating_add(penalty(dpf, distance))), 0)
        }
        RsplibPolicy::LeastUsedDegradationDpf { load, degradation, dpf, distance } => {
            (narrow(u64::from(load).saturating_add(penalty(dpf, distance))), degradation)
        }
    }
}

/// The list of elements with the same rank.
pub(crate) struct InRing;

/// A pool element's place in its pool's order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(super) ring: Links,
    /// The node whose ring the element is in; nil where it is not selected at all.
    pub(super) node: Idx,
    pub(super) values: Values,
    /// LUD and its variants: the degradation counter (RFC 5356, 5.2.2). WRR: what rounding has left over of the strides so far.
    pub(super) counter: u32,
    /// WRR: the element has had its turn and waits for the next one.
    pub(super) is_waiting: bool,
}

impl Member {
    pub(crate) const EMPTY: Member = Member {
        ring: Links::NONE,
        node: Idx::NIL,
        values: Values { value: 0, degradation: 0 },
        counter: 0,
        is_waiting: false,
    };

    pub(crate) fn ring(&self) -> Links {
        self.ring
    }

    pub(crate) fn ring_mut(&mut self) -> &mut Links {
        &mut self.ring
    }
}

/// A slot that holds a [`Member`].
pub(crate) trait Ranked: Linked<InRing> {
    fn member(&self) -> &Member;
    fn member_mut(&mut self) -> &mut Member;
    /// How others name the element in slot `slot`, which is this one.
    fn reference(&self, slot: Idx) -> ElementRef;
}

/// A pool's order of its elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// Those that can be selected: by rank, by slot or by deadline.
    pub(super) ready: Root,
    /// WRR: those that have had their turn, by when the next one begins.
    pub(super) waiting: Root,
    /// WRR: the virtual time, which is where the average element is in its sequence of turns.
    pub(super) now: u64,
    /// WRR: what `now` has been rounded by, in units of 1 / `weight`.
    pub(super) rest: u64,
    /// WRR: the sum of the weights.
    pub(super) weight: u64,
}

impl Order {
    pub(crate) const EMPTY: Order = Order { ready: Root::EMPTY, waiting: Root::EMPTY, now: 0, rest: 0, weight: 0 };
}
