//! Registration and removal (RFC 5352, 3.1 and 3.2).

use core::fmt;

use super::element::{Element, Layout};
use super::list;
use super::pool::Pool;
use super::{ElementRef, Handlespace, InPool, PoolRef};
use crate::arena::Idx;
use crate::policy::Values;
use crate::wire::{Lifetime, Policy, PoolElementParam, PoolHandle, Transport, padded_len};
use crate::{Instant, PeId, ServerId};

/// What is registered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Registration<'a> {
    /// The element's identifier.
    pub id: PeId,
    /// Its home registrar.
    pub home: ServerId,
    /// For how long.
    pub lifetime: Lifetime,
    /// Where its users find it.
    pub user_transport: Transport<'a>,
    /// Its part in the pool's policy.
    pub policy: Policy<'a>,
    /// Where registrars find it.
    pub asap_transport: Option<Transport<'a>>,
}

impl<'a> From<PoolElementParam<'a>> for Registration<'a> {
    fn from(element: PoolElementParam<'a>) -> Self {
        let PoolElementParam { id, home, lifetime, user_transport, policy, asap_transport } = element;
        Registration { id, home, lifetime, user_transport, policy, asap_transport }
    }
}

/// What a registration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum RegisteredKind {
    /// The element is the first of a new pool.
    NewPool,
    /// The element is new in its pool.
    NewElement,
    /// The element was there and has new attributes.
    Update,
}

/// A registration that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Registered {
    /// The pool.
    pub pool: PoolRef,
    /// The element.
    pub element: ElementRef,
    /// What it did.
    pub kind: RegisteredKind,
}

/// Why a registration was not accepted. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RegisterError {
    /// The policy type is not the pool's.
    InconsistentPolicy,
    /// The transport protocol is not the pool's.
    InconsistentTransport,
    /// The transport use (data only, data plus control) is not the pool's.
    InconsistentControlChannel,
    /// There is no room for a new pool.
    PoolsFull,
    /// There is no room for a new element.
    ElementsFull,
    /// There is no room for a new home registrar.
    OwnersFull,
    /// The pool handle is longer than the storage's.
    HandleTooLong,
    /// The transports and the policy are longer than the storage has room for, or than any message.
    DataTooLong,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RegisterError::InconsistentPolicy => "policy type inconsistent with the pool's",
            RegisterError::InconsistentTransport => "transport type inconsistent with the pool's",
            RegisterError::InconsistentControlChannel => "data/control channel usage inconsistent with the pool's",
            RegisterError::PoolsFull => "no room for another pool",
            RegisterError::ElementsFull => "no room for another pool element",
            RegisterError::OwnersFull => "no room for another home registrar",
            RegisterError::HandleTooLong => "pool handle too long",
            RegisterError::DataTooLong => "transports and policy too long",
        })
    }
}

impl core::error::Error for RegisterError {}

/// What a removal did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Removed {
    /// The pool that the element was in.
    pub pool: PoolRef,
    /// Whether it was the last one, and the pool is gone as well.
    pub pool_removed: bool,
    /// The pool's subscribers, where the pool is gone; otherwise they are still in its state.
    pub(crate) subscribers: Idx,
}

impl Layout {
    fn of(registration: &Registration<'_>) -> Option<Self> {
        let asap = registration.asap_transport.as_ref().map_or(0, Transport::encoded_len);
        Some(Layout {
            user: u16::try_from(registration.user_transport.encoded_len()).ok()?,
            policy: u16::try_from(registration.policy.encoded_len()).ok()?,
            asap: u16::try_from(asap).ok()?,
        })
    }
}

impl Handlespace<'_> {
    /// Registers an element, or registers it again (RFC 5352, 3.1, rules 1 to 3).
    ///
    /// The first element of a pool decides on its policy type, transport type and transport use; all others must have
    /// the same, and the first one too when it registers again. A re-registration replaces the attributes and sets the
    /// degradation counter of Least Used with Degradation and the count of bad reports to 0; where it changes nothing
    /// about the rank, the element keeps its turn. The timer is left as it is.
    ///
    /// # Errors
    /// The registration is not consistent with the pool, or there is no room. Nothing has changed then.
    pub fn register(
        &mut self,
        now: Instant,
        handle: PoolHandle<'_>,
        registration: &Registration<'_>,
    ) -> Result<Registered, RegisterError> {
        let bytes = handle.as_bytes();
        let hash = self.keys.bytes(bytes);
        let found = self.pool_slot(bytes, hash);
        let element = self.element_slot(found, registration.id);
        let layout = self.check(bytes, registration, found, element)?;

        let kind = match (found.is_nil(), element.is_nil()) {
            (true, _) => RegisteredKind::NewPool,
            (false, true) => RegisteredKind::NewElement,
            (false, false) => RegisteredKind::Update,
        };
        let pool = if found.is_nil() { self.add_pool(bytes, hash, registration)? } else { found };
        let i = if element.is_nil() { self.add_element(pool, registration)? } else { element };
        self.write(i, layout, registration);
        self.move_to_owner(i, registration.home);

        let slot = self.elements.at_mut(i);
        slot.layout = layout;
        slot.lifetime = registration.lifetime;
        slot.expires = registration.lifetime.duration().map_or(Instant::MAX, |life| now + life);
        slot.watch.mark(false);
        let values = Values::from(&registration.policy);
        let Pool { policy_type, order, .. } = self.pools.at_mut(pool);
        if kind == RegisteredKind::Update {
            slot.watch.forgive();
            self.ranking.update(*policy_type, order, &mut self.elements, i, values);
        } else {
            self.ranking.insert(*policy_type, order, &mut self.elements, i, values);
        }
        Ok(Registered { pool: self.pool_ref(pool), element: self.element_ref(i), kind })
    }

    /// Everything that can be wrong with a registration in `pool` of `element`, which may both be nil.
    fn check(
        &self,
        handle: &[u8],
        registration: &Registration<'_>,
        pool: Idx,
        element: Idx,
    ) -> Result<Layout, RegisterError> {
        if pool.is_some() {
            let slot = self.pools.at(pool);
            if slot.policy_type != registration.policy.policy_type() {
                return Err(RegisterError::InconsistentPolicy);
            }
            if slot.transport_type != registration.user_transport.kind().parameter_type() {
                return Err(RegisterError::InconsistentTransport);
            }
            if slot.transport_use != registration.user_transport.transport_use().number() {
                return Err(RegisterError::InconsistentControlChannel);
            }
        } else if handle.len() > self.handle_limit {
            return Err(RegisterError::HandleTooLong);
        } else if self.pools.is_full() {
            return Err(RegisterError::PoolsFull);
        }
        if element.is_nil() && self.elements.is_full() {
            return Err(RegisterError::ElementsFull);
        }
        if !self.can_own(registration.home, element) {
            return Err(RegisterError::OwnersFull);
        }
        Layout::of(registration)
            .filter(|layout| self.data.fits(padded_len(layout.end())))
            .ok_or(RegisterError::DataTooLong)
    }

    fn add_pool(&mut self, handle: &[u8], hash: u32, registration: &Registration<'_>) -> Result<Idx, RegisterError> {
        let handle_len = u16::try_from(handle.len()).map_err(|_| RegisterError::HandleTooLong)?;
        self.pool_index.make_room(&mut self.pools, |pool| (pool.generation != 0).then_some(pool.hash));
        let generation = self.next_generation();
        let i = self.pools.allocate().ok_or(RegisterError::PoolsFull)?;
        let slot = self.pools.at_mut(i);
        slot.generation = generation;
        slot.hash = hash;
        slot.handle_len = handle_len;
        slot.policy_type = registration.policy.policy_type();
        slot.transport_type = registration.user_transport.kind().parameter_type();
        slot.transport_use = registration.user_transport.transport_use().number();
        self.pool_index.insert(&mut self.pools, hash, i);
        self.handles.set(i, handle);
        Ok(i)
    }

    fn add_element(&mut self, pool: Idx, registration: &Registration<'_>) -> Result<Idx, RegisterError> {
        let keys = self.keys;
        let hash =
            |element: &Element| (element.generation != 0).then(|| keys.pair(element.pool.number(), element.id.0));
        self.element_index.make_room(&mut self.elements, hash);
        self.bindings.make_room(&mut self.elements);
        let generation = self.next_generation();
        let i = self.elements.allocate().ok_or(RegisterError::ElementsFull)?;
        let slot = self.elements.at_mut(i);
        slot.generation = generation;
        slot.id = registration.id;
        slot.pool = pool;
        self.element_index.insert(&mut self.elements, keys.pair(pool.number(), registration.id.0), i);
        let slot = self.pools.at_mut(pool);
        slot.count += 1;
        list::append::<InPool, _>(&mut self.elements, &mut slot.elements, i);
        Ok(i)
    }

    /// Writes an element's parameters into its room, with padding.
    fn write(&mut self, i: Idx, layout: Layout, registration: &Registration<'_>) {
        let end = layout.end();
        let Some(room) = self.data.make(i, padded_len(end)) else { return };
        // The padding: the last word of each parameter starts as zeros. (To clear it all takes longer than to write it.)
        for end in [usize::from(layout.user), layout.policy_end(), end] {
            let last = padded_len(end).saturating_sub(4);
            if let Some(word) = room.get_mut(last..).and_then(|rest| rest.first_chunk_mut::<4>()) {
                *word = [0; 4];
            }
        }
        // There is room for what was measured: the results of writing say nothing new.
        let _ = registration.user_transport.emit(room);
        if let Some(room) = room.get_mut(layout.policy_at()..) {
            let _ = registration.policy.emit(room);
        }
        if let (Some(room), Some(transport)) = (room.get_mut(layout.asap_at()..), &registration.asap_transport) {
            let _ = transport.emit(room);
        }
    }

    /// The registration of an element is good for its whole lifetime again, from `now` on.
    pub(crate) fn renew(&mut self, now: Instant, element: ElementRef) {
        if let Some(i) = self.live(element) {
            let slot = self.elements.at_mut(i);
            slot.expires = slot.lifetime.duration().map_or(Instant::MAX, |life| now + life);
        }
    }

    /// Removes an element, and its pool with the last one. `None` where it is gone already.
    pub fn remove(&mut self, element: ElementRef) -> Option<Removed> {
        let i = self.live(element)?;
        let Element { pool, id, .. } = *self.elements.at(i);
        let reference = self.pool_ref(pool);
        self.timers.clear(&mut self.elements, i);
        self.bindings.remove(&mut self.elements, i);
        self.leave_owner(i);
        self.element_index.remove(&mut self.elements, self.keys.pair(pool.number(), id.0), i);

        let slot = self.pools.at_mut(pool);
        self.ranking.remove(slot.policy_type, &mut slot.order, &mut self.elements, i);
        list::unlink::<InPool, _>(&mut self.elements, &mut slot.elements, i);
        slot.count = slot.count.saturating_sub(1);
        let pool_removed = slot.count == 0;
        let (hash, subscribers) = (slot.hash, slot.state.subscribers);
        self.elements.release(i);
        self.data.release(i);
        if pool_removed {
            self.pool_index.remove(&mut self.pools, hash, pool);
            self.pools.release(pool);
            self.handles.release(pool);
        }
        let subscribers = if pool_removed { subscribers } else { Idx::NIL };
        Some(Removed { pool: reference, pool_removed, subscribers })
    }
}
