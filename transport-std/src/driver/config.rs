//! What a driver listens on, and its limits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rserpool_core::{Link, Ppid};

/// How a [`Driver`](super::Driver) is set up. The default listens nowhere, has no multicast channel, and has limits
/// that suit a registrar with thousands of peers.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// Where peers can connect.
    pub listeners: Vec<Listener>,
    /// The multicast channels. All channels of a protocol together are its
    /// [`Destination::Channel`](rserpool_core::Destination::Channel).
    pub channels: Vec<Channel>,

    /// How many accepted connections may be open. One more is accepted and closed at once, so that its peer goes to
    /// another registrar now instead of waiting here. Default: 8192.
    pub max_connections: usize,
    /// How many attempts to connect may be under way. One more fails at once. Default: 1024.
    pub max_dials: usize,
    /// The longest message that is accepted, in bytes without padding. Default: 65,535, all that the length field can
    /// say.
    pub max_message_len: usize,
    /// How many messages of one connection are handled before the next connection has its turn. Default: 512.
    pub messages_per_turn: usize,

    /// While this many bytes wait to be written to a connection, nothing more is read from it. Default: 64 KiB.
    pub out_pause: usize,
    /// A connection that has more bytes than this waiting, and whose system does not take the surplus at once, is
    /// closed. Default: 4 MiB.
    pub out_limit: usize,
    /// While more bytes than this wait for all connections together, `out_pause` is the limit of each in place of
    /// `out_limit`. Default: 256 MiB.
    pub out_total: usize,
    /// A connection whose peer took none of the waiting bytes for this long is closed. Default: 10 s.
    pub write_stall: Duration,
    /// A connection whose message is not complete this long after its first byte is closed. Default: 15 s.
    pub partial_message_timeout: Duration,

    /// How long all addresses of one attempt to connect may take together. Default: 10 s.
    pub connect_timeout: Duration,
    /// If an address has not answered after this long, the next one is tried beside it (RFC 8305, 5: "Connection
    /// Attempt Delay"). Default: 250 ms.
    pub connect_stagger: Duration,
    /// How long a connection that the machine closed may take until the peer has closed its side too. Over SCTP the
    /// association is aborted then.
    /// Default: 2 s.
    pub linger: Duration,
    /// How long [`Driver::stop`](super::Driver::stop) waits until what was sent is written. Default: 1 s.
    pub stop_timeout: Duration,
    /// After a failure to accept (no file descriptors), how long until the next try. Default: 100 ms.
    pub accept_backoff: Duration,

    /// Send small messages at once (TCP_NODELAY, SCTP_NODELAY); the driver writes whole batches. Default: true.
    pub nodelay: bool,
    /// Probe a silent peer's host after this long (SO_KEEPALIVE; SCTP has its HEARTBEATs instead). Default: 60 s.
    pub keepalive: Option<Duration>,
    /// Drop a connection whose sent bytes stay unacknowledged for this long (TCP_USER_TIMEOUT; Linux only). Over SCTP
    /// it becomes a number of retransmissions (Association.Max.Retrans) that take about this long.
    /// Default: 30 s.
    pub user_timeout: Option<Duration>,
    /// The kernel's send buffer per connection, in bytes. Default: the kernel's choice.
    pub send_buffer: Option<usize>,
    /// The kernel's receive buffer per connection, in bytes. Default: the kernel's choice.
    pub receive_buffer: Option<usize>,

    /// How many closures of [`DriverHandle`](super::DriverHandle)s may wait. Default: 1024.
    pub command_queue: usize,
    /// The name of the driver's thread. Default: "rserpool".
    pub thread_name: String,
}

impl Default for DriverConfig {
    fn default() -> Self {
        DriverConfig {
            listeners: Vec::new(),
            channels: Vec::new(),
            max_connections: 8192,
            max_dials: 1024,
            max_message_len: 65_535,
            messages_per_turn: 512,
            out_pause: 64 << 10,
            out_limit: 4 << 20,
            out_total: 256 << 20,
            write_stall: Duration::from_secs(10),
            partial_message_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(10),
            connect_stagger: Duration::from_millis(250),
            linger: Duration::from_secs(2),
            stop_timeout: Duration::from_secs(1),
            accept_backoff: Duration::from_millis(100),
            nodelay: true,
            keepalive: Some(Duration::from_secs(60)),
            user_timeout: Some(Duration::from_secs(30)),
            send_buffer: None,
            receive_buffer: None,
            command_queue: 1024,
            thread_name: "rserpool".into(),
        }
    }
}

/// Where peers can connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The protocol of what is received: TCP does not carry one.
    pub ppid: Ppid,
    /// The local address; port 0 lets the system choose. An IPv6 address takes IPv6 connections only, so a host with
    /// both has two listeners, on the same port if wanted.
    ///
    /// Over SCTP one listener has all addresses of a host: [`also`](Listener::also), or a wildcard, of which that of
    /// IPv6 takes IPv4 as well.
    pub address: SocketAddr,
    /// SCTP: further addresses, of either family, with the same port. TCP: none.
    pub also: Vec<SocketAddr>,
    /// What carries the connections.
    pub link: Link,
    /// An accepted connection on which no message went either way for this long is closed. `None`: never.
    ///
    /// Default: 300 s. A pool element's connection lives by its registrar's keep-alives and a peer registrar's by its
    /// presence messages, both much more frequent; a pool user that comes back later connects again. Connections that
    /// the machine dialled itself have no such limit: the machine knows what it needs them for.
    pub idle_timeout: Option<Duration>,
}

impl Listener {
    /// A TCP listener with the default idle timeout.
    #[must_use]
    pub const fn tcp(ppid: Ppid, address: SocketAddr) -> Self {
        Listener { ppid, address, also: Vec::new(), link: Link::Tcp, idle_timeout: Some(Duration::from_secs(300)) }
    }

    /// An SCTP listener with the default idle timeout. Associations that the machine dials leave from it, too: from the
    /// first listener of the protocol that has an address of the peer's family.
    #[must_use]
    pub fn sctp(ppid: Ppid, address: SocketAddr, also: Vec<SocketAddr>) -> Self {
        Listener { also, link: Link::Sctp, ..Listener::tcp(ppid, address) }
    }

    /// All its addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        std::iter::once(self.address).chain(self.also.iter().copied())
    }
}

/// A multicast group that a protocol is announced in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The protocol of the datagrams.
    pub ppid: Ppid,
    /// The group and its port.
    pub group: SocketAddr,
    /// On which interfaces to send and to be a member. Default: the one that the system's routes choose.
    pub interfaces: Vec<Interface>,
    /// Whether to send. Default: true.
    pub send: bool,
    /// Whether to receive. Default: true.
    pub receive: bool,
    /// The source port of what is sent; 0 lets the system choose, which is the default. Receivers that take a datagram's
    /// source for the sender's address need the listener's port here.
    pub source_port: u16,
    /// How many routers a datagram may pass, plus one (IPv4: TTL, IPv6: hop limit). Default: 1, the own network.
    pub hops: u8,
}

/// The IPv4 group of ASAP and ENRP (RFC 5352, 8.2 and RFC 5353, 5.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 1, 185);

/// The IPv6 group of ASAP and ENRP, FF0X::133, in a scope X (RFC 4291, 2.7: 1 interface, 2 link, 5 site, 8
/// organisation, 14 global; only the lower four bits count).
#[must_use]
pub const fn group_v6(scope: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xff00 | (scope as u16 & 0xf), 0, 0, 0, 0, 0, 0, 0x133)
}

impl Channel {
    /// The protocol's IPv4 channel, 224.0.1.185 and the registered port.
    #[must_use]
    pub fn v4(ppid: Ppid) -> Self {
        Channel::new(ppid, SocketAddr::new(IpAddr::V4(GROUP_V4), ppid.port()))
    }

    /// The protocol's IPv6 channel, FF0X::133 and the registered port, in scope X: see [`group_v6`].
    #[must_use]
    pub fn v6(ppid: Ppid, scope: u8) -> Self {
        Channel::new(ppid, SocketAddr::new(IpAddr::V6(group_v6(scope)), ppid.port()))
    }

    /// A channel of any group.
    #[must_use]
    pub fn new(ppid: Ppid, group: SocketAddr) -> Self {
        Channel {
            ppid,
            group,
            interfaces: vec![Interface::Default],
            send: true,
            receive: true,
            source_port: 0,
            hops: 1,
        }
    }
}

/// A network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interface {
    /// The one that the system's routes choose.
    Default,
    /// The one with this address; for IPv4 groups. What is sent there has this source address.
    V4(Ipv4Addr),
    /// The one with this index; for IPv6 groups.
    V6(u32),
}
