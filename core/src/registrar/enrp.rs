//! ENRP at work: messages of peers are handed to their procedures, and what is owed to peers is sent. Also the
//! associations with peers, their discovery (RFC 5353, 3.4.1) and the detection of their failure (3.4.3).

use core::net::SocketAddr;
use core::time::Duration;

use super::compat::{Dialect, reveals_rsplib};
use super::mentor::Session;
use super::peers::{MAX_ADDRESSES, Owed, PeerState};
use super::{PeerView, Registrar, RegistrarEvent, Step};
use crate::arena::Idx;
use crate::bounded;
use crate::endpoint::earliest;
use crate::wire::enrp::{InitTakeover, InitTakeoverAck, ListRequest, TakeoverServer};
use crate::wire::{EmitError, EnrpBody, EnrpMessage};
use crate::{AssocId, DialId, Instant, Link, Ppid, RecvError, ServerId};

/// How long after a failed attempt a peer is dialled again, for the first time.
const FIRST_REDIAL: Duration = Duration::from_millis(500);

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
        if self.is_busy() {
            return Err(RecvError::Busy);
        }
        if self.assocs.get(assoc).is_none() {
            return Err(RecvError::UnknownAssoc);
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
                self.table_request(from, message);
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
                self.owe(from, Owed::LIST_RESPONSE);
                Ok(())
            }
            EnrpBody::ListResponse(message) => self.list_response(from, message),
            EnrpBody::InitTakeover(message) => self.init_takeover(from, message.target),
            EnrpBody::InitTakeoverAck(message) => self.init_takeover_ack(from, message.target),
            EnrpBody::TakeoverServer(message) => self.takeover_server(from, message.target),
            EnrpBody::Error(error) => {
                warn!("registrar {} reports an error, cause {}", sender, error.error.code().unwrap_or(0));
                Ok(())
            }
        };
        if !self.report.is_pending() {
            self.report.reports(Ppid::Enrp, assoc, bytes, &parsed.reports);
        }
        done
    }

    /// 3.4.1 and 3.4.3: a message of any kind has come from a peer, known or not.
    fn heard(&mut self, assoc: AssocId, sender: ServerId) -> Result<Idx, RecvError> {
        let speaker = self.assocs.get(assoc).map_or(ServerId::NONE, |slot| slot.server);
        if !speaker.is_none() && speaker != sender {
            // An association speaks for one registrar.
            return Err(RecvError::Unexpected);
        }
        let on = self.peers.on(assoc);
        let mut at = self.peers.find(sender);
        if at.is_nil() && on.is_some() && self.peers.at(on).id.is_none() {
            // The first words of a configured peer.
            self.peers.at_mut(on).id = sender;
            at = on;
        } else {
            if at.is_nil() {
                at = self.new_peer(sender);
                if at.is_nil() {
                    self.close(assoc);
                    return Err(RecvError::Full);
                }
                if on.is_nil() {
                    // "The ENRP server MUST send an ENRP_PRESENCE message with the Reply-required flag set to '1'". One
                    // that was dialled has been sent one.
                    self.owe(at, Owed::PROBE);
                }
            }
            if on.is_some() && on != at {
                self.merge(on, at);
            }
        }
        if let Some(slot) = self.assocs.get_mut(assoc) {
            slot.server = sender;
        }
        if self.peers.at(at).assoc.is_none() {
            self.attach(at, assoc);
        }
        self.alive_peer(at);
        Ok(at)
    }

    /// A peer that was not known; nil: there is no room.
    pub(super) fn new_peer(&mut self, id: ServerId) -> Idx {
        let at = self.peers.add(id);
        if at.is_some() {
            let due = self.now + self.config.enrp.max_time_last_heard;
            let now = self.now;
            let peer = self.peers.at_mut(at);
            peer.due = due;
            peer.dial_at = now;
            self.start_heartbeat();
            self.wake(now);
        } else {
            warn!("no room for another registrar, {}", id);
        }
        at
    }

    /// Elements of a registrar that nobody has told of have come: it is looked after as if it had been heard once.
    pub(super) fn ensure_owner(&mut self, id: ServerId) -> bool {
        id == self.id || self.peers.find(id).is_some() || self.new_peer(id).is_some()
    }

    /// What is dialled as one peer has turned out to be another one, which is known: a configured one that had not spoken,
    /// or one that has a new identifier since its restart.
    pub(super) fn merge(&mut self, dialled: Idx, into: Idx) {
        let old = self.peers.at_mut(dialled);
        let (configured, assoc, dial) = (core::mem::take(&mut old.configured), old.assoc.take(), old.dial.take());
        let (link, addresses) = (old.link, bounded::first::<_, MAX_ADDRESSES>(old.addresses()));
        let nameless = old.id.is_none();
        if configured {
            let peer = self.peers.at_mut(into);
            peer.configured = true;
            peer.set_addresses(link, &addresses);
        }
        self.startup.moved(dialled, into);
        if let Some(dial) = dial {
            self.abandon(dial);
        }
        if nameless {
            self.peers.remove(dialled);
        } else {
            // It is not there any more. What it had is to be taken over.
            self.peers.at_mut(dialled).clear_addresses();
            self.disconnected(dialled);
        }
        if let Some(assoc) = assoc.filter(|_| self.peers.at(into).assoc.is_none()) {
            self.attach(into, assoc);
        }
    }

    /// From now on a peer is sent to by this association.
    fn attach(&mut self, at: Idx, assoc: AssocId) {
        let peer = self.peers.at_mut(at);
        peer.assoc = Some(assoc);
        peer.dial_failures = 0;
        let again = core::mem::replace(&mut peer.was_connected, true);
        if let Some(dial) = peer.dial.take() {
            self.abandon(dial);
        }
        if again {
            // Updates may have been lost, of which the checksum does not tell if they changed no identifiers.
            self.want_sync(at);
        }
        self.wake(self.now);
    }

    /// A peer has opened another association and introduces itself on it. If the one before were good it would not have:
    /// it may have been restarted, with the identifier that it had.
    pub(super) fn reconnected(&mut self, at: Idx, assoc: AssocId) {
        if self.peers.at(at).assoc == Some(assoc) || self.assocs.get(assoc).is_none_or(|slot| slot.dialled) {
            return;
        }
        let peer = self.peers.at_mut(at);
        peer.session = Session::CLOSED;
        peer.assoc = None;
        self.sync_lost(at);
        self.attach(at, assoc);
    }

    /// A peer has given a sign of life.
    pub(super) fn alive_peer(&mut self, at: Idx) {
        if self.is_target(at) {
            // 3.5.1: "MUST immediately stop the takeover process and mark the status of the target server as active".
            self.give_up_takeover();
        }
        let (now, due) = (self.now, self.now + self.config.enrp.max_time_last_heard);
        let peer = self.peers.at_mut(at);
        peer.last_heard = now;
        peer.due = due;
        let before = core::mem::replace(&mut peer.state, PeerState::Active);
        let id = peer.id;
        if before == PeerState::Unheard {
            info!("registrar {} found", id);
            self.events.push(RegistrarEvent::PeerFound { peer: id });
            self.start_heartbeat();
            self.wake(due);
        }
    }

    /// There is no association with a peer any more.
    fn disconnected(&mut self, at: Idx) {
        let until = self.now + self.config.enrp.no_response();
        // Both sides notice, and one of them is enough to dial.
        let pause = if self.id > self.peers.at(at).id { Duration::ZERO } else { FIRST_REDIAL };
        let dial_at = self.now + pause;
        let peer = self.peers.at_mut(at);
        peer.assoc = None;
        peer.dial_at = dial_at;
        for what in [Owed::PRESENCE, Owed::PROBE, Owed::LIST_REQUEST, Owed::LIST_RESPONSE, Owed::TABLE_RESPONSE] {
            peer.owed.remove(what);
        }
        peer.session = Session::CLOSED;
        if peer.state == PeerState::Active {
            // 3.4.3: "If the send fails": it has as long to come back as it would have to answer.
            peer.state = PeerState::Suspected;
            peer.due = until;
        }
        self.sync_lost(at);
        self.mentor_failed(at);
        self.wake(self.now);
    }

    /// A message to a peer could not be delivered.
    pub(super) fn enrp_send_failed(&mut self, assoc: AssocId) {
        let at = self.peers.on(assoc);
        if at.is_some() && self.peers.at(at).state == PeerState::Active {
            let until = self.now + self.config.enrp.no_response();
            let peer = self.peers.at_mut(at);
            peer.state = PeerState::Suspected;
            peer.due = until;
            self.owe(at, Owed::PROBE);
        }
    }

    pub(super) fn enrp_closed(&mut self, assoc: AssocId) {
        let at = self.peers.on(assoc);
        if at.is_some() {
            self.disconnected(at);
        }
        self.claims.closed(assoc);
    }

    /// An association that this registrar has dialled is up.
    pub(super) fn dialled(&mut self, dial: DialId, assoc: AssocId) {
        if self.claim_connected(dial, assoc) {
            return;
        }
        let at = self.peers.position(|peer| peer.dial == Some(dial));
        if at.is_nil() {
            // It was given up.
            return self.close(assoc);
        }
        if let Some(slot) = self.assocs.get_mut(assoc) {
            slot.dialled = true;
        }
        let peer = self.peers.at_mut(at);
        peer.dial = None;
        if peer.assoc.is_some() {
            return self.close(assoc);
        }
        self.attach(at, assoc);
        self.owe(at, Owed::PROBE);
    }

    pub(super) fn connect_failed(&mut self, dial: DialId) {
        self.claim_failed(dial);
        let at = self.peers.position(|peer| peer.dial == Some(dial));
        if at.is_nil() {
            return;
        }
        let longest = if self.peers.at(at).state == PeerState::Suspected {
            self.config.enrp.no_response() / 4
        } else {
            self.config.enrp.peer_heartbeat_cycle
        };
        let now = self.now;
        let peer = self.peers.at_mut(at);
        peer.dial = None;
        let pause = FIRST_REDIAL.saturating_mul(1 << u32::from(peer.dial_failures.min(8))).min(longest);
        peer.dial_at = now + pause.max(Duration::from_millis(10));
        peer.dial_failures = peer.dial_failures.saturating_add(1);
        self.mentor_failed(at);
        self.wake(now);
    }

    /// A peer is no part of the operational scope any more. A configured one is looked for again.
    pub(super) fn forget_peer(&mut self, at: Idx) {
        if at.is_nil() {
            return;
        }
        let peer = self.peers.at(at);
        let (id, configured, known) = (peer.id, peer.configured, peer.state != PeerState::Unheard);
        let (assoc, dial) = (peer.assoc, peer.dial);
        if let Some(assoc) = assoc {
            self.close(assoc);
        }
        if let Some(dial) = dial {
            self.abandon(dial);
        }
        if known {
            self.events.push(RegistrarEvent::PeerRemoved { peer: id });
        }
        self.mentor_failed(at);
        if configured {
            let dial_at = self.now + FIRST_REDIAL;
            self.peers.at_mut(at).forget(dial_at);
            self.wake(dial_at);
        } else {
            self.peers.remove(at);
        }
        // One less to wait for.
        self.takeover_progress();
    }

    /// What is to be done at this instant about the state of a peer (RFC 5353, 3.4.3).
    fn poll_peer_state(&mut self, at: Idx, now: Instant) {
        let peer = self.peers.at(at);
        if peer.session.is_open() && peer.session.until <= now {
            // 3.2.3: "the mentor peer SHOULD abort the session".
            self.peers.at_mut(at).session = Session::CLOSED;
        }
        let peer = self.peers.at(at);
        if peer.due > now || peer.id.is_none() {
            return;
        }
        match peer.state {
            PeerState::Active => {
                let until = now + self.config.enrp.no_response();
                let peer = self.peers.at_mut(at);
                peer.state = PeerState::Suspected;
                peer.due = until;
                self.owe(at, Owed::PROBE);
            }
            PeerState::Dead => self.begin_takeover(at),
            // Nobody else has finished what was announced, or the peer was known by hearsay only.
            PeerState::Suspected | PeerState::BeingTakenOver | PeerState::Unheard => {
                if self.handlespace.owned(peer.id) == 0 && peer.state != PeerState::Suspected {
                    self.forget_peer(at);
                } else {
                    self.peer_is_dead(at);
                    // One less to wait for.
                    self.takeover_progress();
                }
            }
        }
    }

    /// What is to be sent to a peer at this instant, or whether it is to be dialled.
    fn poll_peer(&mut self, at: Idx, now: Instant, buf: &mut [u8]) -> Option<Result<Step, EmitError>> {
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
        self.poll_sync(at, buf).map(|written| written.map(|len| Step::Send(assoc, Ppid::Enrp, len)))
    }

    /// Writes something that is owed to a peer, and says what is settled by it.
    fn pay(&mut self, to: Idx, owed: Owed, buf: &mut [u8]) -> (Result<usize, EmitError>, Owed) {
        let peer = self.peers.at(to);
        let body: EnrpBody<'_> = match owed {
            Owed::INIT_TAKEOVER => InitTakeover { target: self.target() }.into(),
            Owed::INIT_TAKEOVER_ACK => InitTakeoverAck { target: peer.ack_for }.into(),
            Owed::TAKEOVER_SERVER => TakeoverServer { target: peer.taken_over }.into(),
            Owed::LIST_REQUEST => ListRequest.into(),
            Owed::LIST_RESPONSE => return (self.emit_list(to, buf), owed),
            Owed::TABLE_RESPONSE => return (self.emit_table(to, buf), owed),
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

    /// The next thing that is to be done about peers.
    pub(super) fn poll_enrp(&mut self, now: Instant, buf: &mut [u8]) -> Option<Result<Step, EmitError>> {
        while self.enrp_due.is_some_and(|due| due <= now) {
            self.enrp_due = None;
            if let Some(step) = self.enrp_step(now, buf) {
                self.enrp_due = Some(now);
                return Some(step);
            }
            self.enrp_due = earliest(self.enrp_due, self.enrp_deadline());
        }
        None
    }

    fn enrp_step(&mut self, now: Instant, buf: &mut [u8]) -> Option<Result<Step, EmitError>> {
        self.poll_startup(now);
        self.poll_heartbeat(now);
        self.poll_takeover(now);
        if let Some(dial) = self.abandoned.pop() {
            return Some(Ok(Step::Abandon(dial)));
        }
        if let Some((dial, link)) = self.poll_claims(now) {
            return Some(Ok(Step::Connect(dial, link, Ppid::Asap)));
        }
        if let Some(written) = self.emit_channel_presence(buf) {
            return Some(written.map(|len| Step::Announce(Ppid::Enrp, len)));
        }
        let mut at = self.peers.after(Idx::NIL);
        while at.is_some() {
            self.poll_peer_state(at, now);
            if let Some(step) = self.poll_peer(at, now, buf) {
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

    /// Adds a peer by configuration: a mentor at the start (RFC 5353, 3.2.2.1), and one that is dialled again and again
    /// afterwards. All addresses are those of one registrar. To add this registrar itself, or
    /// one twice, does nothing.
    ///
    /// `false`: there is no room for it, or no address that can be dialled.
    pub fn add_peer(&mut self, link: Link, addresses: &[SocketAddr]) -> bool {
        if self.config.enrp.transport.iter().any(|(own, at)| *own == link && addresses.contains(at)) {
            return true;
        }
        let known = self.peers.position(|peer| peer.is_at(link, addresses));
        if known.is_some() {
            self.peers.at_mut(known).configured = true;
            return true;
        }
        let at = self.peers.add(ServerId::NONE);
        if at.is_nil() {
            return false;
        }
        let now = self.now;
        let peer = self.peers.at_mut(at);
        peer.configured = true;
        peer.dial_at = now;
        if !peer.set_addresses(link, addresses) {
            self.peers.remove(at);
            return false;
        }
        self.wake(now);
        true
    }

    /// The peers (RFC 5353, 3.4). What they own is in [`handlespace`](Registrar::handlespace): [`owned`](crate::handlespace::Handlespace::owned)
    /// and [`checksum`](crate::handlespace::Handlespace::checksum) by their identifiers.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> + '_ {
        self.peers.iter().map(|at| self.peers.view(at))
    }
}
