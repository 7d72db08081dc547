//! Bytes that wait to be written.

/// How many spare buffers are kept, and how large one may be to be kept, in bytes.
const SPARES: usize = 64;
const SPARE_CAPACITY: usize = 256 << 10;

/// Buffers between two uses. A connection holds one only while something waits to be written, so memory follows the
/// number of busy connections, not of open ones, and a busy one does not allocate.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    spare: Vec<Vec<u8>>,
    /// How many bytes wait in all queues together.
    waiting: usize,
}

impl Buffers {
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    fn take(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        if self.spare.len() < SPARES && (1..=SPARE_CAPACITY).contains(&buffer.capacity()) {
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}

/// A queue of bytes.
#[derive(Debug, Default)]
pub(super) struct OutBuffer {
    bytes: Vec<u8>,
    /// How many of `bytes` are written already.
    written: usize,
}

impl OutBuffer {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(super) fn push(&mut self, bytes: &[u8], buffers: &mut Buffers) {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers.take();
        }
        // Move what waits to the front once that costs less than what was written since: amortised O(1) per byte.
        if self.written > self.len() {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        self.bytes.extend_from_slice(bytes);
        buffers.waiting += bytes.len();
    }

    /// Removes `len` bytes from the front.
    pub(super) fn consume(&mut self, len: usize, buffers: &mut Buffers) {
        self.written += len;
        buffers.waiting -= len;
        if self.len() == 0 {
            self.clear(buffers);
        }
    }

    pub(super) fn clear(&mut self, buffers: &mut Buffers) {
        buffers.waiting -= self.len();
        self.written = 0;
        buffers.give(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_queue_gives_its_buffer_back() {
        let mut buffers = Buffers::default();
        let (mut a, mut b) = (OutBuffer::default(), OutBuffer::default());
        a.push(&[1, 2, 3], &mut buffers);
        a.consume(2, &mut buffers);
        a.push(&[4], &mut buffers);
        assert_eq!(a.waiting(), [3, 4]);
        let place = a.bytes.as_ptr();
        a.consume(2, &mut buffers);
        assert_eq!(a.len(), 0);
        b.push(&[5], &mut buffers);
        assert_eq!(b.bytes.as_ptr(), place);
    }

    #[test]
    fn what_waits_in_all_queues_is_known() {
        let mut buffers = Buffers::default();
        let (mut a, mut b) = (OutBuffer::default(), OutBuffer::default());
        a.push(&[0; 10], &mut buffers);
        b.push(&[0; 5], &mut buffers);
        a.consume(4, &mut buffers);
        assert_eq!(buffers.waiting(), 11);
        a.clear(&mut buffers);
        assert_eq!(buffers.waiting(), 5);
        b.consume(5, &mut buffers);
        b.clear(&mut buffers);
        assert_eq!(buffers.waiting(), 0);
    }
}
