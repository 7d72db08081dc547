//! Taking over a failed peer (RFC 5353, 3.5).

use super::peers::{Owed, PeerState};
use super::rates::Charge;
use super::{Registrar, RegistrarEvent};
use crate::arena::Idx;
use crate::handlespace::WatchState;
use crate::wire::EmitError;
use crate::{AssocId, Instant, RecvError, ServerId};

/// How often the time for acknowledgements doubles.
const MAX_BACKOFF: u32 = 4;

/// The takeover that this registrar is trying. Others that are due wait until it is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Takeover {
    target: ServerId,
    /// When to stop waiting for acknowledgements and ask again.
    until: Instant,
    attempts: u32,
}

impl Registrar<'_> {
    pub(super) fn takeover_deadline(&self) -> Option<Instant> {
        self.takeover.map(|takeover| takeover.until)
    }

    /// RFC 5353, 3.4.3: a peer counts as dead.
    pub(super) fn peer_is_dead(&mut self, at: Idx) {
        let id = self.peers.at(at).id;
        if id.is_none() {
            return;
        }
        warn!("registrar {} does not answer", id);
        self.events.push(RegistrarEvent::PeerDead { peer: id });
        // All peers notice at about the same time; one that is a little earlier spares the others the arbitration.
        let delay = self.rng.part(self.config.enrp.no_response(), 10);
        let due = self.now + delay;
        let peer = self.peers.at_mut(at);
        peer.state = PeerState::Dead;
        peer.due = due;
        self.wake(due);
    }

    /// 3.5.1: announces the takeover of a dead peer, if it leaves anything behind and no other takeover is under way.
    pub(super) fn begin_takeover(&mut self, target: Idx) {
        let id = self.peers.at(target).id;
        if self.handlespace.owned(id) == 0 {
            self.forget_peer(target);
            return;
        }
        if self.takeover.is_some() || !self.startup.is_serving() {
            self.peers.at_mut(target).due = self.now + self.config.enrp.no_response();
            return;
        }
        info!("taking over registrar {}", id);
        self.events.push(RegistrarEvent::TakeoverBegun { target: id });
        self.stats.takeovers_begun = self.stats.takeovers_begun.wrapping_add(1);
        self.peers.at_mut(target).due = Instant::MAX;
        self.takeover = Some(Takeover { target: id, until: self.now, attempts: 0 });
        self.peers.for_each(|_, peer| peer.acked = false);
        self.ask_for_acknowledgements();
        self.takeover_progress();
    }

    fn ask_for_acknowledgements(&mut self) {
        let Some(takeover) = &mut self.takeover else { return };
        let wait = self.config.enrp.no_response();
        takeover.until = self.now + wait.saturating_mul(1 << takeover.attempts.min(MAX_BACKOFF));
        takeover.attempts = takeover.attempts.saturating_add(1);
        let target = takeover.target;
        let again = takeover.attempts > 1;
        let (now, until) = (self.now, self.now + wait);
        // "group-casting to all known peers, including the target server".
        self.peers.for_each(|_, peer| {
            if peer.id.is_none() || peer.acked || !(peer.lives() || peer.id == target) {
                return;
            }
            peer.owed.add(Owed::INIT_TAKEOVER);
            // MAX-TIME-NO-RESPONSE is over for a peer that has not acknowledged: it may be dead itself.
            if again && peer.id != target && peer.state == PeerState::Active {
                peer.state = PeerState::Suspected;
                peer.due = until;
                peer.owed.add(Owed::PROBE);
            }
        });
        self.wake(now);
    }

    /// Acknowledgements that do not come are asked for again, with growing patience.
    pub(super) fn poll_takeover(&mut self, now: Instant) {
        if self.takeover.is_some_and(|takeover| takeover.until <= now) {
            self.ask_for_acknowledgements();
        }
    }

    /// 3.5.1: "Once the initiating server has received the ENRP_INIT_TAKEOVER_ACK message from all of its currently known
    /// peers (except for the target server), it MUST consider that it has won the arbitration". Called whenever one has
    /// come, or one that was awaited counts as dead.
    pub(super) fn takeover_progress(&mut self) {
        let Some(takeover) = self.takeover else { return };
        let target = takeover.target;
        if self.peers.any(|peer| peer.lives() && peer.id != target && !peer.acked) {
            return;
        }
        self.takeover = None;
        self.peers.for_each(|_, peer| peer.owed.remove(Owed::INIT_TAKEOVER));
        self.take_over(target);
    }

    /// 3.5.2.
    fn take_over(&mut self, target: ServerId) {
        self.peers.for_each(|_, peer| {
            if peer.id != target && peer.lives() {
                peer.taken_over = target;
                peer.owed.add(Owed::TAKEOVER_SERVER);
            }
        });
        self.takeover_untold = true;
        let by = self.id;
        let elements = self.give_to(target, by);
        info!("registrar {} is taken over, with {} elements", target, elements);
        self.stats.takeovers = self.stats.takeovers.wrapping_add(1);
        self.events.push(RegistrarEvent::TakenOver { target, by, elements });
        self.forget_peer(self.peers.find(target));
        self.wake(self.now);
    }

    /// 3.5.2: "MUST first send ... an ENRP_TAKEOVER_SERVER": before anything that comes of the elements, which the peers would
    /// not understand.
    pub(super) fn poll_takeover_server(&mut self, buf: &mut [u8]) -> Option<Result<(AssocId, usize), EmitError>> {
        if !self.takeover_untold {
            return None;
        }
        let to = self.peers.position(|peer| peer.assoc.is_some() && peer.owed.contains(Owed::TAKEOVER_SERVER));
        let Some(assoc) = self.peers.at(to).assoc else {
            self.takeover_untold = false;
            return None;
        };
        let (written, paid) = self.pay(to, Owed::TAKEOVER_SERVER, buf);
        if !matches!(written, Err(EmitError::BufferTooSmall { .. })) {
            self.peers.at_mut(to).owed.remove(paid);
        }
        Some(written.map(|len| (assoc, len)))
    }

    /// All elements of one registrar get another home. Says how many.
    fn give_to(&mut self, from: ServerId, to: ServerId) -> u32 {
        let mut moved = 0u32;
        while let Some(element) = self.handlespace.next_owned(from, None) {
            if self.handlespace.set_home(element, to).is_err() {
                // There is no room for one more owner, which cannot be: the old one's place becomes free.
                break;
            }
            moved = moved.saturating_add(1);
            if to == self.id {
                // Step 2: the element is asked to adopt this registrar. It may have tried to renew its registration with the
                // dead one, so that this must not be over before it can answer.
                let now = self.now;
                self.handlespace.renew(now, element);
                self.watch(element, WatchState::Claimed, now);
            } else {
                self.watch_as_foreign(element);
            }
            if let Some(pool) = self.pool_of(element) {
                self.pool_changed(pool);
            }
        }
        moved
    }

    /// ENRP_INIT_TAKEOVER: a peer wants to take over a third registrar, or this one.
    pub(super) fn init_takeover(&mut self, from: Idx, assoc: AssocId, target: ServerId) -> Result<(), RecvError> {
        let initiator = self.peers.at(from).id;
        if target == self.id {
            if self.over_rate(assoc, Charge::Presence) {
                return Ok(());
            }
            // Rule 1: "it MUST immediately announce an ENRP_PRESENCE message to all its peer ENRP servers".
            info!("{} takes this registrar for dead", initiator);
            self.announce_presence();
            return Ok(());
        }
        if target == initiator || target.is_none() {
            return Err(RecvError::Unexpected);
        }
        if self.takeover.is_some_and(|takeover| takeover.target == target) {
            let rsplib = self.peers.any(|peer| peer.rsplib);
            let group = self.config.enrp.compat.group(rsplib);
            if !group.first_yields(self.id, initiator) {
                // Rule 2B: "the peer MUST ignore the ENRP_INIT_TAKEOVER message".
                return Ok(());
            }
            // Rule 2A.
            self.give_up_takeover();
        }
        // Rules 2A and 3. Who acknowledges and then hears no more takes up the matter again after a while: the initiator
        // may have died over it.
        let patience = self.now + self.config.enrp.max_time_last_heard;
        let at = self.peers.find(target);
        if at.is_some() {
            let peer = self.peers.at_mut(at);
            peer.state = PeerState::BeingTakenOver;
            peer.due = patience;
            self.wake(patience);
        }
        self.peers.at_mut(from).ack_for = target;
        self.owe(from, Owed::INIT_TAKEOVER_ACK);
        // One less to wait for, in a takeover of somebody else.
        self.takeover_progress();
        Ok(())
    }

    /// ENRP_INIT_TAKEOVER_ACK.
    pub(super) fn init_takeover_ack(&mut self, from: Idx, target: ServerId) -> Result<(), RecvError> {
        if self.takeover.is_none_or(|takeover| takeover.target != target) {
            return Err(RecvError::Unexpected);
        }
        self.peers.at_mut(from).acked = true;
        self.takeover_progress();
        Ok(())
    }

    /// ENRP_TAKEOVER_SERVER: a peer has taken over a third registrar (3.5.2), or this one.
    pub(super) fn takeover_server(&mut self, from: Idx, assoc: AssocId, target: ServerId) -> Result<(), RecvError> {
        let by = self.peers.at(from).id;
        if target == self.id {
            if self.over_rate(assoc, Charge::Presence) {
                return Ok(());
            }
            // It is a mistake, which the presences tell; the elements themselves know whose they are.
            warn!("{} has taken over this registrar", by);
            self.announce_presence();
            return Ok(());
        }
        if target == by || target.is_none() {
            return Err(RecvError::Unexpected);
        }
        if self.takeover.is_some_and(|takeover| takeover.target == target) {
            self.give_up_takeover();
        }
        let elements = self.give_to(target, by);
        info!("registrar {} is taken over by {}, with {} elements", target, by, elements);
        self.events.push(RegistrarEvent::TakenOver { target, by, elements });
        self.forget_peer(self.peers.find(target));
        Ok(())
    }

    /// The target speaks (3.5.1: "MUST immediately stop the takeover process"), or another registrar has precedence.
    pub(super) fn give_up_takeover(&mut self) {
        let Some(takeover) = self.takeover.take() else { return };
        self.peers.for_each(|_, peer| peer.owed.remove(Owed::INIT_TAKEOVER));
        info!("not taking over registrar {}", takeover.target);
        self.events.push(RegistrarEvent::TakeoverGivenUp { target: takeover.target });
        self.wake(self.now);
    }

    /// Whether this peer is the target of the takeover that is under way.
    pub(super) fn is_target(&self, at: Idx) -> bool {
        self.takeover.is_some_and(|takeover| takeover.target == self.peers.at(at).id)
    }

    /// The target of the takeover that is under way.
    pub(super) fn target(&self) -> ServerId {
        self.takeover.map_or(ServerId::NONE, |takeover| takeover.target)
    }
}
