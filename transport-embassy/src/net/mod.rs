//! The adapter for embassy-net.

#[cfg_attr(not(feature = "multicast"), path = "no_channel.rs")]
mod channel;
mod handle;
mod host;
mod resources;
mod runner;
mod streams;

#[cfg(feature = "multicast")]
pub use channel::ChannelBuffers;
pub use handle::{Chosen, Handle};
pub use resources::Resources;
pub use runner::{Runner, new};
