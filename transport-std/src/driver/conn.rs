//! One association.

use std::net::SocketAddr;
use std::time::Duration;

use rserpool_core::{Instant, Ppid};

use super::DriverConfig;
use super::link::{Carrier, Inbox};
use super::stats::CloseReason;

/// An open association.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) peer: SocketAddr,
    pub(super) ppid: Ppid,
    pub(super) carrier: Carrier,
    pub(super) inbox: Inbox,
    pub(super) phase: Phase,
    /// Whether the peer opened it.
    pub(super) accepted: bool,
    pub(super) idle_timeout: Option<Duration>,

    /// Readiness is signalled once and kept here until the system says that there is no more.
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer's end was signalled: read until it is there, for it will not be signalled again.
    pub(super) end_signalled: bool,

    /// In the queue of connections to serve.
    pub(super) queued: bool,
    /// In the list of connections to write to.
    pub(super) dirty: bool,
    /// Not read from until the peer has taken what waits.
    pub(super) paused: bool,
    /// The inbox may hold whole messages.
    pub(super) backlog: bool,

    /// When a message last came or bytes last went.
    pub(super) active_at: Instant,
    /// Since when the inbox holds the beginning of a message.
    pub(super) partial_since: Option<Instant>,
    /// Since when the peer has taken none of what waits.
    pub(super) stalled_since: Option<Instant>,
}

/// How far the life of an association has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// The peer has ended its side. What waits is written, then the association is closed.
    PeerEnded,
    /// The machine wants it closed. What waits is written, then our side is ended.
    Closing,
    /// Our side is ended. What the peer still sends is discarded until it ends its side too: to close a socket with
    /// unread bytes makes TCP discard what is on its way to the peer.
    Lingering {
        since: Instant,
    },
}

impl Conn {
    pub(super) fn new(carrier: Carrier, inbox: Inbox, peer: SocketAddr, now: Instant) -> Self {
        Conn {
            peer,
            ppid: Ppid::Asap,
            carrier,
            inbox,
            phase: Phase::Open,
            accepted: false,
            idle_timeout: None,
            readable: false,
            writable: true,
            end_signalled: false,
            queued: false,
            dirty: false,
            paused: false,
            backlog: false,
            active_at: now,
            partial_since: None,
            stalled_since: None,
        }
    }

    /// Whether there is something to read or to handle, and it may be done.
    pub(super) const fn wants_service(&self) -> bool {
        match self.phase {
            Phase::Open => !self.paused && (self.readable || self.backlog),
            Phase::PeerEnded | Phase::Closing => false,
            Phase::Lingering { .. } => self.readable,
        }
    }

    /// Whether messages can still be sent.
    pub(super) const fn can_send(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::PeerEnded)
    }

    /// What has run out at `now`, if anything.
    pub(super) fn expired(&self, now: Instant, config: &DriverConfig) -> Option<CloseReason> {
        self.limits(config).into_iter().flatten().find(|(when, _)| *when <= now).map(|(_, reason)| reason)
    }

    /// When to look whether something has run out.
    pub(super) fn deadline(&self, config: &DriverConfig) -> Option<Instant> {
        self.limits(config).into_iter().flatten().map(|(when, _)| when).min()
    }

    fn limits(&self, config: &DriverConfig) -> [Option<(Instant, CloseReason)>; 4] {
        let linger = match self.phase {
            Phase::Lingering { since } => Some((after(since, config.linger), CloseReason::Machine)),
            Phase::Open | Phase::PeerEnded | Phase::Closing => None,
        };
        [
            linger,
            self.stalled_since.map(|since| (after(since, config.write_stall), CloseReason::WriteStall)),
            self.partial_since.map(|since| (after(since, config.partial_message_timeout), CloseReason::PartialMessage)),
            self.idle_timeout.map(|timeout| (after(self.active_at, timeout), CloseReason::Idle)),
        ]
    }
}

/// `timeout` after `since`, rounded up to a grain of about a sixteenth of the timeout and at most a second, so that
/// the timers of thousands of connections expire in batches.
fn after(since: Instant, timeout: Duration) -> Instant {
    let grain = (timeout / 16).clamp(Duration::from_millis(1), Duration::from_secs(1)).as_micros() as u64;
    Instant::from_micros((since + timeout).as_micros().checked_next_multiple_of(grain).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_never_early_and_at_most_a_sixteenth_late() {
        for (since, timeout) in [(0, 16), (7, 50), (123_456, 300_000), (1, 1), (99, 0)] {
            let (since, timeout) = (Instant::from_millis(since), Duration::from_millis(timeout));
            let late = after(since, timeout).saturating_duration_since(since + timeout);
            assert!(after(since, timeout) >= since + timeout);
            assert!(late <= (timeout / 16).max(Duration::from_millis(1)));
        }
        assert_eq!(after(Instant::MAX, Duration::from_secs(1)), Instant::MAX);
    }
}
