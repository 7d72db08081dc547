//! embassy's clock and the machines'.

use rserpool_core::Instant;

/// The present: time since the start, rounded down, so that no machine is told of a time that is still to come. Use it
/// where a machine is made.
pub fn now() -> Instant {
    Instant::from_micros(embassy_time::Instant::now().as_micros())
}

/// A deadline, rounded up to a tick: one that was early would be asked for again at once.
pub(crate) fn deadline(at: Instant) -> embassy_time::Instant {
    let since_start = embassy_time::Duration::try_from_micros(at.as_micros());
    since_start.map_or(embassy_time::Instant::MAX, |since| embassy_time::Instant::from_ticks(since.as_ticks()))
}

/// A time limit for TCP; [`core::time::Duration::MAX`] is none.
pub(crate) fn limit(duration: core::time::Duration) -> Option<embassy_time::Duration> {
    (duration != core::time::Duration::MAX).then(|| duration.try_into().unwrap_or(embassy_time::Duration::MAX))
}
