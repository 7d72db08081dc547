//! What drives a machine, whatever the stack and the runtime: it is given control, does what can be done at once, and
//! says when it wants it again. Nothing waits in here, so nothing is borrowed while somebody waits.

mod dials;
mod host;
mod listen;
mod slots;
mod turn;

use core::net::IpAddr;

use rserpool_core::{AssocId, Instant, Ppid};

use crate::config::Config;
use crate::role::Role;
use turn::Turn;

pub(crate) use crate::carrier::{Carrier, Host};
pub(crate) use dials::Dial;
pub(crate) use slots::Slot;

/// What the engine remembers between its turns, beside its [`Memory`].
#[derive(Debug)]
pub(crate) struct Engine {
    config: Config,
    /// A message that its association has no room for yet. It is at the start of the buffer, which nobody may use until
    /// it is gone; so the machine waits.
    unsent: Option<Unsent>,
    addresses: [Option<IpAddr>; 2],
    /// Where the search for connections to serve begins, so that each has its turn.
    first: usize,
}

#[derive(Clone, Copy, Debug)]
struct Unsent {
    to: AssocId,
    ppid: Ppid,
    len: usize,
    until: Instant,
}

/// What is lent to the engine for each turn: always the same.
pub(crate) struct Memory<'a> {
    /// One for each place of the carrier.
    pub(crate) slots: &'a mut [Slot],
    pub(crate) dials: &'a mut [Dial],
    /// For one message.
    pub(crate) buf: &'a mut [u8],
}

/// When the engine wants control again, if nothing happens before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// At once: there is more to do than one turn does.
    Now,
    /// Then, or only when something happens.
    At(Option<Instant>),
}

impl Engine {
    pub(crate) fn new(config: Config) -> Self {
        Engine { config, unsent: None, addresses: [None; 2], first: 0 }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Does what can be done at `now`. `tell` gets the machine's events.
    pub(crate) fn turn<M: Role>(
        &mut self,
        now: Instant,
        machine: &mut M,
        carrier: &mut impl Carrier,
        host: &mut impl Host,
        memory: Memory<'_>,
        tell: &mut impl FnMut(M::Event),
    ) -> Again {
        let Memory { slots, dials, buf } = memory;
        Turn { engine: self, slots, dials, now, machine, carrier, host, buf, tell, wait: None, more: false }.run()
    }
}
