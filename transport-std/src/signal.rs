//! Wakes threads that wait for a machine's events.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time after which a wait is over. What is too far off to be expressed is as good as never.
pub(crate) fn deadline(timeout: Duration) -> Instant {
    /// More than any program runs.
    const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);
    let now = Instant::now();
    now.checked_add(timeout.min(FAR)).unwrap_or(now)
}

/// A counter that threads can wait upon: whoever looks at the machine first reads it, so no event is missed.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    pub(crate) fn count(&self) -> u64 {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn raise(&self) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.wrapping_add(1);
        self.changed.notify_all();
    }

    /// Waits until the counter is not `seen` any more. `false`: the deadline has passed.
    pub(crate) fn wait(&self, seen: u64, deadline: Instant) -> bool {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        while *count == seen {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (count, _) = self.changed.wait_timeout(count, left).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}
