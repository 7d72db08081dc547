//! Updates of the handlespace (RFC 5353, 3.3): what peers are told of one's own elements, and what they tell of theirs.

use core::time::Duration;

use super::peers::Peers;
use super::{Registrar, RemovalReason};
use crate::arena::Idx;
use crate::handlespace::{ElementRef, RegisterError, Registration, WatchState};
use crate::scratch::Scratch;
use crate::wire::enrp::{HandleUpdate, UpdateAction};
use crate::wire::param::POOL_ELEMENT;
use crate::wire::{EmitError, Lifetime, PoolElementParam, PoolHandle, Writer};
use crate::{AssocId, Instant, PeId, RecvError, ServerId};

const HANDLE_UPDATE: u8 = 0x04;
const TAKEOVER_SUGGESTED: u8 = 0x01;

/// How long to wait before an element is asked whose it is: one that has just gone to another registrar closes its
/// association meanwhile. It also keeps two elements with the same identifier from being moved to and fro without a pause.
pub(super) const CONTEST_DELAY: Duration = Duration::from_millis(500);

/// The announcement that is being made. Since a machine is drained after each input, and looks after one element at a
/// time, there is one at most.
pub(super) struct PendingUpdate<'s> {
    what: What,
    /// The last peer that was told.
    told: Idx,
    id: PeId,
    lifetime: Lifetime,
    /// Of an element that is gone already: the pool's handle and the parameters.
    handle: Scratch<'s>,
    parameters: Scratch<'s>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Nothing,
    Add(ElementRef),
    Delete,
}

impl<'s> PendingUpdate<'s> {
    pub(super) fn new(handle: Scratch<'s>, parameters: Scratch<'s>) -> Self {
        let nothing = Lifetime::from_wire(0);
        PendingUpdate { what: What::Nothing, told: Idx::NIL, id: PeId(0), lifetime: nothing, handle, parameters }
    }

    pub(super) fn is_pending(&self) -> bool {
        self.what != What::Nothing
    }
}

/// The next peer after `after` that is told of changes: each with which there is an association.
fn next_told(peers: &Peers<'_>, after: Idx) -> Idx {
    let mut at = peers.after(after);
    while at.is_some() && (peers.at(at).assoc.is_none() || !peers.at(at).lives()) {
        at = peers.after(at);
    }
    at
}

impl Registrar<'_> {
    /// RFC 5353, 3.3.1: all peers are told of an element of one's own that is new or has changed.
    pub(super) fn announce_add(&mut self, element: ElementRef) {
        if next_told(&self.peers, Idx::NIL).is_some() {
            self.update.what = What::Add(element);
            self.update.told = Idx::NIL;
        }
    }

    /// RFC 5353, 3.3.2: all peers are told of an element of one's own that is about to be removed.
    pub(super) fn announce_delete(&mut self, element: ElementRef) {
        if next_told(&self.peers, Idx::NIL).is_nil() {
            return;
        }
        let Some(view) = self.handlespace.element(element) else { return };
        let Some(pool) = self.handlespace.pool(view.pool) else { return };
        let update = &mut self.update;
        // The buffers are as long as the handlespace's.
        if update.handle.set(pool.handle.as_bytes()) && update.parameters.set(self.handlespace.parameter_bytes(element))
        {
            (update.id, update.lifetime) = (view.id, view.lifetime);
            update.what = What::Delete;
            update.told = Idx::NIL;
        }
    }

    /// The announcement, to the next peer.
    pub(super) fn poll_update(&mut self, buf: &mut [u8]) -> Option<Result<(AssocId, usize), EmitError>> {
        while self.update.is_pending() {
            let to = next_told(&self.peers, self.update.told);
            let Some(assoc) = self.peers.at(to).assoc else {
                self.update.what = What::Nothing;
                return None;
            };
            let written = match self.update.what {
                What::Add(element) => self.write_add(to, element, false, buf),
                _ => self.write_delete(to, buf),
            };
            match written {
                Some(Err(error @ EmitError::BufferTooSmall { .. })) => return Some(Err(error)),
                Some(Ok(len)) => {
                    self.update.told = to;
                    self.stats.handle_updates = self.stats.handle_updates.wrapping_add(1);
                    return Some(Ok((assoc, len)));
                }
                // It cannot be told to this peer.
                Some(Err(EmitError::TooLong)) | None => self.update.told = to,
            }
        }
        None
    }

    /// An ADD_PE. `None`: the peer cannot be told of it.
    pub(super) fn write_add(
        &self,
        to: Idx,
        element: ElementRef,
        suggest: bool,
        buf: &mut [u8],
    ) -> Option<Result<usize, EmitError>> {
        let view = self.handlespace.element(element)?;
        let handle = self.handlespace.pool(view.pool)?.handle;
        let flags = if suggest { TAKEOVER_SUGGESTED } else { 0 };
        let parameters = self.handlespace.parameter_bytes(element);
        self.write_update(to, flags, UpdateAction::Add, handle, (view.id, view.lifetime, parameters), buf)
    }

    fn write_delete(&self, to: Idx, buf: &mut [u8]) -> Option<Result<usize, EmitError>> {
        let update = &self.update;
        let handle = PoolHandle::new(update.handle.get())?;
        let element = (update.id, update.lifetime, update.parameters.get());
        self.write_update(to, 0, UpdateAction::Delete, handle, element, buf)
    }

    fn write_update(
        &self,
        to: Idx,
        flags: u8,
        action: UpdateAction,
        handle: PoolHandle<'_>,
        (id, lifetime, parameters): (PeId, Lifetime, &[u8]),
        buf: &mut [u8],
    ) -> Option<Result<usize, EmitError>> {
        let dialect = self.dialect(to);
        if !dialect.takes_handle(handle) {
            return None;
        }
        let mut w = Writer::new(buf);
        w.message(HANDLE_UPDATE, flags, |w| {
            w.u32(self.id.0);
            w.u32(dialect.announced_to(self.peers.at(to).id).0);
            w.u16(action.to_wire());
            w.u16(0);
            handle.emit_into(w);
            w.tlv(POOL_ELEMENT, |w| {
                w.u32(id.0);
                w.u32(self.id.0);
                w.u32(dialect.lifetime_out(lifetime).to_wire().cast_unsigned());
                w.items(parameters);
            });
        });
        Some(w.finish().map(<[u8]>::len))
    }

    /// A peer tells of a change.
    pub(super) fn handle_update(&mut self, from: Idx, message: &HandleUpdate<'_>) -> Result<(), RecvError> {
        let HandleUpdate { action, pool_handle, element, takeover_suggested } = message;
        let sender = self.peers.at(from).id;
        match action {
            UpdateAction::Add => {
                // Only the home announces an element (3.3.1). What names another home is no news of the sender's.
                if element.home != sender && !element.home.is_none() {
                    return Err(RecvError::NotOwner);
                }
                let element = self.add_from_peer(from, *pool_handle, element, sender, Source::Update)?;
                if *takeover_suggested {
                    let now = self.now;
                    self.watch(element, WatchState::Claimed, now);
                }
                Ok(())
            }
            UpdateAction::Delete => {
                // "If the peer fails to find the PE or the pool ..., it SHOULD take no further actions" (3.3.2).
                let Some(found) = self.element(*pool_handle, element.id) else { return Ok(()) };
                // One that another registrar owns by now is none of the sender's to remove: the message is late.
                if self.home_of(found) != Some(sender) {
                    return Err(RecvError::NotOwner);
                }
                if self.is_connected(found) {
                    // It was contested, and the other side has just given it up.
                    self.become_home(found)
                } else {
                    self.remove(found, RemovalReason::ByHome);
                    Ok(())
                }
            }
        }
    }

    /// Takes an element of a peer into the copy of the handlespace: rules 1 to 3 of RFC 5353, 3.3.1, and A to C of 3.2.3.
    pub(super) fn add_from_peer(
        &mut self,
        from: Idx,
        pool_handle: PoolHandle<'_>,
        element: &PoolElementParam<'_>,
        home: ServerId,
        source: Source,
    ) -> Result<ElementRef, RecvError> {
        let lifetime = self.dialect(from).lifetime_in(element.lifetime);
        if !lifetime.is_valid() {
            return Err(RecvError::Unexpected);
        }
        let known = self.element(pool_handle, element.id);
        let contested = known.filter(|known| self.is_connected(*known));
        // A table shows what a peer believes, which may be older than what this registrar knows first-hand.
        if let (Some(contested), Source::Table) = (contested, source) {
            self.contest(contested);
            return Ok(contested);
        }
        let registration = Registration { home, lifetime, ..Registration::from(*element) };
        let unchanged = known.is_some_and(|known| self.is_registered_as(known, &registration));
        let given_up = known.filter(|known| self.home_of(*known) == Some(self.id));
        let given_up = given_up.map(|known| (known, self.after(known, true)));
        let registered = match self.handlespace.register(self.now, pool_handle, &registration) {
            Ok(registered) => registered,
            Err(error) => return Err(self.cannot_add(error, pool_handle, home)),
        };
        if let Some((known, next)) = given_up {
            self.step_over_own(known, next);
        }
        if !unchanged {
            self.pool_changed(registered.pool);
        }
        match contested {
            Some(contested) => self.contest(contested),
            None => self.watch_as_foreign(registered.element),
        }
        self.leave_progress();
        Ok(registered.element)
    }

    /// An element does not fit in. Two registrars can have made one pool with different policies or transports before
    /// they heard of each other; then all registrars have to settle on the same one of them: the pool of the home with
    /// the greatest identifier stays.
    fn cannot_add(&mut self, error: RegisterError, pool_handle: PoolHandle<'_>, home: ServerId) -> RecvError {
        use RegisterError::{InconsistentControlChannel, InconsistentPolicy, InconsistentTransport};
        info!("an element of {} cannot be added to pool {}: {}", home, pool_handle, error);
        if !matches!(error, InconsistentPolicy | InconsistentTransport | InconsistentControlChannel) {
            return RecvError::Full;
        }
        let Some(pool) = self.handlespace.find_pool(pool_handle) else { return RecvError::Full };
        let greatest = {
            let mut greatest = ServerId::NONE;
            let mut at = self.handlespace.next_element(pool, None);
            while let Some(element) = at {
                greatest = greatest.max(self.home_of(element).unwrap_or(ServerId::NONE));
                at = self.handlespace.next_element(pool, Some(element));
            }
            greatest
        };
        if home > greatest {
            // They go one by one, each with its announcement; the newcomer is seen again by the next audit.
            let now = self.now;
            let mut at = self.handlespace.next_element(pool, None);
            while let Some(element) = at {
                self.watch(element, WatchState::Outranked, now);
                at = self.handlespace.next_element(pool, Some(element));
            }
        }
        RecvError::NotOwner
    }

    /// Whether what is known of an element is known first-hand: their association is open. It is this registrar's own, or
    /// contested.
    pub(super) fn is_connected(&self, element: ElementRef) -> bool {
        self.assoc_of(element).is_some_and(|assoc| self.assocs.get(assoc).is_some())
    }

    /// An element of another registrar, or one that another one wants, is this one's, and all peers are told.
    pub(super) fn become_home(&mut self, element: ElementRef) -> Result<(), RecvError> {
        if self.handlespace.set_home(element, self.id).is_err() {
            return Err(RecvError::Full);
        }
        if let Some(watch) = self.handlespace.watch_mut(element) {
            watch.set_contested(false);
        }
        self.announce_add(element);
        if let Some(pool) = self.pool_of(element) {
            self.pool_changed(pool);
        }
        Ok(())
    }

    /// Another registrar holds itself for the home of an element that is connected to this one. The element itself knows:
    /// it is asked, and if it answers it is this registrar's (`keep_alive_ack`).
    pub(super) fn contest(&mut self, element: ElementRef) {
        let Some(watch) = self.handlespace.watch_mut(element) else { return };
        if self.leave.is_leaving() {
            // It was offered, and taken.
            return self.watch_as_foreign(element);
        }
        watch.set_contested(true);
        if !matches!(watch.state, WatchState::KeepAliveSent | WatchState::ProbeWanted) {
            let due = self.now + CONTEST_DELAY;
            self.watch(element, WatchState::ProbeWanted, due);
        }
    }

    /// Nothing is to be done for an element of a peer but to forget it if it is never heard of again.
    pub(super) fn watch_as_foreign(&mut self, element: ElementRef) {
        self.unbind(element);
        if let Some(watch) = self.handlespace.watch_mut(element) {
            watch.set_contested(false);
        }
        self.watch(element, WatchState::Idle, Instant::MAX);
    }
}

/// Where an element of a peer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// ENRP_HANDLE_UPDATE: its home has just heard from it.
    Update,
    /// ENRP_HANDLE_TABLE_RESPONSE: the sender has it in its handlespace.
    Table,
}
