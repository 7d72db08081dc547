//! The smallest pool element: a service that says "hello", in the pool "hello".
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_net::{Stack, StackResources, tcp::TcpSocket};
use rserpool_core::wire::{Lifetime, Policy, Transport};
use rserpool_core::{ElementEvent, ElementInfo, ElementStorage, EndpointConfig, PoolElement, Ppid};
use rserpool_embassy::{Channel, ChannelBuffers, Config, Handle, Resources, Runner};
use rserpool_firmware::{board, say};
use static_cell::ConstStaticCell;

type Element = PoolElement<'static>;

/// One connection to the registrar, one to look for another; a third listens, for a registrar that takes over.
const SOCKETS: usize = 3;

static STACK: ConstStaticCell<StackResources<{ SOCKETS + 2 }>> = ConstStaticCell::new(StackResources::new());
static STORAGE: ConstStaticCell<ElementStorage> = ConstStaticCell::new(ElementStorage::new());
static RESOURCES: ConstStaticCell<Resources<Element, SOCKETS>> = ConstStaticCell::new(Resources::new());
static CHANNEL: ConstStaticCell<ChannelBuffers> = ConstStaticCell::new(ChannelBuffers::new());

#[cortex_m_rt::entry]
fn main() -> ! {
    board::start(STACK.take(), |spawner, stack, args| spawner.spawn(hello(spawner, stack, args).unwrap()))
}

#[embassy_executor::task]
async fn drive(mut runner: Runner<'static, Element, SOCKETS, 512>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn tell(element: Handle<'static, Element>) -> ! {
    loop {
        match element.event().await {
            ElementEvent::HomeFound(_) => say!("there is a registrar"),
            ElementEvent::HomeAdopted(_) => say!("another registrar has taken over"),
            ElementEvent::HomeLost => say!("the registrar is gone"),
            ElementEvent::Registered(_) => say!("registered"),
            _ => say!("something else happened"),
        }
    }
}

#[embassy_executor::task]
async fn hello(spawner: Spawner, stack: Stack<'static>, args: &'static board::Args) {
    let config = EndpointConfig { asap_port: Ppid::Asap.port(), ..EndpointConfig::new() };
    let element = PoolElement::new(STORAGE.take(), config, args.seed, rserpool_embassy::now());
    let config = Config { reserved: 2, ..Config::new() }.listen(Ppid::Asap);
    let (element, mut runner) = rserpool_embassy::new(stack, element, RESOURCES.take(), config);
    if args.multicast {
        runner.join(Channel::v4(Ppid::Asap), CHANNEL.take());
    } else {
        element.add_server(&[args.registrar()]);
    }
    spawner.spawn(drive(runner).unwrap());
    spawner.spawn(tell(element).unwrap());

    let service = ElementInfo {
        pool_handle: b"hello",
        id: None,
        user_transport: Transport::Tcp(args.service(7)),
        policy: Policy::RoundRobin,
        lifetime: Lifetime::from_secs(args.lifetime),
    };
    element.register(&service).unwrap();

    let (mut rx, mut tx) = ([0; 256], [0; 256]);
    loop {
        let mut socket = TcpSocket::new(stack, &mut rx, &mut tx);
        socket.set_timeout(Some(embassy_time::Duration::from_secs(10)));
        if socket.accept(7).await.is_ok() {
            let _ = socket.write(b"hello\n").await;
            socket.close();
            let _ = socket.flush().await;
            say!("somebody was served");
        }
    }
}
