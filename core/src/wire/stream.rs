//! Messages out of a byte stream (TCP): their own length fields frame them.

use core::fmt;

use nom::Err;

use super::message::padded_len;
use super::primitives::{Step, be_u16, take};

/// Finds message boundaries in a stream.
///
/// It holds no bytes: the caller keeps what has not been consumed yet, at the front of its buffer.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Deframer {
    max_message_len: usize,
}

/// Why a stream cannot be framed any more. Its connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FrameError {
    /// A length field below 4: a header alone has 4 bytes.
    LengthBelowHeader {
        /// What the field says.
        length: u16,
    },
    /// A length above the limit of this deframer.
    TooLong {
        /// What the field says.
        length: u16,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::LengthBelowHeader { length } => write!(f, "message length {length} is below 4"),
            FrameError::TooLong { length } => write!(f, "message length {length} is above the limit"),
        }
    }
}

impl core::error::Error for FrameError {}

impl Deframer {
    /// A deframer for messages of at most `max_message_len` bytes, padding not counted.
    pub const fn new(max_message_len: usize) -> Self {
        Deframer { max_message_len }
    }

    /// The first message of `bytes`, with its padding: `Ok(None)` where it is not complete yet, else the message and
    /// how many bytes to consume.
    ///
    /// RFC 5354, 4: a message is padded to a multiple of four bytes, and its length does not tell.
    ///
    /// # Errors
    /// The length field cannot be right; there is no way to find the next message.
    pub fn next<'a>(&self, bytes: &'a [u8]) -> Result<Option<(&'a [u8], usize)>, FrameError> {
        let Ok((_, length)) = length(bytes) else { return Ok(None) };
        if length < 4 {
            return Err(FrameError::LengthBelowHeader { length });
        }
        if usize::from(length) > self.max_message_len {
            return Err(FrameError::TooLong { length });
        }
        let total = padded_len(usize::from(length));
        match take(bytes, total) {
            Ok((_, message)) => Ok(Some((message, total))),
            Err(Err::Incomplete(_) | Err::Error(_) | Err::Failure(_)) => Ok(None),
        }
    }
}

fn length(bytes: &[u8]) -> Step<'_, u16> {
    let (rest, _type_and_flags) = be_u16(bytes)?;
    be_u16(rest)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn message(length: u16) -> Vec<u8> {
        let mut bytes = std::vec![5, 0];
        bytes.extend(length.to_be_bytes());
        bytes.resize(padded_len(usize::from(length)), 7);
        bytes
    }

    #[test]
    fn a_length_below_the_header_or_above_the_limit_ends_the_stream() {
        let deframer = Deframer::new(100);
        assert_eq!(deframer.next(&[5, 0, 0, 3]), Err(FrameError::LengthBelowHeader { length: 3 }));
        assert_eq!(deframer.next(&[5, 0, 0, 101]), Err(FrameError::TooLong { length: 101 }));
        assert_eq!(deframer.next(&[5, 0, 0, 100]), Ok(None));
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_messages(
            lengths in prop::collection::vec(4u16..200, 0..20),
            chunks in prop::collection::vec(1usize..50, 1..400),
        ) {
            let messages: Vec<Vec<u8>> = lengths.iter().map(|l| message(*l)).collect();
            let stream: Vec<u8> = messages.concat();
            let deframer = Deframer::new(65_535);
            let (mut found, mut held, mut at) = (Vec::new(), Vec::new(), 0usize);
            for chunk in chunks.into_iter().chain([usize::MAX]) {
                let end = at.saturating_add(chunk).min(stream.len());
                held.extend_from_slice(&stream[at..end]);
                at = end;
                while let Some((message, consumed)) = deframer.next(&held).unwrap() {
                    found.push(message.to_vec());
                    held.drain(..consumed);
                }
            }
            prop_assert_eq!(found, messages);
            prop_assert!(held.is_empty());
        }
    }
}
