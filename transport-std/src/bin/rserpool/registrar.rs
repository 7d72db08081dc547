//! `rserpool registrar`

mod enrp;
mod rates;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rserpool_core::{Link, Ppid, RegistrarConfig, RegistrarLimits, ServerId};
use rserpool_std::driver::{DriverConfig, StartError};
use rserpool_std::{RegistrarOptions, RegistrarServer, control};

use self::enrp::EnrpArgs;
use self::rates::RateArgs;
use crate::error::Error;
use crate::network::{self, MulticastArgs};
use crate::signals::{Signals, Wake};
use crate::values;

/// Run a registrar: pool elements register with it, pool users ask it, other registrars share its handlespace
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Where to listen; repeat it for several. Default: port 3863 on all addresses
    #[arg(short, long = "listen", value_name = "ADDRESS[:PORT]", value_parser = network::socket_address)]
    listen: Vec<SocketAddr>,
    /// The registrar's identifier. Default: random
    #[arg(long, value_name = "ID", value_parser = values::server_id)]
    id: Option<ServerId>,
    /// Over what to listen: tcp, sctp, or both, which warns where the system has no SCTP. An SCTP endpoint has all the
    /// addresses of --listen, which need one port; peers are dialled over SCTP if there is any
    #[arg(long, value_name = "LINK", default_value = "tcp")]
    transport: Links,
    /// The control socket for `rserpool status`; `none` for no socket
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Refuse pool elements that register over TCP (an extension: RFC 5352 wants SCTP for them)
    #[arg(long)]
    no_register_over_tcp: bool,
    /// Time between the keep-alives of a pool element, +-50 %
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::positive_duration)]
    keep_alive_interval: Duration,
    /// How long a pool element may take to answer one
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = values::positive_duration)]
    keep_alive_timeout: Duration,
    /// The least time between two keep-alives to one pool element, however often it is reported
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = values::duration)]
    keep_alive_gap: Duration,
    /// How long a pool element may be gone before it is removed, once its connection is lost
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = values::duration)]
    lost_association_grace: Duration,
    /// MAX-BAD-PE-REPORT: remove a pool element that answers but that more pool users than this have reported as
    /// unreachable (0: one is enough; 16: never)
    #[arg(long, value_name = "N", default_value_t = 3)]
    max_bad_pe_report: u16,
    /// How many elements an answer holds at most
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1500))]
    max_items: u32,
    /// How many connections are served at once
    #[arg(long, value_name = "N", default_value_t = DriverConfig::default().max_connections)]
    max_connections: usize,
    /// How many pools there can be
    #[arg(long, value_name = "N", default_value_t = RegistrarLimits::default().pools)]
    max_pools: u32,
    /// How many pool elements there can be
    #[arg(long, value_name = "N", default_value_t = RegistrarLimits::default().elements)]
    max_elements: u32,
    /// How many pool elements one connection may register
    #[arg(long, value_name = "N", default_value_t = RegistrarConfig::new().max_elements_per_association)]
    max_elements_per_association: u32,
    #[command(flatten)]
    enrp: EnrpArgs,
    #[command(flatten)]
    rates: RateArgs,
    #[command(flatten)]
    multicast: MulticastArgs,
    /// What to announce with --multicast. Default: the addresses of --listen
    #[arg(long = "announce", value_name = "ADDRESS:PORT", value_parser = network::socket_address)]
    announce: Vec<SocketAddr>,
}

/// Over what a registrar listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Links {
    Sctp,
    Tcp,
    Both,
}

impl Links {
    /// Whether SCTP and TCP are used.
    fn used(self) -> Result<(bool, bool), Error> {
        match (self, network::sctp_available()) {
            (Links::Tcp, _) => Ok((false, true)),
            (Links::Sctp, available) => available.map(|()| (true, false)),
            (Links::Both, Ok(())) => Ok((true, true)),
            (Links::Both, Err(error)) => {
                tracing::warn!("{}: the registrar listens over TCP only", error.text());
                Ok((false, true))
            }
        }
    }
}

const AFTER_HELP: &str = "\
Examples:
  rserpool registrar                                   listen on port 3863
  rserpool -v registrar --listen 192.0.2.1 --multicast announce it, find others, log what happens
  rserpool registrar --peer r2.example --peer r3.example
                                                       one of three, which replace each other: RFC 5353
  rserpool --config /etc/rserpool.toml registrar       the flags from a file:
      [registrar]
      listen = [\"192.0.2.1:3863\", \"[2001:db8::1]:3863\"]
      peer = [\"r2.example\", \"r3.example\"]
      keep-alive-interval = \"10s\"

With --peer it copies the handlespace of one of them before it serves; where none can be reached it serves alone.
On SIGTERM or SIGINT it asks its peers to take over its elements, and ends when they have; a second signal ends it at
once. `rserpool status` shows what it knows, and its peers.";

impl Args {
    fn options(&self) -> Result<RegistrarOptions, Error> {
        let mut channels = self.multicast.channels()?;
        let mut registrar = RegistrarConfig {
            id: self.id.unwrap_or(ServerId::NONE),
            announce: self.multicast.is_wanted(),
            register_over_tcp: !self.no_register_over_tcp,
            keep_alive_interval: self.keep_alive_interval,
            keep_alive_timeout: self.keep_alive_timeout,
            keep_alive_gap: self.keep_alive_gap,
            lost_association_grace: self.lost_association_grace,
            max_bad_pe_report: self.max_bad_pe_report,
            max_items: self.max_items,
            max_elements_per_association: self.max_elements_per_association,
            ..RegistrarConfig::new()
        };
        let listen =
            if self.listen.is_empty() { network::all_addresses(Ppid::Asap.port()) } else { self.listen.clone() };
        let (sctp, tcp) = self.transport.used()?;
        if sctp && listen.iter().any(|address| address.port() != listen[0].port()) {
            return Err(Error::Usage("an SCTP endpoint has one port: give one in all '--listen'".to_owned()));
        }
        let link = if sctp { Link::Sctp } else { Link::Tcp };
        for address in &self.announce {
            if registrar.announced.try_push((link, *address)).is_err() {
                let most = rserpool_core::MAX_ANNOUNCED;
                return Err(Error::value("--announce", &address.to_string(), format!("at most {most} addresses")));
            }
        }
        let enrp = self.enrp.options(&listen, &self.multicast)?;
        registrar.enrp = enrp.config;
        (registrar.rates, registrar.enrp.rates) = self.rates.rates(self.max_elements_per_association)?;
        let nothing_to_announce = self.announce.is_empty() && listen.iter().all(|a| a.ip().is_unspecified());
        if registrar.announce && nothing_to_announce && !sctp {
            return Err(Error::Usage(
                "'--multicast' needs an address to announce: give one with '--listen' or '--announce'".to_owned(),
            ));
        }
        let control = match &self.control {
            Some(path) if path.as_os_str() == "none" => None,
            Some(path) => Some(path.clone()),
            None => listen.first().map(SocketAddr::port).filter(|port| *port != 0).map(control::default_path),
        };
        channels.extend(enrp.channels);
        Ok(RegistrarOptions {
            sctp_listen: if sctp { listen.clone() } else { Vec::new() },
            enrp_sctp_listen: if sctp { enrp.listen.clone() } else { Vec::new() },
            peer_link: link,
            listen: if tcp { listen } else { Vec::new() },
            enrp_listen: if tcp { enrp.listen } else { Vec::new() },
            peers: enrp.peers,
            channels,
            registrar,
            limits: RegistrarLimits {
                pools: self.max_pools,
                elements: self.max_elements,
                ..RegistrarLimits::default()
            },
            driver: DriverConfig { max_connections: self.max_connections, ..DriverConfig::default() },
            control,
        })
    }
}

fn start_error(error: &rserpool_std::Error, enrp: &[SocketAddr]) -> Error {
    let advice = match error {
        rserpool_std::Error::Control { .. } => "; '--control' takes another path, or none for no socket",
        rserpool_std::Error::Start(StartError::Listen { error, address }) if error.kind() == ErrorKind::AddrInUse => {
            match enrp.contains(address) {
                true => "; does another registrar run there? '--enrp-listen' takes another address or port",
                false => "; does another registrar run there? '--listen' takes another address or port",
            }
        }
        rserpool_std::Error::Start(StartError::ListenSctp { error, .. }) if error.kind() == ErrorKind::AddrInUse => {
            "; does another registrar run there? '--listen' and '--enrp-listen' take other addresses or ports"
        }
        rserpool_std::Error::Start(StartError::ListenSctp { .. }) => "; is each '--listen' an address of this host?",
        rserpool_std::Error::Peer { .. } => "; '--peer' takes the address of another registrar",
        _ => "",
    };
    Error::system("start the registrar", format_args!("{error}{advice}"))
}

pub(crate) fn run(args: Args) -> Result<ExitCode, Error> {
    let options = args.options()?;
    let control = options.control.clone();
    let enrp_listen = options.enrp_listen.clone();
    let signals = Signals::new()?;
    let registrar = RegistrarServer::start(options).map_err(|error| start_error(&error, &enrp_listen))?;
    for address in registrar.local_addrs() {
        tracing::warn!(id = %registrar.id(), "registrar listens on tcp://{address}");
    }
    for address in registrar.enrp_local_addrs() {
        tracing::warn!(id = %registrar.id(), "and for other registrars on tcp://{address}");
    }
    for (protocol, addresses) in registrar.sctp_local_addrs() {
        let urls: Vec<String> = addresses.iter().map(|address| format!("sctp://{address}")).collect();
        let what = if *protocol == Ppid::Asap { "registrar listens" } else { "and for other registrars" };
        tracing::warn!(id = %registrar.id(), "{what} on {}", urls.join(" "));
    }
    if let Some(path) = control {
        tracing::info!("control socket {}", path.display());
    }
    let signal = loop {
        if let Some(Wake::Signal(name)) = signals.wait_for(Duration::from_secs(1)) {
            break name;
        }
        if !registrar.is_running() {
            return Err(Error::Failed("the registrar has ended by an error".to_owned()));
        }
    };
    tracing::warn!("{signal}: the registrar ends");
    leave(&registrar, &signals, args.enrp.leave_timeout()).map_err(|error| Error::Failed(error.to_string()))?;
    registrar.stop_now().map_err(|error| Error::Failed(error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// Leaves the peers in good order, unless a second signal wants it quick.
fn leave(registrar: &RegistrarServer, signals: &Signals, timeout: Duration) -> Result<(), rserpool_std::Error> {
    registrar.leave()?;
    // The registrar keeps to the time-out itself; this is for one that does not.
    let deadline = Instant::now() + timeout + Duration::from_secs(1);
    while !registrar.has_left() && registrar.is_running() && Instant::now() < deadline {
        if let Some(Wake::Signal(name)) = signals.wait_for(Duration::from_millis(10)) {
            tracing::warn!("{name} again: the registrar ends at once");
            break;
        }
    }
    Ok(())
}
