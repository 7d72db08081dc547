//! The load of pool elements: hosts that come, change their policy values, go in good order, crash or vanish.

use std::net::SocketAddr;

use rserpool_core::wire::{Lifetime, Policy, Transport};
use rserpool_core::{ElementEvent, ElementInfo, ElementKey, Instant, PeId};

use super::cluster::Cluster;
use super::node::{Kind, NodeId, ip};
use super::trace::Detail;
use super::world::Happening;

/// One host with elements of one pool.
pub struct ElementHost {
    pub node: NodeId,
    pub pool: usize,
    /// The registrars that it is configured with.
    pub knows: Vec<NodeId>,
    pub elements: Vec<Mine>,
    /// When it last lost or changed its home.
    pub moved_at: Instant,
    /// With which identifiers it comes back; none for random ones.
    fixed_ids: Vec<PeId>,
}

/// One of its elements.
#[derive(Clone, Copy, Debug)]
pub struct Mine {
    pub key: ElementKey,
    pub id: PeId,
    /// When the application last did something to it.
    pub changed_at: Instant,
    /// Since when it has this identifier.
    pub since: Instant,
    pub leaving: bool,
    pub value: u32,
    /// It was refused, or nobody answered.
    stopped: bool,
}

pub fn pool_handle(pool: usize) -> [u8; 6] {
    [b'p', b'o', b'o', b'l', b'-', b'a' + pool as u8]
}

pub fn pool_number(handle: &[u8]) -> Option<usize> {
    handle.strip_prefix(b"pool-")?.first()?.checked_sub(b'a').map(usize::from)
}

/// All elements of a pool have the same policy, each with a value of its own.
pub fn policy(pool: usize, value: u32) -> Policy<'static> {
    match pool % 4 {
        0 => Policy::RoundRobin,
        1 => Policy::LeastUsed { load: value },
        2 => Policy::WeightedRandom { weight: value % 16 + 1 },
        _ => Policy::Priority { priority: value },
    }
}

impl Cluster {
    pub fn add_element_host(&mut self, at: usize) {
        let node = self.world.add(Kind::Element, format!("E{at}"));
        let registrars: Vec<NodeId> = (0..self.scenario.registrars).collect();
        let one = self.rng.per_mille(self.scenario.knows_one);
        let knows = if one { vec![self.rng.pick(&registrars)] } else { registrars };
        let pool = self.rng.index(self.scenario.pools);
        let ids = if self.rng.per_mille(200) { self.scenario.elements_per_host } else { 0 };
        let fixed_ids = (0..ids).map(|k| PeId((at * 16 + k + 1) as u32)).collect();
        self.elements.push(ElementHost {
            node,
            pool,
            knows,
            elements: Vec::new(),
            moved_at: self.world.now,
            fixed_ids,
        });
        // They come one after the other.
        let first = self.rng.up_to(self.scenario.registrar.enrp.max_time_last_heard);
        self.world.queue.push(self.world.now + first, Happening::Act { node, incarnation: 0 });
    }

    fn next_element_act(&mut self, at: usize) {
        let Some(mean) = self.scenario.churn else { return };
        let when = self.world.now + self.rng.up_to(mean * 2);
        if when < self.scenario.quiet_at {
            self.element_acts_at(at, when);
        }
    }

    fn element_acts_at(&mut self, at: usize, when: Instant) {
        let node = self.elements[at].node;
        let incarnation = self.world.nodes[node].incarnation;
        self.world.queue.push(when, Happening::Act { node, incarnation });
    }

    pub fn element_acts(&mut self, at: usize) {
        let node = self.elements[at].node;
        if !self.world.nodes[node].is_up() {
            if self.is_loud() {
                self.element_host_comes(at);
                self.next_element_act(at);
            }
            return;
        }
        let again: Vec<ElementKey> =
            self.elements[at].elements.iter_mut().filter(|mine| mine.stopped).map(|mine| mine.key).collect();
        for key in again {
            let now = self.world.now;
            if let Some(mine) = self.elements[at].elements.iter_mut().find(|mine| mine.key == key) {
                (mine.stopped, mine.changed_at) = (false, now);
            }
            self.world.pe(node, |pe, now| pe.reregister(now, key));
        }
        if !self.is_loud() || self.scenario.churn.is_none() {
            return;
        }
        match self.rng.below(if self.scenario.steady { 50 } else { 100 }) {
            0..50 => self.update_policy(at),
            50..60 => self.add_element(at),
            60..75 => self.remove_element(at),
            75..80 => {
                self.note(|| format!("E{at} vanishes"));
                self.element_host_ends(at, true);
            }
            80..85 => {
                self.note(|| format!("E{at} crashes"));
                self.element_host_ends(at, false);
            }
            _ => {}
        }
        self.next_element_act(at);
    }

    fn element_host_comes(&mut self, at: usize) {
        let ElementHost { node, ref knows, .. } = self.elements[at];
        let machine = self.scenario.make_element(&mut self.world, node, &knows.clone());
        self.note(|| format!("E{at} comes"));
        self.world.start(node, machine);
        for _ in 0..self.rng.range(1, self.scenario.elements_per_host as u64) {
            self.add_element(at);
        }
    }

    fn element_host_ends(&mut self, at: usize, host: bool) {
        let now = self.world.now;
        self.refresh_ids(at);
        let pool = self.elements[at].pool;
        for mine in std::mem::take(&mut self.elements[at].elements) {
            self.living.remove(&(pool, mine.id));
            self.gone.insert((pool, mine.id), now);
        }
        self.world.stop(self.elements[at].node, host);
        self.next_element_act(at);
    }

    fn add_element(&mut self, at: usize) {
        let ElementHost { node, pool, .. } = self.elements[at];
        if self.elements[at].elements.len() >= self.scenario.elements_per_host {
            return;
        }
        let mine = &self.elements[at].elements;
        let id = self.elements[at].fixed_ids.iter().copied().find(|id| mine.iter().all(|mine| mine.id != *id));
        let value = self.rng.next() as u32;
        let lifetime = Lifetime::from_secs(self.scenario.lifetime.as_secs().max(1) as u32);
        let handle = pool_handle(pool);
        let info = ElementInfo {
            pool_handle: &handle,
            id,
            user_transport: Transport::Tcp(SocketAddr::new(ip(node), 7)),
            policy: policy(pool, value),
            lifetime,
        };
        let now = self.world.now;
        let registered = self.world.pe(node, |pe, now| {
            let key = pe.register(now, &info)?;
            Ok::<_, rserpool_core::RegisterError>((key, pe.id(key)))
        });
        if let Some(Ok((key, Some(id)))) = registered {
            self.elements[at].elements.push(Mine {
                key,
                id,
                changed_at: now,
                since: now,
                leaving: false,
                value,
                stopped: false,
            });
            self.lives(at, id);
        }
    }

    fn lives(&mut self, at: usize, id: PeId) {
        let pool = self.elements[at].pool;
        if self.gone.remove(&(pool, id)).is_some() {
            self.watch.returned += 1;
        }
        self.living.insert((pool, id), at);
    }

    fn update_policy(&mut self, at: usize) {
        let ElementHost { node, pool, .. } = self.elements[at];
        if self.elements[at].elements.is_empty() {
            return self.add_element(at);
        }
        let (k, value, now) =
            (self.rng.index(self.elements[at].elements.len()), self.rng.next() as u32, self.world.now);
        let mine = &mut self.elements[at].elements[k];
        if !mine.leaving {
            (mine.changed_at, mine.value, mine.stopped) = (now, value, false);
            let key = mine.key;
            self.world.trace.line(Detail::All, now, || format!("* E{at} changes its policy values"));
            self.world.pe(node, |pe, now| pe.set_policy(now, key, policy(pool, value)));
        }
    }

    fn remove_element(&mut self, at: usize) {
        let now = self.world.now;
        let node = self.elements[at].node;
        let Some(mine) = self.elements[at].elements.first_mut().filter(|mine| !mine.leaving) else { return };
        (mine.leaving, mine.changed_at) = (true, now);
        let key = mine.key;
        self.note(|| format!("an element of E{at} leaves"));
        self.world.pe(node, |pe, now| pe.deregister(now, key));
    }

    pub fn element_told(&mut self, at: usize, event: ElementEvent) {
        let now = self.world.now;
        match event {
            ElementEvent::Deregistered { element, id } => {
                let pool = self.elements[at].pool;
                self.elements[at].elements.retain(|mine| mine.key != element);
                self.living.remove(&(pool, id));
                self.gone.insert((pool, id), now);
            }
            ElementEvent::NoAnswer(element) | ElementEvent::Rejected { element, .. } => {
                if let Some(mine) = self.elements[at].elements.iter_mut().find(|mine| mine.key == element) {
                    mine.stopped = true;
                }
                let pause = self.scenario.registrar.keep_alive_timeout;
                self.element_acts_at(at, now + pause);
            }
            ElementEvent::HomeFound(_) | ElementEvent::HomeLost | ElementEvent::HomeAdopted(_) => {
                self.elements[at].moved_at = now;
            }
            _ => {}
        }
        self.refresh_ids(at);
    }

    /// A random identifier changes when it is taken.
    fn refresh_ids(&mut self, at: usize) {
        let ElementHost { node, pool, .. } = self.elements[at];
        let Some(machine) = self.world.nodes[node].element() else { return };
        let mut changed = Vec::new();
        for mine in &mut self.elements[at].elements {
            if let Some(id) = machine.id(mine.key).filter(|id| *id != mine.id) {
                mine.since = self.world.now;
                changed.push((std::mem::replace(&mut mine.id, id), id));
            }
        }
        for (old, new) in changed {
            self.living.remove(&(pool, old));
            self.gone.insert((pool, old), self.world.now);
            self.lives(at, new);
        }
    }

    /// The registrar that an element host holds for its home.
    pub fn home_of(&self, at: usize) -> Option<NodeId> {
        let node = &self.world.nodes[self.elements[at].node];
        let home = node.element()?.home()?;
        let conn = node.conn(home.assoc)?;
        let ends = &self.world.conns[conn].ends;
        Some(ends[usize::from(ends[0].node == self.elements[at].node)].node)
    }
}
