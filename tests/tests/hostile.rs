//! Attacks on a registrar that runs as a process, and by one on an element and a user. `docs/robustness.md` is their
//! table; `RSERPOOL_WRITE_DOCS=1 cargo test -p rserpool-tests --test hostile` makes it anew, and `RSERPOOL_ATTACK=words`
//! runs the attacks whose names have these words in them.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rserpool_tests::hostile::{ATTACKS, Attack, Outcome, report};
use rserpool_tests::lab::{self, Shape};

/// What comes of each run, where nobody keeps it.
const THIS_RUN: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/robustness.md");

fn perform(attack: &Attack) -> Outcome {
    let begun = Instant::now();
    println!("== {}", attack.name);
    let outcome = (attack.run)();
    let (service, usage) = (&outcome.service, outcome.usage);
    let lines = [
        format!("== {}: {:.1} s", attack.name, begun.elapsed().as_secs_f64()),
        format!("   {}", outcome.did),
        format!("   {} of {} served", service.served, service.requests),
        format!("   {:?}, {:?}; {usage:?}", service.median(), service.worst()),
    ];
    println!("{}", lines.join("\n"));
    outcome
}

#[test]
fn those_who_behave_are_served_whatever_is_attacked() {
    let only = std::env::var("RSERPOOL_ATTACK").unwrap_or_default();
    let attacks: Vec<&Attack> = ATTACKS.iter().filter(|attack| attack.name.contains(&only)).collect();
    if is_writing() && only.is_empty() {
        // One at a time, for the numbers.
        let outcomes: Vec<Outcome> = attacks.into_iter().map(perform).collect();
        std::fs::write(report::path(), report::document(&report::before(&report::path()), &outcomes)).unwrap();
        return;
    }
    // Most of the time one waits for what was attacked to forget.
    let next = AtomicUsize::new(0);
    let outcomes: Vec<OnceLock<Outcome>> = attacks.iter().map(|_| OnceLock::new()).collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some((attack, outcome)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    attacks.get(at).zip(outcomes.get(at))
                } {
                    outcome.set(perform(attack)).expect("the first one");
                }
            });
        }
    });
    if only.is_empty() {
        let outcomes: Vec<Outcome> = outcomes.into_iter().filter_map(OnceLock::into_inner).collect();
        let written = Path::new(THIS_RUN);
        std::fs::write(written, report::document(&report::before(written), &outcomes)).unwrap();
    }
}

fn is_writing() -> bool {
    std::env::var_os("RSERPOOL_WRITE_DOCS").is_some()
}

#[test]
fn the_document_lists_the_attacks() {
    if is_writing() {
        return;
    }
    let document = std::fs::read_to_string(report::path()).unwrap();
    assert_eq!(report::difference(&document), None);
}

#[test]
fn clock_jumps_change_nothing() {
    lab::run("clock_jumps_change_nothing", Duration::from_secs(90), |lab| {
        let network = lab.network(Shape { hosts: 2, ..Shape::default() });
        let (one, two) = (network.host(1), network.host(2));
        let at = one.ip().to_string();
        let timers = ["--keep-alive-interval", "500ms", "--keep-alive-timeout", "3s"];
        let head = ["-v", "registrar", "--control", "none", "--listen", &at];
        let mut registrar = one.rserpool(&[&head[..], &timers].concat());
        registrar.until("registrar listens");
        let service = ["--id", "7", "--service", "tcp://10.251.0.2:9", "--check", "0", "--lifetime", "20s"];
        let mut element =
            two.rserpool(&[&["-v", "element", "--pool", "good", "--registrar", &at], &service[..]].concat());
        element.until("registered as");
        // The guest's clock alone: ten years on, back to 1990, and a second at a time.
        for jump in ["2036-01-01 00:00:00", "1990-01-01 00:00:00", "2026-06-01 00:00:00", "2026-05-31 23:59:59"] {
            lab.case(jump);
            let set = std::process::Command::new("date").args(["-u", "-s", jump]).output().unwrap();
            assert!(set.status.success(), "{set:?}");
            for _ in 0..3 {
                let answer = two.run(&lab::rserpool().to_string_lossy(), &["resolve", "good", "--json", "-r", &at]);
                assert!(answer.text.contains("\"id\":7,"), "{}", answer.text);
                std::thread::sleep(Duration::from_millis(700));
            }
        }
        assert!(registrar.is_running() && element.is_running());
        assert_eq!(element.count("registered as"), 1, "{}", element.text());
        assert_eq!(registrar.count("removed from pool"), 0, "{}", registrar.text());
    });
}
