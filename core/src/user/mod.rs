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
use crate::events::{Events, Queued};
use crate::hunt::{Home, Hunt, HuntOutput};
use crate::rand::Rng;
use crate::report::PendingReport;
use crate::scratch::Scratch;
use crate::wire::{AsapMessage, EmitError, PoolElementParam};
use crate::{AssocId, Destination, Input, Instant, Link, Machine, Output, PeId, Ppid, RecvError, Transmit};

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
    config: EndpointConfig,
    now: Instant,
    rng: Rng,
    hunt: Hunt<'s>,
    resolver: Resolver<'s>,
    report: PendingReport<'s>,
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
        Self::build(Cache::lent(resolver), Table::Lent(servers), Scratch::lent(scratch), config, seed, now)
    }

    fn build(
        cache: Cache<'s>,
        servers: Table<'s, crate::hunt::ServerSlot>,
        scratch: Scratch<'s>,
        config: EndpointConfig,
        seed: u64,
        now: Instant,
    ) -> Self {
        PoolUser {
            hunt: Hunt::new(servers, &config),
            resolver: Resolver::new(cache, &config),
            report: PendingReport::new(scratch),
            config,
            now,
            rng: Rng::new(seed),
            events: Events::new(),
        }
    }

    /// A pool user whose memory grows up to `limits`.
    #[cfg(feature = "alloc")]
    pub fn growable(limits: crate::EndpointLimits, config: EndpointConfig, seed: u64, now: Instant) -> Self {
        let servers = Table::Grown(alloc::vec![crate::hunt::ServerSlot::EMPTY; limits.servers as usize]);
        let cache = Cache::growable(limits.pools, limits.cached_elements);
        Self::build(cache, servers, Scratch::growable(), config, seed, now)
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

    /// Resolves a pool handle (Translation.Request, RFC 5352, 6.9.1). `true`: the cache holds a good answer, and
    /// [`PoolUser::primary`] hands out an element at once. Otherwise [`UserEvent::Resolved`] or
    /// [`UserEvent::Unresolved`] follows: at the latest when MAX-REQUEST-RETRANSMIT + 1 requests were not answered, or
    /// when there was no home registrar for as long as these would take (45 s by default).
    ///
    /// # Errors
    /// [`ResolveError::BadHandle`]: the handle is empty or longer than the storage can hold. [`ResolveError::Full`]:
    /// all places for pools are taken by requests under way and subscriptions.
    pub fn resolve(&mut self, now: Instant, pool_handle: &[u8]) -> Result<(Resolution, bool), ResolveError> {
        self.advance(now);
        self.resolver.resolve(self.now, &self.config, pool_handle, false)
    }

    /// Resolves a pool handle and asks for updates when the pool changes ([`UserEvent::Updated`]). Where the registrar
    /// gives none, it is asked again whenever the answer is stale.
    ///
    /// # Errors
    /// Those of [`PoolUser::resolve`].
    pub fn subscribe(&mut self, now: Instant, pool_handle: &[u8]) -> Result<(Resolution, bool), ResolveError> {
        self.advance(now);
        self.resolver.resolve(self.now, &self.config, pool_handle, true)
    }

    /// Ends a subscription. The registrar goes on sending for the life of the association; what it sends is ignored.
    pub fn unsubscribe(&mut self, resolution: Resolution) {
        self.resolver.unsubscribe(self.now, &self.config, resolution);
    }

    /// Forgets a pool and its elements (Cache_Purge_Request, RFC 5352, 6.4). The resolution is void.
    pub fn purge(&mut self, resolution: Resolution) {
        self.resolver.purge(resolution);
    }

    /// Hands out the element that the pool's policy chooses (GETPRIMARYSERVER, RFC 5351, 4.1). Each call chooses anew.
    ///
    /// # Errors
    /// [`SelectError`] says whether to wait for an event, to resolve again, or to give up.
    pub fn primary(&mut self, now: Instant, resolution: Resolution) -> Result<PoolElementParam<'_>, SelectError> {
        self.advance(now);
        self.resolver.select(self.now, &self.config, &mut self.rng, resolution)
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
        self.advance(now);
        self.resolver.report_failure(self.now, resolution, failed)
    }

    /// The elements of a pool that are known, in the registrar's order, whether fresh or not.
    pub fn elements(&self, resolution: Resolution) -> impl Iterator<Item = PoolElementParam<'_>> {
        let cache = self.resolver.cache();
        cache.pool(resolution).into_iter().flat_map(|p| cache.elements_of(p)).filter_map(|e| cache.view(e))
    }

    /// The pool of a handle, if it is in the cache.
    pub fn find(&self, pool_handle: &[u8]) -> Option<Resolution> {
        let cache = self.resolver.cache();
        cache.find(pool_handle).map(|pool| cache.resolution(pool))
    }

    /// Whether a request for a pool is under way, or waits for a home registrar.
    pub fn is_pending(&self, resolution: Resolution) -> bool {
        self.resolver.is_pending(resolution)
    }

    /// What is known of a pool: it has elements, or why not. `None`: no answer has come yet, or the pool is not in the
    /// cache. A stale answer is still one.
    pub fn answer(&self, resolution: Resolution) -> Option<Result<(), Unresolved>> {
        self.resolver.answer(resolution)
    }

    /// The policy type of a pool that was resolved (RFC 5356, 3), as
    /// [`Policy::policy_type`](crate::wire::Policy::policy_type) numbers it.
    pub fn policy_type(&self, resolution: Resolution) -> Option<u32> {
        let cache = self.resolver.cache();
        cache.pool(resolution).map(|pool| cache.pools.at(pool).policy_type).filter(|ty| *ty != 0)
    }

    /// The handle of a pool that is in the cache.
    pub fn pool_handle(&self, resolution: Resolution) -> Option<&[u8]> {
        let cache = self.resolver.cache();
        cache.pool(resolution).map(|pool| cache.handle(pool))
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn message(&mut self, assoc: AssocId, bytes: &[u8]) -> Result<(), RecvError> {
        if self.report.is_pending() {
            return Err(RecvError::Busy);
        }
        if !self.hunt.is_home(assoc) {
            return Err(RecvError::UnknownAssoc);
        }
        let parsed = AsapMessage::parse(bytes).map_err(|error| {
            self.report.parse_error(assoc, bytes, &error);
            RecvError::Malformed(error.kind)
        })?;
        match &parsed.message {
            AsapMessage::HandleResolutionResponse(response) => {
                let outcome = self.resolver.response(self.now, &self.config, assoc, response)?;
                self.tell(outcome);
            }
            AsapMessage::Error(error) => {
                warn!("the registrar reports an error, cause {}", error.error.code().unwrap_or(0));
            }
            _ => return Err(RecvError::Unexpected),
        }
        self.hunt.heard(&self.config);
        self.report.reports(assoc, bytes, &parsed.reports);
        Ok(())
    }

    fn tell(&mut self, outcome: Outcome) {
        self.events.push(match outcome {
            Outcome::Resolved(resolution) => UserEvent::Resolved(resolution),
            Outcome::Unresolved(resolution, why) => UserEvent::Unresolved(resolution, why),
            Outcome::Updated(resolution) => UserEvent::Updated(resolution),
        });
    }

    fn home_lost(&mut self) {
        self.events.push(UserEvent::HomeLost);
        self.resolver.home_changed(self.now, &self.config);
    }

    fn drop_home(&mut self) {
        if self.hunt.home().is_some() {
            self.hunt.drop_home(self.now);
            self.home_lost();
        } else {
            self.hunt.start(self.now);
        }
    }
}

/// A server announcement, if that is what a datagram holds.
pub(crate) fn announcement<'a>(
    ppid: Ppid,
    bytes: &'a [u8],
) -> Result<crate::wire::asap::ServerAnnounce<'a>, RecvError> {
    if ppid != Ppid::Asap {
        return Err(RecvError::Unexpected);
    }
    match AsapMessage::parse(bytes).map_err(|e| RecvError::Malformed(e.kind))?.message {
        AsapMessage::ServerAnnounce(announce) => Ok(announce),
        _ => Err(RecvError::Unexpected),
    }
}

impl Machine for PoolUser<'_> {
    type Event = UserEvent;

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
                if let Some(dial) = dial
                    && self.hunt.connected(assoc, dial)
                {
                    if let Some(home) = self.hunt.home() {
                        self.events.push(UserEvent::HomeFound(home));
                    }
                    self.resolver.home_changed(self.now, &self.config);
                }
                Ok(())
            }
            Input::ConnectFailed { dial } => {
                self.hunt.connect_failed(dial);
                Ok(())
            }
            // RFC 5352, 3.3 and 3.7.1: the hunt starts, and the request is made anew for another registrar.
            Input::SendFailed { assoc } => {
                if self.hunt.is_home(assoc) {
                    self.drop_home();
                }
                Ok(())
            }
            Input::Closed { assoc } => {
                self.report.closed(assoc);
                if self.hunt.closed(self.now, assoc) {
                    self.home_lost();
                }
                Ok(())
            }
        }
    }

    fn poll<'b>(&'b mut self, now: Instant, buf: &'b mut [u8]) -> Output<'b, UserEvent> {
        self.advance(now);
        loop {
            match self.events.pop() {
                Some(Queued::Event(event)) => return Output::Event(event),
                Some(Queued::Lost) => return Output::Event(UserEvent::EventsLost),
                None => {}
            }
            match self.report.emit(buf) {
                Some(Ok((to, len))) => return transmit(to, buf, len),
                Some(Err(EmitError::BufferTooSmall { needed })) => return Output::BufferTooSmall { needed },
                Some(Err(EmitError::TooLong)) | None => {}
            }
            match self.hunt.poll(self.now, &self.config, &mut self.rng) {
                Some(HuntOutput::Connect { dial, link }) => {
                    return Output::Connect { dial, link, ppid: Ppid::Asap, to: self.hunt.targets() };
                }
                Some(HuntOutput::Abandon { dial }) => return Output::Abandon { dial },
                Some(HuntOutput::Disconnect { assoc }) => return Output::Disconnect { assoc },
                None => {}
            }
            let home = self.hunt.home();
            match self.resolver.poll(self.now, &self.config, home.is_some(), buf) {
                Some(Step::Send(len)) => match home {
                    Some(home) => return transmit(home.assoc, buf, len),
                    None => continue,
                },
                Some(Step::Failed(EmitError::BufferTooSmall { needed })) => return Output::BufferTooSmall { needed },
                Some(Step::Failed(EmitError::TooLong)) => {}
                Some(Step::Tell(outcome)) => self.tell(outcome),
                Some(Step::Hunt) => self.hunt.start(self.now),
                Some(Step::GiveUp(outcome)) => {
                    self.tell(outcome);
                    self.drop_home();
                }
                None => return Output::Wait(self.next_deadline()),
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        earliest(self.hunt.deadline(), self.resolver.deadline())
    }
}

pub(crate) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

pub(crate) fn transmit<E>(to: AssocId, buf: &[u8], len: usize) -> Output<'_, E> {
    Output::Transmit(Transmit { to: Destination::Assoc(to), ppid: Ppid::Asap, bytes: buf.get(..len).unwrap_or(&[]) })
}
