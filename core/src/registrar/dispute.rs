//! An element's identifier over two associations that are both there (RFC 5354, 3.12.5).
//!
//! An element that was cut off comes back over a new association, and the old one may look alive for long. So it is believed
//! at once. But a stranger could say the same: whoever is at the other end of the old association is asked, and if it answers,
//! the element is there. Until that is clear the old association is kept in mind as the former one.

use super::Registrar;
use crate::handlespace::{ElementRef, WatchState};
use crate::wire::EmitError;
use crate::{AssocId, Instant};

impl Registrar<'_> {
    /// The association, if it is there, that has an element for which somebody registers over another one.
    pub(super) fn rival(&self, known: ElementRef, assoc: AssocId) -> Option<AssocId> {
        // Whoever was there before, and is being asked, has the older right.
        let rival = self.former(known).or_else(|| self.assoc_of(known)).filter(|rival| *rival != assoc)?;
        self.assocs.get(rival).is_some().then_some(rival)
    }

    /// The association, if it is there, that an element was bound to before the present one, as long as that is disputed.
    pub(super) fn former(&self, element: ElementRef) -> Option<AssocId> {
        self.claims.former(element).filter(|former| self.assocs.get(*former).is_some())
    }

    /// An element has registered over an association, and its former one is there: that is asked.
    pub(super) fn dispute(&mut self, element: ElementRef, former: AssocId) {
        let now = self.now;
        if self.claims.former(element) == Some(former) {
            // It was asked already, and the registration may have another end.
            if let Some(watch) = self.handlespace.watch(element) {
                let (state, due) = (watch.state, watch.due);
                self.watch(element, state, due);
            }
        } else if self.put_dispute(element, former) {
            self.watch(element, WatchState::ProbeWanted, now);
        } else {
            self.alive(element);
        }
    }

    /// Something has come over an association for an element: if that is its former one it is bound to it again.
    pub(super) fn returned(&mut self, element: ElementRef, assoc: AssocId) -> bool {
        let returned = self.former(element) == Some(assoc);
        if returned {
            self.bind(element, assoc);
        }
        returned
    }

    /// The association that an element is bound to has no claim to it any more. If its former one is there, whether
    /// somebody answers over it decides, as over any other.
    pub(super) fn falls_back(&mut self, element: ElementRef) -> bool {
        let Some(former) = self.former(element) else { return false };
        self.bind(element, former);
        true
    }

    /// A disputed element is to be looked after: the former association is asked, or has not answered in time.
    pub(super) fn decide(
        &mut self,
        now: Instant,
        element: ElementRef,
        buf: &mut [u8],
    ) -> Option<Result<(AssocId, usize), EmitError>> {
        let wanted = self.handlespace.watch(element).is_some_and(|watch| watch.state == WatchState::ProbeWanted);
        if let Some(former) = self.former(element).filter(|_| wanted) {
            return self.ask(now, element, former, buf);
        }
        self.prevails(element);
        None
    }

    /// What was said over an association that is gone, or over which nothing can be sent, does not count any more.
    pub(super) fn former_lost(&mut self, former: AssocId) {
        while let Some(element) = self.claims.disputed_over(former) {
            self.prevails(element);
        }
    }

    /// Nobody is at the former association. The one that the element is bound to is asked, as if it had been reported.
    fn prevails(&mut self, element: ElementRef) {
        self.claims.undisputed(element);
        let now = self.now;
        self.watch(element, WatchState::ProbeWanted, now);
    }
}
