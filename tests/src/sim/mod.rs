#![allow(missing_docs, reason = "the names say it")]
//! A simulator for clusters of registrars.
mod assoc;
mod bounds;
mod build;
mod check;
mod clock;
mod cluster;
mod describe;
mod element;
mod net;
mod node;
mod queue;
mod rng;
mod run;
mod sabotage;
mod scale;
mod scenario;
mod trace;
mod user;
mod world;

pub use bounds::Bounds;
pub use run::{Options, Outcome, Totals, run, run_scenario};
pub use sabotage::Sabotage;
pub use scale::{Row, scale};
pub use scenario::{Mood, Scenario};
pub use trace::Detail;
pub use world::Violation;
