//! A one-to-many socket: where associations come from.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use lksctp::{AssocChangeState, AssocId, Notification, RecvMsg, SendFlags};
use mio::{Interest, Registry};
use rserpool_core::{DialId, Instant, Ppid};
use tracing::{debug, info, warn};

use super::assoc::{Assoc, end};
use super::socket::{Fd, listen, reachable, useful};
use crate::driver::config::{DriverConfig, Listener};
use crate::driver::token::Source;

/// A listening socket, and the attempts to connect that it makes.
#[derive(Debug)]
pub(in crate::driver) struct Endpoint {
    pub(in crate::driver) ppid: Ppid,
    /// All addresses by which it can be reached.
    pub(in crate::driver) addresses: Vec<SocketAddr>,
    pub(in crate::driver) idle_timeout: Option<Duration>,
    /// Whether there may be something to read.
    pub(in crate::driver) readable: bool,
    socket: Fd,
    dials: Vec<Dial>,
    /// Whether associations are refused at present: to log it once.
    refusing: bool,
}

#[derive(Debug)]
struct Dial {
    id: DialId,
    assoc: AssocId,
    give_up_at: Instant,
}

/// What became of an association.
#[derive(Debug)]
pub(in crate::driver) enum Happening {
    /// It is up; `dial`: this side has opened it.
    Up { assoc: Assoc, dial: Option<DialId> },
    /// It was ended at once, because the system has no descriptor for it.
    Shed { dial: Option<DialId>, error: io::Error },
    /// It could not be established.
    Failed { dial: DialId },
}

impl Endpoint {
    pub(in crate::driver) fn open(
        listener: &Listener,
        index: u32,
        registry: &Registry,
        config: &DriverConfig,
    ) -> io::Result<Self> {
        let wanted: Vec<SocketAddr> = listener.addresses().collect();
        let mut socket = listen(&wanted, config)?;
        registry.register(&mut socket, Source::Sctp(index).token(), Interest::READABLE)?;
        let addresses = useful(socket.0.local_addrs(AssocId::FUTURE)?);
        Ok(Endpoint {
            ppid: listener.ppid,
            addresses,
            idle_timeout: listener.idle_timeout,
            readable: false,
            socket,
            dials: Vec::new(),
            refusing: false,
        })
    }

    /// The next thing that happened.
    pub(in crate::driver) fn next(&mut self, buf: &mut [u8]) -> Option<Happening> {
        loop {
            let change = match self.socket.0.recv_msg(buf) {
                Ok(RecvMsg::Notification(Notification::AssocChange(change))) => change,
                // An association's messages are on its own descriptor.
                Ok(_) => continue,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    if error.kind() != ErrorKind::WouldBlock {
                        debug!(%error, "nothing received");
                    }
                    self.readable = false;
                    return None;
                }
            };
            let dial = self.take_dial(change.assoc_id);
            match (change.state, dial) {
                (AssocChangeState::CommUp, dial) => {
                    if let Some(happening) = self.branch_off(change.assoc_id, dial) {
                        return Some(happening);
                    }
                }
                (AssocChangeState::Restart | AssocChangeState::Unknown(_), _) | (_, None) => {}
                (_, Some(dial)) => {
                    debug!(dial = dial.0, cause = change.error, "not connected");
                    return Some(Happening::Failed { dial });
                }
            }
        }
    }

    fn branch_off(&self, id: AssocId, dial: Option<DialId>) -> Option<Happening> {
        let branched = self.socket.0.peeloff(id).and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        match (branched, dial) {
            (Ok(socket), dial) => Some(Happening::Up { assoc: Assoc::new(socket, self.ppid), dial }),
            // It has ended meanwhile.
            (Err(error), None) if error.kind() == ErrorKind::InvalidInput => None,
            (Err(error), dial) => {
                self.abort(id);
                Some(Happening::Shed { dial, error })
            }
        }
    }

    fn take_dial(&mut self, assoc: AssocId) -> Option<DialId> {
        let at = self.dials.iter().position(|dial| dial.assoc == assoc)?;
        Some(self.dials.swap_remove(at).id)
    }

    /// Logs when associations begin to be refused and when they are accepted again.
    pub(in crate::driver) fn note_refusing(&mut self, refusing: bool, reason: &dyn std::fmt::Display) {
        if refusing && !self.refusing {
            warn!(listener = ?self.addresses, %reason, "refusing associations");
        } else if !refusing && self.refusing {
            info!(listener = ?self.addresses, "accepting associations again");
        }
        self.refusing = refusing;
    }

    /// Which of these addresses can be reached from here. One that cannot be would keep the system from trying the others.
    pub(in crate::driver) fn reachable(&self, to: &[SocketAddr]) -> Vec<SocketAddr> {
        reachable(&self.addresses, to)
    }

    /// Begins to connect, to all addresses of one peer.
    pub(in crate::driver) fn connect(&mut self, id: DialId, to: &[SocketAddr], give_up_at: Instant) -> io::Result<()> {
        let assoc = self.socket.0.connectx(to)?;
        self.dials.push(Dial { id, assoc, give_up_at });
        Ok(())
    }

    /// Gives an attempt up; whether there was one.
    pub(in crate::driver) fn abandon(&mut self, id: DialId) -> bool {
        let Some(at) = self.dials.iter().position(|dial| dial.id == id) else { return false };
        let dial = self.dials.swap_remove(at);
        self.abort(dial.assoc);
        true
    }

    /// An attempt whose time is over.
    pub(in crate::driver) fn expired(&mut self, now: Instant) -> Option<DialId> {
        let id = self.dials.iter().find(|dial| dial.give_up_at <= now)?.id;
        self.abandon(id);
        Some(id)
    }

    pub(in crate::driver) fn deadline(&self) -> Option<Instant> {
        self.dials.iter().map(|dial| dial.give_up_at).min()
    }

    pub(in crate::driver) fn dials(&self) -> usize {
        self.dials.len()
    }

    fn abort(&self, id: AssocId) {
        if let Err(error) = end(&self.socket.0, id, SendFlags::ABORT) {
            debug!(%error, "no ABORT sent");
        }
    }
}
