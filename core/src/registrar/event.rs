//! What a registrar tells its owner.

use crate::{AssocId, PeId, ServerId};

/// What a [`Registrar`](super::Registrar) tells its owner. The log says more; this is for code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RegistrarEvent {
    /// A pool element has registered that was not registered before.
    Registered {
        /// The element.
        id: PeId,
        /// The association over which it registered.
        assoc: AssocId,
    },
    /// A pool element is gone.
    Removed {
        /// The element.
        id: PeId,
        /// Why.
        reason: RemovalReason,
    },
    /// The start is over (RFC 5353, 3.2.3, step 5): from now on pool users are served.
    Serving {
        /// Whose handlespace was copied; `None`: nobody's, this registrar started alone.
        mentor: Option<ServerId>,
    },
    /// Another registrar is known that was not before.
    PeerFound {
        /// It.
        peer: ServerId,
    },
    /// A peer does not answer (RFC 5353, 3.4.3): it counts as dead.
    PeerDead {
        /// It.
        peer: ServerId,
    },
    /// A peer is known no more: it was dead, or another one has taken it over.
    PeerRemoved {
        /// It.
        peer: ServerId,
    },
    /// This registrar has announced that it wants to take over a dead peer (RFC 5353, 3.5.1).
    TakeoverBegun {
        /// The dead one.
        target: ServerId,
    },
    /// It does not take it over after all: the target speaks, or another peer does it.
    TakeoverGivenUp {
        /// The target.
        target: ServerId,
    },
    /// A registrar has taken over another one (RFC 5353, 3.5.2).
    TakenOver {
        /// The dead one.
        target: ServerId,
        /// The new home of its elements; maybe this registrar.
        by: ServerId,
        /// How many elements have a new home.
        elements: u32,
    },
    /// The elements of a peer were read anew since the copy was not the same (RFC 5353, 3.6.3).
    Resynchronised {
        /// The peer.
        peer: ServerId,
        /// How many elements it did not list any more. They are removed if no other registrar claims them soon.
        removed: u32,
    },
    /// Somebody else uses this registrar's identifier. Give it another one.
    DuplicateId,
    /// [`leave`](super::Registrar::leave) is done.
    Left {
        /// How many elements have found no other home.
        remaining: u32,
    },
    /// Events were lost: the queue was full.
    EventsLost,
}

/// Why a pool element was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RemovalReason {
    /// It deregistered.
    Deregistered,
    /// Its registration was not renewed in time.
    Expired,
    /// It did not acknowledge a keep-alive, or one could not be sent.
    Unreachable,
    /// It was reported by more than MAX-BAD-PE-REPORT.
    Reported,
    /// Its home registrar has removed it.
    ByHome,
    /// Its home registrar does not have it (RFC 5353, 3.6.3).
    Unlisted,
    /// Another registrar has elements of another kind in the pool, and precedence.
    Inconsistent,
}

impl RemovalReason {
    /// The reason in a few words.
    pub const fn text(self) -> &'static str {
        match self {
            RemovalReason::Deregistered => "deregistered",
            RemovalReason::Expired => "expired",
            RemovalReason::Unreachable => "unreachable",
            RemovalReason::Reported => "reported too often",
            RemovalReason::ByHome => "removed by its home registrar",
            RemovalReason::Unlisted => "unknown to its home registrar",
            RemovalReason::Inconsistent => "inconsistent with the pool",
        }
    }
}
