//! The drain loop of an adapter, and the rules of `Machine` that can be seen from it.

use std::net::SocketAddr;

use rserpool_core::wire::{AsapMessage, EnrpMessage};
use rserpool_core::{AssocId, Destination, DialId, Instant, Machine, Output, Ppid};

use super::{Event, NodeId, Role, Sim};

/// More outputs than this at one instant are a machine that runs in circles.
const MAX_POLLS: usize = 5_000;

/// An output that borrows from nothing.
#[derive(Debug)]
pub(super) enum Act {
    Transmit(Destination, Ppid, Vec<u8>),
    Connect(DialId, Ppid, Vec<SocketAddr>),
    Abandon(DialId),
    Disconnect(AssocId),
    Event(Event),
    TooSmall(usize),
    Wait(Option<Instant>),
}

pub(super) fn poll_one<M: Machine>(
    machine: &mut M,
    now: Instant,
    room: usize,
    event: impl Fn(M::Event) -> Event,
) -> (Act, Option<Instant>) {
    let mut buf = vec![0xee; room];
    let act = match machine.poll(now, &mut buf) {
        Output::Transmit(transmit) => {
            assert_eq!(transmit.bytes.len() % 4, 0, "a message is padded");
            Act::Transmit(transmit.to, transmit.ppid, transmit.bytes.to_vec())
        }
        Output::Connect { dial, to, ppid, .. } => Act::Connect(dial, ppid, to.to_vec()),
        Output::Abandon { dial } => Act::Abandon(dial),
        Output::Disconnect { assoc } => Act::Disconnect(assoc),
        Output::Event(e) => Act::Event(event(e)),
        Output::BufferTooSmall { needed } => {
            assert!(needed > room, "{needed} bytes are needed and {room} were there");
            Act::TooSmall(needed)
        }
        Output::Wait(until) => Act::Wait(until),
    };
    (act, machine.next_deadline())
}

impl Sim {
    fn poll(&mut self, n: NodeId, room: usize) -> (Act, Option<Instant>) {
        let now = self.now;
        match &mut self.nodes[n].role {
            Role::Registrar(machine) => poll_one(machine, now, room, Event::Registrar),
            Role::Element(machine) => poll_one(machine, now, room, Event::Element),
            Role::User(machine) => poll_one(machine, now, room, Event::User),
            Role::Script => (Act::Wait(None), None),
        }
    }

    /// Rule 1: polls until `Wait`, and does what the machine wants.
    pub(crate) fn drain(&mut self, n: NodeId) {
        let mut room = None;
        for _ in 0..MAX_POLLS {
            // Now and then the buffer is too small at first; the second try then has to give the same message.
            let small = self.random(3) == 0;
            let size = room.unwrap_or(if small { self.random(48) as usize } else { 70_000 });
            let (act, deadline) = self.poll(n, size);
            if let Some(needed) = room.take() {
                assert!(
                    matches!(&act, Act::Transmit(_, _, bytes) if bytes.len() == needed),
                    "nothing is lost where the buffer was too small: {needed} bytes, then {act:?}"
                );
            }
            match act {
                Act::Transmit(to, ppid, bytes) => {
                    match ppid {
                        Ppid::Asap => AsapMessage::parse(&bytes).map(|_| ()),
                        Ppid::Enrp => EnrpMessage::parse(&bytes).map(|_| ()),
                    }
                    .expect("what a machine sends is well-formed");
                    let registrar = matches!(self.nodes[n].role, Role::Registrar(_));
                    assert!(ppid == Ppid::Asap || registrar, "only registrars speak ENRP");
                    self.transmit(n, to, ppid, bytes);
                }
                Act::Connect(dial, ppid, to) => self.dial(n, dial, ppid, &to),
                Act::Abandon(dial) => self.abandon(n, dial),
                Act::Disconnect(assoc) => self.disconnect(n, assoc),
                Act::Event(event) => self.nodes[n].events.push((self.now, event)),
                Act::TooSmall(needed) => room = Some(needed),
                Act::Wait(until) => {
                    assert!(until.is_none_or(|at| at > self.now), "rule 3: {until:?} is not after {:?}", self.now);
                    assert_eq!(until, deadline, "next_deadline agrees");
                    // To poll too often is harmless.
                    let again = self.poll(n, 0).0;
                    let same = matches!(&again, Act::Wait(again) if *again == until);
                    assert!(same, "at {:?} Wait({until:?}), then {again:?}", self.now);
                    self.nodes[n].deadline = until;
                    return;
                }
            }
        }
        panic!("a drain does not end");
    }
}
