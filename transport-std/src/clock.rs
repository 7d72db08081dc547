//! The bridge between the system's monotonic clock and the instants of the machines.

use std::time::{Duration, Instant as StdInstant};

use rserpool_core::Instant;

/// Turns [`std::time::Instant`] into [`rserpool_core::Instant`] and back.
///
/// Its origin is the moment it was made, so instants of two clocks must not be mixed: make one per machine (a
/// [`Driver`](crate::driver::Driver) brings its own) and copy it. Resolution: one microsecond.
///
/// The clock is the system's monotonic one. On Linux it stands still while the host is suspended, so after a suspend
/// the machines learn from silent peers, not from timers, how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: StdInstant,
}

impl Clock {
    /// A clock that starts at [`Instant::ZERO`] now.
    #[must_use]
    pub fn new() -> Self {
        Clock { origin: StdInstant::now() }
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.at(StdInstant::now())
    }

    /// A point in time that has passed, rounded down, so that no machine is told of a time that is still to come.
    /// Points before the origin are the origin.
    #[must_use]
    pub fn at(&self, time: StdInstant) -> Instant {
        let micros = time.saturating_duration_since(self.origin).as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// A deadline, rounded up, so that it is never early.
    #[must_use]
    pub fn deadline(&self, time: StdInstant) -> Instant {
        Instant::ZERO + time.saturating_duration_since(self.origin)
    }

    /// The system's instant of a machine's instant; `None` where the system cannot express it.
    #[must_use]
    pub fn to_std(&self, instant: Instant) -> Option<StdInstant> {
        self.origin.checked_add(Duration::from_micros(instant.as_micros()))
    }

    /// How long to sleep until `deadline`: zero where it has passed.
    ///
    /// [`Clock::now`] rounds down, therefore one who sleeps this long finds `now() >= deadline`.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Duration {
        Duration::from_micros(deadline.as_micros()).saturating_sub(self.origin.elapsed())
    }
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree() {
        let clock = Clock::new();
        let time = clock.origin + Duration::from_micros(1_234_567);
        assert_eq!(clock.at(time), Instant::from_micros(1_234_567));
        assert_eq!(clock.to_std(Instant::from_micros(1_234_567)), Some(time));
    }

    #[test]
    fn the_past_is_rounded_down_and_a_deadline_up() {
        let clock = Clock::new();
        let time = clock.origin + Duration::from_nanos(1_500);
        assert_eq!(clock.at(time), Instant::from_micros(1));
        assert_eq!(clock.deadline(time), Instant::from_micros(2));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let clock = Clock::new();
        assert!(clock.until(Instant::MAX) > Duration::from_secs(1 << 40));
        assert_eq!(clock.until(Instant::ZERO), Duration::ZERO);
        assert!(clock.to_std(Instant::MAX).is_none_or(|time| time > clock.origin));
    }
}
