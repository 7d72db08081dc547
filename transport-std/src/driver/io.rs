//! All sockets of a driver, and what the machine's outputs do to them.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Poll};
use rserpool_core::{AssocId, Destination, DialId, Instant, Link, Ppid, Transmit};
use socket2::SockRef;
use tracing::{debug, info};

use super::accept::Acceptor;
use super::buffer::Buffers;
use super::conn::{Conn, Phase};
use super::deadlines::Deadlines;
use super::dial::{DialContext, Dials, Outcome};
use super::link::{AfterWrite, Carrier, Inbox, Received};
use super::multicast::ChannelSockets;
use super::sctp;
use super::slots::Slots;
use super::stats::CloseReason;
use super::tcp::{self, Tcp};
use super::token::Source;
use super::{DriverConfig, DriverStats, StartError};

/// What the machine must be told, once it is not being polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    ConnectFailed(DialId),
    Closed(AssocId),
}

/// The sockets, the queues of work on them, and the counters.
#[derive(Debug)]
pub(super) struct Io {
    pub(super) config: DriverConfig,
    pub(super) poll: Poll,
    pub(super) acceptors: Vec<Acceptor>,
    /// The SCTP listeners.
    pub(super) endpoints: Vec<sctp::Endpoint>,
    pub(super) channels: Vec<ChannelSockets>,
    pub(super) conns: Slots<Conn>,
    pub(super) dials: Dials,
    /// Attempts to connect whose sockets have news.
    pub(super) decided: VecDeque<u32>,
    /// Connections to serve, each once: [`Conn::queued`].
    pub(super) ready: VecDeque<u32>,
    /// Connections to write to, each once: [`Conn::dirty`].
    pub(super) dirty: Vec<u32>,
    /// Connections with something that can run out.
    pub(super) deadlines: Deadlines,
    pub(super) notices: VecDeque<Notice>,
    pub(super) stats: DriverStats,
    pub(super) buffers: Buffers,
    /// How many of the connections the peers opened.
    accepted: usize,
    /// The protocols that the machine sends multicasts of in vain.
    warned_no_channel: [bool; 2],
}

impl Io {
    /// Opens listeners and channels.
    pub(super) fn open(mut config: DriverConfig, poll: Poll) -> Result<Self, StartError> {
        // With a limit of 0 nothing would ever move.
        config.messages_per_turn = config.messages_per_turn.max(1);
        config.out_pause = config.out_pause.max(1);
        let (mut acceptors, mut endpoints) = (Vec::new(), Vec::new());
        for listener in config.listeners.iter().filter(|listener| listener.link == Link::Tcp) {
            let acceptor = Acceptor::open(listener, index_of(&acceptors), poll.registry(), &config)
                .map_err(|error| StartError::Listen { address: listener.address, error })?;
            info!(address = %acceptor.address, ppid = ?acceptor.ppid, "listening");
            acceptors.push(acceptor);
        }
        for listener in config.listeners.iter().filter(|listener| listener.link == Link::Sctp) {
            let endpoint = sctp::Endpoint::open(listener, index_of(&endpoints), poll.registry(), &config)
                .map_err(|error| StartError::ListenSctp { address: listener.address, error })?;
            info!(addresses = ?endpoint.addresses, ppid = ?endpoint.ppid, "listening over SCTP");
            endpoints.push(endpoint);
        }
        let mut channels = Vec::new();
        for (index, channel) in (0..).zip(&config.channels) {
            let sockets = ChannelSockets::open(channel, index, poll.registry())
                .map_err(|error| StartError::Channel { group: channel.group, error })?;
            info!(group = %channel.group, ppid = ?channel.ppid, interfaces = ?channel.interfaces, "multicast channel");
            channels.push(sockets);
        }
        Ok(Io {
            config,
            poll,
            acceptors,
            endpoints,
            channels,
            conns: Slots::new(),
            dials: Dials::default(),
            decided: VecDeque::new(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            deadlines: Deadlines::default(),
            notices: VecDeque::new(),
            stats: DriverStats::default(),
            buffers: Buffers::default(),
            accepted: 0,
            warned_no_channel: [false; 2],
        })
    }

    // --- What the loop asks ---

    /// Takes note of a readiness event; the work is done later in the turn. The waker is not noted here.
    pub(super) fn note(&mut self, event: &Event) {
        match Source::of(event.token()) {
            Source::Waker => {}
            Source::Listener(index) => {
                if let Some(acceptor) = self.acceptors.get_mut(index as usize) {
                    acceptor.signal();
                }
            }
            Source::Channel(index) => {
                if let Some(channel) = self.channels.get_mut(index as usize) {
                    channel.readable = true;
                }
            }
            Source::Sctp(index) => {
                if let Some(endpoint) = self.endpoints.get_mut(index as usize) {
                    endpoint.readable = true;
                }
            }
            Source::Attempt(number) => self.decided.push_back(number),
            Source::Conn(slot) => {
                // An event of a slot's former use is harmless: the read or write finds nothing to do.
                let Some((_, conn)) = self.conns.at(slot) else { return };
                let ended = event.is_read_closed() || event.is_error();
                conn.end_signalled |= ended;
                conn.readable |= event.is_readable() || ended;
                if event.is_writable() || event.is_error() {
                    conn.writable = true;
                    if !conn.dirty && conn.carrier.unsent() > 0 {
                        conn.dirty = true;
                        self.dirty.push(slot);
                    }
                }
                self.enqueue(slot);
            }
        }
    }

    /// Whether there is work that no readiness event will announce.
    pub(super) fn has_work(&self, now: Instant) -> bool {
        !self.ready.is_empty()
            || !self.dirty.is_empty()
            || !self.notices.is_empty()
            || !self.decided.is_empty()
            || self.channels.iter().any(|channel| channel.readable)
            || self.endpoints.iter().any(|endpoint| endpoint.readable)
            || self.acceptors.iter().any(|acceptor| acceptor.is_ready(now))
    }

    /// The earliest deadline of all sockets.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let conns = self.deadlines.first().map(|(when, _)| when);
        let accept = self.acceptors.iter().filter_map(Acceptor::deadline).min();
        let sctp = self.endpoints.iter().filter_map(sctp::Endpoint::deadline).min();
        [conns, self.dials.deadline(), accept, sctp].into_iter().flatten().min()
    }

    /// Puts a connection into the queue of connections to serve, if it wants to be served.
    pub(super) fn enqueue(&mut self, slot: u32) {
        if let Some((_, conn)) = self.conns.at(slot)
            && !conn.queued
            && conn.wants_service()
        {
            conn.queued = true;
            self.ready.push_back(slot);
        }
    }

    /// Whether one more accepted connection is within the limit.
    pub(super) fn has_room(&self) -> bool {
        self.accepted < self.config.max_connections
    }

    // --- What the machine wishes ---

    pub(super) fn transmit(&mut self, transmit: Transmit<'_>, now: Instant) {
        let Transmit { to, ppid, bytes } = transmit;
        match to {
            Destination::Assoc(id) => self.send(id, ppid, bytes, now),
            Destination::Channel => self.multicast(ppid, bytes),
        }
    }

    fn send(&mut self, id: AssocId, ppid: Ppid, bytes: &[u8], now: Instant) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.can_send()) else {
            self.stats.messages_lost += 1;
            return;
        };
        conn.carrier.push(ppid, bytes, &mut self.buffers);
        self.stats.messages_out += 1;
        if conn.stalled_since.is_none() {
            conn.stalled_since = Some(now);
        }
        // A few may have much waiting, not all: then whoever does not keep up goes.
        let scarce = self.buffers.waiting() > self.config.out_total;
        let limit = if scarce { self.config.out_pause } else { self.config.out_limit };
        if conn.carrier.unsent() > limit {
            // Much at once is not the peer's fault: it may be willing to take it.
            self.flush(id, now);
        }
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.carrier.unsent() > limit {
            return self.close(id, CloseReason::OutLimit);
        }
        if !conn.dirty {
            conn.dirty = true;
            self.dirty.push(id.slot);
        }
    }

    fn multicast(&mut self, ppid: Ppid, bytes: &[u8]) {
        let mut found = false;
        for channel in self.channels.iter_mut().filter(|channel| channel.ppid == ppid) {
            found = true;
            let (sent, lost) = channel.send(bytes);
            self.stats.datagrams_out += sent;
            self.stats.datagrams_lost += lost;
        }
        if !found {
            self.stats.datagrams_lost += 1;
            let warned = &mut self.warned_no_channel[usize::from(ppid == Ppid::Enrp)];
            if !std::mem::replace(warned, true) {
                info!(?ppid, "the machine sends multicasts, but no channel is configured");
            }
        }
    }

    pub(super) fn connect(&mut self, dial: DialId, link: Link, ppid: Ppid, to: &[SocketAddr], now: Instant) {
        debug!(dial = dial.0, ?link, ?ppid, ?to, "connecting");
        let outcome = match link {
            Link::Tcp => self.with_dials(now, |dials, context| dials.begin(dial, ppid, to, context)),
            Link::Sctp => self.connect_sctp(dial, ppid, to, now),
        };
        match outcome {
            None => {}
            Some(Outcome::Failed { dial }) => self.dial_failed(dial),
            Some(Outcome::Established { .. }) => unreachable!("an attempt is decided by readiness only"),
        }
    }

    fn connect_sctp(&mut self, dial: DialId, ppid: Ppid, to: &[SocketAddr], now: Instant) -> Option<Outcome> {
        self.abandon(dial);
        if self.dialling() >= self.config.max_dials {
            debug!(dial = dial.0, limit = self.config.max_dials, "too many attempts to connect");
            return Some(Outcome::Failed { dial });
        }
        let mut endpoints = self.endpoints.iter_mut().filter(|endpoint| endpoint.ppid == ppid);
        let begun = endpoints.find_map(|endpoint| {
            let reachable = endpoint.reachable(to);
            let give_up_at = now + self.config.connect_timeout;
            (!reachable.is_empty()).then(|| endpoint.connect(dial, &reachable, give_up_at))
        });
        match begun {
            Some(Ok(())) => return None,
            Some(Err(error)) => debug!(dial = dial.0, ?to, %error, "not connected"),
            None => debug!(dial = dial.0, ?to, ?ppid, "no SCTP listener that could reach it"),
        }
        Some(Outcome::Failed { dial })
    }

    /// How many attempts to connect are under way.
    pub(super) fn dialling(&self) -> usize {
        self.dials.len() + self.endpoints.iter().map(sctp::Endpoint::dials).sum::<usize>()
    }

    pub(super) fn dial_failed(&mut self, dial: DialId) {
        self.stats.dial_failures += 1;
        self.notices.push_back(Notice::ConnectFailed(dial));
    }

    pub(super) fn abandon(&mut self, dial: DialId) {
        if !self.dials.abandon(dial) {
            self.endpoints.iter_mut().any(|endpoint| endpoint.abandon(dial));
        }
        self.notices.retain(|notice| *notice != Notice::ConnectFailed(dial));
    }

    pub(super) fn with_dials<R>(&mut self, now: Instant, f: impl FnOnce(&mut Dials, DialContext<'_>) -> R) -> R {
        let context = DialContext { registry: self.poll.registry(), config: &self.config, now };
        f(&mut self.dials, context)
    }

    pub(super) fn disconnect(&mut self, id: AssocId) {
        let Some(conn) = self.conns.get_mut(id).filter(|conn| conn.can_send()) else { return };
        conn.phase = Phase::Closing;
        conn.inbox = Inbox::stream(Ppid::Asap, 0);
        conn.backlog = false;
        conn.partial_since = None;
        if !conn.dirty {
            conn.dirty = true;
            self.dirty.push(id.slot);
        }
    }

    // --- Connections ---

    /// Takes over a TCP connection.
    pub(super) fn adopt_stream(&mut self, stream: TcpStream, origin: Origin, is_known: bool) -> Arrival {
        if !is_known && !tcp::ACCEPTED_INHERIT {
            tcp::set_options(SockRef::from(&stream), &self.config);
        }
        let inbox = Inbox::stream(origin.ppid, self.config.max_message_len);
        Arrival { carrier: Carrier::Tcp(Tcp::new(stream)), inbox, origin, is_known }
    }

    /// Takes over an SCTP association.
    pub(super) fn adopt_assoc(&mut self, assoc: sctp::Assoc, origin: Origin) -> Arrival {
        let inbox = Inbox::Messages(sctp::Messages::new(origin.ppid, self.config.max_message_len));
        Arrival { carrier: Carrier::Sctp(assoc), inbox, origin, is_known: false }
    }

    /// Gives an association its place.
    pub(super) fn adopt(&mut self, arrival: Arrival, peer: SocketAddr, now: Instant) -> io::Result<AssocId> {
        let Arrival { carrier, inbox, origin, is_known } = arrival;
        let ppid = origin.ppid;
        let id = self.conns.insert(Conn::new(carrier, inbox, peer, now));
        let Some(conn) = self.conns.get_mut(id) else { unreachable!("just inserted") };
        let (token, interest) = (Source::Conn(id.slot).token(), Interest::READABLE | Interest::WRITABLE);
        let registered = match is_known {
            false => self.poll.registry().register(conn.carrier.source(), token, interest),
            true => self.poll.registry().reregister(conn.carrier.source(), token, interest),
        };
        if let Err(error) = registered {
            self.conns.retire(id);
            self.conns.free(id);
            return Err(error);
        }
        conn.ppid = ppid;
        conn.accepted = origin.dial.is_none();
        if conn.accepted {
            conn.idle_timeout = origin.idle_timeout;
            self.accepted += 1;
            self.stats.accepted += 1;
        } else {
            self.stats.dialled += 1;
        }
        debug!(assoc = %id, %peer, ?ppid, accepted = conn.accepted, "connected");
        self.watch(id);
        Ok(id)
    }

    /// Sets the deadline of a connection as it is now, unless it is looked at earlier anyway.
    pub(super) fn watch(&mut self, id: AssocId) {
        if let Some(conn) = self.conns.get_mut(id)
            && let Some(when) = conn.deadline(&self.config)
        {
            self.deadlines.bring_forward(id.slot, when);
        }
    }

    /// Closes the connections whose time has run out and looks at the others again when theirs may have.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((when, slot)) = self.deadlines.first()
            && when <= now
        {
            let looked_at = self.conns.at(slot).map(|(id, conn)| {
                let expired = conn.expired(now, &self.config);
                (id, expired, conn.deadline(&self.config))
            });
            match looked_at {
                Some((id, Some(reason), _)) => {
                    if let Some(conn) = self.conns.get_mut(id)
                        && matches!(conn.phase, Phase::Lingering { .. })
                    {
                        // A peer that does not take what it was sent would keep the system at it for ever.
                        conn.carrier.abort();
                    }
                    self.close(id, reason);
                }
                Some((_, None, next)) => self.deadlines.set(slot, next),
                None => self.deadlines.set(slot, None),
            }
        }
    }

    /// Writes what waits for a connection, with one system call.
    pub(super) fn flush(&mut self, id: AssocId, now: Instant) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.carrier.unsent() > 0 {
            if !conn.writable {
                return self.watch(id);
            }
            let written = conn.carrier.flush(&mut self.buffers);
            self.stats.bytes_out += written.len as u64;
            if written.len > 0 {
                conn.active_at = now;
                conn.stalled_since = Some(now);
            }
            match written.then {
                AfterWrite::Open => {}
                AfterWrite::Blocked => conn.writable = false,
                AfterWrite::Failed(error) => return self.close(id, CloseReason::Io(error)),
            }
        }
        let unsent = conn.carrier.unsent();
        if unsent == 0 {
            conn.stalled_since = None;
            match conn.phase {
                Phase::PeerEnded => return self.close(id, CloseReason::Peer),
                Phase::Closing => {
                    if conn.carrier.finish().is_err() {
                        return self.close(id, CloseReason::Machine);
                    }
                    conn.phase = Phase::Lingering { since: now };
                }
                Phase::Open | Phase::Lingering { .. } => {}
            }
        } else if conn.writable && !conn.dirty {
            conn.dirty = true;
            self.dirty.push(id.slot);
        }
        // Not at the first byte below the limit: reading goes on in larger steps.
        if conn.paused && unsent <= self.config.out_pause / 2 {
            conn.paused = false;
        }
        self.enqueue(id.slot);
        self.watch(id);
    }

    /// Reads and forgets what still comes on a connection that this side has ended.
    pub(super) fn discard(&mut self, id: AssocId, buf: &mut [u8]) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        match conn.carrier.receive(buf, &mut conn.inbox, &mut self.buffers) {
            Received::Bytes { more, .. } => conn.readable = more || conn.end_signalled,
            Received::Nothing => conn.readable = false,
            Received::SendFailed => conn.readable = true,
            Received::End | Received::Failed(_) | Received::Aborted { .. } | Received::Restarted => {
                return self.close(id, CloseReason::Machine);
            }
        }
        self.enqueue(id.slot);
    }

    /// Closes a connection at once; the machine is told later.
    pub(super) fn close(&mut self, id: AssocId, reason: CloseReason) {
        if self.take_carrier(id, reason).is_some() {
            self.notices.push_back(Notice::Closed(id));
        }
    }

    /// Ends the life of a connection, and gives its carrier, whose end is the socket's. The machine does not know yet.
    pub(super) fn take_carrier(&mut self, id: AssocId, reason: CloseReason) -> Option<Carrier> {
        let mut conn = self.conns.retire(id)?;
        // What the machine has closed already ends as it wished, whatever ends it.
        let reason = if conn.can_send() { reason } else { CloseReason::Machine };
        if reason.is_fault() {
            info!(assoc = %id, peer = %conn.peer, %reason, "connection dropped");
        } else {
            debug!(assoc = %id, peer = %conn.peer, %reason, "connection closed");
        }
        reason.count(&mut self.stats.closed);
        if reason.is_fault() {
            conn.carrier.abort();
        }
        let _ = self.poll.registry().deregister(conn.carrier.source());
        conn.carrier.release(&mut self.buffers);
        self.deadlines.set(id.slot, None);
        self.accepted -= usize::from(conn.accepted);
        Some(conn.carrier)
    }
}

/// What an association is known by when it comes up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) ppid: Ppid,
    /// The attempt that brought it; `None`: the peer opened it.
    pub(super) dial: Option<DialId>,
    /// For those that a peer opened.
    pub(super) idle_timeout: Option<Duration>,
}

/// An association that has come up.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) carrier: Carrier,
    inbox: Inbox,
    pub(super) origin: Origin,
    /// The system's means to wait for readiness know its socket already.
    is_known: bool,
}

/// Where the next one will be.
fn index_of<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}
