//! Attacks over SCTP on a registrar that runs as a process. Their table is in `docs/robustness.md`, too:
//! `RSERPOOL_WRITE_DOCS=1 cargo test -p rserpool-tests --test hostile_sctp` makes it anew, and `RSERPOOL_ATTACK=words` runs
//! the attacks whose names have these words in them.

use std::time::Duration;

use rserpool_tests::hostile::{Attack, OVER_SCTP, Outcome, report};
use rserpool_tests::lab;

/// What comes of each run, where nobody keeps it.
const THIS_RUN: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/robustness.md");

#[test]
fn those_who_behave_are_served_whatever_is_attacked() {
    let name = "those_who_behave_are_served_whatever_is_attacked";
    lab::run(name, Duration::from_secs(240), |lab| {
        let only = std::env::var("RSERPOOL_ATTACK").unwrap_or_default();
        let attacks: Vec<&Attack> = OVER_SCTP.iter().filter(|attack| attack.name.contains(&only)).collect();
        let perform = |attack: &Attack| {
            lab.case(attack.name);
            let outcome = (attack.run)();
            println!("{}; {} of {} served", outcome.did, outcome.service.served, outcome.service.requests);
            outcome
        };
        let outcomes: Vec<Outcome> = attacks.into_iter().map(perform).collect();
        if only.is_empty() {
            // The laboratory has this host's files.
            let writing = std::env::var_os("RSERPOOL_WRITE_DOCS").is_some();
            let written = if writing { report::path() } else { THIS_RUN.into() };
            std::fs::write(&written, report::with_sctp(&report::before(&written), &outcomes)).unwrap();
        }
    });
}
