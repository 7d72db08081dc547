//! Takes a registrar's state.

use rserpool_core::handlespace::Handlespace;
use rserpool_core::wire::{Policy, Transport};
use rserpool_core::{Instant, Registrar};

use super::counters::counters;
use super::{ElementStatus, PeerStatus, PoolStatus, RegistrarStatus};
use crate::driver::{DriverHandle, DriverStats};

/// Where the state of a registrar that runs comes from.
pub(crate) struct Source {
    pub(crate) handle: DriverHandle<Registrar<'static>>,
    pub(crate) listening: Vec<String>,
    pub(crate) enrp_listening: Vec<String>,
    pub(crate) started: Instant,
}

impl Source {
    /// The state, with at most `most` elements; `None` where the registrar has ended.
    pub(crate) fn take(&self, most: usize) -> Option<RegistrarStatus> {
        let (driver, started) = (self.handle.stats(), self.started);
        let status = self.handle.with(move |machine, now| snapshot(machine, &driver, started, now, most)).ok()?;
        Some(RegistrarStatus {
            listening: self.listening.clone(),
            enrp_listening: self.enrp_listening.clone(),
            ..status
        })
    }
}

fn snapshot(
    registrar: &Registrar<'_>,
    driver: &DriverStats,
    started: Instant,
    now: Instant,
    most: usize,
) -> RegistrarStatus {
    let handlespace = registrar.handlespace();
    RegistrarStatus {
        id: registrar.id().0,
        listening: Vec::new(),
        enrp_listening: Vec::new(),
        serving: registrar.is_serving(),
        uptime: now.saturating_duration_since(started).as_secs_f64(),
        pool_count: handlespace.pools(),
        element_count: handlespace.elements(),
        pools: pools(handlespace, now, most),
        peers: peers(registrar, now),
        owned: handlespace.owned(registrar.id()),
        checksum: handlespace.checksum(registrar.id()),
        subscriptions: registrar.subscriptions(),
        counters: counters(registrar, driver),
    }
}

fn peers(registrar: &Registrar<'_>, now: Instant) -> Vec<PeerStatus> {
    let handlespace = registrar.handlespace();
    let mut peers: Vec<PeerStatus> = registrar
        .peers()
        .map(|peer| PeerStatus {
            id: peer.id.0,
            address: peer.address.map_or_else(String::new, |address| address.to_string()),
            state: peer.state.text().to_owned(),
            configured: peer.configured,
            connected: peer.connected,
            rsplib: peer.rsplib,
            last_heard: peer.last_heard.map(|at| now.saturating_duration_since(at).as_secs_f64()),
            owned: handlespace.owned(peer.id),
            checksum: handlespace.checksum(peer.id),
        })
        .collect();
    peers.sort_by(|a, b| (a.id, &a.address).cmp(&(b.id, &b.address)));
    peers
}

fn addresses(transport: Option<Transport<'_>>) -> Vec<String> {
    transport.map_or_else(Vec::new, |transport| transport.socket_addrs().map(|a| a.to_string()).collect())
}

fn pools(handlespace: &Handlespace<'_>, now: Instant, most: usize) -> Vec<PoolStatus> {
    let mut left = most;
    let mut shown = Vec::new();
    let mut at = None;
    while let Some(pool) = handlespace.next_pool(at) {
        at = Some(pool);
        let Some(view) = handlespace.pool(pool) else { continue };
        if left == 0 {
            break;
        }
        let (mut elements, mut policy) = (Vec::new(), String::new());
        let mut element = handlespace.next_element(pool, None);
        while let Some(e) = element.filter(|_| left > 0) {
            if let Some(view) = handlespace.element(e) {
                left -= 1;
                if let Some(element_policy) = view.policy() {
                    policy = policy_name(&element_policy);
                }
                elements.push(ElementStatus {
                    id: view.id.0,
                    home: view.home.0,
                    addresses: addresses(view.user_transport()),
                    asap_transport: addresses(view.asap_transport()),
                    policy: view.policy().map_or_else(String::new, |policy| policy.to_string()),
                    expires_in: view.expires.map(|at| at.saturating_duration_since(now).as_secs_f64()),
                });
            }
            element = handlespace.next_element(pool, Some(e));
        }
        shown.push(PoolStatus {
            handle: view.handle.to_string(),
            policy,
            transport: view.transport.to_string(),
            elements,
        });
    }
    shown.sort_by(|a, b| a.handle.cmp(&b.handle));
    shown
}

fn policy_name(policy: &Policy<'_>) -> String {
    match policy {
        Policy::Other { policy_type, .. } => format!("policy {policy_type:#010x}"),
        known => known.name().to_owned(),
    }
}
