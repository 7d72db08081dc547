//! The laws of the machines.

pub mod element;
mod endpoint;
mod host;
mod model;
mod network;
pub mod pair;
pub mod registrar;
pub mod user;
mod world;
