//! Where registrars reach a pool element: see [`AsapListen`].

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use rserpool_core::{Link, PoolElement as Machine, Ppid};

use crate::driver::{Bound, Driver, DriverConfig, Listener, StartError};
use crate::options::{AsapListen, EndpointOptions};

/// How often another port is tried, where it has to be free at more than one address.
const TRIES: u32 = 8;

/// Opens the driver of a pool element, and says on which port it takes associations from registrars; 0: on none.
pub(super) fn bind(options: &EndpointOptions) -> Result<(Bound<Machine<'static>>, u16), StartError> {
    let config = options.driver_config("rserpool-element");
    let listening = |config: &DriverConfig, addresses: &[SocketAddr]| {
        let mut config = config.clone();
        config.listeners.extend(addresses.iter().map(|address| Listener::tcp(Ppid::Asap, *address)));
        let bound: Bound<Machine<'static>> = Driver::bind(config)?;
        let port = bound.local_addresses().last().map_or(0, |(_, address)| address.port());
        Ok((bound, port))
    };
    if options.link == Link::Sctp {
        // The association's own port is it.
        return Ok((Driver::bind(config)?, 0));
    }
    let refused = match options.asap_listen {
        AsapListen::Off => return listening(&config, &[]),
        AsapListen::At(address) => return listening(&config, &[address]),
        AsapListen::Auto { port } => {
            let ips = own_addresses(options);
            let mut tries = TRIES;
            loop {
                let bound = same_port(&ips, port)
                    .map_err(|error| StartError::Listen { address: SocketAddr::new(ips[0], port), error })
                    .and_then(|addresses| listening(&config, &addresses));
                tries -= 1;
                match bound {
                    Err(StartError::Listen { error, .. })
                        if port == 0 && error.kind() == ErrorKind::AddrInUse && tries > 0 => {}
                    Err(StartError::Listen { address, error }) if port == 0 => break (address, error),
                    bound => return bound,
                }
            }
        }
    };
    let (address, error) = refused;
    tracing::warn!(%address, %error, "registrars cannot reach this pool element: it cannot listen");
    listening(&config, &[])
}

/// One port at all these addresses.
fn same_port(ips: &[IpAddr], port: u16) -> io::Result<Vec<SocketAddr>> {
    let port = match ips {
        // The driver's own listener gets one that is free.
        [_, _, ..] if port == 0 => TcpListener::bind((ips[0], 0))?.local_addr()?.port(),
        _ => port,
    };
    Ok(ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
}

/// The addresses that the registrars see this host by. At least one.
fn own_addresses(options: &EndpointOptions) -> Vec<IpAddr> {
    let mut own: Vec<IpAddr> = Vec::new();
    let mut known = options.channels.is_empty() && !options.registrars.is_empty();
    for registrar in &options.registrars {
        let mut found: Vec<IpAddr> = registrar.iter().filter_map(|to| address_towards(*to).ok()).collect();
        known &= !found.is_empty();
        own.append(&mut found);
    }
    if !known {
        own = vec![Ipv4Addr::UNSPECIFIED.into()];
        if TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok() {
            own.push(Ipv6Addr::UNSPECIFIED.into());
        }
    }
    own.sort_unstable();
    own.dedup();
    own
}

/// Which of its own addresses this host uses towards another one. Nothing is sent.
fn address_towards(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip())
}
