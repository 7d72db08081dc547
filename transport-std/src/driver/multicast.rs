//! Multicast channels over UDP.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use mio::net::UdpSocket;
use mio::{Interest, Registry};
use rserpool_core::Ppid;
use socket2::{Domain, Protocol, Socket, Type};
use tracing::{debug, info, warn};

use super::config::{Channel, Interface};
use super::token::Source;

/// The sockets of one channel: those that receive, one for all interfaces where that can be, and one for each interface
/// that sends there.
///
/// They are apart because a sender is bound to its interface's address, so that this is the source that receivers see,
/// and a receiver to the group, so that no unicast and no other group's datagram comes in.
#[derive(Debug)]
pub(super) struct ChannelSockets {
    pub(super) ppid: Ppid,
    group: SocketAddr,
    receivers: Vec<UdpSocket>,
    /// The receiver that is asked next.
    turn: usize,
    senders: Vec<Sender>,
    /// Whether there may be something to receive.
    pub(super) readable: bool,
}

#[derive(Debug)]
struct Sender {
    interface: Interface,
    socket: UdpSocket,
    /// The kind of the last failure, if the last datagram failed: to log a lasting failure once.
    failing: Option<ErrorKind>,
}

impl ChannelSockets {
    pub(super) fn open(channel: &Channel, index: u32, registry: &Registry) -> io::Result<Self> {
        if !channel.group.ip().is_multicast() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "not a multicast group"));
        }
        let mut receivers = if channel.receive { receivers(channel)? } else { Vec::new() };
        for socket in &mut receivers {
            registry.register(socket, Source::Channel(index).token(), Interest::READABLE)?;
        }
        let interfaces = if channel.send { &channel.interfaces[..] } else { &[] };
        let senders = interfaces
            .iter()
            .map(|interface| Ok(Sender { interface: *interface, socket: sender(channel, *interface)?, failing: None }))
            .collect::<io::Result<_>>()?;
        Ok(ChannelSockets { ppid: channel.ppid, group: channel.group, receivers, turn: 0, senders, readable: false })
    }

    /// Sends on every interface; how many worked and how many did not.
    pub(super) fn send(&mut self, bytes: &[u8]) -> (u64, u64) {
        let (mut sent, mut lost) = (0, 0);
        for sender in &mut self.senders {
            let failing = sender.socket.send_to(bytes, self.group).err();
            match &failing {
                None => sent += 1,
                Some(_) => lost += 1,
            }
            let kind = failing.as_ref().map(io::Error::kind);
            if kind != sender.failing {
                match failing {
                    Some(error) => warn!(group = %self.group, interface = ?sender.interface, %error, "multicast lost"),
                    None => info!(group = %self.group, interface = ?sender.interface, "multicast works again"),
                }
                sender.failing = kind;
            }
        }
        (sent, lost)
    }

    /// Receives one datagram.
    pub(super) fn receive(&mut self, buf: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let count = self.receivers.len();
        for _ in 0..count {
            // In turn, so that what floods one interface keeps none of the others waiting.
            let socket = self.receivers.get(self.turn)?;
            self.turn = (self.turn + 1) % count;
            loop {
                match socket.recv_from(buf) {
                    Ok(received) => return Some(received),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => {
                        if error.kind() != ErrorKind::WouldBlock {
                            debug!(group = %self.group, %error, "nothing received");
                        }
                        break;
                    }
                }
            }
        }
        self.readable = false;
        None
    }
}

fn open(group: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    // All programs of a host share the channels' ports.
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
    socket.set_reuse_port(true)?;
    if group.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The sockets that receive on a channel's interfaces.
fn receivers(channel: &Channel) -> io::Result<Vec<UdpSocket>> {
    match channel.group {
        // Linux binds to such a group on one interface.
        SocketAddr::V6(group) if BOUND_V6 && is_narrow(*group.ip()) => {
            channel.interfaces.iter().map(|interface| receiver(channel, &[*interface])).collect()
        }
        _ => Ok(vec![receiver(channel, &channel.interfaces)?]),
    }
}

/// Whether a socket is bound to an IPv6 group here, which keeps unicast out.
const BOUND_V6: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Whether a group is of interface or link scope (RFC 4291, 2.7).
const fn is_narrow(group: Ipv6Addr) -> bool {
    group.octets()[1] & 0xf <= 2
}

/// A socket that receives on these interfaces.
fn receiver(channel: &Channel, interfaces: &[Interface]) -> io::Result<UdpSocket> {
    let socket = open(channel.group)?;
    // Linux otherwise gives a socket the datagrams of groups that other sockets of the host have joined.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    match channel.group {
        SocketAddr::V4(_) => socket.set_multicast_all_v4(false)?,
        SocketAddr::V6(_) => socket.set_multicast_all_v6(false)?,
    }
    socket.bind(&bound_to(channel.group, interfaces).into())?;
    for interface in interfaces {
        match (channel.group.ip(), interface) {
            (IpAddr::V4(group), Interface::Default) => socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?,
            (IpAddr::V4(group), Interface::V4(address)) => socket.join_multicast_v4(&group, address)?,
            (IpAddr::V6(group), Interface::Default) => socket.join_multicast_v6(&group, 0)?,
            (IpAddr::V6(group), Interface::V6(index)) => socket.join_multicast_v6(&group, *index)?,
            _ => return Err(wrong_family()),
        }
    }
    Ok(UdpSocket::from_std(socket.into()))
}

/// What a receiver is bound to: the group, where the system allows that.
fn bound_to(group: SocketAddr, interfaces: &[Interface]) -> SocketAddr {
    let port = group.port();
    match (group, interfaces) {
        // Windows binds to local addresses only.
        (SocketAddr::V4(group), _) if cfg!(unix) => group.into(),
        (SocketAddr::V4(_), _) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
        (SocketAddr::V6(group), _) if BOUND_V6 && !is_narrow(*group.ip()) => group.into(),
        (SocketAddr::V6(group), [Interface::V6(index @ 1..)]) if BOUND_V6 => {
            SocketAddrV6::new(*group.ip(), port, 0, *index).into()
        }
        (SocketAddr::V6(_), _) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
    }
}

fn sender(channel: &Channel, interface: Interface) -> io::Result<UdpSocket> {
    let socket = open(channel.group)?;
    let hops = u32::from(channel.hops);
    let source = match (channel.group, interface) {
        (SocketAddr::V4(_), Interface::Default) => Ipv4Addr::UNSPECIFIED.into(),
        (SocketAddr::V4(_), Interface::V4(address)) => {
            socket.set_multicast_if_v4(&address)?;
            address.into()
        }
        (SocketAddr::V6(_), Interface::Default) => Ipv6Addr::UNSPECIFIED.into(),
        (SocketAddr::V6(_), Interface::V6(index)) => {
            socket.set_multicast_if_v6(index)?;
            Ipv6Addr::UNSPECIFIED.into()
        }
        _ => return Err(wrong_family()),
    };
    // The members on this host are peers as all others are.
    match channel.group {
        SocketAddr::V4(_) => {
            socket.set_multicast_loop_v4(true)?;
            socket.set_multicast_ttl_v4(hops)?;
        }
        SocketAddr::V6(_) => {
            socket.set_multicast_loop_v6(true)?;
            socket.set_multicast_hops_v6(hops)?;
        }
    }
    let address = match source {
        IpAddr::V4(_) => SocketAddr::new(source, channel.source_port),
        IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, channel.source_port, 0, 0)),
    };
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

fn wrong_family() -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, "the interface is named in the other address family than the group")
}
