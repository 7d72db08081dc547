//! What a pool element tells its owner, and why it refuses a call.

use core::fmt;

use super::registration::ElementKey;
use crate::PeId;
use crate::hunt::Home;
use crate::user::{Resolution, Unresolved};

/// What a [`PoolElement`](super::PoolElement) tells its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ElementEvent {
    /// It is registered for the first time, or again after it was not.
    Registered(ElementKey),
    /// It is registered, but the registrar changed something or warns, with this cause code.
    Warning {
        /// The element.
        element: ElementKey,
        /// The cause code (RFC 5354, 3.12).
        cause: u16,
    },
    /// The registrar refused a registration or deregistration. It is not repeated; `set_policy` or `deregister` go on.
    Rejected {
        /// The element.
        element: ElementKey,
        /// The cause code (RFC 5354, 3.12), or 0.
        cause: u16,
    },
    /// More than MAX-REG-ATTEMPT registrations were not answered. `reregister` tries again.
    NoAnswer(ElementKey),
    /// The registrar has let the registration expire; the element is registering again.
    Expired(ElementKey),
    /// It is no pool element any more. The key is void.
    Deregistered {
        /// The element.
        element: ElementKey,
        /// The identifier that it had.
        id: PeId,
    },
    /// There is a new home registrar.
    HomeFound(Home),
    /// Another registrar has made itself the home (H flag, RFC 5352, 3.4).
    HomeAdopted(Home),
    /// The home registrar is gone; others are being tried.
    HomeLost,
    /// A resolution was answered.
    Resolved(Resolution),
    /// A resolution failed.
    Unresolved(Resolution, Unresolved),
    /// A pool that is subscribed to has changed.
    Updated(Resolution),
    /// Events were lost: the queue was full.
    EventsLost,
}

/// Why an element cannot be registered, or is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RegisterError {
    /// The pool handle is empty, or longer than a message, this storage, or rsplib (32 bytes) can hold.
    BadHandle,
    /// The lifetime is neither positive nor infinite.
    BadLifetime,
    /// The transport has port 0 or no address.
    BadTransport,
    /// This endpoint has an element of that identifier in that pool.
    DuplicateId,
    /// The transport or the policy is longer than this storage can hold.
    TooLong,
    /// There is no place for another element.
    Full,
    /// The element is not known, or being deregistered.
    UnknownElement,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RegisterError::BadHandle => "the pool handle is empty or too long; those of rsplib have 32 bytes at most",
            RegisterError::BadLifetime => "the lifetime is neither positive nor infinite",
            RegisterError::BadTransport => "the transport has port 0 or no address",
            RegisterError::DuplicateId => "the endpoint has an element of that identifier in the pool",
            RegisterError::TooLong => "the transport or the policy is too long for the storage",
            RegisterError::Full => "there is no place for another pool element",
            RegisterError::UnknownElement => "the pool element is not known",
        })
    }
}

impl core::error::Error for RegisterError {}
