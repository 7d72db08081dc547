//! A machine, its sockets and one thread.
//!
//! ```no_run
//! # use rserpool_core::{Input, Instant, Machine, Output, Ppid, RecvError};
//! use rserpool_std::driver::{Driver, DriverConfig, Listener};
//!
//! # struct Registrar;
//! # impl Registrar { fn new(_seed: u64, _now: Instant) -> Self { Registrar } fn pools(&self) -> usize { 0 } }
//! # impl Machine for Registrar {
//! #     type Event = ();
//! #     fn handle(&mut self, _: Instant, _: Input<'_>) -> Result<(), RecvError> { Ok(()) }
//! #     fn poll<'b>(&'b mut self, _: Instant, _: &'b mut [u8]) -> Output<'b, ()> { Output::Wait(None) }
//! #     fn next_deadline(&self) -> Option<Instant> { None }
//! # }
//! let config = DriverConfig {
//!     listeners: vec![Listener::tcp(Ppid::Asap, "127.0.0.1:0".parse()?)],
//!     ..DriverConfig::default()
//! };
//! let bound = Driver::bind(config)?;
//! let address = bound.local_addresses()[0];
//! let machine = Registrar::new(rserpool_std::seed::seed()?, bound.clock().now());
//! let driver = bound.spawn(machine, |event, _machine, _now| println!("{event:?}"))?;
//!
//! let pools = driver.handle().with(|machine, _now| machine.pools())?;
//! let machine = driver.stop()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! One thread waits for readiness (mio, edge-triggered) and for the machine's deadline, whichever comes first; an idle
//! driver sleeps. Per turn, every ready connection is read once, at most 64 KiB, into one buffer that all share; the
//! messages in it are given to the machine without a copy, each followed by a drain of the machine; the answers are
//! collected per connection and written with one system call. Nothing is allocated per message.
//!
//! A peer gets no more than its share: so many messages per turn; no reading while it does not take its answers;
//! closed when it takes nothing, sends half a message, sends what is no message, or is idle for too long. All limits are
//! in [`DriverConfig`], all reasons are logged (`tracing`, with the peer's address) and counted ([`DriverStats`]).
//!
//! SCTP is that of the system's kernel ([`sctp_available`]), by the crate `lksctp`: a listener is one one-to-many socket, on
//! which associations arrive and from which the machine's dials leave; each association then has a descriptor of its own.
//! How a peer ended (SHUTDOWN, ABORT, a new beginning) is logged and counted ([`Closed`]).
//!
//! mio rather than `polling`: its interface is safe, so this crate forbids unsafe code, and it is edge-triggered,
//! which saves the system call that re-arms a source after each event.

mod accept;
mod associations;
mod buffer;
mod config;
mod conn;
mod deadlines;
mod dial;
mod handle;
mod io;
mod link;
mod multicast;
mod owner;
mod sctp;
mod serve;
mod slots;
mod stats;
mod tcp;
mod token;
mod turn;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use std::{error, fmt};

use mio::{Poll, Waker};
use rserpool_core::{Instant, Machine, Ppid};

pub use config::{Channel, DriverConfig, GROUP_V4, Interface, Listener, group_v6};
pub use handle::{DriverHandle, HandleError};
pub(crate) use sctp::associate as sctp_associate;
pub use sctp::{available as sctp_available, host_addresses as sctp_host_addresses};
pub use stats::{Closed, DriverStats};

use crate::Clock;
use handle::{Command, Shared, Stop};
use io::Io;
use token::Source;
use turn::Engine;

/// A running driver. To drop it ends it at once; [`stop`](Driver::stop) ends it gracefully.
pub struct Driver<M> {
    handle: DriverHandle<M>,
    local: Vec<(Ppid, SocketAddr)>,
    sctp: Vec<(Ppid, Vec<SocketAddr>)>,
    thread: Option<JoinHandle<std::io::Result<M>>>,
}

/// A driver whose sockets are open, before it runs: a machine can be made that knows their addresses.
pub struct Bound<M> {
    io: Io,
    handle: DriverHandle<M>,
    commands: Receiver<Command<M>>,
    local: Vec<(Ppid, SocketAddr)>,
    sctp: Vec<(Ppid, Vec<SocketAddr>)>,
    thread_name: String,
}

impl<M> fmt::Debug for Driver<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("local", &self.local).finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for Bound<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("local", &self.local).finish_non_exhaustive()
    }
}

impl<M> Driver<M> {
    /// Opens the sockets of a driver.
    ///
    /// # Errors
    /// The system refuses a listener, a channel or the means to wait for them.
    pub fn bind(config: DriverConfig) -> Result<Bound<M>, StartError> {
        let poll = Poll::new().map_err(StartError::Poll)?;
        let waker = Waker::new(poll.registry(), Source::Waker.token()).map_err(StartError::Poll)?;
        let (sender, receiver) = sync_channel(config.command_queue);
        let thread_name = config.thread_name.clone();
        let io = Io::open(config, poll)?;
        let local = io.acceptors.iter().map(|acceptor| (acceptor.ppid, acceptor.address)).collect();
        let sctp = io.endpoints.iter().map(|endpoint| (endpoint.ppid, endpoint.addresses.clone())).collect();
        let shared = Arc::new(Shared::new(waker, Clock::new()));
        let handle = DriverHandle { commands: sender, shared };
        Ok(Bound { io, handle, commands: receiver, local, sctp, thread_name })
    }

    /// A handle for other threads.
    #[must_use]
    pub fn handle(&self) -> DriverHandle<M> {
        self.handle.clone()
    }

    /// The addresses of the TCP listeners, in the order of the configuration.
    #[must_use]
    pub fn local_addresses(&self) -> &[(Ppid, SocketAddr)] {
        &self.local
    }

    /// All addresses of the SCTP listeners, in the order of the configuration. Where one is bound to a wildcard these are
    /// the addresses that the host has now.
    #[must_use]
    pub fn sctp_addresses(&self) -> &[(Ppid, Vec<SocketAddr>)] {
        &self.sctp
    }

    /// Whether it has not ended, by [`DriverHandle::shutdown`], a panic or an error of the system.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Ends the driver and gives its machine back.
    ///
    /// Nothing more is received; what the machine has sent is written, for
    /// [`stop_timeout`](DriverConfig::stop_timeout) at most; then all connections are closed. A machine that has
    /// something to say before it goes must be told first, through the [handle](Driver::handle).
    ///
    /// # Errors
    /// The driver had ended before, by a panic of the machine, the observer or a closure, or by an error of the system.
    pub fn stop(mut self) -> Result<M, StopError> {
        self.handle.shared.stop(Stop::Gracefully);
        self.join_thread()
    }

    /// Waits until the driver has ended, by [`DriverHandle::shutdown`] for instance, and gives its machine back.
    ///
    /// # Errors
    /// As [`stop`](Driver::stop).
    pub fn join(mut self) -> Result<M, StopError> {
        self.join_thread()
    }

    fn join_thread(&mut self) -> Result<M, StopError> {
        let Some(thread) = self.thread.take() else { return Err(StopError::Panicked) };
        match thread.join() {
            Ok(result) => result.map_err(StopError::Io),
            Err(_) => Err(StopError::Panicked),
        }
    }
}

impl<M> Drop for Driver<M> {
    fn drop(&mut self) {
        if self.thread.is_none() {
            return;
        }
        self.handle.shared.stop(Stop::AtOnce);
        // An observer may own its driver; a thread cannot wait for itself.
        if !self.handle.shared.is_driver_thread() {
            let _ = self.join_thread();
        }
    }
}

impl<M> Bound<M> {
    /// The addresses of the TCP listeners, in the order of the configuration.
    #[must_use]
    pub fn local_addresses(&self) -> &[(Ppid, SocketAddr)] {
        &self.local
    }

    /// All addresses of the SCTP listeners, in the order of the configuration. Where one is bound to a wildcard these are
    /// the addresses that the host has now.
    #[must_use]
    pub fn sctp_addresses(&self) -> &[(Ppid, Vec<SocketAddr>)] {
        &self.sctp
    }

    /// The clock that the machine's instants are of.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.handle.shared.clock
    }

    /// A handle for other threads. Its closures wait until the driver runs.
    #[must_use]
    pub fn handle(&self) -> DriverHandle<M> {
        self.handle.clone()
    }
}

impl<M: Machine> Bound<M> {
    /// Runs the driver in this thread, until [`DriverHandle::shutdown`], and gives the machine back.
    ///
    /// `observer` gets the machine's events, and the machine, whose methods it may call; no lock is held meanwhile.
    ///
    /// # Errors
    /// The system cannot wait for readiness (any more).
    pub fn run<F>(self, machine: M, observer: F) -> std::io::Result<M>
    where
        F: FnMut(M::Event, &mut M, Instant),
    {
        Engine::new(self.io, self.handle.shared, self.commands, machine, observer).run()
    }

    /// Runs the driver in a thread of its own. See [`run`](Bound::run).
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn spawn<F>(self, machine: M, observer: F) -> std::io::Result<Driver<M>>
    where
        M: Send + 'static,
        F: FnMut(M::Event, &mut M, Instant) + Send + 'static,
    {
        let (handle, local, sctp) = (self.handle.clone(), self.local.clone(), self.sctp.clone());
        let thread = thread::Builder::new().name(self.thread_name.clone());
        let thread = thread.spawn(move || self.run(machine, observer))?;
        Ok(Driver { handle, local, sctp, thread: Some(thread) })
    }
}

/// Why a driver could not be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The system has no means to wait for readiness.
    Poll(std::io::Error),
    /// A listener could not be opened.
    Listen {
        /// Its address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// An SCTP listener could not be opened.
    ListenSctp {
        /// Its first address.
        address: SocketAddr,
        /// Why; [`Unsupported`](std::io::ErrorKind::Unsupported) where the system has no SCTP.
        error: std::io::Error,
    },
    /// A multicast channel could not be opened.
    Channel {
        /// Its group.
        group: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Poll(error) => write!(f, "cannot wait for readiness: {error}"),
            StartError::Listen { address, error } => write!(f, "cannot listen on {address}: {error}"),
            StartError::ListenSctp { address, error } => write!(f, "cannot listen on {address} over SCTP: {error}"),
            StartError::Channel { group, error } => write!(f, "cannot use the multicast group {group}: {error}"),
        }
    }
}

impl error::Error for StartError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            StartError::Poll(error)
            | StartError::Listen { error, .. }
            | StartError::ListenSctp { error, .. }
            | StartError::Channel { error, .. } => Some(error),
        }
    }
}

/// Why a driver gives no machine back.
#[derive(Debug)]
#[non_exhaustive]
pub enum StopError {
    /// The machine, the observer or a closure panicked.
    Panicked,
    /// The system could not wait for readiness any more.
    Io(std::io::Error),
}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopError::Panicked => f.write_str("the driver's thread panicked"),
            StopError::Io(error) => write!(f, "the driver could not wait for readiness: {error}"),
        }
    }
}

impl error::Error for StopError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            StopError::Panicked => None,
            StopError::Io(error) => Some(error),
        }
    }
}
