//! Faults over real sockets, with the `rserpool` command as processes: what is lost, and for how long.
//!
//! More of them are in `transport-std/tests/cluster.rs`: each registrar killed in turn and started again, and one that
//! stands still, under load.

mod bounds;
mod cast;
mod crowd;
mod links;
mod processes;
mod subscriber;
