//! The handle translation cache (RFC 5352, 3.3, C1 to C4): pools and their elements in the registrar's order.

use super::event::{ResolveError, Unresolved};
use super::storage::ResolverStorage;
use crate::arena::{Arena, Idx, Slot};
use crate::blobs::Blobs;
use crate::compat::Dialect;
use crate::wire::{List, Policy, PoolElementParam, PoolHandle};
use crate::{AssocId, Instant, PeId};

/// A pool in the cache. It is valid until the entry makes room for another pool or is purged; to use it afterwards is
/// harmless and answered by `None` or an error. It is of use only with the machine that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Resolution {
    pub(crate) pool: Idx,
    pub(crate) generation: u32,
}

/// Where the request for a pool stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Request {
    #[default]
    None,
    /// To be sent as soon as there is a home registrar, unless there is none until then.
    Wanted(Instant),
    /// T1-ENRPrequest runs until then.
    Sent(Instant),
}

/// What is known of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    #[default]
    None,
    /// Good until then; `Instant::MAX` while updates keep it fresh.
    Positive(Instant),
    /// There is none, for this reason; a subscription asks again then.
    Negative(Unresolved, Instant),
}

/// A place for a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CachePool {
    pub(crate) next_free: Idx,
    pub(crate) generation: u32,
    pub(crate) in_use: bool,
    pub(crate) handle_len: u16,
    pub(crate) used_at: Instant,
    pub(crate) request: Request,
    pub(crate) attempts: u32,
    pub(crate) answer: Answer,
    /// The user wants updates.
    pub(crate) subscribe: bool,
    /// The request that is under way, or was answered last, asked for them.
    pub(crate) asked_for_updates: bool,
    /// The registrar behind this association sends them.
    pub(crate) updates_from: Option<AssocId>,
    pub(crate) policy_type: u32,
    pub(crate) elements: Idx,
    /// The policy's position in the list.
    pub(crate) cursor: u32,
}

impl CachePool {
    pub(crate) const EMPTY: CachePool = CachePool {
        next_free: Idx::NIL,
        generation: 0,
        in_use: false,
        handle_len: 0,
        used_at: Instant::ZERO,
        request: Request::None,
        attempts: 0,
        answer: Answer::None,
        subscribe: false,
        asked_for_updates: false,
        updates_from: None,
        policy_type: 0,
        elements: Idx::NIL,
        cursor: 0,
    };

    /// Nothing keeps the answer fresh any more: it is good until then.
    pub(crate) fn end_updates(&mut self, until: Instant) {
        if self.answer == Answer::Positive(Instant::MAX) {
            self.answer = Answer::Positive(until);
        }
    }
}

impl Default for CachePool {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Slot for CachePool {
    fn next_free(&self) -> Idx {
        self.next_free
    }
    fn set_next_free(&mut self, next: Idx) {
        self.next_free = next;
    }
}

/// A place for a pool element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheElement {
    /// In the pool's list, or of the free list.
    pub(crate) next: Idx,
    pub(crate) id: PeId,
    pub(crate) data_len: u16,
    /// The values of its policy; private ones without their data.
    pub(crate) policy: Policy<'static>,
    /// It was handed to the user, so the user can report it.
    pub(crate) given: bool,
    /// The user could not reach it. It is passed over until the registrar names it again.
    pub(crate) failed: bool,
    /// The failure is still to be reported to the registrar.
    pub(crate) report: bool,
    /// A new list names it, too (while the list is replaced).
    keep: bool,
}

impl CacheElement {
    pub(crate) const EMPTY: CacheElement = CacheElement {
        next: Idx::NIL,
        id: PeId(0),
        data_len: 0,
        policy: Policy::RoundRobin,
        given: false,
        failed: false,
        report: false,
        keep: false,
    };
}

impl Default for CacheElement {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Slot for CacheElement {
    fn next_free(&self) -> Idx {
        self.next
    }
    fn set_next_free(&mut self, next: Idx) {
        self.next = next;
    }
}

#[derive(Debug)]
pub(crate) struct Cache<'s> {
    pub(crate) pools: Arena<'s, CachePool>,
    pub(crate) elements: Arena<'s, CacheElement>,
    handles: Blobs<'s>,
    data: Blobs<'s>,
    generation: u32,
}

impl<'s> Cache<'s> {
    pub(crate) fn lent<const POOLS: usize, const ELEMENTS: usize, const HANDLE: usize, const DATA: usize>(
        storage: &'s mut ResolverStorage<POOLS, ELEMENTS, HANDLE, DATA>,
    ) -> Self {
        Cache {
            pools: Arena::lent(&mut storage.pools),
            elements: Arena::lent(&mut storage.elements),
            handles: Blobs::lent(&mut storage.handles),
            data: Blobs::lent(&mut storage.data),
            generation: 0,
        }
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn growable(pools: u32, elements: u32) -> Self {
        Cache {
            pools: Arena::growable(pools),
            elements: Arena::growable(elements),
            handles: Blobs::growable(),
            data: Blobs::growable(),
            generation: 0,
        }
    }

    pub(crate) fn handle(&self, pool: Idx) -> &[u8] {
        self.handles.get(pool, usize::from(self.pools.at(pool).handle_len))
    }

    /// All pools that are in use, in the order of their places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Idx> + use<'_, 's> {
        let mut at = Idx::NIL;
        core::iter::from_fn(move || {
            loop {
                at = self.pools.after(at)?;
                if self.pools.at(at).in_use {
                    return Some(at);
                }
            }
        })
    }

    pub(crate) fn find(&self, handle: &[u8]) -> Option<Idx> {
        self.iter().find(|pool| self.handle(*pool) == handle)
    }

    pub(crate) fn resolution(&self, pool: Idx) -> Resolution {
        Resolution { pool, generation: self.pools.at(pool).generation }
    }

    /// The pool behind a resolution, if it is still the same.
    pub(crate) fn pool(&self, resolution: Resolution) -> Option<Idx> {
        let pool = self.pools.at(resolution.pool);
        (pool.in_use && pool.generation == resolution.generation).then_some(resolution.pool)
    }

    /// A place for a pool that is not known yet. The pool that was not used for longest makes room, unless it has a
    /// request under way or is subscribed to.
    pub(crate) fn insert(&mut self, now: Instant, handle: PoolHandle<'_>) -> Result<Idx, ResolveError> {
        let bytes = handle.as_bytes();
        let handle_len = u16::try_from(bytes.len()).map_err(|_| ResolveError::BadHandle)?;
        if !self.handles.fits(bytes.len()) {
            return Err(ResolveError::BadHandle);
        }
        if self.pools.is_full() {
            let idle = |p: &Idx| self.pools.at(*p).request == Request::None && !self.pools.at(*p).subscribe;
            let oldest = self.iter().filter(idle).min_by_key(|p| self.pools.at(*p).used_at);
            self.remove(oldest.ok_or(ResolveError::Full)?);
        }
        let pool = self.pools.allocate().ok_or(ResolveError::Full)?;
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let entry = self.pools.at_mut(pool);
        entry.in_use = true;
        entry.generation = generation;
        entry.handle_len = handle_len;
        entry.used_at = now;
        self.handles.set(pool, bytes);
        Ok(pool)
    }

    pub(crate) fn remove(&mut self, pool: Idx) {
        self.clear(pool);
        self.pools.release(pool);
    }

    pub(crate) fn clear(&mut self, pool: Idx) {
        let mut at = core::mem::take(&mut self.pools.at_mut(pool).elements);
        while at.is_some() {
            let next = self.elements.at(at).next;
            self.elements.release(at);
            at = next;
        }
    }

    /// The elements of a pool, in order.
    pub(crate) fn elements_of(&self, pool: Idx) -> impl Iterator<Item = Idx> + Clone + use<'_, 's> {
        let first = self.pools.at(pool).elements;
        core::iter::successors(Some(first), |at| Some(self.elements.at(*at).next)).take_while(|at| at.is_some())
    }

    pub(crate) fn element_by_id(&self, pool: Idx, id: PeId) -> Option<Idx> {
        self.elements_of(pool).find(|e| self.elements.at(*e).id == id)
    }

    /// An element as the registrar described it.
    pub(crate) fn view(&self, element: Idx) -> Option<PoolElementParam<'_>> {
        let len = usize::from(self.elements.at(element).data_len);
        PoolElementParam::parse(self.data.get(element, len)).ok()
    }

    /// Replaces a pool's elements by those of an answer, in its order. What the user has been given and has reported
    /// stays with an element that stays; it is no failed one any more. Gives how many did not fit.
    pub(crate) fn replace(&mut self, pool: Idx, list: &List<'_, PoolElementParam<'_>>, dialect: Dialect) -> usize {
        // First the ones that are gone make room.
        for new in list.iter() {
            if let Some(old) = self.element_by_id(pool, new.id) {
                self.elements.at_mut(old).keep = true;
            }
        }
        let mut old = core::mem::take(&mut self.pools.at_mut(pool).elements);
        let mut kept = Idx::NIL;
        while old.is_some() {
            let next = self.elements.at(old).next;
            if core::mem::take(&mut self.elements.at_mut(old).keep) {
                self.elements.at_mut(old).next = kept;
                kept = old;
            } else {
                self.elements.release(old);
            }
            old = next;
        }
        let (mut last, mut lost) = (Idx::NIL, 0usize);
        for new in list.iter() {
            if self.element_by_id(pool, new.id).is_some() {
                continue; // a doubled entry
            }
            let place = match self.take_from(&mut kept, new.id) {
                Some(place) => Some(place),
                None => self.elements.allocate(),
            };
            let Some(place) = place else {
                lost = lost.saturating_add(1);
                continue;
            };
            let lifetime = dialect.lifetime_in(new.lifetime);
            if !self.store(place, &PoolElementParam { lifetime, ..new }) {
                self.elements.release(place);
                lost = lost.saturating_add(1);
                continue;
            }
            self.elements.at_mut(place).next = Idx::NIL;
            if last.is_nil() {
                self.pools.at_mut(pool).elements = place;
            } else {
                self.elements.at_mut(last).next = place;
            }
            last = place;
        }
        while kept.is_some() {
            let next = self.elements.at(kept).next;
            self.elements.release(kept);
            kept = next;
        }
        lost
    }

    /// Takes the element `id` out of the list that begins at `head`.
    fn take_from(&mut self, head: &mut Idx, id: PeId) -> Option<Idx> {
        let (mut before, mut at) = (Idx::NIL, *head);
        while at.is_some() {
            let next = self.elements.at(at).next;
            if self.elements.at(at).id == id {
                if before.is_nil() {
                    *head = next;
                } else {
                    self.elements.at_mut(before).next = next;
                }
                return Some(at);
            }
            before = at;
            at = next;
        }
        None
    }

    fn store(&mut self, place: Idx, new: &PoolElementParam<'_>) -> bool {
        let len = new.encoded_len();
        let Ok(data_len) = u16::try_from(len) else { return false };
        let Some(room) = self.data.make(place, len) else { return false };
        if new.emit(room).is_err() {
            return false;
        }
        let element = self.elements.at_mut(place);
        element.id = new.id;
        element.data_len = data_len;
        element.policy = new.policy.without_data();
        element.failed = false;
        true
    }
}
