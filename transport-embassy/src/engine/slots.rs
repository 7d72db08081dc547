//! The places for connections.

use rserpool_core::{AssocId, DialId, Instant, Ppid};

/// A place for a connection. A slot of the carrier has the same number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(super) generation: u32,
    /// The protocol of what is received, where the link does not carry one.
    pub(super) ppid: Ppid,
    pub(super) state: State,
}

/// `Free` is zero, so that empty memory is all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// Nobody uses it.
    Free,
    /// It listens on a port, or somebody has just come.
    Listening(u16),
    /// It connects.
    Dialling(DialId),
    /// The machine knows it as an association. `idle`: since when no message went either way, where the peer has
    /// opened it.
    Open { idle: Option<Instant> },
    /// The machine has forgotten it; it ends, or is ended then.
    Closing(Instant),
}

impl Slot {
    pub(crate) const FREE: Slot = Slot { generation: 0, ppid: Ppid::Asap, state: State::Free };

    /// The association's name.
    pub(super) fn assoc(&self, slot: usize) -> AssocId {
        AssocId { slot: u32::try_from(slot).unwrap_or(u32::MAX), generation: self.generation }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }
}
