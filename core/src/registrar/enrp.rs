//! ENRP at work: messages of peers are handed to their procedures, and what is owed to peers is sent.

use super::peers::{Owed, PeerState};
use super::rates::Charge;
use super::{Registrar, Step};
use crate::arena::Idx;
use crate::bounded;
use crate::compat::{Dialect, reveals_rsplib};
use crate::endpoint::earliest;
use crate::wire::enrp::{InitTakeover, InitTakeoverAck, ListRequest, TakeoverServer};
use crate::wire::{EmitError, EnrpBody, EnrpMessage};
use crate::{AssocId, DialId, Instant, Ppid, RecvError};

impl Registrar<'_> {
    pub(super) fn dialect(&self, peer: Idx) -> Dialect {
        self.config.enrp.compat.peer(self.peers.at(peer).rsplib)
    }

    /// Something is to be done about peers at this instant.
    pub(super) fn wake(&mut self, at: Instant) {
        self.enrp_due = earliest(self.enrp_due, Some(at));
    }

    pub(super) fn owe(&mut self, to: Idx, what: Owed) {
        self.peers.at_mut(to).owed.add(what);
        self.wake(self.now);
    }

    pub(super) fn next_dial(&mut self) -> DialId {
        self.last_dial = self.last_dial.wrapping_add(1);
        DialId(self.last_dial)
    }

    pub(super) fn abandon(&mut self, dial: DialId) {
        // Where it is forgotten it may succeed; the association is closed then.
        if self.abandoned.try_push(dial).is_err() {
            debug!("more attempts to abandon than are kept");
        }
        self.wake(self.now);
    }

    pub(super) fn enrp_message(&mut self, assoc: AssocId, bytes: &[u8]) -> Result<(), RecvError> {
        match self.assocs.get(assoc) {
            None => return Err(RecvError::UnknownAssoc),
            Some(slot) if slot.asap => return Err(RecvError::Unexpected),
            Some(_) => {}
        }
        let parsed = match EnrpMessage::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                // RFC 5353, 3.7.
                self.report.parse_error(Ppid::Enrp, assoc, bytes, &error);
                return Err(RecvError::Malformed(error.kind));
            }
        };
        let EnrpMessage { sender, receiver, body } = &parsed.message;
        if sender.is_none() {
            return Err(RecvError::Unexpected);
        }
        if *sender == self.id {
            let information = match body {
                EnrpBody::Presence(presence) => presence.server_information.as_ref(),
                _ => None,
            };
            self.own_id_heard(information);
            self.close(assoc);
            return Err(RecvError::Unexpected);
        }
        let from = self.heard(assoc, *sender)?;
        let done = match body {
            EnrpBody::Presence(message) => self.presence(from, assoc, *receiver, message),
            EnrpBody::HandleTableRequest(message) => {
                self.table_request(from, assoc, message);
                Ok(())
            }
            EnrpBody::HandleTableResponse(message) => self.table_response(from, message),
            EnrpBody::HandleUpdate(message) => {
                if reveals_rsplib(self.id, *receiver) {
                    self.peers.at_mut(from).rsplib = true;
                }
                self.handle_update(from, message)
            }
            EnrpBody::ListRequest(_) => {
                let refused = self.over_rate(assoc, Charge::List);
                self.owe(from, if refused { Owed::LIST_REFUSAL } else { Owed::LIST_RESPONSE });
                Ok(())
            }
            EnrpBody::ListResponse(message) => self.list_response(from, message),
            EnrpBody::InitTakeover(message) => self.init_takeover(from, assoc, message.target),
            EnrpBody::InitTakeoverAck(message) => self.init_takeover_ack(from, message.target),
            EnrpBody::TakeoverServer(message) => self.takeover_server(from, assoc, message.target),
            EnrpBody::Error(error) => {
                info!("registrar {} reports an error, cause {}", sender, error.error.code().unwrap_or(0));
                Ok(())
            }
        };
        if !self.report.is_pending() {
            self.report.reports(Ppid::Enrp, assoc, bytes, &parsed.reports);
        }
        done
    }

    /// What is to be sent to a peer at this instant, or whether it is to be dialled.
    /// `turn`: see `next_sync`.
    fn poll_peer(&mut self, at: Idx, turn: Idx, now: Instant, buf: &mut [u8]) -> Option<Result<Step, EmitError>> {
        let peer = self.peers.at(at);
        let dialable = !matches!(peer.state, PeerState::Dead | PeerState::BeingTakenOver);
        if dialable && peer.can_be_dialled() && peer.dial_at <= now {
            let link = peer.link;
            self.targets = bounded::first(peer.addresses());
            let dial = self.next_dial();
            self.peers.at_mut(at).dial = Some(dial);
            return Some(Ok(Step::Connect(dial, link, Ppid::Enrp)));
        }
        let assoc = peer.assoc?;
        while let Some(owed) = self.peers.at(at).owed.first() {
            let (written, paid) = self.pay(at, owed, buf);
            match written {
                Ok(len) => {
                    self.peers.at_mut(at).owed.remove(paid);
                    return Some(Ok(Step::Send(assoc, Ppid::Enrp, len)));
                }
                Err(error @ EmitError::BufferTooSmall { .. }) => return Some(Err(error)),
                Err(EmitError::TooLong) => self.peers.at_mut(at).owed.remove(paid),
            }
        }
        self.poll_sync(at, turn, buf).map(|written| written.map(|len| Step::Send(assoc, Ppid::Enrp, len)))
    }

    /// Writes something that is owed to a peer, and says what is settled by it.
    pub(super) fn pay(&mut self, to: Idx, owed: Owed, buf: &mut [u8]) -> (Result<usize, EmitError>, Owed) {
        let peer = self.peers.at(to);
        let body: EnrpBody<'_> = match owed {
            Owed::INIT_TAKEOVER => InitTakeover { target: self.target() }.into(),
            Owed::INIT_TAKEOVER_ACK => InitTakeoverAck { target: peer.ack_for }.into(),
            Owed::TAKEOVER_SERVER => TakeoverServer { target: peer.taken_over }.into(),
            Owed::LIST_REQUEST => ListRequest.into(),
            Owed::LIST_RESPONSE => return (self.emit_list(to, buf), owed),
            Owed::LIST_REFUSAL => return (self.refuse_list(to, buf), owed),
            Owed::TABLE_RESPONSE => return (self.emit_table(to, buf), owed),
            Owed::TABLE_REFUSAL => return (self.refuse_table(to, buf), owed),
            _ => {
                // A presence that wants a reply is a reply as well.
                let mut both = Owed::PRESENCE;
                both.add(Owed::PROBE);
                let probe = peer.owed.contains(Owed::PROBE);
                return (self.emit_presence(to, probe, buf), both);
            }
        };
        (EnrpMessage { sender: self.id, receiver: peer.id, body }.emit(buf).map(<[u8]>::len), owed)
    }

    /// What time has changed: answers that did not come, peers that were silent, attempts that took too long. Nothing is
    /// said here, so that all of it is known before anything is.
    pub(super) fn take_stock(&mut self, now: Instant) {
        self.poll_startup(now);
        self.poll_heartbeat(now);
        self.poll_takeover(now);
        self.expire_claims(now);
        let mut at = self.peers.after(Idx::NIL);
        while at.is_some() {
            self.expire_sync(at, now);
            self.poll_peer_state(at, now);
            at = self.peers.after(at);
        }
    }

    /// The next thing that is to be said to peers, or to be dialled.
    pub(super) fn poll_enrp(&mut self, now: Instant, buf: &mut [u8]) -> Option<Result<Step, EmitError>> {
        if self.enrp_due.is_none_or(|due| due > now) {
            return None;
        }
        self.enrp_due = None;
        if let Some(step) = self.enrp_step(now, buf) {
            self.enrp_due = Some(now);
            return Some(step);
        }
        self.enrp_due = earliest(self.enrp_due, self.enrp_deadline());
        None
    }

    fn enrp_step(&mut self, now: Instant, buf: &mut [u8]) -> Option<Result<Step, EmitError>> {
        if let Some((dial, link)) = self.poll_claims() {
            return Some(Ok(Step::Connect(dial, link, Ppid::Asap)));
        }
        if let Some(written) = self.emit_channel_presence(buf) {
            return Some(written.map(|len| Step::Announce(Ppid::Enrp, len)));
        }
        let turn = self.next_sync();
        let mut at = self.peers.after(Idx::NIL);
        while at.is_some() {
            if let Some(step) = self.poll_peer(at, turn, now, buf) {
                return Some(step);
            }
            at = self.peers.after(at);
        }
        self.poll_leave(now, buf).map(|written| written.map(|(to, len)| Step::Send(to, Ppid::Enrp, len)))
    }

    /// When something is to be done next, if nothing happens before.
    fn enrp_deadline(&self) -> Option<Instant> {
        let mut next = earliest(self.startup.deadline(), self.heartbeat.deadline());
        next = earliest(next, self.takeover_deadline());
        next = earliest(next, self.leave.until());
        next = earliest(next, self.claims.deadline());
        for at in self.peers.iter() {
            let peer = self.peers.at(at);
            if !peer.id.is_none() {
                next = earliest(next, Some(peer.due));
            }
            if peer.can_be_dialled() && !matches!(peer.state, PeerState::Dead | PeerState::BeingTakenOver) {
                next = earliest(next, Some(peer.dial_at));
            }
            if peer.session.is_open() {
                next = earliest(next, Some(peer.session.until));
            }
            next = earliest(next, self.sync_deadline(at));
        }
        next.filter(|at| *at < Instant::MAX)
    }
}
