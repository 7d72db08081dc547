//! The one place where a machine keeps bytes of a peer until its answer has been made: an item to be reported, or the
//! pool handle that an answer repeats.

use crate::arena::Table;

/// A byte buffer, lent or growing. Since a machine is drained after each message, one is enough.
#[derive(Debug)]
pub(crate) struct Scratch<'s> {
    table: Table<'s, u8>,
    len: usize,
}

impl<'s> Scratch<'s> {
    pub(crate) fn lent(bytes: &'s mut [u8]) -> Self {
        Scratch { table: Table::Lent(bytes), len: 0 }
    }

    /// A buffer that grows to the longest message at most, and keeps its memory.
    #[cfg(feature = "alloc")]
    pub(crate) fn growable() -> Self {
        Scratch { table: Table::Grown(alloc::vec::Vec::new()), len: 0 }
    }

    /// Keeps `bytes`; says whether there is room for them.
    pub(crate) fn set(&mut self, bytes: &[u8]) -> bool {
        self.write(bytes.len(), |room| {
            crate::bounded::copy(room, bytes);
            true
        })
    }

    /// Keeps the `len` bytes that `fill` makes; says whether there is room for them and `fill` succeeded.
    pub(crate) fn write(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> bool {
        self.grow(len);
        let done = self.table.as_mut_slice().get_mut(..len).is_some_and(fill);
        self.len = if done { len } else { 0 };
        done
    }

    /// Sees to at least `len` bytes, where the buffer grows.
    fn grow(&mut self, len: usize) {
        #[cfg(feature = "alloc")]
        if let Table::Grown(buffer) = &mut self.table
            && buffer.len() < len
        {
            buffer.resize(len, 0);
        }
        #[cfg(not(feature = "alloc"))]
        let _ = len;
    }

    /// Adds `bytes` at the next multiple of four; says whether there is room for them.
    pub(crate) fn append_padded(&mut self, bytes: &[u8]) -> bool {
        let start = crate::wire::padded_len(self.len);
        let end = start.saturating_add(bytes.len());
        self.grow(end);
        let old = self.len;
        let Some(place) = self.table.as_mut_slice().get_mut(old..end) else { return false };
        let (pad, place) = place.split_at_mut_checked(start.saturating_sub(old)).unwrap_or((&mut [], &mut []));
        pad.fill(0);
        if place.len() != bytes.len() {
            return false;
        }
        crate::bounded::copy(place, bytes);
        self.len = end;
        true
    }

    pub(crate) fn get(&self) -> &[u8] {
        self.table.as_slice().get(..self.len).unwrap_or(&[])
    }
}
