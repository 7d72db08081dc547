//! The adapter for smoltcp alone: two interfaces, joined by a wire in memory, and a loop that jumps to the next deadline.
#![cfg(feature = "smoltcp")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use rserpool_core::wire::{Lifetime, Policy, Transport};
use rserpool_core::{
    ElementEvent, ElementInfo, ElementStorage, EndpointConfig, Link, PoolElement, Ppid, Registrar, RegistrarConfig,
    RegistrarStorage,
};
use rserpool_embassy::poll::{self, Node};
use rserpool_embassy::{Channel, Config, Role};
use smoltcp::iface::{self, Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

type Frames = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// One end of the wire.
struct End {
    incoming: Frames,
    outgoing: Frames,
}

impl Device for End {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Outgoing;

    fn receive(&mut self, _: Instant) -> Option<(Frame, Outgoing)> {
        let frame = self.incoming.borrow_mut().pop_front()?;
        Some((Frame(frame), Outgoing(Rc::clone(&self.outgoing))))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing> {
        Some(Outgoing(Rc::clone(&self.outgoing)))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = 1514;
        capabilities.medium = Medium::Ethernet;
        capabilities
    }
}

struct Frame(Vec<u8>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

struct Outgoing(Frames);

impl TxToken for Outgoing {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let mut frame = vec![0; len];
        let result = write(&mut frame);
        self.0.borrow_mut().push_back(frame);
        result
    }
}

/// A host with a machine.
struct Host<M: Role> {
    device: End,
    iface: Interface,
    sockets: SocketSet<'static>,
    node: Node<M, 2>,
}

impl<M: Role> Host<M> {
    fn new(number: u8, machine: M, config: Config, wire: (Frames, Frames)) -> Self {
        Self::with_channel(number, machine, config, wire, Channel::v4(Ppid::Asap))
    }

    fn with_channel(
        number: u8,
        machine: M,
        config: Config,
        (incoming, outgoing): (Frames, Frames),
        channel: Channel,
    ) -> Self {
        let mut device = End { incoming, outgoing };
        let mut config_of_iface = iface::Config::new(EthernetAddress([2, 0, 0, 0, 0, number]).into());
        config_of_iface.random_seed = u64::from(number);
        let mut iface = Interface::new(config_of_iface, &mut device, Instant::ZERO);
        let address = IpCidr::new(IpAddress::v4(10, 0, 0, number), 24);
        iface.update_ip_addrs(|addresses| addresses.push(address).unwrap());
        let mut sockets = SocketSet::new(Vec::new());
        let buffer = || tcp::SocketBuffer::new(vec![0; 512]);
        let handles = [(); 2].map(|()| sockets.add(tcp::Socket::new(buffer(), buffer())));
        let mut node = Node::new(machine, handles, config, u64::from(number));
        let packets = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 4], vec![0; 512]);
        node.join(channel, sockets.add(udp::Socket::new(packets(), packets())));
        Host { device, iface, sockets, node }
    }

    /// Polls, and says when to do so again.
    fn poll(&mut self, now: Instant) -> Instant {
        self.iface.poll(now, &mut self.device, &mut self.sockets);
        let node = self.node.poll(now, &mut self.iface, &mut self.sockets);
        self.iface.poll(now, &mut self.device, &mut self.sockets);
        let iface = self.iface.poll_at(now, &self.sockets);
        [node, iface].into_iter().flatten().min().unwrap_or(now + smoltcp::time::Duration::from_secs(3600))
    }
}

/// Polls both until some time; each time that is given to smoltcp is one at which something is due.
fn run(element: &mut Host<PoolElement<'_>>, registrar: &mut Host<Registrar<'_>>, from: Instant, to: Instant) {
    let (mut now, mut polls_in_vain) = (from, 0);
    while now < to {
        let next = element.poll(now).min(registrar.poll(now));
        let idle = element.device.incoming.borrow().is_empty() && registrar.device.incoming.borrow().is_empty();
        if idle && next > now {
            (now, polls_in_vain) = (next, 0);
        } else {
            polls_in_vain += 1;
            assert!(polls_in_vain < 1000, "a loop that never sleeps");
        }
    }
}

fn echo() -> ElementInfo<'static> {
    ElementInfo {
        pool_handle: b"echo",
        id: None,
        user_transport: Transport::Tcp("10.0.0.2:7".parse().unwrap()),
        policy: Policy::RoundRobin,
        lifetime: Lifetime::from_secs(300),
    }
}

fn announcing() -> RegistrarConfig {
    let mut config = RegistrarConfig::new();
    config.announce = true;
    config.announced.push((Link::Tcp, "10.0.0.1:3863".parse().unwrap()));
    config
}

#[test]
fn an_announcement_by_unicast_is_not_taken() {
    // Where the registrar sends its announcements to: the group, or the element's own address.
    for (to, is_taken) in [(rserpool_embassy::GROUP_V4, true), ([10, 0, 0, 2].into(), false)] {
        let [a, b]: [Frames; 2] = Default::default();
        let mut storage = RegistrarStorage::<4, 8, 1>::new();
        let machine = Registrar::new(&mut storage, announcing(), 1, rserpool_core::Instant::ZERO);
        let (listen, channel) = (Config::new().listen(Ppid::Asap), Channel::new(Ppid::Asap, (to, 3863).into()));
        let mut registrar = Host::with_channel(1, machine, listen, (Rc::clone(&a), Rc::clone(&b)), channel);
        let mut storage = ElementStorage::<1>::new();
        let machine = PoolElement::new(&mut storage, EndpointConfig::new(), 2, rserpool_core::Instant::ZERO);
        let mut element = Host::new(2, machine, Config::new(), (b, a));
        element.node.with(Instant::ZERO, |element, now| element.register(now, &echo())).unwrap();
        run(&mut element, &mut registrar, Instant::ZERO, Instant::from_secs(60));
        let sent = registrar.node.with(Instant::from_secs(60), |registrar, _| registrar.stats().announcements);
        assert!(sent > 10, "{sent}");
        assert_eq!(element.node.event().is_some(), is_taken, "{to}");
    }
}

#[test]
fn an_element_finds_a_registrar_by_multicast_and_registers() {
    let [a, b]: [Frames; 2] = Default::default();
    let mut storage = RegistrarStorage::<4, 8, 1>::new();
    let machine = Registrar::new(&mut storage, announcing(), 1, rserpool_core::Instant::ZERO);
    let listen = Config::new().listen(Ppid::Asap);
    let mut registrar = Host::new(1, machine, listen, (Rc::clone(&a), Rc::clone(&b)));

    let mut storage = ElementStorage::<1>::new();
    let machine = PoolElement::new(&mut storage, EndpointConfig::new(), 2, rserpool_core::Instant::ZERO);
    let mut element = Host::new(2, machine, Config::new(), (b, a));

    let key = element.node.with(Instant::ZERO, |element, now| element.register(now, &echo())).unwrap();
    let (soon, later) = (Instant::from_secs(5), Instant::from_secs(3600));
    run(&mut element, &mut registrar, Instant::ZERO, soon);
    assert!(matches!(element.node.event(), Some(ElementEvent::HomeFound(_))));
    assert_eq!(element.node.event(), Some(ElementEvent::Registered(key)));

    // An hour later it is still there, and was never away.
    run(&mut element, &mut registrar, soon, later);
    let stats = registrar.node.with(later, |registrar, _| registrar.stats());
    assert!(stats.registrations == 1 && stats.keep_alive_acks > 60, "{stats:?}");
    assert_eq!(element.node.event(), None);

    // It has another address, and tells.
    element.iface.update_ip_addrs(|addresses| addresses[0] = IpCidr::new(IpAddress::v4(10, 0, 0, 9), 24));
    let end = later + smoltcp::time::Duration::from_secs(120);
    run(&mut element, &mut registrar, later, end);
    assert_eq!(element.node.event(), Some(ElementEvent::HomeLost));
    assert!(element.node.with(end, |element, _| element.is_registered(key)));

    element.node.with(end, |element, now| element.deregister(now, key)).unwrap();
    run(&mut element, &mut registrar, end, end + smoltcp::time::Duration::from_secs(5));
    assert_eq!(registrar.node.with(end, |registrar, _| registrar.handlespace().elements()), 0);
    assert_eq!(poll::instant(Instant::from_millis(-5)), rserpool_core::Instant::ZERO);
}
