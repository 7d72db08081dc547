//! A machine, and the rules of `Machine` that hold whatever it is given.

use std::fmt::Debug;
use std::net::SocketAddr;

use rserpool_core::{AssocId, Destination, DialId, Input, Instant, Link, Machine, Output, Ppid, RecvError};

use crate::wire::layout;
use crate::wire::message::Message;

/// More outputs than this at one instant are a machine that runs in circles.
const MAX_POLLS: usize = 5_000;
/// More wakes than this in a row, for each second that passes, are a machine that does not rest.
const MAX_WAKES: u64 = 200;

/// A machine whose state can be looked at.
pub trait Subject: Machine<Event: Debug> {
    /// What an input that is refused must leave as it was.
    type State: PartialEq + Debug;
    const SPEAKS_ENRP: bool;

    fn state(&self) -> Self::State;
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub at: Instant,
    pub to: Destination,
    pub ppid: Ppid,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub fn message(&self) -> Message<'_> {
        Message::parse(self.ppid, &self.bytes).expect("it was looked at before").message
    }
}

/// An output that borrows from nothing.
#[derive(Clone, Debug)]
pub enum Act<E> {
    Send(Sent),
    Connect { dial: DialId, link: Link, ppid: Ppid, to: Vec<SocketAddr> },
    Abandon(DialId),
    Disconnect(AssocId),
    Event(E),
}

pub struct Host<M: Subject> {
    pub machine: M,
    pub now: Instant,
    pub deadline: Option<Instant>,
    /// The deadline that it was given too late the last time, and when it came to it.
    pub late: Option<(Instant, Instant)>,
    /// What it wants done, and nobody has done yet.
    pub acts: Vec<Act<M::Event>>,
    /// Since the last drain.
    state: Option<M::State>,
    buf: Vec<u8>,
    polls: usize,
}

impl<M: Subject> Host<M> {
    pub fn new(machine: M, now: Instant) -> Self {
        let mut host = Host {
            machine,
            now,
            deadline: None,
            late: None,
            acts: Vec::new(),
            state: None,
            buf: vec![0xee; 70_000],
            polls: 0,
        };
        host.drain();
        host
    }

    pub fn state(&mut self) -> &M::State {
        self.state.get_or_insert_with(|| self.machine.state())
    }

    /// Gives it an input now, and drains it.
    pub fn input(&mut self, input: Input<'_>) -> Result<(), RecvError> {
        self.input_at(self.now, input)
    }

    /// The same, where its clock says something else.
    pub fn input_at(&mut self, now: Instant, input: Input<'_>) -> Result<(), RecvError> {
        self.state();
        let done = self.machine.handle(now, input);
        assert_ne!(done, Err(RecvError::Busy), "rule 1: it was drained after the input before");
        if let Err(error) = done {
            let _ = error.to_string();
            let (before, after) = (self.state.as_ref(), self.machine.state());
            assert_eq!(Some(&after), before, "rule 2: {done:?} leaves the state as it was, after {input:02x?}");
        }
        self.drain();
        done
    }

    /// Gives it an input and does not drain it, as an adapter does that has several at hand.
    pub fn input_undrained(&mut self, input: Input<'_>) {
        self.state = None;
        let _ = self.machine.handle(self.now, input);
    }

    /// Calls it, and drains it.
    pub fn call<R>(&mut self, call: impl FnOnce(&mut M, Instant) -> R) -> R {
        let result = call(&mut self.machine, self.now);
        self.drain();
        result
    }

    /// The same, but no longer than until it sends something: so it can be answered.
    pub fn advance_until_it_speaks(&mut self, to: Instant) {
        while !self.acts.iter().any(|act| matches!(act, Act::Send(_))) {
            match self.deadline.filter(|at| *at <= to) {
                Some(at) => self.advance(at),
                None => return self.jump(to),
            }
        }
    }

    /// Time passes, and it is polled whenever it wants to be.
    pub fn advance(&mut self, to: Instant) {
        let mut wakes = MAX_WAKES + to.saturating_duration_since(self.now).as_secs() * MAX_WAKES;
        while let Some(at) = self.deadline.filter(|at| *at <= to) {
            self.now = at;
            self.drain();
            wakes = wakes.checked_sub(1).expect("it rests now and then");
        }
        self.jump(to);
    }

    /// Time passes, and it is polled at the end only.
    pub fn jump(&mut self, to: Instant) {
        self.late = self.deadline.filter(|due| *due < to).map(|due| (due, to)).or(self.late);
        self.now = to;
        self.drain();
    }

    /// How large a buffer the next poll gets. Often it is too small at first.
    fn room(&mut self) -> usize {
        self.polls = self.polls.wrapping_add(1);
        if self.polls.is_multiple_of(3) { self.polls * 7 % 48 } else { self.buf.len() }
    }

    fn drain(&mut self) {
        self.state = None;
        let mut wanted = None;
        for _ in 0..MAX_POLLS {
            let room = wanted.unwrap_or_else(|| self.room());
            let now = self.now;
            let act = match self.machine.poll(now, &mut self.buf[..room]) {
                Output::Transmit(transmit) => {
                    let bytes = transmit.bytes.to_vec();
                    check_sent::<M>(transmit.ppid, &bytes);
                    assert!(wanted.take().is_none_or(|wanted| wanted == bytes.len()), "as large as it said");
                    Act::Send(Sent { at: now, to: transmit.to, ppid: transmit.ppid, bytes })
                }
                Output::BufferTooSmall { needed } => {
                    assert!(wanted.is_none(), "the buffer is as large as it said");
                    assert!(needed > room, "{needed} bytes are needed, and {room} were there");
                    wanted = Some(needed);
                    continue;
                }
                Output::Connect { dial, link, ppid, to } => {
                    assert!(!to.is_empty(), "an attempt has an address");
                    Act::Connect { dial, link, ppid, to: to.to_vec() }
                }
                Output::Abandon { dial } => Act::Abandon(dial),
                Output::Disconnect { assoc } => Act::Disconnect(assoc),
                Output::Event(event) => Act::Event(event),
                Output::Wait(until) => {
                    assert!(until.is_none_or(|at| at > now), "rule 3: {until:?} is not after {now:?}");
                    assert_eq!(until, self.machine.next_deadline());
                    let again = matches!(self.machine.poll(now, &mut []), Output::Wait(again) if again == until);
                    assert!(again, "rule 1: to poll too often is harmless");
                    self.deadline = until;
                    return;
                }
            };
            assert!(wanted.is_none(), "{act:?} comes before the message that had no room");
            self.acts.push(act);
        }
        panic!("a drain does not end: {:?}", self.acts.len());
    }
}

fn check_sent<M: Subject>(ppid: Ppid, bytes: &[u8]) {
    assert!(ppid == Ppid::Asap || M::SPEAKS_ENRP, "only registrars speak ENRP");
    if let Err(error) = Message::parse(ppid, bytes) {
        panic!("what a machine sends is well-formed: {error} in {bytes:02x?}");
    }
    layout::check(ppid, bytes);
}
