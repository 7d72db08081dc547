//! The loop: wait for readiness, give the machine its inputs, carry out its outputs.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use mio::Events;
use mio::net::TcpStream;
use rserpool_core::{Input, Instant, Machine};
use tracing::debug;

use super::accept::Accepted;
use super::dial::Outcome;
use super::handle::{Command, Shared, Stop};
use super::io::{Arrival, Io, Notice, Origin};
use super::link::Received;
use super::owner::Owner;
use super::stats::CloseReason;
use super::token::Source;
use crate::Clock;

/// How much is read from a connection at once, in bytes.
const READ_LEN: usize = 64 << 10;
const EVENTS: usize = 1024;
/// How much is done of each kind of work before the others have their turn.
const ACCEPTS_PER_TURN: usize = 64;
const DATAGRAMS_PER_TURN: usize = 64;
const COMMANDS_PER_TURN: usize = 256;

/// A driver at work.
pub(super) struct Engine<M, F> {
    pub(super) owner: Owner<M, F>,
    pub(super) io: Io,
    clock: Clock,
    shared: Arc<Shared>,
    commands: Receiver<Command<M>>,
    /// There may be commands that the waker will not announce again.
    has_commands: bool,
    /// Where all connections are read into.
    pub(super) rx: Vec<u8>,
}

impl<M, F> Engine<M, F>
where
    M: Machine,
    F: FnMut(M::Event, &mut M, Instant),
{
    pub(super) fn new(io: Io, shared: Arc<Shared>, commands: Receiver<Command<M>>, machine: M, observer: F) -> Self {
        Engine {
            owner: Owner::new(machine, observer),
            io,
            clock: shared.clock,
            shared,
            commands,
            has_commands: false,
            rx: vec![0; READ_LEN],
        }
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) -> io::Result<M> {
        self.shared.set_thread();
        let mut events = Events::with_capacity(EVENTS);
        let now = self.clock.now();
        self.owner.drain(&mut self.io, now);
        self.write(now);
        let stop = loop {
            match self.shared.wanted_stop() {
                Stop::No => self.turn(&mut events)?,
                stop => break stop,
            }
        };
        // What was asked for before the stop is still done.
        let now = self.clock.now();
        while let Ok(command) = self.commands.try_recv() {
            command(&mut self.owner.machine, now);
            self.owner.drain(&mut self.io, now);
        }
        if stop == Stop::Gracefully {
            self.finish(&mut events)?;
        }
        self.publish();
        Ok(self.owner.machine)
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        self.wait(events, self.timeout())?;
        let now = self.clock.now();
        self.io.stats.turns += 1;
        for event in events.iter() {
            if Source::of(event.token()) == Source::Waker {
                self.has_commands = true;
            } else {
                self.io.note(event);
            }
        }
        self.run_commands(now);
        self.accept(now);
        self.associations(now);
        self.settle_dials(now);
        self.receive_datagrams(now);
        self.serve_connections(now);
        self.io.expire(now);
        self.give_notice(now);
        if self.owner.deadline.is_some_and(|deadline| deadline <= now) {
            self.owner.input(&mut self.io, now, Input::Timeout);
        }
        self.write(now);
        self.publish();
        Ok(())
    }

    fn wait(&mut self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        // The timeout is rounded up to the system's resolution, so nothing is early and the loop does not spin.
        match self.io.poll.poll(events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            result => result,
        }
    }

    /// How long to sleep: not at all while work is left over from the last turn.
    fn timeout(&self) -> Option<Duration> {
        if self.has_commands || self.io.has_work(self.clock.now()) {
            return Some(Duration::ZERO);
        }
        let deadline = [self.owner.deadline, self.io.deadline()].into_iter().flatten().min()?;
        Some(self.clock.until(deadline))
    }

    fn publish(&mut self) {
        self.io.stats.connections = self.io.conns.len() as u64;
        self.io.stats.dials = self.io.dialling() as u64;
        self.shared.publish(&self.io.stats);
    }

    fn run_commands(&mut self, now: Instant) {
        if !std::mem::take(&mut self.has_commands) {
            return;
        }
        self.shared.acknowledge();
        for _ in 0..COMMANDS_PER_TURN {
            let Ok(command) = self.commands.try_recv() else { return };
            command(&mut self.owner.machine, now);
            self.owner.drain(&mut self.io, now);
        }
        self.has_commands = true;
    }

    fn accept(&mut self, now: Instant) {
        for index in 0..self.io.acceptors.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let acceptor = &mut self.io.acceptors[index];
                if !acceptor.is_ready(now) {
                    break;
                }
                match acceptor.accept(now, self.io.config.accept_backoff) {
                    Accepted::Stream(stream, peer) => self.accepted(index, stream, peer, now),
                    Accepted::Shed => self.io.stats.refused += 1,
                    Accepted::Nothing => break,
                }
            }
        }
    }

    fn accepted(&mut self, index: usize, stream: TcpStream, peer: SocketAddr, now: Instant) {
        let has_room = self.io.has_room();
        let acceptor = &mut self.io.acceptors[index];
        acceptor.note_refusing(!has_room, &"as many connections as are allowed");
        if !has_room {
            self.io.stats.refused += 1;
            return;
        }
        let origin = Origin { ppid: acceptor.ppid, dial: None, idle_timeout: acceptor.idle_timeout };
        let arrival = self.io.adopt_stream(stream, origin, false);
        self.connected(arrival, &[peer], now);
    }

    fn settle_dials(&mut self, now: Instant) {
        for _ in 0..self.io.decided.len() {
            let Some(number) = self.io.decided.pop_front() else { break };
            if let Some(outcome) = self.io.with_dials(now, |dials, context| dials.ready(number, context)) {
                self.dialled(outcome, now);
            }
        }
        while let Some(outcome) = self.io.with_dials(now, |dials, context| dials.expire(context)) {
            self.dialled(outcome, now);
        }
        while let Some(dial) = self.io.endpoints.iter_mut().find_map(|endpoint| endpoint.expired(now)) {
            debug!(dial = dial.0, "no address answered in time");
            self.io.dial_failed(dial);
        }
    }

    fn dialled(&mut self, outcome: Outcome, now: Instant) {
        match outcome {
            Outcome::Failed { dial } => self.io.dial_failed(dial),
            Outcome::Established { dial, ppid, address, stream } => {
                let origin = Origin { ppid, dial: Some(dial), idle_timeout: None };
                let arrival = self.io.adopt_stream(stream, origin, true);
                self.connected(arrival, &[address], now);
            }
        }
    }

    /// Tells the machine of an association, whose peer has these addresses.
    pub(super) fn connected(&mut self, arrival: Arrival, peer: &[SocketAddr], now: Instant) {
        let (dial, link) = (arrival.origin.dial, arrival.carrier.link());
        let adopted = match peer.first() {
            Some(first) => self.io.adopt(arrival, *first, now),
            None => Err(ErrorKind::NotConnected.into()),
        };
        let assoc = match adopted {
            Ok(assoc) => assoc,
            Err(error) => {
                debug!(?peer, %error, "connection lost before it began");
                if let Some(dial) = dial {
                    self.io.dial_failed(dial);
                }
                return;
            }
        };
        let input = Input::Connected { assoc, dial, link, peer };
        if !self.owner.input(&mut self.io, now, input) {
            self.io.close(assoc, CloseReason::Refused);
        }
    }

    fn receive_datagrams(&mut self, now: Instant) {
        for index in 0..self.io.channels.len() {
            for _ in 0..DATAGRAMS_PER_TURN {
                let channel = &mut self.io.channels[index];
                if !channel.readable {
                    break;
                }
                let ppid = channel.ppid;
                let Some((len, from)) = channel.receive(&mut self.rx) else { break };
                self.io.stats.datagrams_in += 1;
                let input = Input::Datagram { from, ppid, bytes: &self.rx[..len] };
                self.owner.input(&mut self.io, now, input);
            }
        }
    }

    /// Tells the machine what ended. What ends meanwhile is told in the next turn, so a machine that dials again at
    /// once does not keep the driver from everything else.
    fn give_notice(&mut self, now: Instant) {
        for _ in 0..self.io.notices.len() {
            match self.io.notices.pop_front() {
                None => break,
                Some(Notice::ConnectFailed(dial)) => {
                    self.owner.input(&mut self.io, now, Input::ConnectFailed { dial });
                }
                Some(Notice::Closed(assoc)) => {
                    self.owner.input(&mut self.io, now, Input::Closed { assoc });
                    self.io.conns.free(assoc);
                }
            }
        }
    }

    /// Writes to every connection that something was sent to.
    fn write(&mut self, now: Instant) {
        let mut dirty = std::mem::take(&mut self.io.dirty);
        for slot in dirty.drain(..) {
            if let Some((id, conn)) = self.io.conns.at(slot) {
                conn.dirty = false;
                self.io.flush(id, now);
            }
        }
        // Keep the larger list's memory; what was added meanwhile had a part written and can take more.
        dirty.append(&mut self.io.dirty);
        self.io.dirty = dirty;
    }

    /// Stops listening, writes what waits for as long as that may take, and ends all connections.
    fn finish(&mut self, events: &mut Events) -> io::Result<()> {
        self.io.acceptors.clear();
        self.io.endpoints.clear();
        self.io.channels.clear();
        self.io.dials.clear();
        let deadline = self.clock.now() + self.io.config.stop_timeout;
        self.write(self.clock.now());
        while self.unsent() && self.clock.now() < deadline {
            self.wait(events, Some(self.clock.until(deadline)))?;
            for event in events.iter() {
                self.io.note(event);
            }
            self.write(self.clock.now());
        }
        for slot in self.io.conns.range() {
            let Some((id, conn)) = self.io.conns.at(slot) else { continue };
            // Read what is there: bytes that were not read would make the close a reset, which may overtake what was
            // just written.
            let _ = conn.carrier.finish();
            for _ in 0..16 {
                if !matches!(
                    conn.carrier.receive(&mut self.rx, &mut conn.inbox, &mut self.io.buffers),
                    Received::Bytes { .. }
                ) {
                    break;
                }
            }
            self.io.close(id, CloseReason::Machine);
        }
        Ok(())
    }

    fn unsent(&mut self) -> bool {
        self.io.conns.range().any(|slot| self.io.conns.at(slot).is_some_and(|(_, conn)| conn.carrier.unsent() > 0))
    }
}
