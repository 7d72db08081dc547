//! Multicast over the loopback interface, for tests.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate and uses a part")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// The index of the loopback interface, on Linux and the BSDs.
pub const LO: u32 = 1;

/// A port that is free, for a group of this test alone.
pub fn free_udp_port(local: &str) -> std::io::Result<u16> {
    Ok(UdpSocket::bind((local, 0))?.local_addr()?.port())
}

/// Whether this host carries the group's datagrams over loopback, tried without the driver.
pub fn carries(group: IpAddr, port: u16) -> std::io::Result<()> {
    use socket2::{Domain, Protocol, Socket, Type};
    let group = SocketAddr::new(group, port);
    let socket = Socket::new(Domain::for_address(group), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    match group.ip() {
        IpAddr::V4(ip) => {
            socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
            socket.join_multicast_v4(&ip, &Ipv4Addr::LOCALHOST)?;
            socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
        }
        IpAddr::V6(ip) => {
            socket.bind(&SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port)).into())?;
            socket.join_multicast_v6(&ip, LO)?;
            socket.set_multicast_if_v6(LO)?;
        }
    }
    let socket: UdpSocket = socket.into();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    socket.send_to(b"x", group)?;
    socket.recv_from(&mut [0; 1]).map(drop)
}

/// A port for a group that this host carries over loopback; `None`, and a word about it, where it does not.
pub fn group_port(group: IpAddr) -> Option<u16> {
    let local = if group.is_ipv4() { "127.0.0.1" } else { "::1" };
    let tried = free_udp_port(local).and_then(|port| {
        carries(group, port)?;
        Ok(port)
    });
    if let Err(error) = &tried {
        assert!(std::env::var_os("RSERPOOL_REQUIRE").is_none(), "no multicast to {group} on loopback: {error}");
        println!("skipped: no multicast to {group} on loopback: {error}");
    }
    tried.ok()
}
