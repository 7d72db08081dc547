//! The pool user: resolves pool handles, hands out elements by the pool's policy, reports those that failed
//! (RFC 5352, 3.3, 3.5, 3.6, 6). What it has to handle: RFC 5352, 4.

mod cache;
mod event;
mod resolver;
mod storage;

pub use cache::Resolution;
pub use event::{ResolveError, SelectError, Unresolved, UserEvent};
pub use storage::UserStorage;

pub(crate) use cache::Cache;
pub(crate) use resolver::{Outcome, Resolver, Step};
pub(crate) use storage::ResolverStorage;

use core::net::SocketAddr;

use crate::arena::Table;
use crate::config::EndpointConfig;
use crate::endpoint::{Endpoint, EndpointStep, HomeChange};
use crate::events::{Events, Queued};
use crate::hunt::Home;
use crate::scratch::Scratch;
use crate::wire::{AsapMessage, PoolElementParam};
use crate::{AssocId, Input, Instant, Link, Machine, Output, PeId, Ppid, RecvError};

const EVENTS: usize = 8;

/// A pool user: [`resolve`](PoolUser::resolve) a pool handle, take an element with [`primary`](PoolUser::primary), and
/// the [`next`](PoolUser::next) one when it fails. The server hunt (RFC 5352, 3.6) begins with the first `poll`.
///
/// ```
/// use rserpool_core::{EndpointConfig, Instant, Link, Machine, Output, PoolUser, UserStorage};
///
/// let mut storage = UserStorage::<2, 8>::new();
/// let mut user = PoolUser::new(&mut storage, EndpointConfig::new(), 42, Instant::ZERO);
/// user.add_server(Link::Tcp, &["192.0.2.1:3863".parse().unwrap()]);
/// let (echo, usable) = user.resolve(Instant::ZERO, b"echo").unwrap();
/// assert!(!usable, "an answer has to come first");
///
/// // The drain loop: until `Wait`, do what the machine wants.
/// let mut buf = [0; 1500];
/// match user.poll(Instant::ZERO, &mut buf) {
///     Output::Connect { to, .. } => assert_eq!(to[0].port(), 3863),
///     other => panic!("{other:?}"),
/// }
/// # let _ = echo;
/// ```
pub struct PoolUser<'s> {
    endpoint: Endpoint<'s>,
    events: Events<UserEvent, EVENTS>,
}

impl<'s> PoolUser<'s> {
    /// A pool user in the caller's memory. The same seed, and the same inputs, give the same outputs; take it from a
    /// source of entropy.
    pub fn new<
        const POOLS: usize,
        const ELEMENTS: usize,
        const SERVERS: usize,
        const HANDLE: usize,
        const DATA: usize,
    >(
        storage: &'s mut UserStorage<POOLS, ELEMENTS, SERVERS, HANDLE, DATA>,
        config: EndpointConfig,
        seed: u64,
        now: Instant,
    ) -> Self {
        let UserStorage { resolver, servers, scratch } = storage;
        let (servers, cache, scratch) = (Table::Lent(servers), Cache::lent(resolver), Scratch::lent(scratch));
        PoolUser { endpoint: Endpoint::new(servers, cache, scratch, config, seed, now), events: Events::new() }
    }

    /// A pool user whose memory grows up to `limits`.
    #[cfg(feature = "alloc")]
    pub fn growable(limits: crate::EndpointLimits, config: EndpointConfig, seed: u64, now: Instant) -> Self {
        PoolUser { endpoint: Endpoint::growable(&limits, config, seed, now), events: Events::new() }
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

    /// Resolves a pool handle (Translation.Request, RFC 5352, 6.9.1). `true`: the cache holds a good answer, and
    /// [`PoolUser::primary`] hands out an element at once. Otherwise [`UserEvent::Resolved`] or
    /// [`UserEvent::Unresolved`] follows: at the latest when MAX-REQUEST-RETRANSMIT + 1 requests were not answered, or
    /// when there was no home registrar for as long as these would take (45 s by default).
    ///
    /// # Errors
    /// [`ResolveError::BadHandle`]: the handle is empty or longer than the storage can hold. [`ResolveError::Full`]:
    /// all places for pools are taken by requests under way and subscriptions.
    pub fn resolve(&mut self, now: Instant, pool_handle: &[u8]) -> Result<(Resolution, bool), ResolveError> {
        self.endpoint.advance(now);
        self.endpoint.resolver.resolve(self.endpoint.now, &self.endpoint.config, pool_handle, false)
    }

    /// Resolves a pool handle and asks for updates when the pool changes ([`UserEvent::Updated`]). Where the registrar
    /// gives none, it is asked again whenever the answer is stale.
    ///
    /// # Errors
    /// Those of [`PoolUser::resolve`].
    pub fn subscribe(&mut self, now: Instant, pool_handle: &[u8]) -> Result<(Resolution, bool), ResolveError> {
        self.endpoint.advance(now);
        self.endpoint.resolver.resolve(self.endpoint.now, &self.endpoint.config, pool_handle, true)
    }

    /// Ends a subscription. The registrar goes on sending for the life of the association; what it sends is ignored.
    pub fn unsubscribe(&mut self, resolution: Resolution) {
        self.endpoint.resolver.unsubscribe(self.endpoint.now, &self.endpoint.config, resolution);
    }

    /// Forgets a pool and its elements (Cache_Purge_Request, RFC 5352, 6.4). The resolution is void.
    pub fn purge(&mut self, resolution: Resolution) {
        self.endpoint.resolver.purge(resolution);
    }

    /// Hands out the element that the pool's policy chooses (GETPRIMARYSERVER, RFC 5351, 4.1). Each call chooses anew.
    ///
    /// # Errors
    /// [`SelectError`] says whether to wait for an event, to resolve again, or to give up.
    pub fn primary(&mut self, now: Instant, resolution: Resolution) -> Result<PoolElementParam<'_>, SelectError> {
        self.endpoint.advance(now);
        self.endpoint.resolver.select(self.endpoint.now, &self.endpoint.config, &mut self.endpoint.rng, resolution)
    }

    /// Reports an element that failed, as [`PoolUser::report_failure`] does, and hands out the next best
    /// (GETNEXTSERVER, RFC 5351, 4.1).
    ///
    /// # Errors
    /// [`SelectError::Exhausted`] when all have failed; otherwise as for [`PoolUser::primary`].
    pub fn next(
        &mut self,
        now: Instant,
        resolution: Resolution,
        failed: PeId,
    ) -> Result<PoolElementParam<'_>, SelectError> {
        self.report_failure(now, resolution, failed);
        self.primary(now, resolution)
    }

    /// Reports an element that failed (Transport.Failure, RFC 5352, 6.9.2), and passes it over until the registrar
    /// names it again. Says whether a report is sent to the registrar (Endpoint Unreachable, 2.2.7 and 3.5): only for
    /// an element that was handed out, and once each time.
    pub fn report_failure(&mut self, now: Instant, resolution: Resolution, failed: PeId) -> bool {
        self.endpoint.advance(now);
        self.endpoint.resolver.report_failure(self.endpoint.now, resolution, failed)
    }

    /// The elements of a pool that are known, in the registrar's order, whether fresh or not.
    pub fn elements(&self, resolution: Resolution) -> impl Iterator<Item = PoolElementParam<'_>> {
        let cache = self.endpoint.resolver.cache();
        cache.pool(resolution).into_iter().flat_map(|p| cache.elements_of(p)).filter_map(|e| cache.view(e))
    }

    /// The pool of a handle, if it is in the cache.
    pub fn find(&self, pool_handle: &[u8]) -> Option<Resolution> {
        let cache = self.endpoint.resolver.cache();
        cache.find(pool_handle).map(|pool| cache.resolution(pool))
    }

    /// Whether a request for a pool is under way, or waits for a home registrar.
    pub fn is_pending(&self, resolution: Resolution) -> bool {
        self.endpoint.resolver.is_pending(resolution)
    }

    /// What is known of a pool: it has elements, or why not. `None`: no answer has come yet, or the pool is not in the
    /// cache. A stale answer is still one.
    pub fn answer(&self, resolution: Resolution) -> Option<Result<(), Unresolved>> {
        self.endpoint.resolver.answer(resolution)
    }

    /// The policy type of a pool that was resolved (RFC 5356, 3), as
    /// [`Policy::policy_type`](crate::wire::Policy::policy_type) numbers it.
    pub fn policy_type(&self, resolution: Resolution) -> Option<u32> {
        let cache = self.endpoint.resolver.cache();
        cache.pool(resolution).map(|pool| cache.pools.at(pool).policy_type).filter(|ty| *ty != 0)
    }

    /// The handle of a pool that is in the cache.
    pub fn pool_handle(&self, resolution: Resolution) -> Option<&[u8]> {
        let cache = self.endpoint.resolver.cache();
        cache.pool(resolution).map(|pool| cache.handle(pool))
    }

    fn message(&mut self, assoc: AssocId, bytes: &[u8]) -> Result<(), RecvError> {
        let parsed = self.endpoint.parse(assoc, bytes)?;
        if !self.endpoint.hunt.is_home(assoc) {
            return Err(RecvError::UnknownAssoc);
        }
        match &parsed.message {
            AsapMessage::HandleResolutionResponse(response) => {
                let Endpoint { resolver, now, config, .. } = &mut self.endpoint;
                let outcome = resolver.response(*now, config, assoc, response)?;
                self.events.push(outcome.into());
            }
            AsapMessage::Error(error) => {
                info!("the registrar reports an error, cause {}", error.error.code().unwrap_or(0));
            }
            _ => return Err(RecvError::Unexpected),
        }
        self.endpoint.processed(assoc, bytes, &parsed);
        Ok(())
    }

    fn home_changed(&mut self, change: HomeChange) {
        match change {
            HomeChange::None => {}
            HomeChange::Found(home) => self.events.push(UserEvent::HomeFound(home)),
            HomeChange::Lost => self.events.push(UserEvent::HomeLost),
        }
    }
}

impl From<Outcome> for UserEvent {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Resolved(resolution) => UserEvent::Resolved(resolution),
            Outcome::Unresolved(resolution, why) => UserEvent::Unresolved(resolution, why),
            Outcome::Updated(resolution) => UserEvent::Updated(resolution),
        }
    }
}

impl Machine for PoolUser<'_> {
    type Event = UserEvent;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), RecvError> {
        self.endpoint.advance(now);
        if let Input::Message { assoc, ppid: Ppid::Asap, bytes } = input {
            return self.message(assoc, bytes);
        }
        let change = self.endpoint.handle(input)?;
        self.home_changed(change);
        Ok(())
    }

    fn poll<'b>(&'b mut self, now: Instant, buf: &'b mut [u8]) -> Output<'b, UserEvent> {
        self.endpoint.advance(now);
        loop {
            match self.events.pop() {
                Some(Queued::Event(event)) => return Output::Event(event),
                Some(Queued::Lost) => return Output::Event(UserEvent::EventsLost),
                None => {}
            }
            let step = match self.endpoint.poll_report(buf) {
                Some(action) => Some(EndpointStep::Do(action)),
                None => self.endpoint.poll(buf),
            };
            match step {
                Some(EndpointStep::Do(action)) => return self.endpoint.output(action, buf),
                Some(EndpointStep::Tell(outcome)) => self.events.push(outcome.into()),
                Some(EndpointStep::GaveUp(outcome, change)) => {
                    self.events.push(outcome.into());
                    self.home_changed(change);
                }
                None => return Output::Wait(self.next_deadline()),
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.endpoint.deadline()
    }
}
