//! Circular doubly linked lists through the slots of an arena.
//!
//! A slot can be in several lists at once: each kind of list is a marker type `L`, and [`Linked<L>`] names the field
//! that holds its links. A list is known by its head; the slot before the head is the last one.

use crate::arena::{Arena, Idx, Slot};

/// A slot's neighbours in one list; nil in both where it is in none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    prev: Idx,
    next: Idx,
}

impl Links {
    pub(crate) const NONE: Links = Links { prev: Idx::NIL, next: Idx::NIL };
}

/// A slot that can be in a list of kind `L`.
pub(crate) trait Linked<L>: Slot {
    fn links(&self) -> Links;
    fn links_mut(&mut self) -> &mut Links;
}

/// Puts `i`, which is in no list of this kind, at the end: just before the head.
pub(crate) fn append<L, T: Linked<L>>(slots: &mut Arena<'_, T>, head: &mut Idx, i: Idx) {
    if head.is_nil() {
        *slots.at_mut(i).links_mut() = Links { prev: i, next: i };
        *head = i;
        return;
    }
    let last = slots.at(*head).links().prev;
    *slots.at_mut(i).links_mut() = Links { prev: last, next: *head };
    slots.at_mut(last).links_mut().next = i;
    slots.at_mut(*head).links_mut().prev = i;
}

/// Takes `i` out. Where it is the head, the one after it becomes the head. To take out what is in no list does nothing.
pub(crate) fn unlink<L, T: Linked<L>>(slots: &mut Arena<'_, T>, head: &mut Idx, i: Idx) {
    let Links { prev, next } = slots.at(i).links();
    if next.is_nil() {
        return;
    }
    if next == i {
        *head = Idx::NIL;
    } else {
        slots.at_mut(prev).links_mut().next = next;
        slots.at_mut(next).links_mut().prev = prev;
        if *head == i {
            *head = next;
        }
    }
    *slots.at_mut(i).links_mut() = Links::NONE;
}

/// The one after `i`, round and round.
#[inline]
pub(crate) fn successor<L, T: Linked<L>>(slots: &Arena<'_, T>, i: Idx) -> Idx {
    slots.at(i).links().next
}

/// The one after `i`, or nil where `i` is the last of the list of this head.
#[inline]
pub(crate) fn after<L, T: Linked<L>>(slots: &Arena<'_, T>, head: Idx, i: Idx) -> Idx {
    let next = successor(slots, i);
    if next == head { Idx::NIL } else { next }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[derive(Clone, Copy, Default)]
    struct Node {
        links: Links,
        free: Idx,
    }

    struct Any;

    impl Slot for Node {
        fn next_free(&self) -> Idx {
            self.free
        }
        fn set_next_free(&mut self, next: Idx) {
            self.free = next;
        }
    }

    impl Linked<Any> for Node {
        fn links(&self) -> Links {
            self.links
        }
        fn links_mut(&mut self) -> &mut Links {
            &mut self.links
        }
    }

    fn all(slots: &Arena<'_, Node>, head: Idx) -> Vec<Idx> {
        let mut found = Vec::new();
        let mut i = head;
        while i.is_some() {
            found.push(i);
            i = after(slots, head, i);
        }
        found
    }

    #[test]
    fn order_is_that_of_appending_and_the_head_moves_on_when_it_leaves() {
        let mut memory = [Node::default(); 3];
        let mut slots = Arena::lent(&mut memory);
        let (a, b, c) = (slots.allocate().unwrap(), slots.allocate().unwrap(), slots.allocate().unwrap());
        let mut head = Idx::NIL;
        for i in [a, b, c] {
            append(&mut slots, &mut head, i);
        }
        assert_eq!(all(&slots, head), [a, b, c]);
        unlink(&mut slots, &mut head, a);
        unlink(&mut slots, &mut head, a);
        assert_eq!(all(&slots, head), [b, c]);
        unlink(&mut slots, &mut head, c);
        unlink(&mut slots, &mut head, b);
        assert_eq!(head, Idx::NIL);
    }
}
