//! smoltcp's sockets, looked at once in each poll.

use core::cell::RefCell;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use rserpool_core::Ppid;
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, State};

use super::Member;
use crate::addr;
use crate::carrier::{Host, Status};
use crate::framed::Streams;

pub(super) type Stack<'a, 's> = RefCell<(&'a mut Interface, &'a mut SocketSet<'s>)>;

/// Local ports, one after the other.
pub(super) struct Ports(u16);

impl Ports {
    const FIRST: u16 = 49_152;

    pub(super) fn new(seed: u64) -> Self {
        let [low, high, ..] = seed.to_le_bytes();
        Ports(u16::from_le_bytes([low, high]))
    }

    fn next(&mut self) -> u16 {
        self.0 = self.0.wrapping_add(1);
        Self::FIRST | self.0
    }
}

pub(super) struct SmolStreams<'a, 'i, 's> {
    pub(super) stack: &'a Stack<'i, 's>,
    pub(super) handles: &'a [SocketHandle],
    pub(super) ports: &'a mut Ports,
    /// After how long a connection is given up, and after how long the peer is asked.
    pub(super) limits: (Duration, Duration),
}

impl SmolStreams<'_, '_, '_> {
    fn with<R>(&self, slot: usize, call: impl FnOnce(&mut Socket<'_>, &mut Interface) -> R) -> Option<R> {
        let handle = *self.handles.get(slot)?;
        let (iface, sockets) = &mut *self.stack.borrow_mut();
        Some(call(sockets.get_mut::<Socket<'_>>(handle), iface))
    }

    fn prepare(&self, socket: &mut Socket<'_>) {
        let limit = |time| (time != Duration::MAX).then(|| smoltcp::time::Duration::from(time));
        socket.set_nagle_enabled(false);
        socket.set_timeout(limit(self.limits.0));
        socket.set_keep_alive(limit(self.limits.1));
    }
}

impl Streams for SmolStreams<'_, '_, '_> {
    fn status(&mut self, slot: usize) -> Status {
        let look = |socket: &mut Socket<'_>, _: &mut Interface| match socket.state() {
            State::Closed if socket.remote_endpoint().is_some() => Status::Reset,
            State::Closed | State::TimeWait => Status::Closed,
            State::Listen => Status::Listening,
            State::SynSent | State::SynReceived => Status::Opening,
            State::Established => Status::Open,
            State::CloseWait if socket.recv_queue() > 0 => Status::Open,
            State::CloseWait | State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck => Status::Ended,
        };
        self.with(slot, look).unwrap_or(Status::Closed)
    }

    fn connect(&mut self, slot: usize, to: SocketAddr) -> bool {
        let Some(to) = addr::to_stack(to) else { return false };
        let port = self.ports.next();
        let connect = |socket: &mut Socket<'_>, iface: &mut Interface| {
            self.prepare(socket);
            socket.connect(iface.context(), to, port).is_ok()
        };
        self.with(slot, connect).unwrap_or(false)
    }

    fn listen(&mut self, slot: usize, port: u16) -> bool {
        let listen = |socket: &mut Socket<'_>, _: &mut Interface| {
            self.prepare(socket);
            socket.listen(port).is_ok()
        };
        self.with(slot, listen).unwrap_or(false)
    }

    fn peer(&mut self, slot: usize) -> Option<SocketAddr> {
        self.with(slot, |socket, _| socket.remote_endpoint())?.map(addr::from_stack)
    }

    fn read(&mut self, slot: usize, buf: &mut [u8]) -> usize {
        self.with(slot, |socket, _| socket.recv_slice(buf).unwrap_or(0)).unwrap_or(0)
    }

    fn write(&mut self, slot: usize, bytes: &[u8]) {
        // The room was asked for before; if the connection has ended, the status tells.
        let _ = self.with(slot, |socket, _| socket.send_slice(bytes).is_ok());
    }

    fn room(&mut self, slot: usize) -> Option<(usize, usize)> {
        let room = |socket: &mut Socket<'_>, _: &mut Interface| {
            let all = socket.send_capacity();
            socket.may_send().then(|| (all.saturating_sub(socket.send_queue()), all))
        };
        self.with(slot, room)?
    }

    fn close(&mut self, slot: usize) {
        let _ = self.with(slot, |socket, _| socket.close());
    }

    fn abort(&mut self, slot: usize) {
        let _ = self.with(slot, |socket, _| socket.abort());
    }
}

pub(super) struct SmolHost<'a, 'i, 's> {
    pub(super) stack: &'a Stack<'i, 's>,
    pub(super) channels: &'a [Member],
}

impl Host for SmolHost<'_, '_, '_> {
    fn addresses(&mut self) -> [Option<IpAddr>; 2] {
        let (iface, _) = &*self.stack.borrow();
        let mut addresses = [None; 2];
        for cidr in iface.ip_addrs() {
            let address = IpAddr::from(cidr.address());
            let [v4, v6] = &mut addresses;
            let of_its_family = if address.is_ipv4() { v4 } else { v6 };
            // A link-local one counts only where there is no other.
            let local = matches!(of_its_family, Some(IpAddr::V6(known)) if known.is_unicast_link_local());
            if of_its_family.is_none() || local {
                *of_its_family = Some(address);
            }
        }
        addresses
    }

    #[cfg(feature = "multicast")]
    fn join(&mut self) {
        use smoltcp::socket::udp;
        let (iface, sockets) = &mut *self.stack.borrow_mut();
        for Member { channel, socket } in self.channels {
            let socket = sockets.get_mut::<udp::Socket<'_>>(*socket);
            if !socket.is_open() {
                socket.set_hop_limit(Some(channel.hops.max(1)));
                let _ = socket.bind(channel.group.port()); // fails for port 0 only
            }
            let Some(group) = addr::ip(channel.group.ip()) else { continue };
            // Routers and switches are told anew who has another address.
            let _ = iface.leave_multicast_group(group);
            if iface.join_multicast_group(group).is_err() {
                warn!("a multicast group cannot be joined");
            }
        }
    }

    #[cfg(feature = "multicast")]
    fn receive(&mut self, buf: &mut [u8]) -> Option<(Ppid, SocketAddr, usize)> {
        use smoltcp::socket::udp;
        let (_, sockets) = &mut *self.stack.borrow_mut();
        for Member { channel, socket } in self.channels {
            let socket = sockets.get_mut::<udp::Socket<'_>>(*socket);
            while socket.can_recv() {
                // One that does not fit is none of ours.
                let Ok((len, meta)) = socket.recv_slice(buf) else { continue };
                if !channel.is_to(meta.local_address) {
                    continue;
                }
                return Some((channel.ppid, addr::from_stack(meta.endpoint), len));
            }
        }
        None
    }

    /// What cannot be sent now is left out: another announcement follows.
    #[cfg(feature = "multicast")]
    fn send(&mut self, ppid: Ppid, message: &[u8]) {
        use smoltcp::socket::udp;
        let (_, sockets) = &mut *self.stack.borrow_mut();
        for Member { channel, socket } in self.channels.iter().filter(|member| member.channel.ppid == ppid) {
            let Some(group) = addr::to_stack(channel.group) else { continue };
            if sockets.get_mut::<udp::Socket<'_>>(*socket).send_slice(message, group).is_err() {
                debug!("an announcement was not sent");
            }
        }
    }

    #[cfg(not(feature = "multicast"))]
    fn join(&mut self) {
        let _ = self.channels;
    }

    #[cfg(not(feature = "multicast"))]
    fn receive(&mut self, _buf: &mut [u8]) -> Option<(Ppid, SocketAddr, usize)> {
        None
    }

    #[cfg(not(feature = "multicast"))]
    fn send(&mut self, _ppid: Ppid, _message: &[u8]) {}
}
