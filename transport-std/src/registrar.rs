//! A registrar in a thread of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use rserpool_core::{Link, Ppid, Registrar as Machine, RegistrarConfig, RegistrarLimits, ServerId};

use crate::control::ControlSocket;
use crate::driver::{Bound, Channel, Driver, DriverConfig, Listener};
use crate::error::Error;
use crate::status::{RegistrarStatus, snapshot};

/// What a registrar is started with.
#[derive(Clone, Debug)]
pub struct RegistrarOptions {
    /// Where it listens for pool elements and pool users, over TCP. Default: port 3863 on all addresses, IPv4 and IPv6.
    pub listen: Vec<SocketAddr>,
    /// Multicast channels for its announcements (RFC 5352, 3.6). Default: none. They are used if
    /// [`RegistrarConfig::announce`] is set.
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
}

/// A registrar that runs.
///
/// ```
/// use rserpool_std::{RegistrarOptions, RegistrarServer};
///
/// let registrar = RegistrarServer::start(RegistrarOptions::listening_on("127.0.0.1:0".parse()?))?;
/// println!("{} listens on {}", registrar.id(), registrar.local_addr());
/// registrar.stop()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RegistrarServer {
    driver: Driver<Machine<'static>>,
    id: ServerId,
    addresses: Vec<SocketAddr>,
    started: rserpool_core::Instant,
    control: Option<ControlSocket>,
}

impl RegistrarServer {
    /// Opens the sockets and starts serving.
    ///
    /// # Errors
    /// The system refuses an address, a multicast channel, the control socket, a thread or randomness.
    pub fn start(options: RegistrarOptions) -> Result<Self, Error> {
        let mut driver = options.driver.clone();
        driver.listeners.extend(options.listen.iter().map(|address| Listener::tcp(Ppid::Asap, *address)));
        driver.channels.extend(options.channels.iter().cloned());
        driver.thread_name = "rserpool-registrar".to_owned();
        let bound: Bound<Machine<'static>> = Driver::bind(driver)?;
        let addresses: Vec<SocketAddr> = bound.local_addresses().iter().map(|(_, address)| *address).collect();

        let mut config = options.registrar;
        if config.announce && config.announced.is_empty() {
            // What users can connect to; a wildcard is nothing to announce.
            let usable = addresses.iter().filter(|address| !address.ip().is_unspecified());
            config.announced.extend(usable.take(rserpool_core::MAX_ANNOUNCED).map(|address| (Link::Tcp, *address)));
        }
        let started = bound.clock().now();
        let machine = Machine::growable(options.limits, config, crate::seed::seed()?, started);
        let id = machine.id();
        let driver = bound.spawn(machine, |event, _, _| tracing::debug!(?event))?;
        let mut server = RegistrarServer { driver, id, addresses, started, control: None };
        if let Some(path) = &options.control {
            let status = server.status_source();
            let control = ControlSocket::open(path, status);
            server.control = Some(control.map_err(|error| Error::Control { path: path.clone(), error })?);
        }
        Ok(server)
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// The first address on which it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses.first().copied().unwrap_or_else(|| ([0, 0, 0, 0], 0).into())
    }

    /// All addresses on which it listens.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Access to the machine itself, for what these calls do not offer.
    #[must_use]
    pub fn driver(&self) -> &Driver<Machine<'static>> {
        &self.driver
    }

    fn status_source(&self) -> impl Fn(usize) -> Option<RegistrarStatus> + Send + 'static {
        let handle = self.driver.handle();
        let listening: Vec<String> = self.addresses.iter().map(|address| format!("tcp://{address}")).collect();
        let started = self.started;
        move |most| {
            let (listening, driver) = (listening.clone(), handle.stats());
            handle.with(move |machine, now| snapshot(machine, &driver, listening, started, now, most)).ok()
        }
    }

    /// Its state, with at most `most` elements.
    ///
    /// # Errors
    /// The driver has ended.
    pub fn status(&self, most: usize) -> Result<RegistrarStatus, Error> {
        (self.status_source())(most).ok_or(Error::Stopped)
    }

    /// Whether it still serves: a panic of the machine, or an error of the system, ends it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.driver.is_running()
    }

    /// Stops serving: closes the connections once what was answered is on its way.
    ///
    /// # Errors
    /// The driver had ended before.
    pub fn stop(self) -> Result<(), Error> {
        drop(self.control);
        self.driver.stop().map(|_| ()).map_err(|_| Error::Stopped)
    }
}
