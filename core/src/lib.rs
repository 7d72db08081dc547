#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::std_instead_of_core,
        clippy::std_instead_of_alloc,
        clippy::alloc_instead_of_core,
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
mod blobs;
mod config;
mod element;
mod error;
mod events;
pub mod handlespace;
mod hunt;
mod ids;
mod machine;
mod policy;
mod rand;
mod registrar;
mod report;
mod scratch;
mod time;
mod user;
pub mod wire;

#[cfg(feature = "alloc")]
pub use config::EndpointLimits;
pub use config::{EndpointConfig, Links};
pub use element::{ElementEvent, ElementInfo, ElementKey, ElementStorage, PoolElement, RegisterError};
pub use error::RecvError;
pub use hunt::{Home, ServerSlot};
pub use ids::{AssocId, DialId, PeId, Ppid, ServerId};
pub use machine::{Destination, Input, Link, Machine, Output, Transmit};
#[cfg(feature = "alloc")]
pub use registrar::RegistrarLimits;
pub use registrar::{
    MAX_ANNOUNCED, Registrar, RegistrarConfig, RegistrarEvent, RegistrarStats, RegistrarStorage, RemovalReason,
};
pub use time::Instant;
pub use user::{PoolUser, Resolution, ResolveError, SelectError, Unresolved, UserEvent, UserStorage};
