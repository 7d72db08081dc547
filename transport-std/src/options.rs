//! What a pool element or a pool user needs to know of its surroundings.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use rserpool_core::{EndpointConfig, EndpointLimits, Link, Links, Ppid};

use crate::driver::{Channel, DriverConfig, Listener};
use crate::error::Error;

/// How an endpoint finds its registrars, and how long its calls wait.
#[derive(Clone, Debug)]
pub struct EndpointOptions {
    /// Registrars that are known by configuration, each with its addresses.
    pub registrars: Vec<Vec<SocketAddr>>,
    /// What carries the associations with registrars. Pool elements are to use SCTP (RFC 5352, 2.1, 2.2.1, 3.1, 3.3
    /// and 3.5); TCP is our extension. Default: TCP.
    pub link: Link,
    /// SCTP: the addresses of this endpoint, of both families and with one port (RFC 5352, 2.2.1, 3.1 and 6.1: among
    /// them are those of its services). A pool element also takes associations from registrars there. Default: none,
    /// which means all that the host has, with the port that `asap_listen` says.
    pub sctp_addresses: Vec<SocketAddr>,
    /// Multicast channels on which registrars announce themselves (RFC 5352, 3.6). Default: none.
    pub channels: Vec<Channel>,
    /// Where a pool element takes associations from registrars. A pool user does not.
    pub asap_listen: AsapListen,
    /// Timers and thresholds of ASAP. Default: the RFC's. A pool element's
    /// [`asap_port`](EndpointConfig::asap_port) is set by `asap_listen`.
    pub asap: EndpointConfig,
    /// How far memory may grow.
    pub limits: EndpointLimits,
    /// How long a call waits for its answer. Default: 30 s.
    pub timeout: Duration,
    /// How long a connection to a pool element may take to come up. Default: 3 s.
    pub connect_timeout: Duration,
    /// The sockets' limits.
    pub driver: DriverConfig,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        EndpointOptions {
            registrars: Vec::new(),
            link: Link::Tcp,
            sctp_addresses: Vec::new(),
            channels: Vec::new(),
            asap_listen: AsapListen::default(),
            asap: EndpointConfig::default(),
            limits: EndpointLimits::default(),
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(3),
            // The registrars of a network; an element is no server for many.
            driver: DriverConfig { max_connections: 64, ..DriverConfig::default() },
        }
    }
}

impl EndpointOptions {
    /// Options with one registrar: see [`EndpointOptions::registrar`].
    ///
    /// # Errors
    /// As [`EndpointOptions::registrar`].
    pub fn with_registrar(registrar: &str) -> Result<Self, Error> {
        Self::default().registrar(registrar)
    }

    /// Adds a registrar: `HOST`, `HOST:PORT`, `IPV4:PORT` or `[IPV6]:PORT`. Without a port it is 3863. A comma joins
    /// several addresses of one registrar.
    ///
    /// # Errors
    /// The name cannot be resolved.
    pub fn registrar(mut self, registrar: &str) -> Result<Self, Error> {
        self.registrars.push(resolve_registrar(registrar)?);
        Ok(self)
    }

    /// Listens to the announcements of registrars on the IPv4 group 224.0.1.185.
    #[must_use]
    pub fn multicast(mut self) -> Self {
        self.channels.push(Channel { send: false, ..Channel::v4(Ppid::Asap) });
        self
    }

    /// The driver's configuration with this endpoint's channels.
    pub(crate) fn driver_config(&self, thread_name: &str) -> DriverConfig {
        let mut driver = DriverConfig {
            channels: self.channels.clone(),
            thread_name: thread_name.to_owned(),
            ..self.driver.clone()
        };
        if self.link == Link::Sctp {
            let addresses = self.local();
            let also = addresses.get(1..).unwrap_or_default().to_vec();
            driver.listeners.push(Listener::sctp(Ppid::Asap, addresses[0], also));
        }
        driver
    }

    /// Where an endpoint that uses SCTP is. At least one address.
    fn local(&self) -> Vec<SocketAddr> {
        let port = match self.asap_listen {
            _ if !self.sctp_addresses.is_empty() => return self.sctp_addresses.clone(),
            AsapListen::At(address) => return vec![address],
            AsapListen::Off => 0,
            AsapListen::Auto { port } => port,
        };
        // Linux can be without IPv6; a TCP socket shows it as well as any other.
        let any: IpAddr = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) {
            Ok(_) => Ipv6Addr::UNSPECIFIED.into(),
            Err(_) => Ipv4Addr::UNSPECIFIED.into(),
        };
        vec![SocketAddr::new(any, port)]
    }

    /// The configuration of the machine.
    pub(crate) fn asap(&self) -> EndpointConfig {
        let links = match self.link {
            Link::Sctp => Links { sctp: true, tcp: false },
            Link::Tcp => self.asap.links,
        };
        EndpointConfig { links, ..self.asap }
    }
}

/// The addresses of a registrar: see [`EndpointOptions::registrar`].
///
/// # Errors
/// The name cannot be resolved.
pub fn resolve_registrar(registrar: &str) -> Result<Vec<SocketAddr>, Error> {
    resolve(registrar, Ppid::Asap)
}

/// The addresses at which a registrar has its peers: see [`RegistrarOptions::peer`](crate::RegistrarOptions::peer).
///
/// # Errors
/// The name cannot be resolved.
pub fn resolve_peer(peer: &str) -> Result<Vec<SocketAddr>, Error> {
    resolve(peer, Ppid::Enrp)
}

/// Without a port it is the protocol's.
fn resolve(registrar: &str, protocol: Ppid) -> Result<Vec<SocketAddr>, Error> {
    if let Some((first, others)) = registrar.split_once(',') {
        let mut addresses = resolve(first, protocol)?;
        let port = addresses.first().map_or(protocol.port(), SocketAddr::port);
        for other in others.split(',') {
            match other.parse::<IpAddr>() {
                Ok(ip) => addresses.push(SocketAddr::new(ip, port)),
                Err(_) => addresses.append(&mut resolve(other, protocol)?),
            }
        }
        return Ok(addresses);
    }
    let resolved = match registrar.parse::<std::net::IpAddr>() {
        Ok(ip) => Ok(vec![SocketAddr::new(ip, protocol.port())]),
        // No name has a colon: what follows one is a port.
        Err(_)
            if registrar.matches(':').count() == 1
                && !registrar
                    .rsplit_once(':')
                    .is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0)) =>
        {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "a port is a number from 1 to 65535"))
        }
        Err(_) if registrar.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => {
            registrar.to_socket_addrs().map(Iterator::collect)
        }
        Err(_) => (registrar, protocol.port()).to_socket_addrs().map(Iterator::collect::<Vec<_>>),
    };
    match resolved {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        Ok(_) => Err(Error::Name { name: registrar.to_owned(), error: None }),
        Err(error) => Err(Error::Name { name: registrar.to_owned(), error: Some(error) }),
    }
}

/// Where a pool element takes associations from registrars.
///
/// A registrar that takes over the elements of another one has to reach them (RFC 5353, 3.5.2). Over SCTP an element is
/// reached at the port that it registered from. A TCP connection's own port cannot be connected to, so the element
/// listens on another one and tells its registrar. Registrars connect to the address that the element was seen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsapListen {
    /// Nowhere: if its registrar fails the element can only look for another one itself.
    Off,
    /// At the addresses from which its registrars are reached; at all addresses where that cannot be told beforehand,
    /// as with registrars that are found by multicast. If the system refuses it the element does without.
    Auto {
        /// The port; 0 lets the system choose.
        port: u16,
    },
    /// At this address, and port; 0 lets the system choose.
    At(SocketAddr),
}

impl Default for AsapListen {
    fn default() -> Self {
        AsapListen::Auto { port: 0 }
    }
}
