//! The load of pool users: they resolve or subscribe, choose an element, talk to it, and report it if it does not answer.

use rserpool_core::{Resolution, UserEvent};

use super::cluster::Cluster;
use super::element::{pool_handle, pool_number};
use super::node::{Kind, NodeId};
use super::world::Happening;

pub struct UserHost {
    pub node: NodeId,
    subscribes: bool,
    /// The latest resolution, which is waited for.
    waits_for: Option<Resolution>,
}

/// What became of what users wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served {
    pub served: u64,
    /// The element that was handed out was dead, or could not be reached.
    pub failed: u64,
    pub unresolved: u64,
}

impl Cluster {
    pub fn add_user(&mut self, at: usize) {
        let node = self.world.add(Kind::User, format!("U{at}"));
        let knows: Vec<NodeId> = (0..self.scenario.registrars).collect();
        let machine = self.scenario.make_user(&mut self.world, node, &knows);
        let subscribes = self.rng.per_mille(300);
        self.users.push(UserHost { node, subscribes, waits_for: None });
        self.world.start(node, machine);
        self.next_user_act(at);
    }

    fn next_user_act(&mut self, at: usize) {
        let node = self.users[at].node;
        let when = self.world.now + self.rng.up_to(self.scenario.demand * 2);
        let incarnation = self.world.nodes[node].incarnation;
        self.world.queue.push(when, Happening::Act { node, incarnation });
    }

    pub fn user_acts(&mut self, at: usize) {
        self.next_user_act(at);
        let UserHost { node, subscribes, .. } = self.users[at];
        let handle = pool_handle(self.rng.index(self.scenario.pools));
        let resolved = self
            .world
            .pu(node, |pu, now| if subscribes { pu.subscribe(now, &handle) } else { pu.resolve(now, &handle) });
        match resolved {
            Some(Ok((resolution, true))) => self.talk(at, resolution),
            Some(Ok((resolution, false))) => self.users[at].waits_for = Some(resolution),
            _ => {}
        }
    }

    pub fn user_told(&mut self, at: usize, event: UserEvent) {
        match event {
            UserEvent::Resolved(resolution) if self.users[at].waits_for == Some(resolution) => {
                self.users[at].waits_for = None;
                self.talk(at, resolution);
            }
            UserEvent::Unresolved(resolution, why) => {
                self.watch.served.unresolved += 1;
                if self.users[at].waits_for == Some(resolution) {
                    self.users[at].waits_for = None;
                    if let Some(pool) = self.pool_of(at, resolution) {
                        self.check_unresolved(at, pool, why);
                    }
                }
            }
            _ => {}
        }
    }

    fn pool_of(&self, at: usize, resolution: Resolution) -> Option<usize> {
        pool_number(self.world.nodes[self.users[at].node].user()?.pool_handle(resolution)?)
    }

    /// Takes elements until one answers.
    fn talk(&mut self, at: usize, resolution: Resolution) {
        let node = self.users[at].node;
        let Some(pool) = self.pool_of(at, resolution) else { return };
        for _ in 0..4 {
            let chosen = self.world.pu(node, |pu, now| pu.primary(now, resolution).map(|element| element.id));
            let Some(Ok(id)) = chosen else { return };
            let host = self.living.get(&(pool, id)).map(|host| self.elements[*host].node);
            if host.is_some_and(|host| self.world.reaches(node, host) && self.world.reaches(host, node)) {
                self.watch.served.served += 1;
                return;
            }
            self.watch.served.failed += 1;
            self.check_served(at, pool, id);
            self.world.pu(node, |pu, now| pu.report_failure(now, resolution, id));
        }
    }
}
