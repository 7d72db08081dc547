//! The laws of the machines.

mod host;
mod model;
pub mod registrar;
mod world;

pub fn element_ops(_: &[u8]) {}
pub fn user_ops(_: &[u8]) {}
pub fn pair_ops(_: &[u8]) {}
