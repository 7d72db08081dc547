//! Timers and thresholds of RFC 5352, 7, and what else a machine can be told.

use core::time::Duration;

use crate::compat::Compat;
use crate::rate::Rate;
use crate::wire::Lifetime;

/// The timers and thresholds of a pool element or pool user (RFC 5352, 7.1 and 7.2), with the RFC's defaults.
///
/// The numbers below are the defaults. A machine takes a copy when it is made; later changes have no effect on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EndpointConfig {
    /// T1-ENRPrequest: how long to wait for the answer to a handle resolution before it is sent again and another
    /// registrar is looked for. 15 s.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub t1_enrp_request: Duration,
    /// T2-registration: how long to wait for the answer to a registration. 30 s.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub t2_registration: Duration,
    /// T3-deregistration: how long to wait for the answer to a deregistration. 30 s.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub t3_deregistration: Duration,
    /// T4-reregistration: the longest time between registrations. 10 min; with a shorter lifetime, 20 s less than the
    /// lifetime, or half of it where that is later.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub t4_reregistration: Duration,
    /// T5-Serverhunt: how long to wait for associations to registrars before others are tried (RFC 5352, 3.6). It
    /// doubles with each round, up to `retran_max`. A pool element that has lost its home begins within a tenth of it,
    /// at random, so that a registrar's elements do not all come to the next one at once. 10 s.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub t5_server_hunt: Duration,
    /// T7-ENRPoutdate: how long an announced registrar is remembered. 5 s.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub t7_enrp_outdate: Duration,
    /// RETRAN-MAX: what the doubling of T5 ends at. 60 s.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub retran_max: Duration,
    /// MAX-REG-ATTEMPT: how many registrations may go unanswered before it is reported. 2.
    pub max_reg_attempt: u32,
    /// MAX-REQUEST-RETRANSMIT: how often a handle resolution is sent again. 2.
    pub max_request_retransmit: u32,
    /// stale_cache_value: for how long a resolution is good (RFC 5352, 3.3, C2). The RFC has no default; 30 s. Zero is
    /// of use only with `serve_stale`: without it every answer is stale at once, and no element is ever handed out.
    #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
    pub stale_cache_value: Duration,
    /// Whether a stale entry is used while it is being renewed (RFC 5352, 3.3, C3), or the user waits. It waits.
    pub serve_stale: bool,
    /// How many elements to ask a registrar for, with the parameter 0x803f that rsplib's registrars know.
    /// `None` leaves it out, as the RFC has it, and gets all of them, or three from rsplib.
    pub wanted_items: Option<u32>,
    /// By which of their transports announced registrars are taken up: TCP only. Registrars that are configured are
    /// tried over the link that they were added with, whatever this says.
    pub links: Links,
    /// The TCP port on which this endpoint takes associations from registrars; 0 for none. A pool element that is
    /// registered over TCP needs one to be reached by a registrar that takes over its home (RFC 5353, 3.5.2): the port
    /// that it dials from is none that can be dialled. It is part of the registration. Over SCTP the association's own
    /// port serves. 0.
    pub asap_port: u16,
    /// How often the endpoint sends what could be too much for others, and what others can make it do.
    pub rates: EndpointRates,
    /// Whether the registrars are rsplib's, where registration lives are milliseconds, in what is registered and in what
    /// is resolved, and pool handles have 32 bytes at most. [`Compat::Auto`], the default, is the same as
    /// [`Compat::Rfc`] here.
    pub compat: Compat,
}

/// How often an endpoint does what could be too much for others, and what others could make it do too often. What is
/// admitted later is done later, unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EndpointRates {
    /// Registrations of all elements of the endpoint, with those that tell new policy values: only the latest are told.
    /// Half of what a registrar takes of one association, since an element that it refuses stops. 500/s, 5,000 at once.
    pub registrations: Rate,
    /// Acknowledgements of keep-alives, for each element (RFC 5355, 2.14). However many keep-alives have come meanwhile,
    /// one acknowledgement is sent; that to the home registrar comes before that to others. 10/s, 100 at once.
    pub keep_alive_acks: Rate,
    /// How often registrars can make themselves the home in place of one that lives (RFC 5352, 3.4, KA2.4): what is more
    /// is ignored, without an acknowledgement, so that they do not hold themselves for the home. 1/s, 10 at once.
    pub home_changes: Rate,
    /// Reports of unreachable elements (RFC 5355, 2.13.3). 10/s, 100 at once.
    pub unreachable_reports: Rate,
    /// Error reports about what registrars send: what is more is not reported. 10/s, 100 at once.
    pub errors: Rate,
}

impl EndpointRates {
    /// The defaults.
    pub const fn new() -> Self {
        EndpointRates {
            registrations: Rate::per_second(500),
            keep_alive_acks: Rate::per_second(10),
            home_changes: Rate::per_second(1),
            unreachable_reports: Rate::per_second(10),
            errors: Rate::per_second(10),
        }
    }

    /// No limits.
    pub const UNLIMITED: Self = EndpointRates {
        registrations: Rate::UNLIMITED,
        keep_alive_acks: Rate::UNLIMITED,
        home_changes: Rate::UNLIMITED,
        unreachable_reports: Rate::UNLIMITED,
        errors: Rate::UNLIMITED,
    };
}

impl Default for EndpointRates {
    fn default() -> Self {
        Self::new()
    }
}

/// Which links an endpoint can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Links {
    /// SCTP.
    pub sctp: bool,
    /// TCP.
    pub tcp: bool,
}

impl EndpointConfig {
    /// The RFC's defaults, over TCP.
    pub const fn new() -> Self {
        EndpointConfig {
            t1_enrp_request: Duration::from_secs(15),
            t2_registration: Duration::from_secs(30),
            t3_deregistration: Duration::from_secs(30),
            t4_reregistration: Duration::from_secs(600),
            t5_server_hunt: Duration::from_secs(10),
            t7_enrp_outdate: Duration::from_secs(5),
            retran_max: Duration::from_secs(60),
            max_reg_attempt: 2,
            max_request_retransmit: 2,
            stale_cache_value: Duration::from_secs(30),
            serve_stale: false,
            wanted_items: None,
            links: Links { sctp: false, tcp: true },
            asap_port: 0,
            rates: EndpointRates::new(),
            compat: Compat::Auto,
        }
    }

    /// When to register again (RFC 5352, 3.1 and 7.1: T4-reregistration). The RFC's "20 seconds less than the Lifetime"
    /// is of no use for lifetimes of 20 s and below; half the lifetime is what remains sensible there.
    pub(crate) fn reregistration(&self, lifetime: Lifetime) -> Duration {
        match lifetime.duration() {
            None => self.t4_reregistration,
            Some(life) => {
                let margin = life.saturating_sub(Duration::from_secs(20));
                self.t4_reregistration.min(margin.max(life / 2))
            }
        }
    }
}

impl Default for EndpointConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// How far the memory of an endpoint may grow. Nothing is allocated before it is needed, but the places for registrars.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointLimits {
    /// Pool elements that this endpoint is. 1,024; a pool user has no use for it.
    pub elements: u32,
    /// Registrars that are known by configuration or announcement, each with up to four addresses. 32.
    pub servers: u32,
    /// Pools in the cache. 1,024.
    pub pools: u32,
    /// Pool elements in the cache, of all pools together. 16,384.
    pub cached_elements: u32,
}

#[cfg(feature = "alloc")]
impl Default for EndpointLimits {
    fn default() -> Self {
        EndpointLimits { elements: 1024, servers: 32, pools: 1024, cached_elements: 16_384 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t4_is_ten_minutes_or_twenty_seconds_less_than_the_lifetime() {
        let config = EndpointConfig::new();
        let t4 = |secs| config.reregistration(Lifetime::from_secs(secs)).as_secs();
        assert_eq!(t4(86_400), 600);
        assert_eq!(t4(300), 280);
        assert_eq!(t4(60), 40);
        assert_eq!(t4(30), 15);
        assert_eq!(t4(10), 5);
        assert_eq!(config.reregistration(Lifetime::INFINITE).as_secs(), 600);
        assert_eq!(config.reregistration(Lifetime::from_secs(1)), Duration::from_millis(500));
    }
}
