//! What a readiness event is about.

use mio::Token;

/// A source of readiness events. Its token has the kind in the lowest bits and the index above them, which fits a
/// `usize` of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A handle wants the driver's attention.
    Waker,
    /// A listener has connections to accept.
    Listener(u32),
    /// A channel has datagrams to receive.
    Channel(u32),
    /// An attempt to connect is decided.
    Attempt(u32),
    /// The connection in a slot can be read or written.
    Conn(u32),
    /// An SCTP listener has news of its associations.
    Sctp(u32),
}

const KINDS: usize = 8;

impl Source {
    /// The largest index of any kind.
    pub(super) const MAX_INDEX: u32 = (1 << 29) - 1;

    pub(super) const fn token(self) -> Token {
        let (kind, index) = match self {
            Source::Waker => (0, 0),
            Source::Listener(index) => (1, index),
            Source::Channel(index) => (2, index),
            Source::Attempt(index) => (3, index),
            Source::Conn(index) => (4, index),
            Source::Sctp(index) => (5, index),
        };
        Token(index as usize * KINDS + kind)
    }

    #[expect(clippy::cast_possible_truncation, reason = "tokens are made of 29-bit indexes")]
    pub(super) const fn of(token: Token) -> Source {
        let index = (token.0 / KINDS) as u32;
        match token.0 % KINDS {
            1 => Source::Listener(index),
            2 => Source::Channel(index),
            3 => Source::Attempt(index),
            4 => Source::Conn(index),
            5 => Source::Sctp(index),
            _ => Source::Waker,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_taken_back() {
        for source in [
            Source::Waker,
            Source::Listener(1),
            Source::Channel(2),
            Source::Attempt(Source::MAX_INDEX),
            Source::Conn(Source::MAX_INDEX),
            Source::Sctp(3),
        ] {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
