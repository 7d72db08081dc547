//! Registrars, pool elements and pool users in virtual time, connected by a network in memory. Peers played by a test
//! ("scripts") send and receive bytes. Every drain is checked against the rules of `Machine`.
//!
//! The same seed, and the same calls, give the same run.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses a part of it")]

mod build;
mod drain;
mod enrp;
mod messages;
mod net;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

pub use build::*;
pub use enrp::*;
pub use messages::*;
use rserpool_core::wire::{AsapMessage, EnrpMessage};
use rserpool_core::{
    AssocId, Destination, DialId, ElementEvent, Home, Input, Instant, Link, Machine, PeId, PoolElement, PoolUser, Ppid,
    RecvError, Registrar, RegistrarEvent, UserEvent,
};

/// A machine or a script; the number also makes its address.
pub type NodeId = usize;

#[expect(clippy::large_enum_variant, reason = "there are few of them")]
pub enum Role {
    Registrar(Registrar<'static>),
    Element(PoolElement<'static>),
    User(PoolUser<'static>),
    Script,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    Registrar(RegistrarEvent),
    Element(ElementEvent),
    User(UserEvent),
}

/// What a node does with an attempt to connect to it.
#[derive(Clone, Copy, PartialEq)]
pub enum Answer {
    Accept,
    Refuse,
    /// No answer at all.
    Silence,
    /// Accepts although the attempt has been abandoned in the meantime.
    AcceptLate(Duration),
}

pub struct Node {
    pub role: Role,
    pub address: SocketAddr,
    pub answer: Answer,
    /// Whether messages to it are lost without anybody being told.
    pub deaf: bool,
    pub events: Vec<(Instant, Event)>,
    pub errors: Vec<RecvError>,
    /// What a script received.
    pub inbox: Vec<(AssocId, Vec<u8>)>,
    /// Whom it tried to connect to, and when.
    pub dialled: Vec<(Instant, NodeId)>,
    pub abandoned: usize,
    pub disconnects: usize,
    attempts: Vec<(DialId, NodeId)>,
    deadline: Option<Instant>,
    slots: Vec<Slot>,
}

impl Node {
    /// Nothing comes of its deadline any more.
    pub(crate) fn stop(&mut self) {
        self.deadline = None;
        self.attempts.clear();
    }
}

#[derive(Clone, Copy)]
struct Slot {
    generation: u32,
    conn: Option<usize>,
}

#[derive(Clone, Copy)]
struct End {
    node: NodeId,
    assoc: AssocId,
}

/// A message that was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub at: Instant,
    pub from: NodeId,
    /// `None`: to the multicast channel.
    pub to: Option<NodeId>,
    pub ppid: Ppid,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub fn message(&self) -> AsapMessage<'_> {
        assert_eq!(self.ppid, Ppid::Asap);
        AsapMessage::parse(&self.bytes).unwrap().message
    }

    pub fn enrp(&self) -> EnrpMessage<'_> {
        assert_eq!(self.ppid, Ppid::Enrp);
        EnrpMessage::parse(&self.bytes).unwrap().message
    }
}

type State = (Option<Home>, u32, Vec<(PeId, Option<Instant>, Vec<u8>)>);

enum Delivery {
    Message { conn: usize, side: usize, bytes: Vec<u8> },
    Datagram { from: NodeId, to: NodeId, ppid: Ppid, bytes: Vec<u8> },
    Accept { from: NodeId, dial: DialId, ppid: Ppid, to: NodeId, even_if_abandoned: bool },
    Refuse { from: NodeId, dial: DialId },
    Close { conn: usize },
}

pub struct Sim {
    pub now: Instant,
    pub latency: Duration,
    pub nodes: Vec<Node>,
    pub trace: Vec<Sent>,
    /// Who cannot connect to whom, in either direction.
    cuts: Vec<(NodeId, NodeId)>,
    conns: Vec<[End; 2]>,
    /// The protocol of each connection.
    ppids: Vec<Ppid>,
    queue: BTreeMap<(Instant, u64), Delivery>,
    sequence: u64,
    rng: u64,
}

impl Sim {
    pub fn new(seed: u64) -> Self {
        Sim {
            now: Instant::ZERO,
            latency: Duration::from_millis(10),
            nodes: Vec::new(),
            trace: Vec::new(),
            cuts: Vec::new(),
            conns: Vec::new(),
            ppids: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            rng: seed,
        }
    }

    pub fn add(&mut self, role: Role) -> NodeId {
        let n = self.nodes.len();
        self.nodes.push(Node {
            role,
            address: address_of(n),
            answer: Answer::Accept,
            deaf: false,
            events: Vec::new(),
            errors: Vec::new(),
            inbox: Vec::new(),
            dialled: Vec::new(),
            abandoned: 0,
            disconnects: 0,
            attempts: Vec::new(),
            deadline: None,
            slots: Vec::new(),
        });
        self.drain(n);
        n
    }

    pub(crate) fn random(&mut self, below: u64) -> u64 {
        self.rng = self.rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.rng >> 33) % below
    }

    fn later(&mut self, after: Duration, delivery: Delivery) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), delivery);
    }

    // ---- what tests do ----

    /// One instant at which something happens; `false`: nothing ever will.
    pub fn step(&mut self) -> bool {
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        let timed = self.nodes.iter().filter_map(|n| n.deadline).min();
        let Some(next) = queued.into_iter().chain(timed).min() else { return false };
        self.now = self.now.max(next);
        while let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= self.now
        {
            let delivery = entry.remove();
            self.deliver(delivery);
        }
        for n in 0..self.nodes.len() {
            if self.nodes[n].deadline.is_some_and(|at| at <= self.now) {
                // A poll alone does the same as Timeout.
                if self.random(2) == 0 {
                    self.input(n, Input::Timeout).unwrap();
                } else {
                    self.drain(n);
                }
            }
        }
        true
    }

    fn next_time(&self) -> Option<Instant> {
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        queued.into_iter().chain(self.nodes.iter().filter_map(|n| n.deadline)).min()
    }

    /// Lets time pass until the condition holds; `false` where it did not within `limit`.
    pub fn run_until(&mut self, mut condition: impl FnMut(&Sim) -> bool, limit: Duration) -> bool {
        let end = self.now + limit;
        loop {
            if condition(self) {
                return true;
            }
            if self.next_time().is_none_or(|at| at > end) {
                self.now = end;
                return condition(self);
            }
            self.step();
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        self.run_until(|_| false, time);
    }

    pub fn run_secs(&mut self, secs: u64) {
        self.run_for(Duration::from_secs(secs));
    }

    /// Gives a machine an input now, drains it and says how it took it.
    pub fn input(&mut self, n: NodeId, input: Input<'_>) -> Result<(), RecvError> {
        let done = self.handle(n, self.now, input);
        self.drain(n);
        done
    }

    /// The same with a clock of its own, and not drained.
    pub fn handle(&mut self, n: NodeId, now: Instant, input: Input<'_>) -> Result<(), RecvError> {
        let before = self.state(n);
        let node = &mut self.nodes[n];
        let done = match &mut node.role {
            Role::Registrar(machine) => machine.handle(now, input),
            Role::Element(machine) => machine.handle(now, input),
            Role::User(machine) => machine.handle(now, input),
            Role::Script => Ok(()),
        };
        assert_ne!(done, Err(RecvError::Busy), "it was drained after the input before");
        if let Err(error) = done {
            node.errors.push(error);
        }
        assert!(done.is_ok() || self.state(n) == before, "rule 2: {done:?} leaves the state as it was");
        done
    }

    /// What can be seen of a machine's state.
    fn state(&self, n: NodeId) -> State {
        match &self.nodes[n].role {
            Role::Registrar(machine) => {
                let space = machine.handlespace();
                let pools = std::iter::successors(space.next_pool(None), |pool| space.next_pool(Some(*pool)));
                let elements = pools.flat_map(|pool| {
                    std::iter::successors(space.next_element(pool, None), move |e| space.next_element(pool, Some(*e)))
                });
                let seen = elements.map(|e| {
                    let view = space.element(e).unwrap();
                    (view.id, view.expires, space.parameter_bytes(e).to_vec())
                });
                (None, machine.subscriptions(), seen.collect())
            }
            Role::Element(machine) => (machine.home(), 0, Vec::new()),
            Role::User(machine) => (machine.home(), 0, Vec::new()),
            Role::Script => (None, 0, Vec::new()),
        }
    }

    /// Opens an association for ASAP now. The acceptor's name for it is the second one.
    pub fn connect(&mut self, from: NodeId, to: NodeId) -> (AssocId, AssocId) {
        self.establish(from, None, to, Ppid::Asap)
    }

    /// Opens one for ENRP.
    pub fn connect_enrp(&mut self, from: NodeId, to: NodeId) -> (AssocId, AssocId) {
        self.establish(from, None, to, Ppid::Enrp)
    }

    fn establish(&mut self, from: NodeId, dial: Option<DialId>, to: NodeId, ppid: Ppid) -> (AssocId, AssocId) {
        let conn = self.conns.len();
        self.ppids.push(ppid);
        let (a, b) = (self.open_slot(from, conn), self.open_slot(to, conn));
        self.conns.push([End { node: from, assoc: a }, End { node: to, assoc: b }]);
        let (from_at, to_at) = (self.nodes[from].address, self.nodes[to].address);
        let _ = self.input(to, Input::Connected { assoc: b, dial: None, link: Link::Tcp, peer: &[from_at] });
        let _ = self.input(from, Input::Connected { assoc: a, dial, link: Link::Tcp, peer: &[to_at] });
        (a, b)
    }

    fn open_slot(&mut self, n: NodeId, conn: usize) -> AssocId {
        let slots = &mut self.nodes[n].slots;
        let at = slots.iter().position(|s| s.conn.is_none()).unwrap_or_else(|| {
            slots.push(Slot { generation: 0, conn: None });
            slots.len() - 1
        });
        slots[at].conn = Some(conn);
        AssocId { slot: at as u32, generation: slots[at].generation }
    }

    fn conn(&self, n: NodeId, assoc: AssocId) -> Option<usize> {
        self.nodes[n].slots.get(assoc.slot as usize).filter(|s| s.generation == assoc.generation)?.conn
    }

    /// The association is lost; both ends notice now.
    pub fn lose(&mut self, n: NodeId, assoc: AssocId) {
        if let Some(conn) = self.conn(n, assoc) {
            self.deliver(Delivery::Close { conn });
        }
    }

    /// Everything that `a` and `b` are connected by.
    pub fn lose_all_between(&mut self, a: NodeId, b: NodeId) {
        for assoc in self.associations(a) {
            if self.peer(a, assoc) == Some(b) {
                self.lose(a, assoc);
            }
        }
    }

    /// From now on two nodes cannot reach each other, and both notice.
    pub fn part(&mut self, a: NodeId, b: NodeId) {
        self.cuts.push((a, b));
        self.lose_all_between(a, b);
    }

    /// The network is whole again.
    pub fn join(&mut self) {
        self.cuts.clear();
    }

    /// A node is gone without a farewell: its associations end, and nobody is there to be dialled.
    pub fn kill(&mut self, n: NodeId) {
        self.nodes[n].role = Role::Script;
        self.nodes[n].answer = Answer::Refuse;
        self.nodes[n].deadline = None;
        for assoc in self.associations(n) {
            self.lose(n, assoc);
        }
    }

    /// The node's open associations.
    pub fn associations(&self, n: NodeId) -> Vec<AssocId> {
        let slots = self.nodes[n].slots.iter().enumerate();
        slots
            .filter(|(_, s)| s.conn.is_some())
            .map(|(i, s)| AssocId { slot: i as u32, generation: s.generation })
            .collect()
    }

    /// Who is at the other end.
    pub fn peer(&self, n: NodeId, assoc: AssocId) -> Option<NodeId> {
        self.other_end(n, assoc).map(|(node, _)| node)
    }

    pub fn other_end(&self, n: NodeId, assoc: AssocId) -> Option<(NodeId, AssocId)> {
        let ends = self.conns[self.conn(n, assoc)?];
        ends.iter().find(|e| e.node != n || e.assoc != assoc).map(|e| (e.node, e.assoc))
    }

    /// A script sends a message.
    pub fn send<'m>(&mut self, from: NodeId, assoc: AssocId, message: impl Into<AsapMessage<'m>>) {
        self.send_bytes(from, assoc, &bytes_of(message));
    }

    pub fn send_bytes(&mut self, from: NodeId, assoc: AssocId, bytes: &[u8]) {
        let ppid = self.ppid(from, assoc).unwrap_or(Ppid::Asap);
        self.transmit(from, Destination::Assoc(assoc), ppid, bytes.to_vec());
    }

    /// A script's datagram to all others.
    pub fn multicast(&mut self, from: NodeId, bytes: &[u8]) {
        self.transmit(from, Destination::Channel, Ppid::Asap, bytes.to_vec());
    }

    /// The same on the channel of ENRP.
    pub fn multicast_enrp(&mut self, from: NodeId, bytes: &[u8]) {
        self.transmit(from, Destination::Channel, Ppid::Enrp, bytes.to_vec());
    }

    /// The protocol of an association.
    pub fn ppid(&self, n: NodeId, assoc: AssocId) -> Option<Ppid> {
        self.conn(n, assoc).map(|conn| self.ppids[conn])
    }

    /// Takes what a script has received.
    pub fn received(&mut self, n: NodeId) -> Vec<(AssocId, Vec<u8>)> {
        std::mem::take(&mut self.nodes[n].inbox)
    }
}
