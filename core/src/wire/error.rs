//! What can be wrong with bytes, and with values to be emitted.

use core::fmt;

/// Why bytes are no message that we can process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError<'a> {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// The offending item, without padding: a parameter with its header, a whole message, or nothing where the
    /// bytes are too few to tell.
    pub item: &'a [u8],
}

impl<'a> ParseError<'a> {
    pub(crate) const fn new(kind: ParseErrorKind, item: &'a [u8]) -> Self {
        ParseError { kind, item }
    }

    /// The same error; where nothing is there to point at, about `item`.
    pub(crate) const fn about(self, item: &'a [u8]) -> Self {
        if self.item.is_empty() { ParseError { kind: self.kind, item } } else { self }
    }
}

/// The kinds of [`ParseError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The message ends before its header or before the length that its header states.
    Truncated,
    /// More bytes follow the message than its padding.
    TrailingBytes,
    /// The length field of a parameter is below 4 or reaches beyond what contains it.
    ParameterLength,
    /// A parameter of a known type has a value that its type does not allow.
    InvalidValue,
    /// A parameter of this type is missing.
    Missing(u16),
    /// A parameter of this known type stands where it does not belong.
    Misplaced(u16),
    /// A parameter of an unknown type, whose upper bits say "stop" (RFC 5354, 3).
    UnknownParameter {
        /// The type.
        parameter_type: u16,
        /// Whether the upper bits say "report".
        report: bool,
    },
    /// A message of an unknown type (RFC 5354, 4).
    UnknownMessage {
        /// The type.
        message_type: u8,
        /// Whether the upper bits say "report".
        report: bool,
    },
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use super::param::ParameterName;
        match self {
            ParseErrorKind::Truncated => f.write_str("the message is shorter than its header or its length field says"),
            ParseErrorKind::TrailingBytes => f.write_str("bytes follow the message"),
            ParseErrorKind::ParameterLength => {
                f.write_str("a parameter's length is below 4 or reaches beyond what contains it")
            }
            ParseErrorKind::InvalidValue => f.write_str("a parameter has an invalid value"),
            ParseErrorKind::Missing(ty) => write!(f, "{} is missing", ParameterName(*ty)),
            ParseErrorKind::Misplaced(ty) => write!(f, "{} does not belong here", ParameterName(*ty)),
            ParseErrorKind::UnknownParameter { parameter_type, .. } => {
                write!(f, "unknown parameter type {parameter_type:#06x}")
            }
            ParseErrorKind::UnknownMessage { message_type, .. } => {
                write!(f, "unknown message type {message_type:#04x}")
            }
        }
    }
}

impl fmt::Display for ParseError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl core::error::Error for ParseError<'_> {}

/// Why a message was not emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum EmitError {
    /// The slice is too small.
    BufferTooSmall {
        /// How many bytes the message takes with its padding.
        needed: usize,
    },
    /// The message, or a parameter in it, is longer than its 16-bit length field can say.
    TooLong,
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EmitError::BufferTooSmall { needed } => write!(f, "the buffer is too small: {needed} bytes are needed"),
            EmitError::TooLong => f.write_str("the message is longer than 65,535 bytes"),
        }
    }
}

impl core::error::Error for EmitError {}
