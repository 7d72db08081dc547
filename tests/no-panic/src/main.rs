//! A linker proof: the three machines, fed with values that the compiler cannot know, in an image whose panic handler
//! calls a function that does not exist. If any path in the core could panic, it would not link.
#![no_std]
#![no_main]

use core::net::{Ipv4Addr, SocketAddr};
use core::ptr::{read_volatile, write_volatile};
use core::time::Duration;

use rserpool_core::wire::{Lifetime, Policy, Transport};
use rserpool_core::{
    AssocId, Compat, DialId, ElementInfo, ElementStorage, EndpointConfig, Input, Instant, Link, Machine, Output, PeId,
    PoolElement, PoolUser, Ppid, Registrar, RegistrarConfig, RegistrarStorage, ServerId, UserStorage,
};

unsafe extern "C" {
    /// Exists nowhere.
    fn rserpool_core_can_panic() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it is never linked, let alone called.
    unsafe { rserpool_core_can_panic() }
}

#[unsafe(no_mangle)]
static mut SOURCE: u32 = 1;
#[unsafe(no_mangle)]
static mut SINK: u32 = 0;

/// Any value.
fn any() -> u32 {
    // SAFETY: a volatile read of a static that nobody else uses.
    unsafe { read_volatile(&raw const SOURCE) }
}

/// Something happens to the value.
fn see(value: u32) {
    // SAFETY: a volatile write to a static that nobody else uses.
    unsafe { write_volatile(&raw mut SINK, value) }
}

fn flip() -> bool {
    any() & 1 == 0
}

fn some<T>(value: T) -> Option<T> {
    flip().then_some(value)
}

fn now() -> Instant {
    Instant::from_micros(u64::from(any()) << 32 | u64::from(any()))
}

fn address() -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from_bits(any()).into(), any() as u16)
}

fn assoc() -> AssocId {
    AssocId { slot: any(), generation: any() }
}

fn ppid() -> Ppid {
    if flip() { Ppid::Asap } else { Ppid::Enrp }
}

fn link() -> Link {
    if flip() { Link::Tcp } else { Link::Sctp }
}

fn policy() -> Policy<'static> {
    match any() {
        0 => Policy::RoundRobin,
        1 => Policy::WeightedRoundRobin { weight: any() },
        2 => Policy::LeastUsed { load: any() },
        3 => Policy::LeastUsedDegradation { load: any(), degradation: any() },
        _ => Policy::Priority { priority: any() },
    }
}

/// One input, and what a drain gives.
fn feed<M: Machine>(machine: &mut M, event: fn(M::Event)) {
    let mut bytes = [0; 512];
    bytes.fill_with(|| any() as u8);
    let Some(bytes) = bytes.get(..any() as usize) else { return };
    let peer = [address(), address()];
    let input = match any() {
        0 => Input::Timeout,
        1 => Input::Message { assoc: assoc(), ppid: ppid(), bytes },
        2 => Input::Datagram { from: address(), ppid: ppid(), bytes },
        3 => Input::Connected { assoc: assoc(), dial: some(DialId(any())), link: link(), peer: &peer },
        4 => Input::ConnectFailed { dial: DialId(any()) },
        5 => Input::SendFailed { assoc: assoc() },
        _ => Input::Closed { assoc: assoc() },
    };
    if machine.handle(now(), input).is_err() {
        see(1);
    }
    let mut buf = [0; 1500];
    let Some(buf) = buf.get_mut(..any() as usize) else { return };
    match machine.poll(now(), buf) {
        Output::Transmit(message) => message.bytes.iter().for_each(|byte| see(u32::from(*byte))),
        Output::Connect { to, .. } => to.iter().for_each(|at| see(u32::from(at.port()))),
        Output::Abandon { dial } => see(dial.0),
        Output::Disconnect { assoc } => see(assoc.slot),
        Output::Event(happened) => event(happened),
        Output::BufferTooSmall { needed } => see(needed as u32),
        Output::Wait(until) => see(until.is_some().into()),
    }
    see(machine.next_deadline().is_some().into());
}

fn element(machine: &mut PoolElement<'_>, handle: &[u8]) {
    machine.add_server(link(), &[address()]);
    let info = ElementInfo {
        pool_handle: handle,
        id: some(PeId(any())),
        user_transport: if flip() { Transport::Tcp(address()) } else { Transport::Opaque(handle) },
        policy: policy(),
        lifetime: Lifetime::from_wire(any().cast_signed()),
    };
    if let Ok(key) = machine.register(now(), &info) {
        feed(machine, |_| see(2));
        see(machine.set_policy(now(), key, policy()).is_ok().into());
        see(machine.reregister(now(), key).is_ok().into());
        machine.move_host(now(), address().ip(), address().ip());
        see(machine.deregister(now(), key).is_ok().into());
        see(machine.id(key).map_or(0, |id| id.0));
        see(machine.is_registered(key).into());
    }
    if let Ok((resolution, _)) = machine.resolve(now(), handle) {
        see(machine.primary(now(), resolution).map_or(0, |element| element.id.0));
        see(machine.report_failure(now(), resolution, PeId(any())).into());
        machine.elements(resolution).for_each(|element| see(element.id.0));
    }
    feed(machine, |_| see(2));
}

fn user(machine: &mut PoolUser<'_>, handle: &[u8]) {
    machine.add_server(link(), &[address()]);
    let resolved = if flip() { machine.resolve(now(), handle) } else { machine.subscribe(now(), handle) };
    if let Ok((resolution, _)) = resolved {
        feed(machine, |_| see(3));
        if let Ok(element) = machine.primary(now(), resolution) {
            element.user_transport.socket_addrs().for_each(|at| see(at.port().into()));
        }
        see(machine.next(now(), resolution, PeId(any())).map_or(0, |element| element.id.0));
        machine.elements(resolution).for_each(|element| see(element.id.0));
        machine.unsubscribe(resolution);
        machine.purge(resolution);
    }
    feed(machine, |_| see(3));
}

fn registrar(machine: &mut Registrar<'_>) {
    see(machine.add_peer(link(), &[address()]).into());
    feed(machine, |_| see(4));
    if flip() {
        machine.leave(now());
    }
    feed(machine, |_| see(4));
    for peer in machine.peers() {
        see(peer.id.0);
        see(peer.state.text().len() as u32);
        see(peer.last_heard.is_some().into());
    }
    let space = machine.handlespace();
    see(space.owned(ServerId(any())));
    see(space.checksum(ServerId(any())).into());
    see(machine.is_serving().into());
    see(machine.stats().registrations as u32);
}

static mut ELEMENT: ElementStorage<2, 4, 2, 4> = ElementStorage::new();
static mut USER: UserStorage<2, 8> = UserStorage::new();
static mut REGISTRAR: RegistrarStorage<8, 32, 4> = RegistrarStorage::new();

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let mut config = RegistrarConfig::new();
    config.announce = flip();
    see(config.announced.try_push((link(), address())).is_ok().into());
    config.keep_alive_interval = Duration::from_micros(any().into());
    config.t6_server_announce = Duration::from_micros(any().into());
    see(config.enrp.transport.try_push((link(), address())).is_ok().into());
    config.enrp.multicast = flip();
    config.enrp.compat = [Compat::Rfc, Compat::Rsplib, Compat::Auto].get(any() as usize).copied().unwrap_or_default();
    config.enrp.peer_heartbeat_cycle = Duration::from_micros(any().into());
    config.enrp.max_time_last_heard = Duration::from_micros(any().into());
    config.enrp.max_time_no_response = Duration::from_micros(any().into());
    config.enrp.resync_interval = Duration::from_micros(any().into());
    config.enrp.leave_timeout = Duration::from_micros(any().into());
    config.enrp.mentor_rounds = any();
    config.enrp.table_page_len = any() as usize;
    let mut endpoint = EndpointConfig::new();
    endpoint.asap_port = any() as u16;
    endpoint.links.sctp = flip();
    endpoint.serve_stale = flip();
    endpoint.wanted_items = some(any());

    // SAFETY: each is borrowed once, here.
    let (elements, users, registrars) =
        unsafe { (&mut *&raw mut ELEMENT, &mut *&raw mut USER, &mut *&raw mut REGISTRAR) };
    let mut pool_element = PoolElement::new(elements, endpoint, any().into(), now());
    let mut pool_user = PoolUser::new(users, endpoint, any().into(), now());
    let mut pool_registrar = Registrar::new(registrars, config, any().into(), now());
    let mut handle = [0; 40];
    loop {
        handle.fill_with(|| any() as u8);
        let Some(handle) = handle.get(..any() as usize) else { continue };
        element(&mut pool_element, handle);
        user(&mut pool_user, handle);
        self::registrar(&mut pool_registrar);
    }
}
