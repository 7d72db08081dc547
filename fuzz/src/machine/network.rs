//! Two registrars and a pool element, and a network between them that an input controls: how long things take, which
//! hosts reach each other, which associations break and when either end hears of it. What one association carries stays
//! in order, as in SCTP and TCP; different ones overtake each other.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rserpool_core::{AssocId, Destination, DialId, ElementEvent, Input, Instant, Link, PoolElement, Ppid, Registrar};

use super::host::{Act, Host, Sent};
use super::world::trace;

pub const REGISTRARS: usize = 2;
pub const ELEMENT: usize = 2;
pub const NODES: usize = 3;
/// After which an attempt to reach a host that is not reached has failed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub fn ip(node: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, node as u8 + 1])
}

pub fn address(node: usize, ppid: Ppid) -> SocketAddr {
    SocketAddr::new(ip(node), ppid.port())
}

#[expect(clippy::large_enum_variant, reason = "there are three of them")]
pub enum Machinery {
    Registrar(Host<Registrar<'static>>),
    Element(Host<PoolElement<'static>>),
    /// It has died.
    Dead,
}

pub struct Node {
    pub machinery: Machinery,
    /// Which use of the host: what was on its way to an earlier one finds nobody.
    life: u32,
    slots: Vec<(u32, Option<usize>)>,
    dials: Vec<DialId>,
}

#[derive(Clone, Copy, Debug)]
pub struct End {
    pub node: usize,
    pub assoc: AssocId,
    pub open: bool,
}

pub struct Conn {
    pub ends: [End; 2],
    ppid: Ppid,
    /// Nothing passes any more, whether the ends know it or not.
    broken: bool,
    /// What the other end is sent arrives no earlier than this.
    arrival: [Instant; 2],
    /// What cannot pass, for the end of this number.
    held: [VecDeque<Parcel>; 2],
}

#[derive(Debug)]
enum Parcel {
    Message(Vec<u8>),
    End,
}

#[derive(Debug)]
enum Happening {
    Arrival {
        conn: usize,
        side: usize,
        parcel: Parcel,
    },
    /// An end finds out that its association is broken.
    Lost {
        conn: usize,
        side: usize,
    },
    Dialled {
        from: usize,
        life: u32,
        dial: DialId,
        link: Link,
        ppid: Ppid,
        to: usize,
    },
    DialFailed {
        from: usize,
        life: u32,
        dial: DialId,
    },
}

pub struct Network {
    pub now: Instant,
    pub nodes: Vec<Node>,
    pub conns: Vec<Conn>,
    pub delay: Duration,
    /// Which of the hosts do not reach each other.
    cut: [[bool; NODES]; NODES],
    queue: BTreeMap<(Instant, u64), Happening>,
    sequence: u64,
    pub element_events: Vec<ElementEvent>,
}

macro_rules! with_host {
    ($machinery:expr, $host:ident => $body:expr) => {
        match $machinery {
            Machinery::Registrar($host) => Some($body),
            Machinery::Element($host) => Some($body),
            Machinery::Dead => None,
        }
    };
}

impl Network {
    pub fn new() -> Self {
        Network {
            now: Instant::ZERO,
            nodes: Vec::new(),
            conns: Vec::new(),
            delay: Duration::from_millis(10),
            cut: [[false; NODES]; NODES],
            queue: BTreeMap::new(),
            sequence: 0,
            element_events: Vec::new(),
        }
    }

    pub fn add(&mut self, machinery: Machinery) {
        self.nodes.push(Node { machinery, life: 0, slots: Vec::new(), dials: Vec::new() });
        self.carry_out(self.nodes.len() - 1);
    }

    /// A node ends without a word, and another machine begins in its place, or none.
    pub fn replace(&mut self, n: usize, machinery: Machinery) {
        for conn in 0..self.conns.len() {
            if let Some(side) = self.conns[conn].ends.iter().position(|end| end.node == n && end.open) {
                self.conns[conn].ends[side].open = false;
                self.conns[conn].broken = true;
                self.later(self.delay, Happening::Lost { conn, side: 1 - side });
            }
        }
        let node = &mut self.nodes[n];
        node.life += 1;
        node.machinery = machinery;
        node.dials.clear();
        node.slots.iter_mut().for_each(|slot| slot.1 = None);
        self.carry_out(n);
    }

    pub fn registrar(&self, n: usize) -> &Registrar<'static> {
        let Machinery::Registrar(host) = &self.nodes[n].machinery else { panic!("no registrar") };
        &host.machine
    }

    pub fn element(&self) -> Option<&PoolElement<'static>> {
        let Machinery::Element(host) = &self.nodes[ELEMENT].machinery else { return None };
        Some(&host.machine)
    }

    /// Calls the element, if it lives.
    pub fn call<R>(&mut self, call: impl FnOnce(&mut PoolElement<'static>, Instant) -> R) -> Option<R> {
        let now = self.now;
        let Machinery::Element(host) = &mut self.nodes[ELEMENT].machinery else { return None };
        host.now = now;
        let result = host.call(call);
        self.carry_out(ELEMENT);
        Some(result)
    }

    /// Who is at the other end.
    pub fn peer(&self, n: usize, assoc: AssocId) -> Option<usize> {
        let (conn, side) = self.end(n, assoc)?;
        Some(self.conns[conn].ends[1 - side].node)
    }

    // ---- what an input can do to the network ----

    pub fn set_cut(&mut self, a: usize, b: usize, cut: bool) {
        self.cut[a][b] = cut;
        self.cut[b][a] = cut;
        if cut {
            return;
        }
        for conn in 0..self.conns.len() {
            for side in 0..2 {
                if self.reaches(self.conns[conn].ends[1 - side].node, self.conns[conn].ends[side].node) {
                    for parcel in std::mem::take(&mut self.conns[conn].held[side]) {
                        self.post(conn, side, parcel);
                    }
                }
            }
        }
    }

    /// An association breaks; each end hears of it after a while of its own.
    pub fn lose(&mut self, conn: usize, after: [Duration; 2]) {
        self.conns[conn].broken = true;
        for (side, after) in after.into_iter().enumerate() {
            self.later(after, Happening::Lost { conn, side });
        }
    }

    pub fn open_conns(&self) -> Vec<usize> {
        let open = |conn: &usize| self.conns[*conn].ends.iter().any(|end| end.open) && !self.conns[*conn].broken;
        (0..self.conns.len()).filter(open).collect()
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let queued = self.queue.keys().next().map(|(at, _)| *at);
            let timed = self.nodes.iter().filter_map(|node| with_host!(&node.machinery, host => host.deadline)?).min();
            let Some(next) = queued.into_iter().chain(timed).min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let happening = entry.remove();
                self.happen(happening);
            }
            for n in 0..self.nodes.len() {
                let due = with_host!(&self.nodes[n].machinery, host => host.deadline.is_some_and(|at| at <= self.now));
                if due == Some(true) {
                    self.input(n, Input::Timeout);
                }
            }
        }
        self.now = end;
    }

    // ---- how it works ----

    fn reaches(&self, a: usize, b: usize) -> bool {
        !self.cut[a][b]
    }

    fn later(&mut self, after: Duration, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), happening);
    }

    /// Something goes to one end of an association, behind all that went there before.
    fn post(&mut self, conn: usize, side: usize, parcel: Parcel) {
        let arrival = (self.now + self.delay).max(self.conns[conn].arrival[side]);
        self.conns[conn].arrival[side] = arrival;
        self.sequence += 1;
        self.queue.insert((arrival, self.sequence), Happening::Arrival { conn, side, parcel });
    }

    fn end(&self, n: usize, assoc: AssocId) -> Option<(usize, usize)> {
        let (generation, conn) = self.nodes[n].slots.get(assoc.slot as usize)?;
        let conn = (*conn)?;
        let side = self.conns[conn].ends.iter().position(|end| end.node == n && end.assoc == assoc)?;
        (*generation == assoc.generation).then_some((conn, side))
    }

    fn input(&mut self, n: usize, input: Input<'_>) {
        let now = self.now;
        with_host!(&mut self.nodes[n].machinery, host => {
            host.now = now;
            let _ = host.input(input);
        });
        self.carry_out(n);
    }

    fn happen(&mut self, happening: Happening) {
        trace(|| format!("{:?} {happening:02x?}", self.now));
        match happening {
            Happening::Arrival { conn, side, parcel } => {
                let (to, from) = (self.conns[conn].ends[side], self.conns[conn].ends[1 - side].node);
                if self.conns[conn].broken {
                    return;
                }
                if !self.reaches(from, to.node) || !self.conns[conn].held[side].is_empty() {
                    self.conns[conn].held[side].push_back(parcel);
                    return;
                }
                match parcel {
                    Parcel::Message(_) if !to.open => {
                        // Nobody takes it any more: the sender hears of it, if it does not know.
                        self.later(self.delay, Happening::Lost { conn, side: 1 - side });
                    }
                    Parcel::Message(bytes) => {
                        let ppid = self.conns[conn].ppid;
                        self.input(to.node, Input::Message { assoc: to.assoc, ppid, bytes: &bytes });
                    }
                    Parcel::End => self.lost(conn, side),
                }
            }
            Happening::Lost { conn, side } => self.lost(conn, side),
            Happening::Dialled { from, life, dial, link, ppid, to } => {
                let waiting = self.nodes[from].life == life && self.nodes[from].dials.contains(&dial);
                if !waiting {
                    return;
                }
                if !self.reaches(from, to) || matches!(self.nodes[to].machinery, Machinery::Dead) {
                    self.later(CONNECT_TIMEOUT, Happening::DialFailed { from, life, dial });
                    return;
                }
                self.nodes[from].dials.retain(|known| *known != dial);
                self.establish(from, dial, link, ppid, to);
            }
            Happening::DialFailed { from, life, dial } => {
                let known = self.nodes[from].dials.contains(&dial);
                if self.nodes[from].life == life && known {
                    self.nodes[from].dials.retain(|known| *known != dial);
                    self.input(from, Input::ConnectFailed { dial });
                }
            }
        }
    }

    fn establish(&mut self, from: usize, dial: DialId, link: Link, ppid: Ppid, to: usize) {
        let conn = self.conns.len();
        let ends = [from, to].map(|node| End { node, assoc: self.open_slot(node, conn), open: true });
        self.conns.push(Conn {
            ends,
            ppid,
            broken: false,
            arrival: [self.now; 2],
            held: [VecDeque::new(), VecDeque::new()],
        });
        // The port that a host dials from is none that can be dialled.
        let peer = [SocketAddr::new(ip(from), 49_152)];
        self.input(to, Input::Connected { assoc: ends[1].assoc, dial: None, link, peer: &peer });
        let peer = [address(to, ppid)];
        self.input(from, Input::Connected { assoc: ends[0].assoc, dial: Some(dial), link, peer: &peer });
    }

    fn open_slot(&mut self, n: usize, conn: usize) -> AssocId {
        let slots = &mut self.nodes[n].slots;
        let at = slots.iter().position(|slot| slot.1.is_none()).unwrap_or_else(|| {
            slots.push((0, None));
            slots.len() - 1
        });
        slots[at] = (slots[at].0 + 1, Some(conn));
        AssocId { slot: at as u32, generation: slots[at].0 }
    }

    /// An end is over.
    fn lost(&mut self, conn: usize, side: usize) {
        let end = self.conns[conn].ends[side];
        if end.open {
            self.conns[conn].ends[side].open = false;
            self.nodes[end.node].slots[end.assoc.slot as usize].1 = None;
            self.input(end.node, Input::Closed { assoc: end.assoc });
        }
    }

    /// Does what a machine wants.
    fn carry_out(&mut self, n: usize) {
        loop {
            let mut acts = Vec::new();
            match &mut self.nodes[n].machinery {
                Machinery::Registrar(host) => {
                    for act in std::mem::take(&mut host.acts) {
                        acts.push(tell(act, |_| ()));
                    }
                }
                Machinery::Element(host) => {
                    for act in std::mem::take(&mut host.acts) {
                        acts.push(tell(act, |event| self.element_events.push(event)));
                    }
                }
                Machinery::Dead => {}
            }
            if acts.is_empty() {
                return;
            }
            for act in acts.into_iter().flatten() {
                trace(|| format!("{:?} node {n}: {act:02x?}", self.now));
                self.act(n, act);
            }
        }
    }

    fn act(&mut self, n: usize, act: Act<()>) {
        match act {
            Act::Send(Sent { to: Destination::Assoc(assoc), ppid, bytes, .. }) => {
                let Some((conn, side)) = self.end(n, assoc) else { return };
                assert_eq!(self.conns[conn].ppid, ppid, "each association has its protocol");
                self.post(conn, 1 - side, Parcel::Message(bytes));
            }
            // Nobody listens to multicast here.
            Act::Send(_) | Act::Event(()) => {}
            Act::Connect { dial, link, ppid, to } => {
                self.nodes[n].dials.push(dial);
                let life = self.nodes[n].life;
                match (0..NODES).find(|node| to.iter().any(|at| *at == address(*node, ppid))) {
                    Some(to) => self.later(self.delay, Happening::Dialled { from: n, life, dial, link, ppid, to }),
                    None => self.later(self.delay, Happening::DialFailed { from: n, life, dial }),
                }
            }
            Act::Abandon(dial) => self.nodes[n].dials.retain(|known| *known != dial),
            Act::Disconnect(assoc) => {
                let Some((conn, side)) = self.end(n, assoc) else { return };
                self.post(conn, 1 - side, Parcel::End);
                self.lost(conn, side);
            }
        }
    }
}

/// An act without its event, which is told.
fn tell<E>(act: Act<E>, tell: impl FnOnce(E)) -> Option<Act<()>> {
    Some(match act {
        Act::Event(event) => {
            tell(event);
            return None;
        }
        Act::Send(sent) => Act::Send(sent),
        Act::Connect { dial, link, ppid, to } => Act::Connect { dial, link, ppid, to },
        Act::Abandon(dial) => Act::Abandon(dial),
        Act::Disconnect(assoc) => Act::Disconnect(assoc),
    })
}
