//! The pool element: registers services, keeps the registrations alive and takes them back (RFC 5352, 3.1, 3.2, 3.4,
//! 3.6); resolves handles as well (RFC 5352, 3.3). A pool element is a pool user, too (RFC 5352, 4).

mod event;
mod registration;
mod storage;

pub use event::{ElementEvent, RegisterError};
pub use registration::{ElementInfo, ElementKey};
pub use storage::ElementStorage;

use core::net::SocketAddr;

use registration::{Registrations, Step as RegistrationStep};

use crate::arena::Table;
use crate::config::EndpointConfig;
use crate::events::{Events, Queued};
use crate::hunt::{Home, Hunt, HuntOutput};
use crate::rand::Rng;
use crate::report::PendingReport;
use crate::scratch::Scratch;
use crate::user::{
    Cache, Outcome, Resolution, ResolveError, Resolver, SelectError, Step as ResolverStep, announcement, earliest,
    transmit,
};
use crate::wire::asap::EndpointKeepAlive;
use crate::wire::{AsapMessage, EmitError, Policy, PoolElementParam};
use crate::{AssocId, Input, Instant, Link, Machine, Output, PeId, Ppid, RecvError};

const EVENTS: usize = 8;

/// An endpoint that is one or several pool elements, all of them with the same home registrar.
///
/// The server hunt (RFC 5352, 3.6) begins with the first `poll`. Whenever there is a new home registrar, all elements
/// are registered with it; the application has nothing to do for that.
///
/// ```
/// use rserpool_core::wire::{Lifetime, Policy, Transport};
/// use rserpool_core::{ElementInfo, ElementStorage, EndpointConfig, Instant, Link, PoolElement};
///
/// let mut storage = ElementStorage::<1>::new();
/// let mut element = PoolElement::new(&mut storage, EndpointConfig::new(), 42, Instant::ZERO);
/// element.add_server(Link::Tcp, &["192.0.2.1:3863".parse().unwrap()]);
/// let echo = element
///     .register(
///         Instant::ZERO,
///         &ElementInfo {
///             pool_handle: b"echo",
///             id: None,
///             user_transport: Transport::Tcp("192.0.2.7:7".parse().unwrap()),
///             policy: Policy::LeastUsed { load: 0 },
///             lifetime: Lifetime::from_secs(300),
///         },
///     )
///     .unwrap();
/// // Now drain `poll`, and later, as the service gets busy:
/// element.set_policy(Instant::from_secs(5), echo, Policy::LeastUsed { load: u32::MAX / 2 }).unwrap();
/// ```
pub struct PoolElement<'s> {
    config: EndpointConfig,
    now: Instant,
    rng: Rng,
    hunt: Hunt<'s>,
    registrations: Registrations<'s>,
    resolver: Resolver<'s>,
    report: PendingReport<'s>,
    events: Events<ElementEvent, EVENTS>,
}

impl<'s> PoolElement<'s> {
    /// A pool element in the caller's memory. The same seed, and the same inputs, give the same outputs; take it from a
    /// source of entropy, since the identifiers come from it (RFC 5352, 3.1).
    pub fn new<
        const ELEMENTS: usize,
        const SERVERS: usize,
        const POOLS: usize,
        const CACHED: usize,
        const HANDLE: usize,
        const DATA: usize,
    >(
        storage: &'s mut ElementStorage<ELEMENTS, SERVERS, POOLS, CACHED, HANDLE, DATA>,
        config: EndpointConfig,
        seed: u64,
        now: Instant,
    ) -> Self {
        let ElementStorage { registrations, handles, transports, policies, resolver, servers, scratch } = storage;
        PoolElement {
            hunt: Hunt::new(Table::Lent(servers), &config),
            registrations: Registrations::lent(registrations, handles, transports, policies),
            resolver: Resolver::new(Cache::lent(resolver), &config),
            report: PendingReport::new(Scratch::lent(scratch)),
            config,
            now,
            rng: Rng::new(seed),
            events: Events::new(),
        }
    }

    /// A pool element whose memory grows up to `limits`.
    #[cfg(feature = "alloc")]
    pub fn growable(limits: crate::EndpointLimits, config: EndpointConfig, seed: u64, now: Instant) -> Self {
        let servers = Table::Grown(alloc::vec![crate::hunt::ServerSlot::EMPTY; limits.servers as usize]);
        PoolElement {
            hunt: Hunt::new(servers, &config),
            registrations: Registrations::growable(limits.elements),
            resolver: Resolver::new(Cache::growable(limits.pools, limits.cached_elements), &config),
            report: PendingReport::new(Scratch::growable()),
            config,
            now,
            rng: Rng::new(seed),
            events: Events::new(),
        }
    }

    /// Adds a registrar to the configured list (RFC 5352, 3.6). All addresses are those of one registrar.
    ///
    /// `false`: there is no room for it, or no address.
    pub fn add_server(&mut self, link: Link, addresses: &[SocketAddr]) -> bool {
        self.hunt.add_server(link, addresses)
    }

    /// The home registrar, if there is one.
    pub fn home(&self) -> Option<Home> {
        self.hunt.home()
    }

    /// Registers an element (Registration.Request, RFC 5352, 6.1). [`ElementEvent::Registered`],
    /// [`ElementEvent::Rejected`] or [`ElementEvent::NoAnswer`] follows; until there is a home registrar, none of them.
    /// From then on the registration is renewed (T4-reregistration) until [`PoolElement::deregister`].
    ///
    /// # Errors
    /// Names what of `info` cannot be registered, or which limit is reached. Nothing has changed then.
    pub fn register(&mut self, now: Instant, info: &ElementInfo<'_>) -> Result<ElementKey, RegisterError> {
        self.advance(now);
        self.registrations.register(self.now, &mut self.rng, info)
    }

    /// Changes an element's policy values, and registers it again with them (RFC 5352, 3.1). While a registration is
    /// under way, only the latest values are sent after it. The registrar refuses another policy type than the pool's.
    ///
    /// # Errors
    /// [`RegisterError::UnknownElement`] or [`RegisterError::TooLong`].
    pub fn set_policy(&mut self, now: Instant, element: ElementKey, policy: Policy<'_>) -> Result<(), RegisterError> {
        self.advance(now);
        self.registrations.set_policy(self.now, element, policy)
    }

    /// Registers an element again at once, for example after [`ElementEvent::NoAnswer`].
    ///
    /// # Errors
    /// [`RegisterError::UnknownElement`].
    pub fn reregister(&mut self, now: Instant, element: ElementKey) -> Result<(), RegisterError> {
        self.advance(now);
        self.registrations.reregister(self.now, element)
    }

    /// Takes an element out of its pool (Deregistration.Request, RFC 5352, 6.2). [`ElementEvent::Deregistered`]
    /// follows: with the registrar's answer, or after MAX-REG-ATTEMPT requests without one. Keep draining until then.
    ///
    /// # Errors
    /// [`RegisterError::UnknownElement`].
    pub fn deregister(&mut self, now: Instant, element: ElementKey) -> Result<(), RegisterError> {
        self.advance(now);
        self.registrations.deregister(self.now, element)
    }

    /// An element's identifier; `None` once it is deregistered. A random one changes when a registrar
    /// refuses it since it is taken.
    pub fn id(&self, element: ElementKey) -> Option<PeId> {
        self.registrations.id(element)
    }

    /// Whether the registrar has granted an element's registration.
    pub fn is_registered(&self, element: ElementKey) -> bool {
        self.registrations.is_registered(element)
    }

    /// Whether there is no element (any more): all are deregistered.
    pub fn is_empty(&self) -> bool {
        self.registrations.is_empty()
    }

    /// As [`PoolUser::resolve`](crate::PoolUser::resolve). Needs a storage with room for pools.
    ///
    /// # Errors
    /// The handle is unusable, or too many pools are in use.
    pub fn resolve(&mut self, now: Instant, pool_handle: &[u8]) -> Result<(Resolution, bool), ResolveError> {
        self.advance(now);
        self.resolver.resolve(self.now, &self.config, pool_handle, false)
    }

    /// As [`PoolUser::primary`](crate::PoolUser::primary).
    ///
    /// # Errors
    /// [`SelectError`] says whether to wait for an event, to resolve again, or to give up.
    pub fn primary(&mut self, now: Instant, resolution: Resolution) -> Result<PoolElementParam<'_>, SelectError> {
        self.advance(now);
        self.resolver.select(self.now, &self.config, &mut self.rng, resolution)
    }

    /// As [`PoolUser::report_failure`](crate::PoolUser::report_failure).
    pub fn report_failure(&mut self, now: Instant, resolution: Resolution, failed: PeId) -> bool {
        self.advance(now);
        self.resolver.report_failure(self.now, resolution, failed)
    }

    /// As [`PoolUser::elements`](crate::PoolUser::elements): for example to send something to all of one's own pool.
    pub fn elements(&self, resolution: Resolution) -> impl Iterator<Item = PoolElementParam<'_>> {
        let cache = self.resolver.cache();
        cache.pool(resolution).into_iter().flat_map(|p| cache.elements_of(p)).filter_map(|e| cache.view(e))
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn message(&mut self, assoc: AssocId, bytes: &[u8]) -> Result<(), RecvError> {
        if self.report.is_pending() {
            return Err(RecvError::Busy);
        }
        let parsed = AsapMessage::parse(bytes).map_err(|error| {
            self.report.parse_error(assoc, bytes, &error);
            RecvError::Malformed(error.kind)
        })?;
        let from_home = self.hunt.is_home(assoc);
        match &parsed.message {
            // A keep-alive is answered whoever sends it: a registrar that has taken over is not the home yet.
            AsapMessage::EndpointKeepAlive(keep_alive) => self.keep_alive(assoc, keep_alive)?,
            _ if !from_home => return Err(RecvError::UnknownAssoc),
            AsapMessage::RegistrationResponse(response) => {
                let event =
                    self.registrations.registration_response(self.now, &self.config, &mut self.rng, response)?;
                self.tell(event);
            }
            AsapMessage::DeregistrationResponse(response) => {
                let event = self.registrations.deregistration_response(self.now, response)?;
                self.tell(event);
            }
            AsapMessage::HandleResolutionResponse(response) => {
                let outcome = self.resolver.response(self.now, &self.config, assoc, response)?;
                self.tell(Some(from_outcome(outcome)));
            }
            AsapMessage::Error(error) => {
                warn!("the registrar reports an error, cause {}", error.error.code().unwrap_or(0));
            }
            _ => return Err(RecvError::Unexpected),
        }
        if self.hunt.is_home(assoc) {
            self.hunt.heard(&self.config);
        }
        self.report.reports(assoc, bytes, &parsed.reports);
        Ok(())
    }

    /// RFC 5352, 3.4.
    fn keep_alive(&mut self, assoc: AssocId, message: &EndpointKeepAlive<'_>) -> Result<(), RecvError> {
        self.registrations.keep_alive(self.now, assoc, message)?;
        if self.hunt.is_home(assoc) {
            self.hunt.learn_id(message.server);
            return Ok(());
        }
        // KA2.4: only with the H flag, and only from another registrar than the home.
        let home_id = self.hunt.home().map(|home| home.id);
        if message.adopt && home_id != Some(message.server) {
            self.hunt.adopt(assoc, message.server);
            self.tell(Some(ElementEvent::HomeAdopted(Home { assoc, id: message.server })));
            self.resolver.home_changed(self.now, &self.config);
            self.registrations.adopted(self.now);
        }
        Ok(())
    }

    fn tell(&mut self, event: Option<ElementEvent>) {
        if let Some(event) = event {
            self.events.push(event);
        }
    }

    fn home_changed(&mut self) {
        self.registrations.home_changed(self.now);
        self.resolver.home_changed(self.now, &self.config);
    }

    fn drop_home(&mut self) {
        if self.hunt.home().is_some() {
            self.hunt.drop_home(self.now);
            self.events.push(ElementEvent::HomeLost);
            self.home_changed();
        } else {
            self.hunt.start(self.now);
        }
    }
}

fn from_outcome(outcome: Outcome) -> ElementEvent {
    match outcome {
        Outcome::Resolved(resolution) => ElementEvent::Resolved(resolution),
        Outcome::Unresolved(resolution, why) => ElementEvent::Unresolved(resolution, why),
        Outcome::Updated(resolution) => ElementEvent::Updated(resolution),
    }
}

impl Machine for PoolElement<'_> {
    type Event = ElementEvent;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), RecvError> {
        self.advance(now);
        match input {
            Input::Timeout => Ok(()),
            Input::Message { assoc, ppid: Ppid::Asap, bytes } => self.message(assoc, bytes),
            Input::Message { .. } => Err(RecvError::Unexpected),
            Input::Datagram { from, ppid, bytes } => {
                let announce = announcement(ppid, bytes)?;
                self.hunt.announced(self.now, &self.config, from, &announce);
                Ok(())
            }
            Input::Connected { assoc, dial, .. } => {
                // Without a dial it is a registrar that wants to know whether we live.
                if let Some(dial) = dial
                    && self.hunt.connected(assoc, dial)
                {
                    self.tell(self.hunt.home().map(ElementEvent::HomeFound));
                    self.home_changed();
                }
                Ok(())
            }
            Input::ConnectFailed { dial } => {
                self.hunt.connect_failed(dial);
                Ok(())
            }
            // RFC 5352, 3.1 and 3.7.1: a SEND.FAILURE starts the hunt; the message is made anew for another registrar.
            Input::SendFailed { assoc } => {
                if self.hunt.is_home(assoc) {
                    self.drop_home();
                }
                Ok(())
            }
            Input::Closed { assoc } => {
                self.report.closed(assoc);
                self.registrations.closed(assoc);
                if self.hunt.closed(self.now, assoc) {
                    self.events.push(ElementEvent::HomeLost);
                    self.home_changed();
                }
                Ok(())
            }
        }
    }

    fn poll<'b>(&'b mut self, now: Instant, buf: &'b mut [u8]) -> Output<'b, ElementEvent> {
        self.advance(now);
        loop {
            match self.events.pop() {
                Some(Queued::Event(event)) => return Output::Event(event),
                Some(Queued::Lost) => return Output::Event(ElementEvent::EventsLost),
                None => {}
            }
            match self.report.emit(buf) {
                Some(Ok((to, len))) => return transmit(to, buf, len),
                Some(Err(EmitError::BufferTooSmall { needed })) => return Output::BufferTooSmall { needed },
                Some(Err(EmitError::TooLong)) | None => {}
            }
            let home = self.hunt.home();
            // Registrations come before the hunt's clean-up: a keep-alive is acknowledged before its association closes.
            match self.registrations.poll(self.now, &self.config, home, buf) {
                Some(RegistrationStep::Send(to, len)) => return transmit(to, buf, len),
                Some(RegistrationStep::Failed(EmitError::BufferTooSmall { needed })) => {
                    return Output::BufferTooSmall { needed };
                }
                Some(RegistrationStep::Failed(EmitError::TooLong)) => {}
                Some(RegistrationStep::Tell(event)) => {
                    self.events.push(event);
                    continue;
                }
                Some(RegistrationStep::DropHome) => {
                    self.drop_home();
                    continue;
                }
                None => {}
            }
            match self.hunt.poll(self.now, &self.config, &mut self.rng) {
                Some(HuntOutput::Connect { dial, link }) => {
                    return Output::Connect { dial, link, ppid: Ppid::Asap, to: self.hunt.targets() };
                }
                Some(HuntOutput::Abandon { dial }) => return Output::Abandon { dial },
                Some(HuntOutput::Disconnect { assoc }) => return Output::Disconnect { assoc },
                None => {}
            }
            match self.resolver.poll(self.now, &self.config, home.is_some(), buf) {
                Some(ResolverStep::Send(len)) => match home {
                    Some(home) => return transmit(home.assoc, buf, len),
                    None => continue,
                },
                Some(ResolverStep::Failed(EmitError::BufferTooSmall { needed })) => {
                    return Output::BufferTooSmall { needed };
                }
                Some(ResolverStep::Failed(EmitError::TooLong)) => {}
                Some(ResolverStep::Tell(outcome)) => self.events.push(from_outcome(outcome)),
                Some(ResolverStep::Hunt) => self.hunt.start(self.now),
                Some(ResolverStep::GiveUp(outcome)) => {
                    self.events.push(from_outcome(outcome));
                    self.drop_home();
                }
                None => return Output::Wait(self.next_deadline()),
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        earliest(earliest(self.hunt.deadline(), self.resolver.deadline()), self.registrations.deadline())
    }
}
