//! What a registrar does that stood still: its process was stopped, its host suspended, its task starved.
//!
//! By the clock everybody has been silent too long. But acknowledgements, renewals, ends of associations, and the news that
//! elements have gone to another registrar, may lie in its sockets, in whatever order they are read. So for as long as an
//! answer may take it removes no element and gives no peer up for silence, and it reads anew what its peers own.

use core::time::Duration;

use super::Registrar;
use super::update::CONTEST_DELAY;
use crate::{Instant, Machine};

/// A registrar stood still if it comes to a deadline too late by this part of the time that an answer may take.
const LATE: u32 = 5;

/// How often in a row it has patience, before a turn in which it has none. Otherwise one that always comes late would never
/// remove anybody; with one only, a registrar that is stopped again soon would judge by what it has not read.
const MAX_STOPS: u8 = 3;

impl Registrar<'_> {
    /// Time goes on.
    pub(super) fn advance(&mut self, now: Instant) {
        if self.stops < MAX_STOPS && self.stood_still(now) {
            self.stops = self.stops.saturating_add(1);
            self.patience = now + self.answer_time() + CONTEST_DELAY;
            // A peer that has given this registrar up has not told it of changes since, even where they are still connected.
            self.peers.for_each(|_, peer| peer.stood_still());
        } else if now >= self.patience {
            self.stops = 0;
        }
        self.now = self.now.max(now);
    }

    fn answer_time(&self) -> Duration {
        self.config.keep_alive_timeout.max(self.config.enrp.no_response())
    }

    fn stood_still(&self, now: Instant) -> bool {
        let late = self.answer_time() / LATE;
        // It is dear to ask for the deadline, and mostly not necessary.
        if now.saturating_duration_since(self.now) <= late {
            return false;
        }
        self.next_deadline().is_some_and(|due| now > due + late)
    }
}
