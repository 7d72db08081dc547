#![allow(missing_docs, unreachable_pub, reason = "the names say it, and mod.rs what is for others")]
//! A simulator for clusters of registrars, pool elements and pool users. One seed decides everything: the cluster, its
//! timers, the network, the load and the faults; the same seed gives the same trace. Time is a variable, nothing waits.
//!
//! - `world.rs` is what happens: nodes, each with a machine and a clock of its own (`node.rs`, `clock.rs`), associations that
//!   are reliable and ordered until they break, at each end by itself (`assoc.rs`), and what the network is like (`net.rs`).
//!   It uses the machines by their public interface, drains them as adapters do, and checks the rules of
//!   [`Machine`](rserpool_core::Machine) while it does.
//! - `scenario.rs` draws what is to happen from the seed, in a [`Mood`]; `cluster.rs` lets it happen; `element.rs` and
//!   `user.rs` are the load.
//! - `check.rs` has the rules, `bounds.rs` how long the protocol may take to make them true: sums of its thresholds.
//! - `sabotage.rs` does to messages what a broken registrar would, to show that the rules notice.
//! - `scale.rs` is the large cluster; `trace.rs` and `describe.rs` make the timeline.
//!
//! The rules, in the words of the violations:
//!
//! | Rule | When |
//! | --- | --- |
//! | rule 1, rule 3, rule 5, drains end, messages are well-formed | always |
//! | memory, no storm, identifiers are unique | always |
//! | a takeover is in time, one winner, a takeover loses no element | after a death, if all was well before |
//! | a start copies everything | after a restart, if all was well before |
//! | the living stay listed | always, in the mood `stalls`, at registrars that did not stand still lately |
//! | takeovers complete, the dead do not stay, nobody is served the dead | a bound after the last fault, under load |
//! | the living are registered, message counts, users find the living | a bound after the last fault, under load |
//! | one handlespace, registrars serve, peers know each other | at the end, after a quiet period |
//!
//! What it does not have: SCTP with several addresses, registrars that are rsplib, full storage.

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
