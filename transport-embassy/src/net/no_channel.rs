//! Without the feature `multicast`: no channels, and no UDP.

use core::net::SocketAddr;
use core::task::Waker;

use embassy_net::Stack;
use rserpool_core::Ppid;

pub(super) struct Channels<'d>(core::marker::PhantomData<&'d ()>);

impl<'d> Channels<'d> {
    pub(super) const fn new() -> Self {
        Channels(core::marker::PhantomData)
    }

    pub(super) fn join(&mut self, _stack: Stack<'d>) {}

    pub(super) fn receive(&mut self, _waker: &Waker, _buf: &mut [u8]) -> Option<(Ppid, SocketAddr, usize)> {
        None
    }

    pub(super) fn send(&mut self, _ppid: Ppid, _message: &[u8]) {}
}
