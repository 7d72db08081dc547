//! The TCP sockets of embassy-net, one look at a time. Its futures keep nothing between two polls, so each is made,
//! polled once and dropped: that does what can be done now, and registers the task for the rest.

use core::future::Future;
use core::net::SocketAddr;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use embassy_net::tcp::{State, TcpSocket};

use crate::addr;
use crate::carrier::Status;
use crate::framed::Streams;

pub(super) struct NetStreams<'a, 'd> {
    pub(super) sockets: &'a mut [TcpSocket<'d>],
    pub(super) waker: &'a Waker,
}

fn once<T>(waker: &Waker, future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

impl Streams for NetStreams<'_, '_> {
    fn status(&mut self, slot: usize) -> Status {
        let Some(socket) = self.sockets.get_mut(slot) else { return Status::Closed };
        let state = socket.state();
        if state != State::Established {
            // Each change of the state wakes both sides; who may not write is registered.
            once(self.waker, socket.wait_write_ready());
        }
        match state {
            State::Closed if socket.remote_endpoint().is_some() => {
                once(self.waker, socket.flush());
                Status::Reset
            }
            State::Closed | State::TimeWait => Status::Closed,
            State::Listen => Status::Listening,
            State::SynSent | State::SynReceived => Status::Opening,
            State::Established => Status::Open,
            State::CloseWait if socket.recv_queue() > 0 => Status::Open,
            State::CloseWait | State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck => {
                once(self.waker, socket.flush());
                Status::Ended
            }
        }
    }

    fn connect(&mut self, slot: usize, to: SocketAddr) -> bool {
        let Some((socket, to)) = self.sockets.get_mut(slot).zip(addr::to_stack(to)) else { return false };
        // `Some` is a failure, or a success that `status` will see.
        !matches!(once(self.waker, socket.connect(to)), Some(Err(_)))
    }

    fn listen(&mut self, slot: usize, port: u16) -> bool {
        let Some(socket) = self.sockets.get_mut(slot) else { return false };
        !matches!(once(self.waker, socket.accept(port)), Some(Err(_)))
    }

    fn peer(&mut self, slot: usize) -> Option<SocketAddr> {
        self.sockets.get(slot)?.remote_endpoint().map(addr::from_stack)
    }

    fn read(&mut self, slot: usize, buf: &mut [u8]) -> usize {
        let Some(socket) = self.sockets.get_mut(slot) else { return 0 };
        match once(self.waker, socket.read(buf)) {
            Some(Ok(read)) => read,
            // The end, in good order or not: the status tells.
            Some(Err(_)) | None => 0,
        }
    }

    fn write(&mut self, slot: usize, bytes: &[u8]) {
        if let Some(socket) = self.sockets.get_mut(slot) {
            once(self.waker, socket.write(bytes));
        }
    }

    fn room(&mut self, slot: usize) -> Option<(usize, usize)> {
        let socket = self.sockets.get_mut(slot).filter(|socket| socket.may_send())?;
        let (all, queued) = (socket.send_capacity(), socket.send_queue());
        if queued > 0 {
            // Woken when the peer has taken some of it.
            once(self.waker, socket.flush());
        }
        Some((all.saturating_sub(queued), all))
    }

    fn close(&mut self, slot: usize) {
        if let Some(socket) = self.sockets.get_mut(slot) {
            socket.close();
        }
    }

    fn abort(&mut self, slot: usize) {
        if let Some(socket) = self.sockets.get_mut(slot) {
            socket.abort();
        }
    }
}
