//! The stack's addresses, and its multicast channels.

use core::net::{IpAddr, SocketAddr};
use core::task::Waker;

use embassy_net::Stack;
use rserpool_core::Ppid;

use super::channel::Channels;
use crate::carrier::Host;

pub(super) struct NetHost<'a, 'd> {
    pub(super) stack: Stack<'d>,
    pub(super) channels: &'a mut Channels<'d>,
    pub(super) waker: &'a Waker,
}

impl Host for NetHost<'_, '_> {
    fn addresses(&mut self) -> [Option<IpAddr>; 2] {
        #[cfg(feature = "proto-ipv4")]
        let v4 = self.stack.config_v4().map(|config| IpAddr::V4(config.address.address()));
        #[cfg(not(feature = "proto-ipv4"))]
        let v4 = None;
        #[cfg(feature = "proto-ipv6")]
        let v6 = self.stack.config_v6().map(|config| IpAddr::V6(config.address.address()));
        #[cfg(not(feature = "proto-ipv6"))]
        let v6 = None;
        [v4, v6]
    }

    fn join(&mut self) {
        self.channels.join(self.stack);
    }

    fn receive(&mut self, buf: &mut [u8]) -> Option<(Ppid, SocketAddr, usize)> {
        self.channels.receive(self.waker, buf)
    }

    fn send(&mut self, ppid: Ppid, message: &[u8]) {
        self.channels.send(ppid, message);
    }
}
