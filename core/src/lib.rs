#![no_std]
#![forbid(unsafe_code)]
#![warn(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]
#![cfg_attr(
    not(test),
    warn(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::cast_possible_truncation
    )
)]
//! Reliable Server Pooling.

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

#[macro_use]
mod fmt;

mod arena;
mod error;
pub mod handlespace;
mod ids;
mod machine;
mod policy;
mod rand;
mod time;
pub mod wire;

pub use error::RecvError;
pub use ids::{AssocId, DialId, PeId, Ppid, ServerId};
pub use machine::{Destination, Input, Link, Machine, Output, Transmit};
pub use time::Instant;
