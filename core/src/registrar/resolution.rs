//! Handle resolution at the registrar (RFC 5352, 3.3), and the updates of those who subscribe to a pool.

use super::Registrar;
use super::rates::Charge;
use super::reply::{Refusal, Reply, ReplyKind, negative};
use super::subscription::Subscription;
use crate::arena::Idx;
use crate::handlespace::{ElementRef, PoolRef};
use crate::wire::asap::HandleResolution;
use crate::wire::cause::Cause;
use crate::wire::param::POOL_ELEMENT;
use crate::wire::{EmitError, MAX_MESSAGE_LEN, OperationError, PoolHandle, Writer};
use crate::{AssocId, Instant, RecvError};

const RESPONSE: u8 = 0x06;
const ACCEPTS_UPDATES: u8 = 0x01;

impl Registrar<'_> {
    pub(super) fn resolution(&mut self, assoc: AssocId, message: &HandleResolution<'_>) -> Result<(), RecvError> {
        if !self.echo.set(message.pool_handle.as_bytes()) {
            self.report.lack_of_resources(assoc);
            return Err(RecvError::Full);
        }
        let over_rate = self.over_rate(assoc, Charge::Resolution);
        let kind = match self.handlespace.find_pool(message.pool_handle) {
            None if !self.startup.is_serving() => {
                // RFC 5353, 3.2.3, step 5: nothing is known for certain before. Another registrar does know.
                self.close(assoc);
                return Err(RecvError::NotServing);
            }
            _ if over_rate => {
                // A negative response ends the updates of the pool (2.2.5).
                self.unsubscribe(assoc);
                ReplyKind::NoResolution { refused: Refusal::LackOfResources }
            }
            None => ReplyKind::NoResolution { refused: Refusal::UnknownPool },
            Some(pool) => {
                let accepts_updates = message.subscribe && self.subscribe(assoc, pool, message.pool_handle);
                // rsplib: 0 is the same as not to ask for a number.
                let wanted = message.wanted_items.filter(|n| *n != 0).unwrap_or(u32::MAX);
                let max = usize::try_from(wanted.min(self.config.max_items)).unwrap_or(usize::MAX);
                ReplyKind::Resolution { pool, max, accepts_updates, selected: None }
            }
        };
        self.reply = Some(Reply { to: assoc, kind });
        Ok(())
    }

    /// Notes a subscriber. `false`: there is no room; the answer has no A bit then (2.2.6).
    fn subscribe(&mut self, assoc: AssocId, pool: PoolRef, pool_handle: PoolHandle<'_>) -> bool {
        match self.subscription(assoc, pool_handle) {
            Some(at) if self.subscriptions.at(at).pool_exists => return true,
            // The pool was gone, which the subscriber has not been told yet, and has come back.
            Some(at) => self.end_subscription(at),
            None => {}
        }
        let max = self.config.max_subscriptions_per_association;
        let (Some(state), Some(peer)) = (self.handlespace.pool_state_mut(pool), self.assocs.get_mut(assoc)) else {
            return false;
        };
        if peer.subscriptions >= max {
            return false;
        }
        let mut head = state.subscribers;
        let added = self.subscriptions.add(assoc, pool_handle.as_bytes(), &mut head, &mut peer.first_subscription);
        if added {
            state.subscribers = head;
            // Not all subscribers are waiting to be told any more.
            state.dirty = false;
            peer.subscriptions = peer.subscriptions.saturating_add(1);
        }
        added
    }

    fn subscription(&self, assoc: AssocId, pool_handle: PoolHandle<'_>) -> Option<Idx> {
        self.subscriptions.find(self.assocs.get(assoc)?.first_subscription, pool_handle.as_bytes())
    }

    /// The subscription that the pending reply would have confirmed ends. RFC 5352, 2.2.5: "If a negative response is
    /// returned, no further updates to the Pool ... will occur."
    pub(super) fn unsubscribe(&mut self, assoc: AssocId) {
        if let Some(at) = PoolHandle::new(self.echo.get()).and_then(|handle| self.subscription(assoc, handle)) {
            self.end_subscription(at);
        }
    }

    pub(super) fn pool_changed(&mut self, pool: PoolRef) {
        let Some(state) = self.handlespace.pool_state_mut(pool) else { return };
        // However often a pool changes, its subscribers are gone through once per update.
        if !state.dirty && self.subscriptions.pool_changed(state.subscribers, true) {
            state.dirty = true;
            self.updates_due.get_or_insert(self.now + self.config.update_delay);
        }
    }

    pub(super) fn pool_gone(&mut self, subscribers: Idx) {
        if self.subscriptions.pool_changed(subscribers, false) {
            self.updates_due.get_or_insert(self.now + self.config.update_delay);
        }
    }

    /// An association's subscriptions end with it.
    pub(super) fn unsubscribe_all(&mut self, assoc: AssocId) {
        while let Some(at) = self.assocs.get(assoc).map(|peer| peer.first_subscription).filter(|at| at.is_some()) {
            self.end_subscription(at);
        }
    }

    fn end_subscription(&mut self, at: Idx) {
        let subscription = *self.subscriptions.at(at);
        let pool = PoolHandle::new(self.subscriptions.handle(at)).and_then(|handle| self.handlespace.find_pool(handle));
        let mut nowhere = Idx::NIL;
        let (mut nobody, mut no_count) = (Idx::NIL, 0);
        let pool_head = match pool.and_then(|pool| self.handlespace.pool_state_mut(pool)) {
            Some(state) if subscription.pool_exists => &mut state.subscribers,
            _ => &mut nowhere,
        };
        let (assoc_head, count) = match self.assocs.get_mut(subscription.assoc) {
            Some(peer) => (&mut peer.first_subscription, &mut peer.subscriptions),
            None => (&mut nobody, &mut no_count),
        };
        *count = count.saturating_sub(1);
        self.subscriptions.remove(at, pool_head, assoc_head);
    }

    /// The next update that is due.
    pub(super) fn poll_updates(&mut self, now: Instant, buf: &mut [u8]) -> Option<Result<(AssocId, usize), EmitError>> {
        if self.updates_due.is_none_or(|due| due > now) {
            return None;
        }
        let Some(at) = self.subscriptions.next_dirty() else {
            self.updates_due = None;
            return None;
        };
        let Subscription { assoc, pool_exists, .. } = *self.subscriptions.at(at);
        let pool_handle = PoolHandle::new(self.subscriptions.handle(at));
        let pool = pool_handle.filter(|_| pool_exists).and_then(|handle| self.handlespace.find_pool(handle));
        let max = usize::try_from(self.config.max_items).unwrap_or(usize::MAX);
        let count = pool.map_or(0, |pool| self.handlespace.list(pool, max).len());
        let written = match PoolHandle::new(self.subscriptions.handle(at)) {
            Some(pool_handle) if count > 0 => {
                self.write_elements(pool_handle, true, self.handlespace.selection(count), buf)
            }
            Some(pool_handle) => {
                let cause = if pool.is_some() { Cause::LackOfResources } else { Cause::UnknownPoolHandle };
                negative(pool_handle, Some(OperationError::new(&[cause]))).emit(buf).map(<[u8]>::len)
            }
            None => Err(EmitError::TooLong),
        };
        if let Err(EmitError::BufferTooSmall { .. }) = written {
            return Some(written.map(|len| (assoc, len)));
        }
        self.subscriptions.pop_dirty();
        if let Some(state) = pool.and_then(|pool| self.handlespace.pool_state_mut(pool)) {
            state.dirty = false;
        }
        if count == 0 {
            // 2.2.5: updates are for a pool that exists, and end with a negative one.
            self.end_subscription(at);
        }
        self.stats.updates = self.stats.updates.wrapping_add(1);
        Some(written.map(|len| (assoc, len)))
    }

    /// A positive handle resolution response (2.2.6), put together from what the handlespace holds encoded. As many
    /// elements as fit into a message.
    pub(super) fn write_elements(
        &self,
        pool_handle: PoolHandle<'_>,
        accepts_updates: bool,
        elements: &[ElementRef],
        buf: &mut [u8],
    ) -> Result<usize, EmitError> {
        let dialect = self.config.enrp.compat.asap();
        let mut any = false;
        let mut w = Writer::new(buf);
        w.message(RESPONSE, if accepts_updates { ACCEPTS_UPDATES } else { 0 }, |w| {
            pool_handle.emit_into(w);
            // The RFC lets round robin out; rsplib's users fail without it.
            if let Some(first) = elements.first() {
                w.items(self.handlespace.policy_bytes(*first));
            }
            for element in elements {
                let Some((id, home, lifetime, parameters)) = self.handlespace.answered(*element) else { continue };
                // Type, length, three fields; and the padding before and after.
                let grown = w.len().saturating_add(parameters.len()).saturating_add(16 + 6);
                if grown > MAX_MESSAGE_LEN {
                    break;
                }
                any = true;
                w.tlv(POOL_ELEMENT, |w| {
                    w.u32(id.0);
                    w.u32(home.0);
                    w.u32(dialect.lifetime_out(lifetime).to_wire().cast_unsigned());
                    w.items(parameters);
                });
            }
        });
        // With a very long pool handle, none may fit.
        if any { w.finish().map(<[u8]>::len) } else { Err(EmitError::TooLong) }
    }
}
