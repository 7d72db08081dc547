//! Which connection needs looking at next.

use rserpool_core::Instant;

const NONE: u32 = u32::MAX;

/// A binary heap of one deadline per slot that knows where each slot is, so a deadline can be moved or removed and no
/// outdated entry is left behind. All changes are O(log n), asking is O(1).
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    heap: Vec<(Instant, u32)>,
    position: Vec<u32>,
}

impl Deadlines {
    /// The earliest deadline and its slot.
    pub(super) fn first(&self) -> Option<(Instant, u32)> {
        self.heap.first().copied()
    }

    /// Sets a slot's deadline unless it has an earlier one. For the hot path: whoever is called too early looks again
    /// and sets the deadline that is right then.
    pub(super) fn bring_forward(&mut self, slot: u32, when: Instant) {
        match self.position_of(slot) {
            Some(at) if self.heap[at].0 <= when => {}
            _ => self.set(slot, Some(when)),
        }
    }

    /// Sets or removes a slot's deadline.
    pub(super) fn set(&mut self, slot: u32, when: Option<Instant>) {
        match (self.position_of(slot), when) {
            (None, None) => {}
            (None, Some(when)) => {
                let index = slot as usize;
                if index >= self.position.len() {
                    self.position.resize(index + 1, NONE);
                }
                self.heap.push((when, slot));
                self.settle(self.heap.len() - 1);
            }
            (Some(at), Some(when)) => {
                self.heap[at].0 = when;
                self.settle(at);
            }
            (Some(at), None) => {
                self.heap.swap_remove(at);
                self.position[slot as usize] = NONE;
                if at < self.heap.len() {
                    self.settle(at);
                }
            }
        }
    }

    fn position_of(&self, slot: u32) -> Option<usize> {
        self.position.get(slot as usize).filter(|at| **at != NONE).map(|at| *at as usize)
    }

    /// Moves the entry at `at` up or down to where it belongs.
    fn settle(&mut self, mut at: usize) {
        while at > 0 {
            let parent = (at - 1) / 2;
            if self.heap[parent] <= self.heap[at] {
                break;
            }
            self.swap(at, parent);
            at = parent;
        }
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let mut least = at;
            for child in [left, right] {
                if child < self.heap.len() && self.heap[child] < self.heap[least] {
                    least = child;
                }
            }
            if least == at {
                break;
            }
            self.swap(at, least);
            at = least;
        }
        self.note(at);
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.note(a);
        self.note(b);
    }

    fn note(&mut self, at: usize) {
        let slot = self.heap[at].1;
        self.position[slot as usize] = u32::try_from(at).expect("no more entries than slots");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_sorted_map(
            changes in prop::collection::vec((0u32..20, prop::option::of(0u64..50), any::<bool>()), 0..200),
        ) {
            let mut deadlines = Deadlines::default();
            let mut model = BTreeMap::new();
            for (slot, when, only_earlier) in changes {
                let when = when.map(Instant::from_micros);
                match when {
                    Some(when) if only_earlier => {
                        deadlines.bring_forward(slot, when);
                        let entry = model.entry(slot).or_insert(when);
                        *entry = when.min(*entry);
                    }
                    Some(when) => {
                        deadlines.set(slot, Some(when));
                        model.insert(slot, when);
                    }
                    None => {
                        deadlines.set(slot, None);
                        model.remove(&slot);
                    }
                }
                let first = model.iter().map(|(slot, when)| (*when, *slot)).min();
                prop_assert_eq!(deadlines.first(), first);
            }
        }
    }
}
