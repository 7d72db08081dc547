//! A well-behaved user, measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rserpool_core::PeId;
use rserpool_std::{Member, PoolUser};

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(2);

/// What became of a user's requests.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// How many there were.
    pub requests: usize,
    /// How many had the one right answer.
    pub served: usize,
    /// How many had another answer. The rest had an error.
    pub wrong: usize,
    /// The first that had not: what came instead.
    pub failure: Option<String>,
    /// How long the answers took, the shortest first.
    latencies: Vec<Duration>,
}

impl Service {
    /// How long half of the answers took at most.
    pub fn median(&self) -> Duration {
        self.latencies.get(self.latencies.len() / 2).copied().unwrap_or_default()
    }

    /// How long the slowest took.
    pub fn worst(&self) -> Duration {
        self.latencies.last().copied().unwrap_or_default()
    }
}

/// A user that asks for a pool again and again.
pub struct Probe {
    stopping: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    thread: JoinHandle<Service>,
}

impl Probe {
    /// It expects the one element.
    pub fn start(user: PoolUser, pool: &'static str, element: PeId) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let served = Arc::new(AtomicUsize::new(0));
        let so_far = Arc::clone(&served);
        let thread = thread::spawn(move || {
            let mut service = Service::default();
            // At least one request, however short the attack.
            loop {
                let begun = Instant::now();
                let answer = user.resolve(pool);
                service.requests += 1;
                match &answer {
                    Ok(members) if members.iter().map(Member::id).eq([element]) => {
                        service.served += 1;
                        so_far.store(service.served, Ordering::Release);
                        service.latencies.push(begun.elapsed());
                    }
                    other => {
                        service.wrong += usize::from(other.is_ok());
                        service.failure.get_or_insert_with(|| format!("{other:?}"));
                    }
                }
                if stop.load(Ordering::Acquire) {
                    break;
                }
                thread::sleep(PAUSE);
            }
            service.latencies.sort_unstable();
            service
        });
        Probe { stopping, served, thread }
    }

    /// How many requests have been served so far.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Acquire)
    }

    /// # Panics
    /// The user did.
    pub fn stop(self) -> Service {
        self.stopping.store(true, Ordering::Release);
        self.thread.join().expect("the user")
    }
}
