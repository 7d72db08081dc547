//! The task that drives a machine.

use core::cell::RefCell;
use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use arrayvec::ArrayVec;
use embassy_net::Stack;
use embassy_net::tcp::TcpSocket;
use embassy_time::Timer;
use rserpool_core::Instant;

use super::handle::Handle;
use super::host::NetHost;
use super::resources::{Resources, Shared};
use super::streams::NetStreams;
#[cfg(feature = "multicast")]
use crate::channel::Channel;
use crate::clock;
use crate::config::Config;
use crate::engine::{Again, Dial, Engine, Memory, Slot};
use crate::framed::{Framed, Inbox};
use crate::role::Role;

#[cfg(feature = "multicast")]
use super::channel::ChannelBuffers;
use super::channel::Channels;

/// Drives a machine over a stack: the [`Handle`] is for the application, the [`Runner`] for a task of its own.
///
/// Takes `SOCKETS` of the sockets of the stack's resources.
pub fn new<
    'd,
    M: Role,
    const SOCKETS: usize,
    const MESSAGE: usize,
    const RX: usize,
    const TX: usize,
    const DIALS: usize,
>(
    stack: Stack<'d>,
    machine: M,
    resources: &'d mut Resources<M, SOCKETS, MESSAGE, RX, TX, DIALS>,
    config: Config,
) -> (Handle<'d, M>, Runner<'d, M, SOCKETS, MESSAGE>) {
    let Resources { shared, rx, tx, inboxes, buf, slots, dials } = resources;
    let shared = &*shared.write(RefCell::new(Shared::new(machine)));
    let mut sockets = ArrayVec::new();
    for (rx, tx) in rx.iter_mut().zip(tx) {
        let mut socket = TcpSocket::new(stack, rx, tx);
        socket.set_nagle_enabled(false);
        socket.set_timeout(clock::limit(config.tcp_timeout));
        socket.set_keep_alive(clock::limit(config.tcp_keep_alive));
        let _ = sockets.try_push(socket); // there is one for each buffer
    }
    let engine = Engine::new(config);
    let runner = Runner { stack, shared, engine, slots, dials, sockets, inboxes, buf, channels: Channels::new() };
    (Handle::new(shared), runner)
}

/// The driver of a machine. Nothing happens unless [`Runner::run`] does.
pub struct Runner<'d, M: Role, const SOCKETS: usize, const MESSAGE: usize> {
    stack: Stack<'d>,
    shared: &'d RefCell<Shared<M>>,
    engine: Engine,
    slots: &'d mut [Slot],
    dials: &'d mut [Dial],
    sockets: ArrayVec<TcpSocket<'d>, SOCKETS>,
    inboxes: &'d mut [Inbox<MESSAGE>; SOCKETS],
    buf: &'d mut [u8; MESSAGE],
    channels: Channels<'d>,
}

impl<'d, M: Role, const SOCKETS: usize, const MESSAGE: usize> Runner<'d, M, SOCKETS, MESSAGE> {
    /// Takes part in a multicast channel: announcements of registrars are received and, by a registrar, sent. Takes one
    /// socket of the stack. There can be two channels; a further one is ignored.
    #[cfg(feature = "multicast")]
    pub fn join(&mut self, channel: Channel, buffers: &'d mut ChannelBuffers) {
        self.channels.open(self.stack, channel, buffers);
    }

    /// Drives the machine, for ever.
    pub async fn run(&mut self) -> ! {
        match poll_fn(|cx| self.poll(cx)).await {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Infallible> {
        let now = clock::now();
        match self.turn(now, cx.waker()) {
            Again::Now => cx.waker().wake_by_ref(),
            Again::At(at) => {
                // Nobody tells when the stack gets another address.
                let check = now + self.engine.config().network_check;
                let timer = pin!(Timer::at(clock::deadline(at.map_or(check, |at| at.min(check)))));
                if timer.poll(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
            }
        }
        Poll::Pending
    }

    fn turn(&mut self, now: Instant, waker: &Waker) -> Again {
        let shared = &mut *self.shared.borrow_mut();
        shared.driver.register(waker);
        let Shared { machine, events, waiters, .. } = shared;
        let mut host = NetHost { stack: self.stack, channels: &mut self.channels, waker };
        let mut tell = |event| {
            events.push(event);
            waiters.wake();
        };
        let streams = NetStreams { sockets: &mut self.sockets, waker };
        let mut carrier = Framed { streams, inboxes: self.inboxes };
        let memory = Memory { slots: self.slots, dials: self.dials, buf: self.buf };
        self.engine.turn(now, machine, &mut carrier, &mut host, memory, &mut tell)
    }
}
