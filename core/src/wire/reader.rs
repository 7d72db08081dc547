//! Reading parameters one after the other, with the rules for unknown ones.

use arrayvec::ArrayVec;
use nom::Err;

use super::error::{ParseError, ParseErrorKind};
use super::param::is_known;
use super::primitives::{Step, be_u16, or_invalid, padding, take};

/// How many unrecognised parameters of one message are reported. More than that are skipped like the others, but not
/// told of, so that a small message cannot ask for a large answer.
pub const MAX_REPORTS: usize = 4;

/// Unrecognised parameters that the sender wants to hear of, with their headers, without padding.
pub type Reports<'a> = ArrayVec<&'a [u8], MAX_REPORTS>;

/// A type-length-value item.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tlv<'a> {
    pub(crate) ty: u16,
    pub(crate) value: &'a [u8],
    /// Header and value, without padding.
    pub(crate) whole: &'a [u8],
}

impl<'a> Tlv<'a> {
    pub(crate) fn invalid<T>(&self) -> Result<T, ParseError<'a>> {
        Err(ParseError::new(ParseErrorKind::InvalidValue, self.whole))
    }

    /// Ends the reading of this item's value, which must have been consumed exactly.
    pub(crate) fn exactly<T>(&self, step: Step<'a, T>) -> Result<T, ParseError<'a>> {
        let (rest, value) = or_invalid(step, ParseErrorKind::InvalidValue, self.whole)?;
        if rest.is_empty() { Ok(value) } else { self.invalid() }
    }
}

/// Reads an item and its padding. RFC 5354, 3: the length counts the header but not the padding.
pub(crate) fn tlv(input: &[u8]) -> Step<'_, Tlv<'_>> {
    let (rest, ty) = be_u16(input)?;
    let (_, length) = be_u16(rest)?;
    let length = usize::from(length);
    let (rest, whole) = take(input, length)?;
    // A length below 4 leaves too little for the header.
    let (value, _) = take(whole, 4)?;
    Ok((padding(rest, length), Tlv { ty, value, whole }))
}

/// The two upper bits of an unknown parameter's type (RFC 5354, 3).
#[derive(Clone, Copy)]
struct UnknownAction {
    skip: bool,
    report: bool,
}

impl UnknownAction {
    const fn of(ty: u16) -> Self {
        UnknownAction { skip: ty & 0x8000 != 0, report: ty & 0x4000 != 0 }
    }
}

/// Reads the parameters of a message, or those nested in a parameter.
pub(crate) struct Params<'a, 'r> {
    rest: &'a [u8],
    reports: &'r mut Reports<'a>,
}

impl<'a, 'r> Params<'a, 'r> {
    pub(crate) fn new(bytes: &'a [u8], reports: &'r mut Reports<'a>) -> Self {
        Params { rest: bytes, reports }
    }

    /// The bytes that are still to be read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Goes on at `rest`, which is what remains after a field that is no parameter.
    pub(crate) fn skip_to(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    pub(crate) fn reports(&mut self) -> &mut Reports<'a> {
        self.reports
    }

    /// The next parameter of a known type, or of one that `wanted` accepts, and the bytes after it, which are not
    /// consumed yet.
    fn peek(&mut self, wanted: impl Fn(u16) -> bool) -> Result<Option<(Tlv<'a>, &'a [u8])>, ParseError<'a>> {
        while !self.rest.is_empty() {
            let (after, item) = or_invalid(tlv(self.rest), ParseErrorKind::ParameterLength, self.rest)?;
            if is_known(item.ty) || wanted(item.ty) {
                return Ok(Some((item, after)));
            }
            let UnknownAction { skip, report } = UnknownAction::of(item.ty);
            if !skip {
                let kind = ParseErrorKind::UnknownParameter { parameter_type: item.ty, report };
                return Err(ParseError::new(kind, item.whole));
            }
            if report && self.reports.try_push(item.whole).is_err() {
                trace!("more unrecognised parameters than are reported");
            }
            self.rest = after;
        }
        Ok(None)
    }

    /// The next parameter of a known type.
    pub(crate) fn next(&mut self) -> Result<Option<Tlv<'a>>, ParseError<'a>> {
        Ok(self.peek(|_| false)?.map(|(item, after)| {
            self.rest = after;
            item
        }))
    }

    /// The next parameter, if it is one of those that `wanted` accepts.
    pub(crate) fn next_if(&mut self, wanted: impl Fn(u16) -> bool) -> Result<Option<Tlv<'a>>, ParseError<'a>> {
        match self.peek(&wanted)? {
            Some((item, after)) if wanted(item.ty) => {
                self.rest = after;
                Ok(Some(item))
            }
            _ => Ok(None),
        }
    }

    /// The next parameter, if it is of type `ty`.
    pub(crate) fn optional(&mut self, ty: u16) -> Result<Option<Tlv<'a>>, ParseError<'a>> {
        self.next_if(|t| t == ty)
    }

    /// The next parameter, which must be of type `ty`.
    pub(crate) fn required(&mut self, ty: u16) -> Result<Tlv<'a>, ParseError<'a>> {
        match self.peek(|_| false)? {
            Some((item, after)) if item.ty == ty => {
                self.rest = after;
                Ok(item)
            }
            Some((item, _)) => Err(ParseError::new(ParseErrorKind::Misplaced(item.ty), item.whole)),
            None => Err(ParseError::new(ParseErrorKind::Missing(ty), &[])),
        }
    }

    /// Ends the reading: only unknown parameters that may be skipped can be left.
    pub(crate) fn finish(&mut self) -> Result<(), ParseError<'a>> {
        match self.peek(|_| false)? {
            None => Ok(()),
            Some((item, _)) => Err(ParseError::new(ParseErrorKind::Misplaced(item.ty), item.whole)),
        }
    }
}

/// The items of well-formed bytes, each without its padding.
pub(crate) fn items(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    core::iter::from_fn(move || {
        let (after, item) = tlv(bytes).ok()?;
        bytes = after;
        Some(item.whole)
    })
}

/// Iterates over the known parameters of bytes that [`Params`] has gone over without an error before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Checked<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        loop {
            let (after, item) = match tlv(self.0) {
                Ok(done) => done,
                Err(Err::Incomplete(_) | Err::Error(_) | Err::Failure(_)) => return None,
            };
            self.0 = after;
            if is_known(item.ty) {
                return Some(item);
            }
        }
    }
}
