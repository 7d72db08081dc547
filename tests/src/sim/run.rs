//! One run, from a seed to its result.

use std::fmt;

use rserpool_core::Instant;

use super::cluster::Cluster;
use super::sabotage::Sabotage;
use super::scenario::{Mood, Scenario};
use super::trace::Detail;
use super::user::Served;
use super::world::Violation;

/// How to run a seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub mood: Mood,
    pub sabotage: Sabotage,
    pub detail: Detail,
}

impl Options {
    /// As the command takes them.
    pub fn arguments(&self) -> String {
        let mood = Mood::ALL.iter().find(|(_, mood)| *mood == self.mood && *mood != Mood::default());
        let sabotage = Sabotage::ALL.iter().find(|(_, kind)| *kind == self.sabotage);
        let mood = mood.map_or(String::new(), |(name, _)| format!(" --mood {name}"));
        sabotage.map_or(mood.clone(), |(name, _)| format!("{mood} --sabotage {name}"))
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    pub violation: Option<Violation>,
    pub trace: u64,
    pub text: String,
    pub simulated: Instant,
    pub happenings: u64,
    pub enrp: u64,
    pub asap: u64,
    pub takeovers: u64,
    pub resynchronisations: u64,
    pub served: Served,
    pub peak: u64,
    pub strikes: u32,
}

/// Runs a scenario that is drawn from a seed.
pub fn run(seed: u64, options: Options) -> Outcome {
    run_scenario(Scenario::random(seed, options.mood), options)
}

pub fn run_scenario(scenario: Scenario, options: Options) -> Outcome {
    let seed = scenario.seed;
    let mut cluster = Cluster::new(scenario, options.sabotage, options.detail);
    cluster.run();
    let Cluster { world, watch, .. } = cluster;
    Outcome {
        seed,
        trace: world.trace.hash(),
        text: world.trace.text().to_string(),
        simulated: world.now,
        happenings: world.happenings,
        enrp: world.nodes.iter().map(|node| node.sent.enrp_messages()).sum(),
        asap: world.nodes.iter().map(|node| node.sent.asap_messages()).sum(),
        takeovers: watch.takeovers,
        resynchronisations: watch.resynchronisations,
        served: watch.served,
        peak: watch.peak,
        strikes: world.saboteur.strikes,
        violation: world.violation,
    }
}

/// Many runs together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub runs: u64,
    pub violations: u64,
    micros: u64,
    happenings: u64,
    enrp: u64,
    asap: u64,
    takeovers: u64,
    resynchronisations: u64,
    served: Served,
    peak: u64,
}

impl Totals {
    pub fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.violations += u64::from(outcome.violation.is_some());
        self.micros += outcome.simulated.as_micros();
        self.happenings += outcome.happenings;
        self.enrp += outcome.enrp;
        self.asap += outcome.asap;
        self.takeovers += outcome.takeovers;
        self.resynchronisations += outcome.resynchronisations;
        self.served.served += outcome.served.served;
        self.served.failed += outcome.served.failed;
        self.served.unresolved += outcome.served.unresolved;
        self.peak = self.peak.max(outcome.peak);
    }

    pub fn hours(&self) -> f64 {
        self.micros as f64 / 3.6e9
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("seeds", self.runs),
            ("violations", self.violations),
            ("simulated hours", self.hours() as u64),
            ("happenings", self.happenings),
            ("messages of ENRP", self.enrp),
            ("messages of ASAP", self.asap),
            ("most of ENRP in a second", self.peak),
            ("takeovers", self.takeovers),
            ("re-synchronisations", self.resynchronisations),
            ("users served", self.served.served),
            ("served what was dead", self.served.failed),
            ("users that found nothing", self.served.unresolved),
        ];
        rows.iter().try_for_each(|(what, count)| writeln!(f, "{what:26} {count:>12}"))
    }
}
