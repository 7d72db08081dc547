//! What all messages have in common (RFC 5354, 4).

use super::error::{ParseError, ParseErrorKind};
use super::primitives::{be_u8, be_u16, or_invalid, padding, take};
use super::reader::Reports;

/// The largest number that a Message Length field can state, in bytes.
pub const MAX_MESSAGE_LEN: usize = 65_535;

/// `length` and the padding to a multiple of four bytes that follows it.
pub const fn padded_len(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// A message that was parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<'a, M> {
    /// The message.
    pub message: M,
    /// Unrecognised parameters in it that were skipped and that its sender wants to hear of (RFC 5354, 3).
    pub reports: Reports<'a>,
}

/// A message's header and value:
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Message Type  |   Msg Flags   |        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                        Message Value                          :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawMessage<'a> {
    pub(crate) ty: u8,
    pub(crate) flags: u8,
    pub(crate) value: &'a [u8],
    /// Header and value, without padding.
    pub(crate) whole: &'a [u8],
}

impl<'a> RawMessage<'a> {
    /// Takes one message that fills `bytes` but for its padding.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        let truncated = ParseErrorKind::Truncated;
        let (rest, ty) = or_invalid(be_u8(bytes), truncated, bytes)?;
        let (rest, flags) = or_invalid(be_u8(rest), truncated, bytes)?;
        let (_, length) = or_invalid(be_u16(rest), truncated, bytes)?;
        let (rest, whole) = or_invalid(take(bytes, usize::from(length)), truncated, bytes)?;
        let (value, _) = or_invalid(take(whole, 4), truncated, bytes)?;
        if !padding(rest, whole.len()).is_empty() {
            return Err(ParseError::new(ParseErrorKind::TrailingBytes, whole));
        }
        Ok(RawMessage { ty, flags, value, whole })
    }

    pub(crate) fn bit(&self, mask: u8) -> bool {
        self.flags & mask != 0
    }

    /// The answer to a type that is not known: RFC 5354, 4. Bit patterns 10 and 11 are reserved there; they are
    /// discarded like 00.
    pub(crate) fn unknown(&self) -> ParseError<'a> {
        let report = self.ty >> 6 == 0b01;
        ParseError::new(ParseErrorKind::UnknownMessage { message_type: self.ty, report }, self.whole)
    }
}
