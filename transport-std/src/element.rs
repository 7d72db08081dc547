//! A pool element with calls that block.

mod reachable;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rserpool_core::wire::cause::CauseCode;
use rserpool_core::wire::{Lifetime, Policy, PoolElementParam, Transport};
use rserpool_core::{ElementEvent, ElementInfo, ElementKey, EndpointConfig, PeId, PoolElement as Machine, ServerId};

use crate::driver::Driver;
use crate::error::Error;
use crate::options::EndpointOptions;
use crate::signal::{Signal, deadline};

/// A service to be put into a pool.
#[derive(Clone, Debug)]
pub struct Service<'a> {
    /// The pool handle.
    pub pool: &'a [u8],
    /// Where users reach the service: as they see it, so no wildcard address.
    pub transport: Transport<'a>,
    /// The pool's policy, and the service's values in it.
    pub policy: Policy<'a>,
    /// For how long a registration is good if it is not renewed. It is renewed in time.
    pub lifetime: Lifetime,
    /// The pool element identifier; `None` for a random one.
    pub id: Option<PeId>,
}

impl<'a> Service<'a> {
    /// A TCP service in a round robin pool, registered for five minutes at a time.
    #[must_use]
    pub fn tcp(pool: &'a (impl AsRef<[u8]> + ?Sized), address: SocketAddr) -> Self {
        Service {
            pool: pool.as_ref(),
            transport: Transport::Tcp(address),
            policy: Policy::RoundRobin,
            lifetime: Lifetime::from_secs(300),
            id: None,
        }
    }

    /// The same for an SCTP service, which has all these addresses.
    #[must_use]
    pub fn sctp(pool: &'a (impl AsRef<[u8]> + ?Sized), port: u16, addresses: &'a [IpAddr]) -> Self {
        Service {
            pool: pool.as_ref(),
            transport: Transport::sctp(port, addresses),
            policy: Policy::RoundRobin,
            lifetime: Lifetime::from_secs(300),
            id: None,
        }
    }
}

/// An endpoint whose services are pool elements.
#[derive(Debug)]
pub struct PoolElement {
    driver: Driver<Machine<'static>>,
    shared: Arc<Shared>,
    timeout: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    signal: Signal,
    outcomes: Mutex<HashMap<ElementKey, Outcome>>,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Refused(u16),
    Deregistered,
}

impl Shared {
    fn note(&self, element: ElementKey, outcome: Option<Outcome>) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Some(outcome) => outcomes.insert(element, outcome),
            None => outcomes.remove(&element),
        };
    }

    fn outcome(&self, element: ElementKey) -> Option<Outcome> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).get(&element).copied()
    }
}

impl PoolElement {
    /// Starts an endpoint in a thread of its own.
    ///
    /// # Errors
    /// A multicast channel or [`EndpointOptions::asap_listen`] could not be opened, or the system gives no thread or no
    /// randomness.
    pub fn new(options: EndpointOptions) -> Result<Self, Error> {
        let (bound, asap_port) = reachable::bind(&options)?;
        let now = bound.clock().now();
        let asap = EndpointConfig { asap_port, ..options.asap() };
        let mut machine = Machine::growable(options.limits, asap, crate::seed::seed()?, now);
        for registrar in &options.registrars {
            machine.add_server(options.link, registrar);
        }
        let shared = Arc::new(Shared::default());
        let noted = Arc::clone(&shared);
        let driver = bound.spawn(machine, move |event, machine, now| {
            observe(&noted, event, machine, now);
            noted.signal.raise();
        })?;
        Ok(PoolElement { driver, shared, timeout: options.timeout })
    }

    /// Where it takes associations from registrars.
    #[must_use]
    pub fn asap_addrs(&self) -> Vec<SocketAddr> {
        let sctp = self.driver.sctp_addresses().iter().flat_map(|(_, addresses)| addresses);
        self.driver.local_addresses().iter().map(|(_, address)| address).chain(sctp).copied().collect()
    }

    /// Access to the machine itself, for what these calls do not offer.
    #[must_use]
    pub fn driver(&self) -> &Driver<Machine<'static>> {
        &self.driver
    }

    /// Registers a service and waits for the registrar's word. Registrars that fail later are replaced, and the
    /// registration is renewed, without further calls.
    ///
    /// # Errors
    /// The description is unusable, the registrar refuses, or none answers in time. Where none answers the attempts go
    /// on only if the element is registered in the end; this call takes it back.
    pub fn register(&self, service: &Service<'_>) -> Result<Registration<'_>, Error> {
        let key = self.begin(service)?;
        let registration = Registration { endpoint: self, key, gone: false };
        registration.wait()?;
        Ok(registration)
    }

    /// Begins to register a service, and does not wait: a program whose registrars are not there yet can start all the
    /// same.
    ///
    /// # Errors
    /// The description is unusable.
    pub fn register_later(&self, service: &Service<'_>) -> Result<Registration<'_>, Error> {
        Ok(Registration { endpoint: self, key: self.begin(service)?, gone: false })
    }

    fn begin(&self, service: &Service<'_>) -> Result<ElementKey, Error> {
        let element = PoolElementParam {
            id: service.id.unwrap_or_default(),
            home: ServerId::NONE,
            lifetime: service.lifetime,
            user_transport: service.transport,
            policy: service.policy,
            asap_transport: None,
        };
        let (pool, random_id) = (service.pool.to_vec(), service.id.is_none());
        let mut encoded = vec![0; element.encoded_len()];
        if element.emit(&mut encoded).is_err() {
            return Err(Error::Register(rserpool_core::RegisterError::TooLong));
        }
        self.driver.handle().with(move |machine, now| {
            let element = PoolElementParam::parse(&encoded)
                .map_err(|_| Error::Register(rserpool_core::RegisterError::BadTransport))?;
            let info = ElementInfo {
                pool_handle: &pool,
                id: (!random_id).then_some(element.id),
                user_transport: element.user_transport,
                policy: element.policy,
                lifetime: element.lifetime,
            };
            machine.register(now, &info).map_err(Error::Register)
        })?
    }
}

fn observe(shared: &Shared, event: ElementEvent, machine: &mut Machine<'static>, now: rserpool_core::Instant) {
    match event {
        ElementEvent::Registered(element) => {
            tracing::info!(id = %name(machine, element), "registered");
            shared.note(element, None);
        }
        ElementEvent::Rejected { element, cause } => {
            tracing::warn!(id = %name(machine, element), "the registrar refuses: {}", CauseCode(cause));
            shared.note(element, Some(Outcome::Refused(cause)));
        }
        ElementEvent::NoAnswer(element) => {
            // RFC 5352, 3.1 leaves what follows to the upper layer, which is here: a service that still runs still
            // wants to be in its pool. The attempts are T2 apart.
            tracing::warn!(id = %name(machine, element), "no registrar answers; trying on");
            if let Err(error) = machine.reregister(now, element) {
                tracing::debug!(%error, "not tried on");
            }
        }
        ElementEvent::Deregistered { element, id } => {
            tracing::info!(%id, "deregistered");
            shared.note(element, Some(Outcome::Deregistered));
        }
        ElementEvent::HomeFound(home) => tracing::info!(assoc = %home.assoc, "home registrar found"),
        ElementEvent::HomeAdopted(home) => tracing::info!(server = %home.id, "another registrar is the home now"),
        ElementEvent::HomeLost => tracing::info!("home registrar lost"),
        other => tracing::debug!(event = ?other),
    }
}

fn name(machine: &Machine<'static>, element: ElementKey) -> PeId {
    machine.id(element).unwrap_or_default()
}

/// A service that is, or is to be, in a pool. To drop it takes it out, without waiting for the registrar's word.
#[derive(Debug)]
pub struct Registration<'e> {
    endpoint: &'e PoolElement,
    key: ElementKey,
    gone: bool,
}

impl Registration<'_> {
    /// Its pool element identifier; `None` if it is deregistered.
    ///
    /// # Errors
    /// The driver has ended.
    pub fn id(&self) -> Result<Option<PeId>, Error> {
        let key = self.key;
        Ok(self.endpoint.driver.handle().with(move |machine, _| machine.id(key))?)
    }

    /// Whether the registrar has granted it.
    ///
    /// # Errors
    /// The driver has ended.
    pub fn is_registered(&self) -> Result<bool, Error> {
        let key = self.key;
        Ok(self.endpoint.driver.handle().with(move |machine, _| machine.is_registered(key))?)
    }

    /// Why the registrar refused it, if it did. It is not repeated until the policy is changed.
    #[must_use]
    pub fn refused(&self) -> Option<Error> {
        match self.endpoint.shared.outcome(self.key) {
            Some(Outcome::Refused(cause)) => Some(Error::Refused(cause)),
            Some(Outcome::Deregistered) | None => None,
        }
    }

    /// Waits until the registrar has granted it.
    ///
    /// # Errors
    /// The registrar refuses, or none answers in time.
    pub fn wait(&self) -> Result<(), Error> {
        self.wait_for("a registrar to answer the registration", self.endpoint.timeout, |granted, outcome| match outcome
        {
            Some(Outcome::Refused(cause)) => Some(Err(Error::Refused(cause))),
            Some(Outcome::Deregistered) => Some(Err(Error::Stopped)),
            None => granted.then_some(Ok(())),
        })
    }

    fn wait_for(
        &self,
        waited_for: &'static str,
        timeout: Duration,
        done: impl Fn(bool, Option<Outcome>) -> Option<Result<(), Error>>,
    ) -> Result<(), Error> {
        let deadline = deadline(timeout);
        loop {
            let seen = self.endpoint.shared.signal.count();
            if let Some(result) = done(self.is_registered()?, self.endpoint.shared.outcome(self.key)) {
                return result;
            }
            if !self.endpoint.shared.signal.wait(seen, deadline) {
                return Err(Error::TimedOut { waited_for });
            }
        }
    }

    /// Changes the service's policy values, for instance its load, and registers again with them.
    ///
    /// # Errors
    /// The policy is too long, or the driver has ended.
    pub fn set_policy(&self, policy: Policy<'_>) -> Result<(), Error> {
        let key = self.key;
        let mut encoded = vec![0; policy.encoded_len()];
        if policy.emit(&mut encoded).is_err() {
            return Err(Error::Register(rserpool_core::RegisterError::TooLong));
        }
        self.endpoint.shared.note(key, None);
        self.endpoint.driver.handle().with(move |machine, now| match Policy::parse(&encoded) {
            Ok(policy) => machine.set_policy(now, key, policy).map_err(Error::Register),
            Err(_) => Err(Error::Register(rserpool_core::RegisterError::TooLong)),
        })?
    }

    /// Takes the service out of the pool and waits for the registrar's word.
    ///
    /// # Errors
    /// The registrar refuses, or none answers in time.
    pub fn deregister(self) -> Result<(), Error> {
        let timeout = self.endpoint.timeout;
        self.deregister_within(timeout)
    }

    /// As [`Registration::deregister`], but waits this long at most.
    ///
    /// # Errors
    /// The registrar refuses, or none answers in time.
    pub fn deregister_within(mut self, timeout: Duration) -> Result<(), Error> {
        self.leave()?;
        self.wait_for("a registrar to answer the deregistration", timeout, |_, outcome| match outcome {
            Some(Outcome::Deregistered) => Some(Ok(())),
            Some(Outcome::Refused(cause)) => Some(Err(Error::Refused(cause))),
            None => None,
        })
    }

    fn leave(&mut self) -> Result<(), Error> {
        if core::mem::replace(&mut self.gone, true) {
            return Ok(());
        }
        let key = self.key;
        self.endpoint.shared.note(key, None);
        self.endpoint.driver.handle().with(move |machine, now| machine.deregister(now, key))?.map_err(Error::Register)
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        // If the driver has ended there is nobody to tell.
        let _ = self.leave();
    }
}

/// A TCP listener that is an element of a pool.
///
/// ```no_run
/// use std::io::{Read, Write};
/// use rserpool_std::{EndpointOptions, PoolElement, PoolListener};
///
/// let endpoint = PoolElement::new(EndpointOptions::with_registrar("registrar.example")?)?;
/// let listener = PoolListener::bind(&endpoint, "echo", "192.0.2.7:0")?;
/// for stream in listener.incoming() {
///     let mut stream = stream?;
///     let mut line = [0; 1024];
///     let count = stream.read(&mut line)?;
///     stream.write_all(&line[..count])?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PoolListener<'e> {
    registration: Registration<'e>,
    listener: TcpListener,
}

impl<'e> PoolListener<'e> {
    /// Listens on an address and registers it in a round robin pool. The address is what users are told, so it must be
    /// one that they can reach: no wildcard. Port 0 lets the system choose.
    ///
    /// # Errors
    /// The system refuses the address, the registrar refuses the registration, or none answers in time.
    pub fn bind(
        endpoint: &'e PoolElement,
        pool: &(impl AsRef<[u8]> + ?Sized),
        address: impl ToSocketAddrs,
    ) -> Result<Self, Error> {
        Self::with_policy(endpoint, pool, address, Policy::RoundRobin)
    }

    /// As [`PoolListener::bind`], in a pool of another policy.
    ///
    /// # Errors
    /// As [`PoolListener::bind`].
    pub fn with_policy(
        endpoint: &'e PoolElement,
        pool: &(impl AsRef<[u8]> + ?Sized),
        address: impl ToSocketAddrs,
        policy: Policy<'_>,
    ) -> Result<Self, Error> {
        let listener = TcpListener::bind(address)?;
        let service = Service { policy, ..Service::tcp(pool, listener.local_addr()?) };
        Ok(PoolListener { registration: endpoint.register(&service)?, listener })
    }

    /// The registration, to change the policy's values.
    #[must_use]
    pub fn registration(&self) -> &Registration<'e> {
        &self.registration
    }

    /// The address that is registered.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Waits for the next user.
    ///
    /// # Errors
    /// Those of [`TcpListener::accept`].
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept()
    }

    /// All users, one after the other.
    pub fn incoming(&self) -> impl Iterator<Item = io::Result<TcpStream>> + '_ {
        self.listener.incoming()
    }

    /// Leaves the pool and stops listening.
    ///
    /// # Errors
    /// As [`Registration::deregister`].
    pub fn close(self) -> Result<(), Error> {
        self.registration.deregister()
    }
}
