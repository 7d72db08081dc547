//! Pools.

use super::hash::Chained;
use crate::arena::{Idx, Slot};
use crate::policy::Order;
use crate::wire::{PoolHandle, TransportKind};

/// A pool's slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    pub(super) order: Order,
    /// 0 in a free slot.
    pub(super) generation: u32,
    pub(super) hash: u32,
    chain: Idx,
    /// The list of elements, by its first.
    pub(super) elements: Idx,
    pub(super) count: u32,
    pub(super) policy_type: u32,
    /// The parameter type of the elements' user transports.
    pub(super) transport_type: u16,
    /// Their transport use, as its number on the wire.
    pub(super) transport_use: u16,
    pub(super) handle_len: u16,
    pub(super) state: PoolState,
}

/// What a registrar keeps per pool; the handlespace does not look at it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PoolState {
    /// Those who want to hear of changes: the first of a list of the registrar's own.
    pub(crate) subscribers: Idx,
    /// Whether they still have to be told of one.
    pub(crate) dirty: bool,
}

impl Pool {
    pub(super) const EMPTY: Pool = Pool {
        order: Order::EMPTY,
        generation: 0,
        hash: 0,
        chain: Idx::NIL,
        elements: Idx::NIL,
        count: 0,
        policy_type: 0,
        transport_type: 0,
        transport_use: 0,
        handle_len: 0,
        state: PoolState { subscribers: Idx::NIL, dirty: false },
    };
}

impl Default for Pool {
    fn default() -> Self {
        Pool::EMPTY
    }
}

impl Slot for Pool {
    fn next_free(&self) -> Idx {
        self.chain
    }
    fn set_next_free(&mut self, next: Idx) {
        self.chain = next;
    }
}

impl Chained for Pool {
    fn chain(&self) -> Idx {
        self.chain
    }
    fn set_chain(&mut self, next: Idx) {
        self.chain = next;
    }
}

/// A pool, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolView<'a> {
    /// Its name.
    pub handle: PoolHandle<'a>,
    /// The policy type that all elements have.
    pub policy_type: u32,
    /// The transport protocol that all elements have.
    pub transport: TransportKind,
    /// Whether the elements' user transports are control channels as well (RFC 5354, 3.4).
    pub data_plus_control: bool,
    /// How many elements there are, at least 1.
    pub elements: u32,
}
