//! Machines as a scenario wants them.

use rserpool_core::{
    ElementStorage, EndpointConfig, EndpointLimits, Link, PoolElement, PoolUser, Registrar, RegistrarConfig,
    RegistrarLimits, RegistrarStorage, ServerId, UserStorage,
};

use super::node::{Machine, NodeId, asap_at, enrp_at};
use super::scenario::{Scenario, Topology};
use super::world::World;

/// Where elements listen for registrars that take them over.
pub const ASAP_PORT: u16 = 3900;

/// What fixed registrars can hold.
pub const FIXED_ELEMENTS: usize = 160;
pub const FIXED_PEERS: usize = 16;

impl Scenario {
    pub fn limits(&self) -> RegistrarLimits {
        let most = self.most_elements() as u32;
        let registrars = self.registrars as u32;
        RegistrarLimits {
            // Those that are gone, and those that have come back with other identifiers, may be there for a while.
            elements: most * 4 + 16,
            pools: self.pools as u32,
            peers: registrars * 3 + 4,
            ..RegistrarLimits::default()
        }
    }

    pub fn make_registrar(&self, world: &mut World, n: NodeId, id: ServerId) -> Machine {
        let mut config = RegistrarConfig { id, ..self.registrar.clone() };
        config.enrp.transport.push((Link::Tcp, enrp_at(n)));
        let (seed, now) = (world.seed(), world.local(n));
        let mut machine = if self.fixed_storage {
            // It lives as long as the program; the runs with fixed storage are few.
            let storage = Box::leak(Box::new(RegistrarStorage::<8, FIXED_ELEMENTS, FIXED_PEERS, 128, 64>::new()));
            Registrar::new(storage, config, seed, now)
        } else {
            Registrar::growable(self.limits(), config, seed, now)
        };
        let configured = match self.topology {
            Topology::Mesh => 0..self.registrars,
            Topology::Ascending => 0..n,
            Topology::Multicast => 0..0,
        };
        for peer in configured.filter(|peer| *peer != n) {
            if !machine.add_peer(Link::Tcp, &[enrp_at(peer)]) {
                world.violated("memory", || format!("no room for peer R{peer}"));
            }
        }
        Machine::Registrar(Box::new(machine))
    }

    pub fn make_element(&self, world: &mut World, n: NodeId, knows: &[NodeId]) -> Machine {
        let config = EndpointConfig { asap_port: ASAP_PORT, ..self.endpoint };
        let (seed, now) = (world.seed(), world.local(n));
        let mut machine = if self.fixed_storage {
            PoolElement::new(Box::leak(Box::new(ElementStorage::<4, 8>::new())), config, seed, now)
        } else {
            PoolElement::growable(self.endpoint_limits(), config, seed, now)
        };
        for server in knows {
            machine.add_server(Link::Tcp, &[asap_at(*server)]);
        }
        world.nodes[n].asap_port = ASAP_PORT;
        Machine::Element(Box::new(machine))
    }

    pub fn make_user(&self, world: &mut World, n: NodeId, knows: &[NodeId]) -> Machine {
        let (seed, now) = (world.seed(), world.local(n));
        let mut machine = if self.fixed_storage {
            PoolUser::new(Box::leak(Box::new(UserStorage::<4, 192, 8>::new())), self.endpoint, seed, now)
        } else {
            PoolUser::growable(self.endpoint_limits(), self.endpoint, seed, now)
        };
        for server in knows {
            machine.add_server(Link::Tcp, &[asap_at(*server)]);
        }
        Machine::User(Box::new(machine))
    }

    fn endpoint_limits(&self) -> EndpointLimits {
        EndpointLimits { servers: self.registrars as u32, ..EndpointLimits::default() }
    }
}
