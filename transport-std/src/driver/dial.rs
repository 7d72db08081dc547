//! Attempts to connect.
//!
//! The addresses of a dial are tried in their order. An address that fails makes room for the next one at once, one
//! that does not answer is joined by the next after a while, and the first that works wins: RFC 8305, 5.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry};
use rserpool_core::{DialId, Instant, Ppid};
use tracing::debug;

use super::token::Source;
use super::{DriverConfig, tcp};

/// The dials under way.
#[derive(Debug, Default)]
pub(super) struct Dials {
    dials: BTreeMap<DialId, Dial>,
    /// Which dial an attempt belongs to. Attempts are numbered and never use a number again (a wrap-around would
    /// need one to stay open for 2^30 others), so readiness of a former attempt finds nothing.
    attempts: BTreeMap<u32, DialId>,
    next_attempt: u32,
    /// The earliest moment at which [`expire`](Dials::expire) has something to do.
    deadline: Option<Instant>,
}

#[derive(Debug)]
struct Dial {
    ppid: Ppid,
    left: VecDeque<SocketAddr>,
    attempts: Vec<Attempt>,
    /// When to try the next address beside those that have not answered.
    next_at: Instant,
    give_up_at: Instant,
}

#[derive(Debug)]
struct Attempt {
    number: u32,
    address: SocketAddr,
    stream: TcpStream,
}

/// What the sockets are registered with, and the limits.
#[derive(Clone, Copy)]
pub(super) struct DialContext<'a> {
    pub(super) registry: &'a Registry,
    pub(super) config: &'a DriverConfig,
    pub(super) now: Instant,
}

/// A dial that is decided.
#[derive(Debug)]
pub(super) enum Outcome {
    Established { dial: DialId, ppid: Ppid, address: SocketAddr, stream: TcpStream },
    Failed { dial: DialId },
}

impl Dials {
    pub(super) fn len(&self) -> usize {
        self.dials.len()
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Begins a dial. `Some`: it has failed already.
    pub(super) fn begin(
        &mut self,
        id: DialId,
        ppid: Ppid,
        to: &[SocketAddr],
        context: DialContext<'_>,
    ) -> Option<Outcome> {
        // A machine that uses a name again has given up the former use.
        self.abandon(id);
        if self.dials.len() >= context.config.max_dials {
            debug!(dial = id.0, limit = context.config.max_dials, "too many attempts to connect");
            return Some(Outcome::Failed { dial: id });
        }
        let dial = Dial {
            ppid,
            left: to.iter().copied().collect(),
            attempts: Vec::new(),
            next_at: context.now,
            give_up_at: context.now + context.config.connect_timeout,
        };
        self.dials.insert(id, dial);
        self.advance(id, context)
    }

    /// Gives a dial up; whether there was one.
    pub(super) fn abandon(&mut self, id: DialId) -> bool {
        let Some(dial) = self.dials.remove(&id) else { return false };
        for attempt in dial.attempts {
            self.attempts.remove(&attempt.number);
        }
        self.refresh_deadline();
        true
    }

    /// Gives all dials up.
    pub(super) fn clear(&mut self) {
        *self = Dials { next_attempt: self.next_attempt, ..Dials::default() };
    }

    /// The socket of an attempt has news.
    pub(super) fn ready(&mut self, number: u32, context: DialContext<'_>) -> Option<Outcome> {
        let id = *self.attempts.get(&number)?;
        let dial = self.dials.get_mut(&id)?;
        let at = dial.attempts.iter().position(|attempt| attempt.number == number)?;
        match tcp::is_connected(&dial.attempts[at].stream) {
            Ok(false) => None,
            Ok(true) => {
                let (ppid, attempt) = (dial.ppid, dial.attempts.swap_remove(at));
                self.attempts.remove(&number);
                self.abandon(id);
                Some(Outcome::Established { dial: id, ppid, address: attempt.address, stream: attempt.stream })
            }
            Err(error) => {
                let attempt = dial.attempts.swap_remove(at);
                debug!(dial = id.0, address = %attempt.address, %error, "address not reached");
                self.attempts.remove(&number);
                dial.next_at = context.now;
                self.advance(id, context)
            }
        }
    }

    /// Does what is due. Call until it returns `None`.
    pub(super) fn expire(&mut self, context: DialContext<'_>) -> Option<Outcome> {
        while self.deadline.is_some_and(|deadline| deadline <= context.now) {
            let (&id, dial) = self.dials.iter_mut().find(|(_, dial)| dial.is_due(context.now))?;
            if dial.give_up_at <= context.now {
                debug!(dial = id.0, "no address answered in time");
                self.abandon(id);
                return Some(Outcome::Failed { dial: id });
            }
            if let Some(outcome) = self.advance(id, context) {
                return Some(outcome);
            }
        }
        None
    }

    /// Tries the next address of a dial.
    fn advance(&mut self, id: DialId, context: DialContext<'_>) -> Option<Outcome> {
        let dial = self.dials.get_mut(&id)?;
        while let Some(address) = dial.left.pop_front() {
            let number = self.next_attempt & Source::MAX_INDEX;
            self.next_attempt = self.next_attempt.wrapping_add(1);
            let registered = tcp::connect(address, context.config).and_then(|mut stream| {
                context.registry.register(&mut stream, Source::Attempt(number).token(), Interest::WRITABLE)?;
                Ok(stream)
            });
            match registered {
                Ok(stream) => {
                    dial.attempts.push(Attempt { number, address, stream });
                    self.attempts.insert(number, id);
                    break;
                }
                Err(error) => debug!(dial = id.0, %address, %error, "address not reached"),
            }
        }
        dial.next_at = context.now + context.config.connect_stagger;
        if dial.attempts.is_empty() {
            self.abandon(id);
            return Some(Outcome::Failed { dial: id });
        }
        self.refresh_deadline();
        None
    }

    fn refresh_deadline(&mut self) {
        self.deadline = self.dials.values().map(Dial::deadline).min();
    }
}

impl Dial {
    fn deadline(&self) -> Instant {
        if self.left.is_empty() { self.give_up_at } else { self.next_at.min(self.give_up_at) }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.deadline() <= now
    }
}
