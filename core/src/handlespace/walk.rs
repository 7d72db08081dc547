//! Looking things up, and going from one to the next.

use super::list;
use super::pool::PoolState;
use super::{Element, ElementRef, ElementView, Handlespace, InPool, PoolRef, PoolView};
use crate::arena::Idx;
use crate::wire::{Lifetime, PoolHandle, TransportKind};
use crate::{Instant, PeId, ServerId};

impl Handlespace<'_> {
    /// How many pools there are.
    pub fn pools(&self) -> u32 {
        self.pools.len()
    }

    /// How many elements there are in all pools.
    pub fn elements(&self) -> u32 {
        self.elements.len()
    }

    /// The pool of a handle.
    pub fn find_pool(&self, handle: PoolHandle<'_>) -> Option<PoolRef> {
        let bytes = handle.as_bytes();
        let i = self.pool_slot(bytes, self.keys.bytes(bytes));
        i.is_some().then(|| self.pool_ref(i))
    }

    /// The element of a pool with this identifier.
    pub fn find_element(&self, pool: PoolRef, id: PeId) -> Option<ElementRef> {
        let i = self.element_slot(self.live_pool(pool)?, id);
        i.is_some().then(|| self.element_ref(i))
    }

    /// A pool, as it is now.
    pub fn pool(&self, pool: PoolRef) -> Option<PoolView<'_>> {
        let i = self.live_pool(pool)?;
        let slot = self.pools.at(i);
        Some(PoolView {
            handle: PoolHandle::new(self.handle_bytes(i))?,
            policy_type: slot.policy_type,
            transport: TransportKind::from_parameter_type(slot.transport_type)?,
            data_plus_control: slot.transport_use != 0,
            elements: slot.count,
        })
    }

    /// An element, as it is now.
    pub fn element(&self, element: ElementRef) -> Option<ElementView<'_>> {
        let i = self.live(element)?;
        let slot = self.elements.at(i);
        Some(ElementView {
            pool: self.pool_ref(slot.pool),
            id: slot.id,
            home: self.home(i),
            lifetime: slot.lifetime,
            expires: (slot.expires < Instant::MAX).then_some(slot.expires),
            user: self.user_transport_bytes(element),
            policy: self.policy_bytes(element),
            asap: self.asap_transport_bytes(element),
        })
    }

    /// What an answer to a pool user says about an element: its identifier, home, lifetime, and its user transport and
    /// policy as [`Handlespace::user_transport_and_policy_bytes`].
    #[inline]
    pub(crate) fn answered(&self, element: ElementRef) -> Option<(PeId, ServerId, Lifetime, &[u8])> {
        let i = self.live(element)?;
        let slot = self.elements.at(i);
        Some((slot.id, self.home(i), slot.lifetime, self.data.get(i, slot.layout.policy_end())))
    }

    /// The encoded user transport parameter of an element, without padding; empty where the element is gone.
    pub fn user_transport_bytes(&self, element: ElementRef) -> &[u8] {
        self.data(element, |slot| (0, usize::from(slot.layout.user)))
    }

    /// The encoded policy parameter of an element, without padding.
    pub fn policy_bytes(&self, element: ElementRef) -> &[u8] {
        self.data(element, |slot| (slot.layout.policy_at(), slot.layout.policy_end()))
    }

    /// The encoded ASAP transport parameter of an element, without padding; empty where it has none.
    pub fn asap_transport_bytes(&self, element: ElementRef) -> &[u8] {
        self.data(element, |slot| (slot.layout.asap_at(), slot.layout.end()))
    }

    /// The user transport and the policy one behind the other, as they stand in an answer to a pool user: padded
    /// between them, not after them.
    pub fn user_transport_and_policy_bytes(&self, element: ElementRef) -> &[u8] {
        self.data(element, |slot| (0, slot.layout.policy_end()))
    }

    /// All parameters of an element one behind the other, as they stand in a message between registrars: padded between
    /// them, not after them.
    pub fn parameter_bytes(&self, element: ElementRef) -> &[u8] {
        self.data(element, |slot| (0, slot.layout.end()))
    }

    #[inline]
    fn data(&self, element: ElementRef, range: impl FnOnce(&Element) -> (usize, usize)) -> &[u8] {
        let Some(i) = self.live(element) else { return &[] };
        let (start, end) = range(self.elements.at(i));
        self.data.get(i, end).get(start..).unwrap_or_default()
    }

    /// The next pool after `after`, the first for `None`, in the order of their slots.
    ///
    /// A pool that is there all the time of a walk is visited exactly once, whatever happens to the others: also after
    /// `after` itself is gone, the walk goes on behind it. A pool that comes meanwhile may or may not be visited.
    pub fn next_pool(&self, after: Option<PoolRef>) -> Option<PoolRef> {
        let mut i = self.pools.after(after.map_or(Idx::NIL, PoolRef::slot))?;
        while self.pools.at(i).generation == 0 {
            i = self.pools.after(i)?;
        }
        Some(self.pool_ref(i))
    }

    /// The next element of a pool after `after`, the first for `None`, in the order of their first registration.
    ///
    /// `None` also where `after` is gone: who keeps a place in this walk must move it on, with this function, before the
    /// element at that place is removed.
    pub fn next_element(&self, pool: PoolRef, after: Option<ElementRef>) -> Option<ElementRef> {
        let first = self.pools.at(self.live_pool(pool)?).elements;
        let i = match after {
            None => first,
            Some(element) => {
                let i = self.live(element).filter(|i| self.elements.at(*i).pool == pool.slot())?;
                list::after::<InPool, _>(&self.elements, first, i)
            }
        };
        i.is_some().then(|| self.element_ref(i))
    }

    /// The registrar's state of a pool.
    pub(crate) fn pool_state_mut(&mut self, pool: PoolRef) -> Option<&mut PoolState> {
        let i = self.live_pool(pool)?;
        Some(&mut self.pools.at_mut(i).state)
    }

    /// The pool with this handle and hash, or nil.
    pub(super) fn pool_slot(&self, handle: &[u8], hash: u32) -> Idx {
        self.pool_index.find(&self.pools, hash, |i, pool| {
            pool.hash == hash && usize::from(pool.handle_len) == handle.len() && self.handle_bytes(i) == handle
        })
    }

    /// The element with this identifier, or nil; nil for a nil pool.
    pub(super) fn element_slot(&self, pool: Idx, id: PeId) -> Idx {
        if pool.is_nil() {
            return Idx::NIL;
        }
        let hash = self.keys.pair(pool.number(), id.0);
        self.element_index.find(&self.elements, hash, |_, element| element.id == id && element.pool == pool)
    }

    pub(super) fn handle_bytes(&self, pool: Idx) -> &[u8] {
        let len = usize::from(self.pools.at(pool).handle_len);
        self.handles.get(pool, len)
    }

    pub(super) fn pool_ref(&self, i: Idx) -> PoolRef {
        PoolRef::new(i, self.pools.at(i).generation)
    }

    #[inline]
    pub(super) fn element_ref(&self, i: Idx) -> ElementRef {
        ElementRef::new(i, self.elements.at(i).generation)
    }

    /// The slot of an element that is still there.
    #[inline]
    pub(super) fn live(&self, element: ElementRef) -> Option<Idx> {
        let i = element.slot();
        (i.is_some() && self.elements.at(i).generation == element.generation()).then_some(i)
    }

    #[inline]
    pub(super) fn live_pool(&self, pool: PoolRef) -> Option<Idx> {
        let i = pool.slot();
        (i.is_some() && self.pools.at(i).generation == pool.generation()).then_some(i)
    }
}
