//! The peer list (RFC 5353, 3.4): the other registrars, how they are reached and how they stand.

use core::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;

use super::audit::Sync;
use super::mentor::Session;
use crate::arena::{Arena, Idx, Slot};
use crate::bounded;
use crate::wire::{Transport, TransportKind};
use crate::{AssocId, DialId, Instant, Link, ServerId};

/// How many addresses of a peer are kept.
pub(super) const MAX_ADDRESSES: usize = 4;

/// How a peer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PeerState {
    /// It is known by configuration, by a list or by multicast, and has not spoken yet.
    #[default]
    Unheard,
    /// It lives.
    Active,
    /// It was silent for too long, or its association is lost: it is being asked whether it lives (RFC 5353, 3.4.3).
    Suspected,
    /// It did not answer: it is to be taken over.
    Dead,
    /// Another registrar has announced that it takes this one over (RFC 5353, 3.5.1: "not active").
    BeingTakenOver,
}

impl PeerState {
    /// The state in a few words.
    pub const fn text(self) -> &'static str {
        match self {
            PeerState::Unheard => "not heard yet",
            PeerState::Active => "active",
            PeerState::Suspected => "suspected",
            PeerState::Dead => "dead",
            PeerState::BeingTakenOver => "being taken over",
        }
    }
}

/// A peer, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct PeerView {
    /// Its identifier; [`ServerId::NONE`] as long as it has not spoken.
    pub id: ServerId,
    /// How it stands.
    pub state: PeerState,
    /// By what it is reached.
    pub link: Link,
    /// Where it is reached: its first address, if one is known.
    pub address: Option<SocketAddr>,
    /// Whether it was added by [`add_peer`](super::Registrar::add_peer).
    pub configured: bool,
    /// Whether there is an association with it.
    pub connected: bool,
    /// Whether it has shown that it is rsplib (see [`Compat::Auto`](crate::Compat::Auto)).
    pub rsplib: bool,
    /// peer_last_heard (RFC 5353, 4.1); `None`: never.
    pub last_heard: Option<Instant>,
}

/// What is to be sent to a peer. The bytes are made when it is polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owed(u16);

impl Owed {
    pub(super) const INIT_TAKEOVER: Owed = Owed(1);
    /// Of which takeover is in [`PeerSlot::ack_for`].
    pub(super) const INIT_TAKEOVER_ACK: Owed = Owed(2);
    /// Of whom is in [`PeerSlot::taken_over`].
    pub(super) const TAKEOVER_SERVER: Owed = Owed(4);
    pub(super) const PRESENCE: Owed = Owed(8);
    /// With "reply required".
    pub(super) const PROBE: Owed = Owed(16);
    pub(super) const LIST_REQUEST: Owed = Owed(32);
    pub(super) const LIST_RESPONSE: Owed = Owed(64);
    pub(super) const TABLE_RESPONSE: Owed = Owed(128);
    /// It has asked too often.
    pub(super) const LIST_REFUSAL: Owed = Owed(256);
    pub(super) const TABLE_REFUSAL: Owed = Owed(512);

    pub(super) const fn contains(self, what: Owed) -> bool {
        self.0 & what.0 != 0
    }

    pub(super) fn add(&mut self, what: Owed) {
        self.0 |= what.0;
    }

    pub(super) fn remove(&mut self, what: Owed) {
        self.0 &= !what.0;
    }

    /// The one that goes first: announcements about takeovers stand before the presences whose checksums they explain.
    pub(super) fn first(self) -> Option<Owed> {
        (self.0 != 0).then(|| Owed(self.0 & self.0.wrapping_neg()))
    }
}

/// A place for a peer.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerSlot {
    next_free: Idx,
    /// [`ServerId::NONE`] for a configured one that has not spoken yet.
    pub(super) id: ServerId,
    in_use: bool,
    pub(super) configured: bool,
    pub(super) rsplib: bool,
    pub(super) state: PeerState,
    pub(super) link: Link,
    port: u16,
    addresses: ArrayVec<IpAddr, MAX_ADDRESSES>,
    /// What is sent to it goes here. It may speak on others as well.
    pub(super) assoc: Option<AssocId>,
    /// It has spoken on an association before: with another one, updates may have been missed.
    pub(super) was_connected: bool,
    pub(super) dial: Option<DialId>,
    /// Not to be dialled before.
    pub(super) dial_at: Instant,
    /// Attempts in a row that failed.
    pub(super) dial_failures: u8,
    /// It was asked to be the mentor in this round and could or would not (RFC 5353, 3.2.2).
    pub(super) tried: bool,
    /// peer_last_heard (RFC 5353, 4.1).
    pub(super) last_heard: Instant,
    /// When its state is to be looked at; what then comes depends on the state.
    pub(super) due: Instant,
    pub(super) owed: Owed,
    pub(super) ack_for: ServerId,
    pub(super) taken_over: ServerId,
    /// It has acknowledged the takeover that is under way.
    pub(super) acked: bool,
    pub(super) session: Session,
    pub(super) sync: Sync,
    /// No re-synchronisation before.
    pub(super) sync_not_before: Instant,
    /// When the transfer is given up if it brings nothing new before.
    pub(super) sync_stale_at: Instant,
}

impl PeerSlot {
    pub(crate) const EMPTY: PeerSlot = PeerSlot {
        next_free: Idx::NIL,
        id: ServerId::NONE,
        in_use: false,
        configured: false,
        rsplib: false,
        state: PeerState::Unheard,
        link: Link::Sctp,
        port: 0,
        addresses: ArrayVec::new_const(),
        assoc: None,
        was_connected: false,
        dial: None,
        dial_at: Instant::ZERO,
        dial_failures: 0,
        tried: false,
        last_heard: Instant::ZERO,
        due: Instant::ZERO,
        owed: Owed(0),
        ack_for: ServerId::NONE,
        taken_over: ServerId::NONE,
        acked: false,
        session: Session::CLOSED,
        sync: Sync::Idle,
        sync_not_before: Instant::ZERO,
        sync_stale_at: Instant::ZERO,
    };

    /// Whether it counts among the peers that live (RFC 5353, 3.5.1: "its currently known peers").
    pub(super) fn lives(&self) -> bool {
        matches!(self.state, PeerState::Active | PeerState::Suspected)
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.addresses.iter().map(|ip| SocketAddr::new(*ip, self.port))
    }

    pub(super) fn can_be_dialled(&self) -> bool {
        self.assoc.is_none() && self.dial.is_none() && !self.addresses.is_empty()
    }

    /// Its Server Information's transport, if it is known where it is.
    pub(super) fn transport(&self) -> Option<Transport<'_>> {
        let first = self.addresses.first()?;
        Some(match self.link {
            Link::Sctp => Transport::sctp(self.port, &self.addresses),
            Link::Tcp => Transport::Tcp(SocketAddr::new(*first, self.port)),
        })
    }

    /// Puts addresses in, all with the first one's port. Says whether there is one.
    pub(super) fn set_addresses(&mut self, link: Link, addresses: &[SocketAddr]) -> bool {
        let usable = |at: &&SocketAddr| at.port() != 0 && !at.ip().is_unspecified() && !at.ip().is_multicast();
        let Some(first) = addresses.iter().find(usable) else { return false };
        self.link = link;
        self.port = first.port();
        self.addresses = bounded::first(addresses.iter().filter(usable).map(SocketAddr::ip));
        true
    }

    pub(super) fn clear_addresses(&mut self) {
        self.addresses.clear();
    }

    /// Back to a configured peer that has not spoken yet, to be dialled again from then on.
    pub(super) fn forget(&mut self, dial_at: Instant) {
        let PeerSlot { next_free, link, port, .. } = *self;
        let addresses = core::mem::take(&mut self.addresses);
        *self =
            PeerSlot { next_free, in_use: true, configured: true, link, port, addresses, dial_at, ..PeerSlot::EMPTY };
    }

    /// This registrar stood still: what the peer owns is to be read anew.
    pub(super) fn stood_still(&mut self) {
        if self.was_connected && self.sync == Sync::Idle {
            self.sync = Sync::Wanted;
        }
    }

    pub(super) fn is_at(&self, link: Link, addresses: &[SocketAddr]) -> bool {
        self.link == link && self.addresses().any(|own| addresses.contains(&own))
    }
}

impl Slot for PeerSlot {
    fn next_free(&self) -> Idx {
        self.next_free
    }
    fn set_next_free(&mut self, next: Idx) {
        self.next_free = next;
    }
}

/// All peers. There are few of them, so they are gone through to find one.
pub(super) struct Peers<'s>(Arena<'s, PeerSlot>);

impl<'s> Peers<'s> {
    pub(super) fn lent(slots: &'s mut [PeerSlot]) -> Self {
        Peers(Arena::lent(slots))
    }

    #[cfg(feature = "alloc")]
    pub(super) fn growable(limit: u32) -> Self {
        Peers(Arena::growable(limit))
    }

    pub(super) fn at(&self, at: Idx) -> &PeerSlot {
        self.0.at(at)
    }

    pub(super) fn at_mut(&mut self, at: Idx) -> &mut PeerSlot {
        self.0.at_mut(at)
    }

    /// The first peer after `at` that there is, the first one of all for nil; nil at the end.
    pub(super) fn after(&self, at: Idx) -> Idx {
        let mut at = at;
        while let Some(next) = self.0.after(at) {
            at = next;
            if self.0.at(at).in_use {
                return at;
            }
        }
        Idx::NIL
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Idx> + use<'_, 's> {
        let mut at = Idx::NIL;
        core::iter::from_fn(move || {
            at = self.after(at);
            at.is_some().then_some(at)
        })
    }

    /// Does something to each.
    pub(super) fn for_each(&mut self, mut what: impl FnMut(Idx, &mut PeerSlot)) {
        let mut at = self.after(Idx::NIL);
        while at.is_some() {
            what(at, self.0.at_mut(at));
            at = self.after(at);
        }
    }

    pub(super) fn position(&self, wanted: impl Fn(&PeerSlot) -> bool) -> Idx {
        self.iter().find(|at| wanted(self.at(*at))).unwrap_or(Idx::NIL)
    }

    pub(super) fn any(&self, wanted: impl Fn(&PeerSlot) -> bool) -> bool {
        self.position(wanted).is_some()
    }

    /// The peer with this identifier, or nil.
    pub(super) fn find(&self, id: ServerId) -> Idx {
        if id.is_none() { Idx::NIL } else { self.position(|peer| peer.id == id) }
    }

    /// The peer that is sent to on an association, or nil.
    pub(super) fn on(&self, assoc: AssocId) -> Idx {
        self.position(|peer| peer.assoc == Some(assoc))
    }

    /// A new one; nil: there is no room.
    pub(super) fn add(&mut self, id: ServerId) -> Idx {
        let Some(at) = self.0.allocate() else { return Idx::NIL };
        let slot = self.0.at_mut(at);
        slot.in_use = true;
        slot.id = id;
        at
    }

    pub(super) fn remove(&mut self, at: Idx) {
        self.0.release(at);
    }

    pub(super) fn view(&self, at: Idx) -> PeerView {
        let peer = self.at(at);
        PeerView {
            id: peer.id,
            state: peer.state,
            link: peer.link,
            address: peer.addresses().next(),
            configured: peer.configured,
            connected: peer.assoc.is_some(),
            rsplib: peer.rsplib,
            last_heard: (peer.state != PeerState::Unheard).then_some(peer.last_heard),
        }
    }
}

/// The addresses in a transport parameter. `from` stands in for those that are unspecified. Those that mean something on
/// the sender's own host or link only are left out, if there are others (rsplib announces them all).
pub(super) fn addresses_of(
    transport: &Transport<'_>,
    from: Option<IpAddr>,
) -> Option<(Link, ArrayVec<SocketAddr, MAX_ADDRESSES>)> {
    let link = match transport.kind() {
        TransportKind::Sctp => Link::Sctp,
        TransportKind::Tcp => Link::Tcp,
        _ => return None,
    };
    let resolved = |at: SocketAddr| {
        if at.ip().is_unspecified() { from.map(|ip| SocketAddr::new(ip, at.port())) } else { Some(at) }
    };
    let own = || transport.socket_addrs().filter_map(resolved);
    let far = bounded::first(own().filter(|at| !is_near(at.ip())));
    Some((link, if far.is_empty() { bounded::first(own()) } else { far }))
}

fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
    }
}
