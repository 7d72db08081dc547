//! The rules: what must hold all the time, what must hold once nothing has been broken for long enough, and what must hold
//! at the end. `bounds.rs` says what is long enough.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rserpool_core::wire::PoolHandle;
use rserpool_core::{Instant, PeId, PeerState, Registrar, RegistrarEvent, RegistrarStats, ServerId, Unresolved};

use super::build::FIXED_PEERS;
use super::cluster::Cluster;
use super::element::{policy, pool_handle, pool_number};
use super::node::Sent;
use super::user::Served;

/// How many pages a handle table has at most in a scenario.
const PAGES: u64 = 64;

/// What the checks remember.
pub struct Watch {
    pub served: Served,
    /// Who has won which takeover since the last fault.
    winners: BTreeMap<ServerId, BTreeSet<ServerId>>,
    expected: Option<Expected>,
    /// A registrar that starts while all else is well, and since when.
    starts: Option<(usize, Instant)>,
    /// What each registrar had sent and counted when all was calm for long enough.
    baseline: Vec<Option<Baseline>>,
    pub takeovers: u64,
    pub resynchronisations: u64,
    /// Elements that have come back with the identifier that they had.
    pub returned: u64,
    pub checks: u64,
    /// The most messages that one registrar sent in one second.
    pub peak: u64,
}

#[derive(Clone, Copy)]
struct Baseline {
    at: Instant,
    sent: Sent,
    stats: RegistrarStats,
    returned: u64,
}

/// A registrar has died while all was well; that must take no more than its thresholds.
struct Expected {
    target: ServerId,
    until: Instant,
    /// And so long until its elements have their new home.
    rehomed: Instant,
    elements: Vec<(usize, PeId)>,
    taken_over: bool,
}

impl Watch {
    pub fn new(registrars: usize) -> Self {
        Watch {
            served: Served::default(),
            winners: BTreeMap::new(),
            expected: None,
            starts: None,
            baseline: vec![None; registrars],
            takeovers: 0,
            resynchronisations: 0,
            returned: 0,
            checks: 0,
            peak: 0,
        }
    }

    pub fn disturbed(&mut self) {
        self.winners.clear();
        self.expected = None;
        self.starts = None;
        self.baseline.fill(None);
    }
}

/// Elements of a handlespace: pool, identifier, home, and their parameters.
fn elements(registrar: &Registrar<'_>) -> Vec<(usize, PeId, ServerId, Vec<u8>)> {
    let space = registrar.handlespace();
    let mut found = Vec::new();
    let mut pool = space.next_pool(None);
    while let Some(p) = pool {
        let number = space.pool(p).and_then(|view| pool_number(view.handle.as_bytes()));
        let mut element = space.next_element(p, None);
        while let Some(e) = element {
            if let (Some(number), Some(view)) = (number, space.element(e)) {
                found.push((number, view.id, view.home, space.parameter_bytes(e).to_vec()));
            }
            element = space.next_element(p, Some(e));
        }
        pool = space.next_pool(Some(p));
    }
    found.sort();
    found
}

impl Cluster {
    fn since(&self, at: Instant) -> Duration {
        self.world.now.saturating_duration_since(at)
    }

    /// Now and then.
    pub fn check(&mut self) {
        self.watch.checks += 1;
        self.check_memory();
        self.check_storm();
        self.check_expected();
        for r in 0..self.scenario.registrars {
            self.check_listed(r);
        }
        let Some(calm) = self.calm() else { return };
        if calm > self.bounds.takeovers {
            self.check_homes();
        }
        if calm > self.bounds.gone {
            self.check_gone();
        }
        if calm > self.bounds.settled {
            self.check_elements();
            self.check_messages();
        }
    }

    /// When all is over.
    pub fn check_the_end(&mut self) {
        self.check();
        self.check_same();
        self.check_peers();
    }

    /// Memory within the configured limits, all the time.
    fn check_memory(&mut self) {
        let limits = self.scenario.limits();
        for r in 0..self.scenario.registrars {
            let Some(registrar) = self.world.nodes[r].registrar() else { continue };
            let space = registrar.handlespace();
            let peers = registrar.peers().count();
            let most = if self.scenario.fixed_storage { FIXED_PEERS } else { limits.peers as usize };
            let (pools, elements) = (space.pools(), space.elements());
            if pools > limits.pools || elements > limits.elements || peers > most {
                self.world.violated("memory", || format!("R{r}: {pools} pools, {elements} elements, {peers} peers"));
            }
        }
    }

    /// No storm: in no second does a registrar send more to its peers than a start, a takeover and a leave of everything
    /// at once explain: for each peer 20 messages, two updates for each element, and as many pages.
    fn check_storm(&mut self) {
        let peers = self.scenario.registrars as u64;
        let elements = self.scenario.most_elements() as u64 * 2;
        let cap = peers * (20 + elements * 3);
        let worst = std::mem::take(&mut self.world.worst_second);
        self.watch.peak = self.watch.peak.max(worst);
        if worst > cap {
            self.world.violated("no storm", || format!("{worst} messages between registrars in one second, not {cap}"));
        }
    }

    /// Takeovers complete: no element has a home that is dead.
    fn check_homes(&mut self) {
        for r in self.up().collect::<Vec<_>>() {
            let Some(registrar) = self.world.nodes[r].registrar() else { continue };
            let orphan = elements(registrar).into_iter().find(|(_, _, home, _)| self.registrar_of(*home).is_none());
            if let Some((pool, id, home, _)) = orphan {
                let bound = self.bounds.takeovers;
                self.world.violated("takeovers complete", || {
                    format!("R{r}: the home of pool {pool}'s {id} is {home}, which is dead; bound {bound:?}")
                });
            }
        }
    }

    /// No element that is gone stays beyond its bound; none comes from nowhere.
    fn check_gone(&mut self) {
        for r in self.up().collect::<Vec<_>>() {
            let Some(registrar) = self.world.nodes[r].registrar() else { continue };
            for (pool, id, home, _) in elements(registrar) {
                if self.living.contains_key(&(pool, id)) {
                    continue;
                }
                let gone = self.gone.get(&(pool, id)).copied();
                if gone.is_none_or(|at| self.since(at) > self.bounds.gone) {
                    let since = gone.map(|at| self.since(at));
                    self.world.violated("the dead do not stay", || {
                        format!("R{r} has pool {pool}'s {id} (home {home}), gone for {since:?}")
                    });
                }
            }
        }
    }

    /// Each living element is at every registrar, with one home that lives and that the element holds for its home.
    fn check_elements(&mut self) {
        for at in 0..self.elements.len() {
            let host = &self.elements[at];
            if !self.world.nodes[host.node].is_up() || !host.knows.iter().any(|r| self.world.nodes[*r].is_up()) {
                continue;
            }
            let (pool, own_home) = (host.pool, self.home_of(at));
            for mine in self.elements[at].elements.clone() {
                if mine.leaving || self.since(mine.changed_at) <= self.bounds.settled {
                    continue;
                }
                for r in self.up().collect::<Vec<_>>() {
                    if let Some(wrong) = self.wrong_with(r, at, pool, mine.id, mine.value, own_home) {
                        self.world.violated("the living are registered", || {
                            format!("R{r}, pool {pool}'s {} of E{at}: {wrong}", mine.id)
                        });
                    }
                }
            }
        }
    }

    fn wrong_with(
        &self,
        r: usize,
        at: usize,
        pool: usize,
        id: PeId,
        value: u32,
        own_home: Option<usize>,
    ) -> Option<String> {
        let space = self.world.nodes[r].registrar()?.handlespace();
        let handle = pool_handle(pool);
        let found = space
            .find_pool(PoolHandle::new(&handle)?)
            .and_then(|pool| space.find_element(pool, id))
            .and_then(|element| space.element(element));
        let Some(view) = found else {
            return Some(format!("it is not there (E{at} has its home at {own_home:?})"));
        };
        if self.registrar_of(view.home).is_none() || self.registrar_of(view.home) != own_home {
            return Some(format!("its home is {}, and it thinks R{own_home:?}", view.home));
        }
        (view.policy() != Some(policy(pool, value))).then(|| format!("its policy is {:?}", view.policy()))
    }

    /// While all is calm, registrars say no more to each other than the RFC implies: presences, and the updates that
    /// registrations explain. No takeover, and no re-synchronisation: there is no cause for one.
    fn check_messages(&mut self) {
        let peers = self.scenario.registrars as u64 - 1;
        for r in self.up().collect::<Vec<_>>() {
            let Some(registrar) = self.world.nodes[r].registrar() else { continue };
            let (sent, returned) = (self.world.nodes[r].sent, self.watch.returned);
            let now = Baseline { at: self.world.now, sent, stats: registrar.stats(), returned };
            let Some(before) = self.watch.baseline[r] else {
                self.watch.baseline[r] = Some(now);
                continue;
            };
            let (sent, stats) = (
                |ty: usize| now.sent.enrp[ty] - before.sent.enrp[ty],
                |count: fn(&RegistrarStats) -> u64| count(&now.stats) - count(&before.stats),
            );
            let cycle = self.scenario.registrar.enrp.peer_heartbeat_cycle.as_micros() as u64 * 9 / 10;
            let heartbeats = self.since(before.at).as_micros() as u64 / cycle + 2;
            let updates = stats(|s| s.registrations + s.reregistrations + s.deregistrations)
                + stats(|s| s.expired + s.lost + s.reported);
            // One that comes back with its identifier at another registrar changes its home. Until all have heard of it their
            // checksums can differ, since they hear it from two registrars; and its old home may ask it whose it is.
            let moved = (now.returned - before.returned) * peers;
            let rules: [(&'static str, u64, u64); 7] = [
                ("ENRP_PRESENCE", sent(1), heartbeats * (peers + 1)),
                ("ENRP_HANDLE_UPDATE", sent(4), updates * peers + moved),
                ("re-synchronisations", now.sent.resync - before.sent.resync, moved),
                ("ENRP_HANDLE_TABLE_REQUEST", sent(2), moved * PAGES),
                ("ENRP_LIST_REQUEST", sent(5), 0),
                ("messages about takeovers", sent(7) + sent(8) + sent(9), 0),
                ("ENRP_ERROR", sent(10), 0),
            ];
            for (what, count, most) in rules {
                if count > most {
                    let time = self.since(before.at);
                    self.world.violated("message counts", || {
                        format!("R{r} sent {count} {what} in {time:?} in which nothing was broken, not {most}")
                    });
                }
            }
        }
    }

    /// At the end, after the quiet period: the same handlespace everywhere, with the same checksums.
    fn check_same(&mut self) {
        let up: Vec<usize> = self.up().collect();
        let ids: Vec<ServerId> = up.iter().map(|r| self.id_of(*r)).collect();
        let mut first = None;
        for r in up {
            let Some(registrar) = self.world.nodes[r].registrar() else { continue };
            let sums: Vec<u16> = ids.iter().map(|id| registrar.handlespace().checksum(*id)).collect();
            let own = (elements(registrar), sums);
            if !registrar.is_serving() {
                self.world.violated("registrars serve", || format!("R{r} does not"));
                return;
            }
            let (expected, other) = first.get_or_insert((own.clone(), r));
            if *expected != own {
                let other = *other;
                let differs = own
                    .0
                    .iter()
                    .find(|e| !expected.0.contains(e))
                    .or_else(|| expected.0.iter().find(|e| !own.0.contains(e)));
                let differs = differs.map(|e| (e.0, e.1, e.2));
                self.world.violated("one handlespace", || format!("R{r} and R{other} differ: {differs:?}"));
                return;
            }
        }
    }

    /// At the end each registrar knows those that live, and nobody else that it would have to take over.
    fn check_peers(&mut self) {
        let up: BTreeSet<ServerId> = self.up().map(|r| self.id_of(r)).collect();
        for r in self.up().collect::<Vec<_>>() {
            let Some(registrar) = self.world.nodes[r].registrar() else { continue };
            let own = registrar.id();
            let known: BTreeSet<ServerId> =
                registrar.peers().filter(|p| p.state == PeerState::Active && p.connected).map(|p| p.id).collect();
            let wanted: BTreeSet<ServerId> = up.iter().copied().filter(|id| *id != own).collect();
            let dead = registrar.peers().find(|p| !p.id.is_none() && !up.contains(&p.id));
            if known != wanted || dead.is_some() {
                self.world
                    .violated("peers know each other", || format!("R{r} knows {known:?}, not {wanted:?}; {dead:?}"));
            }
        }
    }

    /// Where registrars do no worse than stand still, an element that stays is listed at each of the others at every
    /// instant: a user that asks there finds its pool.
    pub fn check_listed(&mut self, r: usize) {
        if !self.scenario.steady || self.has_stood_still(r) {
            return;
        }
        let Some(registrar) = self.world.nodes[r].registrar().filter(|registrar| registrar.is_serving()) else {
            return;
        };
        let space = registrar.handlespace();
        for (at, host) in self.elements.iter().enumerate() {
            if self.since(host.moved_at) <= self.bounds.delay * 4 {
                // It leaves one association for another one, and the end of the first may be seen first.
                continue;
            }
            let handle = pool_handle(host.pool);
            let pool = PoolHandle::new(&handle).and_then(|handle| space.find_pool(handle));
            let settled = host.elements.iter().filter(|mine| self.since(mine.since) > self.bounds.settled);
            let lost = settled.map(|mine| mine.id).find(|id| pool.and_then(|p| space.find_element(p, *id)).is_none());
            if let Some(id) = lost {
                let detail = format!("R{r} does not list pool {}'s {id} of E{at}", host.pool);
                return self.world.violated("the living stay listed", || detail);
            }
        }
    }

    /// Whether a registrar stands still, or has lately.
    fn has_stood_still(&self, r: usize) -> bool {
        let until = self.world.nodes[r].frozen_until;
        until > Instant::ZERO && until + self.bounds.audit > self.world.now
    }

    // ---- takeovers ----

    /// A registrar has died.
    pub fn expect_takeover(&mut self, r: usize, target: ServerId, calm: Option<Duration>) {
        if calm.is_none_or(|calm| calm <= self.bounds.settled) || self.up().next().is_none() {
            return;
        }
        let mut own = Vec::new();
        for at in 0..self.elements.len() {
            let host = &self.elements[at];
            for mine in &host.elements {
                let settled = !mine.leaving && self.since(mine.changed_at) > self.bounds.settled;
                if settled && self.home_of(at) == Some(r) {
                    own.push((host.pool, mine.id));
                }
            }
        }
        let until = self.world.now + self.bounds.one_takeover + self.bounds.delay;
        let rehomed = until + self.bounds.rehome;
        self.watch.expected = Some(Expected { target, until, rehomed, elements: own, taken_over: false });
    }

    fn check_expected(&mut self) {
        let now = self.world.now;
        let Some(expected) = &mut self.watch.expected else { return };
        let target = expected.target;
        if now > expected.until && !expected.taken_over {
            expected.taken_over = true;
            for r in self.up().collect::<Vec<_>>() {
                let owned = self.world.nodes[r].registrar().map_or(0, |pr| pr.handlespace().owned(target));
                if owned > 0 {
                    let bound = self.bounds.one_takeover;
                    self.world.violated("a takeover is in time", || {
                        format!("R{r} still has {owned} elements of {target}, which died more than {bound:?} ago")
                    });
                }
            }
        }
        let Some(expected) = &self.watch.expected else { return };
        if now <= expected.rehomed {
            return;
        }
        let Some(Expected { elements: own, .. }) = self.watch.expected.take() else { return };
        for (pool, id) in own {
            // It may have left, or died, in the meantime.
            let Some(at) = self.living.get(&(pool, id)).copied() else { continue };
            let Some(mine) = self.elements[at].elements.iter().find(|mine| mine.id == id).copied() else { continue };
            if mine.leaving {
                continue;
            }
            let home = self.home_of(at);
            for r in self.up().collect::<Vec<_>>() {
                let wrong = self.wrong_with(r, at, pool, id, mine.value, home);
                // A change that is on its way is none of this rule's.
                if let Some(wrong) = wrong.filter(|_| self.since(mine.changed_at) > self.bounds.rehome) {
                    self.world.violated("a takeover loses no element", || {
                        format!("R{r}, pool {pool}'s {id} of E{at} after the end of {target}: {wrong}")
                    });
                }
            }
        }
    }

    /// A registrar is about to start.
    pub fn expect_start(&mut self, r: usize) {
        let well = self.calm().is_some_and(|calm| calm > self.bounds.settled);
        let start = well.then_some((r, self.world.now));
        self.disturbed();
        self.watch.starts = start;
    }

    /// RFC 5353, 3.2.3: a start copies everything. What was there before it began, and is still there, has been copied.
    fn check_start(&mut self, r: usize) {
        let Some((_, began)) = self.watch.starts.take_if(|(registrar, _)| *registrar == r) else { return };
        for at in 0..self.elements.len() {
            let pool = self.elements[at].pool;
            for mine in self.elements[at].elements.clone() {
                if mine.leaving || mine.changed_at + self.bounds.settled > began || self.home_of(at).is_none() {
                    continue;
                }
                let space = self.world.nodes[r].registrar().map(|registrar| registrar.handlespace());
                let handle = pool_handle(pool);
                let found = space
                    .zip(PoolHandle::new(&handle))
                    .and_then(|(space, handle)| space.find_element(space.find_pool(handle)?, mine.id));
                if found.is_none() {
                    self.world.violated("a start copies everything", || {
                        format!("R{r} serves without pool {pool}'s {} of E{at}", mine.id)
                    });
                }
            }
        }
    }

    pub fn check_event(&mut self, r: usize, event: RegistrarEvent) {
        match event {
            RegistrarEvent::TakenOver { target, by, .. } if by == self.id_of(r) => {
                self.watch.takeovers += 1;
                let winners = self.watch.winners.entry(target).or_default();
                winners.insert(by);
                // Only where nothing else is broken: then the arbitration has one winner.
                if winners.len() > 1 && self.watch.expected.as_ref().is_some_and(|e| e.target == target) {
                    let winners = winners.clone();
                    self.world.violated("one winner", || format!("{target} is taken over by {winners:?}"));
                }
            }
            RegistrarEvent::Serving { mentor: Some(_) } => self.check_start(r),
            RegistrarEvent::Resynchronised { .. } => self.watch.resynchronisations += 1,
            RegistrarEvent::DuplicateId => {
                self.world.violated("identifiers are unique", || format!("R{r} has heard another one with its own"));
            }
            _ => {}
        }
    }

    // ---- users ----

    /// A user was handed an element that is gone, or out of its reach.
    pub fn check_served(&mut self, at: usize, pool: usize, id: PeId) {
        let Some(gone) = self.gone.get(&(pool, id)).copied() else { return };
        let Some(calm) = self.calm() else { return };
        let (since, bound) = (self.since(gone).min(calm), self.bounds.served);
        if since > bound {
            self.world.violated("nobody is served the dead", || {
                format!("U{at} was handed pool {pool}'s {id}, gone for {since:?}; bound {bound:?}")
            });
        }
    }

    /// A user found nothing in a pool. If a living element has been there for long, it had to be found.
    pub fn check_unresolved(&mut self, at: usize, pool: usize, why: Unresolved) {
        if self.calm().is_none_or(|calm| calm <= self.bounds.settled + self.bounds.served) {
            return;
        }
        let settled = |host: &super::element::ElementHost| {
            host.pool == pool
                && host.knows.iter().any(|r| self.world.nodes[*r].is_up())
                && host
                    .elements
                    .iter()
                    .any(|m| !m.leaving && self.since(m.changed_at) > self.bounds.settled + self.bounds.served)
        };
        if let Some(host) = self.elements.iter().position(settled)
            && self.up().next().is_some()
        {
            self.world
                .violated("users find the living", || format!("U{at} resolves pool {pool}: {why}, but E{host} lives"));
        }
    }
}
