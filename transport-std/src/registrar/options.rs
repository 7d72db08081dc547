//! What a registrar is started with.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use rserpool_core::{Link, Ppid, RegistrarConfig, RegistrarLimits};

use crate::driver::{self, Channel, DriverConfig, Interface, Listener};
use crate::error::Error;
use crate::options::resolve_peer;

/// What a registrar is started with.
///
/// By default it stands alone: it has no peers, and does not listen for any, because whoever can connect to the ENRP
/// port can say what is in the handlespace. [`RegistrarOptions::peer`], [`RegistrarOptions::enrp_listen`] and an ENRP
/// channel each make it one of several.
#[derive(Clone, Debug)]
pub struct RegistrarOptions {
    /// Where it listens for pool elements and pool users, over TCP. Default: port 3863 on all addresses, IPv4 and IPv6.
    pub listen: Vec<SocketAddr>,
    /// Where it listens for other registrars, over TCP: an extension, RFC 5353 has SCTP. Default: nowhere.
    ///
    /// The first one is what peers are told, unless [`EnrpConfig::transport`](rserpool_core::EnrpConfig::transport) says
    /// something else. A wildcard address stands for the one that a peer hears this registrar from.
    pub enrp_listen: Vec<SocketAddr>,
    /// Where it listens for pool elements and pool users, over SCTP, beside TCP as RFC 5352, 3.3, wants it: addresses of
    /// both families, with one port. All of them are one endpoint; a wildcard stands for all that the host has. Default:
    /// nowhere.
    pub sctp_listen: Vec<SocketAddr>,
    /// Where it listens for other registrars, over SCTP, as `sctp_listen`; peers are dialled from there, too. If there is
    /// any, this is what peers are told. Default: nowhere.
    pub enrp_sctp_listen: Vec<SocketAddr>,
    /// By which link the peers that are known by configuration are reached. Default: TCP.
    pub peer_link: Link,
    /// Registrars that are known by configuration, each with its addresses. Its own address may be among them.
    pub peers: Vec<Vec<SocketAddr>>,
    /// Multicast channels. Those of ASAP are for its announcements (RFC 5352, 3.6), if [`RegistrarConfig::announce`] is
    /// set; those of ENRP for its presences, by which peers find each other, if
    /// [`EnrpConfig::multicast`](rserpool_core::EnrpConfig::multicast) is. Default: none.
    pub channels: Vec<Channel>,
    /// The protocol's timers, thresholds and limits.
    pub registrar: RegistrarConfig,
    /// How far memory may grow.
    pub limits: RegistrarLimits,
    /// The sockets' limits.
    pub driver: DriverConfig,
    /// A Unix socket for [`control::ask`](crate::control::ask). Default: none.
    pub control: Option<PathBuf>,
}

impl Default for RegistrarOptions {
    fn default() -> Self {
        RegistrarOptions {
            listen: vec![([0, 0, 0, 0], Ppid::Asap.port()).into(), ([0u16; 8], Ppid::Asap.port()).into()],
            enrp_listen: Vec::new(),
            sctp_listen: Vec::new(),
            enrp_sctp_listen: Vec::new(),
            peer_link: Link::Tcp,
            peers: Vec::new(),
            channels: Vec::new(),
            registrar: RegistrarConfig::default(),
            limits: RegistrarLimits::default(),
            driver: DriverConfig::default(),
            control: None,
        }
    }
}

impl RegistrarOptions {
    /// A registrar that listens only here.
    #[must_use]
    pub fn listening_on(address: SocketAddr) -> Self {
        RegistrarOptions { listen: vec![address], ..Self::default() }
    }

    /// Adds a peer: `HOST`, `HOST:PORT`, `IPV4:PORT` or `[IPV6]:PORT`. Without a port it is 9901.
    ///
    /// # Errors
    /// The name cannot be resolved.
    pub fn peer(mut self, peer: &str) -> Result<Self, Error> {
        self.peers.push(resolve_peer(peer)?);
        Ok(self)
    }

    /// Whether this registrar is to be one of several.
    pub(super) fn has_peers(&self) -> bool {
        let enrp = |ppid: Ppid| ppid == Ppid::Enrp;
        !self.peers.is_empty()
            || !self.enrp_listen.is_empty()
            || !self.enrp_sctp_listen.is_empty()
            || self.channels.iter().any(|channel| enrp(channel.ppid))
            || self.driver.listeners.iter().any(|listener| enrp(listener.ppid))
    }

    /// The sockets.
    pub(super) fn driver_config(&self) -> DriverConfig {
        let mut driver = self.driver.clone();
        driver.listeners.extend(self.listen.iter().map(|address| Listener::tcp(Ppid::Asap, *address)));
        driver.listeners.extend(self.enrp_listen.iter().map(|address| Listener {
            idle_timeout: Some(self.peer_idle_timeout()),
            ..Listener::tcp(Ppid::Enrp, *address)
        }));
        driver.listeners.extend(sctp_listener(Ppid::Asap, &self.sctp_listen));
        driver.listeners.extend(
            sctp_listener(Ppid::Enrp, &self.enrp_sctp_listen)
                .map(|listener| Listener { idle_timeout: Some(self.peer_idle_timeout()), ..listener }),
        );
        driver.channels.extend(self.channels.iter().map(|channel| {
            let sctp = match channel.ppid {
                Ppid::Asap => &self.sctp_listen,
                Ppid::Enrp => &self.enrp_sctp_listen,
            };
            announced_from(channel.clone(), sctp)
        }));
        driver.thread_name = "rserpool-registrar".to_owned();
        driver
    }

    /// Strangers that connect and say nothing do not stay; peers do, however rare their presences are.
    fn peer_idle_timeout(&self) -> Duration {
        let enrp = &self.registrar.enrp;
        let silence = enrp.max_time_last_heard.max(enrp.peer_heartbeat_cycle);
        Duration::from_secs(300).max(silence.saturating_mul(2))
    }

    /// The configuration with what only the open sockets tell: where users and peers find this registrar.
    pub(super) fn machine_config(
        &self,
        local: &[(Ppid, SocketAddr)],
        sctp: &[(Ppid, Vec<SocketAddr>)],
    ) -> RegistrarConfig {
        let mut config = self.registrar.clone();
        let addresses = |of: Ppid| local.iter().filter(move |(ppid, _)| *ppid == of).map(|(_, address)| *address);
        let associations = |of: Ppid| {
            sctp.iter().filter(move |(ppid, _)| *ppid == of).flat_map(|(_, addresses)| addresses.iter().copied())
        };
        if config.announce && config.announced.is_empty() {
            // What users can connect to; a wildcard is nothing to announce.
            let usable: Vec<_> = addresses(Ppid::Asap).filter(|address| !address.ip().is_unspecified()).collect();
            // Users of either link find something.
            let most = rserpool_core::MAX_ANNOUNCED - usable.len().min(1);
            config.announced.extend(associations(Ppid::Asap).take(most).map(|address| (Link::Sctp, address)));
            let left = config.announced.remaining_capacity();
            config.announced.extend(usable.into_iter().take(left).map(|address| (Link::Tcp, address)));
        }
        if config.enrp.transport.is_empty() {
            let known = associations(Ppid::Enrp).take(rserpool_core::MAX_ANNOUNCED);
            config.enrp.transport.extend(known.map(|address| (Link::Sctp, address)));
        }
        if config.enrp.transport.is_empty() {
            // One, since a TCP transport parameter has one address.
            config.enrp.transport.extend(addresses(Ppid::Enrp).take(1).map(|address| (Link::Tcp, address)));
        }
        config
    }
}

/// The SCTP listener with these addresses, if there are any.
fn sctp_listener(ppid: Ppid, addresses: &[SocketAddr]) -> Option<Listener> {
    let (first, also) = addresses.split_first()?;
    Some(Listener::sctp(ppid, *first, also.to_vec()))
}

/// A channel whose datagrams come from where the SCTP listener is, on each of its addresses: some receivers, as rsplib,
/// take a datagram's source address and port for the registrar's.
fn announced_from(mut channel: Channel, sctp: &[SocketAddr]) -> Channel {
    let Some(first) = sctp.first() else { return channel };
    if channel.source_port == 0 {
        channel.source_port = first.port();
    }
    let own = if sctp.iter().any(|address| address.ip().is_unspecified()) {
        driver::sctp_host_addresses().unwrap_or_default()
    } else {
        sctp.to_vec()
    };
    let own = own.iter().filter_map(|address| match address.ip() {
        IpAddr::V4(ip) => Some(Interface::V4(ip)),
        IpAddr::V6(_) => None,
    });
    let own: Vec<Interface> = own.collect();
    if channel.group.is_ipv4() && channel.interfaces == [Interface::Default] && !own.is_empty() {
        channel.interfaces = own;
    }
    channel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements_come_from_each_address_and_the_port_of_the_listener() {
        let sctp = ["192.0.2.1:3863", "192.0.2.2:3863", "[2001:db8::1]:3863"].map(|text| text.parse().unwrap());
        let channel = announced_from(Channel::v4(Ppid::Asap), &sctp);
        assert_eq!(channel.source_port, 3863);
        assert_eq!(channel.interfaces, [Interface::V4([192, 0, 2, 1].into()), Interface::V4([192, 0, 2, 2].into())]);
        let given = Channel { source_port: 7, interfaces: vec![Interface::V6(1)], ..Channel::v6(Ppid::Asap, 2) };
        assert_eq!(announced_from(given.clone(), &sctp), given);
        assert_eq!(announced_from(Channel::v4(Ppid::Asap), &[]), Channel::v4(Ppid::Asap));
    }

    #[test]
    fn both_links_are_announced_and_peers_are_told_of_sctp() {
        let mut options = RegistrarOptions::default();
        options.registrar.announce = true;
        let tcp = [(Ppid::Asap, "192.0.2.1:3863".parse().unwrap()), (Ppid::Enrp, "192.0.2.1:9901".parse().unwrap())];
        let at = |port: u16| (1..=5).map(|i| SocketAddr::new([192, 0, 2, i].into(), port)).collect::<Vec<_>>();
        let config = options.machine_config(&tcp, &[(Ppid::Asap, at(3863)), (Ppid::Enrp, at(9901))]);
        let links: Vec<Link> = config.announced.iter().map(|(link, _)| *link).collect();
        assert_eq!(links, [Link::Sctp, Link::Sctp, Link::Sctp, Link::Tcp]);
        assert_eq!(config.enrp.transport.len(), 4);
        assert!(config.enrp.transport.iter().all(|(link, address)| *link == Link::Sctp && address.port() == 9901));
    }
}
