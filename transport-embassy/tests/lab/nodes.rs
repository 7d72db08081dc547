//! Machines on hosts.

use std::net::SocketAddr;
use std::time::Duration;

use embassy_net::Stack;
use rserpool_core::wire::{Lifetime, Policy, Transport};
use rserpool_core::{
    ElementInfo, ElementKey, ElementStorage, EndpointConfig, PoolElement, PoolUser, Ppid, Registrar, RegistrarConfig,
    RegistrarStorage, UserStorage,
};
use rserpool_embassy::{Channel, ChannelBuffers, Config, Handle, Resources, Runner};

use super::{Lab, TaskId, at};

/// Connections of a registrar.
pub const PLACES: usize = 4;

/// A machine that runs on a host.
pub struct Node<M: rserpool_embassy::Role + 'static> {
    pub stack: Stack<'static>,
    pub handle: Handle<'static, M>,
    pub task: TaskId,
}

pub fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

/// What a registrar of these tests is: it looks after its elements every few seconds, and announces itself.
pub fn registrar_config(host: u8) -> RegistrarConfig {
    let mut config = RegistrarConfig::new();
    config.announce = true;
    config.announced.push((rserpool_core::Link::Tcp, at(host, 3863)));
    config.max_items = 4;
    config
}

impl Lab {
    pub fn registrar(&mut self, host: u8) -> Node<Registrar<'static>> {
        let stack = self.host(host);
        self.registrar_on(stack, host)
    }

    /// A registrar on a host that is there already: it was started again.
    pub fn registrar_on(&mut self, stack: Stack<'static>, host: u8) -> Node<Registrar<'static>> {
        self.registrar_with::<512>(stack, host)
    }

    /// A registrar that can read and write messages of so many bytes.
    pub fn registrar_with<const MESSAGE: usize>(
        &mut self,
        stack: Stack<'static>,
        host: u8,
    ) -> Node<Registrar<'static>> {
        let storage = leak(RegistrarStorage::<8, 32, 1, PLACES>::new());
        let registrar = Registrar::new(storage, registrar_config(host), u64::from(host), rserpool_embassy::now());
        let resources = leak(Resources::<_, PLACES, MESSAGE>::new());
        let (handle, mut runner) = rserpool_embassy::new(stack, registrar, resources, Config::new().listen(Ppid::Asap));
        runner.join(Channel::v4(Ppid::Asap), leak(ChannelBuffers::new()));
        let task = self.spawn(async move { runner.run().await });
        Node { stack, handle, task }
    }

    /// A pool element. Without registrars it looks for them by multicast.
    pub fn element(&mut self, host: u8, registrars: &[SocketAddr]) -> Node<PoolElement<'static>> {
        let stack = self.host(host);
        let storage = leak(ElementStorage::<2>::new());
        let element = PoolElement::new(storage, EndpointConfig::new(), u64::from(host), rserpool_embassy::now());
        let (handle, mut runner) = rserpool_embassy::new(stack, element, leak(Resources::<_, 2>::new()), Config::new());
        self.hunt_by_multicast(&mut runner, registrars);
        for registrar in registrars {
            assert!(handle.add_server(&[*registrar]));
        }
        let task = self.spawn(async move { runner.run().await });
        Node { stack, handle, task }
    }

    /// A pool user. Without registrars it looks for them by multicast.
    pub fn user(&mut self, host: u8, registrars: &[SocketAddr]) -> Node<PoolUser<'static>> {
        let stack = self.host(host);
        let storage = leak(UserStorage::<2, 8>::new());
        let user = PoolUser::new(storage, EndpointConfig::new(), u64::from(host), rserpool_embassy::now());
        let (handle, mut runner) = rserpool_embassy::new(stack, user, leak(Resources::<_, 2>::new()), Config::new());
        self.hunt_by_multicast(&mut runner, registrars);
        for registrar in registrars {
            assert!(handle.add_server(&[*registrar]));
        }
        let task = self.spawn(async move { runner.run().await });
        Node { stack, handle, task }
    }

    fn hunt_by_multicast<M: rserpool_embassy::Role>(
        &self,
        runner: &mut Runner<'static, M, 2, 512>,
        registrars: &[SocketAddr],
    ) {
        if registrars.is_empty() {
            runner.join(Channel::v4(Ppid::Asap), leak(ChannelBuffers::new()));
        }
    }
}

/// An echo service in the pool "echo".
pub fn echo(service: SocketAddr) -> ElementInfo<'static> {
    ElementInfo {
        pool_handle: b"echo",
        id: None,
        user_transport: Transport::Tcp(service),
        policy: Policy::RoundRobin,
        lifetime: Lifetime::from_secs(300),
    }
}

impl Node<Registrar<'static>> {
    pub fn elements(&self) -> u32 {
        self.handle.look(|registrar| registrar.handlespace().elements())
    }
}

impl Node<PoolElement<'static>> {
    /// Registers, and waits until that is granted.
    pub fn register(&self, lab: &mut Lab, service: SocketAddr) -> ElementKey {
        let handle = self.handle;
        let key = handle.register(&echo(service)).unwrap();
        lab.wait_for(Duration::from_secs(20), async move { handle.registered(key).await });
        assert!(handle.is_registered(key));
        key
    }
}
