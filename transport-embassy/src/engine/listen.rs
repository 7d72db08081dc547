//! A place that nobody uses listens. A stack without a backlog takes one connection with each place that does.

use super::slots::State;
use super::turn::Turn;
use crate::carrier::{Carrier, Host};
use crate::role::Role;

impl<M, C, H, F> Turn<'_, M, C, H, F>
where
    M: Role,
    C: Carrier,
    H: Host,
    F: FnMut(M::Event),
{
    pub(super) fn listen(&mut self) {
        if self.engine.config.listeners.is_empty() {
            return;
        }
        for slot in self.engine.config.reserved..self.slots.len() {
            if self.slots.get(slot).is_none_or(|s| s.state != State::Free) {
                continue;
            }
            // The port that has the fewest places.
            let places = |port| self.slots.iter().filter(|s| s.state == State::Listening(port)).count();
            let listeners = self.engine.config.listeners.iter();
            let Some(listener) = listeners.min_by_key(|listener| places(listener.port)).copied() else { return };
            if self.carrier.listen(slot, listener.port) {
                self.set_ppid(slot, listener.ppid);
                self.set(slot, State::Listening(listener.port));
            }
        }
    }
}
