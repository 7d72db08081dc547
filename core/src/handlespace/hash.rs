//! Keyed hashing, and tables of chains through slots.

use super::heads::Heads;
use crate::arena::{Arena, Idx, Slot};
use crate::rand::Rng;

/// The secret of the hash functions. Handles and identifiers come from peers, who must not be able to choose them so
/// that all fall into one chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    start: u64,
    factor: u64,
}

/// Multiplies to 128 bits and folds the halves: every input bit reaches most output bits in one multiplication.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[allow(clippy::cast_possible_truncation, reason = "the lower half")]
    let low = product as u64;
    let high = (product >> 64) as u64;
    low ^ high
}

const fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

impl Keys {
    pub(super) fn new(rng: &mut Rng) -> Self {
        // An odd factor is never 0, and a factor with its top bit set moves every bit upwards.
        Keys { start: rng.next_u64(), factor: rng.next_u64() | (1 << 63) | 1 }
    }

    pub(super) fn bytes(&self, bytes: &[u8]) -> u32 {
        let (words, tail) = bytes.as_chunks::<8>();
        let mut hash = self.start ^ bytes.len() as u64;
        for word in words {
            hash = fold(hash ^ u64::from_le_bytes(*word), self.factor);
        }
        // The length is in the start, so the zeros that fill the last word up are no ambiguity.
        let last = tail.iter().rev().fold(0, |last, byte| last << 8 | u64::from(*byte));
        upper(fold(fold(hash ^ last, self.factor), self.start | 1))
    }

    #[inline]
    pub(super) fn pair(&self, a: u32, b: u32) -> u32 {
        let hash = fold(self.start ^ (u64::from(a) << 32 | u64::from(b)), self.factor);
        upper(fold(hash, self.start | 1))
    }
}

/// A slot that can be in a chain.
pub(super) trait Chained: Slot {
    fn chain(&self) -> Idx;
    fn set_chain(&mut self, next: Idx);
}

/// The chains. Nothing ever iterates over them: their order is that of the hashes.
#[derive(Debug)]
pub(super) struct Buckets<'s>(pub(super) Heads<'s>);

impl Buckets<'_> {
    /// Scales the hash to the number of chains, which so need not be a power of two.
    #[inline]
    fn position(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.0.len() as u64) >> 32) as usize
    }

    /// The slot with this hash for which `is_it` holds, or nil.
    #[inline]
    pub(super) fn find<T: Chained>(&self, slots: &Arena<'_, T>, hash: u32, is_it: impl Fn(Idx, &T) -> bool) -> Idx {
        let mut i = self.0.at(self.position(hash));
        while i.is_some() {
            let slot = slots.at(i);
            if is_it(i, slot) {
                return i;
            }
            i = slot.chain();
        }
        Idx::NIL
    }

    pub(super) fn insert<T: Chained>(&mut self, slots: &mut Arena<'_, T>, hash: u32, i: Idx) {
        let at = self.position(hash);
        if let Some(head) = self.0.at_mut(at) {
            slots.at_mut(i).set_chain(*head);
            *head = i;
        }
    }

    pub(super) fn remove<T: Chained>(&mut self, slots: &mut Arena<'_, T>, hash: u32, i: Idx) {
        let next = slots.at(i).chain();
        let at = self.position(hash);
        let Some(head) = self.0.at_mut(at) else { return };
        if *head == i {
            *head = next;
            return;
        }
        let mut before = *head;
        while before.is_some() {
            let following = slots.at(before).chain();
            if following == i {
                slots.at_mut(before).set_chain(next);
                return;
            }
            before = following;
        }
    }

    /// Makes more chains when there are as many slots in use. `hash` tells a slot's hash, or `None` where it is free.
    pub(super) fn make_room<T: Chained>(&mut self, slots: &mut Arena<'_, T>, hash: impl Fn(&T) -> Option<u32>) {
        if !self.0.grow(slots.len()) {
            return;
        }
        let mut at = slots.after(Idx::NIL);
        while let Some(i) = at {
            if let Some(hash) = hash(slots.at(i)) {
                self.insert(slots, hash, i);
            }
            at = slots.after(i);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    /// The largest of `chains` chains, for hashes of `count` things.
    fn longest(chains: u64, hashes: impl Iterator<Item = u32>) -> u32 {
        let mut lengths: Vec<u32> = vec![0; usize::try_from(chains).unwrap()];
        for hash in hashes {
            lengths[usize::try_from((u64::from(hash) * chains) >> 32).unwrap()] += 1;
        }
        lengths.into_iter().max().unwrap()
    }

    #[test]
    fn similar_keys_spread() {
        for seed in 0..20 {
            let keys = Keys::new(&mut Rng::new(seed));
            assert!(longest(4096, (0..4096u32).map(|n| keys.bytes(&n.to_be_bytes()))) <= 10);
            assert!(longest(4096, (0..4096u32).map(|n| keys.bytes(std::format!("pool-{n}").as_bytes()))) <= 10);
            assert!(longest(4096, (0..4096u32).map(|n| keys.pair(1, n))) <= 10);
            assert!(longest(4096, (0..4096u32).map(|n| keys.pair(n >> 6, n << 26))) <= 10);
        }
    }

    #[test]
    fn zeros_at_the_end_count() {
        let keys = Keys::new(&mut Rng::new(1));
        assert_ne!(keys.bytes(b"a"), keys.bytes(b"a\0"));
        assert_ne!(keys.bytes(b""), keys.bytes(b"\0\0\0\0\0\0\0\0"));
    }
}
