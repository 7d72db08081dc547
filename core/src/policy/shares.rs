//! Elements drawn at random with probabilities that are their shares of the whole: RAND, WRAND, RLU and their variants.
//!
//! A tree with an element in each node, in the order of their slots, and the sums of the weights: a draw goes down from
//! the root. Elements that were drawn have weight 0 until the request is done, so none is drawn twice.

use super::member::{Order, Ranked};
use super::tree::Trees;
use crate::arena::{Arena, Idx};
use crate::handlespace::ElementRef;
use crate::rand::Rng;

pub(super) fn insert<T: Ranked>(
    trees: &mut Trees<'_>,
    order: &mut Order,
    members: &mut Arena<'_, T>,
    i: Idx,
    weight: u32,
) {
    let node = trees.find_or_insert(&mut order.ready, u64::from(i.number()));
    if node.is_some() {
        *trees.head_mut(node) = i;
        trees.set_weight(node, u64::from(weight));
        members.at_mut(i).member_mut().node = node;
    }
}

pub(super) fn remove<T: Ranked>(trees: &mut Trees<'_>, order: &mut Order, members: &mut Arena<'_, T>, i: Idx) {
    let node = core::mem::take(&mut members.at_mut(i).member_mut().node);
    if node.is_some() {
        trees.remove(&mut order.ready, node);
    }
}

/// Changes the weight of an element, to something other than 0.
pub(super) fn change<T: Ranked>(trees: &mut Trees<'_>, members: &Arena<'_, T>, i: Idx, weight: u32) {
    trees.set_weight(members.at(i).member().node, u64::from(weight));
}

/// Fills `out` from the front and tells how many there are. `weight` tells an element's weight.
pub(super) fn select<T: Ranked>(
    trees: &mut Trees<'_>,
    order: &Order,
    members: &Arena<'_, T>,
    out: &mut [ElementRef],
    rng: &mut Rng,
    weight: impl Fn(&T) -> u32,
) -> usize {
    let mut count = 0;
    for place in out.iter_mut() {
        let total = trees.total(&order.ready);
        if total == 0 {
            break;
        }
        let node = trees.at_point(&order.ready, rng.below(total));
        let i = trees.at(node).head;
        *place = members.at(i).reference(i);
        trees.set_weight(node, 0);
        count += 1;
    }
    for drawn in out.iter().take(count) {
        let slot = members.at(drawn.slot());
        trees.set_weight(slot.member().node, u64::from(weight(slot)));
    }
    count
}
