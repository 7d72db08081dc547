//! The registrar's side of all policies: which elements to return.

use super::member::{Member, Order, Ranked, Values};
use super::tree::{Node, Trees};
use super::{Standing, degrades, standing};
use crate::arena::{Arena, Idx};
use crate::handlespace::ElementRef;
use crate::rand::Rng;

/// The trees of all pools, and the randomness of their policies.
#[derive(Debug)]
pub(crate) struct Ranking<'s> {
    trees: Trees<'s>,
    rng: Rng,
}

impl<'s> Ranking<'s> {
    /// There are never more nodes in use than elements.
    pub(crate) fn new(nodes: Arena<'s, Node>, rng: Rng) -> Self {
        Ranking { trees: Trees::new(nodes), rng }
    }

    /// How many nodes are in use.
    pub(crate) fn nodes(&self) -> u32 {
        self.trees.len()
    }

    /// Takes a new element into its pool's order.
    pub(crate) fn insert<T: Ranked>(
        &mut self,
        policy: u32,
        order: &mut Order,
        members: &mut Arena<'_, T>,
        i: Idx,
        values: Values,
    ) {
        *members.at_mut(i).member_mut() = Member { values, ..Member::EMPTY };
        let trees = &mut self.trees;
        match standing(policy, &values, 0) {
            Standing::Key(key) => super::rings::insert(trees, order, members, i, key),
            Standing::Share(weight) if weight > 0 => super::shares::insert(trees, order, members, i, weight),
            Standing::Turns(weight) if weight > 0 => super::turns::insert(trees, order, members, i, weight),
            Standing::Share(_) | Standing::Turns(_) => {}
        }
    }

    /// Takes an element out of its pool's order.
    pub(crate) fn remove<T: Ranked>(&mut self, policy: u32, order: &mut Order, members: &mut Arena<'_, T>, i: Idx) {
        let trees = &mut self.trees;
        match current(policy, members.at(i)) {
            Standing::Key(_) => super::rings::remove(trees, order, members, i),
            Standing::Share(_) => super::shares::remove(trees, order, members, i),
            Standing::Turns(weight) => super::turns::remove(trees, order, members, i, weight),
        }
    }

    /// An element has registered again: an element whose rank is the same keeps its place.
    pub(crate) fn update<T: Ranked>(
        &mut self,
        policy: u32,
        order: &mut Order,
        members: &mut Arena<'_, T>,
        i: Idx,
        values: Values,
    ) {
        let (old, new) = (current(policy, members.at(i)), standing(policy, &values, 0));
        let member = members.at_mut(i).member_mut();
        match (old, new) {
            (Standing::Key(old), Standing::Key(new)) if old == new => {
                member.values = values;
                member.counter = 0;
            }
            (Standing::Turns(old), Standing::Turns(new)) if old == new => {}
            (Standing::Share(old), Standing::Share(new)) if old > 0 && new > 0 => {
                member.values = values;
                member.counter = 0;
                super::shares::change(&mut self.trees, members, i, new);
            }
            _ => {
                self.remove(policy, order, members, i);
                self.insert(policy, order, members, i, values);
            }
        }
    }

    /// Fills `out` from the front by the pool's policy and tells how many elements there are. With `advance` it is a
    /// selection; without, the same look at the order changes nothing that a policy keeps.
    pub(crate) fn select<T: Ranked>(
        &mut self,
        policy: u32,
        order: &mut Order,
        members: &mut Arena<'_, T>,
        out: &mut [ElementRef],
        advance: bool,
    ) -> usize {
        let weight = |slot: &T| match current(policy, slot) {
            Standing::Share(weight) | Standing::Turns(weight) => weight,
            Standing::Key(_) => 0,
        };
        let trees = &mut self.trees;
        let count = match standing(policy, &Values::default(), 0) {
            Standing::Share(_) => super::shares::select(trees, order, members, out, &mut self.rng, weight),
            Standing::Turns(_) => super::turns::select(trees, order, members, out, advance, weight),
            Standing::Key(_) => super::rings::select(trees, order, members, out, advance),
        };
        if advance && degrades(policy) {
            for selected in out.iter().take(count) {
                self.degrade(policy, order, members, selected.slot());
            }
        }
        count
    }

    /// An element has been returned: its degradation counter goes up by one (RFC 5356, 5.2.2).
    fn degrade<T: Ranked>(&mut self, policy: u32, order: &mut Order, members: &mut Arena<'_, T>, i: Idx) {
        let old = current(policy, members.at(i));
        let member = members.at_mut(i).member_mut();
        member.counter = member.counter.saturating_add(1);
        match (old, current(policy, members.at(i))) {
            (Standing::Key(old), Standing::Key(new)) if old != new => {
                super::rings::remove(&mut self.trees, order, members, i);
                super::rings::insert(&mut self.trees, order, members, i, new);
            }
            (Standing::Share(_), Standing::Share(new)) => super::shares::change(&mut self.trees, members, i, new),
            _ => {}
        }
    }

    /// Checks the pool's trees; returns how many nodes they have.
    #[cfg(test)]
    pub(crate) fn check(&self, order: &Order) -> u32 {
        self.trees.check(&order.ready) + self.trees.check(&order.waiting)
    }
}

fn current<T: Ranked>(policy: u32, slot: &T) -> Standing {
    let member = slot.member();
    standing(policy, &member.values, member.counter)
}
