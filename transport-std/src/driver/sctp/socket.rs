//! Opening an SCTP socket.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::time::Duration;

use lksctp::{AssocId, AssocInfo, EventType, Family, InitParams, SctpSocket, Style};
use mio::event::Source;
#[cfg(target_os = "linux")]
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::driver::DriverConfig;

const BACKLOG: i32 = 1024;

/// The longest message and its padding have to fit into the send buffer, or the system refuses them for ever.
const LEAST_SEND_BUFFER: usize = 128 << 10;

/// How many streams a peer may send on. Messages of ASAP and ENRP need one; what others ask for by habit is granted. The
/// system sets memory aside for each, some 20 bytes, and would grant 65,535 of them to every association.
const MOST_STREAMS: u16 = 16;

/// EPROTONOSUPPORT and ESOCKTNOSUPPORT: what a kernel without SCTP says.
const NO_SUCH_PROTOCOL: [i32; 2] = [93, 94];

/// Whether this system has SCTP.
///
/// # Errors
/// Says that it has none, or why a socket is refused.
pub fn available() -> io::Result<()> {
    SctpSocket::new(Family::Ipv4, Style::OneToMany).map(drop).map_err(explained)
}

/// The addresses that this host has now, as SCTP would tell them to a peer, with port 0.
///
/// # Errors
/// This system has no SCTP, or refuses a socket.
pub fn host_addresses() -> io::Result<Vec<SocketAddr>> {
    let any = |family| SctpSocket::new(family, Style::OneToMany);
    let (socket, wildcard) = match any(Family::Ipv6) {
        Ok(socket) => (socket, SocketAddr::from(([0_u16; 8], 0))),
        Err(_) => (any(Family::Ipv4).map_err(explained)?, SocketAddr::from(([0, 0, 0, 0], 0))),
    };
    socket.bind(&wildcard)?;
    let found = useful(socket.local_addrs(AssocId::FUTURE)?);
    Ok(found.into_iter().map(|address| SocketAddr::new(address.ip(), 0)).collect())
}

/// A socket that readiness can be waited for.
#[derive(Debug)]
pub(super) struct Fd(pub(super) SctpSocket);

#[cfg(target_os = "linux")]
impl Source for Fd {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.0.as_raw_fd()).deregister(registry)
    }
}

/// On other systems there is no such socket.
#[cfg(not(target_os = "linux"))]
impl Source for Fd {
    fn register(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn reregister(&mut self, _: &Registry, _: Token, _: Interest) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn deregister(&mut self, _: &Registry) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// A one-to-many socket that is bound to all these addresses, and listens.
pub(super) fn listen(addresses: &[SocketAddr], config: &DriverConfig) -> io::Result<Fd> {
    let local = bindable(addresses)?;
    let family = if local.iter().any(SocketAddr::is_ipv6) { Family::Ipv6 } else { Family::Ipv4 };
    let socket = SctpSocket::new(family, Style::OneToMany).map_err(explained)?;
    socket.set_nonblocking(true)?;
    // Before the associations: they inherit all of it.
    set_options(&socket, config)?;
    socket.bindx_add(&local)?;
    socket.listen(BACKLOG)?;
    Ok(Fd(socket))
}

/// What is to be bound: a wildcard stands for all other addresses, and that of IPv6 for IPv4 as well.
fn bindable(addresses: &[SocketAddr]) -> io::Result<Vec<SocketAddr>> {
    let first = addresses.first().ok_or(ErrorKind::InvalidInput)?;
    if addresses.iter().any(|address| address.port() != first.port()) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "all addresses of an SCTP listener have one port"));
    }
    let wildcards = addresses.iter().filter(|address| address.ip().is_unspecified());
    match wildcards.max_by_key(|address| address.is_ipv6()) {
        Some(wildcard) => Ok(vec![*wildcard]),
        None => Ok(addresses.to_vec()),
    }
}

/// An association with one peer at all these addresses, by a one-to-one socket (RFC 6458, 4).
pub(crate) fn associate(to: &[SocketAddr], timeout: Duration) -> io::Result<SctpSocket> {
    let to = reachable(&host_addresses()?, to);
    let family = if to.iter().any(SocketAddr::is_ipv6) { Family::Ipv6 } else { Family::Ipv4 };
    let socket = SctpSocket::new(family, Style::OneToOne).map_err(explained)?;
    socket.set_send_timeout(Some(timeout))?;
    socket.connectx(&to)?;
    socket.set_send_timeout(None)?;
    Ok(socket)
}

fn set_options(socket: &SctpSocket, config: &DriverConfig) -> io::Result<()> {
    let events = [EventType::AssocChange, EventType::Shutdown, EventType::SendFailedEvent, EventType::PartialDelivery];
    socket.subscribe_events(&events)?;
    socket.set_nodelay(config.nodelay)?;
    socket.set_init_params(&InitParams { max_instreams: MOST_STREAMS, ..socket.init_params()? })?;
    // A restart need not wait until associations of the former process have ended.
    socket.set_reuse_address(true)?;
    if let Some(size) = config.send_buffer {
        socket.set_send_buffer_size(size.max(LEAST_SEND_BUFFER))?;
    }
    if let Some(size) = config.receive_buffer {
        socket.set_recv_buffer_size(size)?;
    }
    if let Some(timeout) = config.user_timeout {
        let info = AssocInfo { asocmaxrxt: retransmissions(timeout), ..AssocInfo::default() };
        if let Err(error) = socket.set_assoc_info(AssocId::FUTURE, &info) {
            tracing::debug!(%error, "SCTP_ASSOCINFO not set");
        }
    }
    Ok(())
}

/// Association.Max.Retrans for a peer to be given up after about this time: the waits are 1 s (RTO.Min), 2 s, 4 s and
/// so on (RFC 9260, 6.3.3 and 8.1).
fn retransmissions(timeout: Duration) -> u16 {
    let waits = timeout.as_secs().saturating_add(1);
    u16::try_from(waits.ilog2()).unwrap_or(u16::MAX).max(2)
}

/// Says in words what a system without SCTP says by a number.
fn explained(error: io::Error) -> io::Error {
    let missing = error.kind() == ErrorKind::Unsupported
        || error.raw_os_error().is_some_and(|code| NO_SUCH_PROTOCOL.contains(&code));
    if missing { io::Error::new(ErrorKind::Unsupported, "this system's kernel has no SCTP") } else { error }
}

/// An address as the rest of the program has it: an IPv6 socket shows IPv4 addresses as mapped ones, and an interface
/// with each address, which only those of link scope need.
fn plain(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}

/// Whether only hosts on the same link, or this one, can use an address.
fn is_narrow(address: &SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

/// Plain addresses, without those that are of no use elsewhere, unless there are no others.
pub(super) fn useful(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = addresses.into_iter().map(plain).collect();
    if addresses.iter().any(|address| !is_narrow(address)) {
        addresses.retain(|address| !is_narrow(address));
    }
    addresses
}

/// Which of a peer's addresses can be reached from these. One that cannot be would keep the system from trying the others.
pub(super) fn reachable(own: &[SocketAddr], to: &[SocketAddr]) -> Vec<SocketAddr> {
    let has = |v6| own.iter().any(|own| own.is_ipv6() == v6);
    let (v4, v6) = (has(false), has(true));
    let to = to.iter().filter(|to| if to.is_ipv6() { v6 } else { v4 }).copied().collect();
    // Another host's loopback addresses are not that host.
    if own.iter().all(is_narrow) { to } else { useful(to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_wildcard_stands_for_all() {
        let both = addresses(&["0.0.0.0:1", "[::]:1", "192.0.2.1:1"]);
        assert_eq!(bindable(&both).unwrap(), addresses(&["[::]:1"]));
        assert_eq!(bindable(&both[..1]).unwrap(), both[..1]);
        let named = addresses(&["192.0.2.1:1", "[2001:db8::1]:1"]);
        assert_eq!(bindable(&named).unwrap(), named);
        assert!(bindable(&addresses(&["192.0.2.1:1", "192.0.2.2:2"])).is_err());
        assert!(bindable(&[]).is_err());
    }

    #[test]
    fn local_addresses_are_kept_only_where_there_are_no_others() {
        let found = addresses(&["127.0.0.1:1", "[fe80::1]:1", "[::ffff:192.0.2.1]:1", "[2001:db8::1]:1"]);
        assert_eq!(useful(found), addresses(&["192.0.2.1:1", "[2001:db8::1]:1"]));
        assert_eq!(useful(addresses(&["127.0.0.1:1"])), addresses(&["127.0.0.1:1"]));
    }

    #[test]
    fn a_peer_is_given_up_after_about_the_time() {
        assert_eq!(retransmissions(Duration::from_secs(30)), 4);
        assert_eq!(retransmissions(Duration::from_secs(31)), 5);
        assert_eq!(retransmissions(Duration::ZERO), 2);
    }

    #[test]
    fn addresses_that_cannot_be_reached_are_left_out() {
        let peer = addresses(&["127.0.0.1:1", "[::1]:1", "192.0.2.5:1", "[2001:db8::5]:1"]);
        assert_eq!(reachable(&addresses(&["192.0.2.1:2"]), &peer), peer[2..3]);
        assert_eq!(reachable(&addresses(&["[2001:db8::1]:2"]), &peer), peer[3..]);
        assert_eq!(reachable(&addresses(&["192.0.2.1:2", "[2001:db8::1]:2"]), &peer), peer[2..]);
        assert_eq!(reachable(&addresses(&["127.0.0.1:2"]), &peer), [peer[0], peer[2]]);
        assert_eq!(reachable(&addresses(&["192.0.2.1:2"]), &peer[..1]), peer[..1]);
    }
}
