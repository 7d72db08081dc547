//! Dynamic updates (the S and A bits, RFC 5352, 2.2.5 and 2.2.6): who wants to hear of which pool.

use crate::AssocId;
use crate::arena::{Arena, Idx, Slot};
use crate::blobs::Blobs;

/// A place for a subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscription {
    pub(crate) assoc: AssocId,
    handle_len: u16,
    /// The pool exists; when it is gone, the subscriber is told so once, and that ends it.
    pub(crate) pool_exists: bool,
    dirty: bool,
    next_dirty: Idx,
    /// Of the same pool.
    prev_in_pool: Idx,
    next_in_pool: Idx,
    /// Of the same association, or of the free list.
    prev_in_assoc: Idx,
    next_in_assoc: Idx,
}

impl Subscription {
    pub(crate) const EMPTY: Subscription = Subscription {
        assoc: AssocId { slot: 0, generation: 0 },
        handle_len: 0,
        pool_exists: false,
        dirty: false,
        next_dirty: Idx::NIL,
        prev_in_pool: Idx::NIL,
        next_in_pool: Idx::NIL,
        prev_in_assoc: Idx::NIL,
        next_in_assoc: Idx::NIL,
    };
}

impl Default for Subscription {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Slot for Subscription {
    fn next_free(&self) -> Idx {
        self.next_in_assoc
    }
    fn set_next_free(&mut self, next: Idx) {
        self.next_in_assoc = next;
    }
}

/// All subscriptions, and a queue of those whose pool has changed. Each keeps the pool's handle, since it may outlive
/// the pool by one message.
#[derive(Debug)]
pub(crate) struct Subscriptions<'s> {
    slots: Arena<'s, Subscription>,
    handles: Blobs<'s>,
    first_dirty: Idx,
    last_dirty: Idx,
}

impl<'s> Subscriptions<'s> {
    pub(crate) fn lent<const HANDLE: usize>(slots: &'s mut [Subscription], handles: &'s mut [[u8; HANDLE]]) -> Self {
        Self::over(Arena::lent(slots), Blobs::lent(handles))
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn growable(limit: u32) -> Self {
        Self::over(Arena::growable(limit), Blobs::growable())
    }

    fn over(slots: Arena<'s, Subscription>, handles: Blobs<'s>) -> Self {
        Subscriptions { slots, handles, first_dirty: Idx::NIL, last_dirty: Idx::NIL }
    }

    pub(crate) fn at(&self, at: Idx) -> &Subscription {
        self.slots.at(at)
    }

    pub(crate) fn handle(&self, at: Idx) -> &[u8] {
        self.handles.get(at, usize::from(self.slots.at(at).handle_len))
    }

    pub(crate) fn count(&self) -> u32 {
        self.slots.len()
    }

    /// The subscription to a pool among those of an association, which begin at `assoc_head`. There are few of them, while
    /// a pool may have any number.
    pub(crate) fn find(&self, assoc_head: Idx, handle: &[u8]) -> Option<Idx> {
        let mut at = assoc_head;
        while at.is_some() && self.handle(at) != handle {
            at = self.slots.at(at).next_in_assoc;
        }
        at.is_some().then_some(at)
    }

    /// Puts a new subscription at the head of both lists. `false`: no place.
    pub(crate) fn add(&mut self, assoc: AssocId, handle: &[u8], pool_head: &mut Idx, assoc_head: &mut Idx) -> bool {
        let Ok(handle_len) = u16::try_from(handle.len()) else { return false };
        if !self.handles.fits(handle.len()) {
            return false;
        }
        let Some(at) = self.slots.allocate() else { return false };
        self.handles.set(at, handle);
        *self.slots.at_mut(at) = Subscription {
            assoc,
            handle_len,
            pool_exists: true,
            next_in_pool: *pool_head,
            next_in_assoc: *assoc_head,
            ..Subscription::EMPTY
        };
        self.slots.at_mut(*pool_head).prev_in_pool = at;
        self.slots.at_mut(*assoc_head).prev_in_assoc = at;
        *pool_head = at;
        *assoc_head = at;
        true
    }

    /// The pool has changed, or is gone for good: its subscribers are to be told. Says whether there are any.
    pub(crate) fn pool_changed(&mut self, pool_head: Idx, pool_exists: bool) -> bool {
        let mut at = pool_head;
        while at.is_some() {
            let slot = self.slots.at_mut(at);
            slot.pool_exists = pool_exists;
            let next = slot.next_in_pool;
            if !pool_exists {
                // The list's head goes with the pool.
                slot.prev_in_pool = Idx::NIL;
                slot.next_in_pool = Idx::NIL;
            }
            if !core::mem::replace(&mut slot.dirty, true) {
                slot.next_dirty = Idx::NIL;
                if self.last_dirty.is_some() {
                    self.slots.at_mut(self.last_dirty).next_dirty = at;
                } else {
                    self.first_dirty = at;
                }
                self.last_dirty = at;
            }
            at = next;
        }
        pool_head.is_some()
    }

    /// The next subscriber to be told. Those that ended in the meantime are let go of here.
    pub(crate) fn next_dirty(&mut self) -> Option<Idx> {
        while self.first_dirty.is_some() {
            let at = self.first_dirty;
            if self.slots.at(at).handle_len > 0 {
                return Some(at);
            }
            self.pop_dirty();
            self.slots.release(at);
        }
        None
    }

    /// The next subscriber has been told.
    pub(crate) fn pop_dirty(&mut self) {
        let at = self.first_dirty;
        let slot = self.slots.at_mut(at);
        slot.dirty = false;
        self.first_dirty = core::mem::take(&mut slot.next_dirty);
        if self.first_dirty.is_nil() {
            self.last_dirty = Idx::NIL;
        }
    }

    /// Ends a subscription. The heads of its lists are adapted if they point at it.
    pub(crate) fn remove(&mut self, at: Idx, pool_head: &mut Idx, assoc_head: &mut Idx) {
        let Subscription { prev_in_pool, next_in_pool, prev_in_assoc, next_in_assoc, dirty, .. } = *self.slots.at(at);
        if prev_in_pool.is_some() {
            self.slots.at_mut(prev_in_pool).next_in_pool = next_in_pool;
        } else if *pool_head == at {
            *pool_head = next_in_pool;
        }
        self.slots.at_mut(next_in_pool).prev_in_pool = prev_in_pool;
        if prev_in_assoc.is_some() {
            self.slots.at_mut(prev_in_assoc).next_in_assoc = next_in_assoc;
        } else if *assoc_head == at {
            *assoc_head = next_in_assoc;
        }
        self.slots.at_mut(next_in_assoc).prev_in_assoc = prev_in_assoc;
        if dirty {
            // It stands in the queue, which is singly linked: it goes when its turn comes.
            let next_dirty = self.slots.at(at).next_dirty;
            *self.slots.at_mut(at) = Subscription { dirty, next_dirty, ..Subscription::EMPTY };
        } else {
            self.slots.release(at);
        }
    }
}
