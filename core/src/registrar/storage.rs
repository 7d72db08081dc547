//! The memory of a registrar.

use super::assoc::AssocSlot;
use super::claim::Claim;
use super::peers::PeerSlot;
use super::subscription::Subscription;
use crate::handlespace::HandlespaceStorage;

/// The memory of a [`Registrar`](super::Registrar), without an allocator. In a `static` it lands in `.bss`.
///
/// * `POOLS`, `ELEMENTS`: how many of them there can be at once.
/// * `PEERS`: how many registrars there can be in the operational scope, with one's own: 1 for one that stands alone.
/// * `ASSOCS`: how many associations. One with [`AssocId::slot`](crate::AssocId::slot) at or above it is disconnected.
/// * `SUBSCRIPTIONS`: how many of them, of all associations together.
/// * `HANDLE`: bytes of the longest pool handle.
/// * `DATA`: bytes of an element's user transport, policy and ASAP transport together, each padded to a multiple of
///   four. An SCTP transport takes 8 bytes, and 8 for each IPv4 and 20 for each IPv6 address; a policy 8 to 16.
#[derive(Debug)]
pub struct RegistrarStorage<
    const POOLS: usize,
    const ELEMENTS: usize,
    const PEERS: usize,
    const ASSOCS: usize = 16,
    const SUBSCRIPTIONS: usize = 16,
    const HANDLE: usize = 32,
    const DATA: usize = 96,
> {
    pub(super) handlespace: HandlespaceStorage<POOLS, ELEMENTS, PEERS, HANDLE, DATA>,
    pub(super) assocs: [AssocSlot; ASSOCS],
    pub(super) subscriptions: [Subscription; SUBSCRIPTIONS],
    pub(super) subscribed: [[u8; HANDLE]; SUBSCRIPTIONS],
    pub(super) echo: [u8; HANDLE],
    pub(super) offending: [u8; DATA],
    pub(super) report: [u8; DATA],
    pub(super) peers: [PeerSlot; PEERS],
    pub(super) claims: [Claim; CLAIMS],
    pub(super) gone_handle: [u8; HANDLE],
    pub(super) gone_parameters: [u8; DATA],
}

/// How many pool elements are dialled at once after a takeover, in memory of fixed size.
const CLAIMS: usize = 4;

impl<
    const POOLS: usize,
    const ELEMENTS: usize,
    const PEERS: usize,
    const ASSOCS: usize,
    const SUBSCRIPTIONS: usize,
    const HANDLE: usize,
    const DATA: usize,
> RegistrarStorage<POOLS, ELEMENTS, PEERS, ASSOCS, SUBSCRIPTIONS, HANDLE, DATA>
{
    /// Empty memory.
    pub const fn new() -> Self {
        RegistrarStorage {
            handlespace: HandlespaceStorage::new(),
            assocs: [const { AssocSlot::EMPTY }; ASSOCS],
            subscriptions: [Subscription::EMPTY; SUBSCRIPTIONS],
            subscribed: [[0; HANDLE]; SUBSCRIPTIONS],
            echo: [0; HANDLE],
            offending: [0; DATA],
            report: [0; DATA],
            peers: [const { PeerSlot::EMPTY }; PEERS],
            claims: [Claim::EMPTY; CLAIMS],
            gone_handle: [0; HANDLE],
            gone_parameters: [0; DATA],
        }
    }
}

impl<
    const POOLS: usize,
    const ELEMENTS: usize,
    const PEERS: usize,
    const ASSOCS: usize,
    const SUBSCRIPTIONS: usize,
    const HANDLE: usize,
    const DATA: usize,
> Default for RegistrarStorage<POOLS, ELEMENTS, PEERS, ASSOCS, SUBSCRIPTIONS, HANDLE, DATA>
{
    fn default() -> Self {
        Self::new()
    }
}

/// How far the memory of a registrar may grow. Nothing is allocated before it is needed, but the room for one answer.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrarLimits {
    /// Pools. 1,000,000.
    pub pools: u32,
    /// Pool elements of all pools. 4,000,000.
    pub elements: u32,
    /// Registrars in the operational scope, with this one. 256.
    pub peers: u32,
    /// Pool elements that are dialled at once after a takeover. 256.
    pub claims: u32,
    /// Associations: all slots must be below it. 1,000,000.
    pub associations: u32,
    /// Subscriptions of all associations. 1,000,000.
    pub subscriptions: u32,
    /// Bytes of the longest pool handle. All that a message can carry.
    pub handle_len: usize,
}

#[cfg(feature = "alloc")]
impl Default for RegistrarLimits {
    fn default() -> Self {
        RegistrarLimits {
            pools: 1_000_000,
            elements: 4_000_000,
            peers: 256,
            claims: 256,
            associations: 1_000_000,
            subscriptions: 1_000_000,
            handle_len: crate::wire::PoolHandle::MAX_LEN,
        }
    }
}
