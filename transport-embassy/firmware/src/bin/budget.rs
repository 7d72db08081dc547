//! What is measured: a TCP echo service over embassy-net, and with features more and more of rserpool beside it. The
//! difference is what rserpool takes. It works, but nobody looks.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_net::tcp::TcpSocket;
use embassy_net::{Stack, StackResources};
use rserpool_firmware::board;
use static_cell::ConstStaticCell;

/// Sockets of the machines.
const SOCKETS: usize = 1
    + 2 * cfg!(feature = "budget-element") as usize
    + 2 * cfg!(feature = "budget-user") as usize
    + 12 * cfg!(feature = "budget-registrar") as usize;

static STACK: ConstStaticCell<StackResources<SOCKETS>> = ConstStaticCell::new(StackResources::new());
static BUFFERS: ConstStaticCell<([u8; 512], [u8; 512])> = ConstStaticCell::new(([0; 512], [0; 512]));

#[cortex_m_rt::entry]
fn main() -> ! {
    board::start(STACK.take(), |spawner, stack, args| {
        let _ = (spawner, args);
        spawn(spawner, echo(stack));
        #[cfg(feature = "budget-element")]
        element::start(spawner, stack, args);
        #[cfg(feature = "budget-user")]
        user::start(spawner, stack, args);
        #[cfg(feature = "budget-registrar")]
        registrar::start(spawner, stack, args);
    })
}

fn spawn<S>(spawner: Spawner, task: Result<embassy_executor::SpawnToken<S>, embassy_executor::SpawnError>) {
    if let Ok(task) = task {
        spawner.spawn(task);
    }
}

#[embassy_executor::task]
async fn echo(stack: Stack<'static>) {
    let (rx, tx) = BUFFERS.take();
    let mut socket = TcpSocket::new(stack, rx, tx);
    let mut line = [0; 64];
    loop {
        if socket.accept(7).await.is_ok() {
            while let Ok(len @ 1..) = socket.read(&mut line).await {
                if socket.write(line.get(..len).unwrap_or(&[])).await.is_err() {
                    break;
                }
            }
        }
        socket.abort();
        let _ = socket.flush().await;
    }
}

#[cfg(feature = "budget-element")]
mod element {
    use embassy_executor::Spawner;
    use embassy_net::Stack;
    use rserpool_core::wire::{Lifetime, Policy, Transport};
    use rserpool_core::{ElementInfo, ElementStorage, EndpointConfig, PoolElement};
    use rserpool_embassy::{Config, Resources, Runner};
    use rserpool_firmware::board::Args;
    use static_cell::ConstStaticCell;

    type Element = PoolElement<'static>;

    static STORAGE: ConstStaticCell<ElementStorage> = ConstStaticCell::new(ElementStorage::new());
    static RESOURCES: ConstStaticCell<Resources<Element, 2, 256, 256, 256>> = ConstStaticCell::new(Resources::new());

    #[embassy_executor::task]
    async fn drive(mut runner: Runner<'static, Element, 2, 256>) -> ! {
        runner.run().await
    }

    pub(super) fn start(spawner: Spawner, stack: Stack<'static>, args: &Args) {
        let element = PoolElement::new(STORAGE.take(), EndpointConfig::new(), args.seed, rserpool_embassy::now());
        let (element, runner) = rserpool_embassy::new(stack, element, RESOURCES.take(), Config::new());
        element.add_server(&[args.registrar()]);
        super::spawn(spawner, drive(runner));
        let service = ElementInfo {
            pool_handle: b"echo",
            id: None,
            user_transport: Transport::Tcp(args.service(7)),
            policy: Policy::LeastUsed { load: 0 },
            lifetime: Lifetime::from_secs(300),
        };
        if let Ok(key) = element.register(&service) {
            let _ = element.set_policy(key, Policy::LeastUsed { load: 1 });
        }
    }
}

#[cfg(feature = "budget-user")]
mod user {
    use embassy_executor::Spawner;
    use embassy_net::Stack;
    use rserpool_core::{EndpointConfig, PoolUser, UserStorage};
    use rserpool_embassy::{Config, Handle, Resources, Runner};
    use rserpool_firmware::board::Args;
    use static_cell::ConstStaticCell;

    type User = PoolUser<'static>;

    static STORAGE: ConstStaticCell<UserStorage<2, 8>> = ConstStaticCell::new(UserStorage::new());
    static RESOURCES: ConstStaticCell<Resources<User, 2, 512, 256, 512>> = ConstStaticCell::new(Resources::new());

    #[embassy_executor::task]
    async fn drive(mut runner: Runner<'static, User, 2, 512>) -> ! {
        runner.run().await
    }

    #[embassy_executor::task]
    async fn choose(user: Handle<'static, User>) {
        if let Ok(pool) = user.resolve(b"echo") {
            while let Ok(chosen) = user.choose(pool).await {
                user.report_failure(pool, chosen.id);
            }
        }
    }

    pub(super) fn start(spawner: Spawner, stack: Stack<'static>, args: &Args) {
        let user = PoolUser::new(STORAGE.take(), EndpointConfig::new(), args.seed, rserpool_embassy::now());
        let (user, runner) = rserpool_embassy::new(stack, user, RESOURCES.take(), Config::new());
        user.add_server(&[args.registrar()]);
        super::spawn(spawner, drive(runner));
        super::spawn(spawner, choose(user));
    }
}

#[cfg(feature = "budget-registrar")]
mod registrar {
    use embassy_executor::Spawner;
    use embassy_net::Stack;
    use rserpool_core::{Link, Ppid, Registrar as Machine, RegistrarConfig, RegistrarStorage};
    use rserpool_embassy::{Config, Resources, Runner};
    use rserpool_firmware::board::Args;
    use static_cell::ConstStaticCell;

    type Registrar = Machine<'static>;

    static STORAGE: ConstStaticCell<RegistrarStorage<8, 32, 5, 12>> = ConstStaticCell::new(RegistrarStorage::new());
    static RESOURCES: ConstStaticCell<Resources<Registrar, 12, 768, 256, 768, 8>> =
        ConstStaticCell::new(Resources::new());

    #[embassy_executor::task]
    async fn drive(mut runner: Runner<'static, Registrar, 12, 768>) -> ! {
        runner.run().await
    }

    pub(super) fn start(spawner: Spawner, stack: Stack<'static>, args: &Args) {
        let mut config = RegistrarConfig { max_items: 8, ..RegistrarConfig::new() };
        let _ = config.enrp.transport.try_push((Link::Tcp, args.service(Ppid::Enrp.port())));
        config.enrp.table_page_len = 768;
        let mut registrar = Machine::new(STORAGE.take(), config, args.seed, rserpool_embassy::now());
        registrar.add_peer(Link::Tcp, &[args.registrar()]);
        let config = Config { reserved: 5, ..Config::new() }.listen(Ppid::Asap).listen(Ppid::Enrp);
        let (_, runner) = rserpool_embassy::new(stack, registrar, RESOURCES.take(), config);
        super::spawn(spawner, drive(runner));
    }
}
