//! ENRP_PRESENCE (RFC 5353, 2.1, 3.4 and 3.6.1): how registrars show that they are there, and where, and find each other.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use arrayvec::ArrayVec;

use super::peers::{Owed, PeerState, addresses_of};
use super::rates::Charge;
use super::{Registrar, RegistrarEvent};
use crate::arena::Idx;
use crate::bounded;
use crate::compat::reveals_rsplib;
use crate::wire::enrp::Presence;
use crate::wire::{EmitError, EnrpBody, EnrpMessage, ServerInformation, Transport};
use crate::{AssocId, Instant, Link, RecvError, ServerId};

/// When presences are due, and what else is known of the multicast channel.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    due: Option<Instant>,
    /// A presence is to be sent to the channel.
    channel: bool,
    /// No second report of a duplicate identifier before.
    duplicate_not_before: Instant,
}

impl Heartbeat {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }
}

impl Registrar<'_> {
    /// RFC 5353, 3.4.2: presences begin with the first peer, or at once where they go to the multicast channel.
    pub(super) fn start_heartbeat(&mut self) {
        if self.heartbeat.due.is_none() {
            self.next_heartbeat();
        }
    }

    fn next_heartbeat(&mut self) {
        let rsplib = self.peers.any(|peer| peer.rsplib);
        let cycle = self.config.enrp.compat.group(rsplib).heartbeat(self.config.enrp.peer_heartbeat_cycle);
        // Registrars that were started together shall not send together. Never later than the cycle, for which peers wait
        // twice, and a second (3.4.3 and 4.2).
        let cycle = cycle.max(Duration::from_millis(1));
        let due = self.now + self.rng.shortened(cycle, 10);
        self.heartbeat.due = Some(due);
        self.wake(due);
    }

    /// A presence to every peer, now (3.4.2; 3.5.1, 1).
    pub(super) fn announce_presence(&mut self) {
        self.peers.for_each(|_, peer| {
            if peer.assoc.is_some() {
                peer.owed.add(Owed::PRESENCE);
            }
        });
        self.heartbeat.channel = self.config.enrp.multicast;
        self.wake(self.now);
    }

    pub(super) fn poll_heartbeat(&mut self, now: Instant) {
        if self.heartbeat.due.is_some_and(|due| due <= now) {
            self.announce_presence();
            self.next_heartbeat();
        }
    }

    /// The presence for the multicast channel, if one is due.
    pub(super) fn emit_channel_presence(&mut self, buf: &mut [u8]) -> Option<Result<usize, EmitError>> {
        if !self.heartbeat.channel {
            return None;
        }
        let written = self.write_presence(ServerId::NONE, false, buf);
        if !matches!(written, Err(EmitError::BufferTooSmall { .. })) {
            self.heartbeat.channel = false;
        }
        Some(written)
    }

    /// A presence to a peer. Its receiver's identifier stays 0, which 2.1 allows: so a registrar that puts one in shows
    /// that it is another implementation.
    pub(super) fn emit_presence(&mut self, to: Idx, reply_required: bool, buf: &mut [u8]) -> Result<usize, EmitError> {
        let peer = self.peers.at(to);
        let receiver = self.dialect(to).announced_to(peer.id);
        let written = self.write_presence(receiver, reply_required, buf);
        self.stats.presences = self.stats.presences.wrapping_add(u64::from(written.is_ok()));
        written
    }

    fn write_presence(&self, receiver: ServerId, reply_required: bool, buf: &mut [u8]) -> Result<usize, EmitError> {
        let own = &self.config.enrp.transport;
        let ips: ArrayVec<IpAddr, { super::MAX_ANNOUNCED }> = bounded::first(own.iter().map(|(_, at)| at.ip()));
        let transport = own.first().map(|(link, at)| match link {
            Link::Sctp => Transport::sctp(at.port(), &ips),
            Link::Tcp => Transport::Tcp(*at),
        });
        let body = Presence {
            reply_required,
            // 3.6.1, step 2.
            checksum: Some(self.handlespace.checksum(self.id)),
            server_information: transport.map(|transport| ServerInformation { id: self.id, transport }),
        };
        EnrpMessage { sender: self.id, receiver, body: body.into() }.emit(buf).map(<[u8]>::len)
    }

    /// A presence of a peer, over an association.
    pub(super) fn presence(
        &mut self,
        from: Idx,
        assoc: AssocId,
        receiver: ServerId,
        message: &Presence<'_>,
    ) -> Result<(), RecvError> {
        if !message.reply_required && reveals_rsplib(self.id, receiver) {
            self.peers.at_mut(from).rsplib = true;
        }
        if let Some(information) = &message.server_information {
            let from_ip = self.assocs.get(assoc).and_then(|slot| slot.first_address());
            self.learn_address(from, information, from_ip);
        }
        if message.reply_required && !self.over_rate(assoc, Charge::Presence) {
            self.reconnected(from, assoc);
            self.owe(from, Owed::PRESENCE);
        }
        // What came by multicast may be older or newer than the updates; over an association they come in order.
        if let Some(checksum) = message.checksum {
            self.audit(from, checksum);
        }
        self.mentor_heard(from);
        Ok(())
    }

    fn learn_address(&mut self, from: Idx, information: &ServerInformation<'_>, from_ip: Option<IpAddr>) {
        if information.id != self.peers.at(from).id {
            return;
        }
        let Some((link, addresses)) = addresses_of(&information.transport, from_ip) else { return };
        if self.is_own(link, &addresses) {
            return;
        }
        // A configured peer that was not known to be this one.
        let same = self.peers.position(|peer| peer.configured && peer.id.is_none() && peer.is_at(link, &addresses));
        if same.is_some() {
            self.merge(same, from);
        }
        let peer = self.peers.at_mut(from);
        if !peer.configured {
            peer.set_addresses(link, &addresses);
        }
    }

    /// A datagram of the multicast channel. Its source proves nothing (RFC 5353, 6.2), so it is taken as a hint where a
    /// peer may be, and as a sign of life of one that is known.
    pub(super) fn enrp_datagram(&mut self, from: SocketAddr, bytes: &[u8]) -> Result<(), RecvError> {
        if !self.config.enrp.multicast {
            return Err(RecvError::Unexpected);
        }
        let message = EnrpMessage::parse(bytes).map_err(|error| RecvError::Malformed(error.kind))?.message;
        let EnrpBody::Presence(presence) = &message.body else { return Err(RecvError::Unexpected) };
        if message.sender.is_none() {
            return Err(RecvError::Unexpected);
        }
        if message.sender == self.id {
            self.own_id_heard(presence.server_information.as_ref());
            return Ok(());
        }
        let found = self.peers.find(message.sender);
        let at = if found.is_some() { found } else { self.new_peer(message.sender) };
        if at.is_nil() {
            return Err(RecvError::Full);
        }
        if let Some(information) = &presence.server_information {
            self.learn_address(at, information, Some(from.ip()));
        }
        if self.peers.at(at).state == PeerState::Active {
            self.alive_peer(at);
        }
        Ok(())
    }

    /// Somebody uses this registrar's identifier: itself, over a loop, or another one (RFC 5353, 3.2.1).
    pub(super) fn own_id_heard(&mut self, information: Option<&ServerInformation<'_>>) {
        let own = self.config.enrp.transport.first();
        let same = information.and_then(|information| information.transport.socket_addrs().next())
            == own.map(|(_, address)| *address);
        if same || self.now < self.heartbeat.duplicate_not_before {
            return;
        }
        self.heartbeat.duplicate_not_before = self.now + self.config.enrp.peer_heartbeat_cycle;
        warn!("another registrar has the identifier {}", self.id);
        self.events.push(RegistrarEvent::DuplicateId);
    }
}
