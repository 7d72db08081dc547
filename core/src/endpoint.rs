//! What a pool element and a pool user have in common: both are ASAP endpoints with a home registrar, and both resolve
//! pool handles.

use crate::arena::Table;
use crate::config::EndpointConfig;
use crate::hunt::{Home, Hunt, HuntOutput};
use crate::rand::Rng;
use crate::rate::Limiter;
use crate::report::PendingReport;
use crate::scratch::Scratch;
use crate::servers::{ServerSlot, Servers};
use crate::user::{Cache, Outcome, Resolver, Step};
use crate::wire::asap::ServerAnnounce;
use crate::wire::{AsapMessage, EmitError, Parsed};
use crate::{AssocId, Destination, DialId, Input, Instant, Link, Output, Ppid, RecvError, ServerId, Transmit};

pub(crate) struct Endpoint<'s> {
    pub(crate) config: EndpointConfig,
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    pub(crate) hunt: Hunt<'s>,
    pub(crate) resolver: Resolver<'s>,
    report: PendingReport<'s>,
    reports: Limiter,
}

/// What became of the home registrar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HomeChange {
    None,
    Found(Home),
    Lost,
}

/// What the endpoint wants done.
pub(crate) enum EndpointStep {
    Do(Action),
    Tell(Outcome),
    /// A request was given up, and the home that did not answer with it.
    GaveUp(Outcome, HomeChange),
}

/// What the adapter has to do.
pub(crate) enum Action {
    /// This many bytes of the buffer are a message to this association.
    Send(AssocId, usize),
    BufferTooSmall(usize),
    /// To the addresses that the hunt keeps.
    Connect(DialId, Link),
    Abandon(DialId),
    Disconnect(AssocId),
}

impl<'s> Endpoint<'s> {
    pub(crate) fn new(
        servers: Table<'s, ServerSlot>,
        cache: Cache<'s>,
        scratch: Scratch<'s>,
        config: EndpointConfig,
        seed: u64,
        now: Instant,
    ) -> Self {
        Endpoint {
            hunt: Hunt::new(Servers::new(servers), &config),
            resolver: Resolver::new(cache, &config),
            report: PendingReport::new(scratch),
            reports: Limiter::FULL,
            config,
            now,
            rng: Rng::new(seed),
        }
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn growable(limits: &crate::EndpointLimits, config: EndpointConfig, seed: u64, now: Instant) -> Self {
        let servers = Table::Grown(alloc::vec![ServerSlot::EMPTY; limits.servers as usize]);
        let cache = Cache::growable(limits.pools, limits.cached_elements);
        Self::new(servers, cache, Scratch::growable(), config, seed, now)
    }

    /// A time earlier than one seen before is taken as that one.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Reads a message; what is wrong with it is reported to the peer where the RFC wants that.
    pub(crate) fn parse<'a>(
        &mut self,
        assoc: AssocId,
        bytes: &'a [u8],
    ) -> Result<Parsed<'a, AsapMessage<'a>>, RecvError> {
        if self.report.is_pending() {
            return Err(RecvError::Busy);
        }
        AsapMessage::parse(bytes).map_err(|error| {
            self.report.parse_error(Ppid::Asap, assoc, bytes, &error);
            self.limit_report();
            RecvError::Malformed(error.kind)
        })
    }

    /// A message was processed: its sender lives, and hears of what was skipped in it.
    pub(crate) fn processed(&mut self, assoc: AssocId, bytes: &[u8], parsed: &Parsed<'_, AsapMessage<'_>>) {
        if self.hunt.is_home(assoc) {
            self.hunt.heard(self.now);
        }
        self.report.reports(Ppid::Asap, assoc, bytes, &parsed.reports);
        self.limit_report();
    }

    /// The report that has just been taken up is dropped where there were too many.
    fn limit_report(&mut self) {
        if let Some((to, _)) = self.report.pending()
            && !self.reports.admits(self.config.rates.errors, self.now)
        {
            self.report.closed(to);
        }
    }

    /// Takes any input but a message.
    pub(crate) fn handle(&mut self, input: Input<'_>) -> Result<HomeChange, RecvError> {
        match input {
            Input::Timeout => {}
            Input::Message { .. } => return Err(RecvError::Unexpected),
            Input::Datagram { from, ppid, bytes } => {
                let announce = announcement(ppid, bytes)?;
                self.hunt.announced(self.now, &self.config, from, &announce);
            }
            Input::Connected { assoc, dial: Some(dial), .. } => {
                if self.hunt.connected(assoc, dial) {
                    self.resolver.home_changed(self.now, &self.config);
                    return Ok(self.hunt.home().map_or(HomeChange::None, HomeChange::Found));
                }
            }
            // A registrar that wants to know whether we live.
            Input::Connected { dial: None, .. } => {}
            Input::ConnectFailed { dial } => self.hunt.connect_failed(dial),
            // RFC 5352, 3.1, 3.3 and 3.7.1: a SEND.FAILURE starts the hunt; the message is made anew for another
            // registrar.
            Input::SendFailed { assoc } => {
                if self.hunt.is_home(assoc) {
                    return Ok(self.drop_home());
                }
            }
            Input::Closed { assoc } => {
                self.report.closed(assoc);
                if self.hunt.closed(self.now, assoc) {
                    self.resolver.home_changed(self.now, &self.config);
                    return Ok(HomeChange::Lost);
                }
            }
        }
        Ok(HomeChange::None)
    }

    /// The home does not answer: another one is looked for.
    pub(crate) fn drop_home(&mut self) -> HomeChange {
        if self.hunt.home().is_none() {
            self.hunt.start(self.now);
            return HomeChange::None;
        }
        self.hunt.drop_home(self.now);
        self.resolver.home_changed(self.now, &self.config);
        HomeChange::Lost
    }

    /// A report that waits to be sent.
    pub(crate) fn poll_report(&mut self, buf: &mut [u8]) -> Option<Action> {
        match self.report.emit(ServerId::NONE, ServerId::NONE, buf)? {
            Ok((to, len)) => Some(Action::Send(to, len)),
            Err(EmitError::BufferTooSmall { needed }) => Some(Action::BufferTooSmall(needed)),
            Err(EmitError::TooLong) => None,
        }
    }

    /// The next step of the hunt or of a resolution.
    pub(crate) fn poll(&mut self, buf: &mut [u8]) -> Option<EndpointStep> {
        loop {
            match self.hunt.poll(self.now, &self.config, &mut self.rng) {
                Some(HuntOutput::Connect { dial, link }) => {
                    return Some(EndpointStep::Do(Action::Connect(dial, link)));
                }
                Some(HuntOutput::Abandon { dial }) => return Some(EndpointStep::Do(Action::Abandon(dial))),
                Some(HuntOutput::Disconnect { assoc }) => return Some(EndpointStep::Do(Action::Disconnect(assoc))),
                None => {}
            }
            let home = self.hunt.home();
            return Some(match self.resolver.poll(self.now, &self.config, home.is_some(), buf)? {
                Step::Send(len) => match home {
                    Some(home) => EndpointStep::Do(Action::Send(home.assoc, len)),
                    None => continue,
                },
                Step::Failed(EmitError::BufferTooSmall { needed }) => EndpointStep::Do(Action::BufferTooSmall(needed)),
                Step::Failed(EmitError::TooLong) => continue,
                Step::Tell(outcome) => EndpointStep::Tell(outcome),
                Step::Hunt => {
                    self.hunt.start(self.now);
                    continue;
                }
                Step::GiveUp(outcome) => EndpointStep::GaveUp(outcome, self.drop_home()),
            });
        }
    }

    /// An action as the adapter hears of it.
    pub(crate) fn output<'b, E>(&'b self, action: Action, buf: &'b [u8]) -> Output<'b, E> {
        match action {
            Action::Send(to, len) => transmit(to, buf, len),
            Action::BufferTooSmall(needed) => Output::BufferTooSmall { needed },
            Action::Connect(dial, link) => Output::Connect { dial, link, ppid: Ppid::Asap, to: self.hunt.targets() },
            Action::Abandon(dial) => Output::Abandon { dial },
            Action::Disconnect(assoc) => Output::Disconnect { assoc },
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        earliest(self.hunt.deadline(), self.resolver.deadline())
    }
}

/// A server announcement, if that is what a datagram holds.
pub(crate) fn announcement(ppid: Ppid, bytes: &[u8]) -> Result<ServerAnnounce<'_>, RecvError> {
    if ppid != Ppid::Asap {
        return Err(RecvError::Unexpected);
    }
    match AsapMessage::parse(bytes).map_err(|e| RecvError::Malformed(e.kind))?.message {
        AsapMessage::ServerAnnounce(announce) => Ok(announce),
        _ => Err(RecvError::Unexpected),
    }
}

pub(crate) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The first `len` bytes of the buffer are an ASAP message.
pub(crate) fn transmit<E>(to: AssocId, buf: &[u8], len: usize) -> Output<'_, E> {
    Output::Transmit(Transmit { to: Destination::Assoc(to), ppid: Ppid::Asap, bytes: buf.get(..len).unwrap_or(&[]) })
}
