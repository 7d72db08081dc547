//! A point in time that the caller supplies.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time, in microseconds since an origin that the caller picks (boot, process start, 0 in a test).
///
/// The machines never read a clock. They only compare the instants they are given; an instant older than
/// one seen before is treated as that one, so a clock that steps backwards is harmless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Instant = Instant(0);
    /// The latest instant that can be expressed, about 584,000 years after the origin.
    pub const MAX: Instant = Instant(u64::MAX);

    /// The instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Instant(micros)
    }

    /// The instant `millis` milliseconds after the origin, or [`Instant::MAX`].
    pub const fn from_millis(millis: u64) -> Self {
        Instant(millis.saturating_mul(1_000))
    }

    /// The instant `secs` seconds after the origin, or [`Instant::MAX`].
    pub const fn from_secs(secs: u64) -> Self {
        Instant(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero where `earlier` is later.
    pub const fn saturating_duration_since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Microseconds of a duration, rounded up, so that a deadline is never early. Not inlined, and without 128-bit numbers:
/// it is called from everywhere, and chips are small.
#[inline(never)]
pub(crate) fn micros(duration: Duration) -> u64 {
    let whole = duration.as_secs().saturating_mul(1_000_000);
    whole.saturating_add(u64::from(duration.subsec_nanos().div_ceil(1_000)))
}

/// Saturates at [`Instant::MAX`].
impl Add<Duration> for Instant {
    type Output = Instant;

    #[cfg_attr(target_os = "none", inline(never))]
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(micros(duration)))
    }
}

/// Saturates at [`Instant::ZERO`].
impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_sub(micros(duration)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_saturates_and_rounds_up() {
        assert_eq!(Instant::ZERO + Duration::from_nanos(1), Instant::from_micros(1));
        assert_eq!(Instant::from_secs(1) + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::from_secs(1) - Duration::from_secs(2), Instant::ZERO);
    }

    #[test]
    fn a_difference_is_never_negative() {
        let (a, b) = (Instant::from_millis(5), Instant::from_millis(7));
        assert_eq!(b.saturating_duration_since(a), Duration::from_millis(2));
        assert_eq!(a.saturating_duration_since(b), Duration::ZERO);
    }
}
