#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(any(feature = "embassy-net", feature = "smoltcp")), allow(dead_code, unused_macros))]
//! Reliable Server Pooling (RFC 5351 to 5356) in firmware: the machines of `rserpool-core` over the sockets of
//! embassy-net, or of smoltcp alone.
//!
//! A chip can be a pool element (or several), a pool user, or a registrar. There is no allocator, and no unsafe code:
//! all memory is lent by the application, and its size is in the types.
//!
//! # With embassy
//!
//! [`new`] makes two things of a machine, a stack and some memory. The [`Runner`] is for a task of its own, which drives
//! the machine for ever. The [`Handle`] is `Copy` and for any number of tasks of the application.
//!
//! ```
//! use embassy_net::Stack;
//! use rserpool_core::wire::{Lifetime, Policy, Transport};
//! use rserpool_core::{ElementInfo, ElementStorage, EndpointConfig, PoolElement};
//! use rserpool_embassy::{Config, Handle, Resources, Runner};
//!
//! type Element = PoolElement<'static>;
//!
//! // In a product both are statics: `ConstStaticCell::new(Resources::new())` of the crate `static_cell`.
//! fn start(
//!     stack: Stack<'static>,
//!     storage: &'static mut ElementStorage,
//!     resources: &'static mut Resources<Element, 2>,
//!     seed: u64,
//! ) -> (Handle<'static, Element>, Runner<'static, Element, 2, 512>) {
//!     let element = PoolElement::new(storage, EndpointConfig::new(), seed, rserpool_embassy::now());
//!     let (element, runner) = rserpool_embassy::new(stack, element, resources, Config::new());
//!     element.add_server(&["192.0.2.1:3863".parse().unwrap()]);
//!     (element, runner)
//! }
//!
//! /// One task: `runner.run().await`. Another one:
//! async fn serve(element: Handle<'static, Element>) {
//!     let service = ElementInfo {
//!         pool_handle: b"sensors",
//!         id: None,
//!         user_transport: Transport::Tcp("192.0.2.7:7000".parse().unwrap()),
//!         policy: Policy::LeastUsed { load: 0 },
//!         lifetime: Lifetime::from_secs(300),
//!     };
//!     let key = element.register(&service).unwrap();
//!     element.registered(key).await;
//!     element.set_policy(key, Policy::LeastUsed { load: u32::MAX / 2 }).unwrap(); // half busy
//!     element.deregister(key).await.unwrap();
//! }
//! ```
//!
//! The folder `firmware` of the repository has whole programs: an element, a sensor, a user and a registrar, which run
//! in QEMU.
//!
//! # With smoltcp alone
//!
//! The module `poll` (feature `smoltcp`): a node that is polled beside the interface, for programs with a loop of their
//! own. Nothing of embassy is needed.
//!
//! # What happens on the network
//!
//! - TCP to registrars and, where it listens ([`Config::listen`]), from them; connections end with FIN or with RST, and
//!   a peer that falls silent is noticed by TCP's keep-alives ([`Config::tcp_keep_alive`]).
//! - Announcements by multicast ([`Runner::join`], feature `multicast`), or a list of registrars, or both.
//! - An attempt to connect waits while there is no network or no socket.
//! - When the host gets another address (by DHCP, for example), connections over the old one end, and pool elements
//!   register with the new one: [`Role::moved`].
//! - A peer that sends what is no message, a message that is too long, or that takes no answers, loses its connection.
//!
//! All tasks of a stack run on one executor, as embassy-net wants it; so do the handles of a machine over it.
//!
//! # Porting to a board
//!
//! The firmware of this project has only run in QEMU, on its model of the board MPS2 AN385 (Cortex-M3). **No real chip
//! has been tested.** To bring it to one, replace the folder `firmware/src/board`:
//!
//! 1. *Ethernet or Wi-Fi*: anything with an `embassy_net_driver::Driver`, such as those of the embassy HALs, in place of
//!    `lan9118.rs`. For multicast, the driver has to let the groups' frames pass.
//! 2. *Time*: the HAL's embassy time driver in place of `clock.rs`. Any tick rate will do; deadlines are rounded up to
//!    a tick.
//! 3. *Executor*: embassy's own for the chip in place of `executor.rs`, which is only there for QEMU's sake.
//! 4. *The seed*: the chip's random number generator in place of the argument `seed`. The stack and each machine want
//!    one of their own. A seed that others can guess, or that is the same at each start, gives identifiers, ports and
//!    sequence numbers that others can guess, and elements with the identifier of another one.
//! 5. *Memory and linker script*: those of the chip in place of `build.rs`. What is needed is in `firmware/budget.txt`.
//!
//! # A further kind of link
//!
//! SCTP over IP or over UDP is one more kind of link beside TCP. The engine knows links as carriers of messages
//! (`src/carrier.rs`): places that connect, listen, receive and send. TCP is one, with framing above byte streams
//! (`src/framed.rs`). Another one implements the same trait over its associations, gives its messages' protocol with
//! them, and has its own number in [`Link`](rserpool_core::Link).
//!
//! # Features
//!
//! | Feature | |
//! | --- | --- |
//! | `embassy-net` (on) | the adapter for embassy |
//! | `smoltcp` | the adapter for smoltcp alone |
//! | `multicast` (on) | multicast channels; takes UDP |
//! | `proto-ipv4` (on), `proto-ipv6` | address families |
//! | `medium-ethernet` (on), `medium-ip` | as those of the stacks |
//! | `log`, `defmt` | log messages of this crate and of `rserpool-core`. Those of embassy and smoltcp are features of theirs; embassy wants one of the two at most |

#[cfg(test)]
extern crate std;

#[macro_use]
mod fmt;

#[cfg(any(feature = "embassy-net", feature = "smoltcp"))]
mod addr;
mod carrier;
#[cfg(feature = "multicast")]
mod channel;
#[cfg(feature = "embassy-net")]
mod clock;
mod config;
mod engine;
mod events;
mod framed;
#[cfg(feature = "embassy-net")]
mod net;
#[cfg(feature = "smoltcp")]
pub mod poll;
mod role;

pub use config::{Config, Listener, MAX_LISTENERS};
pub use role::Role;

#[cfg(feature = "multicast")]
pub use channel::{Channel, GROUP_V4};
#[cfg(feature = "embassy-net")]
pub use clock::now;
#[cfg(all(feature = "embassy-net", feature = "multicast"))]
pub use net::ChannelBuffers;
#[cfg(feature = "embassy-net")]
pub use net::{Chosen, Handle, Resources, Runner, new};
