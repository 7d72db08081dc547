//! Writing messages into the caller's slice.

use super::error::EmitError;
use crate::bounded;

/// Writes big-endian fields and nested items.
///
/// It counts on when the slice is full, so one pass over a message tells how many bytes it needs. An item's padding is
/// written before whatever follows it, never at its own end: so the length of what contains it leaves the last padding
/// out (RFC 5354, 2 to 4).
pub(crate) struct Writer<'b> {
    buf: &'b mut [u8],
    len: usize,
    too_long: bool,
}

impl<'b> Writer<'b> {
    pub(crate) fn new(buf: &'b mut [u8]) -> Self {
        Writer { buf, len: 0, too_long: false }
    }

    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let rest = self.buf.get_mut(self.len..);
        if let Some((place, _)) = rest.and_then(|rest| rest.split_at_mut_checked(bytes.len())) {
            bounded::copy(place, bytes);
        }
        self.len = self.len.saturating_add(bytes.len());
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    fn align(&mut self) {
        let pad = self.len.wrapping_neg() & 3;
        // To write nothing is not free: where it becomes a masked store of no bytes to an empty slice's address, which
        // is no memory, the processor takes a slow path of some 50 ns.
        if let (1.., Some(zeros)) = (pad, [0; 3].get(..pad)) {
            self.bytes(zeros);
        }
    }

    fn patch_length(&mut self, start: usize) {
        let length = self.len.saturating_sub(start);
        match u16::try_from(length) {
            Ok(length) => {
                let after_type = self.buf.get_mut(start.saturating_add(2)..);
                if let Some(place) = after_type.and_then(|rest| rest.first_chunk_mut::<2>()) {
                    *place = length.to_be_bytes();
                }
            }
            Err(_) => self.too_long = true,
        }
    }

    /// A parameter or an error cause: type, length, then what `value` writes.
    pub(crate) fn tlv(&mut self, ty: u16, value: impl FnOnce(&mut Self)) {
        self.align();
        let start = self.len;
        self.u16(ty);
        self.u16(0);
        value(self);
        self.patch_length(start);
    }

    /// Items that are encoded already, the last one perhaps without its padding.
    pub(crate) fn items(&mut self, encoded: &[u8]) {
        self.align();
        self.bytes(encoded);
    }

    /// A message: type, flags, length, then what `value` writes.
    pub(crate) fn message(&mut self, ty: u8, flags: u8, value: impl FnOnce(&mut Self)) {
        self.align();
        let start = self.len;
        self.u8(ty);
        self.u8(flags);
        self.u16(0);
        value(self);
        self.patch_length(start);
        self.align();
    }

    /// What has been written.
    pub(crate) fn finish(self) -> Result<&'b [u8], EmitError> {
        if self.too_long {
            return Err(EmitError::TooLong);
        }
        let needed = self.len;
        let buf: &'b [u8] = self.buf;
        buf.get(..needed).ok_or(EmitError::BufferTooSmall { needed })
    }

    /// How many bytes have been asked for, whether they fitted or not.
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}
