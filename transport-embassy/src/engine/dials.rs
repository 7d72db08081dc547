//! The machine's attempts to connect. Where all places are taken, or there is no network, they wait: the machine gives
//! up what takes too long.

use core::net::SocketAddr;

use arrayvec::ArrayVec;
use rserpool_core::{DialId, Input, Instant, Ppid};

use super::slots::State;
use super::turn::Turn;
use crate::carrier::{Carrier, Dialled, Host, Status};
use crate::role::Role;

/// How many addresses of one peer are tried.
const MAX_TARGETS: usize = 2;

/// A place for an attempt. All zeros where there is none.
#[derive(Debug)]
pub(crate) struct Dial {
    stage: Stage,
    id: DialId,
    ppid: Ppid,
    to: ArrayVec<SocketAddr, MAX_TARGETS>,
    attempt: usize,
}

/// `Free` is zero, so that empty memory is all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Stage {
    /// There is no attempt here.
    Free,
    /// For a place to connect from, or for a network.
    Waiting,
    /// Until then at most.
    Connecting { slot: usize, until: Instant },
    /// The machine has still to be told.
    Failed,
}

impl Dial {
    pub(crate) const FREE: Dial =
        Dial { stage: Stage::Free, id: DialId(0), ppid: Ppid::Asap, to: ArrayVec::new_const(), attempt: 0 };

    pub(super) fn until(&self) -> Option<Instant> {
        match self.stage {
            Stage::Connecting { until, .. } => Some(until),
            _ => None,
        }
    }
}

impl<M, C, H, F> Turn<'_, M, C, H, F>
where
    M: Role,
    C: Carrier,
    H: Host,
    F: FnMut(M::Event),
{
    /// Takes note of a wish. `false`: there is no room for it, it fails.
    pub(super) fn add_dial(dials: &mut [Dial], id: DialId, ppid: Ppid, to: &[SocketAddr]) -> bool {
        let Some(dial) = dials.iter_mut().find(|dial| dial.stage == Stage::Free) else { return false };
        *dial = Dial { stage: Stage::Waiting, id, ppid, ..Dial::FREE };
        for target in to {
            let _ = dial.to.try_push(*target); // more are not tried
        }
        true
    }

    fn dial(&mut self, id: DialId) -> Option<&mut Dial> {
        self.dials.iter_mut().find(|dial| dial.id == id && dial.stage != Stage::Free)
    }

    pub(super) fn abandon(&mut self, id: DialId) {
        let Some(dial) = self.dial(id) else { return };
        let stage = core::mem::replace(&mut dial.stage, Stage::Free);
        if let Stage::Connecting { slot, .. } = stage {
            self.carrier.abort(slot);
            self.end(slot);
        }
    }

    /// Looks at a place that connects.
    pub(super) fn serve_dial(&mut self, slot: usize, id: DialId) {
        let now = self.now;
        let late = self.dial(id).and_then(|dial| dial.until()).is_none_or(|until| until <= now);
        match self.carrier.status(slot) {
            Status::Open | Status::Ended => {
                if self.can_handle() {
                    if let Some(dial) = self.dial(id) {
                        dial.stage = Stage::Free;
                    }
                    self.opened(slot, Some(id));
                }
            }
            Status::Opening if !late => {}
            Status::Opening | Status::Listening | Status::Reset | Status::Closed => {
                // The next address, from any place.
                self.carrier.abort(slot);
                self.set(slot, State::Free);
                if let Some(dial) = self.dial(id) {
                    dial.stage = Stage::Waiting;
                    dial.attempt += 1;
                }
            }
        }
    }

    /// Begins the attempts that can begin, and tells of those that have failed.
    pub(super) fn place_dials(&mut self) {
        for at in 0..self.dials.len() {
            if self.dials.get(at).is_none_or(|dial| dial.stage != Stage::Waiting) {
                continue;
            }
            let Some(slot) = self.place() else { break };
            let Some(dial) = self.dials.get_mut(at) else { break };
            match self.carrier.dial(slot, &dial.to, dial.attempt) {
                Dialled::Started => {
                    let until = self.now + self.engine.config.connect_timeout;
                    dial.stage = Stage::Connecting { slot, until };
                    let (id, ppid) = (dial.id, dial.ppid);
                    self.set_ppid(slot, ppid);
                    self.set(slot, State::Dialling(id));
                }
                Dialled::NotNow => {}
                Dialled::NoMore => dial.stage = Stage::Failed,
            }
        }
        while self.can_handle()
            && let Some(dial) = self.dials.iter_mut().find(|dial| dial.stage == Stage::Failed)
        {
            dial.stage = Stage::Free;
            let dial = dial.id;
            self.input(Input::ConnectFailed { dial });
            // The machine may want another one at once.
            self.more = true;
        }
    }

    /// A place to connect from: a free one, or one that only listens.
    fn place(&mut self) -> Option<usize> {
        let free = self.slots.iter().position(|slot| slot.state == State::Free);
        if free.is_some() {
            return free;
        }
        let listens = |slot: &usize| {
            matches!(self.slots.get(*slot).map(|s| s.state), Some(State::Listening(_)))
                && self.carrier.status(*slot) == Status::Listening
        };
        let slot = (0..self.slots.len()).find(listens)?;
        self.carrier.abort(slot);
        self.set(slot, State::Free);
        Some(slot)
    }
}
