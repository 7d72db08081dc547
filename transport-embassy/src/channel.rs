//! Which multicast groups there are.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use rserpool_core::Ppid;

/// The IPv4 group of ASAP and ENRP (RFC 5352, 8.2 and RFC 5353, 5.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 1, 185);

/// A multicast group that a protocol is announced in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The protocol of the datagrams.
    pub ppid: Ppid,
    /// The group and its port.
    pub group: SocketAddr,
    /// How many routers a datagram may pass, plus one (IPv4: TTL, IPv6: hop limit). 1, the own network.
    pub hops: u8,
}

impl Channel {
    /// The protocol's IPv4 channel: 224.0.1.185 and the registered port.
    pub const fn v4(ppid: Ppid) -> Self {
        Channel::new(ppid, SocketAddr::new(IpAddr::V4(GROUP_V4), ppid.port()))
    }

    /// A channel of any group.
    pub const fn new(ppid: Ppid, group: SocketAddr) -> Self {
        Channel { ppid, group, hops: 1 }
    }

    /// Whether a datagram with this destination was sent to the group. The stack gives a socket all that comes to its port,
    /// and whoever sends to this host alone need not be on the link.
    #[cfg(feature = "multicast")]
    pub(crate) fn is_to(&self, destination: Option<crate::addr::IpAddress>) -> bool {
        destination.is_some() && destination == crate::addr::ip(self.group.ip())
    }
}
