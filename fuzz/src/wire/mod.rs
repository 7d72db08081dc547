//! The laws of the wire.

pub mod differential;
pub mod frames;
pub mod generate;
pub mod laws;
pub mod layout;
pub mod message;
pub mod naive;
