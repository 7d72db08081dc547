//! Keep-alives, reports of unreachable elements, and the end of registrations (RFC 5352, 3.2, 3.4, 3.5).

use super::rates::Charge;
use super::{Registrar, RemovalReason};
use crate::handlespace::{ElementRef, WatchState};
use crate::wire::asap::{DeregistrationResponse, EndpointKeepAlive, EndpointKeepAliveAck, EndpointUnreachable};
use crate::wire::{AsapMessage, EmitError};
use crate::{AssocId, Instant, RecvError};

impl Registrar<'_> {
    /// Notes how an element stands and when to look after it again.
    pub(super) fn watch(&mut self, element: ElementRef, state: WatchState, due: Instant) {
        let expires = self.expires(element);
        if let Some(watch) = self.handlespace.watch_mut(element) {
            watch.state = state;
            watch.due = due;
        }
        match due.min(expires) {
            Instant::MAX => self.handlespace.clear_timer(element),
            next => self.handlespace.set_timer(element, next),
        }
    }

    /// When an element's registration is over. For one of another registrar that is for its home to say; only if that is
    /// not heard of, the copy ends by itself, after the time that it takes to find out that the home is dead.
    fn expires(&self, element: ElementRef) -> Instant {
        let Some(view) = self.handlespace.element(element) else { return Instant::MAX };
        let Some(expires) = view.expires else { return Instant::MAX };
        if view.home == self.id {
            return expires;
        }
        let enrp = &self.config.enrp;
        expires + enrp.max_time_last_heard + enrp.no_response().saturating_mul(2)
    }

    pub(super) fn keep_alive_ack(
        &mut self,
        assoc: AssocId,
        message: &EndpointKeepAliveAck<'_>,
    ) -> Result<(), RecvError> {
        let element = self.element(message.pool_handle, message.id).ok_or(RecvError::Unexpected)?;
        if !self.returned(element, assoc) {
            if self.assoc_of(element) != Some(assoc) {
                // One that came by itself while it was claimed (RFC 5353, 3.5.2) takes the association that was opened to
                // it, and leaves its own (RFC 5352, 3.4, KA2.4). Nobody else is at the other end of that.
                if self.home_of(element) != Some(self.id) || !self.is_claim_of(assoc, element) {
                    return Err(RecvError::NotOwner);
                }
                self.bind(element, assoc);
            } else if self.former(element).is_some() {
                // Not this one was asked.
                return Err(RecvError::Unexpected);
            }
        }
        self.stats.keep_alive_acks = self.stats.keep_alive_acks.wrapping_add(1);
        let contested = self.handlespace.watch(element).is_some_and(|watch| watch.is_contested());
        if contested || self.home_of(element) != Some(self.id) {
            // It was asked since another registrar holds itself for its home, or has offered it.
            self.become_home(element)?;
        }
        self.alive(element);
        Ok(())
    }

    /// RFC 5352, 3.5: a report is counted, and the element is asked at once. Too many reports are enough, if they come from
    /// as many: one whose own way to the element is blocked, or who is malicious, does not remove it for all.
    ///
    /// This is for the home to do. Another registrar could not make the others remove the element (RFC 5353, 3.3.2), and if
    /// it did so alone, the next audit would bring the element back.
    pub(super) fn unreachable(&mut self, assoc: AssocId, message: &EndpointUnreachable<'_>) -> Result<(), RecvError> {
        self.stats.unreachable_reports = self.stats.unreachable_reports.wrapping_add(1);
        // Threat 8 (RFC 5352, 9.1; RFC 5353, 6.1): there is no answer to it that could refuse it.
        if self.over_rate(assoc, Charge::UnreachableReport) {
            return Ok(());
        }
        // It may be gone already: that is what the report is for.
        let Some(element) = self.element(message.pool_handle, message.id) else { return Ok(()) };
        if self.home_of(element) != Some(self.id) {
            return Ok(());
        }
        let Some(watch) = self.handlespace.watch_mut(element) else { return Ok(()) };
        watch.report(assoc);
        let (reporters, state) = (watch.reporters(), watch.state);
        if reporters > u32::from(self.config.max_bad_pe_report) {
            self.remove(element, RemovalReason::Reported);
            return Ok(());
        }
        // Threat 9 (RFC 5352, 9.1; RFC 5353, 6.1): one outstanding question is enough, however many reports come.
        if state == WatchState::Idle {
            let now = self.now;
            self.watch(element, WatchState::ProbeWanted, now);
        }
        Ok(())
    }

    /// The association over which elements were registered is gone: that is a keep-alive that cannot be sent.
    pub(super) fn association_lost(&mut self, assoc: AssocId) {
        let due = self.now + self.config.lost_association_grace;
        // An element that changes its home while this registrar leaves closes its association first.
        let due = due.max(self.leave.until().unwrap_or(due));
        self.former_lost(assoc);
        while let Some(element) = self.handlespace.next_bound(assoc, None) {
            if self.falls_back(element) {
                continue;
            }
            if self.home_of(element) == Some(self.id) {
                self.unbind(element);
                self.watch(element, WatchState::Lost, due);
            } else {
                self.watch_as_foreign(element);
            }
        }
    }

    /// Looks after the next element whose time has come. The inner result is a message to send.
    pub(super) fn poll_elements(
        &mut self,
        now: Instant,
        buf: &mut [u8],
    ) -> Option<Result<(AssocId, usize), EmitError>> {
        // What happened is told before there is more of it than can be kept.
        while self.events.is_empty() && !self.update.is_pending() {
            let (_, element) = self.handlespace.next_timer().filter(|(at, _)| *at <= now)?;
            if let Some(done) = self.look_after(now, element, buf) {
                return Some(done);
            }
        }
        None
    }

    fn look_after(
        &mut self,
        now: Instant,
        element: ElementRef,
        buf: &mut [u8],
    ) -> Option<Result<(AssocId, usize), EmitError>> {
        let own = self.home_of(element)? == self.id;
        let expires = self.expires(element);
        let watch = *self.handlespace.watch(element)?;
        let assoc = watch.assoc().filter(|assoc| self.assocs.get(*assoc).is_some());
        let reason = if expires <= now {
            RemovalReason::Expired
        } else if watch.due > now {
            self.handlespace.set_timer(element, watch.due.min(expires));
            return None;
        } else {
            match (watch.state, assoc) {
                (WatchState::Leaving, _) => RemovalReason::Deregistered,
                (WatchState::Outranked, _) => RemovalReason::Inconsistent,
                (WatchState::Unlisted, _) => RemovalReason::Unlisted,
                (WatchState::Claimed, None) => {
                    self.claim(element);
                    return None;
                }
                (WatchState::ProbeWanted | WatchState::KeepAliveSent, Some(_))
                    if self.claims.former(element).is_some() =>
                {
                    return self.decide(now, element, buf);
                }
                (WatchState::ProbeWanted | WatchState::Claimed, Some(to)) => {
                    return self.ask(now, element, to, buf);
                }
                (WatchState::Idle, Some(to)) if own => return self.ask(now, element, to, buf),
                // It has not answered to this registrar, so it is another's.
                _ if !own => {
                    self.watch_as_foreign(element);
                    return None;
                }
                (WatchState::KeepAliveSent | WatchState::Lost, _) | (_, None) => RemovalReason::Unreachable,
                (WatchState::Idle, Some(_)) => return None,
            }
        };
        if now < self.patience && matches!(reason, RemovalReason::Expired | RemovalReason::Unreachable) {
            self.handlespace.set_timer(element, self.patience);
            return None;
        }
        // 3.2: the element is told that its registration is over. So is one that did not acknowledge: if it was only
        // slow it can register again. Not one that does not suit the pool: it would make it anew at once, before the
        // elements are there that it has to give way to. It is refused when it registers the next time.
        let told = assoc.filter(|_| own && reason != RemovalReason::Inconsistent);
        let written = told.map(|to| self.write_end(element, buf).map(|len| (to, len)));
        if let Some(Err(EmitError::BufferTooSmall { .. })) = written {
            return written;
        }
        self.remove(element, reason);
        if let Some(to) = assoc.filter(|_| reason == RemovalReason::Unreachable) {
            self.close_if_unused(to);
        }
        written
    }

    /// An association that was opened for elements that are not there serves no more.
    fn close_if_unused(&mut self, assoc: AssocId) {
        if self.assocs.get(assoc).is_some_and(|slot| slot.dialled && slot.elements == 0) {
            self.close(assoc);
        }
    }

    pub(super) fn ask(
        &mut self,
        now: Instant,
        element: ElementRef,
        to: AssocId,
        buf: &mut [u8],
    ) -> Option<Result<(AssocId, usize), EmitError>> {
        let watch = self.handlespace.watch(element)?;
        // Threat 9 (RFC 5352, 9.1; RFC 5355, 2.14.3): "MUST limit the frequency of Keep-Alive messages to a given PE".
        let gap = self.config.keep_alive_gap.min(self.config.keep_alive_interval / 2);
        let not_before = watch.asked(now).map_or(now, |asked| asked + gap);
        if not_before > now {
            let state = watch.state;
            self.watch(element, state, not_before);
            return None;
        }
        let written = self.write_keep_alive(element, buf);
        if !matches!(written, Err(EmitError::BufferTooSmall { .. })) {
            self.stats.keep_alives = self.stats.keep_alives.wrapping_add(1);
            if let Some(watch) = self.handlespace.watch_mut(element) {
                watch.ask(now);
            }
            self.watch(element, WatchState::KeepAliveSent, now + self.config.keep_alive_timeout);
        }
        Some(written.map(|len| (to, len)))
    }

    fn write_keep_alive(&self, element: ElementRef, buf: &mut [u8]) -> Result<usize, EmitError> {
        let (Some(view), Some(pool)) =
            (self.handlespace.element(element), self.pool_of(element).and_then(|pool| self.handlespace.pool(pool)))
        else {
            return Err(EmitError::TooLong);
        };
        // The H flag is for elements that do not know yet whose they are (RFC 5353, 3.5.2). The identifier, which is
        // rsplib's addition, tells several elements on one association apart.
        let adopt = self.handlespace.watch(element).is_some_and(|watch| watch.state == WatchState::Claimed);
        let message = EndpointKeepAlive { adopt, server: self.id, pool_handle: pool.handle, id: Some(view.id) };
        AsapMessage::from(message).emit(buf).map(<[u8]>::len)
    }

    fn write_end(&self, element: ElementRef, buf: &mut [u8]) -> Result<usize, EmitError> {
        let (Some(view), Some(pool)) =
            (self.handlespace.element(element), self.pool_of(element).and_then(|pool| self.handlespace.pool(pool)))
        else {
            return Err(EmitError::TooLong);
        };
        let message = DeregistrationResponse { pool_handle: pool.handle, id: view.id, error: None };
        AsapMessage::from(message).emit(buf).map(<[u8]>::len)
    }
}
