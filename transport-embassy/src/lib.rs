#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(any(feature = "embassy-net", feature = "smoltcp")), allow(dead_code, unused_macros))]
//! Reliable Server Pooling in firmware.

#[cfg(test)]
extern crate std;

#[macro_use]
mod fmt;

#[cfg(any(feature = "embassy-net", feature = "smoltcp"))]
mod addr;
mod carrier;
#[cfg(feature = "multicast")]
mod channel;
#[cfg(feature = "embassy-net")]
mod clock;
mod config;
mod engine;
mod events;
mod framed;
#[cfg(feature = "embassy-net")]
mod net;
#[cfg(feature = "smoltcp")]
pub mod poll;
mod role;

pub use config::{Config, Listener, MAX_LISTENERS};
pub use role::Role;

#[cfg(feature = "multicast")]
pub use channel::{Channel, GROUP_V4};
#[cfg(feature = "embassy-net")]
pub use clock::now;
#[cfg(all(feature = "embassy-net", feature = "multicast"))]
pub use net::ChannelBuffers;
#[cfg(feature = "embassy-net")]
pub use net::{Chosen, Handle, Resources, Runner, new};
