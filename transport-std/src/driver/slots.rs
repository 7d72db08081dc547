//! Places for connections, named by [`AssocId`].

use rserpool_core::AssocId;

/// A table with dense slots. A slot passes through three states: free, used, and retired - its value is gone, but the
/// machine does not know yet, so the slot must not be used again.
#[derive(Debug)]
pub(super) struct Slots<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    used: usize,
}

#[derive(Debug)]
struct Entry<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(super) const fn new() -> Self {
        Slots { entries: Vec::new(), free: Vec::new(), used: 0 }
    }

    /// How many are used.
    pub(super) const fn len(&self) -> usize {
        self.used
    }

    /// Fills a free slot.
    pub(super) fn insert(&mut self, value: T) -> AssocId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, value: None });
            u32::try_from(self.entries.len() - 1).expect("fewer connections than 2^32")
        });
        let entry = &mut self.entries[slot as usize];
        let id = AssocId { slot, generation: entry.generation };
        entry.value = Some(value);
        self.used += 1;
        id
    }

    pub(super) fn get_mut(&mut self, id: AssocId) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.slot as usize)?;
        if entry.generation == id.generation { entry.value.as_mut() } else { None }
    }

    /// The value in a slot, of whatever generation, and its name.
    pub(super) fn at(&mut self, slot: u32) -> Option<(AssocId, &mut T)> {
        let entry = self.entries.get_mut(slot as usize)?;
        let id = AssocId { slot, generation: entry.generation };
        Some((id, entry.value.as_mut()?))
    }

    /// Takes a value out and retires its slot.
    pub(super) fn retire(&mut self, id: AssocId) -> Option<T> {
        self.get_mut(id)?;
        self.used -= 1;
        self.entries[id.slot as usize].value.take()
    }

    /// Frees a retired slot for its next generation.
    pub(super) fn free(&mut self, id: AssocId) {
        let entry = &mut self.entries[id.slot as usize];
        debug_assert!(entry.generation == id.generation && entry.value.is_none(), "only a retired slot is freed");
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(id.slot);
    }

    /// The slots there are, used or not.
    pub(super) fn range(&self) -> std::ops::Range<u32> {
        0..u32::try_from(self.entries.len()).expect("fewer connections than 2^32")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_name_finds_nothing_and_slots_stay_dense() {
        let mut slots = Slots::new();
        let (a, b) = (slots.insert('a'), slots.insert('b'));
        assert_eq!((a.slot, b.slot), (0, 1));
        assert_eq!(slots.retire(a), Some('a'));
        assert_eq!(slots.insert('c').slot, 2, "a retired slot is not used");
        slots.free(a);
        let d = slots.insert('d');
        assert_eq!(d, AssocId { slot: 0, generation: 1 });
        assert_eq!(slots.get_mut(a), None);
        assert_eq!(slots.retire(a), None);
        assert_eq!(slots.get_mut(d), Some(&mut 'd'));
        assert_eq!(slots.len(), 3);
    }
}
