//! Messages out of the chunks that a byte stream comes in.

use rserpool_core::wire::{Deframer, FrameError, padded_len};

/// How much memory a [`Framer`] keeps while it holds nothing, in bytes.
const KEPT_CAPACITY: usize = 4096;

/// Cuts a byte stream into messages and keeps what is not complete yet.
///
/// The caller reads into a buffer of its own, which all of its connections can share, and hands over what it read.
/// Messages that lie whole in it are not copied; only the beginning of a message whose end is still on its way is
/// kept, so a connection between two messages holds almost no memory.
///
/// ```
/// use rserpool_std::framing::Framer;
///
/// let mut framer = Framer::new(65_535);
/// for mut chunk in [&[5, 0, 0][..], &[4, 5, 0, 0, 4, 5][..]] {
///     while let Some(message) = framer.next(&mut chunk).unwrap() {
///         assert_eq!(message, [5, 0, 0, 4]);
///     }
/// }
/// assert_eq!(framer.held(), 1);
/// ```
#[derive(Debug)]
pub struct Framer {
    deframer: Deframer,
    held: Vec<u8>,
    /// Where in `held` the next message begins. What is before it was given out.
    at: usize,
}

impl Framer {
    /// A framer for messages of at most `max_message_len` bytes, padding not counted.
    #[must_use]
    pub const fn new(max_message_len: usize) -> Self {
        Framer { deframer: Deframer::new(max_message_len), held: Vec::new(), at: 0 }
    }

    /// The next message, with its padding: from what is held, then from `chunk`, which shrinks accordingly.
    /// `Ok(None)`: `chunk` is used up, and what it had of the next message is held.
    ///
    /// # Errors
    /// The stream cannot be framed any more; close its connection.
    pub fn next<'m, 'c: 'm>(&'m mut self, chunk: &mut &'c [u8]) -> Result<Option<&'m [u8]>, FrameError> {
        if self.held() == 0 {
            self.reset();
            let Some((message, used)) = self.deframer.next(chunk)? else {
                self.held.extend_from_slice(chunk);
                *chunk = &[];
                return Ok(None);
            };
            *chunk = &chunk[used..];
            return Ok(Some(message));
        }
        loop {
            let begun = &self.held[self.at..];
            if let Some((_, used)) = self.deframer.next(begun)? {
                let start = self.at;
                self.at += used;
                return Ok(Some(&self.held[start..self.at]));
            }
            // Top up by what this one message lacks, so that all that follows it stays in the chunk uncopied.
            let wanted = match begun {
                [_, _, high, low, ..] => padded_len(usize::from(u16::from_be_bytes([*high, *low]))),
                _ => 4,
            };
            let (part, rest) = chunk.split_at(chunk.len().min(wanted - begun.len()));
            if part.is_empty() {
                self.compact();
                return Ok(None);
            }
            self.held.extend_from_slice(part);
            *chunk = rest;
        }
    }

    /// Keeps `rest` for later calls of [`next`](Framer::next): for a caller that stops in the middle of a chunk.
    pub fn hold(&mut self, rest: &[u8]) {
        self.compact();
        self.held.extend_from_slice(rest);
    }

    /// How many bytes are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len() - self.at
    }

    fn compact(&mut self) {
        if self.at > 0 {
            self.held.drain(..self.at);
            self.at = 0;
        }
    }

    fn reset(&mut self) {
        self.at = 0;
        self.held.clear();
        if self.held.capacity() > KEPT_CAPACITY {
            self.held = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(length: u16) -> Vec<u8> {
        let mut bytes = vec![5, 0];
        bytes.extend(length.to_be_bytes());
        bytes.resize(padded_len(usize::from(length)), 7);
        bytes
    }

    #[test]
    fn a_large_buffer_is_given_back() {
        let mut framer = Framer::new(65_535);
        let whole = message(60_000);
        let mut chunk = &whole[..59_000];
        assert_eq!(framer.next(&mut chunk), Ok(None));
        let mut chunk = &whole[59_000..];
        assert_eq!(framer.next(&mut chunk).unwrap().map(<[u8]>::len), Some(60_000));
        assert_eq!(framer.next(&mut chunk), Ok(None));
        assert!(framer.held.capacity() <= KEPT_CAPACITY);
    }

    #[test]
    fn a_length_that_cannot_be_is_found_as_soon_as_it_is_there() {
        let mut framer = Framer::new(100);
        assert_eq!(framer.next(&mut &[5, 0, 0][..]), Ok(None));
        assert!(framer.next(&mut &[101][..]).is_err());
    }

    proptest! {
        #[test]
        fn any_chunking_and_any_stop_gives_the_same_messages(
            lengths in prop::collection::vec(4u16..200, 0..30),
            chunks in prop::collection::vec((1usize..300, any::<bool>()), 0..100),
        ) {
            let messages: Vec<Vec<u8>> = lengths.iter().map(|l| message(*l)).collect();
            let stream = messages.concat();
            let mut framer = Framer::new(65_535);
            let (mut found, mut rest) = (Vec::new(), &stream[..]);
            for (len, stop) in chunks.into_iter().chain([(usize::MAX, false)]) {
                let (mut chunk, later) = rest.split_at(len.min(rest.len()));
                rest = later;
                while let Some(message) = framer.next(&mut chunk).unwrap() {
                    found.push(message.to_vec());
                    if stop {
                        framer.hold(chunk);
                        break;
                    }
                }
            }
            prop_assert_eq!(found, messages);
            prop_assert_eq!(framer.held(), 0);
        }
    }
}
