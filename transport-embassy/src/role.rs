//! What the driver asks of a machine beside the contract.

use core::net::IpAddr;

use rserpool_core::{ElementEvent, Instant, Machine, PoolElement, PoolUser, Registrar, RegistrarEvent, UserEvent};

/// A machine that this crate can drive: all three of `rserpool-core`, and what others make of [`Machine`].
pub trait Role: Machine {
    /// The event that says that events were lost: more came than the application has taken.
    const EVENTS_LOST: Self::Event;

    /// The host's address has changed.
    fn moved(&mut self, now: Instant, from: IpAddr, to: IpAddr) {
        let _ = (now, from, to);
    }
}

/// Its elements are registered again, with the new address.
impl Role for PoolElement<'_> {
    const EVENTS_LOST: ElementEvent = ElementEvent::EventsLost;

    fn moved(&mut self, now: Instant, from: IpAddr, to: IpAddr) {
        self.move_host(now, from, to);
    }
}

impl Role for PoolUser<'_> {
    const EVENTS_LOST: UserEvent = UserEvent::EventsLost;
}

/// What it announces stays as it was configured: a registrar's address is better a fixed one.
impl Role for Registrar<'_> {
    const EVENTS_LOST: RegistrarEvent = RegistrarEvent::EventsLost;
}
