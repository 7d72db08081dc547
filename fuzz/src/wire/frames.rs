//! Messages out of a stream: however it comes in pieces, the messages are the same.

use rserpool_core::wire::{Deframer, FrameError};

/// The messages of a stream, and what follows them: bytes that are no whole message yet, or the end of all framing.
type Framed = (Vec<Vec<u8>>, Result<Vec<u8>, FrameError>);

/// `limit` is the longest message; the stream comes in pieces of these sizes, in turn.
pub fn check(limit: usize, pieces: &[u8], stream: &[u8]) {
    let whole = expected(limit, stream);
    assert_eq!(framed(limit, [stream].into_iter()), whole, "in one piece");
    let sizes = pieces.iter().map(|size| usize::from(*size) % 64 + 1).cycle();
    let mut rest = stream;
    let pieces = sizes.map_while(|size| {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    });
    assert_eq!(framed(limit, pieces), whole, "in pieces");
}

fn framed<'a>(limit: usize, pieces: impl Iterator<Item = &'a [u8]>) -> Framed {
    let deframer = Deframer::new(limit);
    let (mut messages, mut held) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            match deframer.next(&held) {
                Ok(Some((message, consumed))) => {
                    assert_eq!(message, &held[..consumed], "with its padding, from the front");
                    messages.push(message.to_vec());
                    held.drain(..consumed);
                }
                Ok(None) => break,
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    return (messages, Err(error));
                }
            }
        }
    }
    (messages, Ok(held))
}

/// The same by the letter of RFC 5354, 4.
fn expected(limit: usize, mut stream: &[u8]) -> Framed {
    let mut messages = Vec::new();
    while stream.len() >= 4 {
        let length = u16::from_be_bytes([stream[2], stream[3]]);
        if length < 4 {
            return (messages, Err(FrameError::LengthBelowHeader { length }));
        }
        if usize::from(length) > limit {
            return (messages, Err(FrameError::TooLong { length }));
        }
        let padded = usize::from(length).next_multiple_of(4);
        if stream.len() < padded {
            break;
        }
        messages.push(stream[..padded].to_vec());
        stream = &stream[padded..];
    }
    (messages, Ok(stream.to_vec()))
}
