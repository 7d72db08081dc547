//! What a pool element and a pool user have in common: their registrars, and the pools that they resolve.

use std::collections::{BTreeMap, BTreeSet};

use rserpool_core::wire::{AsapMessage, PoolElementParam};
use rserpool_core::{
    Compat, EndpointConfig, EndpointLimits, EndpointRates, Input, Instant, Link, Links, PeId, PoolElement, PoolUser,
    Ppid, Rate, Resolution, SelectError,
};

use super::host::Subject;
use super::world::{Cause, Outcome, World};
use crate::wire::generate::Source;
use crate::wire::message::Message;

pub const LIMITS: EndpointLimits = EndpointLimits { elements: 2, servers: 5, pools: 2, cached_elements: 4 };
/// RFC 5352, 3.6, SH1: no more than three at once.
const MAX_DIALS: usize = 3;

/// What both have in common.
pub trait Endpoint: Subject {
    fn elements(&self, resolution: Resolution) -> Vec<u32>;
    fn primary(&mut self, now: Instant, resolution: Resolution) -> Result<u32, SelectError>;
    fn report(&mut self, now: Instant, resolution: Resolution, failed: PeId) -> bool;
}

pub fn id(element: PoolElementParam<'_>) -> u32 {
    element.id.0
}

impl Endpoint for PoolElement<'_> {
    fn elements(&self, resolution: Resolution) -> Vec<u32> {
        self.elements(resolution).map(id).collect()
    }
    fn primary(&mut self, now: Instant, resolution: Resolution) -> Result<u32, SelectError> {
        self.primary(now, resolution).map(id)
    }
    fn report(&mut self, now: Instant, resolution: Resolution, failed: PeId) -> bool {
        self.report_failure(now, resolution, failed)
    }
}

impl Endpoint for PoolUser<'_> {
    fn elements(&self, resolution: Resolution) -> Vec<u32> {
        self.elements(resolution).map(id).collect()
    }
    fn primary(&mut self, now: Instant, resolution: Resolution) -> Result<u32, SelectError> {
        self.primary(now, resolution).map(id)
    }
    fn report(&mut self, now: Instant, resolution: Resolution, failed: PeId) -> bool {
        self.report_failure(now, resolution, failed)
    }
}

/// Which elements of which pool registrars have ever told of, and who was asked for. Nothing else may be handed out.
#[derive(Default)]
pub struct Answers {
    told: BTreeMap<Vec<u8>, BTreeSet<u32>>,
    asked: BTreeSet<Vec<u8>>,
    resolutions: Vec<(Resolution, Vec<u8>)>,
}

impl Answers {
    pub fn resolved(&mut self, resolution: Resolution, pool: &[u8]) {
        self.asked.insert(pool.to_vec());
        self.resolutions.retain(|(known, _)| *known != resolution);
        self.resolutions.push((resolution, pool.to_vec()));
        if self.resolutions.len() > 8 {
            self.resolutions.remove(0);
        }
    }

    pub fn pick(&self, source: &mut Source<'_>) -> Option<(Resolution, Vec<u8>)> {
        let at = usize::from(source.u8()).checked_rem(self.resolutions.len())?;
        self.resolutions.get(at).cloned()
    }

    pub fn check<M: Endpoint>(&mut self, world: &World<M>, outcome: &Outcome<M::Event>) {
        if let Cause::Message { bytes, .. } = &outcome.cause
            && let Ok(AsapMessage::HandleResolutionResponse(answer)) = AsapMessage::parse(bytes).map(|p| p.message)
        {
            let told = self.told.entry(answer.pool_handle.as_bytes().to_vec()).or_default();
            told.extend(answer.elements.iter().map(id));
        }
        let mut cached = 0;
        for (resolution, pool) in &self.resolutions {
            let elements = world.host.machine.elements(*resolution);
            let told = self.told.get(pool);
            for (at, id) in elements.iter().enumerate() {
                assert!(told.is_some_and(|told| told.contains(id)), "nobody has told of {id:#x} in {pool:02x?}");
                assert!(!elements[..at].contains(id), "each once");
            }
            cached += elements.len();
        }
        assert!(cached <= LIMITS.cached_elements as usize, "storage bounds hold");
        assert!(world.dials.len() <= MAX_DIALS, "SH1");
        for sent in &outcome.sent {
            let asked = match sent.message() {
                Message::Asap(AsapMessage::HandleResolution(message)) => message.pool_handle,
                Message::Asap(AsapMessage::EndpointUnreachable(message)) => message.pool_handle,
                _ => continue,
            };
            assert!(self.asked.contains(asked.as_bytes()), "it asks for what it was asked for");
        }
    }

    /// Selects, and reports a failure.
    pub fn use_pool<M: Endpoint>(&mut self, world: &mut World<M>, source: &mut Source<'_>) {
        let Some((resolution, _)) = self.pick(source) else { return };
        let failed = PeId(if source.flag() {
            let known = world.host.machine.elements(resolution);
            usize::from(source.u8()).checked_rem(known.len()).map_or(0, |at| known[at])
        } else {
            source.pe_id().0
        });
        match source.below(3) {
            0 => {
                world.host.call(|machine, now| machine.report(now, resolution, failed));
                let chosen = world.host.call(|machine, now| machine.primary(now, resolution));
                assert_ne!(chosen, Ok(failed.0), "3.5: it has failed, and is not given out");
            }
            _ => {
                let known = world.host.machine.elements(resolution);
                let chosen = world.host.call(|machine, now| machine.primary(now, resolution));
                let _ = chosen.map_err(|error| error.to_string());
                assert!(chosen.is_err() || known.contains(&chosen.unwrap_or(0)), "one of those that are known");
            }
        }
    }
}

pub fn config(flags: u8) -> EndpointConfig {
    let bit = |n: u8| flags >> n & 1 == 1;
    let rate = Rate { per_second: 1, burst: 2 };
    let tight = EndpointRates {
        registrations: rate,
        keep_alive_acks: rate,
        home_changes: rate,
        unreachable_reports: rate,
        errors: rate,
    };
    EndpointConfig {
        serve_stale: bit(0),
        wanted_items: bit(1).then_some(3),
        links: Links { sctp: bit(2), tcp: true },
        asap_port: if bit(3) { 3863 } else { 0 },
        max_reg_attempt: if bit(4) { 0 } else { 2 },
        compat: if bit(5) { Compat::Rsplib } else { Compat::Auto },
        rates: if bit(6) { tight } else { EndpointRates::new() },
        ..EndpointConfig::new()
    }
}

/// Registrars are at hand, so that most inputs come to something.
pub fn configured<T>(mut machine: T, add: impl Fn(&mut T, Link, &[std::net::SocketAddr]) -> bool) -> T {
    for n in 1..=4 {
        assert!(add(&mut machine, Link::Tcp, &[([192, 0, 2, n], 3863).into()]));
    }
    machine
}

/// The op begins with the dials being answered, where the input says so: the home is there at once.
pub fn at_home<M: Subject>(world: &mut World<M>) {
    if let Some((dial, (link, ppid, to))) = world.dials.pop_first() {
        world.connect(Some(dial), link, ppid, &to);
    }
}

/// A registrar announces itself.
pub fn announced<M: Subject>(world: &mut World<M>, source: &mut Source<'_>) -> Outcome<M::Event> {
    let (from, announce) = (source.socket_addr(), source.announce());
    let bytes = Message::Asap(announce.into()).bytes().expect("four transports are short");
    let _ = world.host.input(Input::Datagram { from, ppid: Ppid::Asap, bytes: &bytes });
    world.outcome(Cause::Other)
}

/// What a registrar says last.
pub fn last_words<M: Subject>(world: &mut World<M>, source: &mut Source<'_>) -> Outcome<M::Event> {
    match (world.pick(source.u8()), Message::Asap(source.asap()).bytes()) {
        (Some(assoc), Some(bytes)) if assoc.ppid == Ppid::Asap => world.last_words(assoc, &bytes),
        _ => world.outcome(Cause::Other),
    }
}

pub fn speak<M: Subject>(world: &mut World<M>, source: &mut Source<'_>) -> Outcome<M::Event> {
    match world.pick(source.u8()) {
        Some(assoc) => world.sensible(source, assoc),
        None => {
            at_home(world);
            world.outcome(Cause::Other)
        }
    }
}
