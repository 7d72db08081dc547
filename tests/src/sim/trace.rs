//! The trace of a run: a hash over everything that happened, and on request a timeline for people.

use std::fmt::Write;

use rserpool_core::Instant;

use super::rng::mix;

/// How much of the timeline is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Only the hash.
    #[default]
    None,
    /// Faults, takeovers, comings and goings, and the messages between registrars that are not routine.
    Main,
    /// Every message, attempt and event.
    All,
}

#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    detail: Detail,
    text: String,
}

impl Trace {
    pub fn new(detail: Detail) -> Self {
        Trace { hash: 0, detail, text: String::new() }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Something happened that these numbers and bytes tell apart.
    pub fn mix(&mut self, at: Instant, numbers: [u64; 3], bytes: &[u8]) {
        let mut hash = self.hash ^ at.as_micros();
        for number in numbers {
            hash = mix(hash ^ number);
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        }
        for byte in rest {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        }
        self.hash = mix(hash);
    }

    pub fn wants(&self, detail: Detail) -> bool {
        self.detail >= detail
    }

    /// Adds a line to the timeline, if so much detail is wanted.
    pub fn line(&mut self, detail: Detail, at: Instant, line: impl FnOnce() -> String) {
        if self.wants(detail) {
            let micros = at.as_micros();
            let (secs, millis) = (micros / 1_000_000, micros / 1_000 % 1_000);
            let _ = writeln!(self.text, "{:3}:{:02}.{millis:03}  {}", secs / 60, secs % 60, line());
        }
    }
}
