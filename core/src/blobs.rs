//! Byte strings of different lengths beside the slots of an arena.

#[cfg(feature = "alloc")]
use alloc::{boxed::Box, vec::Vec};

use crate::arena::Idx;

/// One byte string per slot: a fixed room for each in lent memory, or exactly as much as it takes.
#[derive(Debug)]
pub(crate) enum Blobs<'s> {
    Lent {
        bytes: &'s mut [u8],
        room: usize,
    },
    #[cfg(feature = "alloc")]
    Grown(Vec<Box<[u8]>>),
}

impl<'s> Blobs<'s> {
    pub(crate) fn lent<const ROOM: usize>(rooms: &'s mut [[u8; ROOM]]) -> Self {
        Blobs::Lent { bytes: rooms.as_flattened_mut(), room: ROOM }
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn growable() -> Self {
        Blobs::Grown(Vec::new())
    }

    /// Whether a string of `len` bytes can be kept.
    pub(crate) fn fits(&self, len: usize) -> bool {
        match self {
            Blobs::Lent { room, .. } => len <= *room,
            #[cfg(feature = "alloc")]
            Blobs::Grown(_) => true,
        }
    }

    /// `len` bytes for slot `i`, to be written: those that were there if the length is the same.
    pub(crate) fn make(&mut self, i: Idx, len: usize) -> Option<&mut [u8]> {
        match self {
            Blobs::Lent { bytes, room } => {
                let start = i.position().checked_mul(*room)?;
                if len > *room {
                    return None;
                }
                bytes.get_mut(start..start.checked_add(len)?)
            }
            #[cfg(feature = "alloc")]
            Blobs::Grown(blobs) => {
                if i.is_nil() {
                    return None;
                }
                if blobs.len() <= i.position() {
                    blobs.resize_with(i.position() + 1, Box::default);
                }
                let blob = blobs.get_mut(i.position())?;
                if blob.len() != len {
                    *blob = alloc::vec![0; len].into_boxed_slice();
                }
                Some(blob)
            }
        }
    }

    /// Keeps `value` for slot `i`; says whether there is room.
    pub(crate) fn set(&mut self, i: Idx, value: &[u8]) -> bool {
        match self.make(i, value.len()) {
            Some(place) => {
                crate::bounded::copy(place, value);
                true
            }
            None => false,
        }
    }

    /// Gives the memory of slot `i` back, where it is not lent.
    pub(crate) fn release(&mut self, i: Idx) {
        #[cfg(feature = "alloc")]
        if let Blobs::Grown(blobs) = self
            && let Some(blob) = blobs.get_mut(i.position())
        {
            *blob = Box::default();
        }
        let _ = i;
    }

    /// The string of slot `i`, which has `len` bytes.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn get(&self, i: Idx, len: usize) -> &[u8] {
        let found = match self {
            Blobs::Lent { bytes, room } => i.position().checked_mul(*room).and_then(|start| bytes.get(start..)),
            #[cfg(feature = "alloc")]
            Blobs::Grown(blobs) => blobs.get(i.position()).map(|blob| &**blob),
        };
        found.and_then(|blob| blob.get(..len)).unwrap_or(&[])
    }
}
