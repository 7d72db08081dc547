//! The audit of the handlespace (RFC 5353, 3.6), and the transfer of handle tables that it shares with the start (3.2.3).

use core::time::Duration;

use super::update::{CONTEST_DELAY, Source};
use super::{Registrar, RegistrarEvent};
use crate::arena::Idx;
use crate::handlespace::{Registration, Watch, WatchState};
use crate::wire::enrp::{EnrpMessage, HandleTableRequest, HandleTableResponse};
use crate::wire::{EmitError, PoolElementParam, PoolHandle};
use crate::{Instant, PeId, RecvError};

/// How many peers' elements are read anew at the same time. The others wait for their turn.
const MAX_AT_ONCE: usize = 4;

/// How many times MAX-TIME-NO-RESPONSE a transfer goes on that brings nothing new. The pages of one that says "more" for
/// ever come in time, each of them.
const MAX_STALE: u32 = 4;

/// How the copy of a peer's elements, or of its whole handlespace, comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sync {
    #[default]
    Idle,
    /// To be asked for, once this is allowed.
    Wanted,
    /// A request is to be sent.
    Asking {
        /// The W flag: only what the peer owns.
        own_only: bool,
    },
    /// The answer is awaited.
    Awaiting { own_only: bool, until: Instant },
}

impl Sync {
    fn is_under_way(self) -> bool {
        matches!(self, Sync::Asking { .. } | Sync::Awaiting { .. })
    }
}

impl Registrar<'_> {
    /// RFC 5353, 3.6.1, steps 3 to 5: a peer's checksum of what it owns is compared with that of the copy.
    pub(super) fn audit(&mut self, from: Idx, checksum: u16) {
        let peer = self.peers.at(from);
        if !self.startup.is_serving() || peer.sync != Sync::Idle || self.handlespace.checksum(peer.id) == checksum {
            return;
        }
        debug!("the copy of the elements of {} differs", peer.id);
        self.want_sync(from);
    }

    /// What a peer owns is to be read anew.
    pub(super) fn want_sync(&mut self, from: Idx) {
        let peer = self.peers.at_mut(from);
        if peer.sync == Sync::Idle {
            peer.sync = Sync::Wanted;
            self.wake(self.now);
        }
    }

    /// The whole handlespace is asked for (RFC 5353, 3.2.3, step 1).
    pub(super) fn download(&mut self, from: Idx) {
        self.peers.at_mut(from).sync = Sync::Asking { own_only: false };
        self.sync_brings_news(from);
        self.wake(self.now);
    }

    /// When something is to be done about a peer's table.
    pub(super) fn sync_deadline(&self, at: Idx) -> Option<Instant> {
        let peer = self.peers.at(at);
        match peer.sync {
            // One that waits for its turn is looked at when another one ends.
            Sync::Wanted if peer.assoc.is_some() => Some(peer.sync_not_before).filter(|at| *at > self.now),
            Sync::Awaiting { until, .. } => Some(until),
            Sync::Idle | Sync::Wanted | Sync::Asking { .. } => None,
        }
    }

    fn sync_brings_news(&mut self, from: Idx) {
        let until = self.now + self.config.enrp.no_response().saturating_mul(MAX_STALE);
        self.peers.at_mut(from).sync_stale_at = until;
    }

    /// Whose turn it is to be read anew: nobody's, if enough are, or if this registrar is starting: it gets all from its
    /// mentor, and could take the answer to a request with W=1 for that. The one that has waited for longest goes first,
    /// so that those whose transfers come to nothing do not keep the others from theirs.
    pub(super) fn next_sync(&self) -> Idx {
        let (mut busy, mut next, mut since) = (0usize, Idx::NIL, Instant::MAX);
        for at in self.peers.iter() {
            let peer = self.peers.at(at);
            busy = busy.saturating_add(usize::from(peer.sync.is_under_way()));
            let waits = peer.sync == Sync::Wanted && peer.assoc.is_some() && peer.sync_not_before <= self.now;
            if waits && peer.sync_not_before < since {
                (next, since) = (at, peer.sync_not_before);
            }
        }
        if busy < MAX_AT_ONCE && self.startup.is_serving() { next } else { Idx::NIL }
    }

    /// The next request to a peer, if one is due. `turn`: of those that wait, the one that begins.
    pub(super) fn poll_sync(&mut self, to: Idx, turn: Idx, buf: &mut [u8]) -> Option<Result<usize, EmitError>> {
        let now = self.now;
        let peer = self.peers.at(to);
        peer.assoc?;
        match peer.sync {
            Sync::Idle => None,
            Sync::Wanted if to != turn => None,
            Sync::Wanted => {
                // 3.6.3, step 1.
                self.handlespace.mark_owned(peer.id);
                self.peers.at_mut(to).sync = Sync::Asking { own_only: true };
                self.sync_brings_news(to);
                self.poll_sync(to, turn, buf)
            }
            Sync::Asking { own_only } => {
                // 3.6.3, step 2; 3.2.3, steps 1 and 3.
                let body = HandleTableRequest { own_children_only: own_only }.into();
                let message = EnrpMessage { sender: self.id, receiver: peer.id, body };
                let written = message.emit(buf).map(<[u8]>::len);
                if written.is_ok() {
                    // 3.2.3: "SHOULD start a timer every time it finishes sending".
                    let until = now + self.config.enrp.no_response();
                    self.peers.at_mut(to).sync = Sync::Awaiting { own_only, until };
                }
                Some(written)
            }
            Sync::Awaiting { .. } => None,
        }
    }

    /// The handle table that was asked for does not come.
    pub(super) fn expire_sync(&mut self, at: Idx, now: Instant) {
        let peer = self.peers.at(at);
        if let Sync::Awaiting { own_only, until } = peer.sync
            && until <= now
            && peer.assoc.is_some()
        {
            debug!("no answer from {} about its handle table", peer.id);
            self.sync_failed(at, own_only);
        }
    }

    /// The transfer is over, without a result.
    fn sync_failed(&mut self, from: Idx, own_only: bool) {
        // A peer that is only slow may hold its session open that long; a request before would not begin a new one.
        let pause = self.config.enrp.resync_interval.max(self.config.enrp.no_response().saturating_mul(2));
        self.sync_ends(from, pause);
        if !own_only {
            self.mentor_failed(from);
        }
    }

    fn sync_ends(&mut self, from: Idx, pause: Duration) {
        let not_before = self.now + pause;
        let peer = self.peers.at_mut(from);
        peer.sync = Sync::Idle;
        peer.sync_not_before = not_before;
        self.wake(self.now);
    }

    /// The association is lost, and the transfer with it.
    pub(super) fn sync_lost(&mut self, from: Idx) {
        let peer = self.peers.at_mut(from);
        if let Sync::Asking { own_only: false } | Sync::Awaiting { own_only: false, .. } = peer.sync {
            peer.sync = Sync::Idle;
            self.mentor_failed(from);
        } else if peer.sync.is_under_way() {
            peer.sync = Sync::Wanted;
        }
    }

    /// A page has come.
    pub(super) fn table_response(&mut self, from: Idx, message: &HandleTableResponse<'_>) -> Result<(), RecvError> {
        let Sync::Awaiting { own_only, .. } = self.peers.at(from).sync else { return Err(RecvError::Unexpected) };
        let sender = self.peers.at(from).id;
        if message.rejected {
            debug!("{} refuses to send its handle table", sender);
            self.sync_ends(from, self.config.enrp.resync_interval);
            if !own_only {
                self.mentor_refused(from);
            }
            return Ok(());
        }
        let mut news = false;
        for entry in message.entries.iter() {
            for element in entry.elements.iter() {
                let missing = !self.is_listed(entry.pool_handle, element.id);
                let home = if element.home.is_none() { sender } else { element.home };
                // 3.6.3, step 3: what the peer owns was asked for.
                if own_only && home != sender {
                    continue;
                }
                // What does not fit in is missing, which the next audit shows; the rest of the page is good.
                let _ = if home == self.id {
                    self.own_again(from, entry.pool_handle, &element)
                } else if self.ensure_owner(home) {
                    self.add_from_peer(from, entry.pool_handle, &element, home, Source::Table).map(|_| ())
                } else {
                    Err(RecvError::Full)
                };
                news |= missing && self.is_listed(entry.pool_handle, element.id);
            }
        }
        if news {
            self.sync_brings_news(from);
        }
        if message.more && self.peers.at(from).sync_stale_at <= self.now {
            debug!("the handle table of {} has no end", sender);
            self.sync_failed(from, own_only);
        } else if message.more {
            self.peers.at_mut(from).sync = Sync::Asking { own_only };
            self.wake(self.now);
        } else if own_only {
            self.sweep(from);
        } else {
            self.sync_ends(from, self.config.enrp.resync_interval);
            self.downloaded(from);
        }
        Ok(())
    }

    /// Whether an element is there, and not one that a transfer has yet to confirm.
    fn is_listed(&self, pool_handle: PoolHandle<'_>, id: PeId) -> bool {
        let watch = self.element(pool_handle, id).and_then(|element| self.handlespace.watch(element));
        watch.is_some_and(|watch| !watch.is_marked())
    }

    /// 3.6.3, step 5: what the peer has not listed is removed silently. Not at once: it may have been given up for another
    /// registrar, which then asks the element, and tells all who its home is.
    fn sweep(&mut self, from: Idx) {
        let owner = self.peers.at(from).id;
        let due = self.now + self.config.keep_alive_gap + CONTEST_DELAY * 2;
        let mut removed = 0u32;
        let mut at = self.handlespace.next_owned(owner, None);
        while let Some(element) = at {
            at = self.handlespace.next_owned(owner, at);
            let unlisted = |watch: &Watch| watch.is_marked() && watch.state != WatchState::Unlisted;
            if !self.handlespace.watch(element).is_some_and(unlisted) {
                continue;
            }
            if self.is_connected(element) {
                // It is contested, and the other side has given it up.
                self.contest(element);
            } else {
                self.watch(element, WatchState::Unlisted, due);
                removed = removed.saturating_add(1);
            }
        }
        self.sync_ends(from, self.config.enrp.resync_interval);
        self.stats.resynchronisations = self.stats.resynchronisations.wrapping_add(1);
        self.events.push(RegistrarEvent::Resynchronised { peer: owner, removed });
        info!("re-synchronised with {}, {} elements are not there any more", owner, removed);
    }

    /// A table names this registrar as the home: one that was restarted with its old identifier. It is so again, and asks
    /// the element as after a takeover.
    fn own_again(
        &mut self,
        from: Idx,
        pool_handle: PoolHandle<'_>,
        element: &PoolElementParam<'_>,
    ) -> Result<(), RecvError> {
        if self.startup.is_serving() || self.element(pool_handle, element.id).is_some() {
            return Ok(());
        }
        let lifetime = self.dialect(from).lifetime_in(element.lifetime);
        let registration = Registration { home: self.id, lifetime, ..Registration::from(*element) };
        let registered =
            self.handlespace.register(self.now, pool_handle, &registration).map_err(|_| RecvError::Full)?;
        self.pool_changed(registered.pool);
        let now = self.now;
        self.watch(registered.element, WatchState::Claimed, now);
        Ok(())
    }
}
