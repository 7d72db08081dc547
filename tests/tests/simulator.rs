//! Clusters of registrars in simulated time: fixed seeds of each mood, the same trace twice, and a proof that the rules
//! notice what they are there for.

use rserpool_tests::sim::{Mood, Options, Outcome, Sabotage, run};

/// Runs seeds, and gives the outcomes; none of them may break a rule.
fn all_is_well(mood: Mood, seeds: std::ops::Range<u64>) -> Vec<Outcome> {
    let options = Options { mood, ..Options::default() };
    let outcomes: Vec<Outcome> = seeds.map(|seed| run(seed, options)).collect();
    for outcome in &outcomes {
        assert_eq!(outcome.violation, None, "simulate --replay {}{}", outcome.seed, options.arguments());
    }
    outcomes
}

#[test]
fn rough() {
    let outcomes = all_is_well(Mood::Rough, 0..15);
    // The faults were some, and did not stop everything.
    assert!(outcomes.iter().map(|outcome| outcome.takeovers).sum::<u64>() > 8);
    assert!(outcomes.iter().map(|outcome| outcome.resynchronisations).sum::<u64>() > 20);
    let served = |outcome: &Outcome| outcome.served.served > outcome.served.failed * 10;
    assert!(outcomes.iter().filter(|outcome| served(outcome)).count() > 7);
}

#[test]
fn calm() {
    all_is_well(Mood::Calm, 0..4);
}

#[test]
fn takeovers() {
    let outcomes = all_is_well(Mood::Takeovers, 0..4);
    assert!(outcomes.iter().map(|outcome| outcome.takeovers).sum::<u64>() > 2);
}

#[test]
fn joins() {
    all_is_well(Mood::Joins, 0..3);
}

#[test]
fn stalls() {
    let outcomes = all_is_well(Mood::Stalls, 0..5);
    assert!(outcomes.iter().map(|outcome| outcome.takeovers).sum::<u64>() > 2);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 1000..1002 {
        let (once, again) = (run(seed, Options::default()), run(seed, Options::default()));
        assert_eq!((once.trace, once.happenings), (again.trace, again.happenings));
        assert_ne!(once.trace, run(seed + 1, Options::default()).trace);
    }
}

/// Which rules notice a sabotage, in some seeds in which it strikes.
fn noticed(sabotage: Sabotage, mood: Mood, seeds: std::ops::Range<u64>) -> Vec<&'static str> {
    let outcomes = seeds.map(|seed| run(seed, Options { mood, sabotage, ..Options::default() }));
    let struck: Vec<Outcome> = outcomes.filter(|outcome| outcome.strikes > 0).collect();
    assert!(!struck.is_empty(), "{sabotage:?} never struck");
    struck.into_iter().filter_map(|outcome| outcome.violation).map(|violation| violation.rule).collect()
}

#[test]
fn a_lost_del_pe_is_noticed() {
    let rules = noticed(Sabotage::LostDelPe, Mood::Calm, 0..2);
    assert!(rules.contains(&"message counts"), "{rules:?}");
}

#[test]
fn a_wrong_arbitration_is_noticed() {
    let rules = noticed(Sabotage::WrongArbitration, Mood::Takeovers, 63..66);
    assert!(rules.contains(&"one winner"), "{rules:?}");
    let rules = noticed(Sabotage::NoArbitration, Mood::Takeovers, 8..11);
    assert!(rules.contains(&"a takeover is in time"), "{rules:?}");
}

#[test]
fn an_expired_cursor_is_noticed() {
    let rules = noticed(Sabotage::ExpiredCursor, Mood::Joins, 3..7);
    assert!(rules.contains(&"a start copies everything"), "{rules:?}");
}

#[test]
fn a_stale_add_pe_is_noticed() {
    let rules = noticed(Sabotage::StaleAddPe, Mood::Takeovers, 0..3);
    assert!(rules.contains(&"message counts"), "{rules:?}");
}
