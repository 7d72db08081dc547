//! The laws of the machines.

pub mod endpoint;
mod host;
mod model;
mod network;
pub mod pair;
pub mod registrar;
mod world;
