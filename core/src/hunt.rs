//! The server hunt (RFC 5352, 3.6): how a pool element or pool user finds its home registrar.

use core::net::SocketAddr;

use arrayvec::ArrayVec;

use crate::bounded;
use crate::config::EndpointConfig;
use crate::rand::Rng;
use crate::servers::{MAX_ADDRESSES, Servers};
use crate::wire::asap::ServerAnnounce;
use crate::{AssocId, DialId, Instant, Link, ServerId};

/// SH1: no more than three associations at once.
const MAX_DIALS: usize = 3;
/// How many associations can wait to be closed at once: those that came up together with the home, and old homes.
const MAX_SURPLUS: usize = 8;
/// Over how much of T5 the elements of a dead registrar spread, in per cent.
const SPREAD: u32 = 10;

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
    servers: Servers<'s>,
    /// There is one at most (RFC 5352, 1.1; RFC 5353, 1.1).
    home: Option<Home>,
    /// The server slot of the home, if it is known.
    home_server: Option<usize>,
    /// When the home counts as one that serves: T5 after its first message. A registrar that closes associations
    /// sooner, whatever it says before, counts as one that could not be reached, so that nobody runs in circles.
    settled_at: Option<Instant>,
    /// Until when the present attempts may take, while a hunt goes on.
    t5: Option<Instant>,
    /// Nobody is dialled before this: see [`Hunt::spread`].
    rest: Option<Instant>,
    t5_first: core::time::Duration,
    t5_value: core::time::Duration,
    dials: ArrayVec<Dial, MAX_DIALS>,
    abandoned: ArrayVec<DialId, MAX_DIALS>,
    surplus: ArrayVec<AssocId, MAX_SURPLUS>,
    next_dial: u32,
    targets: ArrayVec<SocketAddr, MAX_ADDRESSES>,
}

impl<'s> Hunt<'s> {
    pub(crate) fn new(servers: Servers<'s>, config: &EndpointConfig) -> Self {
        Hunt {
            servers,
            home: None,
            home_server: None,
            settled_at: None,
            t5: None,
            rest: None,
            t5_first: first_t5(config),
            t5_value: first_t5(config),
            dials: ArrayVec::new_const(),
            abandoned: ArrayVec::new_const(),
            surplus: ArrayVec::new_const(),
            next_dial: 0,
            targets: ArrayVec::new_const(),
        }
    }

    pub(crate) fn home(&self) -> Option<Home> {
        self.home
    }

    pub(crate) fn is_home(&self, assoc: AssocId) -> bool {
        self.home.is_some_and(|home| home.assoc == assoc)
    }

    /// A message has come from the home: it is alive, and a hunt for another one that went on beside it is over.
    pub(crate) fn heard(&mut self, now: Instant) {
        if self.settled_at.is_none() {
            self.settled_at = Some(now + self.t5_first);
            if let Some(server) = self.home_server {
                self.servers.set_failed(server, false);
            }
        }
        self.end();
    }

    /// A message from the home has told its identifier.
    pub(crate) fn learn_id(&mut self, id: ServerId) {
        if let Some(home) = &mut self.home {
            home.id = id;
        }
    }

    /// Adds a registrar by configuration. `false`: no room.
    pub(crate) fn add_server(&mut self, link: Link, addresses: &[SocketAddr]) -> bool {
        self.servers.add(link, addresses)
    }

    /// A registrar has announced itself.
    pub(crate) fn announced(
        &mut self,
        now: Instant,
        config: &EndpointConfig,
        from: SocketAddr,
        announce: &ServerAnnounce<'_>,
    ) {
        self.forget_outdated(now);
        self.servers.announced(now, config, from, announce);
    }

    /// T7-ENRPoutdate. The address of the home, and those of attempts, are kept as long as they are that.
    fn forget_outdated(&mut self, now: Instant) {
        let Hunt { servers, home_server, dials, .. } = self;
        servers.forget_outdated(now, |at| *home_server == Some(at) || dials.iter().any(|dial| dial.server == at));
    }

    /// Starts a hunt, unless one is going on.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.t5.is_none() {
            self.servers.next_round();
            self.t5 = Some(now + self.t5_value);
        }
    }

    /// All elements of a registrar that dies notice at the same moment. So that they do not come to the next one all at
    /// once, a hunt that has just begun waits for a part of T5, which RFC 5352, 3.6 leaves open.
    pub(crate) fn spread(&mut self, now: Instant, rng: &mut Rng) {
        if self.home.is_none() && self.dials.is_empty() {
            self.rest = Some(now + rng.part(self.t5_first, SPREAD));
        }
    }

    /// SH3: stops T5. The attempts are given up; their addresses have not failed.
    fn end(&mut self) {
        self.t5 = None;
        self.rest = None;
        for dial in &self.dials {
            self.servers.set_untried(dial.server);
        }
        self.abandon_all();
    }

    /// The home does not answer, or could not be reached (RFC 5352, 3.1 and 3.7.1): closes the association and hunts
    /// for "a different ENRP server" (RFC 5352, 3.6). The one that failed is tried after all others.
    pub(crate) fn drop_home(&mut self, now: Instant) {
        let Some(home) = self.home else { return self.start(now) };
        let server = self.lost_home(now);
        self.close(home.assoc);
        if let Some(server) = server {
            self.servers.set_failed(server, true);
        }
    }

    /// The home is no more; hunts for another one. Gives the home's address.
    fn lost_home(&mut self, now: Instant) -> Option<usize> {
        self.home = None;
        if self.settled_at.take().is_some_and(|settled| settled <= now) {
            self.t5_value = self.t5_first;
            self.start(now);
        } else if self.t5.is_none() {
            // The round of the hunt that found it goes on.
            self.t5 = Some(now + self.t5_value);
        }
        self.home_server.take()
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
        // The home has yet to prove itself: T5 goes back to its first value once it has.
        self.end();
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
        self.adopt(assoc, self.servers.id(server));
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
        self.lost_home(now);
        true
    }

    /// The addresses of the latest [`HuntOutput::Connect`].
    pub(crate) fn targets(&self) -> &[SocketAddr] {
        &self.targets
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.rest {
            // It is a part of T5.
            Some(rest) => Some(rest),
            None => self.t5,
        }
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
        if self.rest.is_some_and(|rest| rest > now) {
            return None;
        }
        self.rest = None;
        let t5 = self.t5?;
        if t5 <= now {
            // SH5: the value doubles up to RETRAN.max, the attempts end, and others are tried.
            self.t5_value = self.t5_value.saturating_mul(2).min(config.retran_max.max(first_t5(config)));
            self.t5 = Some(now + self.t5_value);
            self.abandon_all();
            self.forget_outdated(now);
            if !self.servers.any_untried(self.home_server) {
                self.servers.next_round();
            }
            if let Some(dial) = self.abandoned.pop() {
                return Some(HuntOutput::Abandon { dial });
            }
        }
        self.dial(now, rng)
    }

    /// SH1, SH4: up to three attempts at once, each to an address that was not tried in this round.
    fn dial(&mut self, now: Instant, rng: &mut Rng) -> Option<HuntOutput> {
        if self.dials.is_full() {
            return None;
        }
        self.forget_outdated(now);
        // While the home is alive, a hunt is for a different one. Those that failed as the home wait until nobody else is
        // left.
        let server = self.servers.pick_untried(rng, self.home_server, self.dials.is_empty())?;
        let (link, addresses) = self.servers.try_now(server)?;
        self.targets = bounded::first(addresses);
        self.next_dial = self.next_dial.wrapping_add(1);
        let dial = DialId(self.next_dial);
        bounded::push(&mut self.dials, Dial { id: dial, server });
        Some(HuntOutput::Connect { dial, link })
    }
}

/// The first value of T5, and not nothing, or the hunt would not end at one instant.
fn first_t5(config: &EndpointConfig) -> core::time::Duration {
    config.t5_server_hunt.max(core::time::Duration::from_millis(1))
}
