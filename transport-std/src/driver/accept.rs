//! Listening sockets.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use rserpool_core::{Instant, Ppid};
use tracing::{info, warn};

use super::config::{DriverConfig, Listener};
use super::tcp;
use super::token::Source;

/// A listening socket.
#[derive(Debug)]
pub(super) struct Acceptor {
    pub(super) ppid: Ppid,
    pub(super) address: SocketAddr,
    pub(super) idle_timeout: Option<Duration>,
    socket: TcpListener,
    /// Whether there may be something to accept.
    readable: bool,
    /// Do not accept before, because the system could not.
    resume_at: Option<Instant>,
    /// A file descriptor to give up for a moment when there is no other: to accept and close a connection is the
    /// only way to tell its peer that it should go elsewhere.
    #[cfg(unix)]
    reserve: Option<std::fs::File>,
    /// Whether connections are refused at present: to log it once.
    refusing: bool,
}

/// What one accept gave.
#[derive(Debug)]
pub(super) enum Accepted {
    Stream(TcpStream, SocketAddr),
    /// A connection was closed at once, for lack of a file descriptor.
    Shed,
    /// Nothing (more) at present.
    Nothing,
}

impl Acceptor {
    pub(super) fn open(
        listener: &Listener,
        index: u32,
        registry: &Registry,
        config: &DriverConfig,
    ) -> io::Result<Acceptor> {
        let mut socket = tcp::listen(listener.address, config)?;
        registry.register(&mut socket, Source::Listener(index).token(), Interest::READABLE)?;
        Ok(Acceptor {
            ppid: listener.ppid,
            address: socket.local_addr()?,
            idle_timeout: listener.idle_timeout,
            socket,
            readable: false,
            resume_at: None,
            #[cfg(unix)]
            reserve: reserve(),
            refusing: false,
        })
    }

    pub(super) fn signal(&mut self) {
        self.readable = true;
    }

    /// Whether there may be something to accept now.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.readable && self.resume_at.is_none_or(|at| at <= now)
    }

    /// When to try again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.resume_at.filter(|_| self.readable)
    }

    pub(super) fn accept(&mut self, now: Instant, backoff: Duration) -> Accepted {
        self.resume_at = None;
        loop {
            let error = match self.socket.accept() {
                Ok((stream, peer)) => return Accepted::Stream(stream, peer),
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Accepted::Nothing;
                }
                // The peer has gone meanwhile, or the next call may do better.
                ErrorKind::Interrupted | ErrorKind::ConnectionAborted => continue,
                _ => {}
            }
            if is_out_of_descriptors(&error)
                && let Some(shed) = self.shed()
            {
                if matches!(shed, Accepted::Shed) {
                    self.note_refusing(true, &error);
                }
                return shed;
            }
            // The socket stays readable, and readiness is signalled once only: come back by the clock.
            self.note_refusing(true, &error);
            self.resume_at = Some(now + backoff);
            return Accepted::Nothing;
        }
    }

    /// Logs when connections begin to be refused and when they are accepted again.
    pub(super) fn note_refusing(&mut self, refusing: bool, reason: &dyn std::fmt::Display) {
        if refusing && !self.refusing {
            warn!(listener = %self.address, %reason, "refusing connections");
        } else if !refusing && self.refusing {
            info!(listener = %self.address, "accepting connections again");
        }
        self.refusing = refusing;
    }

    /// Accepts a connection with the reserved descriptor and closes it; `None` where that does not work either.
    #[cfg(unix)]
    fn shed(&mut self) -> Option<Accepted> {
        let shed = self.reserve.take().and_then(|file| {
            drop(file);
            match self.socket.accept() {
                Ok(_) => Some(Accepted::Shed),
                // Without a descriptor the system does not even say that there is nothing to accept.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    Some(Accepted::Nothing)
                }
                Err(_) => None,
            }
        });
        self.reserve = reserve();
        shed
    }

    #[cfg(not(unix))]
    fn shed(&mut self) -> Option<Accepted> {
        None
    }
}

#[cfg(unix)]
fn reserve() -> Option<std::fs::File> {
    std::fs::File::open("/dev/null").ok()
}

/// EMFILE or ENFILE; WSAEMFILE.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    let codes: &[i32] = if cfg!(windows) { &[10024] } else { &[24, 23] };
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}
