//! The memory of a pool element.

use super::registration::Registration;
use crate::servers::ServerSlot;
use crate::user::ResolverStorage;

/// Bytes of the longest policy parameter that fits: the RFC's take 16, rsplib's private ones 24.
pub(crate) const POLICY_ROOM: usize = 24;

/// The memory of a [`PoolElement`](super::PoolElement), without an allocator. In a `static` it lands in `.bss`.
///
/// * `ELEMENTS`: how many pool elements this endpoint can be.
/// * `SERVERS`: how many registrars it can know, configured or announced, each with up to four addresses.
/// * `POOLS`, `CACHED`: how many pools, and elements of all of them, its own handle resolutions keep; 0 for an endpoint
///   that resolves nothing.
/// * `HANDLE`: bytes of the longest pool handle.
/// * `DATA`: bytes of the longest pool element parameter (RFC 5354, 3.10): 40 for one IPv4 address, 52 for one IPv6
///   address, 8 or 20 more for each further address of an SCTP transport, and the values of the policy, at most 8 bytes
///   for those of RFC 5356. An element that takes more is left out of an answer.
#[derive(Debug)]
pub struct ElementStorage<
    const ELEMENTS: usize = 1,
    const SERVERS: usize = 4,
    const POOLS: usize = 0,
    const CACHED: usize = 0,
    const HANDLE: usize = 32,
    const DATA: usize = 64,
> {
    pub(crate) registrations: [Registration; ELEMENTS],
    pub(crate) handles: [[u8; HANDLE]; ELEMENTS],
    pub(crate) transports: [[u8; DATA]; ELEMENTS],
    pub(crate) policies: [[u8; POLICY_ROOM]; ELEMENTS],
    pub(crate) resolver: ResolverStorage<POOLS, CACHED, HANDLE, DATA>,
    pub(crate) servers: [ServerSlot; SERVERS],
    pub(crate) scratch: [u8; DATA],
}

impl<
    const ELEMENTS: usize,
    const SERVERS: usize,
    const POOLS: usize,
    const CACHED: usize,
    const HANDLE: usize,
    const DATA: usize,
> ElementStorage<ELEMENTS, SERVERS, POOLS, CACHED, HANDLE, DATA>
{
    /// Empty memory.
    pub const fn new() -> Self {
        ElementStorage {
            registrations: [Registration::EMPTY; ELEMENTS],
            handles: [[0; HANDLE]; ELEMENTS],
            transports: [[0; DATA]; ELEMENTS],
            policies: [[0; POLICY_ROOM]; ELEMENTS],
            resolver: ResolverStorage::new(),
            servers: [const { ServerSlot::EMPTY }; SERVERS],
            scratch: [0; DATA],
        }
    }
}

impl<
    const ELEMENTS: usize,
    const SERVERS: usize,
    const POOLS: usize,
    const CACHED: usize,
    const HANDLE: usize,
    const DATA: usize,
> Default for ElementStorage<ELEMENTS, SERVERS, POOLS, CACHED, HANDLE, DATA>
{
    fn default() -> Self {
        Self::new()
    }
}
