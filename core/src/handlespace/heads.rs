//! The heads of many lists or chains.

use crate::arena::{Idx, Table};

/// As many heads as there can be slots, or, where memory grows, at least as many as there are slots in use.
#[derive(Debug)]
pub(super) struct Heads<'s>(Table<'s, Idx>);

impl<'s> Heads<'s> {
    pub(super) fn lent(heads: &'s mut [Idx]) -> Self {
        heads.fill(Idx::NIL);
        Heads(Table::Lent(heads))
    }

    #[cfg(feature = "alloc")]
    pub(super) fn growable() -> Self {
        Heads(Table::Grown(alloc::vec::Vec::new()))
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.as_slice().len()
    }

    #[inline]
    pub(super) fn at(&self, place: usize) -> Idx {
        self.0.as_slice().get(place).copied().unwrap_or_default()
    }

    #[inline]
    pub(super) fn at_mut(&mut self, place: usize) -> Option<&mut Idx> {
        self.0.as_mut_slice().get_mut(place)
    }

    /// Doubles the heads and empties them, where memory grows and `used` slots are as many as heads. Says whether it
    /// did: then everything is to be put in again, which is O(1) per slot on average.
    pub(super) fn grow(&mut self, used: u32) -> bool {
        match &mut self.0 {
            Table::Lent(_) => {
                let _ = used;
                false
            }
            #[cfg(feature = "alloc")]
            Table::Grown(heads) => {
                let count = heads.len();
                if (used as usize) < count {
                    return false;
                }
                heads.clear();
                heads.resize(count.saturating_mul(2).max(8), Idx::NIL);
                true
            }
        }
    }

    /// How many bytes the heads take.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.0.as_slice())
    }
}
