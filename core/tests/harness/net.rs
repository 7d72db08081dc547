//! The network in memory: attempts, associations, messages with a latency, the multicast channel.

use std::net::SocketAddr;

use rserpool_core::{AssocId, Destination, DialId, Input, Link, Ppid};

use super::{Answer, Delivery, End, NodeId, Role, Sent, Sim, Slot};

impl Sim {
    pub(crate) fn transmit(&mut self, from: NodeId, to: Destination, ppid: Ppid, bytes: Vec<u8>) {
        let mut peer = None;
        match to {
            Destination::Channel => {
                for to in 0..self.nodes.len() {
                    self.later(self.latency, Delivery::Datagram { from, to, ppid, bytes: bytes.clone() });
                }
            }
            Destination::Assoc(assoc) => {
                // What is sent on an association that is gone is lost.
                let Some(conn) = self.conn(from, assoc) else { return };
                assert_eq!(self.ppids[conn], ppid, "each association has its protocol");
                let [first, _] = self.conns[conn];
                let side = usize::from(first.node == from && first.assoc == assoc);
                peer = Some(self.conns[conn][side].node);
                self.later(self.latency, Delivery::Message { conn, side, bytes: bytes.clone() });
            }
        }
        self.trace.push(Sent { at: self.now, from, to: peer, ppid, bytes });
    }

    pub(crate) fn dial(&mut self, from: NodeId, dial: DialId, ppid: Ppid, to: &[SocketAddr]) {
        assert!(!to.is_empty(), "an attempt has an address");
        // The host decides; each has a port for either protocol.
        let target = self.nodes.iter().position(|n| to.iter().any(|at| at.ip() == n.address.ip()));
        let node = &mut self.nodes[from];
        let Some(target) = target else {
            node.attempts.push((dial, usize::MAX));
            return self.later(self.latency, Delivery::Refuse { from, dial });
        };
        let hunts = !matches!(node.role, Role::Registrar(_));
        let twice = node.attempts.iter().any(|(_, n)| *n == target);
        assert!(!hunts || !twice, "two attempts to one registrar at the same time");
        node.dialled.push((self.now, target));
        node.attempts.push((dial, target));
        assert!(!hunts || node.attempts.len() <= 3, "SH1: no more than three at once");
        let accept = |even_if_abandoned| Delivery::Accept { from, dial, ppid, to: target, even_if_abandoned };
        let parted = self.cuts.iter().any(|cut| *cut == (from, target) || *cut == (target, from));
        match self.nodes[target].answer {
            _ if parted => self.later(self.latency, Delivery::Refuse { from, dial }),
            Answer::Accept => self.later(self.latency, accept(false)),
            Answer::AcceptLate(after) => self.later(after, accept(true)),
            Answer::Refuse => self.later(self.latency, Delivery::Refuse { from, dial }),
            Answer::Silence => {}
        }
    }

    pub(crate) fn abandon(&mut self, from: NodeId, dial: DialId) {
        let node = &mut self.nodes[from];
        node.abandoned += 1;
        node.attempts.retain(|(id, _)| *id != dial);
    }

    pub(crate) fn disconnect(&mut self, n: NodeId, assoc: AssocId) {
        self.nodes[n].disconnects += 1;
        if let Some(conn) = self.conn(n, assoc) {
            self.later(self.latency, Delivery::Close { conn });
        }
    }

    pub(super) fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Message { conn, side, bytes } => {
                let End { node, assoc } = self.conns[conn][side];
                if self.conn(node, assoc) != Some(conn) || self.nodes[node].deaf {
                    return;
                }
                if matches!(self.nodes[node].role, Role::Script) {
                    self.nodes[node].inbox.push((assoc, bytes));
                } else {
                    let ppid = self.ppids[conn];
                    let _ = self.input(node, Input::Message { assoc, ppid, bytes: &bytes });
                }
            }
            Delivery::Datagram { from, to, ppid, bytes } => {
                let from = self.nodes[from].address;
                let _ = self.input(to, Input::Datagram { from, ppid, bytes: &bytes });
            }
            Delivery::Accept { from, dial, ppid, to, even_if_abandoned } => {
                let attempts = &mut self.nodes[from].attempts;
                let waiting = attempts.iter().any(|(id, _)| *id == dial);
                attempts.retain(|(id, _)| *id != dial);
                if waiting || even_if_abandoned {
                    self.establish(from, Some(dial), to, ppid);
                }
            }
            Delivery::Refuse { from, dial } => {
                let attempts = &mut self.nodes[from].attempts;
                let waiting = attempts.iter().any(|(id, _)| *id == dial);
                attempts.retain(|(id, _)| *id != dial);
                if waiting {
                    self.input(from, Input::ConnectFailed { dial }).unwrap();
                }
            }
            Delivery::Close { conn } => {
                let ends = self.conns[conn];
                let open: Vec<End> = ends.into_iter().filter(|e| self.conn(e.node, e.assoc) == Some(conn)).collect();
                for end in &open {
                    let slot = &mut self.nodes[end.node].slots[end.assoc.slot as usize];
                    *slot = Slot { generation: slot.generation + 1, conn: None };
                }
                for end in open {
                    let _ = self.input(end.node, Input::Closed { assoc: end.assoc });
                }
            }
        }
    }
}
