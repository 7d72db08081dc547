//! Associations: reliable and ordered, until they break. Each end finds out for itself, or never.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use rserpool_core::{AssocId, DialId, Input, Instant, Link, Ppid};

use super::node::{Kind, NodeId, asap_at, enrp_at, ip, node_at};
use super::trace::Detail;
use super::world::{Happening, World};

/// One end of an association.
#[derive(Debug)]
pub struct End {
    pub node: NodeId,
    pub incarnation: u32,
    pub assoc: AssocId,
    pub open: bool,
    /// Its machine has closed it, and hears no more of it. What came before the other end closed it is still heard.
    deaf: bool,
    /// The caller's end, until the answer has come.
    dialling: bool,
    /// What comes next arrives after that.
    arrival: Instant,
    /// What this end has sent and the other end's host cannot get.
    held: VecDeque<Vec<u8>>,
    /// Since when this end waits for an acknowledgement that does not come.
    unacked: Option<Instant>,
}

#[derive(Debug)]
pub struct Conn {
    pub ppid: Ppid,
    pub link: Link,
    /// The one who dialled first.
    pub ends: [End; 2],
}

/// An attempt to connect.
#[derive(Debug)]
pub struct Attempt {
    node: NodeId,
    incarnation: u32,
    dial: DialId,
    link: Link,
    ppid: Ppid,
    to: SocketAddr,
    began: Instant,
    tries: u32,
    over: bool,
}

impl World {
    fn who(&self, n: NodeId) -> (NodeId, Kind) {
        (n, self.nodes[n].kind)
    }

    pub fn reaches(&self, from: NodeId, to: NodeId) -> bool {
        self.nodes[to].host_up && !self.net.blocks(self.who(from), self.who(to))
    }

    fn both_ways(&self, a: NodeId, b: NodeId) -> bool {
        self.reaches(a, b) && self.reaches(b, a)
    }

    /// Whether the process that holds an end still runs and has not closed it.
    fn is_live(&self, conn: usize, side: usize) -> bool {
        let end = &self.conns[conn].ends[side];
        let node = &self.nodes[end.node];
        end.open && node.is_up() && node.incarnation == end.incarnation
    }

    // ---- attempts ----

    pub fn dial(&mut self, n: NodeId, dial: DialId, link: Link, ppid: Ppid, to: SocketAddr) {
        self.nodes[n].sent.dials += 1;
        let attempt = self.attempts.len();
        let incarnation = self.nodes[n].incarnation;
        self.attempts.push(Attempt {
            node: n,
            incarnation,
            dial,
            link,
            ppid,
            to,
            began: self.now,
            tries: 0,
            over: false,
        });
        self.nodes[n].dials.push((dial, attempt));
        self.trace.line(Detail::All, self.now, || format!("{} dials {to}", self.nodes[n].name));
        self.try_attempt(attempt);
    }

    pub fn abandon(&mut self, n: NodeId, dial: DialId) {
        let dials = &mut self.nodes[n].dials;
        if let Some(at) = dials.iter().position(|(name, _)| *name == dial) {
            let (_, attempt) = dials.swap_remove(at);
            self.attempts[attempt].over = true;
        }
    }

    /// The first packet of an attempt goes out, again if need be.
    pub fn try_attempt(&mut self, at: usize) {
        let Attempt { node, incarnation, to, began, over, .. } = self.attempts[at];
        let caller = &self.nodes[node];
        if over || !caller.is_up() || caller.incarnation != incarnation {
            return;
        }
        let target = node_at(to.ip()).filter(|target| *target < self.nodes.len());
        let reached = target.filter(|target| self.both_ways(node, *target));
        match reached {
            Some(target) => {
                let arrival = self.now + self.net.reliable(node, target);
                self.queue.push(arrival, Happening::Called { attempt: at, target });
            }
            None => {
                let limit = began + self.net.config.connect_timeout;
                let attempt = &mut self.attempts[at];
                let again = self.now + self.net.config.retransmission * 4 * (1 << attempt.tries.min(8));
                attempt.tries += 1;
                let failed = again >= limit;
                let what = if failed { Happening::CallFailed { attempt: at } } else { Happening::Call { attempt: at } };
                self.queue.push(again.min(limit), what);
            }
        }
    }

    pub fn called(&mut self, at: usize, target: NodeId) {
        let Attempt { node, incarnation, link, ppid, to, .. } = self.attempts[at];
        if !self.both_ways(node, target) {
            return self.try_attempt(at);
        }
        let answer = self.now + self.net.reliable(node, target);
        let host = &self.nodes[target];
        let listens = match host.kind {
            Kind::Registrar => to == if ppid == Ppid::Asap { asap_at(target) } else { enrp_at(target) },
            Kind::Element => ppid == Ppid::Asap && host.asap_port != 0 && to.port() == host.asap_port,
            Kind::User => false,
        };
        if !host.is_up() || !listens {
            self.queue.push(answer, Happening::CallFailed { attempt: at });
            return;
        }
        let conn = self.conns.len();
        let accepted = self.nodes[target].open_slot(conn);
        let end = |node, incarnation, assoc, open, arrival| End {
            node,
            incarnation,
            assoc,
            open,
            deaf: false,
            dialling: !open,
            arrival,
            held: VecDeque::new(),
            unacked: None,
        };
        let there = self.nodes[target].incarnation;
        let ends = [
            end(node, incarnation, AssocId::default(), false, answer),
            end(target, there, accepted, true, answer + (answer.saturating_duration_since(self.now))),
        ];
        self.conns.push(Conn { ppid, link, ends });
        self.queue.push(answer, Happening::Answered { attempt: at, conn });
        let from = self.nodes[node].ephemeral(node);
        self.inbox(target, there, Inbound::Accepted { conn, from });
    }

    pub fn answered(&mut self, at: usize, conn: usize) {
        let Attempt { node, incarnation, dial, over, .. } = self.attempts[at];
        let caller = &mut self.nodes[node];
        if over || !caller.is_up() || caller.incarnation != incarnation {
            // Nobody is there to take it: the host says so.
            self.conns[conn].ends[0].dialling = false;
            return self.reset(conn, 1);
        }
        caller.dials.retain(|(name, _)| *name != dial);
        self.attempts[at].over = true;
        let assoc = caller.open_slot(conn);
        let end = &mut self.conns[conn].ends[0];
        (end.assoc, end.open, end.dialling) = (assoc, true, false);
        self.inbox(node, incarnation, Inbound::Connected { conn, dial });
    }

    pub fn call_failed(&mut self, at: usize) {
        let Attempt { node, incarnation, dial, over, .. } = self.attempts[at];
        if over {
            return;
        }
        self.attempts[at].over = true;
        self.nodes[node].dials.retain(|(name, _)| *name != dial);
        self.inbox(node, incarnation, Inbound::ConnectFailed { dial });
    }

    // ---- messages ----

    pub fn send(&mut self, n: NodeId, assoc: AssocId, bytes: Vec<u8>) {
        // What is sent on an association that is gone is lost.
        let Some(conn) = self.nodes[n].conn(assoc) else { return };
        let side = usize::from(self.conns[conn].ends[0].node != n || self.conns[conn].ends[0].assoc != assoc);
        self.carry(conn, side, bytes);
    }

    /// Takes a message from one end towards the other.
    fn carry(&mut self, conn: usize, side: usize, bytes: Vec<u8>) {
        if !self.conns[conn].ends[side].open {
            return;
        }
        let (from, to) = (self.conns[conn].ends[side].node, self.conns[conn].ends[1 - side].node);
        if !self.both_ways(from, to) {
            self.wait_for_acknowledgement(conn, side);
        }
        if !self.reaches(from, to) || !self.conns[conn].ends[side].held.is_empty() {
            self.conns[conn].ends[side].held.push_back(bytes);
            return;
        }
        let mut arrival = self.now + self.net.reliable(from, to);
        let reader = &mut self.nodes[to];
        if let Some(rate) = reader.read_rate {
            let start = reader.reads_until.max(arrival);
            reader.reads_until = start + Duration::from_micros(bytes.len() as u64 * 1_000_000 / rate);
            arrival = reader.reads_until;
            if arrival > self.now + self.net.config.transport_timeout {
                // More than the sender's buffers hold: it gives up, as adapters do.
                self.reset(conn, 1 - side);
                return self.reset(conn, side);
            }
        }
        let end = &mut self.conns[conn].ends[1 - side];
        end.arrival = arrival.max(end.arrival);
        self.queue.push(end.arrival, Happening::Arrives { conn, side: 1 - side, bytes });
    }

    fn wait_for_acknowledgement(&mut self, conn: usize, side: usize) {
        let end = &mut self.conns[conn].ends[side];
        if end.unacked.is_none() && end.open {
            end.unacked = Some(self.now);
            self.impaired.insert((conn, side));
            self.queue
                .push(self.now + self.net.config.transport_timeout, Happening::Unacked { conn, side, since: self.now });
        }
    }

    pub fn unacked(&mut self, conn: usize, side: usize, since: Instant) {
        if self.conns[conn].ends[side].unacked == Some(since) && self.is_live(conn, side) {
            let name = &self.nodes[self.conns[conn].ends[side].node].name;
            self.trace.line(Detail::All, self.now, || format!("{name}: an association times out"));
            self.break_off(conn, side);
        }
    }

    /// Each host looks whether those at the other ends of its associations are still there.
    pub fn heartbeats(&mut self) {
        for n in 0..self.nodes.len() {
            for slot in 0..self.nodes[n].slots.len() {
                let Some(conn) = self.nodes[n].slots[slot].conn else { continue };
                for side in 0..2 {
                    if self.conns[conn].ends[side].node != n || !self.is_live(conn, side) {
                        continue;
                    }
                    let other = self.conns[conn].ends[1 - side].node;
                    if !self.both_ways(n, other) {
                        self.wait_for_acknowledgement(conn, side);
                    } else if !self.is_live(conn, 1 - side) && !self.conns[conn].ends[1 - side].dialling {
                        self.reset(conn, side);
                    }
                }
            }
        }
        self.queue.push(self.now + self.net.config.heartbeat, Happening::Heartbeats);
    }

    /// Something is mended: what was held back goes on its way.
    pub fn mended(&mut self) {
        for (conn, side) in std::mem::take(&mut self.impaired) {
            let (from, to) = (self.conns[conn].ends[side].node, self.conns[conn].ends[1 - side].node);
            if !self.both_ways(from, to) {
                self.impaired.insert((conn, side));
                continue;
            }
            let end = &mut self.conns[conn].ends[side];
            end.unacked = None;
            let held = std::mem::take(&mut end.held);
            let late = self.net.resumption();
            let other = &mut self.conns[conn].ends[1 - side];
            other.arrival = other.arrival.max(self.now + late);
            for bytes in held {
                self.carry(conn, side, bytes);
            }
        }
    }

    pub fn arrives(&mut self, conn: usize, side: usize, bytes: Vec<u8>) {
        if self.is_live(conn, side) {
            let incarnation = self.conns[conn].ends[side].incarnation;
            let node = self.conns[conn].ends[side].node;
            self.inbox(node, incarnation, Inbound::Message { conn, side, bytes });
        } else if self.nodes[self.conns[conn].ends[side].node].host_up {
            // The host knows no such association.
            self.reset(conn, 1 - side);
        } else {
            self.conns[conn].ends[1 - side].held.push_back(bytes);
            self.wait_for_acknowledgement(conn, 1 - side);
        }
    }

    // ---- ends ----

    /// The machine closes an association; the other end hears of it after what was sent before.
    pub fn disconnect(&mut self, n: NodeId, assoc: AssocId) {
        let Some(conn) = self.nodes[n].conn(assoc) else { return };
        let side = usize::from(self.conns[conn].ends[0].node != n || self.conns[conn].ends[0].assoc != assoc);
        self.conns[conn].ends[side].deaf = true;
        self.finish(conn, side);
        self.break_off(conn, side);
    }

    /// The end of what one end has sent.
    fn finish(&mut self, conn: usize, side: usize) {
        let (from, to) = (self.conns[conn].ends[side].node, self.conns[conn].ends[1 - side].node);
        if self.reaches(from, to) {
            let arrival = self.now + self.net.reliable(from, to);
            let other = &mut self.conns[conn].ends[1 - side];
            other.arrival = other.arrival.max(arrival);
            self.queue.push(other.arrival, Happening::Reset { conn, side: 1 - side });
        }
        // Otherwise the other end stays half open until it sends something.
    }

    /// One end is told that the association is no more, if that can be told.
    pub fn reset(&mut self, conn: usize, side: usize) {
        let (from, to) = (self.conns[conn].ends[1 - side].node, self.conns[conn].ends[side].node);
        if self.reaches(from, to) {
            let arrival = self.now + self.net.latency(from, to);
            self.queue.push(arrival, Happening::Reset { conn, side });
        }
    }

    /// An end closes, and its machine is told.
    pub fn break_off(&mut self, conn: usize, side: usize) {
        if !self.is_live(conn, side) {
            return;
        }
        let end = &mut self.conns[conn].ends[side];
        end.open = false;
        end.held = VecDeque::new();
        end.unacked = None;
        let (node, incarnation, assoc) = (end.node, end.incarnation, end.assoc);
        // Not at once: the machine may be in the middle of its drain.
        self.queue.push(self.now, Happening::Inbox { node, incarnation, what: Inbound::Closed { conn, assoc } });
    }

    /// The process of a node has ended. Its host, if it is still there, closes the associations.
    pub fn ended(&mut self, n: NodeId) {
        let open: Vec<usize> = self.nodes[n].slots.iter().filter_map(|slot| slot.conn).collect();
        for conn in open {
            for side in 0..2 {
                let end = &mut self.conns[conn].ends[side];
                if end.node == n && end.open {
                    end.open = false;
                    end.held = VecDeque::new();
                    end.unacked = None;
                    if self.nodes[n].host_up {
                        self.finish(conn, side);
                    }
                }
            }
        }
        let node = &mut self.nodes[n];
        node.machine = None;
        node.slots.clear();
        node.free.clear();
        node.open = 0;
        node.deadline = None;
        for (_, attempt) in std::mem::take(&mut node.dials) {
            self.attempts[attempt].over = true;
        }
    }

    /// Every association between two nodes is reset by something in between.
    pub fn reset_between(&mut self, a: NodeId, b: NodeId) {
        let open: Vec<usize> = self.nodes[a].slots.iter().filter_map(|slot| slot.conn).collect();
        for conn in open {
            if self.conns[conn].ends.iter().any(|end| end.node == b) {
                self.reset(conn, 0);
                self.reset(conn, 1);
            }
        }
    }

    // ---- what reaches a process ----

    /// When a process reads something. One that was frozen finds all that has come meanwhile: what came by one association
    /// is in its order, also before its end. The timers that have passed go off first.
    fn is_read_at(&self, node: NodeId, what: &Inbound) -> Instant {
        let frozen_until = self.nodes[node].frozen_until;
        if frozen_until == Instant::ZERO {
            return frozen_until;
        }
        let source = match what {
            Inbound::Message { conn, .. }
            | Inbound::Accepted { conn, .. }
            | Inbound::Connected { conn, .. }
            | Inbound::Closed { conn, .. } => *conn as u64,
            Inbound::ConnectFailed { dial } => u64::from(dial.0),
            Inbound::Datagram { .. } => u64::MAX,
        };
        // A few milliseconds are enough for an order, the oldest first, and for some answers of peers.
        frozen_until + Duration::from_micros(source & 0xfff)
    }

    fn inbox(&mut self, node: NodeId, incarnation: u32, what: Inbound) {
        let at = self.is_read_at(node, &what);
        if at > self.now {
            self.queue.push(at, Happening::Inbox { node, incarnation, what });
        } else {
            self.take_in(node, incarnation, what);
        }
    }

    /// A process takes in what its host has for it.
    pub fn take_in(&mut self, node: NodeId, incarnation: u32, what: Inbound) {
        if !self.nodes[node].is_up() || self.nodes[node].incarnation != incarnation {
            return;
        }
        if self.is_read_at(node, &what) > self.now {
            return self.inbox(node, incarnation, what);
        }
        match what {
            Inbound::Message { conn, side, bytes } => {
                let Conn { ppid, ends, .. } = &self.conns[conn];
                let (ppid, assoc, deaf) = (*ppid, ends[side].assoc, ends[side].deaf);
                if !deaf {
                    self.input(node, Input::Message { assoc, ppid, bytes: &bytes });
                }
            }
            Inbound::Accepted { conn, from } => {
                let Conn { link, ends, .. } = &self.conns[conn];
                let (link, assoc) = (*link, ends[1].assoc);
                self.input(node, Input::Connected { assoc, dial: None, link, peer: &[from] });
            }
            Inbound::Connected { conn, dial } => {
                let Conn { link, ends, ppid } = &self.conns[conn];
                let peer = SocketAddr::new(ip(ends[1].node), ppid.port());
                let (link, assoc) = (*link, ends[0].assoc);
                self.input(node, Input::Connected { assoc, dial: Some(dial), link, peer: &[peer] });
            }
            Inbound::ConnectFailed { dial } => self.input(node, Input::ConnectFailed { dial }),
            Inbound::Closed { assoc, .. } => {
                self.nodes[node].close_slot(assoc);
                self.input(node, Input::Closed { assoc });
            }
            Inbound::Datagram { from, ppid, bytes } => self.input(node, Input::Datagram { from, ppid, bytes: &bytes }),
        }
    }

    pub fn datagram(&mut self, node: NodeId, from: SocketAddr, ppid: Ppid, bytes: Vec<u8>) {
        let incarnation = self.nodes[node].incarnation;
        self.inbox(node, incarnation, Inbound::Datagram { from, ppid, bytes });
    }

    /// A message to the multicast channel.
    pub fn multicast(&mut self, from: NodeId, ppid: Ppid, bytes: &[u8]) {
        for to in 0..self.nodes.len() {
            let listens = self.nodes[to].multicast && (ppid == Ppid::Asap || self.nodes[to].kind == Kind::Registrar);
            if !listens || !self.reaches(from, to) {
                continue;
            }
            let source = SocketAddr::new(ip(from), ppid.port());
            for at in self.net.datagram(self.now, from, to) {
                let bytes = bytes.to_vec();
                self.queue.push(at, Happening::Datagram { node: to, from: source, ppid, bytes });
            }
        }
    }
}

/// What a host has for its process.
#[derive(Debug)]
pub enum Inbound {
    Message { conn: usize, side: usize, bytes: Vec<u8> },
    Accepted { conn: usize, from: SocketAddr },
    Connected { conn: usize, dial: DialId },
    ConnectFailed { dial: DialId },
    Closed { conn: usize, assoc: AssocId },
    Datagram { from: SocketAddr, ppid: Ppid, bytes: Vec<u8> },
}
