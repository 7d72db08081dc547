//! Where the users of a pool element find its service.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use rserpool_core::wire::{Addresses, Transport, TransportUse};
use rserpool_std::ServiceStream;

use crate::error::Error;

/// How long a service may take to accept a connection.
const ANSWER: Duration = Duration::from_secs(1);

const WANTED: &str = "tcp://HOST:PORT, udp://HOST:PORT or sctp://HOST:PORT[,ADDRESS...] is wanted";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// The value of `--service`.
#[derive(Clone, Debug)]
pub(super) struct ServiceAddress {
    pub(super) protocol: Protocol,
    /// The first address is the service's; over SCTP the others are, too.
    pub(super) port: u16,
    ips: Vec<IpAddr>,
    /// Whether the associations of users carry ASAP messages, too.
    has_control_channel: bool,
}

impl ServiceAddress {
    pub(super) fn parse(url: &str, has_control_channel: bool) -> Result<Self, Error> {
        let (protocol, addresses) = match url.split_once("://") {
            Some(("tcp", addresses)) => (Protocol::Tcp, addresses),
            Some(("udp", addresses)) => (Protocol::Udp, addresses),
            Some(("sctp", addresses)) => (Protocol::Sctp, addresses),
            _ => return Err(Error::value("--service", url, WANTED)),
        };
        let mut parts = addresses.split(',');
        let mut resolved = parts
            .next()
            .unwrap_or_default()
            .to_socket_addrs()
            .map_err(|error| Error::value("--service", url, format!("{WANTED} ({error})")))?;
        let Some(first) = resolved.next() else {
            return Err(Error::value("--service", url, "the host has no address"));
        };
        let mut ips = vec![first.ip()];
        for part in parts {
            ips.push(part.parse().map_err(|_| Error::value("--service", url, WANTED))?);
        }
        if ips.len() > 1 && protocol != Protocol::Sctp {
            return Err(Error::value("--service", url, "only SCTP has several addresses"));
        }
        if has_control_channel && protocol != Protocol::Sctp {
            return Err(Error::Usage("'--control-channel' is of use only with an SCTP service".to_owned()));
        }
        Ok(ServiceAddress { protocol, port: first.port(), ips, has_control_channel })
    }

    /// The service is at these addresses after all.
    pub(super) fn is_at(&mut self, addresses: &[SocketAddr]) {
        if let Some(first) = addresses.first() {
            self.port = first.port();
            self.ips = addresses.iter().map(SocketAddr::ip).collect();
        }
    }

    pub(super) fn first(&self) -> SocketAddr {
        let any = IpAddr::from([0, 0, 0, 0]);
        SocketAddr::new(self.ips.first().copied().unwrap_or(any), self.port)
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.ips.iter().map(|ip| SocketAddr::new(*ip, self.port)).collect()
    }

    /// Whether users can connect to it.
    pub(super) fn is_specific(&self) -> bool {
        self.ips.iter().all(|ip| !ip.is_unspecified())
    }

    pub(super) fn transport(&self) -> Transport<'_> {
        match self.protocol {
            Protocol::Tcp => Transport::Tcp(self.first()),
            Protocol::Udp => Transport::Udp(self.first()),
            Protocol::Sctp => Transport::Sctp {
                port: self.port,
                transport_use: match self.has_control_channel {
                    true => TransportUse::DataPlusControl,
                    false => TransportUse::DataOnly,
                },
                addresses: Addresses::new(&self.ips),
            },
        }
    }

    /// Whether one can tell from outside that the service is there.
    pub(super) fn can_be_checked(&self, every: Duration) -> bool {
        self.protocol != Protocol::Udp && !every.is_zero()
    }

    pub(super) fn answers(&self) -> bool {
        self.protocol == Protocol::Udp || ServiceStream::connect(&self.transport(), ANSWER).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_protocol_and_its_addresses() {
        let parse = |url| ServiceAddress::parse(url, false);
        let service = parse("sctp://192.0.2.1:7,198.51.100.1,2001:db8::1").unwrap();
        assert_eq!(service.addresses().len(), 3);
        assert_eq!(service.transport().kind().to_string(), "SCTP");
        assert_eq!(service.transport().socket_addrs().count(), 3);
        assert_eq!(service.transport().transport_use(), TransportUse::DataOnly);
        assert!(parse("tcp://192.0.2.1:7,198.51.100.1").is_err());
        assert!(parse("dccp://192.0.2.1:7").is_err());
        assert!(!parse("sctp://0.0.0.0:7").unwrap().is_specific());
        let service = ServiceAddress::parse("sctp://192.0.2.1:7", true).unwrap();
        assert_eq!(service.transport().transport_use(), TransportUse::DataPlusControl);
        assert!(ServiceAddress::parse("tcp://192.0.2.1:7", true).is_err());
    }
}
