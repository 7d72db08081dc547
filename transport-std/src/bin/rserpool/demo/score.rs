//! What is counted, and how it is shown.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use rserpool_core::PeId;
use serde::Serialize;

use crate::error::Error;
use crate::output::{self, Paint};
use crate::table::Table;

#[derive(Debug)]
pub(super) struct Score {
    started: Instant,
    last_served: Instant,
    sent: u64,
    served: BTreeMap<PeId, u64>,
    failed_over: BTreeMap<PeId, u64>,
    longest_gap: Duration,
    slowest: Duration,
    /// The registrars of the second act.
    pub(super) registrars: Vec<RegistrarScore>,
}

/// What became of a registrar.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RegistrarScore {
    pub(super) name: String,
    pub(super) id: u32,
    /// Whose home it was at first, after R1 was killed, and at the end.
    pub(super) home_of_before: String,
    pub(super) home_of_after_kill: String,
    pub(super) home_of_at_end: String,
    pub(super) elements: u32,
    pub(super) checksum: u16,
    /// Whether the others have the same elements with the same homes and checksums.
    pub(super) agrees: bool,
}

#[derive(Serialize)]
struct Shown {
    requests: u64,
    served: u64,
    unserved: u64,
    failovers: u64,
    longest_gap_ms: f64,
    slowest_request_ms: f64,
    seconds: f64,
    elements: Vec<ShownElement>,
    registrars: Vec<RegistrarScore>,
}

#[derive(Serialize)]
struct ShownElement {
    name: String,
    id: u32,
    served: u64,
    failovers_away: u64,
}

impl Score {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Score {
            started: now,
            last_served: now,
            sent: 0,
            served: BTreeMap::new(),
            failed_over: BTreeMap::new(),
            longest_gap: Duration::ZERO,
            slowest: Duration::ZERO,
            registrars: Vec::new(),
        }
    }

    /// Nobody sends requests now: the time until the next answer is no gap.
    pub(super) fn interval(&mut self) {
        self.last_served = Instant::now();
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn sent(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    pub(super) fn served(&mut self, by: PeId, sent_at: Instant) {
        let now = Instant::now();
        *self.served.entry(by).or_default() += 1;
        self.longest_gap = self.longest_gap.max(now - self.last_served);
        self.slowest = self.slowest.max(now - sent_at);
        self.last_served = now;
    }

    pub(super) fn failed_over(&mut self, from: PeId) {
        *self.failed_over.entry(from).or_default() += 1;
    }

    pub(super) fn served_by(&self, id: PeId) -> u64 {
        self.served.get(&id).copied().unwrap_or(0)
    }

    pub(super) fn unserved(&self) -> u64 {
        self.sent - self.served.values().sum::<u64>()
    }

    pub(super) fn show(&self, json: bool) -> Result<(), Error> {
        let milliseconds = |duration: Duration| (duration.as_secs_f64() * 1e4).round() / 10.0;
        let shown = Shown {
            requests: self.sent,
            served: self.served.values().sum(),
            unserved: self.unserved(),
            failovers: self.failed_over.values().sum(),
            longest_gap_ms: milliseconds(self.longest_gap),
            slowest_request_ms: milliseconds(self.slowest),
            seconds: self.elapsed().as_secs_f64(),
            elements: super::act::CAST
                .iter()
                .map(|(name, id)| ShownElement {
                    name: (*name).to_owned(),
                    id: id.0,
                    served: self.served_by(*id),
                    failovers_away: self.failed_over.get(id).copied().unwrap_or(0),
                })
                .collect(),
            registrars: self.registrars.clone(),
        };
        let mut out = output::stdout();
        if json {
            output::json(&mut out, &shown)?;
        } else {
            table(&mut out, &shown)?;
        }
        out.flush()?;
        Ok(())
    }
}

fn table(out: &mut impl Write, shown: &Shown) -> std::io::Result<()> {
    let paint = Paint::stdout();
    let mut table = Table::new(&["ELEMENT", "ID", "SERVED", "FAILOVERS AWAY"]).right(&[2, 3]);
    for element in &shown.elements {
        table.row([
            element.name.clone(),
            format!("{:#010x}", element.id),
            element.served.to_string(),
            element.failovers_away.to_string(),
        ]);
    }
    writeln!(out)?;
    table.write(out)?;
    let headings = ["REGISTRAR", "ID", "HOME OF", "R1 KILLED", "R1 BACK", "KNOWS", "OWN CHECKSUM", "ALL AGREE"];
    let mut table = Table::new(&headings).right(&[5]);
    for registrar in &shown.registrars {
        table.row([
            registrar.name.clone(),
            format!("{:#010x}", registrar.id),
            registrar.home_of_before.clone(),
            registrar.home_of_after_kill.clone(),
            registrar.home_of_at_end.clone(),
            registrar.elements.to_string(),
            format!("{:#06x}", registrar.checksum),
            if registrar.agrees { "yes" } else { "no" }.to_owned(),
        ]);
    }
    writeln!(out)?;
    table.write(out)?;
    let verdict = format!(
        "\n{} requests in {:.1} s, {} served, {} unserved; failovers: {}; longest gap between answers {} ms",
        shown.requests, shown.seconds, shown.served, shown.unserved, shown.failovers, shown.longest_gap_ms
    );
    if shown.unserved == 0 { writeln!(out, "{}", paint.good(verdict)) } else { writeln!(out, "{}", paint.bad(verdict)) }
}
