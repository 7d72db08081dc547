//! How a subcommand finds registrars, and multicast.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use rserpool_core::{Compat, Link, Ppid};
use rserpool_std::EndpointOptions;
use rserpool_std::driver::{Channel, Interface};

use crate::error::Error;
use crate::values;

/// Flags of pool elements and pool users.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Registrars")]
pub(crate) struct EndpointArgs {
    /// A registrar; repeat it for several. Without any, and without --multicast: localhost
    #[arg(short, long = "registrar", value_name = "HOST[:PORT][,ADDRESS...]")]
    registrars: Vec<String>,
    /// By what registrars are reached: sctp, which the RFCs are written for, or tcp
    #[arg(long, value_name = "LINK", default_value = "tcp")]
    transport: Transport,
    /// The registrars are rsplib's: lifetimes of registrations are milliseconds there, and pool handles have 32 bytes at
    /// most
    #[arg(long)]
    rsplib: bool,
    /// SCTP: an own address; repeat it for several, all with one port. Default: all that the host has
    #[arg(long = "local", value_name = "ADDRESS[:PORT]", value_parser = own_address)]
    local: Vec<SocketAddr>,
    /// How long to wait for answers
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::positive_duration)]
    timeout: Duration,
    #[command(flatten)]
    multicast: MulticastArgs,
}

impl EndpointArgs {
    /// Where registrars are looked for, to say so when none answers.
    pub(crate) fn places(&self) -> String {
        let multicast = self.multicast.is_wanted();
        match (self.registrars.as_slice(), multicast) {
            ([], true) => "by multicast".to_owned(),
            ([], false) => "at localhost; '--registrar' names another".to_owned(),
            (registrars, true) => format!("at {} and by multicast", registrars.join(", ")),
            (registrars, false) => format!("at {}", registrars.join(", ")),
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn options(&self) -> Result<EndpointOptions, Error> {
        let mut options = EndpointOptions { timeout: self.timeout, ..EndpointOptions::default() };
        options.link = self.transport.link()?;
        if !self.local.is_empty() && options.link != Link::Sctp {
            return Err(Error::Usage("'--local' is of use only with '--transport sctp'".to_owned()));
        }
        options.sctp_addresses.clone_from(&self.local);
        options.channels = self.multicast.channels()?;
        for channel in &mut options.channels {
            channel.send = false;
        }
        let localhost = ["localhost".to_owned()];
        let registrars =
            if self.registrars.is_empty() && options.channels.is_empty() { &localhost[..] } else { &self.registrars };
        for registrar in registrars {
            options = options.registrar(registrar).map_err(|error| no_host("--registrar", registrar, &error))?;
        }
        if self.rsplib {
            options.asap.compat = Compat::Rsplib;
        }
        // The answers come from next door or from an operator's network: hunting once in ten seconds is for firmware.
        options.asap.t5_server_hunt = Duration::from_secs(1);
        Ok(options)
    }
}

/// By what associations with registrars are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    Sctp,
    Tcp,
}

impl Transport {
    /// The link, if this system has it.
    pub(crate) fn link(self) -> Result<Link, Error> {
        match self {
            Transport::Sctp => sctp_available().map(|()| Link::Sctp),
            Transport::Tcp => Ok(Link::Tcp),
        }
    }
}

/// Says how to get SCTP where there is none.
pub(crate) fn sctp_available() -> Result<(), Error> {
    rserpool_std::driver::sctp_available().map_err(|error| {
        let advice = "'modprobe sctp' loads it where it is a module; '--transport tcp' does without";
        Error::system("use SCTP", format_args!("{error}; {advice}"))
    })
}

/// Why the name of a registrar is of no use.
pub(crate) fn no_host(flag: &str, name: &str, error: &rserpool_std::Error) -> Error {
    let wanted = "HOST, HOST:PORT or [IPV6]:PORT is wanted";
    match error {
        rserpool_std::Error::Name { error: Some(error), .. } if error.kind() == ErrorKind::InvalidInput => {
            Error::value(flag, name, format_args!("{wanted}: {error}"))
        }
        rserpool_std::Error::Name { error: Some(error), .. } => {
            Error::system(format_args!("find the host of '{flag} {name}'"), error)
        }
        error => Error::value(flag, name, error),
    }
}

/// Multicast flags.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Multicast")]
pub(crate) struct MulticastArgs {
    /// Use the IPv4 multicast group 224.0.1.185, or the groups of --group
    #[arg(long)]
    pub(crate) multicast: bool,
    /// A multicast group of ASAP, IPv4 or IPv6; implies --multicast. rsplib's is 239.0.0.50; the RFC's for IPv6 ff0X::133
    #[arg(long = "group", value_name = "ADDRESS[:PORT]")]
    groups: Vec<String>,
    /// On which interfaces: an IPv4 address of one, or for IPv6 groups its index
    #[arg(long = "interface", value_name = "ADDRESS|INDEX")]
    interfaces: Vec<String>,
    /// How many hops announcements may travel
    #[arg(long, value_name = "N", default_value_t = 1)]
    hops: u8,
}

impl MulticastArgs {
    pub(crate) fn is_wanted(&self) -> bool {
        self.multicast || !self.groups.is_empty()
    }

    /// The channels of ASAP.
    pub(crate) fn channels(&self) -> Result<Vec<Channel>, Error> {
        let groups =
            self.groups.iter().map(|text| group("--group", text, Ppid::Asap)).collect::<Result<Vec<_>, _>>()?;
        self.channels_of(Ppid::Asap, groups)
    }

    /// The channels of ENRP: these groups, or else those of ASAP on ENRP's port.
    pub(crate) fn enrp_channels(&self, groups: &[String]) -> Result<Vec<Channel>, Error> {
        if let Some(group) = groups.first().filter(|_| !self.is_wanted()) {
            return Err(Error::value("--enrp-group", group, "it is of use only with '--multicast' or '--group'"));
        }
        let groups = match groups {
            [] => self.channels()?.iter().map(|asap| SocketAddr::new(asap.group.ip(), Ppid::Enrp.port())).collect(),
            _ => groups.iter().map(|text| group("--enrp-group", text, Ppid::Enrp)).collect::<Result<_, _>>()?,
        };
        self.channels_of(Ppid::Enrp, groups)
    }

    fn channels_of(&self, protocol: Ppid, groups: Vec<SocketAddr>) -> Result<Vec<Channel>, Error> {
        let mut channels: Vec<Channel> = groups.into_iter().map(|group| Channel::new(protocol, group)).collect();
        if channels.is_empty() && self.multicast {
            channels.push(Channel::v4(protocol));
        }
        let interfaces = self.interfaces.iter().map(|name| interface(name)).collect::<Result<Vec<_>, _>>()?;
        if !interfaces.is_empty() && channels.is_empty() {
            return Err(Error::Usage("'--interface' is of use only with '--multicast' or '--group'".to_owned()));
        }
        for channel in &mut channels {
            channel.hops = self.hops;
            if !interfaces.is_empty() {
                let v6 = channel.group.is_ipv6();
                channel.interfaces =
                    interfaces.iter().copied().filter(|i| matches!(i, Interface::V6(_)) == v6).collect();
                if channel.interfaces.is_empty() {
                    let wanted = if v6 { "an interface index" } else { "an IPv4 address" };
                    return Err(Error::Usage(format!("the group {} needs {wanted} in '--interface'", channel.group)));
                }
            }
        }
        Ok(channels)
    }
}

fn group(flag: &str, text: &str, protocol: Ppid) -> Result<SocketAddr, Error> {
    let address = match text.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip, protocol.port())),
        Err(_) => text.parse().ok(),
    };
    address
        .filter(|address| address.ip().is_multicast())
        .ok_or_else(|| Error::value(flag, text, "a multicast address is wanted, like 224.0.1.185 or ff02::133"))
}

fn interface(text: &str) -> Result<Interface, Error> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(Interface::V4(address));
    }
    text.parse().map(Interface::V6).map_err(|_| {
        Error::value("--interface", text, "the IPv4 address of an interface, or its index (ip link shows it)")
    })
}

/// `ADDRESS` or `ADDRESS:PORT` of ASAP.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    literal(text, Ppid::Asap)
}

/// `ADDRESS` or `ADDRESS:PORT` of this host; without a port the system chooses.
fn own_address(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<IpAddr>() {
        Ok(ip) => Ok(SocketAddr::new(ip, 0)),
        Err(_) => literal(text, Ppid::Asap),
    }
}

/// `ADDRESS` or `ADDRESS:PORT` of ENRP.
pub(crate) fn enrp_address(text: &str) -> Result<SocketAddr, String> {
    literal(text, Ppid::Enrp)
}

fn literal(text: &str, protocol: Ppid) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = protocol.port();
    match text.parse::<IpAddr>() {
        Ok(ip) => Ok(SocketAddr::new(ip, port)),
        Err(_) => Err(format!("ADDRESS:PORT is wanted, like 192.0.2.1:{port} or [2001:db8::1]:{port}")),
    }
}

/// All addresses, of the families that this host has.
pub(crate) fn all_addresses(port: u16) -> Vec<SocketAddr> {
    let mut addresses = vec![(Ipv4Addr::UNSPECIFIED, port).into()];
    if TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok() {
        addresses.push((Ipv6Addr::UNSPECIFIED, port).into());
    }
    addresses
}
