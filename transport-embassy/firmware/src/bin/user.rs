//! A pool user: it asks the services of the pool "echo" for an answer, ten times a second, and goes on with the next
//! one when one dies.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_net::tcp::TcpSocket;
use embassy_net::{IpEndpoint, Stack, StackResources};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use rserpool_core::{EndpointConfig, PeId, PoolUser, Ppid, UserStorage};
use rserpool_embassy::{Channel, ChannelBuffers, Chosen, Config, Resources, Runner};
use rserpool_firmware::{board, say};
use static_cell::ConstStaticCell;

type User = PoolUser<'static>;

static STACK: ConstStaticCell<StackResources<4>> = ConstStaticCell::new(StackResources::new());
static STORAGE: ConstStaticCell<UserStorage<2, 8>> = ConstStaticCell::new(UserStorage::new());
static RESOURCES: ConstStaticCell<Resources<User, 2>> = ConstStaticCell::new(Resources::new());
static CHANNEL: ConstStaticCell<ChannelBuffers> = ConstStaticCell::new(ChannelBuffers::new());

#[cortex_m_rt::entry]
fn main() -> ! {
    board::start(STACK.take(), |spawner, stack, args| spawner.spawn(user(spawner, stack, args).unwrap()))
}

#[embassy_executor::task]
async fn drive(mut runner: Runner<'static, User, 2, 512>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn user(spawner: Spawner, stack: Stack<'static>, args: &'static board::Args) {
    let user = PoolUser::new(STORAGE.take(), EndpointConfig::new(), args.seed, rserpool_embassy::now());
    let (user, mut runner) = rserpool_embassy::new(stack, user, RESOURCES.take(), Config::new());
    if args.multicast {
        runner.join(Channel::v4(Ppid::Asap), CHANNEL.take());
    } else {
        user.add_server(&[args.registrar()]);
    }
    spawner.spawn(drive(runner).unwrap());

    let (mut served, mut failovers, mut last) = (0, 0, PeId(0));
    let mut rx = [0; 256];
    let mut tx = [0; 256];
    let end = Instant::now() + Duration::from_secs(args.run);
    while args.run == 0 || Instant::now() < end {
        let Ok(pool) = user.resolve(b"echo") else { break };
        let element = match user.choose(pool).await {
            Ok(element) => element,
            Err(_) => {
                say!("no element is to be had");
                Timer::after_millis(500).await;
                continue;
            }
        };
        match ask(stack, element, &mut rx, &mut tx).await {
            true => {
                served += 1;
                if element.id != last {
                    last = element.id;
                    say!("served by {:#010x}", last.0);
                }
            }
            false => {
                failovers += 1;
                say!("{:#010x} does not answer", element.id.0);
                user.report_failure(pool, element.id);
            }
        }
        Timer::after_millis(100).await;
    }
    say!("{} requests were served, {} had to be repeated", served, failovers);
    board::exit(served > 0);
}

/// One request over a connection of its own.
async fn ask(stack: Stack<'static>, element: Chosen, rx: &mut [u8], tx: &mut [u8]) -> bool {
    let core::net::IpAddr::V4(address) = element.address.ip() else { return false };
    let to = IpEndpoint::new(address.into(), element.address.port());
    let mut socket = TcpSocket::new(stack, rx, tx);
    let answer = async {
        socket.connect(to).await.ok()?;
        socket.write(b"hello\n").await.ok()?;
        let mut answer = [0; 16];
        let len = socket.read(&mut answer).await.ok()?;
        (answer.get(..len) == Some(b"hello\n")).then_some(())
    };
    let answered = with_timeout(Duration::from_secs(1), answer).await.ok().flatten().is_some();
    socket.abort();
    let _ = with_timeout(Duration::from_millis(100), socket.flush()).await;
    answered
}
