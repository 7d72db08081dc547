//! Leaving in good order. RFC 5353 has no word for it: a registrar that ends is one that dies, and its elements wait for a
//! takeover. Here they change their home before: each is offered to a peer by an ENRP_HANDLE_UPDATE that suggests to take
//! it over, and the peer asks the element, by a keep-alive with the H flag, to make it its home (RFC 5352, 3.4).

use super::{Registrar, RegistrarEvent};
use crate::arena::Idx;
use crate::handlespace::ElementRef;
use crate::wire::EmitError;
use crate::{AssocId, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    No,
    Leaving {
        until: Instant,
        /// The next element to offer.
        next: Option<ElementRef>,
    },
    Left {
        /// How many elements have found no other home.
        remaining: u32,
        /// The owner has been told.
        told: bool,
    },
}

impl Leave {
    pub(super) fn is_leaving(self) -> bool {
        self != Leave::No
    }

    pub(super) fn until(self) -> Option<Instant> {
        match self {
            Leave::Leaving { until, .. } => Some(until),
            Leave::No | Leave::Left { .. } => None,
        }
    }

    /// The next element to offer is not one's own any more.
    pub(super) fn step_over(&mut self, element: ElementRef, after: Option<ElementRef>) {
        if let Leave::Leaving { next, .. } = self
            && *next == Some(element)
        {
            *next = after;
        }
    }

    /// What the owner is to be told, once. Not by way of the queue, where it could be lost: an owner waits for it.
    pub(super) fn tell(&mut self) -> Option<RegistrarEvent> {
        match self {
            Leave::Left { remaining, told } if !*told => {
                *told = true;
                Some(RegistrarEvent::Left { remaining: *remaining })
            }
            _ => None,
        }
    }
}

impl Registrar<'_> {
    /// Leaves the operational scope: the elements are handed to the peers. [`RegistrarEvent::Left`] follows when
    /// all have another home, after [`leave_timeout`](super::EnrpConfig::leave_timeout), or at once where there is no peer;
    /// then end the machine. Until then it serves, but takes no registrations: who tries turns to another registrar.
    ///
    /// Peers that do not know the suggestion (only rsplib has it beside this crate, and there it is an option) take the
    /// elements over once they miss this registrar.
    pub fn leave(&mut self, now: Instant) {
        self.advance(now);
        if !self.leave.is_leaving() {
            let until = self.now + self.config.enrp.leave_timeout;
            let next = self.handlespace.next_owned(self.id, None);
            self.leave = Leave::Leaving { until, next };
            self.wake(self.now);
        }
    }

    /// An element has another home, or is gone: it may have been the last one.
    pub(super) fn leave_progress(&mut self) {
        if self.leave.until().is_some() && self.handlespace.owned(self.id) == 0 {
            self.wake(self.now);
        }
    }

    /// The next offer.
    pub(super) fn poll_leave(&mut self, now: Instant, buf: &mut [u8]) -> Option<Result<(AssocId, usize), EmitError>> {
        loop {
            let Leave::Leaving { until, next } = self.leave else { return None };
            let to = self.heir(next);
            let (Some(element), Some(assoc)) = (next, self.peers.at(to).assoc) else {
                let remaining = self.handlespace.owned(self.id);
                if remaining == 0 || until <= now || to.is_nil() {
                    self.leave = Leave::Left { remaining, told: false };
                }
                return None;
            };
            let written = self.write_add(to, element, true, buf);
            if let Some(Err(error @ EmitError::BufferTooSmall { .. })) = written {
                return Some(Err(error));
            }
            let next = self.handlespace.next_owned(self.id, Some(element));
            self.leave = Leave::Leaving { until, next };
            if let Some(Ok(len)) = written {
                self.stats.handle_updates = self.stats.handle_updates.wrapping_add(1);
                return Some(Ok((assoc, len)));
            }
        }
    }

    /// Who is offered an element: the peers share them, but those of one association go to the same one, since they can
    /// have only one home.
    fn heir(&self, element: Option<ElementRef>) -> Idx {
        let slot = element.and_then(|element| self.assoc_of(element)).map_or(0, |assoc| assoc.slot as usize);
        let fit = || self.peers.iter().filter(|at| self.peers.at(*at).assoc.is_some() && self.peers.at(*at).lives());
        let nth = slot.checked_rem(fit().count()).unwrap_or(0);
        fit().nth(nth).unwrap_or(Idx::NIL)
    }
}
