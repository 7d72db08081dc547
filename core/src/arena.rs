//! Slots addressed by index: the one kind of memory behind every table, borrowed or growing.

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

/// A slot's index. 0 is "none", so that a zeroed table is an empty one and lands in `.bss`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(crate) struct Idx(u32);

impl Idx {
    pub(crate) const NIL: Idx = Idx(0);

    pub(crate) const fn is_nil(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn is_some(self) -> bool {
        self.0 != 0
    }

    /// The number of this index: 1 for the first slot.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// The index of the slot at `position`, counted from 0; nil where that cannot be expressed.
    pub(crate) fn at_position(position: usize) -> Idx {
        u32::try_from(position).ok().and_then(|p| p.checked_add(1)).map_or(Idx::NIL, Idx)
    }

    /// The position of this slot, counted from 0; out of every table for nil.
    pub(crate) const fn position(self) -> usize {
        (self.0 as usize).wrapping_sub(1)
    }
}

/// A slice that is lent by the caller, or a vector that grows.
#[derive(Debug)]
pub(crate) enum Table<'s, T> {
    Lent(&'s mut [T]),
    #[cfg(feature = "alloc")]
    Grown(Vec<T>),
}

impl<T> Table<'_, T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Table::Lent(slots) => slots,
            #[cfg(feature = "alloc")]
            Table::Grown(slots) => slots,
        }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Table::Lent(slots) => slots,
            #[cfg(feature = "alloc")]
            Table::Grown(slots) => slots,
        }
    }
}

/// What a slot keeps for the arena: the link of the free list.
pub(crate) trait Slot: Default {
    fn next_free(&self) -> Idx;
    fn set_next_free(&mut self, next: Idx);
}

/// A table with a free list.
///
/// To read the nil slot gives a default value, and to write it changes nothing that is read: as in a tree with a
/// sentinel, algorithms need no special case for "none", and no index can panic.
#[derive(Debug)]
pub(crate) struct Arena<'s, T> {
    table: Table<'s, T>,
    free: Idx,
    /// How many slots have ever been used; those beyond are free without being on the list, so that an arena over
    /// zeroed memory needs no set-up pass.
    touched: u32,
    len: u32,
    limit: u32,
    nil: T,
    scratch: T,
}

impl<'s, T: Slot> Arena<'s, T> {
    pub(crate) fn lent(slots: &'s mut [T]) -> Self {
        let limit = u32::try_from(slots.len()).unwrap_or(u32::MAX - 1);
        Self::over(Table::Lent(slots), limit)
    }

    /// An arena that grows to at most `limit` slots.
    #[cfg(feature = "alloc")]
    pub(crate) fn growable(limit: u32) -> Self {
        Self::over(Table::Grown(Vec::new()), limit.min(u32::MAX - 1))
    }

    fn over(table: Table<'s, T>, limit: u32) -> Self {
        Arena { table, free: Idx::NIL, touched: 0, len: 0, limit, nil: T::default(), scratch: T::default() }
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.limit
    }

    #[inline]
    pub(crate) fn at(&self, i: Idx) -> &T {
        self.table.as_slice().get(i.position()).unwrap_or(&self.nil)
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, i: Idx) -> &mut T {
        match self.table.as_mut_slice().get_mut(i.position()) {
            Some(slot) => slot,
            None => &mut self.scratch,
        }
    }

    /// A free slot, set to its default value, or `None` where the table is full.
    pub(crate) fn allocate(&mut self) -> Option<Idx> {
        if self.is_full() {
            return None;
        }
        let i = if self.free.is_some() {
            let i = self.free;
            self.free = self.at(i).next_free();
            i
        } else {
            let i = Idx::at_position(self.touched as usize);
            #[cfg(feature = "alloc")]
            if let Table::Grown(slots) = &mut self.table {
                slots.push(T::default());
            }
            self.touched += 1;
            i
        };
        *self.at_mut(i) = T::default();
        self.len += 1;
        Some(i)
    }

    /// Gives a slot back. The caller has unlinked it from everything.
    pub(crate) fn release(&mut self, i: Idx) {
        if i.is_nil() || i.number() > self.touched {
            return;
        }
        let free = self.free;
        let slot = self.at_mut(i);
        *slot = T::default();
        slot.set_next_free(free);
        self.free = i;
        self.len = self.len.saturating_sub(1);
    }

    /// The index after `i` that was ever used, in index order; the first for nil. Free slots are among them.
    pub(crate) fn after(&self, i: Idx) -> Option<Idx> {
        (i.number() < self.touched).then(|| Idx(i.number() + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Debug, Clone, Copy)]
    struct Node {
        value: u32,
        next: Idx,
    }

    impl Slot for Node {
        fn next_free(&self) -> Idx {
            self.next
        }
        fn set_next_free(&mut self, next: Idx) {
            self.next = next;
        }
    }

    #[test]
    fn slots_are_used_again_and_the_end_is_an_answer() {
        let mut slots = [Node::default(); 3];
        let mut arena = Arena::lent(&mut slots);
        let a = arena.allocate().unwrap();
        let b = arena.allocate().unwrap();
        let c = arena.allocate().unwrap();
        assert_eq!(arena.allocate(), None);
        arena.at_mut(b).value = 7;
        arena.release(b);
        assert_eq!(arena.len(), 2);
        assert_eq!(arena.allocate(), Some(b));
        assert_eq!(arena.at(b).value, 0);
        assert_ne!(a, c);
    }

    #[test]
    fn nil_reads_as_default_whatever_was_written_to_it() {
        let mut slots = [Node::default(); 1];
        let mut arena = Arena::lent(&mut slots);
        arena.at_mut(Idx::NIL).value = 5;
        assert_eq!(arena.at(Idx::NIL).value, 0);
        arena.at_mut(Idx::at_position(9)).value = 5;
        assert_eq!(arena.at(Idx::at_position(9)).value, 0);
    }
}
