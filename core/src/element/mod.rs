//! The pool element: registers services, keeps the registrations alive and takes them back (RFC 5352, 3.1, 3.2, 3.4,
//! 3.6); resolves handles as well (RFC 5352, 3.3). A pool element is a pool user, too (RFC 5352, 4).

mod event;
mod exchange;
mod registration;
mod storage;

pub use event::{ElementEvent, RegisterError};
pub use registration::{ElementInfo, ElementKey};
pub use storage::ElementStorage;

use core::net::{IpAddr, SocketAddr};

use exchange::Step;
use registration::Registrations;

use crate::arena::Table;
use crate::config::EndpointConfig;
use crate::endpoint::{Action, Endpoint, EndpointStep, HomeChange, earliest};
use crate::events::{Events, Queued};
use crate::hunt::Home;
use crate::rate::Limiter;
use crate::scratch::Scratch;
use crate::user::{Cache, Outcome, Resolution, ResolveError, SelectError};
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
    endpoint: Endpoint<'s>,
    registrations: Registrations<'s>,
    home_changes: Limiter,
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
        let (servers, cache, scratch) = (Table::Lent(servers), Cache::lent(resolver), Scratch::lent(scratch));
        PoolElement {
            endpoint: Endpoint::new(servers, cache, scratch, config, seed, now),
            registrations: Registrations::lent(registrations, handles, transports, policies),
            home_changes: Limiter::FULL,
            events: Events::new(),
        }
    }

    /// A pool element whose memory grows up to `limits`.
    #[cfg(feature = "alloc")]
    pub fn growable(limits: crate::EndpointLimits, config: EndpointConfig, seed: u64, now: Instant) -> Self {
        PoolElement {
            endpoint: Endpoint::growable(&limits, config, seed, now),
            registrations: Registrations::growable(limits.elements),
            home_changes: Limiter::FULL,
            events: Events::new(),
        }
    }

    /// Adds a registrar to the configured list (RFC 5352, 3.6). All addresses are those of one registrar.
    ///
    /// `false`: there is no room for it, or no address.
    pub fn add_server(&mut self, link: Link, addresses: &[SocketAddr]) -> bool {
        self.endpoint.hunt.add_server(link, addresses)
    }

    /// The home registrar, if there is one.
    pub fn home(&self) -> Option<Home> {
        self.endpoint.hunt.home()
    }

    /// Registers an element (Registration.Request, RFC 5352, 6.1). [`ElementEvent::Registered`],
    /// [`ElementEvent::Rejected`] or [`ElementEvent::NoAnswer`] follows; until there is a home registrar, none of them.
    /// From then on the registration is renewed (T4-reregistration) until [`PoolElement::deregister`].
    ///
    /// # Errors
    /// Names what of `info` cannot be registered, or which limit is reached. Nothing has changed then.
    pub fn register(&mut self, now: Instant, info: &ElementInfo<'_>) -> Result<ElementKey, RegisterError> {
        self.endpoint.advance(now);
        let Endpoint { now, rng, config, .. } = &mut self.endpoint;
        self.registrations.register(*now, rng, config.compat.asap(), info)
    }

    /// Changes an element's policy values, and registers it again with them (RFC 5352, 3.1). While a registration is
    /// under way, only the latest values are sent after it. The registrar refuses another policy type than the pool's.
    ///
    /// # Errors
    /// [`RegisterError::UnknownElement`] or [`RegisterError::TooLong`].
    pub fn set_policy(&mut self, now: Instant, element: ElementKey, policy: Policy<'_>) -> Result<(), RegisterError> {
        self.endpoint.advance(now);
        self.registrations.set_policy(self.endpoint.now, element, policy)
    }

    /// The host's address has changed. Elements whose user transport has the old address get the new one instead, and
    /// are registered again (RFC 5352, 3.1). Nothing happens where one is IPv4 and the other one IPv6.
    ///
    /// The associations over the old address are the adapter's to close.
    pub fn move_host(&mut self, now: Instant, from: IpAddr, to: IpAddr) {
        self.endpoint.advance(now);
        self.registrations.move_host(self.endpoint.now, from, to);
    }

    /// Registers an element again at once, for example after [`ElementEvent::NoAnswer`].
    ///
    /// # Errors
    /// [`RegisterError::UnknownElement`].
    pub fn reregister(&mut self, now: Instant, element: ElementKey) -> Result<(), RegisterError> {
        self.endpoint.advance(now);
        self.registrations.reregister(self.endpoint.now, element)
    }

    /// Takes an element out of its pool (Deregistration.Request, RFC 5352, 6.2). [`ElementEvent::Deregistered`]
    /// follows: with the registrar's answer, or after MAX-REG-ATTEMPT requests without one. Keep draining until then.
    ///
    /// # Errors
    /// [`RegisterError::UnknownElement`].
    pub fn deregister(&mut self, now: Instant, element: ElementKey) -> Result<(), RegisterError> {
        self.endpoint.advance(now);
        self.registrations.deregister(self.endpoint.now, element)
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
        self.endpoint.advance(now);
        self.endpoint.resolver.resolve(self.endpoint.now, &self.endpoint.config, pool_handle, false)
    }

    /// As [`PoolUser::primary`](crate::PoolUser::primary).
    ///
    /// # Errors
    /// [`SelectError`] says whether to wait for an event, to resolve again, or to give up.
    pub fn primary(&mut self, now: Instant, resolution: Resolution) -> Result<PoolElementParam<'_>, SelectError> {
        self.endpoint.advance(now);
        self.endpoint.resolver.select(self.endpoint.now, &self.endpoint.config, &mut self.endpoint.rng, resolution)
    }

    /// As [`PoolUser::report_failure`](crate::PoolUser::report_failure).
    pub fn report_failure(&mut self, now: Instant, resolution: Resolution, failed: PeId) -> bool {
        self.endpoint.advance(now);
        self.endpoint.resolver.report_failure(self.endpoint.now, resolution, failed)
    }

    /// As [`PoolUser::elements`](crate::PoolUser::elements): for example to send something to all of one's own pool.
    pub fn elements(&self, resolution: Resolution) -> impl Iterator<Item = PoolElementParam<'_>> {
        let cache = self.endpoint.resolver.cache();
        cache.pool(resolution).into_iter().flat_map(|p| cache.elements_of(p)).filter_map(|e| cache.view(e))
    }

    fn message(&mut self, assoc: AssocId, bytes: &[u8]) -> Result<(), RecvError> {
        let parsed = self.endpoint.parse(assoc, bytes)?;
        let from_home = self.endpoint.hunt.is_home(assoc);
        let Endpoint { resolver, now, config, rng, .. } = &mut self.endpoint;
        let event = match &parsed.message {
            // A keep-alive is answered whoever sends it: a registrar that has taken over is not the home yet.
            AsapMessage::EndpointKeepAlive(keep_alive) => self.keep_alive(assoc, keep_alive)?,
            _ if !from_home => return Err(RecvError::UnknownAssoc),
            AsapMessage::RegistrationResponse(response) => {
                self.registrations.registration_response(*now, config, rng, response)?
            }
            AsapMessage::DeregistrationResponse(response) => {
                self.registrations.deregistration_response(*now, response)?
            }
            AsapMessage::HandleResolutionResponse(response) => {
                Some(resolver.response(*now, config, assoc, response)?.into())
            }
            AsapMessage::Error(error) => {
                info!("the registrar reports an error, cause {}", error.error.code().unwrap_or(0));
                None
            }
            _ => return Err(RecvError::Unexpected),
        };
        if let Some(event) = event {
            self.events.push(event);
        }
        self.endpoint.processed(assoc, bytes, &parsed);
        Ok(())
    }

    /// RFC 5352, 3.4.
    fn keep_alive(
        &mut self,
        assoc: AssocId,
        message: &EndpointKeepAlive<'_>,
    ) -> Result<Option<ElementEvent>, RecvError> {
        let Endpoint { hunt, resolver, now, config, .. } = &mut self.endpoint;
        let from_home = hunt.is_home(assoc);
        let ousts = message.adopt && !from_home && hunt.home().is_some();
        let rate = config.rates.home_changes;
        if ousts && self.home_changes.wait(rate, *now).is_some() {
            return Err(RecvError::Unexpected);
        }
        self.registrations.keep_alive(*now, assoc, from_home || message.adopt, message)?;
        if ousts {
            self.home_changes.spend(rate, *now);
        }
        if from_home {
            hunt.learn_id(message.server);
            return Ok(None);
        }
        if !message.adopt {
            return Ok(None);
        }
        // KA2.4. It may be the home itself, which was restarted and comes by a new association before the old one is seen
        // to be dead: then it is no other home, but reached by this one from now on.
        let another = hunt.home().is_none_or(|home| home.id != message.server);
        hunt.adopt(assoc, message.server);
        resolver.home_changed(*now, config);
        self.registrations.adopted(*now, message);
        Ok(another.then_some(ElementEvent::HomeAdopted(Home { assoc, id: message.server })))
    }

    /// The next step of the registrations, of the hunt or of a resolution. Registrations come before the hunt's clean-up:
    /// a keep-alive is acknowledged before its association closes.
    fn poll_registrations(&mut self, buf: &mut [u8]) -> Option<EndpointStep> {
        loop {
            let Endpoint { hunt, now, config, .. } = &mut self.endpoint;
            let action = match self.registrations.poll(*now, config, hunt.home(), buf) {
                Some(Step::Send(to, len)) => Action::Send(to, len),
                Some(Step::Failed(EmitError::BufferTooSmall { needed })) => Action::BufferTooSmall(needed),
                Some(Step::Failed(EmitError::TooLong)) => continue,
                Some(Step::Tell(event)) => {
                    self.events.push(event);
                    return None;
                }
                Some(Step::DropHome) => {
                    let change = self.endpoint.drop_home();
                    self.home_changed(change);
                    if self.events.is_empty() {
                        continue;
                    }
                    // First it is told. What comes next may be a message that does not fit.
                    return None;
                }
                None => return self.endpoint.poll(buf),
            };
            return Some(EndpointStep::Do(action));
        }
    }

    fn home_changed(&mut self, change: HomeChange) {
        let event = match change {
            HomeChange::None => return,
            HomeChange::Found(home) => ElementEvent::HomeFound(home),
            HomeChange::Lost => ElementEvent::HomeLost,
        };
        self.events.push(event);
        self.registrations.home_changed(self.endpoint.now);
    }
}

impl From<Outcome> for ElementEvent {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Resolved(resolution) => ElementEvent::Resolved(resolution),
            Outcome::Unresolved(resolution, why) => ElementEvent::Unresolved(resolution, why),
            Outcome::Updated(resolution) => ElementEvent::Updated(resolution),
        }
    }
}

impl Machine for PoolElement<'_> {
    type Event = ElementEvent;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), RecvError> {
        self.endpoint.advance(now);
        match input {
            Input::Message { assoc, ppid: Ppid::Asap, bytes } => return self.message(assoc, bytes),
            Input::Closed { assoc } => self.registrations.closed(assoc),
            _ => {}
        }
        let change = self.endpoint.handle(input)?;
        if matches!(change, HomeChange::Lost) {
            let Endpoint { hunt, now, rng, .. } = &mut self.endpoint;
            hunt.spread(*now, rng);
        }
        self.home_changed(change);
        Ok(())
    }

    fn poll<'b>(&'b mut self, now: Instant, buf: &'b mut [u8]) -> Output<'b, ElementEvent> {
        self.endpoint.advance(now);
        loop {
            match self.events.pop() {
                Some(Queued::Event(event)) => return Output::Event(event),
                Some(Queued::Lost) => return Output::Event(ElementEvent::EventsLost),
                None => {}
            }
            let step = match self.endpoint.poll_report(buf) {
                Some(action) => Some(EndpointStep::Do(action)),
                None => self.poll_registrations(buf),
            };
            match step {
                Some(EndpointStep::Do(action)) => {
                    if let Action::Disconnect(assoc) = action {
                        // An acknowledgement that waits is of no use any more.
                        self.registrations.closed(assoc);
                    }
                    return self.endpoint.output(action, buf);
                }
                Some(EndpointStep::Tell(outcome)) => self.events.push(outcome.into()),
                Some(EndpointStep::GaveUp(outcome, change)) => {
                    self.events.push(outcome.into());
                    self.home_changed(change);
                }
                // A registration may have told something.
                None if self.events.is_empty() => return Output::Wait(self.next_deadline()),
                None => {}
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        earliest(self.endpoint.deadline(), self.registrations.deadline())
    }
}
