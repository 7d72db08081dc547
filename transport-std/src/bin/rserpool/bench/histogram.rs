//! Latencies in buckets that grow with them.

use std::time::Duration;

/// 2^5 buckets for each doubling: a value is known to 3 %.
const SUB_BITS: u32 = 5;
const SUB: u64 = 1 << SUB_BITS;
const BUCKETS: usize = ((64 - SUB_BITS + 1) as usize) << SUB_BITS;

/// Counts of durations, to the nanosecond below 64 ns and to 3 % above.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Histogram { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }

    /// Adds `count` times this long.
    pub(super) fn add(&mut self, duration: Duration, count: u64) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += count;
        self.total += count;
        self.max = self.max.max(nanos);
    }

    /// Adds those of another one.
    pub(super) fn merge(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many there are.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The duration that this part of them, 0 to 1, does not exceed.
    pub(super) fn quantile(&self, part: f64) -> Duration {
        let wanted = ((self.total as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper_end(index).min(self.max));
            }
        }
        self.max()
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < SUB {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - SUB_BITS;
    // The highest bit and SUB_BITS bits after it.
    (u64::from(shift) * SUB + (nanos >> shift)) as usize
}

/// The largest duration of a bucket.
fn upper_end(index: usize) -> u64 {
    let index = index as u64;
    if index < SUB {
        return index;
    }
    let shift = index / SUB - 1;
    let leading = index - shift * SUB;
    (leading << shift) | ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_within_its_bucket_and_near_its_end() {
        for nanos in (0..5000).chain([1 << 20, (1 << 20) + 12_345, 1 << 40, u64::MAX - 1, u64::MAX]) {
            let end = upper_end(bucket(nanos));
            assert!(end >= nanos && end - nanos <= nanos / SUB, "{nanos}: {end}");
            assert!(nanos == 0 || bucket(nanos - 1) <= bucket(nanos));
        }
    }

    #[test]
    fn quantiles() {
        let mut histogram = Histogram::new();
        histogram.add(Duration::from_nanos(10), 90);
        histogram.add(Duration::from_nanos(20), 9);
        histogram.add(Duration::from_millis(1), 1);
        let nanos = |part| histogram.quantile(part).as_nanos();
        assert_eq!((nanos(0.5), nanos(0.9), nanos(0.99)), (10, 10, 20));
        assert_eq!(histogram.quantile(1.0), Duration::from_millis(1));
        assert_eq!(histogram.total(), 100);
    }
}
