//! What a registrar tells its owner.

use crate::{AssocId, PeId};

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
    /// It was reported more than MAX-BAD-PE-REPORT times.
    Reported,
}

impl RemovalReason {
    /// The reason in a few words.
    pub const fn text(self) -> &'static str {
        match self {
            RemovalReason::Deregistered => "deregistered",
            RemovalReason::Expired => "expired",
            RemovalReason::Unreachable => "unreachable",
            RemovalReason::Reported => "reported too often",
        }
    }
}
