//! SCTP associations as they come and go.

use rserpool_core::{AssocId, Input, Instant, Machine};

use super::io::Origin;
use super::link::Carrier;
use super::sctp::{Assoc, Happening};
use super::stats::CloseReason;
use super::turn::Engine;

/// How much is done for one listener before the others have their turn.
const HAPPENINGS_PER_TURN: usize = 64;

impl<M, F> Engine<M, F>
where
    M: Machine,
    F: FnMut(M::Event, &mut M, Instant),
{
    /// Takes what the SCTP listeners have.
    pub(super) fn associations(&mut self, now: Instant) {
        for index in 0..self.io.endpoints.len() {
            for _ in 0..HAPPENINGS_PER_TURN {
                let endpoint = &mut self.io.endpoints[index];
                if !endpoint.readable {
                    break;
                }
                let (ppid, idle_timeout) = (endpoint.ppid, endpoint.idle_timeout);
                match endpoint.next(&mut self.rx) {
                    None => break,
                    Some(Happening::Up { assoc, dial: None }) => {
                        let has_room = self.io.has_room();
                        self.io.endpoints[index].note_refusing(!has_room, &"as many associations as are allowed");
                        if has_room {
                            self.associated(assoc, Origin { ppid, dial: None, idle_timeout }, now);
                        } else {
                            // To drop it ends it, so that its peer goes elsewhere.
                            self.io.stats.refused += 1;
                        }
                    }
                    Some(Happening::Up { assoc, dial }) => {
                        self.associated(assoc, Origin { ppid, dial, idle_timeout }, now);
                    }
                    Some(Happening::Shed { dial, error }) => {
                        self.io.endpoints[index].note_refusing(true, &error);
                        match dial {
                            None => self.io.stats.refused += 1,
                            Some(dial) => self.io.dial_failed(dial),
                        }
                    }
                    Some(Happening::Failed { dial }) => self.io.dial_failed(dial),
                }
            }
        }
    }

    fn associated(&mut self, assoc: Assoc, origin: Origin, now: Instant) {
        // It may have ended already; then there are no addresses.
        let peer = assoc.peer().unwrap_or_default();
        let arrival = self.io.adopt_assoc(assoc, origin);
        self.connected(arrival, &peer, now);
    }

    /// The peer of an association has begun anew: to the machine the old one is gone, and there is a new one, which the
    /// peer opened.
    pub(super) fn restarted(&mut self, id: AssocId, now: Instant) {
        let Some(conn) = self.io.conns.get_mut(id) else { return };
        let origin = Origin { ppid: conn.ppid, dial: None, idle_timeout: conn.idle_timeout };
        let Some(carrier) = self.io.take_carrier(id, CloseReason::Restarted) else { return };
        self.owner.input(&mut self.io, now, Input::Closed { assoc: id });
        self.io.conns.free(id);
        match carrier {
            Carrier::Sctp(assoc) => self.associated(assoc, origin, now),
            Carrier::Tcp(_) => {}
        }
    }
}
