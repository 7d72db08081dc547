//! The smallest readers. nom gives their shape (`IResult`); they are ours because nom's own compile to more code and
//! link a panic on small targets.

use nom::{Err, IResult, Needed};

use super::error::{ParseError, ParseErrorKind};

/// What a reader returns: the rest of the input and a value.
pub(crate) type Step<'a, T> = IResult<&'a [u8], T, ParseError<'a>>;

/// `N` bytes.
fn array<const N: usize>(input: &[u8]) -> Step<'_, [u8; N]> {
    match input.split_first_chunk::<N>() {
        Some((head, rest)) => Ok((rest, *head)),
        None => Err(Err::Incomplete(Needed::new(N.saturating_sub(input.len())))),
    }
}

pub(crate) fn be_u8(input: &[u8]) -> Step<'_, u8> {
    array::<1>(input).map(|(rest, [byte])| (rest, byte))
}

pub(crate) fn be_u16(input: &[u8]) -> Step<'_, u16> {
    array(input).map(|(rest, bytes)| (rest, u16::from_be_bytes(bytes)))
}

pub(crate) fn be_u32(input: &[u8]) -> Step<'_, u32> {
    array(input).map(|(rest, bytes)| (rest, u32::from_be_bytes(bytes)))
}

pub(crate) fn take(input: &[u8], count: usize) -> Step<'_, &[u8]> {
    match input.split_at_checked(count) {
        Some((head, rest)) => Ok((rest, head)),
        None => Err(Err::Incomplete(Needed::new(count.saturating_sub(input.len())))),
    }
}

/// The rest of the padding to a multiple of four, as far as the input reaches.
pub(crate) fn padding(input: &[u8], length: usize) -> &[u8] {
    let pad = length.wrapping_neg() & 3;
    input.get(pad..).unwrap_or(&[])
}

/// Ends a reading: an input that was too short or malformed is an error about `item`.
pub(crate) fn or_invalid<'a, T>(
    step: Step<'a, T>,
    kind: ParseErrorKind,
    item: &'a [u8],
) -> Result<(&'a [u8], T), ParseError<'a>> {
    match step {
        Ok(done) => Ok(done),
        Err(Err::Incomplete(_)) => Err(ParseError::new(kind, item)),
        Err(Err::Error(e) | Err::Failure(e)) => Err(e),
    }
}
