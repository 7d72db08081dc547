//! Addresses as a stack has them: only families that are switched on.

use core::net::{IpAddr, SocketAddr};

#[cfg(feature = "embassy-net")]
pub(crate) use embassy_net::IpAddress;
#[cfg(feature = "embassy-net")]
use embassy_net::IpEndpoint;
#[cfg(not(feature = "embassy-net"))]
pub(crate) use smoltcp::wire::IpAddress;
#[cfg(not(feature = "embassy-net"))]
use smoltcp::wire::IpEndpoint;

pub(crate) fn ip(address: IpAddr) -> Option<IpAddress> {
    match address {
        #[cfg(feature = "proto-ipv4")]
        IpAddr::V4(address) => Some(IpAddress::Ipv4(address)),
        #[cfg(feature = "proto-ipv6")]
        IpAddr::V6(address) => Some(IpAddress::Ipv6(address)),
        #[allow(unreachable_patterns, reason = "depends on the features")]
        _ => None,
    }
}

pub(crate) fn to_stack(at: SocketAddr) -> Option<IpEndpoint> {
    Some(IpEndpoint { addr: ip(at.ip())?, port: at.port() })
}

pub(crate) fn from_stack(at: IpEndpoint) -> SocketAddr {
    SocketAddr::new(at.addr.into(), at.port)
}
