//! Weighted round robin (RFC 5356, 4.2) without the list in which each element stands as often as its weight says.
//!
//! That list, with the entries of each element spread evenly, is made one entry at a time. An element of weight w has a
//! turn every [`ROUND`] / w of virtual time: turn n begins at `start`, is due a stride later, and there turn n + 1
//! begins. Of the elements whose turn has begun, or begins before the next request, the one that is due first is
//! served; that is earliest deadline first on the windows of proportionate fairness (Baruah, Cohen, Plaxton, Varvel
//! 1996), which keeps each element within one turn of its share at all times.
//!
//! Virtual time is the average of the elements' starts, weighted with their weights, as in earliest eligible virtual
//! deadline first (Stoica, Abdel-Wahab 1995). It moves on by `ROUND` / (sum of weights) with each request; an element
//! that leaves moves it by what it had been served too much or too little, so the others are neither favoured nor
//! starved; one that joins starts at the average. All remainders are carried on, so nothing drifts.

use super::member::{InRing, Order, Ranked};
use super::tree::{Trees, is_before};
use crate::arena::{Arena, Idx};
use crate::handlespace::ElementRef;
use crate::handlespace::list;

/// The virtual time of one turn of an element of weight 1. Starts and deadlines stay within a few rounds of each other,
/// far below the 2^63 that comparing them modulo 2^64 needs.
const ROUND: u64 = 1 << 56;

/// How long the next turn of an element is in virtual time, and the remainder to carry on to the one after.
fn stride(weight: u32, carried: u32) -> (u64, u32) {
    let weight = u64::from(weight.max(1));
    let span = ROUND + u64::from(carried);
    #[allow(clippy::cast_possible_truncation, reason = "a remainder by a 32-bit number")]
    let rest = (span % weight) as u32;
    (span / weight, rest)
}

/// Puts an element into a ring of one of the two trees.
fn place<T: Ranked>(
    trees: &mut Trees<'_>,
    order: &mut Order,
    members: &mut Arena<'_, T>,
    i: Idx,
    key: u64,
    is_waiting: bool,
) {
    let tree = if is_waiting { &mut order.waiting } else { &mut order.ready };
    let node = trees.find_or_insert(tree, key);
    if node.is_some() {
        list::append::<InRing, T>(members, trees.head_mut(node), i);
        let member = members.at_mut(i).member_mut();
        member.node = node;
        member.is_waiting = is_waiting;
    }
}

/// Takes an element out of its ring and returns the ring's key.
fn displace<T: Ranked>(trees: &mut Trees<'_>, order: &mut Order, members: &mut Arena<'_, T>, i: Idx) -> u64 {
    let member = members.at_mut(i).member_mut();
    let node = core::mem::take(&mut member.node);
    let tree = if member.is_waiting { &mut order.waiting } else { &mut order.ready };
    let key = trees.at(node).key();
    list::unlink::<InRing, T>(members, trees.head_mut(node), i);
    if node.is_some() && trees.at(node).head.is_nil() {
        trees.remove(tree, node);
    }
    key
}

pub(super) fn insert<T: Ranked>(
    trees: &mut Trees<'_>,
    order: &mut Order,
    members: &mut Arena<'_, T>,
    i: Idx,
    weight: u32,
) {
    let (stride, _) = stride(weight, members.at(i).member().counter);
    let deadline = order.now.wrapping_add(stride);
    place(trees, order, members, i, deadline, false);
    if members.at(i).member().node.is_some() {
        order.weight += u64::from(weight);
    }
}

pub(super) fn remove<T: Ranked>(
    trees: &mut Trees<'_>,
    order: &mut Order,
    members: &mut Arena<'_, T>,
    i: Idx,
    weight: u32,
) {
    let member = *members.at(i).member();
    if member.node.is_nil() {
        return;
    }
    let key = displace(trees, order, members, i);
    let start = if member.is_waiting { key } else { key.wrapping_sub(stride(weight, member.counter).0) };
    let member = members.at_mut(i).member_mut();
    member.is_waiting = false;
    member.counter = 0;

    order.weight = order.weight.saturating_sub(u64::from(weight));
    if order.weight == 0 {
        order.rest = 0;
        return;
    }
    // The sum over all others of weight * (start - now), which has to be 0, is what this element takes with it.
    let ahead = i128::from(start.wrapping_sub(order.now).cast_signed());
    let sum = i128::from(order.rest) - ahead * i128::from(weight);
    let others = i128::from(order.weight);
    #[allow(clippy::cast_possible_truncation, reason = "below the sum of the weights; and an average of starts")]
    let (moved, rest) = (sum.div_euclid(others) as i64, sum.rem_euclid(others) as u64);
    order.now = order.now.wrapping_add_signed(moved);
    order.rest = rest;
}

/// Makes those ready whose turn begins before the virtual time of the next request.
fn promote<T: Ranked>(
    trees: &mut Trees<'_>,
    order: &mut Order,
    members: &mut Arena<'_, T>,
    weight: &impl Fn(&T) -> u32,
) {
    let horizon = order.now.wrapping_add((ROUND + order.rest) / order.weight.max(1));
    loop {
        let node = order.waiting.first();
        if node.is_nil() || (!is_before(trees.at(node).key(), horizon) && order.ready.first().is_some()) {
            return;
        }
        let i = trees.at(node).head;
        let start = displace(trees, order, members, i);
        let slot = members.at(i);
        let (stride, _) = stride(weight(slot), slot.member().counter);
        place(trees, order, members, i, start.wrapping_add(stride), false);
    }
}

/// Fills `out` from the front and tells how many there are: first the element whose turn it is, then the others in the
/// order in which their turns are due, those that wait last. With `advance` the first one has had its turn.
pub(super) fn select<T: Ranked>(
    trees: &mut Trees<'_>,
    order: &mut Order,
    members: &mut Arena<'_, T>,
    out: &mut [ElementRef],
    advance: bool,
    weight: impl Fn(&T) -> u32,
) -> usize {
    promote(trees, order, members, &weight);
    let room = out.len();
    let mut places = out.iter_mut();
    'full: for first in [order.ready.first(), order.waiting.first()] {
        let mut node = first;
        while node.is_some() {
            let head = trees.at(node).head;
            let mut i = head;
            while i.is_some() {
                let Some(place) = places.next() else { break 'full };
                *place = members.at(i).reference(i);
                i = list::after::<InRing, T>(members, head, i);
            }
            node = trees.next(node);
        }
    }
    let count = room - places.len();
    if let (true, true, Some(first)) = (advance, count > 0, out.first()) {
        serve(trees, order, members, first.slot(), &weight);
    }
    count
}

/// An element has had its turn: its next one begins where this one was due.
fn serve<T: Ranked>(
    trees: &mut Trees<'_>,
    order: &mut Order,
    members: &mut Arena<'_, T>,
    i: Idx,
    weight: &impl Fn(&T) -> u32,
) {
    let slot = members.at(i);
    let weight = weight(slot);
    let (stride, carried) = stride(weight, slot.member().counter);
    let due = displace(trees, order, members, i);
    members.at_mut(i).member_mut().counter = carried;
    place(trees, order, members, i, due, true);

    // At most 2^56 + 2^32, and the rest is below the sum of the weights: no overflow.
    let sum = order.rest + stride * u64::from(weight);
    order.now = order.now.wrapping_add(sum / order.weight.max(1));
    order.rest = sum % order.weight.max(1);
}
