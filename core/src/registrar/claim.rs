//! How a registrar gets hold of pool elements that are its own by now and do not know it yet: it opens associations to
//! them and sends keep-alives with the H flag (RFC 5353, 3.5.2, step 2; RFC 5352, 2.2.7 and 3.4).

use core::time::Duration;

use super::Registrar;
use super::peers::addresses_of;
use crate::arena::{Idx, Table};
use crate::handlespace::{ElementRef, WatchState};
use crate::{AssocId, DialId, Instant, Link};

/// How long an element waits that cannot be taken care of yet, on average.
const PAUSE: Duration = Duration::from_millis(50);

/// An association to a pool element that is being opened, or has been lately: the other elements there use it, too. Or one
/// over which an element may be that has registered over another one (`dispute.rs`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Claim {
    /// One that is reached by it.
    element: ElementRef,
    state: State,
    /// When to give up dialling; then also, until when the element has time to come by itself. For a dispute, when it began.
    until: Instant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    /// To be dialled.
    Wanted,
    Dialling(DialId),
    Open(AssocId),
    Disputed(AssocId),
}

impl State {
    /// Whether it is about an association that this registrar opens.
    fn is_dialled(self) -> bool {
        !matches!(self, State::Free | State::Disputed(_))
    }
}

impl Claim {
    pub(crate) const EMPTY: Claim =
        Claim { element: ElementRef::new(Idx::NIL, 0), state: State::Free, until: Instant::ZERO };
}

/// All places are in use.
struct NoPlace;

/// The claims. A claim that finds no place waits, so that elements are dialled a few at a time.
pub(super) struct Claims<'s> {
    places: Table<'s, Claim>,
    /// How many of them are disputes. Mostly there is none, and nothing to be looked for.
    disputes: u16,
}

impl<'s> Claims<'s> {
    pub(super) fn lent(places: &'s mut [Claim]) -> Self {
        Claims { places: Table::Lent(places), disputes: 0 }
    }

    #[cfg(feature = "alloc")]
    pub(super) fn growable(places: usize) -> Self {
        Claims { places: Table::Grown(alloc::vec![Claim::EMPTY; places]), disputes: 0 }
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Claim> {
        self.places.as_mut_slice().iter_mut()
    }

    fn find(&mut self, state: State) -> Option<&mut Claim> {
        self.iter_mut().find(|claim| claim.state == state)
    }

    /// Puts a claim in a place that is free, or whose association is open and will be found by its elements no more than
    /// needed, or of the oldest dispute, whose element is returned: if somebody had answered there it would be over.
    fn put(&mut self, claim: Claim) -> Result<Option<ElementRef>, NoPlace> {
        let rank = |claim: &Claim| match claim.state {
            State::Free => Some((0, Instant::ZERO)),
            State::Open(_) => Some((1, Instant::ZERO)),
            State::Disputed(_) => Some((2, claim.until)),
            State::Wanted | State::Dialling(_) => None,
        };
        let places = self.places.as_slice().iter().enumerate();
        let (_, at) = places.filter_map(|(at, claim)| Some((rank(claim)?, at))).min().ok_or(NoPlace)?;
        let place = self.places.as_mut_slice().get_mut(at).ok_or(NoPlace)?;
        let before = core::mem::replace(place, claim);
        let given_up = matches!(before.state, State::Disputed(_)).then_some(before.element);
        self.disputes = self.disputes.saturating_sub(u16::from(given_up.is_some()));
        self.disputes = self.disputes.saturating_add(u16::from(matches!(claim.state, State::Disputed(_))));
        Ok(given_up)
    }

    /// The other association that an element may be on.
    pub(super) fn former(&self, element: ElementRef) -> Option<AssocId> {
        if self.disputes == 0 {
            return None;
        }
        self.places.as_slice().iter().find_map(|claim| match claim.state {
            State::Disputed(former) if claim.element == element => Some(former),
            _ => None,
        })
    }

    /// An element that may be on an association beside the one that it is bound to.
    pub(super) fn disputed_over(&self, former: AssocId) -> Option<ElementRef> {
        if self.disputes == 0 {
            return None;
        }
        self.places.as_slice().iter().find(|claim| claim.state == State::Disputed(former)).map(|claim| claim.element)
    }

    /// It is clear now where an element is.
    pub(super) fn undisputed(&mut self, element: ElementRef) {
        let Some(former) = self.former(element) else { return };
        let disputed = |claim: &&mut Claim| claim.element == element && claim.state == State::Disputed(former);
        if let Some(claim) = self.iter_mut().find(disputed) {
            *claim = Claim::EMPTY;
        }
        self.disputes = self.disputes.saturating_sub(1);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let dialling = self.places.as_slice().iter().filter(|claim| matches!(claim.state, State::Dialling(_)));
        dialling.map(|claim| claim.until).min()
    }

    /// An attempt that takes too long.
    fn late(&self, now: Instant) -> Option<DialId> {
        self.places.as_slice().iter().find_map(|claim| match claim.state {
            State::Dialling(dial) if claim.until <= now => Some(dial),
            _ => None,
        })
    }

    pub(super) fn closed(&mut self, assoc: AssocId) {
        if let Some(claim) = self.find(State::Open(assoc)) {
            *claim = Claim::EMPTY;
        }
    }
}

impl Registrar<'_> {
    /// Sees to an association for an element that is to be asked and has none.
    pub(super) fn claim(&mut self, element: ElementRef) {
        let now = self.now;
        let transport = self.handlespace.asap_transport_bytes(element);
        let handlespace = &self.handlespace;
        let same =
            |claim: &&Claim| claim.state.is_dialled() && handlespace.asap_transport_bytes(claim.element) == transport;
        let there = if transport.is_empty() { None } else { self.claims.places.as_slice().iter().find(same).copied() };
        match there.map(|claim| claim.state) {
            Some(State::Open(assoc)) if self.assocs.get(assoc).is_some() => {
                self.bind(element, assoc);
                self.watch(element, WatchState::Claimed, now);
            }
            Some(State::Wanted | State::Dialling(_)) => self.claim_later(element),
            _ => self.open_claim(element),
        }
    }

    fn claim_later(&mut self, element: ElementRef) {
        let due = self.now + self.rng.jitter(PAUSE, 50);
        self.watch(element, WatchState::Claimed, due);
    }

    fn open_claim(&mut self, element: ElementRef) {
        let until = self.now + self.config.keep_alive_timeout;
        if self.claim_target(element).is_none() {
            // Nowhere to dial. If the element lives it looks for a registrar itself.
            return self.watch(element, WatchState::Lost, until);
        }
        if !self.put_claim(Claim { element, state: State::Wanted, until }) {
            return self.claim_later(element);
        }
        self.watch(element, WatchState::Claimed, Instant::MAX);
        self.wake(self.now);
    }

    /// `false`: there is no place for it.
    fn put_claim(&mut self, claim: Claim) -> bool {
        let Ok(given_up) = self.claims.put(claim) else { return false };
        if let Some(given_up) = given_up {
            // What was sent to its former association does not count. The present one is asked instead.
            let now = self.now;
            self.watch(given_up, WatchState::ProbeWanted, now);
        }
        true
    }

    /// Keeps the association that an element may be on beside the one that it is bound to. `false`: there is no place for
    /// it, and the element is believed to be where it says.
    pub(super) fn put_dispute(&mut self, element: ElementRef, former: AssocId) -> bool {
        self.put_claim(Claim { element, state: State::Disputed(former), until: self.now })
    }

    /// Where an element is to be dialled: keeps the addresses for the adapter.
    fn claim_target(&mut self, element: ElementRef) -> Option<Link> {
        let view = self.handlespace.element(element)?;
        let (link, addresses) = addresses_of(&view.asap_transport()?, None)?;
        self.targets = addresses;
        (!self.targets.is_empty()).then_some(link)
    }

    /// Elements that could not be reached in time.
    pub(super) fn expire_claims(&mut self, now: Instant) {
        while let Some(dial) = self.claims.late(now) {
            self.abandon(dial);
            self.claim_failed(dial);
        }
    }

    /// The next element to dial.
    pub(super) fn poll_claims(&mut self) -> Option<(DialId, Link)> {
        while let Some(claim) = self.claims.find(State::Wanted) {
            let element = claim.element;
            let Some(link) = self.claim_target(element) else {
                // The element is gone, or has another transport by now.
                if let Some(claim) = self.claims.find(State::Wanted) {
                    *claim = Claim::EMPTY;
                }
                continue;
            };
            let dial = self.next_dial();
            if let Some(claim) = self.claims.find(State::Wanted) {
                claim.state = State::Dialling(dial);
            }
            return Some((dial, link));
        }
        None
    }

    /// An association to an element is up. `false`: it was not dialled for that.
    pub(super) fn claim_connected(&mut self, dial: DialId, assoc: AssocId) -> bool {
        let Some(claim) = self.claims.find(State::Dialling(dial)) else { return false };
        claim.state = State::Open(assoc);
        let element = claim.element;
        if let Some(slot) = self.assocs.get_mut(assoc) {
            slot.dialled = true;
        }
        if self.is_claimed(element) {
            self.bind(element, assoc);
            let now = self.now;
            self.watch(element, WatchState::Claimed, now);
        } else {
            // It has come by itself, to this registrar or to another one, or is gone.
            self.claims.closed(assoc);
            self.close(assoc);
        }
        true
    }

    /// An element cannot be reached. For the rest of the time that an answer may take it may still come by itself.
    pub(super) fn claim_failed(&mut self, dial: DialId) {
        let Some(claim) = self.claims.find(State::Dialling(dial)) else { return };
        let Claim { element, until, .. } = core::mem::take(claim);
        if self.is_claimed(element) {
            let due = until.max(self.now);
            self.watch(element, WatchState::Lost, due);
        }
    }

    /// Whether an association was opened to where an element is reached.
    pub(super) fn is_claim_of(&self, assoc: AssocId, element: ElementRef) -> bool {
        let claim = self.claims.places.as_slice().iter().find(|claim| claim.state == State::Open(assoc));
        let place = |element| self.handlespace.asap_transport_bytes(element);
        claim.is_some_and(|claim| !place(element).is_empty() && place(claim.element) == place(element))
    }

    fn is_claimed(&self, element: ElementRef) -> bool {
        self.handlespace.watch(element).is_some_and(|watch| watch.state == WatchState::Claimed)
    }
}
