//! What the load consists of.

use std::net::{Ipv4Addr, SocketAddr};

use clap::ValueEnum;
use rserpool_core::wire::asap::{HandleResolution, Registration};
use rserpool_core::wire::{AsapMessage, Lifetime, Policy, PoolElementParam, PoolHandle, Transport};
use rserpool_core::{PeId, ServerId};
use serde::Serialize;

use super::load::Source;

/// A pool's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PolicyName {
    /// Round Robin
    Rr,
    /// Weighted Round Robin
    Wrr,
    /// Random
    Rand,
    /// Weighted Random
    Wrand,
    /// Priority
    Prio,
    /// Least Used
    Lu,
    /// Least Used with Degradation
    Lud,
    /// Priority Least Used
    Plu,
    /// Randomized Least Used
    Rlu,
}

impl PolicyName {
    /// The part of the pool's element with this number.
    pub(super) fn of(self, element: u32) -> Policy<'static> {
        let weight = 1 + element % 10;
        let load = element.wrapping_mul(0x0600_0001) & 0x7fff_ffff;
        let degradation = 0x0100_0000;
        match self {
            PolicyName::Rr => Policy::RoundRobin,
            PolicyName::Wrr => Policy::WeightedRoundRobin { weight },
            PolicyName::Rand => Policy::Random,
            PolicyName::Wrand => Policy::WeightedRandom { weight },
            PolicyName::Prio => Policy::Priority { priority: weight },
            PolicyName::Lu => Policy::LeastUsed { load },
            PolicyName::Lud => Policy::LeastUsedDegradation { load, degradation },
            PolicyName::Plu => Policy::PriorityLeastUsed { load, degradation },
            PolicyName::Rlu => Policy::RandomizedLeastUsed { load },
        }
    }
}

/// All handles are of one length, so that all answers are.
fn handle(pool: u32) -> String {
    format!("bench-{pool:06}")
}

/// Adds a message and its padding.
fn push(bytes: &mut Vec<u8>, message: &AsapMessage<'_>) {
    let at = bytes.len();
    bytes.resize(at + message.encoded_len(), 0);
    // It has the length that it was asked for; nothing of a message made here is too long.
    let _ = message.emit(&mut bytes[at..]);
}

/// One request after the other.
#[derive(Debug)]
pub(super) struct Requests {
    bytes: Vec<u8>,
    /// Where each request ends.
    ends: Vec<usize>,
    at: usize,
    repeat: bool,
}

impl Requests {
    /// The registrations of a connection: of every `step`th element of all, from `first`.
    pub(super) fn registrations(elements: u32, pools: u32, policy: PolicyName, first: usize, step: usize) -> Self {
        let mut requests = Requests { bytes: Vec::new(), ends: Vec::new(), at: 0, repeat: false };
        for number in (0..elements).skip(first).step_by(step) {
            let (pool, element) = (number % pools, number / pools);
            let handle = handle(pool);
            let Some(pool_handle) = PoolHandle::new(handle.as_bytes()) else { continue };
            let port = 1024 + u16::try_from(number % 60_000).unwrap_or(0);
            let host = Ipv4Addr::from(0x7f00_0001 + number / 60_000);
            let element = PoolElementParam {
                id: PeId(number + 1),
                home: ServerId::NONE,
                lifetime: Lifetime::from_secs(3600),
                user_transport: Transport::Tcp(SocketAddr::from((host, port))),
                policy: policy.of(element),
                asap_transport: None,
            };
            requests.push(&Registration { pool_handle, element }.into());
        }
        requests
    }

    /// Resolutions without end: all pools in an order that is far from that of their registration, `items` elements
    /// each, or as many as the registrar gives where that is 0.
    pub(super) fn resolutions(pools: u32, items: u32, first: usize) -> Self {
        let mut requests = Requests { bytes: Vec::new(), ends: Vec::new(), at: 0, repeat: true };
        let mut order: Vec<u32> = (0..pools).collect();
        let mut state = 0x9e37_79b9_7f4a_7c15u64.wrapping_add(first as u64);
        for at in (1..order.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(at, (state >> 33) as usize % (at + 1));
        }
        for pool in order {
            let handle = handle(pool);
            let Some(pool_handle) = PoolHandle::new(handle.as_bytes()) else { continue };
            let wanted_items = (items > 0).then_some(items);
            requests.push(&HandleResolution { subscribe: false, pool_handle, wanted_items }.into());
        }
        requests
    }

    fn push(&mut self, message: &AsapMessage<'_>) {
        push(&mut self.bytes, message);
        self.ends.push(self.bytes.len());
    }

    /// The first one.
    pub(super) fn first(&self) -> &[u8] {
        &self.bytes[..self.ends.first().copied().unwrap_or(0)]
    }
}

impl Source for Requests {
    fn next(&mut self, most: usize) -> (&[u8], usize) {
        if self.repeat && self.at == self.ends.len() {
            self.at = 0;
        }
        let start = if self.at == 0 { 0 } else { self.ends[self.at - 1] };
        let count = most.min(self.ends.len() - self.at);
        self.at += count;
        let end = if self.at == 0 { 0 } else { self.ends[self.at - 1] };
        (&self.bytes[start..end], count)
    }
}
