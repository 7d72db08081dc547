#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::std_instead_of_core,
        clippy::std_instead_of_alloc,
        clippy::alloc_instead_of_core,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::cast_possible_truncation
    )
)]
//! Reliable Server Pooling (RFC 5351 to 5356) as state machines.
//!
//! Pool elements register their services under a pool handle with a registrar, pool users ask the registrar for the
//! elements of a pool, and all of them go on when one of them fails. This crate has the protocols (ASAP, and the
//! messages of ENRP), the selection policies and the registrar's handlespace, but no sockets, no clock and no source of
//! randomness: its user moves the bytes, tells the time and gives a seed. `rserpool-std` does so for hosts.
//!
//! # The machines
//!
//! - A [`PoolElement`] registers services, keeps the registrations alive and answers keep-alives; it can resolve
//!   handles, too. Its memory is an [`ElementStorage`].
//! - A [`PoolUser`] resolves pool handles, caches the answers, selects elements and reports those that failed. Its
//!   memory is a [`UserStorage`].
//! - A [`Registrar`] grants registrations, answers resolutions, watches over the elements and tells subscribers of
//!   changes. With its peers it keeps one handlespace, which each has a copy of; when one of them fails, another takes its
//!   elements over. Its memory is a [`RegistrarStorage`].
//!
//! Beside them stand [`wire`], which reads and writes the messages, and [`handlespace`], which holds the pools.
//!
//! # The contract
//!
//! All three are a [`Machine`], whose documentation has the rules. In brief: give it each happening as an [`Input`]
//! with [`handle`](Machine::handle), or call a method of its own (`register`, `resolve`, ...); after each such call
//! take [`Output`]s from [`poll`](Machine::poll), and do what they say, until it gives [`Output::Wait`], which tells
//! when to `poll` again if nothing else happens. An `Err` of `handle` is about the peer or about capacity; it can be
//! logged and forgotten.
//!
//! Here the three talk in memory, and time is a variable. What a real program does otherwise is to write to a socket
//! where this one pushes to a queue, and to sleep where this one sets `now`.
//!
//! ```
//! use std::collections::VecDeque;
//!
//! use rserpool_core::wire::{Lifetime, Policy, Transport};
//! use rserpool_core::{
//!     AssocId, Destination, ElementInfo, ElementStorage, EndpointConfig, Input, Instant, Link, Machine, Output,
//!     PoolElement, PoolUser, Ppid, Registrar, RegistrarConfig, RegistrarStorage, UserStorage,
//! };
//!
//! // The associations of the element and of the user with the registrar. Here both ends use the same names; in general
//! // each adapter names its own end.
//! const ELEMENT: AssocId = AssocId { slot: 0, generation: 0 };
//! const USER: AssocId = AssocId { slot: 1, generation: 0 };
//!
//! /// A machine, the association that it gets when it dials, and what came for it and was not read yet.
//! struct Node<M> {
//!     machine: M,
//!     assoc: AssocId,
//!     inbox: VecDeque<(AssocId, Vec<u8>)>,
//! }
//!
//! impl<M: Machine> Node<M> {
//!     fn new(machine: M, assoc: AssocId) -> Self {
//!         Node { machine, assoc, inbox: VecDeque::new() }
//!     }
//!
//!     /// Drains the machine, gives it the next message, and so on. Says when to come back.
//!     fn turn(&mut self, now: Instant, mut send: impl FnMut(AssocId, Vec<u8>)) -> Option<Instant> {
//!         let Node { machine, assoc, inbox } = self;
//!         let mut buf = [0; 1500];
//!         loop {
//!             match machine.poll(now, &mut buf) {
//!                 Output::Transmit(message) => match message.to {
//!                     Destination::Assoc(assoc) => send(assoc, message.bytes.to_vec()),
//!                     Destination::Channel => {} // nobody listens to multicast here
//!                 },
//!                 Output::Connect { dial, link, .. } => {
//!                     let connected = Input::Connected { assoc: *assoc, dial: Some(dial), link, peer: &[] };
//!                     machine.handle(now, connected).unwrap(); // it works at once
//!                 }
//!                 Output::Abandon { .. } | Output::Disconnect { .. } => {} // so there is nothing to give up
//!                 Output::Event(_) => {}                                  // this program asks instead
//!                 Output::BufferTooSmall { needed } => panic!("a message of {needed} bytes"),
//!                 Output::Wait(deadline) => match inbox.pop_front() {
//!                     Some((assoc, bytes)) => {
//!                         let _ = machine.handle(now, Input::Message { assoc, ppid: Ppid::Asap, bytes: &bytes });
//!                     }
//!                     None => return deadline,
//!                 },
//!             }
//!         }
//!     }
//! }
//!
//! let mut now = Instant::ZERO;
//!
//! // 8 pools, 32 elements, 1 registrar: itself.
//! let mut storage = RegistrarStorage::<8, 32, 1>::new();
//! let registrar = Registrar::new(&mut storage, RegistrarConfig::new(), 1, now);
//! let mut registrar = Node::new(registrar, AssocId::default()); // it never dials
//! for assoc in [ELEMENT, USER] {
//!     let peer = ["192.0.2.7:49152".parse().unwrap()];
//!     registrar.machine.handle(now, Input::Connected { assoc, dial: None, link: Link::Tcp, peer: &peer }).unwrap();
//! }
//!
//! let registrar_at = "192.0.2.1:3863".parse().unwrap();
//! let mut storage = ElementStorage::<1>::new(); // one element
//! let mut element = Node::new(PoolElement::new(&mut storage, EndpointConfig::new(), 2, now), ELEMENT);
//! element.machine.add_server(Link::Tcp, &[registrar_at]);
//!
//! let mut storage = UserStorage::<2, 8>::new(); // 2 pools, 8 elements
//! let mut user = Node::new(PoolUser::new(&mut storage, EndpointConfig::new(), 3, now), USER);
//! user.machine.add_server(Link::Tcp, &[registrar_at]);
//!
//! let service = ElementInfo {
//!     pool_handle: b"echo",
//!     id: None,
//!     user_transport: Transport::Tcp("192.0.2.7:7".parse().unwrap()),
//!     policy: Policy::RoundRobin,
//!     lifetime: Lifetime::from_secs(300),
//! };
//! let key = element.machine.register(now, &service).unwrap();
//! let mut resolution = None;
//!
//! // An hour of their lives.
//! while now < Instant::from_secs(3600) {
//!     if resolution.is_none() && element.machine.is_registered(key) {
//!         resolution = Some(user.machine.resolve(now, b"echo").unwrap().0);
//!     }
//!     let one = element.turn(now, |assoc, bytes| registrar.inbox.push_back((assoc, bytes)));
//!     let two = user.turn(now, |assoc, bytes| registrar.inbox.push_back((assoc, bytes)));
//!     let three = registrar.turn(now, |assoc, bytes| match assoc {
//!         ELEMENT => element.inbox.push_back((assoc, bytes)),
//!         _ => user.inbox.push_back((assoc, bytes)),
//!     });
//!     if element.inbox.is_empty() && user.inbox.is_empty() {
//!         now = [one, two, three].into_iter().flatten().min().unwrap();
//!     }
//! }
//! assert_eq!(registrar.machine.handlespace().elements(), 1);
//! let stats = registrar.machine.stats();
//! assert!(stats.keep_alive_acks > 60 && stats.reregistrations >= 12);
//! let known = user.machine.elements(resolution.unwrap()).next().unwrap();
//! assert_eq!(known.user_transport, service.user_transport);
//! ```
//!
//! # Memory
//!
//! `new` borrows a storage struct, whose const parameters say how much there can be of everything: how many pools, how
//! many elements, how long a pool handle in bytes (`HANDLE`), how many bytes an element's parameters may take (`DATA`).
//! Each storage documents its own; all but the first few have defaults. The parameters stay on the storage and on
//! `new`: the machines' types have none. What grows with the number of pools, elements, registrars and associations
//! lies in the storage; the machine itself is of fixed size, one to four kilobytes.
//!
//! The constructors of the storages are `const`, and an empty storage is all zeros: a `static` of it lies in `.bss` and
//! takes no flash. (A `static` that is lent mutably needs a cell, such as those of the crate `static_cell`.)
//!
//! With the feature `alloc` there are also `PoolElement::growable` and its like, with limits instead of const
//! parameters (`EndpointLimits`, `RegistrarLimits`). The algorithms are the same. A limit that is met, of either kind,
//! is an error value, a refusal on the wire or one event that says that events were lost: never a panic.
//!
//! # Features
//!
//! | Feature | What it adds |
//! | --- | --- |
//! | `alloc` | machines and a handlespace whose memory grows |
//! | `log` | log messages, to the crate `log` |
//! | `defmt` | log messages, to the crate `defmt`, and its `Format` on most public types |
//!
//! None is on by default. Features only add; all of them work together.
//!
//! # `no_std`
//!
//! The crate is `no_std`, has no `unsafe` code, and without `alloc` needs no allocator. It uses neither floating point
//! nor atomics.
//!
//! # Determinism
//!
//! A machine does the same whenever it is given the same seed and the same inputs at the same instants: no clock is
//! read, and nothing depends on the order of a hash table or on where things lie in memory. Outside of tests take a
//! seed that nobody can guess, since the identifiers and the hash keys come from it.
//!
//! # What is not there yet
//!
//! - TLS: a machine asks for [`Link::Sctp`] or [`Link::Tcp`] and does not care who brings it, but no crate of this project
//!   brings TLS, and only `rserpool-std` brings SCTP, where the kernel has it.
//! - Sessions of a pool user with a pool element: business cards and cookies (RFC 5352, 3.8 and 3.9) can be read and
//!   written, no machine uses them.

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

#[macro_use]
mod fmt;

mod arena;
mod blobs;
mod bounded;
mod compat;
mod config;
mod element;
mod endpoint;
mod error;
mod events;
pub mod handlespace;
mod hunt;
mod ids;
mod machine;
mod policy;
mod rand;
mod rate;
mod registrar;
mod report;
mod scratch;
mod servers;
mod time;
mod user;
pub mod wire;

pub use compat::Compat;
#[cfg(feature = "alloc")]
pub use config::EndpointLimits;
pub use config::{EndpointConfig, EndpointRates, Links};
pub use element::{ElementEvent, ElementInfo, ElementKey, ElementStorage, PoolElement, RegisterError};
pub use error::RecvError;
pub use hunt::Home;
pub use ids::{AssocId, DialId, PeId, Ppid, ServerId};
pub use machine::{Destination, Input, Link, Machine, Output, Transmit};
pub use rate::Rate;
#[cfg(feature = "alloc")]
pub use registrar::RegistrarLimits;
pub use registrar::{
    AsapRates, EnrpConfig, EnrpRates, MAX_ANNOUNCED, PeerState, PeerView, Registrar, RegistrarConfig, RegistrarEvent,
    RegistrarStats, RegistrarStorage, RemovalReason,
};
pub use time::Instant;
pub use user::{PoolUser, Resolution, ResolveError, SelectError, Unresolved, UserEvent, UserStorage};
