//! How often something may happen: the generic cell rate algorithm, with one instant of state.

use crate::Instant;

/// How often something may happen: in the long run, and at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rate {
    /// How often a second in the long run. The time between two is rounded down to microseconds: above 1,000,000 there is
    /// no limit. 0 is never.
    pub per_second: u32,
    /// How many at once, after a pause of `burst / per_second` seconds. 0 is never.
    pub burst: u32,
}

impl Rate {
    /// No limit.
    pub const UNLIMITED: Rate = Rate { per_second: u32::MAX, burst: u32::MAX };

    /// So many a second, and what ten seconds allow at once.
    pub const fn per_second(per_second: u32) -> Self {
        Rate { per_second, burst: per_second.saturating_mul(10) }
    }

    /// Microseconds between two; `None` for never.
    fn interval(self) -> Option<u32> {
        if self.burst == 0 { None } else { 1_000_000u32.checked_div(self.per_second) }
    }
}

/// What is left of a rate: the instant at which all of it is there again. A zeroed one is a full one.
///
/// A clock that goes backwards makes it wait for as long as the clock has gone back; machines do not let it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limiter(Instant);

impl Limiter {
    pub(crate) const FULL: Limiter = Limiter(Instant::ZERO);

    /// When it may happen again; `None`: now. [`Instant::MAX`]: never.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn wait(&self, rate: Rate, now: Instant) -> Option<Instant> {
        let Some(interval) = rate.interval() else { return Some(Instant::MAX) };
        let used = self.0.as_micros().saturating_sub(now.as_micros());
        let most = u64::from(interval).saturating_mul(u64::from(rate.burst));
        let excess = used.saturating_add(u64::from(interval)).saturating_sub(most);
        (excess > 0).then(|| Instant::from_micros(now.as_micros().saturating_add(excess)))
    }

    /// It has happened.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn spend(&mut self, rate: Rate, now: Instant) {
        let interval = u64::from(rate.interval().unwrap_or(0));
        self.0 = Instant::from_micros(self.0.max(now).as_micros().saturating_add(interval));
    }

    /// Whether it may happen now; it has happened then.
    #[cfg_attr(target_os = "none", inline(never))]
    pub(crate) fn admits(&mut self, rate: Rate, now: Instant) -> bool {
        let admitted = self.wait(rate, now).is_none();
        if admitted {
            self.spend(rate, now);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(limiter: &mut Limiter, rate: Rate, now: Instant) -> u32 {
        (0..10_000).map(|_| u32::from(limiter.admits(rate, now))).sum()
    }

    #[test]
    fn a_burst_is_admitted_and_comes_back_with_time() {
        let (mut limiter, rate) = (Limiter::FULL, Rate { per_second: 10, burst: 30 });
        let start = Instant::from_secs(100);
        assert_eq!(admitted(&mut limiter, rate, start), 30);
        assert_eq!(limiter.wait(rate, start), Some(Instant::from_millis(100_100)));
        assert_eq!(admitted(&mut limiter, rate, Instant::from_millis(100_099)), 0);
        assert_eq!(admitted(&mut limiter, rate, Instant::from_millis(100_100)), 1);
        assert_eq!(admitted(&mut limiter, rate, Instant::from_secs(101)), 9);
        assert_eq!(admitted(&mut limiter, rate, Instant::from_secs(1000)), 30, "never more than the burst");
    }

    #[test]
    fn the_extremes_are_never_and_always() {
        let now = Instant::from_secs(1);
        for never in [Rate { per_second: 0, burst: 5 }, Rate { per_second: 5, burst: 0 }] {
            assert_eq!(Limiter::FULL.wait(never, now), Some(Instant::MAX));
        }
        for always in [Rate::UNLIMITED, Rate { per_second: 1_000_001, burst: 1 }] {
            assert_eq!(admitted(&mut Limiter::FULL.clone(), always, now), 10_000);
        }
        let longest = Rate { per_second: 1, burst: u32::MAX };
        assert_eq!(admitted(&mut Limiter::FULL.clone(), longest, now), 10_000);
        assert_eq!(admitted(&mut Limiter::FULL.clone(), Rate::per_second(u32::MAX), now), 10_000);
    }

    #[test]
    fn wrong_clocks_are_harmless() {
        let (mut limiter, rate) = (Limiter::FULL, Rate { per_second: 1, burst: 2 });
        assert_eq!(admitted(&mut limiter, rate, Instant::from_secs(50)), 2);
        assert_eq!(admitted(&mut limiter, rate, Instant::ZERO), 0, "no second burst in the past");
        assert_eq!(admitted(&mut limiter, rate, Instant::from_secs(52)), 2);
        // At the end of all time nothing overflows, and nothing is refused for ever.
        assert!(limiter.admits(rate, Instant::MAX) && limiter.admits(rate, Instant::MAX));
    }
}
