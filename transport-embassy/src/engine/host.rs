//! What is not about one connection: the host's addresses, the multicast channels, the next deadline.

use rserpool_core::{Input, Instant};

use super::dials::Dial;
use super::slots::State;
use super::turn::Turn;
use crate::carrier::{Carrier, Host};
use crate::role::Role;

/// How many datagrams are taken in one turn.
const DATAGRAMS_PER_TURN: usize = 4;

impl<M, C, H, F> Turn<'_, M, C, H, F>
where
    M: Role,
    C: Carrier,
    H: Host,
    F: FnMut(M::Event),
{
    /// Notices that the host has another address. Connections over the old one are dead, whether the stack knows it yet
    /// or not.
    pub(super) fn look_at_addresses(&mut self) {
        let addresses = self.host.addresses();
        let mut joined = false;
        for (which, address) in addresses.into_iter().enumerate() {
            // An address that is gone may come back.
            let Some(to) = address else { continue };
            let Some(known) = self.engine.addresses.get_mut(which) else { continue };
            let Some(from) = known.replace(to) else {
                joined = true;
                continue;
            };
            if from == to {
                continue;
            }
            joined = true;
            debug!("the host has another address");
            self.machine.moved(self.now, from, to);
            // What waits for room goes to a connection that is about to end.
            self.engine.unsent = None;
            for slot in 0..self.slots.len() {
                let same_family = |peer: core::net::SocketAddr| peer.is_ipv4() == to.is_ipv4();
                if self.slots.get(slot).is_some_and(|s| s.is_open()) && self.carrier.peer(slot).is_none_or(same_family)
                {
                    self.carrier.abort(slot);
                    self.lost(slot);
                }
            }
        }
        if joined {
            self.host.join();
        }
    }

    /// Gives the machine what came by multicast.
    pub(super) fn datagrams(&mut self) {
        for _ in 0..DATAGRAMS_PER_TURN {
            if !self.can_handle() {
                return;
            }
            let Some((ppid, from, len)) = self.host.receive(self.buf) else { return };
            let bytes = self.buf.get(..len).unwrap_or(&[]);
            if let Err(_error) = self.machine.handle(self.now, Input::Datagram { from, ppid, bytes }) {
                debug!("a datagram was refused: {}", _error);
            }
            self.drain();
        }
        self.more = true;
    }

    /// When there is something to do although nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let idle_timeout = self.engine.config.idle_timeout;
        // While a message waits for room, the machine and most of what is due wait with it.
        let mut next = match self.engine.unsent {
            Some(unsent) => Some(unsent.until),
            None => self.wait,
        };
        let mut earlier = |at: Instant| {
            let is_late = self.engine.unsent.is_some() && at <= self.now;
            if !is_late && next.is_none_or(|next| at < next) {
                next = Some(at);
            }
        };
        for slot in self.slots.iter() {
            match slot.state {
                State::Open { idle: Some(since) } => earlier(since + idle_timeout),
                State::Closing(until) => earlier(until),
                _ => {}
            }
        }
        for until in self.dials.iter().filter_map(Dial::until) {
            earlier(until);
        }
        next
    }
}
