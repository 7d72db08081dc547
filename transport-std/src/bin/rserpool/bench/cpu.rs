//! How much processor time a thread has used.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A thread of this process, as Linux shows it.
#[derive(Clone, Debug)]
pub(super) struct ThreadCpu(PathBuf);

impl ThreadCpu {
    /// The calling thread; `None` where the system does not tell.
    pub(super) fn current() -> Option<Self> {
        let thread = fs::read_link("/proc/thread-self").ok()?;
        let cpu = ThreadCpu(Path::new("/proc").join(thread).join("schedstat"));
        cpu.used().map(|_| cpu)
    }

    /// On the processor since the thread began.
    pub(super) fn used(&self) -> Option<Duration> {
        let text = fs::read_to_string(&self.0).ok()?;
        text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    }
}
