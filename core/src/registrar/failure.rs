//! How it is found out that a peer has failed (RFC 5353, 3.4.3): silence, lost associations, attempts to dial it.

use core::time::Duration;

use super::mentor::Session;
use super::peers::{Owed, PeerState};
use super::{Registrar, RegistrarEvent};
use crate::arena::Idx;
use crate::{AssocId, DialId, Instant};

/// How long after a failed attempt a peer is dialled again, for the first time.
const FIRST_REDIAL: Duration = Duration::from_millis(500);

impl Registrar<'_> {
    /// There is no association with a peer any more.
    pub(super) fn disconnected(&mut self, at: Idx) {
        let until = self.now + self.config.enrp.no_response();
        let assoc = self.peers.at_mut(at).assoc.take();
        let silent = assoc.and_then(|assoc| self.assocs.get(assoc)).is_some_and(|slot| slot.server.is_none());
        if silent {
            // Nothing was heard on it: that is no better than one that could not be opened.
            self.dial_later(at);
        } else {
            // Both sides notice, and one of them is enough to dial.
            let pause = if self.id > self.peers.at(at).id { Duration::ZERO } else { FIRST_REDIAL };
            self.peers.at_mut(at).dial_at = self.now + pause;
        }
        let peer = self.peers.at_mut(at);
        let answers = [Owed::LIST_RESPONSE, Owed::LIST_REFUSAL, Owed::TABLE_RESPONSE, Owed::TABLE_REFUSAL];
        for what in [Owed::PRESENCE, Owed::PROBE, Owed::LIST_REQUEST].into_iter().chain(answers) {
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
        self.peers.at_mut(at).dial = None;
        self.dial_later(at);
        self.mentor_failed(at);
    }

    /// A peer could not be reached. It is dialled again after a while, each time a longer one; while it is to be found out
    /// whether it is dead, there is not so much time.
    fn dial_later(&mut self, at: Idx) {
        let longest = if self.peers.at(at).state == PeerState::Suspected {
            self.config.enrp.no_response() / 4
        } else {
            self.config.enrp.peer_heartbeat_cycle
        };
        let now = self.now;
        let peer = self.peers.at_mut(at);
        let pause = FIRST_REDIAL.saturating_mul(1 << u32::from(peer.dial_failures.min(8))).min(longest);
        peer.dial_at = now + pause.max(Duration::from_millis(10));
        peer.dial_failures = peer.dial_failures.saturating_add(1);
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
    pub(super) fn poll_peer_state(&mut self, at: Idx, now: Instant) {
        let peer = self.peers.at(at);
        if peer.session.is_open() && peer.session.until <= now {
            // 3.2.3: "the mentor peer SHOULD abort the session".
            self.peers.at_mut(at).session = Session::CLOSED;
        }
        let peer = self.peers.at(at);
        if peer.due > now || peer.id.is_none() {
            return;
        }
        if peer.state == PeerState::Suspected && now < self.patience {
            self.peers.at_mut(at).due = self.patience;
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
}
