//! A host with one machine on it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rserpool_core::{
    AssocId, DialId, ElementEvent, Input, Instant, Link, Machine as _, Output, PoolElement, PoolUser, Ppid, RecvError,
    Registrar, RegistrarEvent, UserEvent,
};

use super::clock::Clock;

/// The index of a node; it also makes its address.
pub type NodeId = usize;

pub enum Machine {
    Registrar(Box<Registrar<'static>>),
    Element(Box<PoolElement<'static>>),
    User(Box<PoolUser<'static>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Registrar,
    Element,
    User,
}

/// What a machine told its owner.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    Registrar(RegistrarEvent),
    Element(ElementEvent),
    User(UserEvent),
}

/// An output without what it borrows: bytes and addresses lie in the caller's buffers.
pub enum Act {
    Transmit { to: rserpool_core::Destination, ppid: Ppid, len: usize },
    Connect { dial: DialId, link: Link, ppid: Ppid, to: SocketAddr },
    Abandon(DialId),
    Disconnect(AssocId),
    Event(Event),
    TooSmall(usize),
    Wait(Option<Instant>),
}

impl Machine {
    pub fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), RecvError> {
        match self {
            Machine::Registrar(machine) => machine.handle(now, input),
            Machine::Element(machine) => machine.handle(now, input),
            Machine::User(machine) => machine.handle(now, input),
        }
    }

    pub fn poll(&mut self, now: Instant, buf: &mut [u8]) -> Act {
        match self {
            Machine::Registrar(machine) => act(machine.poll(now, buf), Event::Registrar),
            Machine::Element(machine) => act(machine.poll(now, buf), Event::Element),
            Machine::User(machine) => act(machine.poll(now, buf), Event::User),
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        match self {
            Machine::Registrar(machine) => machine.next_deadline(),
            Machine::Element(machine) => machine.next_deadline(),
            Machine::User(machine) => machine.next_deadline(),
        }
    }
}

fn act<E>(output: Output<'_, E>, event: impl Fn(E) -> Event) -> Act {
    match output {
        Output::Transmit(transmit) => Act::Transmit { to: transmit.to, ppid: transmit.ppid, len: transmit.bytes.len() },
        // All nodes have one address.
        Output::Connect { dial, link, ppid, to } => Act::Connect { dial, link, ppid, to: to[0] },
        Output::Abandon { dial } => Act::Abandon(dial),
        Output::Disconnect { assoc } => Act::Disconnect(assoc),
        Output::Event(e) => Act::Event(event(e)),
        Output::BufferTooSmall { needed } => Act::TooSmall(needed),
        Output::Wait(until) => Act::Wait(until),
    }
}

/// A place for an association, as adapters number them.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub generation: u32,
    pub conn: Option<usize>,
}

pub struct Node {
    pub kind: Kind,
    pub name: String,
    /// `None`: the process is not running.
    pub machine: Option<Machine>,
    /// Whether the host is there at all. If it is, it says that the process is not.
    pub host_up: bool,
    /// Counts the processes that have run here.
    pub incarnation: u32,
    pub clock: Clock,
    /// The process does nothing until then.
    pub frozen_until: Instant,
    /// Bytes per second that it reads.
    pub read_rate: Option<u64>,
    pub reads_until: Instant,
    /// Whether it takes part in multicast.
    pub multicast: bool,
    pub slots: Vec<Slot>,
    pub free: Vec<u32>,
    pub open: u32,
    pub dials: Vec<(DialId, usize)>,
    /// The port for registrars that take an element over; 0: none.
    pub asap_port: u16,
    pub next_port: u16,
    pub deadline: Option<Instant>,
    pub wake_at: Option<Instant>,
    /// What was sent, by protocol and message type.
    pub sent: Sent,
}

/// Messages and bytes that a node has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub asap: [u64; 16],
    pub enrp: [u64; 16],
    pub asap_bytes: u64,
    pub enrp_bytes: u64,
    /// ADD_PE and DEL_PE, of the HANDLE_UPDATEs.
    pub add_pe: u64,
    pub del_pe: u64,
    /// W=1, of the HANDLE_TABLE_REQUESTs.
    pub resync: u64,
    /// Attempts to connect.
    pub dials: u64,
}

impl Sent {
    pub fn note(&mut self, ppid: Ppid, bytes: &[u8]) {
        let ty = usize::from(bytes[0] & 0xf);
        match ppid {
            Ppid::Asap => {
                self.asap[ty] += 1;
                self.asap_bytes += bytes.len() as u64;
            }
            Ppid::Enrp => {
                self.enrp[ty] += 1;
                self.enrp_bytes += bytes.len() as u64;
                match ty {
                    4 if bytes[13] == 0 => self.add_pe += 1,
                    4 => self.del_pe += 1,
                    2 if bytes[1] & 1 == 1 => self.resync += 1,
                    _ => {}
                }
            }
        }
    }

    pub fn enrp_messages(&self) -> u64 {
        self.enrp.iter().sum()
    }

    pub fn asap_messages(&self) -> u64 {
        self.asap.iter().sum()
    }
}

impl Node {
    pub fn new(kind: Kind, name: String, clock: Clock) -> Self {
        Node {
            kind,
            name,
            machine: None,
            host_up: true,
            incarnation: 0,
            clock,
            frozen_until: Instant::ZERO,
            read_rate: None,
            reads_until: Instant::ZERO,
            multicast: false,
            slots: Vec::new(),
            free: Vec::new(),
            open: 0,
            dials: Vec::new(),
            asap_port: 0,
            next_port: 40_000,
            deadline: None,
            wake_at: None,
            sent: Sent::default(),
        }
    }

    pub fn is_up(&self) -> bool {
        self.host_up && self.machine.is_some()
    }

    pub fn registrar(&self) -> Option<&Registrar<'static>> {
        match &self.machine {
            Some(Machine::Registrar(machine)) => Some(machine),
            _ => None,
        }
    }

    pub fn element(&self) -> Option<&PoolElement<'static>> {
        match &self.machine {
            Some(Machine::Element(machine)) => Some(machine),
            _ => None,
        }
    }

    pub fn user(&self) -> Option<&PoolUser<'static>> {
        match &self.machine {
            Some(Machine::User(machine)) => Some(machine),
            _ => None,
        }
    }

    pub fn open_slot(&mut self, conn: usize) -> AssocId {
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, conn: None });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[at as usize];
        slot.conn = Some(conn);
        self.open += 1;
        AssocId { slot: at, generation: slot.generation }
    }

    pub fn close_slot(&mut self, assoc: AssocId) {
        let slot = &mut self.slots[assoc.slot as usize];
        if slot.generation == assoc.generation && slot.conn.take().is_some() {
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(assoc.slot);
            self.open -= 1;
        }
    }

    pub fn conn(&self, assoc: AssocId) -> Option<usize> {
        self.slots.get(assoc.slot as usize).filter(|slot| slot.generation == assoc.generation)?.conn
    }

    pub fn ephemeral(&mut self, n: NodeId) -> SocketAddr {
        self.next_port = if self.next_port == u16::MAX { 40_000 } else { self.next_port + 1 };
        SocketAddr::new(ip(n), self.next_port)
    }
}

pub fn ip(n: NodeId) -> IpAddr {
    let n = n as u32 + 1;
    Ipv4Addr::new(10, (n >> 16) as u8, (n >> 8) as u8, n as u8).into()
}

pub fn node_at(ip: IpAddr) -> Option<NodeId> {
    let IpAddr::V4(ip) = ip else { return None };
    let [_, a, b, c] = ip.octets();
    (u32::from_be_bytes([0, a, b, c]) as usize).checked_sub(1)
}

pub fn asap_at(n: NodeId) -> SocketAddr {
    SocketAddr::new(ip(n), Ppid::Asap.port())
}

pub fn enrp_at(n: NodeId) -> SocketAddr {
    SocketAddr::new(ip(n), Ppid::Enrp.port())
}
