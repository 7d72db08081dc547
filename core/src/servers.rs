//! The registrars that an endpoint knows (RFC 5352, 3.6): those of its configuration, and those that have announced
//! themselves.

use core::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;

use crate::arena::Table;
use crate::bounded;
use crate::config::{EndpointConfig, Links};
use crate::rand::Rng;
use crate::wire::asap::ServerAnnounce;
use crate::wire::{Transport, TransportKind};
use crate::{Instant, Link, ServerId};

/// How many addresses of one registrar are kept.
pub(crate) const MAX_ADDRESSES: usize = 4;

/// The round in which an address was tried that was not tried yet.
const NEVER: u32 = 0;

/// A place for a registrar's address.
#[derive(Clone, Debug, Default)]
pub(crate) struct ServerSlot {
    state: SlotState,
    link: Link,
    port: u16,
    addresses: ArrayVec<IpAddr, MAX_ADDRESSES>,
    /// T7-ENRPoutdate, of an announced address.
    outdated: Instant,
    id: ServerId,
    /// The round of the hunt in which this address was last tried.
    tried: u32,
    /// It was the home and did not answer; nothing has been heard of it since.
    failed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SlotState {
    #[default]
    Free,
    Configured,
    Announced,
}

impl ServerSlot {
    /// An empty place.
    pub(crate) const EMPTY: ServerSlot = ServerSlot {
        state: SlotState::Free,
        link: Link::Sctp,
        port: 0,
        addresses: ArrayVec::new_const(),
        outdated: Instant::ZERO,
        id: ServerId::NONE,
        tried: NEVER,
        failed: false,
    };
}

/// The list of registrars, and which of them the hunt has tried.
pub(crate) struct Servers<'s> {
    table: Table<'s, ServerSlot>,
    round: u32,
}

impl<'s> Servers<'s> {
    pub(crate) fn new(table: Table<'s, ServerSlot>) -> Self {
        Servers { table, round: NEVER + 1 }
    }

    /// Adds a registrar by configuration. `false`: no room.
    pub(crate) fn add(&mut self, link: Link, addresses: &[SocketAddr]) -> bool {
        let Some(first) = addresses.first() else { return false };
        let same_port = addresses.iter().filter(|a| a.port() == first.port());
        let slot = self.insert(link, first.port(), same_port.map(SocketAddr::ip), ServerId::NONE);
        if let Some(slot) = slot {
            slot.state = SlotState::Configured;
            return true;
        }
        false
    }

    /// A registrar has announced itself (RFC 5352, 3.6).
    pub(crate) fn announced(
        &mut self,
        now: Instant,
        config: &EndpointConfig,
        from: SocketAddr,
        announce: &ServerAnnounce<'_>,
    ) {
        let outdated = now + config.t7_enrp_outdate;
        if announce.transports.is_empty() {
            // No transport parameters: SCTP, the datagram's source address, and the registered port. rsplib means its
            // source port, which is the registered one unless it was configured otherwise; so the source port it is.
            if config.links.sctp {
                self.announced_one(outdated, Link::Sctp, from.port(), core::iter::once(from.ip()), announce.server);
            }
            return;
        }
        for transport in announce.transports.iter() {
            let Some(link) = usable(&transport, config.links) else { continue };
            let port = transport.port().unwrap_or_default();
            let addresses = transport.socket_addrs().map(|a| a.ip());
            self.announced_one(outdated, link, port, addresses, announce.server);
        }
    }

    fn announced_one(
        &mut self,
        outdated: Instant,
        link: Link,
        port: u16,
        addresses: impl Iterator<Item = IpAddr>,
        id: ServerId,
    ) {
        match self.insert(link, port, addresses, id) {
            Some(slot) => {
                slot.outdated = outdated;
                if slot.state == SlotState::Free {
                    slot.state = SlotState::Announced;
                }
            }
            None => debug!("no room for an announced registrar, or no address in it"),
        }
    }

    /// The slot of these addresses, old or new; the caller sets its state.
    fn insert(
        &mut self,
        link: Link,
        port: u16,
        addresses: impl Iterator<Item = IpAddr>,
        id: ServerId,
    ) -> Option<&mut ServerSlot> {
        // An announcement can hold anything; what cannot be connected to is passed over.
        let reachable = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast();
        let list: ArrayVec<IpAddr, MAX_ADDRESSES> = bounded::first(addresses.filter(reachable));
        let first = *list.first()?;
        if port == 0 {
            return None;
        }
        let servers = self.table.as_mut_slice();
        let same = |s: &ServerSlot| {
            s.state != SlotState::Free && s.link == link && s.port == port && s.addresses.contains(&first)
        };
        let position =
            servers.iter().position(same).or_else(|| servers.iter().position(|s| s.state == SlotState::Free));
        let slot = servers.get_mut(position?)?;
        if slot.state == SlotState::Free {
            *slot = ServerSlot { link, port, tried: NEVER, ..ServerSlot::EMPTY };
        }
        if slot.state != SlotState::Configured {
            slot.addresses = list;
        }
        slot.id = id;
        Some(slot)
    }

    /// T7-ENRPoutdate: announced addresses are forgotten in the end, unless they are in use.
    pub(crate) fn forget_outdated(&mut self, now: Instant, is_used: impl Fn(usize) -> bool) {
        for (at, slot) in self.table.as_mut_slice().iter_mut().enumerate() {
            if slot.state == SlotState::Announced && slot.outdated <= now && !is_used(at) {
                *slot = ServerSlot::EMPTY;
            }
        }
    }

    /// The identifier of a registrar, if an announcement has told it.
    pub(crate) fn id(&self, at: usize) -> ServerId {
        self.table.as_slice().get(at).map_or(ServerId::NONE, |slot| slot.id)
    }

    /// Notes whether a registrar has failed as the home.
    pub(crate) fn set_failed(&mut self, at: usize, failed: bool) {
        if let Some(slot) = self.table.as_mut_slice().get_mut(at) {
            slot.failed = failed;
        }
    }

    /// An attempt was given up, and says nothing about the registrar.
    pub(crate) fn set_untried(&mut self, at: usize) {
        if let Some(slot) = self.table.as_mut_slice().get_mut(at) {
            slot.tried = NEVER;
        }
    }

    /// From now on all are untried.
    pub(crate) fn next_round(&mut self) {
        self.round = self.round.wrapping_add(1).max(NEVER + 1);
    }

    /// Those that were not tried in this round, but for `home`.
    fn untried(&self, home: Option<usize>) -> impl Iterator<Item = (usize, &ServerSlot)> {
        let slots = self.table.as_slice().iter().enumerate();
        slots.filter(move |(at, slot)| slot.state != SlotState::Free && slot.tried != self.round && home != Some(*at))
    }

    pub(crate) fn any_untried(&self, home: Option<usize>) -> bool {
        self.untried(home).next().is_some()
    }

    /// One of those that were not tried in this round, each with the same chance. Those that have failed come only when
    /// nobody else is left, and `last_resort` allows it.
    pub(crate) fn pick_untried(&self, rng: &mut Rng, home: Option<usize>, last_resort: bool) -> Option<usize> {
        let candidates = |failed| self.untried(home).filter(move |(_, slot)| slot.failed == failed);
        let failed = candidates(false).next().is_none();
        if failed && !last_resort {
            return None;
        }
        let nth = usize::try_from(rng.below(candidates(failed).count() as u64)).unwrap_or(0);
        candidates(failed).nth(nth).map(|(at, _)| at)
    }

    /// A registrar is tried in this round. Gives what to connect to.
    pub(crate) fn try_now(&mut self, at: usize) -> Option<(Link, impl Iterator<Item = SocketAddr>)> {
        let round = self.round;
        let slot = self.table.as_mut_slice().get_mut(at)?;
        slot.tried = round;
        let port = slot.port;
        Some((slot.link, slot.addresses.iter().map(move |ip| SocketAddr::new(*ip, port))))
    }
}

fn usable(transport: &Transport<'_>, links: Links) -> Option<Link> {
    match transport.kind() {
        TransportKind::Sctp if links.sctp => Some(Link::Sctp),
        TransportKind::Tcp if links.tcp => Some(Link::Tcp),
        _ => None,
    }
}
