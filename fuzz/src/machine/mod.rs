//! The laws of the machines.

pub mod endpoint;
mod host;
mod model;
pub mod registrar;
mod world;

pub fn pair_ops(_: &[u8]) {}
