//! One turn: the machine is drained, and each connection is looked at.

use rserpool_core::{AssocId, Destination, Input, Instant, Output, Ppid, Transmit};

use super::dials::Dial;
use super::slots::{Slot, State};
use super::{Again, Engine, Unsent};
use crate::carrier::{Carrier, Host, Received, Sent, Status};
use crate::role::Role;

/// How many messages of one connection are taken in one turn.
const MESSAGES_PER_TURN: usize = 4;

pub(super) struct Turn<'t, M, C, H, F> {
    pub(super) engine: &'t mut Engine,
    pub(super) slots: &'t mut [Slot],
    pub(super) dials: &'t mut [Dial],
    pub(super) now: Instant,
    pub(super) machine: &'t mut M,
    pub(super) carrier: &'t mut C,
    pub(super) host: &'t mut H,
    pub(super) buf: &'t mut [u8],
    pub(super) tell: &'t mut F,
    /// What the machine waits for.
    pub(super) wait: Option<Instant>,
    /// Something was left for the next turn.
    pub(super) more: bool,
}

impl<M, C, H, F> Turn<'_, M, C, H, F>
where
    M: Role,
    C: Carrier,
    H: Host,
    F: FnMut(M::Event),
{
    pub(super) fn run(mut self) -> Again {
        self.look_at_addresses();
        self.retry();
        self.drain();
        let (first, count) = (self.engine.first, self.slots.len());
        self.engine.first = if first + 1 < count { first + 1 } else { 0 };
        for slot in first..first + count {
            self.serve(if slot < count { slot } else { slot - count });
        }
        self.place_dials();
        self.listen();
        self.datagrams();
        if self.more && self.engine.unsent.is_none() { Again::Now } else { Again::At(self.deadline()) }
    }

    /// Whether the machine may be given something: all that it wanted to send is on its way.
    pub(super) fn can_handle(&self) -> bool {
        self.engine.unsent.is_none()
    }

    /// Rule 1 of the contract: one input, then all that follows from it.
    pub(super) fn input(&mut self, input: Input<'_>) {
        if let Err(_error) = self.machine.handle(self.now, input) {
            debug!("an input was refused: {}", _error);
        }
        self.drain();
    }

    /// Carries out what the machine wants, until it waits, or a message has to wait for room.
    #[inline(never)]
    pub(super) fn drain(&mut self) {
        let mut cleared = false;
        while self.can_handle() {
            match self.machine.poll(self.now, self.buf) {
                Output::Transmit(Transmit { to: Destination::Assoc(to), ppid, bytes }) => {
                    let len = bytes.len();
                    let Some(slot) = find(self.slots, to) else { continue };
                    match self.carrier.send(slot, ppid, bytes) {
                        Sent::Yes => self.touch(slot),
                        // The bytes stay where the machine has made them, at the start of the buffer.
                        Sent::Full => {
                            let until = self.now + self.engine.config.write_stall;
                            self.engine.unsent = Some(Unsent { to, ppid, len, until });
                        }
                        Sent::TooLong => self.never_fits(to, len),
                    }
                }
                Output::Transmit(Transmit { to: Destination::Channel, ppid, bytes }) => self.host.send(ppid, bytes),
                Output::Connect { dial, link, ppid, to } => {
                    if link != C::LINK || !Self::add_dial(self.dials, dial, ppid, to) {
                        let _ = self.machine.handle(self.now, Input::ConnectFailed { dial });
                    }
                }
                Output::Abandon { dial } => self.abandon(dial),
                Output::Disconnect { assoc } => {
                    if let Some(slot) = find(self.slots, assoc) {
                        self.end(slot);
                        // It only forgets; there is nothing left to answer.
                        let _ = self.machine.handle(self.now, Input::Closed { assoc });
                    }
                }
                Output::Event(event) => (self.tell)(event),
                Output::BufferTooSmall { needed: _needed } => {
                    warn!("a message of {} bytes is longer than the buffer; the connections are closed", _needed);
                    if core::mem::replace(&mut cleared, true) {
                        // Not even then. It is tried again later.
                        self.wait = Some(self.now + self.engine.config.network_check);
                        return;
                    }
                    self.clear();
                }
                Output::Wait(deadline) => {
                    self.wait = deadline;
                    return;
                }
            }
        }
    }

    /// Sends what had to wait, or gives up the peer that does not take it.
    fn retry(&mut self) {
        let Some(Unsent { to, ppid, len, until }) = self.engine.unsent else { return };
        if let Some(slot) = find(self.slots, to) {
            let message = self.buf.get(..len).unwrap_or(&[]);
            match self.carrier.send(slot, ppid, message) {
                Sent::Full if self.now < until => return,
                Sent::Full | Sent::TooLong => {
                    warn!("a peer does not take what is sent to it");
                    self.engine.unsent = None;
                    self.carrier.abort(slot);
                    return self.lost(slot);
                }
                Sent::Yes => self.touch(slot),
            }
        }
        self.engine.unsent = None;
    }

    /// Looks at one place.
    fn serve(&mut self, slot: usize) {
        let Some(state) = self.slots.get(slot).map(|s| s.state) else { return };
        match state {
            State::Free => {}
            State::Listening(_) => match self.carrier.status(slot) {
                Status::Open | Status::Ended if self.can_handle() => self.opened(slot, None),
                Status::Closed | Status::Reset => self.set(slot, State::Free),
                _ => {}
            },
            State::Dialling(dial) => self.serve_dial(slot, dial),
            State::Open { idle } => {
                self.read(slot);
                let idle_until = idle.map(|since| since + self.engine.config.idle_timeout);
                if idle_until.is_some_and(|until| until <= self.now) && self.can_handle() {
                    debug!("a connection was idle for too long");
                    self.lost(slot);
                }
            }
            State::Closing(until) => {
                if self.carrier.status(slot) == Status::Closed {
                    self.set(slot, State::Free);
                } else if until <= self.now {
                    // Its reset may still be on the way; whoever uses the place next does not mind.
                    self.carrier.abort(slot);
                    self.set(slot, State::Free);
                }
            }
        }
    }

    /// Gives the machine what has come on an association, and notices its end.
    fn read(&mut self, slot: usize) {
        for _ in 0..MESSAGES_PER_TURN {
            let Some(found) = self.slots.get(slot).filter(|s| s.is_open()) else { return };
            let assoc = found.assoc(slot);
            if !self.can_handle() {
                return;
            }
            if !self.carrier.can_answer(slot) {
                // A peer that takes no answers may ask nothing more.
                if matches!(self.carrier.status(slot), Status::Closed | Status::Reset) {
                    self.lost(slot);
                }
                return;
            }
            match self.carrier.receive(slot) {
                Received::Message(bytes, ppid) => {
                    let ppid = ppid.unwrap_or(found.ppid);
                    if let Err(_error) = self.machine.handle(self.now, Input::Message { assoc, ppid, bytes }) {
                        debug!("a message was refused: {}", _error);
                    }
                    self.carrier.consume(slot);
                    self.touch(slot);
                    self.drain();
                }
                Received::Nothing => {
                    if matches!(self.carrier.status(slot), Status::Closed | Status::Reset | Status::Ended) {
                        self.lost(slot);
                    }
                    return;
                }
                Received::Broken => {
                    debug!("what a peer sends is no sequence of messages");
                    self.carrier.abort(slot);
                    return self.lost(slot);
                }
            }
        }
        self.more = true;
    }

    /// A connection is up.
    pub(super) fn opened(&mut self, slot: usize, dial: Option<rserpool_core::DialId>) {
        let Some(found) = self.slots.get_mut(slot) else { return };
        found.generation = found.generation.wrapping_add(1);
        found.state = State::Open { idle: dial.is_none().then_some(self.now) };
        let assoc = found.assoc(slot);
        let peer = self.carrier.peer(slot);
        let peer = peer.as_slice();
        self.input(Input::Connected { assoc, dial, link: C::LINK, peer });
        self.read(slot);
    }

    /// An association is of no more use: it ends, and the machine is told.
    pub(super) fn lost(&mut self, slot: usize) {
        let Some(assoc) = self.slots.get(slot).filter(|s| s.is_open()).map(|s| s.assoc(slot)) else { return };
        self.end(slot);
        self.input(Input::Closed { assoc });
    }

    /// Ends a connection, and waits for the rest of it.
    pub(super) fn end(&mut self, slot: usize) {
        self.carrier.close(slot);
        self.set(slot, State::Closing(self.now + self.engine.config.close_timeout));
    }

    pub(super) fn set(&mut self, slot: usize, state: State) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.state = state;
        }
    }

    /// A message is longer than the peer's send buffer: the association cannot carry it.
    fn never_fits(&mut self, to: AssocId, _len: usize) {
        warn!("a message of {} bytes is longer than the send buffer", _len);
        let _ = self.machine.handle(self.now, Input::SendFailed { assoc: to });
    }

    /// Closes all associations: whatever the machine wanted to send to one of them is void.
    fn clear(&mut self) {
        for slot in 0..self.slots.len() {
            let Some(assoc) = self.slots.get(slot).filter(|s| s.is_open()).map(|s| s.assoc(slot)) else {
                continue;
            };
            self.end(slot);
            let _ = self.machine.handle(self.now, Input::Closed { assoc });
        }
    }

    /// A message went over an association.
    fn touch(&mut self, slot: usize) {
        if let Some(State::Open { idle: Some(idle) }) = self.slots.get_mut(slot).map(|s| &mut s.state) {
            *idle = self.now;
        }
    }

    /// The protocol of a place.
    pub(super) fn set_ppid(&mut self, slot: usize, ppid: Ppid) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.ppid = ppid;
        }
    }
}

/// The place of an association that is still there.
fn find(slots: &[Slot], assoc: AssocId) -> Option<usize> {
    let slot = usize::try_from(assoc.slot).ok()?;
    slots.get(slot).filter(|s| s.is_open() && s.generation == assoc.generation).map(|_| slot)
}
