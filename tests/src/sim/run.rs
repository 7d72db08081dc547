//! One run, from a seed to its result.

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
