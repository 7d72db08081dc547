//! The memory of a handlespace.

use super::element::Element;
use super::owner::Owner;
use super::pool::Pool;
use super::refs::ElementRef;
use super::timers::Timer;
use crate::arena::Idx;
use crate::policy::Node;

/// The memory of a handlespace of fixed size, for a `static` or wherever else; all zeros, so it takes no flash.
///
/// * `POOLS`, `ELEMENTS`: how many of them there can be at once.
/// * `OWNERS`: how many home registrars there can be whose elements are known, with one's own.
/// * `HANDLE`: the longest pool handle, in bytes.
/// * `DATA`: the most bytes for an element's encoded user transport, policy and ASAP transport together, each padded to
///   a multiple of four. An SCTP transport takes 8 bytes, and 8 for each IPv4 and 20 for each IPv6 address; a policy 8
///   to 16.
#[derive(Debug)]
pub struct HandlespaceStorage<
    const POOLS: usize,
    const ELEMENTS: usize,
    const OWNERS: usize,
    const HANDLE: usize = 32,
    const DATA: usize = 96,
> {
    pub(super) pools: [Pool; POOLS],
    pub(super) pool_heads: [Idx; POOLS],
    pub(super) handles: [[u8; HANDLE]; POOLS],
    pub(super) elements: [Element; ELEMENTS],
    pub(super) element_heads: [Idx; ELEMENTS],
    pub(super) data: [[u8; DATA]; ELEMENTS],
    pub(super) nodes: [Node; ELEMENTS],
    pub(super) timers: [Timer; ELEMENTS],
    pub(super) assoc_heads: [Idx; ELEMENTS],
    pub(super) selection: [ElementRef; ELEMENTS],
    pub(super) owners: [Owner; OWNERS],
    pub(super) owner_heads: [Idx; OWNERS],
}

impl<const POOLS: usize, const ELEMENTS: usize, const OWNERS: usize, const HANDLE: usize, const DATA: usize>
    HandlespaceStorage<POOLS, ELEMENTS, OWNERS, HANDLE, DATA>
{
    /// Empty.
    pub const fn new() -> Self {
        HandlespaceStorage {
            pools: [Pool::EMPTY; POOLS],
            pool_heads: [Idx::NIL; POOLS],
            handles: [[0; HANDLE]; POOLS],
            elements: [Element::EMPTY; ELEMENTS],
            element_heads: [Idx::NIL; ELEMENTS],
            data: [[0; DATA]; ELEMENTS],
            nodes: [Node::EMPTY; ELEMENTS],
            timers: [Timer::EMPTY; ELEMENTS],
            assoc_heads: [Idx::NIL; ELEMENTS],
            selection: [ElementRef::new(Idx::NIL, 0); ELEMENTS],
            owners: [Owner::EMPTY; OWNERS],
            owner_heads: [Idx::NIL; OWNERS],
        }
    }
}

impl<const POOLS: usize, const ELEMENTS: usize, const OWNERS: usize, const HANDLE: usize, const DATA: usize> Default
    for HandlespaceStorage<POOLS, ELEMENTS, OWNERS, HANDLE, DATA>
{
    fn default() -> Self {
        Self::new()
    }
}

/// How far a handlespace with memory of its own may grow.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pools.
    pub pools: u32,
    /// Elements of all pools.
    pub elements: u32,
    /// Home registrars.
    pub owners: u32,
    /// Bytes of a pool handle.
    pub handle_len: usize,
    /// Elements in the answer to one resolution.
    pub selection: usize,
}

/// A million elements, and answers of up to 1,024.
#[cfg(feature = "alloc")]
impl Default for Limits {
    fn default() -> Self {
        Limits { pools: 1_000_000, elements: 1_000_000, owners: 1_024, handle_len: 1_024, selection: 1_024 }
    }
}
