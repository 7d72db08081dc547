//! How often one association may ask a registrar for what costs it, or others, something (RFC 5352, 9.1; RFC 5355, 2.13).
//!
//! A deregistration is never refused, and costs nothing: it makes the state smaller, and what it removes had to be
//! registered before. Refused, it would leave an element behind that serves no more.

use super::Registrar;
use crate::rate::Rate;
use crate::{AssocId, Ppid};

/// How often a pool element or pool user may ask on one association. What is more is refused, with the cause Lack of
/// Resources where it has an answer, and counted in [`RegistrarStats`](super::RegistrarStats).
///
/// Over another association one begins anew: the adapter's limits of associations bound that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsapRates {
    /// Registrations. All peers are told of each. An element that is refused stops (RFC 5352, 3.1), so the burst should be
    /// twice [`max_elements_per_association`](super::RegistrarConfig::max_elements_per_association) at least: all may
    /// register again at once, more than once. 1,000/s, 10,000 at once.
    pub registrations: Rate,
    /// Handle resolutions. A refusal ends a subscription to the pool (RFC 5352, 2.2.5). 10,000/s, 100,000 at once.
    pub resolutions: Rate,
    /// ASAP_ENDPOINT_UNREACHABLE, which has no answer: what is more is ignored. 100/s, 1,000 at once.
    pub unreachable_reports: Rate,
    /// Error reports that are sent about what the association sends: what is more is not reported. 10/s, 100 at once.
    pub errors: Rate,
}

impl AsapRates {
    /// The defaults.
    pub const fn new() -> Self {
        AsapRates {
            registrations: Rate::per_second(1_000),
            resolutions: Rate::per_second(10_000),
            unreachable_reports: Rate::per_second(100),
            errors: Rate::per_second(10),
        }
    }

    /// No limits.
    pub const UNLIMITED: Self = AsapRates {
        registrations: Rate::UNLIMITED,
        resolutions: Rate::UNLIMITED,
        unreachable_reports: Rate::UNLIMITED,
        errors: Rate::UNLIMITED,
    };
}

impl Default for AsapRates {
    fn default() -> Self {
        Self::new()
    }
}

/// How often a peer may ask on one association for what is much longer than the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnrpRates {
    /// Handle tables that are begun; the pages after the first one are not counted, since a peer that starts asks for them
    /// as fast as they come. What is more is refused (RFC 5353, 3.2.3). A peer that starts then asks another mentor, or
    /// this one after a pause. 1/s, 10 at once.
    pub tables: Rate,
    /// Lists of peers. What is more is refused (RFC 5353, 3.2.2.2). 1/s, 10 at once.
    pub lists: Rate,
    /// Presences that want a reply, and announcements that this registrar is to be taken over, which it denies to all
    /// peers (RFC 5353, 3.5.1). What is more is not answered. 10/s, 100 at once.
    pub presences: Rate,
    /// Error reports that are sent about what the peer sends: what is more is not reported. 10/s, 100 at once.
    pub errors: Rate,
}

impl EnrpRates {
    /// The defaults.
    pub const fn new() -> Self {
        EnrpRates {
            tables: Rate::per_second(1),
            lists: Rate::per_second(1),
            presences: Rate::per_second(10),
            errors: Rate::per_second(10),
        }
    }

    /// No limits.
    pub const UNLIMITED: Self = EnrpRates {
        tables: Rate::UNLIMITED,
        lists: Rate::UNLIMITED,
        presences: Rate::UNLIMITED,
        errors: Rate::UNLIMITED,
    };
}

impl Default for EnrpRates {
    fn default() -> Self {
        Self::new()
    }
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    Registration,
    Resolution,
    UnreachableReport,
    Table,
    List,
    Presence,
    Error(Ppid),
}

/// How many limits an association has. It speaks one protocol, so those of ASAP and of ENRP have the same places.
pub(super) const LIMITS: usize = 4;

impl Registrar<'_> {
    /// The error report that has just been taken up is dropped where there were too many.
    pub(super) fn limit_report(&mut self) {
        if let Some((to, ppid)) = self.report.pending()
            && self.over_rate(to, Charge::Error(ppid))
        {
            self.report.closed(to);
        }
    }

    /// Whether an association asks too often. What is admitted is charged, what is not is counted.
    pub(super) fn over_rate(&mut self, assoc: AssocId, what: Charge) -> bool {
        let (asap, enrp, stats) = (&self.config.rates, &self.config.enrp.rates, &mut self.stats);
        let (place, rate, counter) = match what {
            Charge::Registration => (0, asap.registrations, &mut stats.registrations_over_rate),
            Charge::Resolution => (1, asap.resolutions, &mut stats.resolutions_over_rate),
            Charge::UnreachableReport => (2, asap.unreachable_reports, &mut stats.unreachable_over_rate),
            Charge::Table => (0, enrp.tables, &mut stats.tables_over_rate),
            Charge::List => (1, enrp.lists, &mut stats.lists_over_rate),
            Charge::Presence => (2, enrp.presences, &mut stats.presences_over_rate),
            Charge::Error(Ppid::Asap) => (3, asap.errors, &mut stats.errors_over_rate),
            Charge::Error(Ppid::Enrp) => (3, enrp.errors, &mut stats.errors_over_rate),
        };
        let limiter = self.assocs.get_mut(assoc).and_then(|slot| slot.limits.get_mut(place));
        let refused = limiter.is_some_and(|limiter| !limiter.admits(rate, self.now));
        if refused {
            *counter = counter.wrapping_add(1);
        }
        refused
    }
}
