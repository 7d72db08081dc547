#![forbid(unsafe_code)]
//! Reliable Server Pooling over sockets.
//!
//! The machines of [`rserpool_core`] do no I/O. This crate moves their bytes: [`driver::Driver`] owns one machine, its
//! TCP connections and its UDP multicast channels, in one thread.
//!
//! # Without the driver
//!
//! A program that has a runtime of its own (tokio, another readiness loop) drives a machine itself. The contract is
//! [`rserpool_core::Machine`]'s documentation; this crate has the parts that every such loop needs:
//!
//! - [`clock::Clock`]: instants both ways, and how long to sleep;
//! - [`framing::Framer`]: messages out of a TCP stream;
//! - [`seed::seed`]: the seed of a machine's randomness.
//!
//! The loop itself: wait for a readable socket, for a wish of the application, or for the machine's deadline; call
//! [`handle`](rserpool_core::Machine::handle) (or the machine's own method); then drain
//! [`poll`](rserpool_core::Machine::poll) until [`Output::Wait`](rserpool_core::Output::Wait), which says when to wake
//! up at the latest. No borrow of the machine need cross an `.await`.
//!
//! The example `tokio_loop` is such a loop in one file, with connections, partial writes and a channel for the
//! application: `examples/tokio_loop/node.rs`.

pub mod clock;
pub mod control;
pub mod driver;
mod element;
mod error;
pub mod framing;
mod member;
mod options;
mod registrar;
pub mod seed;
mod signal;
pub mod status;
mod stream;
mod user;

pub use clock::Clock;
pub use driver::{Bound, Driver, DriverConfig, DriverHandle, DriverStats};
pub use element::{PoolElement, PoolListener, Registration, Service};
pub use error::Error;
pub use member::Member;
pub use options::{AsapListen, EndpointOptions, resolve_peer, resolve_registrar};
pub use registrar::{RegistrarOptions, RegistrarServer};
pub use stream::{PoolStream, ServiceStream};
pub use user::{PoolUser, PoolWatch};

/// The README's programs are compiled, and those that can be are run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
