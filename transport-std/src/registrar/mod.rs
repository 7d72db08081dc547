//! A registrar in a thread of its own.

mod log;
mod options;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rserpool_core::{Ppid, Registrar as Machine, RegistrarEvent, ServerId};

pub use self::options::RegistrarOptions;
use crate::control::ControlSocket;
use crate::driver::{Bound, Driver};
use crate::error::Error;
use crate::signal::{Signal, deadline};
use crate::status::{RegistrarStatus, Source};

/// How much longer than the protocol says a registrar waits for its own leaving, so that a busy host cuts nothing off.
const LEAVE_MARGIN: Duration = Duration::from_secs(1);

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
    local: Vec<SocketAddr>,
    enrp_local: Vec<SocketAddr>,
    started: rserpool_core::Instant,
    control: Option<ControlSocket>,
    leaving: Arc<Leaving>,
    /// How long it takes to leave, at most; `None`: there is nobody to leave.
    leave_timeout: Option<Duration>,
}

/// How far the leaving is.
#[derive(Debug, Default)]
struct Leaving {
    done: AtomicBool,
    signal: Signal,
}

impl RegistrarServer {
    /// Opens the sockets and starts. Without peers it serves at once; with some it copies their handlespace first.
    ///
    /// # Errors
    /// The system refuses an address, a multicast channel, the control socket, a thread or randomness; or a peer's
    /// addresses cannot be connected to.
    pub fn start(options: RegistrarOptions) -> Result<Self, Error> {
        let bound: Bound<Machine<'static>> = Driver::bind(options.driver_config())?;
        let addresses = |of: Ppid| {
            let local = bound.local_addresses().iter().filter(move |(ppid, _)| *ppid == of);
            local.map(|(_, address)| *address).collect::<Vec<_>>()
        };
        let (local, enrp_local) = (addresses(Ppid::Asap), addresses(Ppid::Enrp));
        let config = options.machine_config(bound.local_addresses(), bound.sctp_addresses());
        let leave_timeout = options.has_peers().then(|| config.enrp.leave_timeout + LEAVE_MARGIN);
        let started = bound.clock().now();
        let mut machine = Machine::growable(options.limits, config, crate::seed::seed()?, started);
        for peer in &options.peers {
            if !machine.add_peer(options.peer_link, peer) {
                return Err(Error::Peer { addresses: peer.clone() });
            }
        }
        let id = machine.id();
        let leaving = Arc::new(Leaving::default());
        let noted = Arc::clone(&leaving);
        let driver = bound.spawn(machine, move |event, _, _| {
            log::event(event);
            if let RegistrarEvent::Left { .. } = event {
                noted.done.store(true, Ordering::Release);
                noted.signal.raise();
            }
        })?;
        let mut server =
            RegistrarServer { driver, id, local, enrp_local, started, control: None, leaving, leave_timeout };
        if let Some(path) = &options.control {
            let status = server.status_source();
            let control = ControlSocket::open(path, move |most| status.take(most));
            server.control = Some(control.map_err(|error| Error::Control { path: path.clone(), error })?);
        }
        Ok(server)
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// The first address on which it listens for pool elements and pool users.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local.first().copied().unwrap_or_else(|| ([0, 0, 0, 0], 0).into())
    }

    /// All addresses on which it listens for pool elements and pool users.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local
    }

    /// The addresses on which it listens for other registrars.
    #[must_use]
    pub fn enrp_local_addrs(&self) -> &[SocketAddr] {
        &self.enrp_local
    }

    /// The endpoints on which it listens over SCTP, each with all its addresses.
    #[must_use]
    pub fn sctp_local_addrs(&self) -> &[(Ppid, Vec<SocketAddr>)] {
        self.driver.sctp_addresses()
    }

    /// Access to the machine itself, for what these calls do not offer.
    #[must_use]
    pub fn driver(&self) -> &Driver<Machine<'static>> {
        &self.driver
    }

    fn status_source(&self) -> Source {
        let urls = |addresses: &[SocketAddr], of: Ppid| {
            let tcp = addresses.iter().map(|address| format!("tcp://{address}"));
            let sctp = self.driver.sctp_addresses().iter().filter(|(ppid, _)| *ppid == of);
            let sctp = sctp.flat_map(|(_, addresses)| addresses).map(|address| format!("sctp://{address}"));
            tcp.chain(sctp).collect()
        };
        Source {
            handle: self.driver.handle(),
            listening: urls(&self.local, Ppid::Asap),
            enrp_listening: urls(&self.enrp_local, Ppid::Enrp),
            started: self.started,
        }
    }

    /// Its state, with at most `most` elements.
    ///
    /// # Errors
    /// The driver has ended.
    pub fn status(&self, most: usize) -> Result<RegistrarStatus, Error> {
        self.status_source().take(most).ok_or(Error::Stopped)
    }

    /// Whether it still serves: a panic of the machine, or an error of the system, ends it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.driver.is_running()
    }

    /// Begins to leave: asks the peers to take over the elements, so that these need not wait until its absence is
    /// noticed. [`RegistrarServer::has_left`] tells when it is done. A registrar without peers has nothing to do.
    ///
    /// # Errors
    /// The driver has ended.
    pub fn leave(&self) -> Result<(), Error> {
        if self.leave_timeout.is_some() {
            self.driver.handle().with(|machine, now| machine.leave(now))?;
        }
        Ok(())
    }

    /// Whether what [`RegistrarServer::leave`] began is done, or there was nothing to do.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.leave_timeout.is_none() || self.leaving.done.load(Ordering::Acquire)
    }

    /// Leaves the peers in good order, for as long as [`EnrpConfig::leave_timeout`] allows, and stops serving: closes the
    /// connections once what was answered is on its way.
    ///
    /// [`EnrpConfig::leave_timeout`]: rserpool_core::EnrpConfig::leave_timeout
    ///
    /// # Errors
    /// The driver had ended before.
    pub fn stop(self) -> Result<(), Error> {
        if let Some(timeout) = self.leave_timeout {
            let deadline = deadline(timeout);
            self.leave()?;
            loop {
                let seen = self.leaving.signal.count();
                if self.has_left() || !self.leaving.signal.wait(seen, deadline) {
                    break;
                }
            }
        }
        self.stop_now()
    }

    /// Stops serving without leaving first: the peers find out by themselves.
    ///
    /// # Errors
    /// The driver had ended before.
    pub fn stop_now(self) -> Result<(), Error> {
        drop(self.control);
        self.driver.stop().map(|_| ()).map_err(|_| Error::Stopped)
    }
}
