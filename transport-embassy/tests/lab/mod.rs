//! Hosts with embassy-net on one Ethernet segment in memory, in virtual time. One lab at a time: embassy's clock is
//! global.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test file uses a part of it")]

pub mod clock;
mod executor;
mod hub;
mod nodes;

use std::cell::RefCell;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use embassy_net::{Config, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use executor::Executor;
pub use executor::TaskId;
pub use hub::Hub;
pub use nodes::*;

/// Sockets of each host.
const SOCKETS: usize = 16;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub struct Lab {
    pub hub: Hub,
    executor: Executor,
    _guard: MutexGuard<'static, ()>,
}

/// The address of a host.
pub fn ip(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, host)
}

pub fn at(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(ip(host).into(), port)
}

pub fn static_v4(address: Ipv4Addr) -> StaticConfigV4 {
    StaticConfigV4 { address: Ipv4Cidr::new(address, 24), gateway: None, dns_servers: Default::default() }
}

impl Lab {
    pub fn new() -> Self {
        let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        clock::forget_timers();
        Lab { hub: Hub::new(), executor: Executor::default(), _guard: guard }
    }

    /// A host with a network stack that runs. It is plugged in as a port of the hub with its own number.
    pub fn host(&mut self, number: u8) -> Stack<'static> {
        let nic = self.hub.plug(number);
        let resources = Box::leak(Box::new(StackResources::<SOCKETS>::new()));
        let config = Config::ipv4_static(static_v4(ip(number)));
        let (stack, mut runner) = embassy_net::new(nic, config, resources, 0x5eed_0000 + u64::from(number));
        self.spawn(async move { runner.run().await });
        stack
    }

    pub fn spawn<T>(&mut self, task: impl Future<Output = T> + 'static) -> TaskId {
        self.executor.spawn(task)
    }

    /// Ends a task where it waits.
    pub fn kill(&mut self, task: TaskId) {
        self.executor.kill(task);
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = clock::now() + u64::try_from(time.as_micros()).unwrap();
        self.executor.run(end, || false);
    }

    /// Runs until something is so. Gives the time that it took.
    ///
    /// # Panics
    /// It took longer than `limit`.
    #[track_caller]
    pub fn run_until(&mut self, limit: Duration, done: impl FnMut() -> bool) -> Duration {
        let begin = clock::now();
        let end = begin + u64::try_from(limit.as_micros()).unwrap();
        assert!(self.executor.run(end, done), "not within {limit:?}");
        Duration::from_micros(clock::now() - begin)
    }

    /// Runs until a task gives its result.
    ///
    /// # Panics
    /// It took longer than `limit`.
    #[track_caller]
    pub fn wait_for<T: 'static>(&mut self, limit: Duration, task: impl Future<Output = T> + 'static) -> T {
        let result = Rc::new(RefCell::new(None));
        let place = Rc::clone(&result);
        let id = self.spawn(async move { *place.borrow_mut() = Some(task.await) });
        self.run_until(limit, || result.borrow().is_some());
        self.kill(id);
        result.take().unwrap()
    }
}
