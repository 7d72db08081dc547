//! What drives a machine, whatever the stack and the runtime: it is given control, does what can be done at once, and
//! says when it wants it again. Nothing waits in here, so nothing is borrowed while somebody waits.

mod dials;
mod host;
mod listen;
mod slots;
mod turn;

use core::net::IpAddr;
use core::time::Duration;

use arrayvec::ArrayVec;
use rserpool_core::{AssocId, Instant};

use crate::config::Config;
use crate::role::Role;
use dials::{Dial, MAX_DIALS};
use slots::Slot;
use turn::Turn;

pub(crate) use crate::carrier::{Carrier, Host};

/// What the engine remembers between its turns. `N`: places for connections.
#[derive(Debug)]
pub(crate) struct Engine<const N: usize> {
    config: Config,
    slots: [Slot; N],
    dials: ArrayVec<Dial, MAX_DIALS>,
    /// A message that its association has no room for yet. It is at the start of the caller's buffer, which nobody may
    /// use until it is gone; so the machine waits.
    unsent: Option<Unsent>,
    addresses: [Option<IpAddr>; 2],
    /// Where the search for connections to serve begins, so that each has its turn.
    first: usize,
}

#[derive(Clone, Copy, Debug)]
struct Unsent {
    to: AssocId,
    ppid: rserpool_core::Ppid,
    len: usize,
    until: Instant,
}

/// When the engine wants control again, if nothing happens before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// At once: there is more to do than one turn does.
    Now,
    /// Then, or only when something happens.
    At(Option<Instant>),
}

impl<const N: usize> Engine<N> {
    pub(crate) fn new(config: Config) -> Self {
        Engine {
            config,
            slots: [Slot::FREE; N],
            dials: ArrayVec::new_const(),
            unsent: None,
            addresses: [None; 2],
            first: 0,
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Does what can be done at `now`. `buf` has to be the same bytes each time; `tell` gets the machine's events.
    pub(crate) fn turn<M: Role>(
        &mut self,
        now: Instant,
        machine: &mut M,
        carrier: &mut impl Carrier,
        host: &mut impl Host,
        buf: &mut [u8],
        tell: &mut impl FnMut(M::Event),
    ) -> Again {
        Turn { engine: self, now, machine, carrier, host, buf, tell, wait: None, more: false }.run()
    }
}

/// `now + duration`, and "never" stays never.
fn after(now: Instant, duration: Duration) -> Instant {
    now + duration
}
