//! Byte strings of variable length, one per slot of an arena.

#[cfg(feature = "alloc")]
use alloc::{boxed::Box, vec::Vec};

use crate::arena::Idx;

/// A byte string for each slot: in a lent area with a fixed stride, or on the heap. The length of what is stored is
/// the slot's own affair; here only its room is kept.
#[derive(Debug)]
pub(crate) enum Blobs<'s> {
    Lent {
        area: &'s mut [u8],
        stride: usize,
    },
    #[cfg(feature = "alloc")]
    Grown {
        blobs: Vec<Box<[u8]>>,
        limit: usize,
    },
}

impl<'s> Blobs<'s> {
    pub(crate) fn lent<const STRIDE: usize>(area: &'s mut [[u8; STRIDE]]) -> Self {
        Blobs::Lent { area: area.as_flattened_mut(), stride: STRIDE }
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn growable(limit: usize) -> Self {
        Blobs::Grown { blobs: Vec::new(), limit }
    }

    /// The most bytes that one slot can have.
    pub(crate) fn limit(&self) -> usize {
        match self {
            Blobs::Lent { stride, .. } => *stride,
            #[cfg(feature = "alloc")]
            Blobs::Grown { limit, .. } => *limit,
        }
    }

    /// The bytes of a slot, and what remains of its room.
    #[inline]
    pub(crate) fn get(&self, i: Idx) -> &[u8] {
        match self {
            Blobs::Lent { area, stride } => {
                let start = i.position().saturating_mul(*stride);
                area.get(start..start.saturating_add(*stride)).unwrap_or(&[])
            }
            #[cfg(feature = "alloc")]
            Blobs::Grown { blobs, .. } => blobs.get(i.position()).map_or(&[], |blob| blob),
        }
    }

    /// Room of exactly `len` bytes for a slot, with any contents; empty where that is more than the limit.
    pub(crate) fn room(&mut self, i: Idx, len: usize) -> &mut [u8] {
        if len > self.limit() {
            return &mut [];
        }
        match self {
            Blobs::Lent { area, stride } => {
                let start = i.position().saturating_mul(*stride);
                area.get_mut(start..start.saturating_add(len)).unwrap_or(&mut [])
            }
            #[cfg(feature = "alloc")]
            Blobs::Grown { blobs, .. } => {
                let at = i.position();
                if blobs.len() <= at && i.is_some() {
                    blobs.resize_with(at.saturating_add(1), Box::default);
                }
                match blobs.get_mut(at) {
                    Some(blob) => {
                        if blob.len() != len {
                            *blob = alloc::vec![0; len].into_boxed_slice();
                        }
                        blob
                    }
                    None => &mut [],
                }
            }
        }
    }

    /// Gives a slot's memory back, where it is not lent.
    pub(crate) fn release(&mut self, i: Idx) {
        match self {
            Blobs::Lent { .. } => {}
            #[cfg(feature = "alloc")]
            Blobs::Grown { blobs, .. } => {
                if let Some(blob) = blobs.get_mut(i.position()) {
                    *blob = Box::default();
                }
            }
        }
        let _ = i;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mut blobs: Blobs<'_>) {
        let (a, b) = (Idx::at_position(0), Idx::at_position(1));
        blobs.room(b, 4).copy_from_slice(b"four");
        blobs.room(a, 3).copy_from_slice(b"abc");
        assert_eq!(&blobs.get(a)[..3], b"abc");
        assert_eq!(&blobs.get(b)[..4], b"four");
        assert!(blobs.room(a, 5).is_empty(), "over the limit");
        assert!(blobs.get(Idx::NIL).is_empty());
        blobs.release(a);
        assert_eq!(&blobs.get(b)[..4], b"four");
    }

    #[test]
    fn slots_do_not_touch_each_other() {
        let mut area = [[0; 4]; 2];
        check(Blobs::lent(&mut area));
        #[cfg(feature = "alloc")]
        check(Blobs::growable(4));
    }
}
