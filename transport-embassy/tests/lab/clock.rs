//! embassy's clock: it stands still until the executor has nothing to do, and jumps to the next timer then.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

struct Virtual {
    now: AtomicU64,
    timers: Mutex<Vec<(u64, Waker)>>,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Virtual = Virtual {
    // Not zero, so that nobody takes the start for the origin.
    now: AtomicU64::new(86_400_000_000),
    timers: Mutex::new(Vec::new()),
});

impl embassy_time_driver::Driver for Virtual {
    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        self.timers.lock().unwrap().push((at, waker.clone()));
    }
}

/// Microseconds.
pub fn now() -> u64 {
    CLOCK.now.load(Ordering::Relaxed)
}

/// Jumps to the next timer, or to `end` if that is earlier. `false`: it is `end`.
pub fn advance(end: u64) -> bool {
    let mut timers = CLOCK.timers.lock().unwrap();
    let next = timers.iter().map(|(at, _)| *at).min().unwrap_or(u64::MAX);
    let now = next.max(now());
    if now >= end {
        CLOCK.now.store(end, Ordering::Relaxed);
        return false;
    }
    CLOCK.now.store(now, Ordering::Relaxed);
    timers.retain(|(at, waker)| {
        if *at <= now {
            waker.wake_by_ref();
        }
        *at > now
    });
    true
}

pub fn forget_timers() {
    CLOCK.timers.lock().unwrap().clear();
}
