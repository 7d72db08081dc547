//! All sockets of a driver, and what the machine's outputs do to them.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

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
    buffers: Buffers,
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
        let mut acceptors = Vec::new();
        for (index, listener) in (0..).zip(&config.listeners) {
            let acceptor = Acceptor::open(listener, index, poll.registry(), &config)
                .map_err(|error| StartError::Listen { address: listener.address, error })?;
            info!(address = %acceptor.address, ppid = ?acceptor.ppid, "listening");
            acceptors.push(acceptor);
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
            || self.acceptors.iter().any(|acceptor| acceptor.is_ready(now))
    }

    /// The earliest deadline of all sockets.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let conns = self.deadlines.first().map(|(when, _)| when);
        let accept = self.acceptors.iter().filter_map(Acceptor::deadline).min();
        [conns, self.dials.deadline(), accept].into_iter().flatten().min()
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
        if conn.carrier.unsent() > self.config.out_limit {
            // Much at once is not the peer's fault: it may be willing to take it.
            self.flush(id, now);
        }
        let Some(conn) = self.conns.get_mut(id) else { return };
        if conn.carrier.unsent() > self.config.out_limit {
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
            Link::Sctp => {
                debug!(dial = dial.0, "this driver has no SCTP");
                Some(Outcome::Failed { dial })
            }
        };
        match outcome {
            None => {}
            Some(Outcome::Failed { dial }) => self.dial_failed(dial),
            Some(Outcome::Established { .. }) => unreachable!("an attempt is decided by readiness only"),
        }
    }

    pub(super) fn dial_failed(&mut self, dial: DialId) {
        self.stats.dial_failures += 1;
        self.notices.push_back(Notice::ConnectFailed(dial));
    }

    pub(super) fn abandon(&mut self, dial: DialId) {
        self.dials.abandon(dial);
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

    /// Takes over a socket that is connected.
    pub(super) fn adopt(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        ppid: Ppid,
        acceptor: Option<usize>,
        now: Instant,
    ) -> io::Result<AssocId> {
        if acceptor.is_some() && !tcp::ACCEPTED_INHERIT {
            tcp::set_options(SockRef::from(&stream), &self.config);
        }
        let carrier = Carrier::Tcp(Tcp::new(stream));
        let inbox = Inbox::stream(ppid, self.config.max_message_len);
        let id = self.conns.insert(Conn::new(carrier, inbox, peer, now));
        let Some(conn) = self.conns.get_mut(id) else { unreachable!("just inserted") };
        let (token, interest) = (Source::Conn(id.slot).token(), Interest::READABLE | Interest::WRITABLE);
        let registered = match acceptor {
            Some(_) => self.poll.registry().register(conn.carrier.source(), token, interest),
            None => self.poll.registry().reregister(conn.carrier.source(), token, interest),
        };
        if let Err(error) = registered {
            self.conns.retire(id);
            self.conns.free(id);
            return Err(error);
        }
        match acceptor.and_then(|index| self.acceptors.get(index)) {
            Some(acceptor) => {
                conn.accepted = true;
                conn.idle_timeout = acceptor.idle_timeout;
                self.accepted += 1;
                self.stats.accepted += 1;
            }
            None => self.stats.dialled += 1,
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
                Some((id, Some(reason), _)) => self.close(id, reason),
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
        match conn.carrier.receive(buf) {
            Received::Bytes { more, .. } => conn.readable = more || conn.end_signalled,
            Received::Nothing => conn.readable = false,
            Received::End | Received::Failed(_) => return self.close(id, CloseReason::Machine),
        }
        self.enqueue(id.slot);
    }

    /// Closes a connection at once; the machine is told later.
    pub(super) fn close(&mut self, id: AssocId, reason: CloseReason) {
        let Some(mut conn) = self.conns.retire(id) else { return };
        // What the machine has closed already ends as it wished, whatever ends it.
        let reason = if conn.can_send() { reason } else { CloseReason::Machine };
        if reason.is_fault() {
            info!(assoc = %id, peer = %conn.peer, %reason, "connection dropped");
        } else {
            debug!(assoc = %id, peer = %conn.peer, %reason, "connection closed");
        }
        reason.count(&mut self.stats.closed);
        let _ = self.poll.registry().deregister(conn.carrier.source());
        conn.carrier.release(&mut self.buffers);
        self.deadlines.set(id.slot, None);
        self.accepted -= usize::from(conn.accepted);
        self.notices.push_back(Notice::Closed(id));
    }
}
