//! The handlespace: pools, their elements and the elements' home registrars, without any messages.
//!
//! Everything lies in tables of slots: lent by the caller, or growing with the feature `alloc`. Look-ups take constant
//! time on average; a selection touches little more than what it returns; no answer depends on the order of a hash.
//!
//! ```
//! use rserpool_core::handlespace::{Handlespace, HandlespaceStorage, Registration};
//! use rserpool_core::wire::{Lifetime, Policy, PoolHandle, Transport};
//! use rserpool_core::{Instant, PeId, ServerId};
//!
//! let mut storage = HandlespaceStorage::<4, 16, 2>::new();
//! let mut handlespace = Handlespace::new(&mut storage, 1);
//! let echo = PoolHandle::new(b"echo").unwrap();
//! for id in 1..=3 {
//!     let registration = Registration {
//!         id: PeId(id),
//!         home: ServerId(7),
//!         lifetime: Lifetime::from_secs(300),
//!         user_transport: Transport::Tcp(([192, 0, 2, 1], 7).into()),
//!         policy: Policy::RoundRobin,
//!         asap_transport: None,
//!     };
//!     handlespace.register(Instant::ZERO, echo, &registration).unwrap();
//! }
//! let pool = handlespace.find_pool(echo).unwrap();
//! let first = handlespace.select(pool, 1)[0];
//! assert_eq!(handlespace.element(first).unwrap().id, PeId(1));
//! let first = handlespace.select(pool, 1)[0];
//! assert_eq!(handlespace.element(first).unwrap().id, PeId(2));
//! ```

mod element;
mod hash;
mod heads;
pub(crate) mod list;
mod owner;
mod pool;
mod refs;
mod register;
mod select;
mod storage;
#[cfg(test)]
mod tests;
mod timers;
mod walk;
mod watch;

pub(crate) use element::Element;
pub use element::ElementView;
use hash::{Buckets, Keys};
use heads::Heads;
use list::{Linked, Links};
use owner::Owner;
use pool::Pool;
pub use pool::PoolView;
pub use refs::{ElementRef, PoolRef};
pub use register::{RegisterError, Registered, RegisteredKind, Registration, Removed};
pub use storage::HandlespaceStorage;
#[cfg(feature = "alloc")]
pub use storage::Limits;
use timers::Timers;
use watch::Bindings;
pub(crate) use watch::{Watch, WatchState};

use crate::arena::{Arena, Table};
use crate::blobs::Blobs;
use crate::policy::Ranking;
use crate::rand::Rng;

/// Pools, elements and owners.
#[derive(Debug)]
pub struct Handlespace<'s> {
    pools: Arena<'s, Pool>,
    /// The longest handle, in bytes.
    handle_limit: usize,
    handles: Blobs<'s>,
    pool_index: Buckets<'s>,
    elements: Arena<'s, Element>,
    data: Blobs<'s>,
    element_index: Buckets<'s>,
    owners: Arena<'s, Owner>,
    owner_index: Buckets<'s>,
    ranking: Ranking<'s>,
    timers: Timers<'s>,
    bindings: Bindings<'s>,
    selection: Table<'s, ElementRef>,
    keys: Keys,
    generation: u32,
}

/// The list of a pool's elements.
struct InPool;

impl Linked<InPool> for Element {
    fn links(&self) -> Links {
        self.in_pool
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.in_pool
    }
}

impl<'s> Handlespace<'s> {
    /// An empty handlespace in lent memory. The seed is for the policies that draw at random and for the hash
    /// functions; peers should not know it.
    pub fn new<
        const POOLS: usize,
        const ELEMENTS: usize,
        const OWNERS: usize,
        const HANDLE: usize,
        const DATA: usize,
    >(
        storage: &'s mut HandlespaceStorage<POOLS, ELEMENTS, OWNERS, HANDLE, DATA>,
        seed: u64,
    ) -> Self {
        let mut rng = Rng::new(seed);
        Handlespace {
            pools: Arena::lent(&mut storage.pools),
            handle_limit: HANDLE,
            handles: Blobs::lent(&mut storage.handles),
            pool_index: Buckets(Heads::lent(&mut storage.pool_heads)),
            elements: Arena::lent(&mut storage.elements),
            data: Blobs::lent(&mut storage.data),
            element_index: Buckets(Heads::lent(&mut storage.element_heads)),
            owners: Arena::lent(&mut storage.owners),
            owner_index: Buckets(Heads::lent(&mut storage.owner_heads)),
            keys: Keys::new(&mut rng),
            ranking: Ranking::new(Arena::lent(&mut storage.nodes), rng),
            timers: Timers::lent(&mut storage.timers),
            bindings: Bindings(Heads::lent(&mut storage.assoc_heads)),
            selection: Table::Lent(&mut storage.selection),
            generation: 0,
        }
    }

    /// An empty handlespace with memory that grows as far as the limits say. The seed is as for
    /// [`Handlespace::new`]. No selection allocates.
    #[cfg(feature = "alloc")]
    pub fn growable(limits: Limits, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Handlespace {
            pools: Arena::growable(limits.pools),
            handle_limit: limits.handle_len,
            handles: Blobs::growable(),
            pool_index: Buckets(Heads::growable()),
            elements: Arena::growable(limits.elements),
            data: Blobs::growable(),
            element_index: Buckets(Heads::growable()),
            owners: Arena::growable(limits.owners),
            owner_index: Buckets(Heads::growable()),
            keys: Keys::new(&mut rng),
            ranking: Ranking::new(Arena::growable(limits.elements), rng),
            timers: Timers::growable(),
            bindings: Bindings(Heads::growable()),
            selection: Table::Grown(alloc::vec![ElementRef::default(); limits.selection]),
            generation: 0,
        }
    }

    /// How many bytes the slots in use and the tables of heads take: all that grows with the pools and
    /// elements, but for the handles and the elements' parameters.
    pub fn table_bytes(&self) -> usize {
        fn slots<T>(len: u32) -> usize {
            len as usize * size_of::<T>()
        }
        slots::<Pool>(self.pools.len())
            + slots::<Element>(self.elements.len())
            + slots::<Owner>(self.owners.len())
            + slots::<crate::policy::Node>(self.ranking.nodes())
            + self.pool_index.0.bytes()
            + self.element_index.0.bytes()
            + self.owner_index.0.bytes()
            + self.bindings.0.bytes()
            + self.timers.bytes()
    }

    /// Names a new pool or element apart from those that had its slot before it.
    fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1).max(1);
        self.generation
    }
}
