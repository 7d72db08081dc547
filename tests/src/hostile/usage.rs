//! What a process holds: memory and file descriptors.

use std::fs;

/// What the allocator may keep of memory that was given back, and what tables that have grown keep for the next time, in
/// KiB. It is far less than what any of the attacks would have cost without a bound.
pub const SLACK: u64 = 24 << 10;

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// VmRSS, in KiB.
    pub memory: u64,
    /// Open file descriptors.
    pub descriptors: usize,
}

impl Usage {
    /// Of a process that runs.
    ///
    /// # Panics
    /// It does not run.
    #[track_caller]
    pub fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process that runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process that has not ended");
        let memory = line.trim().trim_end_matches(" kB").trim().parse().expect("a number");
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("a process of ours").count();
        Usage { memory, descriptors }
    }
}
