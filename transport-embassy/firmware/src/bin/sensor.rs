//! A sensor as a pool element: it serves readings over TCP, tells how busy it is, and leaves in good order.
//!
//! Each connection gets a reading for each line that it sends; the line `stop` shuts the sensor down. The pool's policy
//! is "least used": the load is the share of the places that are taken.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};

use embassy_executor::Spawner;
use embassy_futures::select::select3;
use embassy_net::tcp::TcpSocket;
use embassy_net::{Stack, StackResources};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use rserpool_core::wire::{Lifetime, Policy, Transport};
use rserpool_core::{ElementEvent, ElementInfo, ElementKey, ElementStorage, EndpointConfig, PoolElement, Ppid};
use rserpool_embassy::{Channel, ChannelBuffers, Config, Handle, Resources, Runner};
use rserpool_firmware::{board, say};
use static_cell::ConstStaticCell;

type Element = PoolElement<'static>;

const PORT: u16 = 7000;
/// How many connections are served at once.
const PLACES: usize = 4;

static STACK: ConstStaticCell<StackResources<8>> = ConstStaticCell::new(StackResources::new());
static STORAGE: ConstStaticCell<ElementStorage> = ConstStaticCell::new(ElementStorage::new());
static RESOURCES: ConstStaticCell<Resources<Element, 2>> = ConstStaticCell::new(Resources::new());
static CHANNEL: ConstStaticCell<ChannelBuffers> = ConstStaticCell::new(ChannelBuffers::new());

static TAKEN: AtomicU32 = AtomicU32::new(0);
static STOP: Signal<CriticalSectionRawMutex, ()> = Signal::new();

#[cortex_m_rt::entry]
fn main() -> ! {
    board::start(STACK.take(), |spawner, stack, args| spawner.spawn(sensor(spawner, stack, args).unwrap()))
}

#[embassy_executor::task]
async fn drive(mut runner: Runner<'static, Element, 2, 512>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn beat(millis: u64) -> ! {
    loop {
        embassy_time::Timer::after_millis(millis).await;
    }
}

#[embassy_executor::task]
async fn sensor(spawner: Spawner, stack: Stack<'static>, args: &'static board::Args) {
    let element = PoolElement::new(STORAGE.take(), EndpointConfig::new(), args.seed, rserpool_embassy::now());
    let (element, mut runner) = rserpool_embassy::new(stack, element, RESOURCES.take(), Config::new());
    if args.multicast {
        runner.join(Channel::v4(Ppid::Asap), CHANNEL.take());
    } else {
        element.add_server(&[args.registrar()]);
    }
    spawner.spawn(drive(runner).unwrap());
    if args.beat > 0 {
        spawner.spawn(beat(args.beat).unwrap());
    }

    let service = ElementInfo {
        pool_handle: b"sensors",
        id: None,
        user_transport: Transport::Tcp(args.service(PORT)),
        policy: Policy::LeastUsed { load: 0 },
        lifetime: Lifetime::from_secs(args.lifetime),
    };
    let key = element.register(&service).unwrap();
    for _ in 0..PLACES {
        spawner.spawn(serve(stack, element, key).unwrap());
    }
    element.registered(key).await;
    say!("registered");

    let end = async {
        match args.run {
            0 => core::future::pending().await,
            seconds => embassy_time::Timer::after_secs(seconds).await,
        }
    };
    let (mut homes, mut changes) = (0, 0);
    let count = async {
        loop {
            changes += 1;
            homes += u32::from(matches!(element.event().await, ElementEvent::HomeFound(_)));
        }
    };
    select3(STOP.wait(), end, count).await;
    say!("{} registrars, {} events, after {} s", homes, changes, embassy_time::Instant::now().as_secs());
    let _ = element.deregister(key).await;
    say!("deregistered");
    // The last acknowledgement is still to be sent.
    embassy_time::Timer::after_millis(100).await;
    board::exit(true);
}

/// Changes how many places are taken, and tells the registrar.
fn busy(element: Handle<'_, Element>, key: ElementKey, change: i32) {
    let taken = TAKEN.load(Ordering::Relaxed).saturating_add_signed(change);
    TAKEN.store(taken, Ordering::Relaxed);
    let load = taken * (u32::MAX / PLACES as u32);
    if element.set_policy(key, Policy::LeastUsed { load }).is_ok() {
        say!("{} of {} places are taken", taken, PLACES);
    }
}

#[embassy_executor::task(pool_size = PLACES)]
async fn serve(stack: Stack<'static>, element: Handle<'static, Element>, key: ElementKey) {
    let (mut rx, mut tx) = ([0; 256], [0; 256]);
    let mut reading = 2100;
    loop {
        let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
        socket.set_timeout(Some(embassy_time::Duration::from_secs(30)));
        if socket.accept(PORT).await.is_err() {
            continue;
        }
        busy(element, key, 1);
        let mut line = [0; 32];
        while let Ok(len @ 1..) = socket.read(&mut line).await {
            if line.get(..len).is_some_and(|line| line.starts_with(b"stop")) {
                STOP.signal(());
                break;
            }
            reading = 2100 + (reading * 7 + len as u32) % 100;
            let digit = |divisor: u32| b'0' + (reading / divisor % 10) as u8;
            let text = [digit(1000), digit(100), b'.', digit(10), digit(1), b' ', b'C', b'\n'];
            if socket.write(&text).await.is_err() {
                break;
            }
        }
        busy(element, key, -1);
        socket.close();
        let _ = socket.flush().await;
    }
}
