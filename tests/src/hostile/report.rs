//! `docs/robustness.md`: the attacks and what came of them, as a table.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ATTACKS, Attack, OVER_SCTP, Outcome};

/// Where the document is.
pub fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/robustness.md"))
}

const HEAD: &str = include_str!("head.md");
const TABLE: &str = "| Attack | What it did | Served meanwhile | Median | Worst | Memory before, after | Bounded by |\n\
                     | --- | --- | --- | --- | --- | --- | --- |\n";
const SCTP: &str = include_str!("sctp.md");
const TAIL: &str = include_str!("tail.md");

/// The document before this run, or one of this run already.
///
/// # Panics
/// There is none.
pub fn before(written: &Path) -> String {
    fs::read_to_string(written).or_else(|_| fs::read_to_string(path())).expect("a document")
}

/// The document. What it has about SCTP stays.
pub fn document(before: &str, outcomes: &[Outcome]) -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let profile = if cfg!(debug_assertions) { "without optimisation" } else { "optimised" };
    let head = HEAD.replace("CORES", &cores.to_string()).replace("PROFILE", profile);
    let (_, over_sctp, _) = parts(before);
    [&head, TABLE, &rows(ATTACKS, outcomes), over_sctp, TAIL].concat()
}

/// The document with other rows about SCTP.
pub fn with_sctp(before: &str, outcomes: &[Outcome]) -> String {
    let (head, _, tail) = parts(before);
    [head, SCTP, TABLE, &rows(OVER_SCTP, outcomes), tail].concat()
}

/// What comes before the section about SCTP, the section, and what follows.
fn parts(document: &str) -> (&str, &str, &str) {
    let next = document.find("\n## Clocks\n").unwrap_or(document.len());
    let (before, tail) = document.split_at(next);
    let (head, over_sctp) = before.split_at(before.find("\n## Over SCTP\n").unwrap_or(next));
    (head, over_sctp, tail)
}

fn rows(attacks: &[Attack], outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for (attack, outcome) in attacks.iter().zip(outcomes) {
        let Outcome { did, service, usage: [before, after] } = outcome;
        let (median, worst) = (millis(service.median()), millis(service.worst()));
        let memory = format!("{:.1}, {:.1} MiB", mib(before.memory), mib(after.memory));
        let served = format!("{} of {}", service.served, service.requests);
        let _ = writeln!(
            text,
            "| {} | {did} | {served} | {median} | {worst} | {memory} | {} |",
            attack.name, attack.bounded_by
        );
    }
    text
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "it is rounded anyway")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// In what a document differs from the attacks that there are: their names, and what bounds them.
pub fn difference(document: &str) -> Option<String> {
    let mut rows = document.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let is_attack = cells.len() == 7 && !matches!(cells[0], "Attack" | "---");
        is_attack.then(|| (cells[0].to_owned(), cells[6].to_owned()))
    });
    for Attack { name, bounded_by, .. } in ATTACKS.iter().chain(OVER_SCTP) {
        match rows.next() {
            Some((named, bound)) if (named.as_str(), bound.as_str()) == (name, bounded_by) => {}
            other => return Some(format!("{name:?}, bounded by {bounded_by:?}: the document has {other:?}")),
        }
    }
    rows.next().map(|row| format!("the document has {row:?}, which is no attack"))
}
