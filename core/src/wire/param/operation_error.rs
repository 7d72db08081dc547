//! Operation Error (RFC 5354, 3.12).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Type = 0xc           |       Length=variable         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! :                    one or more Error Causes                   :
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use nom::Err;

use super::OPERATION_ERROR;
use crate::wire::cause::Cause;
use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::primitives::or_invalid;
use crate::wire::reader::{Tlv, tlv};
use crate::wire::writer::Writer;

/// One or more error causes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperationError<'a>(Causes<'a>);

/// Error causes that are either still bytes, which were gone over without an error, or the caller's values.
///
/// They have their own numbers, so they are no [`List`](crate::wire::List) of parameters.
#[derive(Clone, Copy)]
enum Causes<'a> {
    Wire(&'a [u8]),
    Items(&'a [Cause<'a>]),
}

impl<'a> OperationError<'a> {
    /// An error with these causes; there should be at least one.
    pub const fn new(causes: &'a [Cause<'a>]) -> Self {
        OperationError(Causes::Items(causes))
    }

    /// The causes.
    pub fn causes(&self) -> impl Iterator<Item = Cause<'a>> + use<'a> {
        let (bytes, items): (&'a [u8], &'a [Cause<'a>]) = match self.0 {
            Causes::Wire(bytes) => (bytes, &[]),
            Causes::Items(items) => (&[], items),
        };
        Each(bytes).chain(items.iter().copied())
    }

    /// The first cause's code.
    pub fn code(&self) -> Option<u16> {
        self.causes().next().map(|cause| cause.code())
    }

    pub(crate) fn from_tlv(item: &Tlv<'a>) -> Result<Self, ParseError<'a>> {
        let mut rest = item.value;
        if rest.is_empty() {
            return item.invalid();
        }
        while !rest.is_empty() {
            rest = or_invalid(tlv(rest), ParseErrorKind::InvalidValue, item.whole)?.0;
        }
        Ok(OperationError(Causes::Wire(item.value)))
    }

    pub(crate) fn emit_into(&self, w: &mut Writer<'_>) {
        w.tlv(OPERATION_ERROR, |w| {
            for cause in self.causes() {
                cause.emit_into(w);
            }
        });
    }
}

struct Each<'a>(&'a [u8]);

impl<'a> Iterator for Each<'a> {
    type Item = Cause<'a>;

    fn next(&mut self) -> Option<Cause<'a>> {
        match tlv(self.0) {
            Ok((rest, item)) => {
                self.0 = rest;
                Some(Cause::from_tlv(&item))
            }
            Err(Err::Incomplete(_) | Err::Error(_) | Err::Failure(_)) => None,
        }
    }
}

impl PartialEq for Causes<'_> {
    fn eq(&self, other: &Self) -> bool {
        OperationError(*self).causes().eq(OperationError(*other).causes())
    }
}

impl core::fmt::Debug for Causes<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(OperationError(*self).causes()).finish()
    }
}
