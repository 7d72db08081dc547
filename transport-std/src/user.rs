//! A pool user with calls that block.

use std::io::{Error as IoError, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rserpool_core::{PeId, PoolUser as Machine, Resolution, ResolveError, SelectError, Unresolved, UserEvent};

use crate::driver::{Driver, DriverHandle};
use crate::error::Error;
use crate::member::Member;
use crate::options::EndpointOptions;
use crate::signal::{Signal, deadline};
use crate::stream::{PoolStream, ServiceStream};

/// How long a watch of a pool that does not exist waits until it asks again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long to wait before an element is tried that could not be reached a moment ago. Registrars name it again until
/// they have found out themselves.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// A pool user: finds elements of pools, hands them out by the pools' policies, and reports those that failed.
///
/// One for a whole program is enough: it can be shared between threads, and keeps one association to its home
/// registrar.
///
/// ```no_run
/// use std::io::{Read, Write};
/// use rserpool_std::{EndpointOptions, PoolUser};
///
/// let user = PoolUser::new(EndpointOptions::with_registrar("registrar.example")?)?;
/// let mut stream = user.connect("echo")?;
/// stream.write_all(b"hello\n")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PoolUser {
    driver: Driver<Machine<'static>>,
    signal: Arc<Signal>,
    timeout: Duration,
    connect_timeout: Duration,
}

impl PoolUser {
    /// Starts a pool user in a thread of its own.
    ///
    /// # Errors
    /// A multicast channel could not be opened, or the system gives no thread or no randomness.
    pub fn new(options: EndpointOptions) -> Result<Self, Error> {
        let bound = Driver::bind(options.driver_config("rserpool-user"))?;
        let now = bound.clock().now();
        let mut machine = Machine::growable(options.limits, options.asap(), crate::seed::seed()?, now);
        for registrar in &options.registrars {
            machine.add_server(options.link, registrar);
        }
        let signal = Arc::new(Signal::default());
        let raised = Arc::clone(&signal);
        let driver = bound.spawn(machine, move |event, _, _| {
            log_event(event);
            raised.raise();
        })?;
        Ok(PoolUser { driver, signal, timeout: options.timeout, connect_timeout: options.connect_timeout })
    }

    fn handle(&self) -> DriverHandle<Machine<'static>> {
        self.driver.handle()
    }

    /// Access to the machine itself, for what these calls do not offer.
    #[must_use]
    pub fn driver(&self) -> &Driver<Machine<'static>> {
        &self.driver
    }

    /// Calls `ask` on the machine until it gives something, between its events.
    fn wait_for<R: Send + 'static>(
        &self,
        waited_for: &'static str,
        ask: impl Fn(&mut Machine<'static>, rserpool_core::Instant) -> Option<R> + Clone + Send + 'static,
    ) -> Result<R, Error> {
        let deadline = deadline(self.timeout);
        loop {
            let seen = self.signal.count();
            let asked = ask.clone();
            if let Some(result) = self.handle().with(move |machine, now| asked(machine, now))? {
                return Ok(result);
            }
            if !self.signal.wait(seen, deadline) {
                return Err(Error::TimedOut { waited_for });
            }
        }
    }

    fn begin(&self, pool: Vec<u8>) -> Result<Resolution, Error> {
        let resolution = self.handle().with(move |machine, now| machine.resolve(now, &pool))?;
        resolution.map(|(resolution, _)| resolution).map_err(Error::Resolve)
    }

    /// The elements of a pool, in the registrar's order: from the cache while it is fresh, else from the registrar.
    ///
    /// # Errors
    /// There is no such pool, or no registrar answers.
    pub fn resolve(&self, pool: impl AsRef<[u8]>) -> Result<Vec<Member>, Error> {
        let resolution = self.begin(pool.as_ref().to_vec())?;
        let answer = self.wait_for("a handle resolution", move |machine, _| {
            let answered = !machine.is_pending(resolution);
            answered.then(|| machine.answer(resolution).map(|answer| answer.map(|()| members(machine, resolution))))
        })?;
        answer.unwrap_or(Err(Unresolved::NoAnswer)).map_err(Error::Unresolved)
    }

    /// The element that the pool's policy chooses (GETPRIMARYSERVER, RFC 5351, 4.1).
    ///
    /// # Errors
    /// There is no such pool, no registrar answers, or no element is usable.
    pub fn primary(&self, pool: impl AsRef<[u8]>) -> Result<Member, Error> {
        self.select(pool.as_ref().to_vec(), None)
    }

    /// Reports that an element failed, and gives the next best (GETNEXTSERVER, RFC 5351, 4.1).
    ///
    /// # Errors
    /// As [`PoolUser::primary`].
    pub fn next(&self, pool: impl AsRef<[u8]>, failed: PeId) -> Result<Member, Error> {
        self.select(pool.as_ref().to_vec(), Some(failed))
    }

    fn select(&self, pool: Vec<u8>, failed: Option<PeId>) -> Result<Member, Error> {
        if let Some(failed) = failed {
            self.report_failure(&pool, failed)?;
        }
        let resolution = self.begin(pool)?;
        self.wait_for("a pool element", move |machine, now| match machine.primary(now, resolution) {
            Ok(element) => Some(Ok(Member::new(&element))),
            Err(SelectError::Refused(code)) => Some(Err(Error::Unresolved(Unresolved::Refused(code)))),
            Err(SelectError::NoAnswer) => Some(Err(Error::Unresolved(Unresolved::NoAnswer))),
            // The cache has made room for other pools meanwhile.
            Err(SelectError::Unknown) => Some(Err(Error::Resolve(ResolveError::Full))),
            Err(SelectError::Pending | SelectError::Exhausted) => None,
        })?
    }

    /// Reports that an element failed (Transport.Failure, RFC 5352, 6.9.2). `false`: it was not handed out before, or
    /// has been reported already.
    ///
    /// # Errors
    /// The driver has ended.
    pub fn report_failure(&self, pool: impl AsRef<[u8]>, failed: PeId) -> Result<bool, Error> {
        let pool: Vec<u8> = pool.as_ref().to_vec();
        Ok(self.handle().with(move |machine, now| {
            machine.find(&pool).is_some_and(|resolution| machine.report_failure(now, resolution, failed))
        })?)
    }

    /// Connects to an element of a pool of TCP or SCTP services. One that does not accept is reported, and the next is
    /// tried.
    ///
    /// # Errors
    /// There is no such pool, its services have no connections or this system has no SCTP, no registrar answers, or no
    /// element accepts a connection in time.
    pub fn connect(&self, pool: impl AsRef<[u8]>) -> Result<PoolStream<'_>, Error> {
        PoolStream::new(self, pool.as_ref().to_vec())
    }

    /// Connects to the next best element, after one that has failed or to the first.
    pub(crate) fn open(&self, pool: &[u8], mut failed: Option<PeId>) -> Result<(ServiceStream, Member), Error> {
        let deadline = deadline(self.timeout);
        let (mut tried, mut last) = (Vec::new(), None);
        loop {
            let member = match self.select(pool.to_vec(), failed.take()) {
                Ok(member) => member,
                Err(Error::TimedOut { .. }) if !tried.is_empty() => {
                    return Err(Error::NoElement { tried: tried.len(), last });
                }
                Err(error) => return Err(error),
            };
            if tried.contains(&member.id()) {
                std::thread::sleep(TRY_AGAIN);
            }
            let service = member.parameter().ok_or_else(|| IoError::from(ErrorKind::InvalidData))?.user_transport;
            match ServiceStream::connect(&service, self.connect_timeout) {
                Ok(stream) => return Ok((stream, member)),
                // That is not the element's failure.
                Err(error) if error.kind() == ErrorKind::Unsupported => return Err(error.into()),
                Err(error) => {
                    let (element, addresses) = (member.id(), member.addresses());
                    tracing::warn!(%element, ?addresses, %error, "a pool element cannot be reached");
                    last = Some(error);
                }
            }
            tried.push(member.id());
            failed = Some(member.id());
            if Instant::now() >= deadline {
                self.report_failure(pool, member.id())?;
                return Err(Error::NoElement { tried: tried.len(), last });
            }
        }
    }

    /// Follows a pool: its elements now, and again whenever the registrar tells of a change (RFC 5352, 2.2.5).
    ///
    /// # Errors
    /// The pool handle is empty or too long.
    pub fn watch(&self, pool: impl AsRef<[u8]>) -> Result<PoolWatch<'_>, Error> {
        let pool: Vec<u8> = pool.as_ref().to_vec();
        let subscribed = pool.clone();
        let resolution = self.handle().with(move |machine, now| machine.subscribe(now, &subscribed))?;
        let (resolution, _) = resolution.map_err(Error::Resolve)?;
        Ok(PoolWatch { user: self, pool, resolution, last: None, ask_at: Instant::now() + ASK_AGAIN })
    }
}

fn members(machine: &Machine<'static>, resolution: Resolution) -> Vec<Member> {
    machine.elements(resolution).map(|element| Member::new(&element)).collect()
}

fn log_event(event: UserEvent) {
    match event {
        UserEvent::HomeFound(home) => tracing::info!(assoc = %home.assoc, "home registrar found"),
        UserEvent::HomeLost => tracing::info!("home registrar lost"),
        UserEvent::EventsLost => tracing::warn!("events were lost"),
        other => tracing::debug!(event = ?other),
    }
}

/// Follows a pool: see [`PoolUser::watch`]. The subscription ends when it is dropped.
#[derive(Debug)]
pub struct PoolWatch<'u> {
    user: &'u PoolUser,
    pool: Vec<u8>,
    resolution: Resolution,
    last: Option<Result<Vec<Member>, Unresolved>>,
    /// When to ask again for a pool that does not exist.
    ask_at: Instant,
}

impl PoolWatch<'_> {
    /// The pool's elements, or why there are none, as soon as that differs from what was given last. `None`: nothing
    /// has changed in this time.
    ///
    /// Registrars tell of changes of pools that exist. For one that does not, or not any more, they are asked again
    /// every second.
    ///
    /// # Errors
    /// The driver has ended.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<Result<Vec<Member>, Unresolved>>, Error> {
        let deadline = deadline(timeout);
        loop {
            let seen = self.user.signal.count();
            let resolution = self.resolution;
            let current = self.user.handle().with(move |machine, _| {
                let answer = machine.answer(resolution)?;
                Some(answer.map(|()| members(machine, resolution)))
            })?;
            let missing = matches!(current, Some(Err(_)));
            if let Some(current) = current
                && self.last.as_ref() != Some(&current)
            {
                self.last = Some(current.clone());
                return Ok(Some(current));
            }
            let until = if missing { deadline.min(self.ask_at) } else { deadline };
            if self.user.signal.wait(seen, until) {
                continue;
            }
            let now = Instant::now();
            if missing && now >= self.ask_at {
                self.ask_at = now + ASK_AGAIN;
                self.ask()?;
            }
            if now >= deadline {
                return Ok(None);
            }
        }
    }

    fn ask(&mut self) -> Result<(), Error> {
        let pool = self.pool.clone();
        // If there is no room to ask now, there may be later.
        if let Ok((resolution, _)) = self.user.handle().with(move |machine, now| machine.subscribe(now, &pool))? {
            self.resolution = resolution;
        }
        Ok(())
    }
}

impl Drop for PoolWatch<'_> {
    fn drop(&mut self) {
        let resolution = self.resolution;
        // If the driver has ended, so has the subscription.
        let _ = self.user.handle().post(move |machine, _| machine.unsubscribe(resolution));
    }
}
