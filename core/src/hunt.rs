//! The server hunt (RFC 5352, 3.6): how a pool element or pool user finds its home registrar.

use core::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;

use crate::arena::Table;
use crate::config::{EndpointConfig, Links};
use crate::rand::Rng;
use crate::wire::asap::ServerAnnounce;
use crate::wire::{Transport, TransportKind};
use crate::{AssocId, DialId, Instant, Link, ServerId};

/// SH1: no more than three associations at once.
const MAX_DIALS: usize = 3;
/// How many addresses of one registrar are kept.
const MAX_ADDRESSES: usize = 4;
/// How many associations can wait to be closed at once: those that came up together with the home, and old homes.
const MAX_SURPLUS: usize = 8;

/// A place for a registrar's address.
#[derive(Clone, Debug, Default)]
pub struct ServerSlot {
    state: SlotState,
    link: Link,
    port: u16,
    addresses: ArrayVec<IpAddr, MAX_ADDRESSES>,
    /// T7-ENRPoutdate, of an announced address.
    outdated: Instant,
    id: ServerId,
    /// The round of the hunt in which this address was last tried; 0 if it was not, or not to the end.
    tried: u32,
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
    pub const EMPTY: ServerSlot = ServerSlot {
        state: SlotState::Free,
        link: Link::Sctp,
        port: 0,
        addresses: ArrayVec::new_const(),
        outdated: Instant::ZERO,
        id: ServerId::NONE,
        tried: 0,
    };
}

#[derive(Clone, Copy, Debug)]
struct Dial {
    id: DialId,
    server: usize,
}

/// The registrar that serves this endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Home {
    /// The association to it.
    pub assoc: AssocId,
    /// Its identifier; [`ServerId::NONE`] as long as no message has told it.
    pub id: ServerId,
}

/// What the hunt wants done.
pub(crate) enum HuntOutput {
    /// To [`Hunt::targets`].
    Connect {
        dial: DialId,
        link: Link,
    },
    Abandon {
        dial: DialId,
    },
    Disconnect {
        assoc: AssocId,
    },
}

pub(crate) struct Hunt<'s> {
    servers: Table<'s, ServerSlot>,
    home: Option<Home>,
    /// The server slot of the home, if it is known.
    home_server: Option<usize>,
    /// When the home counts as one that serves: T5 after its first message. A registrar that closes associations
    /// sooner, whatever it says before, counts as one that could not be reached, so that nobody runs in circles.
    settled_at: Option<Instant>,
    /// Until when the present attempts may take, while a hunt goes on.
    t5: Option<Instant>,
    t5_first: core::time::Duration,
    t5_value: core::time::Duration,
    dials: ArrayVec<Dial, MAX_DIALS>,
    abandoned: ArrayVec<DialId, MAX_DIALS>,
    surplus: ArrayVec<AssocId, MAX_SURPLUS>,
    next_dial: u32,
    round: u32,
    targets: ArrayVec<SocketAddr, MAX_ADDRESSES>,
}

impl<'s> Hunt<'s> {
    pub(crate) fn new(servers: Table<'s, ServerSlot>, config: &EndpointConfig) -> Self {
        Hunt {
            servers,
            home: None,
            home_server: None,
            settled_at: None,
            t5: None,
            t5_first: config.t5_server_hunt,
            t5_value: config.t5_server_hunt,
            dials: ArrayVec::new_const(),
            abandoned: ArrayVec::new_const(),
            surplus: ArrayVec::new_const(),
            next_dial: 0,
            round: 1,
            targets: ArrayVec::new_const(),
        }
    }

    pub(crate) fn home(&self) -> Option<Home> {
        self.home
    }

    pub(crate) fn is_home(&self, assoc: AssocId) -> bool {
        self.home.is_some_and(|home| home.assoc == assoc)
    }

    /// A message has come from the home.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.settled_at.get_or_insert(now + self.t5_first);
    }

    /// A message from the home has told its identifier.
    pub(crate) fn learn_id(&mut self, id: ServerId) {
        if let Some(home) = &mut self.home {
            home.id = id;
        }
    }

    /// Adds a registrar by configuration. `false`: no room.
    pub(crate) fn add_server(&mut self, link: Link, addresses: &[SocketAddr]) -> bool {
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
        self.forget_outdated(now);
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
        let mut list = ArrayVec::<IpAddr, MAX_ADDRESSES>::new();
        for address in addresses {
            if list.try_push(address).is_err() {
                break;
            }
        }
        let first = *list.first()?;
        if port == 0 {
            return None;
        }
        let servers = self.servers.as_mut_slice();
        let same = |s: &ServerSlot| {
            s.state != SlotState::Free && s.link == link && s.port == port && s.addresses.contains(&first)
        };
        let position =
            servers.iter().position(same).or_else(|| servers.iter().position(|s| s.state == SlotState::Free));
        let slot = servers.get_mut(position?)?;
        if slot.state == SlotState::Free {
            *slot = ServerSlot { link, port, tried: 0, ..ServerSlot::EMPTY };
        }
        if slot.state != SlotState::Configured {
            slot.addresses = list;
        }
        slot.id = id;
        Some(slot)
    }

    /// T7-ENRPoutdate.
    fn forget_outdated(&mut self, now: Instant) {
        for slot in self.servers.as_mut_slice() {
            if slot.state == SlotState::Announced && slot.outdated <= now {
                *slot = ServerSlot::EMPTY;
            }
        }
    }

    /// Starts a hunt, unless one is going on.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.t5.is_none() {
            self.next_round();
            self.t5 = Some(now + self.t5_value);
        }
    }

    fn next_round(&mut self) {
        self.round = self.round.wrapping_add(1).max(1);
    }

    /// The home does not answer, or is not wanted any more: closes the association and hunts.
    pub(crate) fn drop_home(&mut self, now: Instant) {
        if let Some(home) = self.home.take() {
            self.close(home.assoc);
            self.note_service(now);
        }
        self.start(now);
    }

    /// The home is gone. Says whether it had served; T5 goes back to its first value then.
    fn note_service(&mut self, now: Instant) -> bool {
        let served = self.settled_at.take().is_some_and(|settled| settled <= now);
        if served {
            self.t5_value = self.t5_first;
        }
        served
    }

    /// KA2.4 (RFC 5352, 3.4): another registrar wants to be the home.
    pub(crate) fn adopt(&mut self, assoc: AssocId, id: ServerId) {
        let old = self.home.replace(Home { assoc, id });
        self.home_server = None;
        self.settled_at = None;
        if let Some(old) = old
            && old.assoc != assoc
        {
            self.close(old.assoc);
        }
        // SH3: stops T5; the other attempts are given up. The home has yet to prove itself.
        self.t5 = None;
        // Those have not failed: if this one does, they are next.
        for dial in &self.dials {
            if let Some(slot) = self.servers.as_mut_slice().get_mut(dial.server) {
                slot.tried = 0;
            }
        }
        self.abandon_all();
    }

    fn close(&mut self, assoc: AssocId) {
        if self.surplus.try_push(assoc).is_err() {
            debug!("more associations to close than are kept");
        }
    }

    fn abandon_all(&mut self) {
        for dial in self.dials.drain(..) {
            if self.abandoned.try_push(dial.id).is_err() {
                debug!("more attempts to abandon than are kept");
            }
        }
    }

    /// An association is up. Says whether it is the new home.
    pub(crate) fn connected(&mut self, assoc: AssocId, dial: DialId) -> bool {
        let Some(position) = self.dials.iter().position(|d| d.id == dial) else {
            // SH6: another one was picked in the meantime.
            self.close(assoc);
            return false;
        };
        let Dial { server, .. } = self.dials.remove(position);
        let id = self.servers.as_slice().get(server).map_or(ServerId::NONE, |s| s.id);
        self.adopt(assoc, id);
        self.home_server = Some(server);
        true
    }

    pub(crate) fn connect_failed(&mut self, dial: DialId) {
        self.dials.retain(|d| d.id != dial);
    }

    /// An association is gone. Says whether it was the home.
    pub(crate) fn closed(&mut self, now: Instant, assoc: AssocId) -> bool {
        self.surplus.retain(|a| *a != assoc);
        if !self.is_home(assoc) {
            return false;
        }
        self.home = None;
        if self.note_service(now) {
            self.start(now);
        } else if self.t5.is_none() {
            self.t5 = Some(now + self.t5_value);
        }
        true
    }

    /// The addresses of the latest [`HuntOutput::Connect`].
    pub(crate) fn targets(&self) -> &[SocketAddr] {
        &self.targets
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.t5
    }

    /// The next thing to do. A hunt starts by itself when there is no home (RFC 5352, 3.6: "at its startup").
    pub(crate) fn poll(&mut self, now: Instant, config: &EndpointConfig, rng: &mut Rng) -> Option<HuntOutput> {
        if let Some(assoc) = self.surplus.pop() {
            return Some(HuntOutput::Disconnect { assoc });
        }
        if let Some(dial) = self.abandoned.pop() {
            return Some(HuntOutput::Abandon { dial });
        }
        if self.home.is_none() {
            self.start(now);
        }
        let t5 = self.t5?;
        if t5 <= now {
            // SH5: the value doubles up to RETRAN.max, the attempts end, and others are tried.
            self.t5_value = self.t5_value.saturating_mul(2).min(config.retran_max.max(config.t5_server_hunt));
            self.t5 = Some(now + self.t5_value);
            self.abandon_all();
            self.forget_outdated(now);
            if !self.any_untried() {
                self.next_round();
            }
            if let Some(dial) = self.abandoned.pop() {
                return Some(HuntOutput::Abandon { dial });
            }
        }
        self.dial(rng)
    }

    /// SH1, SH4: up to three attempts at once, each to an address that was not tried in this round.
    fn dial(&mut self, rng: &mut Rng) -> Option<HuntOutput> {
        if self.dials.is_full() {
            return None;
        }
        let server = self.pick_untried(rng)?;
        let slot = self.servers.as_mut_slice().get_mut(server)?;
        slot.tried = self.round;
        self.next_dial = self.next_dial.wrapping_add(1);
        let dial = DialId(self.next_dial);
        self.dials.push(Dial { id: dial, server });
        self.targets = slot.addresses.iter().map(|ip| SocketAddr::new(*ip, slot.port)).collect();
        Some(HuntOutput::Connect { dial, link: slot.link })
    }

    fn is_candidate(&self, position: usize, slot: &ServerSlot) -> bool {
        // While the home is alive, a hunt is for a different one.
        let is_home = self.home.is_some() && self.home_server == Some(position);
        slot.state != SlotState::Free && slot.tried != self.round && !is_home
    }

    fn any_untried(&self) -> bool {
        self.servers.as_slice().iter().enumerate().any(|(i, s)| self.is_candidate(i, s))
    }

    /// One of the addresses that can be tried, each with the same chance.
    fn pick_untried(&self, rng: &mut Rng) -> Option<usize> {
        let candidates = || self.servers.as_slice().iter().enumerate().filter(|(i, s)| self.is_candidate(*i, s));
        let count = candidates().count();
        let nth = usize::try_from(rng.below(count as u64)).unwrap_or(0);
        candidates().nth(nth).map(|(i, _)| i)
    }
}

fn usable(transport: &Transport<'_>, links: Links) -> Option<Link> {
    match transport.kind() {
        TransportKind::Sctp if links.sctp => Some(Link::Sctp),
        TransportKind::Tcp if links.tcp => Some(Link::Tcp),
        _ => None,
    }
}
