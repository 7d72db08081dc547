//! Why a machine did not take an input.

use core::fmt;

use crate::wire::ParseErrorKind;

/// Why [`Machine::handle`](crate::Machine::handle) did not take an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RecvError {
    /// The bytes are no well-formed message.
    Malformed(ParseErrorKind),
    /// A well-formed message that this role does not expect, or not in this state. It was ignored.
    Unexpected,
    /// The association is not known (any more).
    UnknownAssoc,
    /// The peer asked for what it does not own.
    NotOwner,
    /// A table of fixed size is full.
    Full,
    /// The registrar is starting or leaving, and does not serve this. The association is closed as well, so that the
    /// peer turns to another registrar.
    NotServing,
    /// An answer to an earlier message is still waiting: drain [`Machine::poll`](crate::Machine::poll) first. This
    /// message was not read; it can be given again.
    Busy,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Malformed(kind) => write!(f, "malformed message: {kind}"),
            RecvError::Unexpected => f.write_str("unexpected message"),
            RecvError::UnknownAssoc => f.write_str("unknown association"),
            RecvError::NotOwner => f.write_str("the peer is not the owner of the pool element"),
            RecvError::Full => f.write_str("table full"),
            RecvError::NotServing => f.write_str("the registrar does not serve yet, or not any more"),
            RecvError::Busy => f.write_str("an answer is still waiting to be polled"),
        }
    }
}

impl core::error::Error for RecvError {}
