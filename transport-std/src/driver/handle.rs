//! Access to a running driver from other threads.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

use mio::Waker;
use rserpool_core::Instant;

use super::DriverStats;
use crate::Clock;

/// A closure to run on the machine.
pub(super) type Command<M> = Box<dyn FnOnce(&mut M, Instant) + Send>;

/// What a driver and its handles share.
#[derive(Debug)]
pub(super) struct Shared {
    waker: Waker,
    /// Whether the driver has been woken and has not looked yet: saves a system call per command.
    woken: AtomicBool,
    stop: AtomicU8,
    stats: Mutex<DriverStats>,
    thread: OnceLock<ThreadId>,
    pub(super) clock: Clock,
}

/// Whether a driver is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    /// It runs.
    No,
    /// Write what waits, then end.
    Gracefully,
    /// End.
    AtOnce,
}

impl Shared {
    pub(super) fn new(waker: Waker, clock: Clock) -> Self {
        Shared {
            waker,
            woken: AtomicBool::new(false),
            stop: AtomicU8::new(Stop::No as u8),
            stats: Mutex::default(),
            thread: OnceLock::new(),
            clock,
        }
    }

    pub(super) fn stop(&self, how: Stop) {
        self.stop.fetch_max(how as u8, Ordering::AcqRel);
        self.wake();
    }

    pub(super) fn wanted_stop(&self) -> Stop {
        match self.stop.load(Ordering::Acquire) {
            0 => Stop::No,
            1 => Stop::Gracefully,
            _ => Stop::AtOnce,
        }
    }

    pub(super) fn wake(&self) {
        // The order matters: a command is queued, then the flag is set; the driver clears the flag, then looks into
        // the queue. So a command that it does not see finds the flag cleared and wakes it again.
        if !self.woken.swap(true, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "the driver could not be woken");
        }
    }

    /// To be called before the driver looks what it was woken for.
    pub(super) fn acknowledge(&self) {
        self.woken.store(false, Ordering::SeqCst);
    }

    pub(super) fn publish(&self, stats: &DriverStats) {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = *stats;
    }

    /// To be called on the thread that runs the driver.
    pub(super) fn set_thread(&self) {
        let _ = self.thread.set(thread::current().id());
    }

    pub(super) fn is_driver_thread(&self) -> bool {
        self.thread.get() == Some(&thread::current().id())
    }
}

/// A handle to a running [`Driver`](super::Driver), for any thread. Cloning it is cheap.
pub struct DriverHandle<M> {
    pub(super) commands: SyncSender<Command<M>>,
    pub(super) shared: Arc<Shared>,
}

impl<M> DriverHandle<M> {
    /// Runs `f` on the machine, in the driver's thread, and waits for its result. The driver then sends what the
    /// machine has to send.
    ///
    /// A panic of `f` ends the driver.
    ///
    /// # Errors
    /// [`HandleError::Stopped`] if the driver has ended or ends before it comes to `f`;
    /// [`HandleError::DriverThread`] in the driver's own thread (an observer), which would wait for itself.
    pub fn with<R, F>(&self, f: F) -> Result<R, HandleError>
    where
        R: Send + 'static,
        F: FnOnce(&mut M, Instant) -> R + Send + 'static,
    {
        if self.shared.is_driver_thread() {
            return Err(HandleError::DriverThread);
        }
        let (answer, result) = mpsc::sync_channel(1);
        let command = move |machine: &mut M, now| {
            // Nobody waits any more only if the waiting thread died.
            let _ = answer.send(f(machine, now));
        };
        self.commands.send(Box::new(command)).map_err(|_| HandleError::Stopped)?;
        self.shared.wake();
        result.recv().map_err(|_| HandleError::Stopped)
    }

    /// Has `f` run on the machine, in the driver's thread, and does not wait.
    ///
    /// # Errors
    /// [`HandleError::Stopped`] if the driver has ended; [`HandleError::Busy`] if
    /// [`command_queue`](super::DriverConfig::command_queue) closures wait already.
    pub fn post<F>(&self, f: F) -> Result<(), HandleError>
    where
        F: FnOnce(&mut M, Instant) + Send + 'static,
    {
        self.commands.try_send(Box::new(f)).map_err(|error| match error {
            TrySendError::Full(_) => HandleError::Busy,
            TrySendError::Disconnected(_) => HandleError::Stopped,
        })?;
        self.shared.wake();
        Ok(())
    }

    /// Tells the driver to end as [`Driver::stop`](super::Driver::stop) does, and does not wait for it.
    pub fn shutdown(&self) {
        self.shared.stop(Stop::Gracefully);
    }

    /// The counters, as they were when the driver last had nothing to do or finished a round of work.
    #[must_use]
    pub fn stats(&self) -> DriverStats {
        *self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine's clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.shared.clock
    }
}

impl<M> Clone for DriverHandle<M> {
    fn clone(&self) -> Self {
        DriverHandle { commands: self.commands.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl<M> fmt::Debug for DriverHandle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverHandle").finish_non_exhaustive()
    }
}

/// Why a [`DriverHandle`] could not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandleError {
    /// The driver has ended.
    Stopped,
    /// Too many closures wait already.
    Busy,
    /// A wait for the driver in the driver's own thread would never end.
    DriverThread,
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HandleError::Stopped => "the driver has ended",
            HandleError::Busy => "too many closures wait for the driver",
            HandleError::DriverThread => "the driver's thread cannot wait for itself",
        })
    }
}

impl std::error::Error for HandleError {}
