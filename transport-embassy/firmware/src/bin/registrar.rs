//! A registrar on a chip: 8 pools, 32 elements, 4 peers, 12 connections. It announces itself by multicast, and keeps one
//! handlespace with the registrar of the host, where there is one (`peer=true`).
#![no_std]
#![no_main]

use core::net::SocketAddr;

use embassy_executor::Spawner;
use embassy_net::{Stack, StackResources};
use rserpool_core::{Link, Ppid, Registrar as Machine, RegistrarConfig, RegistrarEvent, RegistrarStorage};
use rserpool_embassy::{Channel, ChannelBuffers, Config, Handle, Resources, Runner};
use rserpool_firmware::{board, say};
use static_cell::ConstStaticCell;

type Registrar = Machine<'static>;

/// Connections, and bytes of a message: an answer with eight elements fits.
const PLACES: usize = 12;
const MESSAGE: usize = 768;
const ITEMS: u32 = 8;
/// Four, and this one.
const REGISTRARS: usize = 5;
/// To the four, and four to elements of one that has died.
const DIALS: usize = 8;

static STACK: ConstStaticCell<StackResources<{ PLACES + 2 }>> = ConstStaticCell::new(StackResources::new());
static STORAGE: ConstStaticCell<RegistrarStorage<8, 32, REGISTRARS, PLACES>> =
    ConstStaticCell::new(RegistrarStorage::new());
static RESOURCES: ConstStaticCell<Resources<Registrar, PLACES, MESSAGE, 256, MESSAGE, DIALS>> =
    ConstStaticCell::new(Resources::new());
static CHANNEL: ConstStaticCell<ChannelBuffers> = ConstStaticCell::new(ChannelBuffers::new());

#[cortex_m_rt::entry]
fn main() -> ! {
    board::start(STACK.take(), |spawner, stack, args| spawner.spawn(registrar(spawner, stack, args).unwrap()))
}

#[embassy_executor::task]
async fn drive(mut runner: Runner<'static, Registrar, PLACES, MESSAGE>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn registrar(spawner: Spawner, stack: Stack<'static>, args: &'static board::Args) {
    let mut config = RegistrarConfig::new();
    config.announce = true;
    config.max_items = ITEMS;
    let _ = config.announced.try_push((Link::Tcp, args.service(Ppid::Asap.port())));
    let _ = config.enrp.transport.try_push((Link::Tcp, args.service(Ppid::Enrp.port())));
    config.enrp.table_page_len = MESSAGE;
    let mut machine = Machine::new(STORAGE.take(), config, args.seed, rserpool_embassy::now());
    if args.peer {
        machine.add_peer(Link::Tcp, &[SocketAddr::new(args.host.into(), Ppid::Enrp.port())]);
    }
    let config = Config { reserved: REGISTRARS, ..Config::new() }.listen(Ppid::Asap).listen(Ppid::Enrp);
    let (registrar, mut runner) = rserpool_embassy::new(stack, machine, RESOURCES.take(), config);
    runner.join(Channel::v4(Ppid::Asap), CHANNEL.take());
    spawner.spawn(drive(runner).unwrap());
    spawner.spawn(end(args.run).unwrap());
    say!("the registrar listens");
    tell(registrar).await
}

async fn tell(registrar: Handle<'static, Registrar>) {
    loop {
        let event = registrar.event().await;
        let elements = registrar.look(|registrar| registrar.handlespace().elements());
        match event {
            RegistrarEvent::Registered { id, .. } => say!("element {:#010x} registered, {} elements", id.0, elements),
            RegistrarEvent::Removed { id, reason } => {
                say!("element {:#010x} removed: {}, {} elements", id.0, reason.text(), elements);
            }
            RegistrarEvent::Serving { .. } => say!("serving"),
            RegistrarEvent::PeerFound { peer } => say!("peer {:#010x} found", peer.0),
            RegistrarEvent::PeerDead { peer } => say!("peer {:#010x} is dead", peer.0),
            RegistrarEvent::TakenOver { target, .. } => say!("{:#010x} is taken over", target.0),
            _ => say!("something else happened"),
        }
    }
}

/// Ends the emulation after some seconds.
#[embassy_executor::task]
async fn end(seconds: u64) {
    if seconds > 0 {
        embassy_time::Timer::after_secs(seconds).await;
        board::exit(true);
    }
}
