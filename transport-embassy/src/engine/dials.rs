//! The machine's attempts to connect. Where all places are taken, or there is no network, they wait: the machine gives
//! up what takes too long.

use core::net::SocketAddr;

use arrayvec::ArrayVec;
use rserpool_core::{DialId, Input, Instant, Ppid};

use super::slots::State;
use super::turn::Turn;
use super::{Engine, after};
use crate::carrier::{Carrier, Dialled, Host, Status};
use crate::role::Role;

/// How many attempts there can be at once. A server hunt has three (RFC 5352, 3.6, SH1), a registrar one for each peer
/// and, after a takeover, four for elements.
pub(super) const MAX_DIALS: usize = 8;
/// How many addresses of one peer are tried.
const MAX_TARGETS: usize = 2;

#[derive(Debug)]
pub(super) struct Dial {
    id: DialId,
    ppid: Ppid,
    to: ArrayVec<SocketAddr, MAX_TARGETS>,
    attempt: usize,
    /// The place that connects, and until when it may; `None`: none has begun yet.
    place: Option<(usize, Instant)>,
    failed: bool,
}

impl Dial {
    pub(super) fn until(&self) -> Option<Instant> {
        self.place.map(|(_, until)| until)
    }
}

impl<const N: usize> Engine<N> {
    /// Takes note of a wish. `false`: there is no room for it, it fails.
    pub(super) fn add_dial(&mut self, id: DialId, possible: bool, ppid: Ppid, to: &[SocketAddr]) -> bool {
        let mut targets = ArrayVec::new_const();
        for target in to {
            let _ = targets.try_push(*target); // more are not tried
        }
        possible && self.dials.try_push(Dial { id, ppid, to: targets, attempt: 0, place: None, failed: false }).is_ok()
    }
}

impl<M, C, H, F, const N: usize> Turn<'_, M, C, H, F, N>
where
    M: Role,
    C: Carrier,
    H: Host,
    F: FnMut(M::Event),
{
    pub(super) fn abandon(&mut self, id: DialId) {
        let Some(at) = self.engine.dials.iter().position(|dial| dial.id == id) else { return };
        if let Some((slot, _)) = self.engine.dials.pop_at(at).and_then(|dial| dial.place) {
            self.carrier.abort(slot);
            self.end(slot);
        }
    }

    /// Looks at a place that connects.
    pub(super) fn serve_dial(&mut self, slot: usize, id: DialId) {
        let Some(at) = self.engine.dials.iter().position(|dial| dial.id == id) else { return };
        let late = self.engine.dials.get(at).and_then(Dial::until).is_some_and(|until| until <= self.now);
        match self.carrier.status(slot) {
            Status::Open | Status::Ended => {
                if self.can_handle() {
                    self.engine.dials.pop_at(at);
                    self.opened(slot, Some(id));
                }
            }
            Status::Opening if !late => {}
            Status::Opening | Status::Listening | Status::Reset | Status::Closed => {
                // The next address, from any place.
                self.carrier.abort(slot);
                self.set(slot, State::Free);
                if let Some(dial) = self.engine.dials.get_mut(at) {
                    dial.place = None;
                    dial.attempt += 1;
                }
            }
        }
    }

    /// Begins the attempts that can begin, and tells of those that have failed.
    pub(super) fn place_dials(&mut self) {
        for at in 0..MAX_DIALS {
            let Some(dial) = self.engine.dials.get(at) else { break };
            if dial.place.is_some() {
                continue;
            }
            let (id, ppid) = (dial.id, dial.ppid);
            let Some(slot) = self.place() else { break };
            let Some(dial) = self.engine.dials.get_mut(at) else { break };
            match self.carrier.dial(slot, &dial.to, dial.attempt) {
                Dialled::Started => {
                    dial.place = Some((slot, after(self.now, self.engine.config.connect_timeout)));
                    self.engine.set_ppid(slot, ppid);
                    self.set(slot, State::Dialling(id));
                }
                Dialled::NotNow => {}
                Dialled::NoMore => dial.failed = true,
            }
        }
        while self.can_handle()
            && let Some(at) = self.engine.dials.iter().position(|dial| dial.failed)
            && let Some(Dial { id: dial, .. }) = self.engine.dials.pop_at(at)
        {
            self.input(Input::ConnectFailed { dial });
            // The machine may want another one at once.
            self.more = true;
        }
    }

    /// A place to connect from: a free one, or one that only listens.
    fn place(&mut self) -> Option<usize> {
        let free = self.engine.slots.iter().position(|slot| slot.state == State::Free);
        if free.is_some() {
            return free;
        }
        let listens = |slot: &usize| {
            matches!(self.engine.slots.get(*slot).map(|s| s.state), Some(State::Listening(_)))
                && self.carrier.status(*slot) == Status::Listening
        };
        let slot = (0..N).find(listens)?;
        self.carrier.abort(slot);
        self.set(slot, State::Free);
        Some(slot)
    }
}
