//! The machines' own randomness: a small seeded generator, so that the same seed gives the same run.

use core::time::Duration;

use crate::time::micros;

/// SplitMix64 (Steele, Lea, Flood 2014): 64 bits of state, every seed is good, passes BigCrush.
///
/// Its values spread load and timers. They are not secrets: identifiers that must not be guessed come from
/// the seed's owner.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Rng(seed)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A uniform value below `bound`; 0 where `bound` is 0.
    ///
    /// The multiply-shift method: its bias is at most `bound` / 2^64.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next_u64()) * u128::from(bound);
        (product >> 64) as u64
    }

    /// A uniform 32-bit value that is not 0 (an identifier).
    pub(crate) fn nonzero_u32(&mut self) -> u32 {
        loop {
            let value = (self.next_u64() >> 32) as u32;
            if value != 0 {
                return value;
            }
        }
    }

    /// A time from nothing up to `percent` per cent of `whole`.
    pub(crate) fn part(&mut self, whole: Duration, percent: u32) -> Duration {
        let most = micros(whole) / 100 * u64::from(percent.min(100));
        Duration::from_micros(self.below(most.saturating_add(1)))
    }

    /// `whole`, less up to `percent` per cent of it.
    pub(crate) fn shortened(&mut self, whole: Duration, percent: u32) -> Duration {
        let less = micros(self.part(whole, percent));
        Duration::from_micros(micros(whole).saturating_sub(less))
    }

    /// `mean` plus or minus up to `percent` per cent of it.
    pub(crate) fn jitter(&mut self, mean: Duration, percent: u32) -> Duration {
        let mean = micros(mean);
        let spread = mean / 100 * u64::from(percent.min(100));
        let offset = self.below(spread.saturating_mul(2).saturating_add(1));
        Duration::from_micros(mean.saturating_sub(spread).saturating_add(offset))
    }
}

/// SplitMix64's finaliser: a bijection that spreads every input bit over all output bits.
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_bounds_and_uses_them() {
        let mut rng = Rng::new(1);
        let mean = Duration::from_secs(10);
        let values: std::vec::Vec<_> = (0..1_000).map(|_| rng.jitter(mean, 50)).collect();
        assert!(values.iter().all(|v| (Duration::from_secs(5)..=Duration::from_secs(15)).contains(v)));
        assert!(values.iter().any(|v| *v < Duration::from_secs(6)));
        assert!(values.iter().any(|v| *v > Duration::from_secs(14)));
    }

    #[test]
    fn below_covers_its_range() {
        let mut rng = Rng::new(7);
        let mut seen = [0u32; 5];
        for _ in 0..5_000 {
            seen[usize::try_from(rng.below(5)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|n| (900..1_100).contains(n)), "{seen:?}");
        assert_eq!(rng.below(0), 0);
    }
}
