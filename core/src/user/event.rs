//! What a pool user tells its owner, and what its calls answer.

use core::fmt;

use super::cache::Resolution;
use crate::hunt::Home;
use crate::wire::cause::CauseCode;

/// What a [`PoolUser`](super::PoolUser) tells its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum UserEvent {
    /// A resolution was answered: there are elements.
    Resolved(Resolution),
    /// A resolution failed (Error.Report, RFC 5352, 6.7).
    Unresolved(Resolution, Unresolved),
    /// The registrar has sent an update of a pool that is subscribed to. If the pool is gone, it has no elements now.
    Updated(Resolution),
    /// There is a new home registrar.
    HomeFound(Home),
    /// The home registrar is gone; others are being tried.
    HomeLost,
    /// Events were lost: the queue was full.
    EventsLost,
}

/// Why a resolution failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Unresolved {
    /// The registrar refused, with this cause code; 9 is "unknown pool handle".
    Refused(u16),
    /// No registrar answered MAX-REQUEST-RETRANSMIT + 1 requests.
    NoAnswer,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unresolved::Refused(code) => CauseCode(*code).fmt(f),
            Unresolved::NoAnswer => f.write_str("no registrar answered"),
        }
    }
}

/// Why a pool cannot be resolved at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ResolveError {
    /// The pool handle is empty, or longer than a message, this storage, or rsplib (32 bytes) can hold.
    BadHandle,
    /// All places for pools are taken by requests under way and subscriptions.
    Full,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResolveError::BadHandle => "the pool handle is empty or too long; those of rsplib have 32 bytes at most",
            ResolveError::Full => "too many pools are in use",
        })
    }
}

impl core::error::Error for ResolveError {}

/// Why no element can be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SelectError {
    /// There is no answer yet, or it is stale and a new one is on its way: wait for an event.
    Pending,
    /// The registrar refused, with this cause code: resolve the pool again to ask again.
    Refused(u16),
    /// No registrar answered: resolve the pool again to ask again.
    NoAnswer,
    /// No element is left that was not reported as failed; a new resolution is on its way.
    Exhausted,
    /// The resolution is not known (any more): resolve the pool again.
    Unknown,
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SelectError::Pending => f.write_str("waiting for a registrar's answer"),
            SelectError::Refused(code) => CauseCode(*code).fmt(f),
            SelectError::NoAnswer => f.write_str("no registrar answered"),
            SelectError::Exhausted => f.write_str("no pool element is reachable"),
            SelectError::Unknown => f.write_str("the resolution is not known any more"),
        }
    }
}

impl core::error::Error for SelectError {}
