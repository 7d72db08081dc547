//! The registrar (ENRP server): its ASAP side, which pool elements and pool users talk to
//! (RFC 5352; what it has to handle: RFC 5352, 4).
//!
//! What registrars tell each other by ENRP (RFC 5353, 3) is not here yet; a registrar stands alone.

mod announce;
mod assoc;
mod config;
mod event;
mod keep_alive;
mod registration;
mod reply;
mod resolution;
mod stats;
mod storage;
mod subscription;

pub use config::{MAX_ANNOUNCED, RegistrarConfig};
pub use event::{RegistrarEvent, RemovalReason};
pub use stats::RegistrarStats;
#[cfg(feature = "alloc")]
pub use storage::RegistrarLimits;
pub use storage::RegistrarStorage;

use core::net::SocketAddr;

use announce::Announcer;
use arrayvec::ArrayVec;
use assoc::Assocs;
use reply::Reply;
use subscription::Subscriptions;

use crate::endpoint::{announcement, earliest, transmit};
use crate::events::{Events, Queued};
use crate::handlespace::Handlespace;
use crate::rand::Rng;
use crate::report::PendingReport;
use crate::scratch::Scratch;
use crate::wire::{AsapMessage, EmitError};
use crate::{AssocId, Destination, Input, Instant, Link, Machine, Output, Ppid, RecvError, ServerId, Transmit};

const EVENTS: usize = 16;
/// How many associations can wait to be closed since there is no place for them.
const MAX_REFUSED: usize = 8;

/// A registrar: nobody calls it but its adapter, with what pool elements and pool users send.
///
/// It dials nobody. An association that it has no place for is answered with [`RecvError::Full`] and an
/// [`Output::Disconnect`].
///
/// ```
/// use rserpool_core::{Instant, Machine, Output, Registrar, RegistrarConfig, RegistrarStorage};
///
/// let mut storage = RegistrarStorage::<8, 32, 1>::new();
/// let mut registrar = Registrar::new(&mut storage, RegistrarConfig::new(), 42, Instant::ZERO);
/// let mut buf = [0; 1500];
/// assert!(matches!(registrar.poll(Instant::ZERO, &mut buf), Output::Wait(None)));
/// ```
pub struct Registrar<'s> {
    config: RegistrarConfig,
    id: ServerId,
    now: Instant,
    rng: Rng,
    handlespace: Handlespace<'s>,
    assocs: Assocs<'s>,
    subscriptions: Subscriptions<'s>,
    updates_due: Option<Instant>,
    announcer: Announcer,
    reply: Option<Reply>,
    /// The pool handle that the reply repeats.
    echo: Scratch<'s>,
    /// The parameter that a refusal shows.
    offending: Scratch<'s>,
    report: PendingReport<'s>,
    refused: ArrayVec<AssocId, MAX_REFUSED>,
    events: Events<RegistrarEvent, EVENTS>,
    stats: RegistrarStats,
}

impl<'s> Registrar<'s> {
    /// A registrar in the caller's memory. The same seed, and the same inputs, give the same outputs; take it from a
    /// source of entropy.
    pub fn new<
        const POOLS: usize,
        const ELEMENTS: usize,
        const PEERS: usize,
        const ASSOCS: usize,
        const SUBSCRIPTIONS: usize,
        const HANDLE: usize,
        const DATA: usize,
    >(
        storage: &'s mut RegistrarStorage<POOLS, ELEMENTS, PEERS, ASSOCS, SUBSCRIPTIONS, HANDLE, DATA>,
        config: RegistrarConfig,
        seed: u64,
        now: Instant,
    ) -> Self {
        let RegistrarStorage { handlespace, assocs, subscriptions, subscribed, echo, offending, report } = storage;
        let mut rng = Rng::new(seed);
        let handlespace = Handlespace::new(handlespace, rng.next_u64());
        Self::build(
            handlespace,
            Assocs::lent(assocs),
            Subscriptions::lent(subscriptions, subscribed),
            Scratch::lent(echo),
            Scratch::lent(offending),
            Scratch::lent(report),
            config,
            rng,
            now,
        )
    }

    /// A registrar whose memory grows up to `limits`.
    #[cfg(feature = "alloc")]
    pub fn growable(limits: RegistrarLimits, config: RegistrarConfig, seed: u64, now: Instant) -> Self {
        let mut rng = Rng::new(seed);
        let handlespace = Handlespace::growable(
            crate::handlespace::Limits {
                pools: limits.pools,
                elements: limits.elements,
                owners: limits.peers,
                handle_len: limits.handle_len,
                selection: usize::try_from(config.max_items).unwrap_or(usize::MAX),
            },
            rng.next_u64(),
        );
        Self::build(
            handlespace,
            Assocs::growable(limits.associations),
            Subscriptions::growable(limits.subscriptions),
            Scratch::growable(),
            Scratch::growable(),
            Scratch::growable(),
            config,
            rng,
            now,
        )
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of two kinds of memory")]
    fn build(
        handlespace: Handlespace<'s>,
        assocs: Assocs<'s>,
        subscriptions: Subscriptions<'s>,
        echo: Scratch<'s>,
        offending: Scratch<'s>,
        report: Scratch<'s>,
        config: RegistrarConfig,
        mut rng: Rng,
        now: Instant,
    ) -> Self {
        // RFC 5353, 2.1 and 3.2.1: a random number that is not zero, for the registrar's lifetime.
        let id = if config.id.is_none() { ServerId(rng.nonzero_u32()) } else { config.id };
        Registrar {
            id,
            now,
            rng,
            handlespace,
            assocs,
            subscriptions,
            updates_due: None,
            announcer: Announcer::new(&config, now),
            reply: None,
            echo,
            offending,
            report: PendingReport::new(report),
            refused: ArrayVec::new_const(),
            events: Events::new(),
            stats: RegistrarStats::default(),
            config,
        }
    }

    /// The registrar's identifier.
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// The handlespace, to look at.
    pub fn handlespace(&self) -> &Handlespace<'s> {
        &self.handlespace
    }

    /// What has been counted since the start.
    pub fn stats(&self) -> RegistrarStats {
        self.stats
    }

    /// How many subscriptions (RFC 5352, 2.2.5, S bit) there are, of all associations together.
    pub fn subscriptions(&self) -> u32 {
        self.subscriptions.count()
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn message(&mut self, assoc: AssocId, bytes: &[u8]) -> Result<(), RecvError> {
        if self.reply.is_some() || self.report.is_pending() {
            return Err(RecvError::Busy);
        }
        if self.assocs.get(assoc).is_none() {
            return Err(RecvError::UnknownAssoc);
        }
        let parsed = match AsapMessage::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                if !self.unusable_registration(assoc, bytes, &error) {
                    self.report.parse_error(assoc, bytes, &error);
                }
                return Err(RecvError::Malformed(error.kind));
            }
        };
        let done = match &parsed.message {
            AsapMessage::HandleResolution(message) => self.resolution(assoc, message),
            AsapMessage::Registration(message) => self.registration(assoc, message),
            AsapMessage::Deregistration(message) => self.deregistration(assoc, message),
            AsapMessage::EndpointKeepAliveAck(message) => self.keep_alive_ack(assoc, message),
            AsapMessage::EndpointUnreachable(message) => self.unreachable(message),
            AsapMessage::Error(error) => {
                warn!("a peer reports an error, cause {}", error.error.code().unwrap_or(0));
                Ok(())
            }
            _ => Err(RecvError::Unexpected),
        };
        if !self.report.is_pending() {
            self.report.reports(assoc, bytes, &parsed.reports);
        }
        done
    }

    fn count_error(&mut self, error: RecvError) {
        let counter = match error {
            RecvError::Malformed(_) => &mut self.stats.malformed,
            RecvError::Unexpected | RecvError::UnknownAssoc | RecvError::NotOwner => &mut self.stats.unexpected,
            RecvError::Full | RecvError::Busy => return,
        };
        *counter = counter.wrapping_add(1);
    }

    fn connected(&mut self, assoc: AssocId, link: Link, peer: &[SocketAddr]) -> Result<(), RecvError> {
        // An adapter says `Closed` before it uses a slot again. Where it did not, nothing must be left over.
        if let Some(before) = self.assocs.occupant(assoc.slot) {
            self.closed(before);
        }
        if self.assocs.open(assoc, link, peer) {
            return Ok(());
        }
        if self.refused.try_push(assoc).is_err() {
            debug!("more associations to refuse than are kept");
        }
        Err(RecvError::Full)
    }

    fn closed(&mut self, assoc: AssocId) {
        if self.reply.is_some_and(|reply| reply.to == assoc) {
            self.reply = None;
        }
        self.report.closed(assoc);
        self.refused.retain(|refused| *refused != assoc);
        self.unsubscribe_all(assoc);
        self.association_lost(assoc);
        self.assocs.close(assoc);
    }
}

impl Machine for Registrar<'_> {
    type Event = RegistrarEvent;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), RecvError> {
        self.advance(now);
        let done = match input {
            Input::Timeout | Input::ConnectFailed { .. } => Ok(()),
            Input::Message { assoc, ppid: Ppid::Asap, bytes } => self.message(assoc, bytes),
            Input::Message { .. } => Err(RecvError::Unexpected),
            Input::Datagram { ppid, bytes, .. } => {
                announcement(ppid, bytes).and_then(|message| self.server_announce(&message))
            }
            Input::Connected { assoc, link, peer, .. } => self.connected(assoc, link, peer),
            // RFC 5352, 3.5: what could not be delivered to an element may have been its keep-alive.
            Input::SendFailed { assoc } => {
                self.association_lost(assoc);
                Ok(())
            }
            Input::Closed { assoc } => {
                self.closed(assoc);
                Ok(())
            }
        };
        if let Err(error) = done {
            self.count_error(error);
        }
        done
    }

    fn poll<'b>(&'b mut self, now: Instant, buf: &'b mut [u8]) -> Output<'b, RegistrarEvent> {
        self.advance(now);
        let now = self.now;
        loop {
            let emitted = match self.emit_reply(buf) {
                Some(emitted) => Some(emitted),
                None => match self.report.emit(buf) {
                    Some(emitted) => {
                        self.stats.errors = self.stats.errors.wrapping_add(u64::from(emitted.is_ok()));
                        Some(emitted)
                    }
                    None => match self.poll_elements(now, buf) {
                        Some(emitted) => Some(emitted),
                        None => self.poll_updates(now, buf),
                    },
                },
            };
            match emitted {
                Some(Ok((to, len))) => return transmit(to, buf, len),
                Some(Err(EmitError::BufferTooSmall { needed })) => return Output::BufferTooSmall { needed },
                Some(Err(EmitError::TooLong)) => continue,
                None => {}
            }
            match self.poll_announce(now, buf) {
                Some(Ok(len)) => {
                    let bytes = buf.get(..len).unwrap_or(&[]);
                    return Output::Transmit(Transmit { to: Destination::Channel, ppid: Ppid::Asap, bytes });
                }
                Some(Err(EmitError::BufferTooSmall { needed })) => return Output::BufferTooSmall { needed },
                Some(Err(EmitError::TooLong)) => continue,
                None => {}
            }
            if let Some(assoc) = self.refused.pop() {
                return Output::Disconnect { assoc };
            }
            return match self.events.pop() {
                Some(Queued::Event(event)) => Output::Event(event),
                Some(Queued::Lost) => Output::Event(RegistrarEvent::EventsLost),
                None => Output::Wait(self.next_deadline()),
            };
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        earliest(earliest(self.handlespace.next_deadline(), self.updates_due), self.announcer.deadline())
    }
}
