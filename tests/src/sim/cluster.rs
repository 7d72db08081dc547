//! A cluster at work: a scenario in a world. What ought to be is known here: who lives, and since when who is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use rserpool_core::{Instant, PeId, RegistrarEvent, ServerId};

use super::bounds::Bounds;
use super::check::Watch;
use super::element::ElementHost;
use super::net::{Breach, Net};
use super::node::{Event, Kind, NodeId};
use super::rng::Rng;
use super::sabotage::{Sabotage, Saboteur};
use super::scenario::{Scenario, Spot, What};
use super::trace::{Detail, Trace};
use super::user::UserHost;
use super::world::{Happening, World};

pub struct Cluster {
    pub world: World,
    pub scenario: Scenario,
    pub bounds: Bounds,
    pub elements: Vec<ElementHost>,
    pub users: Vec<UserHost>,
    pub rng: Rng,
    /// Elements, by pool and identifier, that live and want to be registered: their host.
    pub living: BTreeMap<(usize, PeId), usize>,
    /// Those that are gone, and since when.
    pub gone: BTreeMap<(usize, PeId), Instant>,
    /// When the last fault happened or ended.
    pub disturbed_at: Instant,
    /// How many faults go on.
    trouble: u32,
    pub watch: Watch,
    ids: Vec<ServerId>,
    leaving: Vec<bool>,
}

impl Cluster {
    pub fn new(scenario: Scenario, sabotage: Sabotage, detail: Detail) -> Self {
        let root = Rng::new(scenario.seed);
        let net = Net::new(scenario.net, root.fork(3));
        let bounds = scenario.bounds();
        let saboteur = Saboteur::new(sabotage, root.fork(4), bounds.settled);
        let world = World::new(net, Trace::new(detail), saboteur, root.fork(5));
        let registrars = scenario.registrars;
        let mut cluster = Cluster {
            world,
            bounds,
            elements: Vec::new(),
            users: Vec::new(),
            rng: root.fork(6),
            living: BTreeMap::new(),
            gone: BTreeMap::new(),
            disturbed_at: Instant::ZERO,
            trouble: 0,
            watch: Watch::new(registrars),
            ids: vec![ServerId::NONE; registrars],
            leaving: vec![false; registrars],
            scenario,
        };
        cluster.populate();
        cluster
    }

    fn populate(&mut self) {
        let multicast = self.scenario.registrar.enrp.multicast;
        for r in 0..self.scenario.registrars {
            let n = self.world.add(Kind::Registrar, format!("R{r}"));
            self.world.nodes[n].multicast = multicast;
        }
        for r in 0..self.scenario.registrars {
            self.start_registrar(r, ServerId::NONE);
        }
        for at in 0..self.scenario.element_hosts {
            self.add_element_host(at);
        }
        for at in 0..self.scenario.users {
            self.add_user(at);
        }
        for (index, fault) in self.scenario.faults.iter().enumerate() {
            self.world.queue.push(fault.at, Happening::Fault { index });
        }
        self.world.queue.push(Instant::ZERO + self.check_interval(), Happening::Check);
        self.world.queue.push(Instant::ZERO + self.scenario.net.heartbeat, Happening::Heartbeats);
    }

    fn check_interval(&self) -> Duration {
        // A look at a large cluster takes long; its rules are about minutes, too.
        let size = self.scenario.registrars * self.scenario.most_elements() / 20_000;
        self.scenario.registrar.enrp.max_time_no_response * (size as u32).max(1)
    }

    fn start_registrar(&mut self, r: usize, id: ServerId) {
        let machine = self.scenario.make_registrar(&mut self.world, r, id);
        self.leaving[r] = false;
        self.world.start(r, machine);
        self.ids[r] = self.world.nodes[r].registrar().map_or(ServerId::NONE, |registrar| registrar.id());
        let id = self.ids[r];
        self.note(|| format!("R{r} starts as {id}"));
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.world.now;
        self.world.trace.line(Detail::Main, now, || format!("* {}", line()));
    }

    /// Runs until the end, or until a rule is broken.
    pub fn run(&mut self) {
        self.run_until(self.scenario.ends_at);
        if self.world.violation.is_none() {
            self.world.now = self.scenario.ends_at;
            self.check_the_end();
        }
    }

    pub fn run_until(&mut self, end: Instant) {
        while self.world.violation.is_none() {
            match self.world.queue.next_at() {
                Some(at) if at <= end => {}
                _ => break,
            }
            match self.world.step() {
                Some(Happening::Act { node, incarnation }) => self.act(node, incarnation),
                Some(Happening::Fault { index }) => self.fault(index),
                Some(Happening::Check) => {
                    self.check();
                    self.world.queue.push(self.world.now + self.check_interval(), Happening::Check);
                }
                _ => {}
            }
            self.listen();
        }
    }

    /// Whether there is load.
    pub fn is_loud(&self) -> bool {
        self.world.now < self.scenario.quiet_at
    }

    /// For how long nothing has been broken; `None`: something is.
    pub fn calm(&self) -> Option<Duration> {
        (self.trouble == 0).then(|| self.world.now.saturating_duration_since(self.disturbed_at))
    }

    fn act(&mut self, node: NodeId, incarnation: u32) {
        if self.world.nodes[node].incarnation != incarnation {
            return;
        }
        match self.world.nodes[node].kind {
            Kind::Element => self.element_acts(node - self.scenario.registrars),
            Kind::User => self.user_acts(node - self.scenario.registrars - self.scenario.element_hosts),
            Kind::Registrar => self.thaw(node),
        }
    }

    /// Takes note of what the machines told.
    fn listen(&mut self) {
        while !self.world.events.is_empty() {
            for (n, event) in std::mem::take(&mut self.world.events) {
                match event {
                    Event::Registrar(event) => self.registrar_told(n, event),
                    Event::Element(event) => self.element_told(n - self.scenario.registrars, event),
                    Event::User(event) => {
                        self.user_told(n - self.scenario.registrars - self.scenario.element_hosts, event);
                    }
                }
            }
        }
    }

    fn registrar_told(&mut self, r: usize, event: RegistrarEvent) {
        self.check_event(r, event);
        if matches!(event, RegistrarEvent::Removed { .. } | RegistrarEvent::EventsLost) {
            self.check_listed(r);
        }
        // Where events were lost, that may have been it.
        if matches!(event, RegistrarEvent::Left { .. } | RegistrarEvent::EventsLost) && self.leaving[r] {
            self.note(|| format!("R{r} has left"));
            self.disturbed();
            self.world.stop(r, false);
        }
    }

    /// The node of a living registrar with this identifier.
    pub fn registrar_of(&self, id: ServerId) -> Option<usize> {
        (0..self.scenario.registrars).find(|r| self.world.nodes[*r].is_up() && self.ids[*r] == id)
    }

    pub fn id_of(&self, r: usize) -> ServerId {
        self.ids[r]
    }

    /// The registrars that live.
    pub fn up(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.scenario.registrars).filter(|r| self.world.nodes[*r].is_up())
    }

    // ---- faults ----

    pub fn disturbed(&mut self) {
        self.disturbed_at = self.world.now;
        self.watch.disturbed();
    }

    fn fault(&mut self, index: usize) {
        let what = self.scenario.faults[index].what.clone();
        let now = self.world.now;
        match what {
            What::Crash(r) | What::Vanish(r) => {
                if !self.world.nodes[r].is_up() {
                    return;
                }
                let host = matches!(what, What::Vanish(_));
                let (id, before) = (self.ids[r], self.calm());
                self.note(|| format!("R{r} {} ({id})", if host { "vanishes" } else { "crashes" }));
                self.disturbed();
                self.world.stop(r, host);
                self.expect_takeover(r, id, before);
            }
            What::Restart { registrar: r, same_id } => {
                if self.world.nodes[r].is_up() {
                    return;
                }
                self.expect_start(r);
                let id = if same_id { self.ids[r] } else { ServerId::NONE };
                self.start_registrar(r, id);
            }
            What::Leave(r) => {
                if !self.world.nodes[r].is_up() || self.leaving[r] {
                    return;
                }
                self.note(|| format!("R{r} leaves"));
                self.disturbed();
                self.leaving[r] = true;
                self.world.pr(r, |registrar, now| registrar.leave(now));
            }
            What::Freeze { registrar: r, until } => {
                if !self.world.nodes[r].is_up() || until <= now || self.world.nodes[r].frozen_until > now {
                    return;
                }
                self.note(|| format!("R{r} freezes"));
                self.disturbed();
                self.trouble += 1;
                self.world.nodes[r].frozen_until = until;
                // The incarnation does not matter: it may end meanwhile.
                self.world.queue.push(until, Happening::Act { node: r, incarnation: self.world.nodes[r].incarnation });
            }
            What::Open { name, ref breach } => {
                let breach = match *breach {
                    Spot::Is(ref breach) => breach.clone(),
                    Spot::Registrar { registrar, mute: true } => Breach::Mute(registrar),
                    Spot::Registrar { registrar, mute: false } => Breach::Isolated(registrar),
                    Spot::OneWay { from, to } => Breach::OneWay(from, to),
                    Spot::AnyHost(number) => Breach::Isolated((number % self.world.nodes.len() as u64) as usize),
                };
                self.note(|| format!("begins: {breach:?}"));
                self.disturbed();
                self.trouble += 1;
                self.world.net.open(name, breach);
            }
            What::Heal { name } => {
                self.note(|| "ends".to_string());
                self.disturbed();
                self.trouble -= 1;
                self.world.net.heal(name);
                self.world.mended();
            }
            What::Reset(a, b) => {
                self.note(|| format!("all between R{a} and R{b} is reset"));
                self.disturbed();
                self.world.reset_between(a, b);
            }
            What::Slow { registrar: r, rate } => {
                self.note(|| format!("R{r} reads at {rate:?} bytes a second"));
                self.disturbed();
                let node = &mut self.world.nodes[r];
                match (node.read_rate.is_some(), rate.is_some()) {
                    (false, true) => self.trouble += 1,
                    (true, false) => self.trouble -= 1,
                    _ => {}
                }
                node.read_rate = rate;
            }
        }
    }

    fn thaw(&mut self, r: usize) {
        self.note(|| format!("R{r} thaws"));
        self.disturbed();
        self.trouble -= 1;
    }
}
