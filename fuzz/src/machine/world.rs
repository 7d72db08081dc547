//! One machine, and all that can happen to it: associations, attempts to connect, messages of any kind, time.

use std::collections::BTreeMap;

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use bumpalo::Bump;
use rserpool_core::{AssocId, Destination, DialId, Input, Instant, Link, Ppid, RecvError};

use super::host::{Act, Host, Sent, Subject};
use crate::wire::generate::Source;
use crate::wire::message::Message;

/// One more than the machines under test have places for.
const SLOTS: usize = 9;

#[derive(Clone, Copy, Debug)]
pub struct Assoc {
    pub id: AssocId,
    pub ppid: Ppid,
}

/// What has been done to the machine, if it matters to a model.
#[derive(Debug)]
pub enum Cause {
    Message { assoc: AssocId, ppid: Ppid, bytes: Vec<u8>, done: Result<(), RecvError> },
    SendFailed(AssocId),
    Other,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome<E> {
    pub cause: Cause,
    pub sent: Vec<Sent>,
    pub events: Vec<E>,
    /// Associations that have ended, by either side.
    pub closed: Vec<AssocId>,
}

pub struct World<M: Subject> {
    pub host: Host<M>,
    /// Whether others speak ENRP with it.
    enrp: bool,
    slots: [Option<Assoc>; SLOTS],
    generations: [u32; SLOTS],
    pub dials: BTreeMap<DialId, (Link, Ppid, Vec<SocketAddr>)>,
}

impl<M: Subject> World<M> {
    pub fn new(machine: M, enrp: bool) -> Self {
        let host = Host::new(machine, Instant::ZERO);
        World { host, enrp, slots: [None; SLOTS], generations: [0; SLOTS], dials: BTreeMap::new() }
    }

    pub fn assocs(&self) -> impl Iterator<Item = Assoc> + '_ {
        self.slots.iter().flatten().copied()
    }

    pub fn is_open(&self, assoc: AssocId) -> bool {
        self.assocs().any(|open| open.id == assoc)
    }

    pub fn pick(&self, n: u8) -> Option<Assoc> {
        let count = self.assocs().count();
        self.assocs().nth(usize::from(n).checked_rem(count)?)
    }

    /// Does what the machine wants, and tells what has come of it all.
    pub fn outcome(&mut self, cause: Cause) -> Outcome<M::Event> {
        let mut outcome = Outcome { cause, sent: Vec::new(), events: Vec::new(), closed: Vec::new() };
        while !self.host.acts.is_empty() {
            for act in std::mem::take(&mut self.host.acts) {
                match act {
                    Act::Send(sent) => {
                        if let Destination::Assoc(assoc) = sent.to {
                            let open = self.assocs().find(|open| open.id == assoc);
                            // It may have asked for the end of the association just before.
                            assert!(open.is_some() || outcome.closed.contains(&assoc), "an association that is there");
                            assert!(open.is_none_or(|open| open.ppid == sent.ppid), "each has its protocol");
                        }
                        outcome.sent.push(sent);
                    }
                    Act::Connect { dial, link, ppid, to } => {
                        assert!(self.dials.insert(dial, (link, ppid, to)).is_none(), "each attempt has a name");
                    }
                    Act::Abandon(dial) => {
                        self.dials.remove(&dial);
                    }
                    Act::Disconnect(assoc) => {
                        if self.is_open(assoc) {
                            outcome.closed.push(assoc);
                            self.closed(assoc);
                        }
                    }
                    Act::Event(event) => outcome.events.push(event),
                }
            }
        }
        trace(|| format!("{:?}: {:02x?}", self.host.now, outcome));
        outcome
    }

    fn closed(&mut self, assoc: AssocId) {
        self.slots[assoc.slot as usize] = None;
        self.host.input(Input::Closed { assoc }).expect("an end is no error");
    }

    pub fn connect(&mut self, dial: Option<DialId>, link: Link, ppid: Ppid, peer: &[SocketAddr]) -> Option<AssocId> {
        let slot = self.slots.iter().position(Option::is_none)?;
        self.generations[slot] += 1;
        let id = AssocId { slot: slot as u32, generation: self.generations[slot] };
        self.slots[slot] = Some(Assoc { id, ppid });
        match self.host.input(Input::Connected { assoc: id, dial, link, peer }) {
            Ok(()) | Err(RecvError::Full) => Some(id),
            Err(error) => panic!("{error}"),
        }
    }

    pub fn message(&mut self, assoc: Assoc, bytes: &[u8]) -> Outcome<M::Event> {
        let Assoc { id, ppid } = assoc;
        let done = self.host.input(Input::Message { assoc: id, ppid, bytes });
        self.outcome(Cause::Message { assoc: id, ppid, bytes: bytes.to_vec(), done })
    }

    /// A message, and the association ends before there was time to do what came of it.
    pub fn last_words(&mut self, assoc: Assoc, bytes: &[u8]) -> Outcome<M::Event> {
        let Assoc { id, ppid } = assoc;
        for _ in 0..2 {
            // The second one finds a machine that may be busy.
            self.host.input_undrained(Input::Message { assoc: id, ppid, bytes });
        }
        self.closed(id);
        let mut outcome = self.outcome(Cause::Message { assoc: id, ppid, bytes: bytes.to_vec(), done: Ok(()) });
        outcome.closed.push(id);
        outcome
    }

    /// An association takes the place of another one whose end nobody has told.
    pub fn supplant(&mut self, assoc: Assoc, link: Link, peer: SocketAddr) -> Outcome<M::Event> {
        let slot = assoc.id.slot;
        self.generations[slot as usize] += 1;
        let id = AssocId { slot, generation: self.generations[slot as usize] };
        self.slots[slot as usize] = Some(Assoc { id, ppid: assoc.ppid });
        let _ = self.host.input(Input::Connected { assoc: id, dial: None, link, peer: &[peer] });
        let mut outcome = self.outcome(Cause::Other);
        outcome.closed.push(assoc.id);
        outcome
    }

    /// One of the happenings that all machines know.
    pub fn happen(&mut self, source: &mut Source<'_>) -> Outcome<M::Event> {
        let cause = match source.below(16) {
            0 | 1 => {
                let (link, ppid) = (source.link(), self.protocol(source));
                self.connect(None, link, ppid, &[source.socket_addr()]);
                Cause::Other
            }
            2 => match self.pick(source.u8()) {
                Some(assoc) => {
                    self.closed(assoc.id);
                    let mut outcome = self.outcome(Cause::Other);
                    outcome.closed.push(assoc.id);
                    return outcome;
                }
                None => Cause::Other,
            },
            3 => match self.pick(source.u8()) {
                Some(Assoc { id, .. }) => {
                    self.host.input(Input::SendFailed { assoc: id }).expect("it is no error");
                    Cause::SendFailed(id)
                }
                None => Cause::Other,
            },
            4 => {
                self.stray(source);
                Cause::Other
            }
            5 => {
                let (from, ppid) = (source.socket_addr(), self.protocol(source));
                let bytes = source.take(usize::from(source.peek()));
                let _ = self.host.input(Input::Datagram { from, ppid, bytes });
                Cause::Other
            }
            6 => {
                // A clock that goes back is taken for one that stands.
                let before = self.host.now.min(Instant::from_secs(source.u8().into()));
                self.host.input_at(before, Input::Timeout).expect("it is no error");
                Cause::Other
            }
            7 | 8 => match self.pick(source.u8()) {
                Some(assoc) => {
                    let len = source.u8();
                    return self.message(assoc, source.take(len.into()));
                }
                None => Cause::Other,
            },
            9..=11 => {
                self.answer_dial(source);
                Cause::Other
            }
            _ => {
                let time = match source.u8() {
                    byte @ ..0x60 => Duration::from_millis(u64::from(byte) * 10),
                    byte @ 0x60..0xf0 => Duration::from_millis(u64::from(byte) * 250),
                    _ => Duration::from_secs(u64::from(source.u8()) * 4),
                };
                let to = self.host.now + time;
                match source.u8() {
                    ..0x90 => self.host.advance_until_it_speaks(to),
                    0x90..0xe0 => self.host.advance(to),
                    _ => self.host.jump(to),
                }
                Cause::Other
            }
        };
        self.outcome(cause)
    }

    fn protocol(&self, source: &mut Source<'_>) -> Ppid {
        if self.enrp && source.flag() { Ppid::Enrp } else { Ppid::Asap }
    }

    /// Inputs about what the machine does not know.
    fn stray(&mut self, source: &mut Source<'_>) {
        let assoc = AssocId { slot: source.below(12).into(), generation: 0xffff };
        let input = match source.below(5) {
            0 => Input::Closed { assoc },
            1 => Input::SendFailed { assoc },
            2 => {
                let dial = DialId(source.u32());
                // By chance it can be one that is there: then it has failed.
                self.dials.remove(&dial);
                Input::ConnectFailed { dial }
            }
            3 => Input::Message { assoc, ppid: Ppid::Asap, bytes: &[5, 0, 0, 9, 0, 9, 0, 5, b'a'] },
            _ => Input::Message { assoc, ppid: Ppid::Enrp, bytes: &[5, 0, 0, 12, 0, 0, 0, 0x12, 0, 0, 0, 0] },
        };
        let _ = self.host.input(input);
    }

    /// An attempt to connect has an end: this one, or one that was abandoned and succeeds all the same.
    fn answer_dial(&mut self, source: &mut Source<'_>) {
        let nth = usize::from(source.u8()).checked_rem(self.dials.len());
        let known = nth.and_then(|nth| self.dials.keys().nth(nth)).copied();
        let how = source.below(4);
        match known.and_then(|dial| self.dials.remove(&dial).map(|dialled| (dial, dialled))) {
            Some((dial, (link, ppid, to))) if how > 0 && self.connect(Some(dial), link, ppid, &to).is_some() => {}
            Some((dial, _)) => self.host.input(Input::ConnectFailed { dial }).expect("it is no error"),
            None if how == 3 => {
                let ppid = self.protocol(source);
                self.connect(Some(DialId(source.u8().into())), Link::Tcp, ppid, &[source.socket_addr()]);
            }
            None => {}
        }
    }

    /// A message of the association's protocol.
    pub fn sensible(&mut self, source: &mut Source<'_>, assoc: Assoc) -> Outcome<M::Event> {
        let message = match assoc.ppid {
            Ppid::Asap => Message::Asap(source.asap()),
            Ppid::Enrp => Message::Enrp(source.enrp()),
        };
        self.say(source, assoc, message)
    }

    /// A message, now and then with one byte changed.
    pub fn say(&mut self, source: &mut Source<'_>, assoc: Assoc, message: Message<'_>) -> Outcome<M::Event> {
        let Some(mut bytes) = message.bytes() else { return self.outcome(Cause::Other) };
        if source.u8() >= 0xf0 {
            let at = usize::from(source.u8()) % bytes.len();
            bytes[at] = source.u8();
        }
        self.message(assoc, &bytes)
    }
}

/// With `RSERPOOL_FUZZ_TRACE` in the environment, what happens is told.
pub fn trace(line: impl FnOnce() -> String) {
    static WANTED: OnceLock<bool> = OnceLock::new();
    if *WANTED.get_or_init(|| std::env::var_os("RSERPOOL_FUZZ_TRACE").is_some()) {
        eprintln!("{}", line());
    }
}

/// An arbitrary input, op by op, until it ends. `bump` holds what the messages are made of.
pub fn each_op(data: &[u8], mut op: impl FnMut(&mut Source<'_>)) {
    let mut bump = Bump::new();
    let mut rest = data;
    while !rest.is_empty() {
        let mut source = Source::new(rest, &bump);
        op(&mut source);
        rest = &rest[rest.len() - source.left()..];
        bump.reset();
    }
}
