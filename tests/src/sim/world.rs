//! The world: nodes, the network between them, and what happens next. It knows nothing of what ought to happen.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use rserpool_core::wire::EnrpMessage;
use rserpool_core::{Destination, Input, Instant, Ppid, RecvError};

use super::assoc::{Attempt, Conn, Inbound};
use super::clock::Clock;
use super::describe;
use super::net::Net;
use super::node::{Act, Event, Kind, Machine, Node, NodeId};
use super::queue::Queue;
use super::rng::Rng;
use super::sabotage::{Saboteur, Verdict};
use super::trace::{Detail, Trace};

/// More outputs than this at one instant, beside those that the elements and peers of a registrar explain, are a machine
/// that runs in circles.
const MAX_POLLS: usize = 200_000;
/// A message, its padding, and some room.
const BUFFER: usize = 66_000;

/// Something that is to happen. What concerns the load and the faults is told to the director.
#[derive(Debug)]
pub enum Happening {
    Wake {
        node: NodeId,
        incarnation: u32,
    },
    Call {
        attempt: usize,
    },
    Called {
        attempt: usize,
        target: NodeId,
    },
    Answered {
        attempt: usize,
        conn: usize,
    },
    CallFailed {
        attempt: usize,
    },
    Arrives {
        conn: usize,
        side: usize,
        bytes: Vec<u8>,
    },
    Reset {
        conn: usize,
        side: usize,
    },
    Unacked {
        conn: usize,
        side: usize,
        since: Instant,
    },
    Datagram {
        node: NodeId,
        from: SocketAddr,
        ppid: Ppid,
        bytes: Vec<u8>,
    },
    Inbox {
        node: NodeId,
        incarnation: u32,
        what: Inbound,
    },
    /// The transports look after their associations.
    Heartbeats,
    /// For the director: an application acts.
    Act {
        node: NodeId,
        incarnation: u32,
    },
    /// For the director: the next entry of the fault schedule.
    Fault {
        index: usize,
    },
    /// For the director: a look at everything.
    Check,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub at: Instant,
    pub rule: &'static str,
    pub detail: String,
}

pub struct World {
    pub now: Instant,
    pub nodes: Vec<Node>,
    pub net: Net,
    pub conns: Vec<Conn>,
    pub attempts: Vec<Attempt>,
    pub queue: Queue<Happening>,
    /// Ends that wait for an acknowledgement or hold messages back.
    pub impaired: BTreeSet<(usize, usize)>,
    pub trace: Trace,
    /// What the machines told, not looked at yet.
    pub events: Vec<(NodeId, Event)>,
    pub violation: Option<Violation>,
    pub saboteur: Saboteur,
    /// Messages between registrars per second of the world: the second, and how many by now.
    pub second: (u64, Vec<u64>),
    /// The most that one registrar has sent to the others in one second, since it was last looked at.
    pub worst_second: u64,
    pub happenings: u64,
    rng: Rng,
    buf: Vec<u8>,
}

impl World {
    pub fn new(net: Net, trace: Trace, saboteur: Saboteur, rng: Rng) -> Self {
        World {
            now: Instant::ZERO,
            nodes: Vec::new(),
            net,
            conns: Vec::new(),
            attempts: Vec::new(),
            queue: Queue::default(),
            impaired: BTreeSet::new(),
            trace,
            events: Vec::new(),
            violation: None,
            saboteur,
            second: (0, Vec::new()),
            worst_second: 0,
            happenings: 0,
            rng,
            buf: vec![0; BUFFER],
        }
    }

    pub fn add(&mut self, kind: Kind, name: String) -> NodeId {
        let clock = Clock::random(&mut self.rng);
        self.nodes.push(Node::new(kind, name, clock));
        self.second.1.push(0);
        self.nodes.len() - 1
    }

    /// A seed for a machine.
    pub fn seed(&mut self) -> u64 {
        self.rng.next()
    }

    pub fn local(&self, n: NodeId) -> Instant {
        self.nodes[n].clock.local(self.now)
    }

    /// A process begins on a host.
    pub fn start(&mut self, n: NodeId, machine: Machine) {
        let node = &mut self.nodes[n];
        node.machine = Some(machine);
        node.incarnation += 1;
        let was_down = !std::mem::replace(&mut node.host_up, true);
        (node.deadline, node.wake_at) = (None, None);
        self.trace.mix(self.now, [1, n as u64, 0], &[]);
        if was_down {
            self.mended();
        }
        self.drain(n);
    }

    /// A process ends; with `host`, the whole host vanishes.
    pub fn stop(&mut self, n: NodeId, host: bool) {
        if host {
            self.nodes[n].host_up = false;
        }
        self.trace.mix(self.now, [2, n as u64, u64::from(host)], &[]);
        self.ended(n);
    }

    pub fn violated(&mut self, rule: &'static str, detail: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let violation = Violation { at: self.now, rule, detail: detail() };
            self.trace.line(Detail::Main, self.now, || format!("VIOLATION: {}: {}", violation.rule, violation.detail));
            self.violation = Some(violation);
        }
    }

    fn violated_by(&mut self, n: NodeId, rule: &'static str, detail: impl FnOnce() -> String) {
        let name = self.nodes[n].name.clone();
        self.violated(rule, || format!("{name} {}", detail()));
    }

    /// The next thing that happens; those that are the director's are handed to it.
    pub fn step(&mut self) -> Option<Happening> {
        let (at, what) = self.queue.pop()?;
        self.now = self.now.max(at);
        self.happenings += 1;
        match what {
            Happening::Wake { node, incarnation } => self.wake(node, incarnation),
            Happening::Call { attempt } => self.try_attempt(attempt),
            Happening::Called { attempt, target } => self.called(attempt, target),
            Happening::Answered { attempt, conn } => self.answered(attempt, conn),
            Happening::CallFailed { attempt } => self.call_failed(attempt),
            Happening::Arrives { conn, side, bytes } => self.arrives(conn, side, bytes),
            Happening::Reset { conn, side } => self.break_off(conn, side),
            Happening::Unacked { conn, side, since } => self.unacked(conn, side, since),
            Happening::Datagram { node, from, ppid, bytes } => self.datagram(node, from, ppid, bytes),
            Happening::Inbox { node, incarnation, what } => self.take_in(node, incarnation, what),
            Happening::Heartbeats => self.heartbeats(),
            Happening::Act { .. } | Happening::Fault { .. } | Happening::Check => return Some(what),
        }
        None
    }

    fn wake(&mut self, n: NodeId, incarnation: u32) {
        let node = &mut self.nodes[n];
        if node.incarnation != incarnation || node.machine.is_none() {
            return;
        }
        if node.wake_at.is_none_or(|at| at > self.now) {
            // Another alarm has been set since, for an earlier time, and has gone off.
            return;
        }
        node.wake_at = None;
        match node.deadline {
            Some(deadline) if node.frozen_until > self.now => {
                node.deadline = Some(deadline.max(node.frozen_until));
                self.set_alarm(n);
            }
            Some(deadline) if deadline > self.now => self.set_alarm(n),
            Some(_) => self.input(n, Input::Timeout),
            None => {}
        }
    }

    fn set_alarm(&mut self, n: NodeId) {
        let node = &mut self.nodes[n];
        let Some(deadline) = node.deadline else { return };
        // An alarm that is too early is set anew when it goes off.
        if node.wake_at.is_none_or(|at| at > deadline) {
            node.wake_at = Some(deadline);
            self.queue.push(deadline, Happening::Wake { node: n, incarnation: node.incarnation });
        }
    }

    /// Gives a machine an input, and drains it.
    pub fn input(&mut self, n: NodeId, input: Input<'_>) {
        let now = self.local(n);
        let (kind, bytes): (u64, &[u8]) = match &input {
            Input::Timeout => (3, &[]),
            Input::Message { bytes, .. } => (4, bytes),
            Input::Datagram { bytes, .. } => (5, bytes),
            Input::Connected { .. } => (6, &[]),
            Input::ConnectFailed { .. } => (7, &[]),
            Input::SendFailed { .. } => (8, &[]),
            Input::Closed { .. } => (9, &[]),
        };
        self.trace.mix(self.now, [kind, n as u64, 0], bytes);
        let Some(machine) = &mut self.nodes[n].machine else { return };
        match machine.handle(now, input) {
            Ok(()) => {}
            Err(RecvError::Busy) => self.violated_by(n, "rule 1", || "is busy although drained".to_string()),
            Err(RecvError::Malformed(kind)) => {
                self.violated_by(n, "messages are well-formed", || format!("was sent a malformed message: {kind}"));
            }
            Err(error) => {
                self.trace.line(Detail::All, self.now, || format!("{} refuses it: {error}", self.nodes[n].name));
            }
        }
        self.drain(n);
    }

    /// Rule 1: polls until `Wait`, and does what the machine wants. Rule 3 is checked.
    pub fn drain(&mut self, n: NodeId) {
        let mut buf = std::mem::take(&mut self.buf);
        let now = self.local(n);
        let mut room = BUFFER;
        // Now and then the buffer is too small at first.
        if self.rng.below(64) == 0 {
            room = self.rng.index(64);
        }
        let mut polls = 0;
        while let Some(machine) = &mut self.nodes[n].machine {
            match machine.poll(now, &mut buf[..room]) {
                Act::Transmit { to, ppid, len } => {
                    self.transmit(n, to, ppid, &buf[..len]);
                    room = BUFFER;
                }
                Act::Connect { dial, link, ppid, to } => self.dial(n, dial, link, ppid, to),
                Act::Abandon(dial) => self.abandon(n, dial),
                Act::Disconnect(assoc) => self.disconnect(n, assoc),
                Act::Event(event) => self.told(n, event),
                Act::TooSmall(needed) => {
                    if needed <= room {
                        self.violated("rule 5", || format!("{needed} bytes are needed and {room} were there"));
                    }
                    room = BUFFER;
                }
                Act::Wait(until) => {
                    if until.is_some_and(|at| at <= now) || machine.next_deadline() != until {
                        self.violated_by(n, "rule 3", || format!("waits until {until:?} at {now:?}"));
                    }
                    let node = &mut self.nodes[n];
                    node.deadline = until.map(|at| node.clock.world(at)).filter(|at| *at < Instant::MAX);
                    self.set_alarm(n);
                    break;
                }
            }
            polls += 1;
            if polls > MAX_POLLS {
                self.violated_by(n, "drains end", || "does not come to rest".to_string());
                break;
            }
        }
        self.buf = buf;
    }

    fn told(&mut self, n: NodeId, event: Event) {
        self.trace.line(detail_of(event), self.now, || format!("{} says {}", self.nodes[n].name, words(event)));
        self.events.push((n, event));
    }

    fn transmit(&mut self, n: NodeId, to: Destination, ppid: Ppid, bytes: &[u8]) {
        self.nodes[n].sent.note(ppid, bytes);
        if ppid == Ppid::Enrp {
            let second = self.now.as_micros() / 1_000_000;
            if self.second.0 != second {
                self.second.0 = second;
                self.second.1.fill(0);
            }
            self.second.1[n] += 1;
            self.worst_second = self.worst_second.max(self.second.1[n]);
        }
        if self.trace.wants(Detail::Main) {
            let (detail, text) = describe::message(ppid, bytes);
            let name = |n: NodeId| self.nodes[n].name.clone();
            let peer = match to {
                Destination::Assoc(assoc) => match self.nodes[n].conn(assoc) {
                    Some(conn) => {
                        let ends = &self.conns[conn].ends;
                        name(ends[usize::from(ends[0].node == n)].node)
                    }
                    None => "nobody".to_string(),
                },
                Destination::Channel => "all".to_string(),
            };
            let line = format!("{} -> {peer}: {text}", name(n));
            self.trace.line(detail, self.now, || line);
        }
        let assoc = match to {
            Destination::Channel => return self.multicast(n, ppid, bytes),
            Destination::Assoc(assoc) => assoc,
        };
        if ppid == Ppid::Enrp && self.saboteur.is_at_work() {
            let verdict = match EnrpMessage::parse(bytes) {
                Ok(parsed) => self.saboteur.judge(self.now, &parsed.message, bytes),
                Err(_) => Verdict::Pass,
            };
            match verdict {
                Verdict::Pass => {}
                Verdict::Drop => return,
                Verdict::Instead(other) => return self.send(n, assoc, other),
                Verdict::After(first) => self.send(n, assoc, first),
            }
        }
        self.send(n, assoc, bytes.to_vec());
    }

    /// Calls a pool element, and drains it.
    pub fn pe<R>(
        &mut self,
        n: NodeId,
        call: impl FnOnce(&mut rserpool_core::PoolElement<'static>, Instant) -> R,
    ) -> Option<R> {
        let now = self.local(n);
        let Some(Machine::Element(machine)) = &mut self.nodes[n].machine else { return None };
        let result = call(machine, now);
        self.drain(n);
        Some(result)
    }

    /// Calls a pool user, and drains it.
    pub fn pu<R>(
        &mut self,
        n: NodeId,
        call: impl FnOnce(&mut rserpool_core::PoolUser<'static>, Instant) -> R,
    ) -> Option<R> {
        let now = self.local(n);
        let Some(Machine::User(machine)) = &mut self.nodes[n].machine else { return None };
        let result = call(machine, now);
        self.drain(n);
        Some(result)
    }

    /// Calls a registrar, and drains it.
    pub fn pr(&mut self, n: NodeId, call: impl FnOnce(&mut rserpool_core::Registrar<'static>, Instant)) {
        let now = self.local(n);
        let Some(Machine::Registrar(machine)) = &mut self.nodes[n].machine else { return };
        call(machine, now);
        self.drain(n);
    }
}

fn detail_of(event: Event) -> Detail {
    match event {
        Event::Registrar(_) => Detail::Main,
        Event::Element(_) | Event::User(_) => Detail::All,
    }
}

fn words(event: Event) -> String {
    match event {
        Event::Registrar(event) => format!("{event:?}"),
        Event::Element(event) => format!("{event:?}"),
        Event::User(event) => format!("{event:?}"),
    }
}
