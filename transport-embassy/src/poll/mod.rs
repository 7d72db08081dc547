//! For those who have smoltcp and a loop of their own, and no embassy.

mod sockets;

use arrayvec::ArrayVec;
use rserpool_core::Instant;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};

#[cfg(feature = "multicast")]
use crate::channel::Channel;
use crate::config::Config;
use crate::engine::{Again, Dial, Engine, Memory, Slot};
use crate::events::Events;
use crate::framed::{Framed, Inbox};
use crate::role::Role;
use sockets::{Ports, SmolHost, SmolStreams};

/// How many channels there can be: ASAP's and ENRP's.
const MAX_CHANNELS: usize = 2;
/// How many attempts to connect there can be at once: a server hunt has three (RFC 5352, 3.6, SH1), a registrar one for
/// each peer and, after a takeover, four for elements.
const MAX_DIALS: usize = 8;

/// A machine and what drives it over the sockets of a [`SocketSet`]. Poll the interface, then the node; poll the
/// interface again, for what the node has sent; and sleep until the earlier of both deadlines, or until a frame comes.
///
/// * `SOCKETS`: how many TCP sockets it has, which must be nobody else's. Their send buffers must not be shorter than
///   `MESSAGE`, or the machine is told that long messages could not be sent.
/// * `MESSAGE`: bytes of the longest message; see `Resources` of the embassy adapter.
///
/// It holds its buffers: `SOCKETS + 1` times `MESSAGE` bytes. A `static` is a good place.
pub struct Node<M: Role, const SOCKETS: usize, const MESSAGE: usize = 512> {
    machine: M,
    engine: Engine,
    slots: [Slot; SOCKETS],
    dials: [Dial; MAX_DIALS],
    sockets: [SocketHandle; SOCKETS],
    channels: ArrayVec<Member, MAX_CHANNELS>,
    ports: Ports,
    inboxes: [Inbox<MESSAGE>; SOCKETS],
    buf: [u8; MESSAGE],
    events: Events<M>,
    now: Instant,
}

/// A UDP socket in a multicast group. Without the feature `multicast` there is none.
struct Member {
    #[cfg(feature = "multicast")]
    channel: Channel,
    #[cfg(feature = "multicast")]
    socket: SocketHandle,
}

impl<M: Role, const SOCKETS: usize, const MESSAGE: usize> Node<M, SOCKETS, MESSAGE> {
    /// A node that has not done anything yet. The seed makes its local ports; take it from a source of entropy.
    pub fn new(machine: M, sockets: [SocketHandle; SOCKETS], config: Config, seed: u64) -> Self {
        Node {
            machine,
            engine: Engine::new(config),
            slots: [Slot::FREE; SOCKETS],
            dials: [const { Dial::FREE }; MAX_DIALS],
            sockets,
            channels: ArrayVec::new_const(),
            ports: Ports::new(seed),
            inboxes: [const { Inbox::new() }; SOCKETS],
            buf: [0; MESSAGE],
            events: Events::new(),
            now: Instant::ZERO,
        }
    }

    /// Takes part in a multicast channel with a UDP socket that is not bound. There can be two channels; a further one
    /// is ignored. Call it before the first poll.
    #[cfg(feature = "multicast")]
    pub fn join(&mut self, channel: Channel, socket: SocketHandle) {
        let _ = self.channels.try_push(Member { channel, socket });
    }

    /// Does what can be done now. Says when to come back if no frame comes before, and nobody calls [`Node::with`].
    pub fn poll(
        &mut self,
        now: smoltcp::time::Instant,
        iface: &mut Interface,
        sockets: &mut SocketSet<'_>,
    ) -> Option<smoltcp::time::Instant> {
        self.now = instant(now);
        let Node { machine, engine, slots, dials, sockets: handles, channels, ports, inboxes, buf, events, .. } = self;
        let config = engine.config();
        let limits = (config.tcp_timeout, config.tcp_keep_alive);
        // Both halves of the carrier want the interface and the sockets, one after the other.
        let stack = core::cell::RefCell::new((iface, sockets));
        let mut host = SmolHost { stack: &stack, channels };
        let streams = SmolStreams { stack: &stack, handles, ports, limits };
        let mut carrier = Framed { streams, inboxes };
        let mut tell = |event| events.push(event);
        let memory = Memory { slots, dials, buf };
        match engine.turn(self.now, machine, &mut carrier, &mut host, memory, &mut tell) {
            Again::Now => Some(now),
            Again::At(at) => at.map(deadline),
        }
    }

    /// Calls the machine. Poll the node afterwards.
    pub fn with<R>(&mut self, now: smoltcp::time::Instant, call: impl FnOnce(&mut M, Instant) -> R) -> R {
        self.now = self.now.max(instant(now));
        call(&mut self.machine, self.now)
    }

    /// The next event. Eight wait; of more, only that they were lost is kept ([`Role::EVENTS_LOST`]).
    pub fn event(&mut self) -> Option<M::Event> {
        self.events.pop()
    }
}

/// smoltcp's time as the machines': that of its origin and before is the origin.
pub fn instant(time: smoltcp::time::Instant) -> Instant {
    Instant::from_micros(u64::try_from(time.total_micros()).unwrap_or(0))
}

fn deadline(at: Instant) -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))
}
