//! How peers are found, and which association each of them is spoken to by (RFC 5353, 3.4.1).

use core::net::SocketAddr;

use super::mentor::Session;
use super::peers::{MAX_ADDRESSES, Owed, PeerState};
use super::{PeerView, Registrar, RegistrarEvent};
use crate::arena::Idx;
use crate::bounded;
use crate::{AssocId, Link, RecvError, ServerId};

impl Registrar<'_> {
    /// Adds a peer by configuration: a mentor at the start (RFC 5353, 3.2.2.1), and one that is dialled again and again
    /// afterwards. All addresses are those of one registrar. To add this registrar itself, or one twice, does nothing.
    ///
    /// After a partition registrars find each other by those that are configured, or by multicast: let each know all.
    ///
    /// `false`: there is no room for it, or no address that can be dialled.
    pub fn add_peer(&mut self, link: Link, addresses: &[SocketAddr]) -> bool {
        if self.is_own(link, addresses) {
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

    /// Whether this registrar announces one of these addresses as its own.
    pub(super) fn is_own(&self, link: Link, addresses: &[SocketAddr]) -> bool {
        self.config.enrp.transport.iter().any(|(own, at)| *own == link && addresses.contains(at))
    }

    /// The peers (RFC 5353, 3.4). What they own is in the [`handlespace`](Registrar::handlespace): see
    /// [`Handlespace::owned`](crate::handlespace::Handlespace::owned) and
    /// [`Handlespace::checksum`](crate::handlespace::Handlespace::checksum).
    pub fn peers(&self) -> impl Iterator<Item = PeerView> + '_ {
        self.peers.iter().map(|at| self.peers.view(at))
    }

    /// 3.4.1 and 3.4.3: a message of any kind has come from a peer, known or not.
    pub(super) fn heard(&mut self, assoc: AssocId, sender: ServerId) -> Result<Idx, RecvError> {
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
                if at.is_nil() && self.forget_hearsay() {
                    at = self.new_peer(sender);
                }
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
            // It waits its turn behind those that were known before.
            peer.sync_not_before = now;
            self.start_heartbeat();
            self.wake(now);
        } else {
            info!("no room for another registrar, {}", id);
        }
        at
    }

    /// Forgets a peer that nobody has heard and that owns nothing: anybody can send datagrams in the names of as many as
    /// the peer list holds (RFC 5353, 6.2), and one that is connected comes before them. `false`: there is none.
    fn forget_hearsay(&mut self) -> bool {
        let at = self.peers.position(|peer| {
            let known = peer.configured || peer.assoc.is_some() || peer.state != PeerState::Unheard;
            !known && self.handlespace.owned(peer.id) == 0
        });
        self.forget_peer(at);
        at.is_some()
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
    pub(super) fn attach(&mut self, at: Idx, assoc: AssocId) {
        let peer = self.peers.at_mut(at);
        peer.assoc = Some(assoc);
        let again = peer.was_connected;
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
        peer.dial_failures = 0;
        peer.was_connected |= peer.assoc.is_some();
        let before = core::mem::replace(&mut peer.state, PeerState::Active);
        let id = peer.id;
        if before == PeerState::Unheard {
            info!("registrar {} found", id);
            self.events.push(RegistrarEvent::PeerFound { peer: id });
            self.start_heartbeat();
            if !self.target().is_none() {
                // 3.5.1: it is one more of which an acknowledgement is wanted.
                self.owe(at, Owed::INIT_TAKEOVER);
            }
            self.wake(due);
        }
    }
}
