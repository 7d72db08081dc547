//! The memory of a pool user.

use super::cache::{CacheElement, CachePool};
use crate::servers::ServerSlot;

/// The memory of a [`PoolUser`](super::PoolUser), without an allocator. In a `static` it lands in `.bss`.
///
/// * `POOLS`: how many pools are known at once; the one that was not used for longest makes room for another.
/// * `ELEMENTS`: how many pool elements of all pools together.
/// * `SERVERS`: how many registrars it can know, configured or announced, each with up to four addresses.
/// * `HANDLE`: bytes of the longest pool handle.
/// * `DATA`: bytes of the longest pool element parameter (RFC 5354, 3.10): 40 for one IPv4 address, 52 for one IPv6
///   address, 8 or 20 more for each further address of an SCTP transport, and the values of the policy, at most 8 bytes
///   for those of RFC 5356. An element that takes more is left out of an answer.
#[derive(Debug)]
pub struct UserStorage<
    const POOLS: usize,
    const ELEMENTS: usize,
    const SERVERS: usize = 4,
    const HANDLE: usize = 32,
    const DATA: usize = 64,
> {
    pub(crate) resolver: ResolverStorage<POOLS, ELEMENTS, HANDLE, DATA>,
    pub(crate) servers: [ServerSlot; SERVERS],
    pub(crate) scratch: [u8; DATA],
}

/// The part of it that a pool element has, too.
#[derive(Debug)]
pub(crate) struct ResolverStorage<const POOLS: usize, const ELEMENTS: usize, const HANDLE: usize, const DATA: usize> {
    pub(crate) pools: [CachePool; POOLS],
    pub(crate) handles: [[u8; HANDLE]; POOLS],
    pub(crate) elements: [CacheElement; ELEMENTS],
    pub(crate) data: [[u8; DATA]; ELEMENTS],
}

impl<const POOLS: usize, const ELEMENTS: usize, const HANDLE: usize, const DATA: usize>
    ResolverStorage<POOLS, ELEMENTS, HANDLE, DATA>
{
    pub(crate) const fn new() -> Self {
        ResolverStorage {
            pools: [CachePool::EMPTY; POOLS],
            handles: [[0; HANDLE]; POOLS],
            elements: [CacheElement::EMPTY; ELEMENTS],
            data: [[0; DATA]; ELEMENTS],
        }
    }
}

impl<const POOLS: usize, const ELEMENTS: usize, const SERVERS: usize, const HANDLE: usize, const DATA: usize>
    UserStorage<POOLS, ELEMENTS, SERVERS, HANDLE, DATA>
{
    /// Empty memory.
    pub const fn new() -> Self {
        UserStorage {
            resolver: ResolverStorage::new(),
            servers: [const { ServerSlot::EMPTY }; SERVERS],
            scratch: [0; DATA],
        }
    }
}

impl<const POOLS: usize, const ELEMENTS: usize, const SERVERS: usize, const HANDLE: usize, const DATA: usize> Default
    for UserStorage<POOLS, ELEMENTS, SERVERS, HANDLE, DATA>
{
    fn default() -> Self {
        Self::new()
    }
}
