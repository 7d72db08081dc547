//! What a registrar is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rserpool_core::{Link, Ppid, RegistrarConfig, RegistrarLimits};

use crate::driver::{Channel, DriverConfig, Listener};
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
        driver.channels.extend(self.channels.iter().cloned());
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
    pub(super) fn machine_config(&self, local: &[(Ppid, SocketAddr)]) -> RegistrarConfig {
        let mut config = self.registrar.clone();
        let addresses = |of: Ppid| local.iter().filter(move |(ppid, _)| *ppid == of).map(|(_, address)| *address);
        if config.announce && config.announced.is_empty() {
            // What users can connect to; a wildcard is nothing to announce.
            let usable = addresses(Ppid::Asap).filter(|address| !address.ip().is_unspecified());
            config.announced.extend(usable.take(rserpool_core::MAX_ANNOUNCED).map(|address| (Link::Tcp, address)));
        }
        if config.enrp.transport.is_empty() {
            // One, since a TCP transport parameter has one address.
            config.enrp.transport.extend(addresses(Ppid::Enrp).take(1).map(|address| (Link::Tcp, address)));
        }
        config
    }
}
