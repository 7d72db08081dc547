//! Elements in ascending order of a key, round robin among those with the same key: RR, PRIO, LU, LUD, PLU.
//!
//! The elements of one key form a ring with a head. A request takes elements from the head of the ring with the lowest
//! key on, then from the head of the next ring, and each ring that it touched moves its head on by one. So RR is one
//! ring, and nothing but the first node of the tree is looked at.

use super::member::{InRing, Order, Ranked};
use super::tree::Trees;
use crate::arena::{Arena, Idx};
use crate::handlespace::ElementRef;
use crate::handlespace::list;

/// Adds an element as the last one of its ring.
pub(super) fn insert<T: Ranked>(
    trees: &mut Trees<'_>,
    order: &mut Order,
    members: &mut Arena<'_, T>,
    i: Idx,
    key: u64,
) {
    let node = trees.find_or_insert(&mut order.ready, key);
    if node.is_some() {
        list::append::<InRing, T>(members, trees.head_mut(node), i);
        members.at_mut(i).member_mut().node = node;
    }
}

pub(super) fn remove<T: Ranked>(trees: &mut Trees<'_>, order: &mut Order, members: &mut Arena<'_, T>, i: Idx) {
    let node = members.at(i).member().node;
    if node.is_nil() {
        return;
    }
    list::unlink::<InRing, T>(members, trees.head_mut(node), i);
    members.at_mut(i).member_mut().node = Idx::NIL;
    if trees.at(node).head.is_nil() {
        trees.remove(&mut order.ready, node);
    }
}

/// Fills `out` from the front and tells how many there are. With `advance` the heads move on.
pub(super) fn select<T: Ranked>(
    trees: &mut Trees<'_>,
    order: &Order,
    members: &Arena<'_, T>,
    out: &mut [ElementRef],
    advance: bool,
) -> usize {
    let room = out.len();
    let mut places = out.iter_mut();
    let mut node = order.ready.first();
    while node.is_some() && places.len() > 0 {
        let head = trees.at(node).head;
        let mut i = head;
        while i.is_some() {
            let Some(place) = places.next() else { break };
            *place = members.at(i).reference(i);
            i = list::after::<InRing, T>(members, head, i);
        }
        if advance {
            *trees.head_mut(node) = list::successor::<InRing, T>(members, head);
        }
        if places.len() > 0 {
            node = trees.next(node);
        }
    }
    room - places.len()
}
