//! What a registrar shows of itself, for people and scripts.

mod counters;
mod snapshot;

use serde::{Deserialize, Serialize};

pub(crate) use self::snapshot::Source;

/// A registrar at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegistrarStatus {
    /// Its identifier.
    pub id: u32,
    /// The addresses on which it listens for pool elements and pool users.
    pub listening: Vec<String>,
    /// The addresses on which it listens for other registrars.
    pub enrp_listening: Vec<String>,
    /// Whether its start is over: before, it copies the handlespace of a peer (RFC 5353, 3.2).
    pub serving: bool,
    /// Seconds since its start.
    pub uptime: f64,
    /// How many pools there are; `pools` may show fewer.
    pub pool_count: u32,
    /// How many pool elements there are.
    pub element_count: u32,
    /// The pools.
    pub pools: Vec<PoolStatus>,
    /// The other registrars that it knows.
    pub peers: Vec<PeerStatus>,
    /// How many elements it owns: it is their home.
    pub owned: u32,
    /// The checksum of the elements that it owns (RFC 5353, 3.6.2).
    pub checksum: u16,
    /// How many subscriptions there are.
    pub subscriptions: u32,
    /// What it has counted, by name.
    pub counters: Vec<(String, u64)>,
}

/// A pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its handle, as text.
    pub handle: String,
    /// Its policy, by name.
    pub policy: String,
    /// Its transport protocol.
    pub transport: String,
    /// Its elements.
    pub elements: Vec<ElementStatus>,
}

/// A pool element.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElementStatus {
    /// Its identifier.
    pub id: u32,
    /// Its home registrar.
    pub home: u32,
    /// Where its service is.
    pub addresses: Vec<String>,
    /// Where a registrar that takes over can reach it (its ASAP transport).
    pub asap_transport: Vec<String>,
    /// Its policy and the values.
    pub policy: String,
    /// Seconds until its registration ends; `None`: never.
    pub expires_in: Option<f64>,
}

/// Another registrar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its identifier; 0 as long as it has not told it.
    pub id: u32,
    /// Where it is; empty where that is not known.
    pub address: String,
    /// How it stands.
    pub state: String,
    /// Whether it was named by configuration.
    pub configured: bool,
    /// Whether there is an association with it.
    pub connected: bool,
    /// Whether it has shown that it is rsplib.
    pub rsplib: bool,
    /// How many seconds ago it was last heard; `None`: never.
    pub last_heard: Option<f64>,
    /// How many elements it owns, by what is known here.
    pub owned: u32,
    /// Their checksum, as computed here: its own should be the same.
    pub checksum: u16,
}
