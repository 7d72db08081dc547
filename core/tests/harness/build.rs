//! Machines in fixed storage, what tests ask of them and what they can be seen to have done.

use std::net::SocketAddr;

use rserpool_core::wire::{Lifetime, Policy, Transport};
use rserpool_core::{
    ElementEvent, ElementInfo, ElementKey, ElementStorage, EndpointConfig, Instant, Link, PeId, PoolElement, PoolUser,
    Ppid, Registrar, RegistrarConfig, RegistrarEvent, RegistrarStorage, ServerId, UserEvent, UserStorage,
};

use super::{Event, NodeId, Role, Sent, Sim};

pub fn address_of(n: NodeId) -> SocketAddr {
    SocketAddr::from(([192, 0, 2 + (n / 255) as u8, (n % 255) as u8 + 1], 3863))
}

/// Memory that lives as long as the test.
pub fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

pub fn service(port: u16) -> Transport<'static> {
    Transport::Tcp(SocketAddr::from(([198, 51, 100, 1], port)))
}

pub fn info(pool: &[u8]) -> ElementInfo<'_> {
    ElementInfo {
        pool_handle: pool,
        id: None,
        user_transport: service(7),
        policy: Policy::RoundRobin,
        lifetime: Lifetime::from_secs(300),
    }
}

pub fn info_with_id(pool: &[u8], id: u32) -> ElementInfo<'_> {
    ElementInfo { id: Some(PeId(id)), ..info(pool) }
}

impl Sim {
    pub fn registrar(&mut self) -> NodeId {
        self.registrar_with(RegistrarConfig::new())
    }

    pub fn registrar_with(&mut self, mut config: RegistrarConfig) -> NodeId {
        if config.id.is_none() {
            config.id = server_id(self.nodes.len());
        }
        let machine = self.new_registrar(config, 1);
        self.add(Role::Registrar(machine))
    }

    /// Not polled yet.
    pub fn new_registrar(&self, config: RegistrarConfig, seed: u64) -> Registrar<'static> {
        let storage = leak(RegistrarStorage::<8, 32, 6, 16, 8>::new());
        Registrar::new(storage, config, seed, self.now)
    }

    pub fn element(&mut self, servers: &[NodeId]) -> NodeId {
        self.element_with(EndpointConfig::new(), servers)
    }

    pub fn element_with(&mut self, config: EndpointConfig, servers: &[NodeId]) -> NodeId {
        let seed = self.random(1 << 30);
        let mut machine = PoolElement::new(leak(ElementStorage::<4, 8, 2, 8>::new()), config, seed, self.now);
        for n in servers {
            assert!(machine.add_server(Link::Tcp, &[address_of(*n)]));
        }
        self.add(Role::Element(machine))
    }

    pub fn user(&mut self, servers: &[NodeId]) -> NodeId {
        self.user_with(EndpointConfig::new(), servers)
    }

    pub fn user_with(&mut self, config: EndpointConfig, servers: &[NodeId]) -> NodeId {
        let seed = self.random(1 << 30);
        let mut machine = PoolUser::new(leak(UserStorage::<2, 16, 8>::new()), config, seed, self.now);
        for n in servers {
            assert!(machine.add_server(Link::Tcp, &[address_of(*n)]));
        }
        self.add(Role::User(machine))
    }

    pub fn script(&mut self) -> NodeId {
        self.add(Role::Script)
    }

    /// Calls a pool element, and drains it (rule 1).
    pub fn pe<R>(&mut self, n: NodeId, call: impl FnOnce(&mut PoolElement<'static>, Instant) -> R) -> R {
        let now = self.now;
        let Role::Element(machine) = &mut self.nodes[n].role else { panic!("not a pool element") };
        let result = call(machine, now);
        self.drain(n);
        result
    }

    /// Calls a pool user, and drains it.
    pub fn pu<R>(&mut self, n: NodeId, call: impl FnOnce(&mut PoolUser<'static>, Instant) -> R) -> R {
        let now = self.now;
        let Role::User(machine) = &mut self.nodes[n].role else { panic!("not a pool user") };
        let result = call(machine, now);
        self.drain(n);
        result
    }

    pub fn pr(&self, n: NodeId) -> &Registrar<'static> {
        let Role::Registrar(machine) = &self.nodes[n].role else { panic!("not a registrar") };
        machine
    }

    pub fn elements_at(&self, registrar: NodeId) -> usize {
        self.pr(registrar).handlespace().elements() as usize
    }

    pub fn register(&mut self, n: NodeId, info: &ElementInfo<'_>) -> ElementKey {
        self.pe(n, |pe, now| pe.register(now, info)).unwrap()
    }

    /// A new endpoint that is one element, and is registered.
    pub fn registered(&mut self, info: &ElementInfo<'_>, servers: &[NodeId]) -> (NodeId, ElementKey) {
        let n = self.element(servers);
        let key = self.register(n, info);
        assert!(self.run_until(|s| s.told_pe(n, ElementEvent::Registered(key)), std::time::Duration::from_secs(5)));
        (n, key)
    }

    pub fn told_pe(&self, n: NodeId, event: ElementEvent) -> bool {
        self.nodes[n].events.iter().any(|(_, e)| *e == Event::Element(event))
    }

    pub fn told_pu(&self, n: NodeId, event: UserEvent) -> bool {
        self.nodes[n].events.iter().any(|(_, e)| *e == Event::User(event))
    }

    pub fn told_pr(&self, n: NodeId, event: RegistrarEvent) -> bool {
        self.nodes[n].events.iter().any(|(_, e)| *e == Event::Registrar(event))
    }

    pub fn is_homeless(&self, n: NodeId) -> bool {
        match &self.nodes[n].role {
            Role::Element(machine) => machine.home().is_none(),
            Role::User(machine) => machine.home().is_none(),
            _ => false,
        }
    }

    /// Which node is the home registrar.
    pub fn home_of(&self, n: NodeId) -> Option<NodeId> {
        let home = match &self.nodes[n].role {
            Role::Element(machine) => machine.home(),
            Role::User(machine) => machine.home(),
            _ => None,
        };
        self.peer(n, home?.assoc)
    }

    /// The messages of a type that a node has sent.
    pub fn sent(&self, from: NodeId, message_type: u8) -> Vec<&Sent> {
        self.trace.iter().filter(|s| s.from == from && s.ppid == Ppid::Asap && s.bytes[0] == message_type).collect()
    }

    pub fn count(&self, from: NodeId, message_type: u8) -> usize {
        self.sent(from, message_type).len()
    }

    pub fn times(&self, from: NodeId, message_type: u8) -> Vec<u64> {
        self.sent(from, message_type).iter().map(|s| s.at.as_micros() / 1_000).collect()
    }
}

pub fn server_id(n: NodeId) -> ServerId {
    ServerId(0x100 + n as u32)
}
