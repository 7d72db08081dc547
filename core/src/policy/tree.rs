//! Balanced search trees over one arena of nodes, with the sums of their weights.
//!
//! A treap: ordered by key, and by a pseudo-random priority of each node as a heap, which balances it. The priority
//! comes from the slot's number, which no peer chooses, so it need not be stored. Keys are compared modulo 2^64: all
//! the keys of one tree lie within 2^63 of each other.

use crate::arena::{Arena, Idx, Slot};
use crate::rand::mix;

/// A node: a key, the elements that have it (a ring, known by its head), and the weights below.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Node {
    key: u64,
    /// The weights of this node and of all nodes below it.
    sum: u64,
    parent: Idx,
    left: Idx,
    right: Idx,
    /// The element of this ring that is next.
    pub(super) head: Idx,
}

impl Node {
    pub(crate) const EMPTY: Node =
        Node { key: 0, sum: 0, parent: Idx::NIL, left: Idx::NIL, right: Idx::NIL, head: Idx::NIL };

    pub(super) fn key(&self) -> u64 {
        self.key
    }
}

impl Slot for Node {
    fn next_free(&self) -> Idx {
        self.parent
    }
    fn set_next_free(&mut self, next: Idx) {
        self.parent = next;
    }
}

/// One tree: its root, and its first node, which most requests only want.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Root {
    root: Idx,
    first: Idx,
}

impl Root {
    pub(crate) const EMPTY: Root = Root { root: Idx::NIL, first: Idx::NIL };

    /// The node with the lowest key, or nil.
    #[inline]
    pub(super) fn first(&self) -> Idx {
        self.first
    }
}

/// Whether `a` comes before `b`.
#[inline]
pub(super) fn is_before(a: u64, b: u64) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

fn priority(i: Idx) -> u64 {
    mix(u64::from(i.number()))
}

/// The nodes of all trees.
#[derive(Debug)]
pub(crate) struct Trees<'s>(Arena<'s, Node>);

impl<'s> Trees<'s> {
    pub(crate) fn new(nodes: Arena<'s, Node>) -> Self {
        Trees(nodes)
    }

    /// How many nodes there are in all trees.
    pub(crate) fn len(&self) -> u32 {
        self.0.len()
    }

    #[inline]
    pub(super) fn at(&self, i: Idx) -> &Node {
        self.0.at(i)
    }

    #[inline]
    pub(super) fn head_mut(&mut self, i: Idx) -> &mut Idx {
        &mut self.0.at_mut(i).head
    }

    fn sum(&self, i: Idx) -> u64 {
        self.0.at(i).sum
    }

    /// The sum of the weights of a tree.
    pub(super) fn total(&self, tree: &Root) -> u64 {
        self.sum(tree.root)
    }

    fn own(&self, i: Idx) -> u64 {
        let node = self.0.at(i);
        node.sum.wrapping_sub(self.sum(node.left)).wrapping_sub(self.sum(node.right))
    }

    /// The node with this key, made if there is none; nil where there are no more nodes.
    pub(super) fn find_or_insert(&mut self, tree: &mut Root, key: u64) -> Idx {
        let (mut parent, mut at, mut is_left, mut is_first) = (Idx::NIL, tree.root, false, true);
        while at.is_some() {
            let node = self.0.at(at);
            if node.key == key {
                return at;
            }
            parent = at;
            is_left = is_before(key, node.key);
            is_first &= is_left;
            at = if is_left { node.left } else { node.right };
        }
        let Some(new) = self.0.allocate() else { return Idx::NIL };
        let node = self.0.at_mut(new);
        node.key = key;
        node.parent = parent;
        let above = self.0.at_mut(parent);
        match (parent.is_nil(), is_left) {
            (true, _) => tree.root = new,
            (false, true) => above.left = new,
            (false, false) => above.right = new,
        }
        if is_first {
            tree.first = new;
        }
        let rank = priority(new);
        loop {
            let parent = self.0.at(new).parent;
            if parent.is_nil() || priority(parent) >= rank {
                return new;
            }
            self.rotate_up(tree, new);
        }
    }

    /// Takes a node out and frees it.
    pub(super) fn remove(&mut self, tree: &mut Root, i: Idx) {
        if tree.first == i {
            tree.first = self.next(i);
        }
        self.set_weight(i, 0);
        let child = loop {
            let Node { left, right, .. } = *self.0.at(i);
            match (left.is_nil(), right.is_nil()) {
                (true, _) => break right,
                (_, true) => break left,
                (false, false) if priority(left) > priority(right) => self.rotate_up(tree, left),
                (false, false) => self.rotate_up(tree, right),
            }
        };
        let parent = self.0.at(i).parent;
        self.put_below(tree, parent, i, child);
        self.0.release(i);
    }

    /// Puts `new` in the place of `old` below `parent`.
    fn put_below(&mut self, tree: &mut Root, parent: Idx, old: Idx, new: Idx) {
        if parent.is_nil() {
            tree.root = new;
        } else {
            let above = self.0.at_mut(parent);
            if above.left == old {
                above.left = new;
            } else {
                above.right = new;
            }
        }
        if new.is_some() {
            self.0.at_mut(new).parent = parent;
        }
    }

    /// Lifts a node above its parent, keeping order and sums.
    fn rotate_up(&mut self, tree: &mut Root, i: Idx) {
        let node = *self.0.at(i);
        let parent = node.parent;
        let above = *self.0.at(parent);
        self.put_below(tree, above.parent, parent, i);
        let moved = if above.left == i { node.right } else { node.left };
        let sum = above.sum.wrapping_sub(node.sum).wrapping_add(self.sum(moved));
        let lowered = self.0.at_mut(parent);
        if above.left == i {
            lowered.left = moved;
        } else {
            lowered.right = moved;
        }
        lowered.parent = i;
        lowered.sum = sum;
        if moved.is_some() {
            self.0.at_mut(moved).parent = parent;
        }
        let lifted = self.0.at_mut(i);
        if above.left == i {
            lifted.right = parent;
        } else {
            lifted.left = parent;
        }
        lifted.sum = above.sum;
    }

    /// The node with the next higher key, or nil.
    pub(super) fn next(&self, i: Idx) -> Idx {
        let right = self.0.at(i).right;
        if right.is_some() {
            let mut at = right;
            loop {
                let left = self.0.at(at).left;
                if left.is_nil() {
                    return at;
                }
                at = left;
            }
        }
        let (mut from, mut at) = (i, self.0.at(i).parent);
        while at.is_some() && self.0.at(at).right == from {
            (from, at) = (at, self.0.at(at).parent);
        }
        at
    }

    /// Sets the weight of a node.
    pub(super) fn set_weight(&mut self, i: Idx, weight: u64) {
        let change = weight.wrapping_sub(self.own(i));
        if change == 0 {
            return;
        }
        let mut at = i;
        while at.is_some() {
            let node = self.0.at_mut(at);
            node.sum = node.sum.wrapping_add(change);
            at = node.parent;
        }
    }

    /// The node at which the running sum of the weights exceeds `point`; nil where the total does not.
    pub(super) fn at_point(&self, tree: &Root, mut point: u64) -> Idx {
        let mut at = tree.root;
        while at.is_some() {
            let node = self.0.at(at);
            let left = self.sum(node.left);
            if point < left {
                at = node.left;
                continue;
            }
            point -= left;
            let own = self.own(at);
            if point < own {
                break;
            }
            point -= own;
            at = node.right;
        }
        at
    }

    /// Checks order, heap order, links and sums; returns how many nodes the tree has.
    #[cfg(test)]
    pub(super) fn check(&self, tree: &Root) -> u32 {
        let mut at = tree.first;
        assert_eq!(tree.root.is_nil(), at.is_nil());
        assert!(self.at(tree.root).parent.is_nil());
        let (mut count, mut before) = (0, None);
        while at.is_some() {
            count += 1;
            let node = self.at(at);
            assert!(before.is_none_or(|before| is_before(before, node.key)));
            before = Some(node.key);
            for child in [node.left, node.right].into_iter().filter(|child| child.is_some()) {
                assert_eq!(self.at(child).parent, at);
                assert!(priority(child) <= priority(at));
            }
            assert!(node.sum >= self.sum(node.left) + self.sum(node.right));
            at = self.next(at);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_tree_is_an_ordered_map_with_sums(
            ops in prop::collection::vec((any::<bool>(), 0u64..40, 0u64..5), 1..200), base: u64
        ) {
            let mut memory = vec![Node::EMPTY; 24];
            let (mut trees, mut tree) = (Trees::new(Arena::lent(&mut memory)), Root::EMPTY);
            let mut model: BTreeMap<u64, (Idx, u64)> = BTreeMap::new();
            for (remove, key, weight) in ops {
                if remove {
                    if let Some((i, _)) = model.remove(&key) {
                        trees.remove(&mut tree, i);
                    }
                } else {
                    let i = trees.find_or_insert(&mut tree, base.wrapping_add(key));
                    if i.is_some() {
                        trees.set_weight(i, weight);
                        model.insert(key, (i, weight));
                    } else {
                        prop_assert_eq!(model.len(), 24);
                    }
                }
                prop_assert_eq!(trees.check(&tree) as usize, model.len());
                prop_assert_eq!(trees.len() as usize, model.len());
                let mut at = tree.first();
                for (key, (i, _)) in &model {
                    prop_assert_eq!(at, *i);
                    prop_assert_eq!(trees.at(at).key(), base.wrapping_add(*key));
                    at = trees.next(at);
                }
                let mut point = 0;
                for (i, weight) in model.values() {
                    for _ in 0..*weight {
                        prop_assert_eq!(trees.at_point(&tree, point), *i);
                        point += 1;
                    }
                }
                prop_assert_eq!(trees.total(&tree), point);
                prop_assert_eq!(trees.at_point(&tree, point), Idx::NIL);
            }
        }
    }
}
