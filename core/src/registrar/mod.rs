//! The registrar (ENRP server): its ASAP side, which pool elements and pool users talk to (RFC 5352; what it has to
//! handle: RFC 5352, 4), and its ENRP side, by which registrars keep their handlespaces the same and stand in for each
//! other (RFC 5353, 3).

mod announce;
mod assoc;
mod audit;
mod claim;
mod config;
mod discovery;
mod dispute;
mod enrp;
mod event;
mod failure;
mod keep_alive;
mod leave;
mod mentor;
mod peers;
mod presence;
mod rates;
mod registration;
mod reply;
mod resolution;
mod stall;
mod startup;
mod stats;
mod storage;
mod subscription;
mod takeover;
mod update;

pub use config::{EnrpConfig, MAX_ANNOUNCED, RegistrarConfig};
pub use event::{RegistrarEvent, RemovalReason};
pub use peers::{PeerState, PeerView};
pub use rates::{AsapRates, EnrpRates};
pub use stats::RegistrarStats;
#[cfg(feature = "alloc")]
pub use storage::RegistrarLimits;
pub use storage::RegistrarStorage;

use core::net::SocketAddr;

use announce::Announcer;
use arrayvec::ArrayVec;
use assoc::Assocs;
use claim::Claims;
use leave::Leave;
use peers::Peers;
use presence::Heartbeat;
use reply::Reply;
use startup::Startup;
use subscription::Subscriptions;
use takeover::Takeover;
use update::PendingUpdate;

use crate::endpoint::{announcement, earliest};
use crate::events::{Events, Queued};
use crate::handlespace::Handlespace;
use crate::rand::Rng;
use crate::report::PendingReport;
use crate::scratch::Scratch;
use crate::wire::{AsapMessage, EmitError};
use crate::{AssocId, Destination, DialId, Input, Instant, Link, Machine, Output, Ppid, RecvError, ServerId, Transmit};

const EVENTS: usize = 16;
/// How many associations can wait to be closed.
const MAX_CLOSING: usize = 8;
/// How many attempts to connect can wait to be abandoned.
const MAX_ABANDONED: usize = 8;

/// A registrar: nobody calls it but its adapter, with what pool elements, pool users and other registrars send.
///
/// It dials its peers, those that are configured ([`add_peer`](Registrar::add_peer)) and those that it hears of, and pool
/// elements whose home it becomes by a takeover. An association that it has no place for is answered with
/// [`RecvError::Full`] and an [`Output::Disconnect`].
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
    /// After this registrar stood still nobody counts as dead before that.
    patience: Instant,
    /// How often in a row it stood still, without a turn in between in which it had no patience.
    stops: u8,
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
    closing: ArrayVec<AssocId, MAX_CLOSING>,
    events: Events<RegistrarEvent, EVENTS>,
    stats: RegistrarStats,
    peers: Peers<'s>,
    /// When something is to be done about peers; may be too early.
    enrp_due: Option<Instant>,
    startup: Startup,
    heartbeat: Heartbeat,
    update: PendingUpdate<'s>,
    takeover: Option<Takeover>,
    /// A takeover has been carried out, and peers are still to be told.
    takeover_untold: bool,
    claims: Claims<'s>,
    leave: Leave,
    last_dial: u32,
    abandoned: ArrayVec<DialId, MAX_ABANDONED>,
    /// The addresses of the latest [`Output::Connect`].
    targets: ArrayVec<SocketAddr, { peers::MAX_ADDRESSES }>,
}

/// What the adapter has to do.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// This many bytes of the buffer are a message to this association.
    Send(AssocId, Ppid, usize),
    /// This many bytes of the buffer are a message to the multicast channel of the protocol.
    Announce(Ppid, usize),
    /// To the addresses that the registrar keeps.
    Connect(DialId, Link, Ppid),
    Abandon(DialId),
    Close(AssocId),
}

/// The parts of a registrar that lie in memory of either kind.
struct Parts<'s> {
    assocs: Assocs<'s>,
    subscriptions: Subscriptions<'s>,
    peers: Peers<'s>,
    claims: Claims<'s>,
    update: PendingUpdate<'s>,
    echo: Scratch<'s>,
    offending: Scratch<'s>,
    report: Scratch<'s>,
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
        let RegistrarStorage {
            handlespace,
            assocs,
            subscriptions,
            subscribed,
            echo,
            offending,
            report,
            peers,
            claims,
            gone_handle,
            gone_parameters,
        } = storage;
        let mut rng = Rng::new(seed);
        let handlespace = Handlespace::new(handlespace, rng.next_u64());
        // This registrar itself has no slot, so that there is room for each of them as an owner of elements.
        let peers = peers.split_first_mut().map_or(&mut [][..], |(_, others)| others);
        let parts = Parts {
            assocs: Assocs::lent(assocs),
            subscriptions: Subscriptions::lent(subscriptions, subscribed),
            peers: Peers::lent(peers),
            claims: Claims::lent(claims),
            update: PendingUpdate::new(Scratch::lent(gone_handle), Scratch::lent(gone_parameters)),
            echo: Scratch::lent(echo),
            offending: Scratch::lent(offending),
            report: Scratch::lent(report),
        };
        Self::build(handlespace, parts, config, rng, now)
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
        let parts = Parts {
            assocs: Assocs::growable(limits.associations),
            subscriptions: Subscriptions::growable(limits.subscriptions),
            peers: Peers::growable(limits.peers.saturating_sub(1)),
            claims: Claims::growable(limits.claims as usize),
            update: PendingUpdate::new(Scratch::growable(), Scratch::growable()),
            echo: Scratch::growable(),
            offending: Scratch::growable(),
            report: Scratch::growable(),
        };
        Self::build(handlespace, parts, config, rng, now)
    }

    fn build(
        handlespace: Handlespace<'s>,
        parts: Parts<'s>,
        config: RegistrarConfig,
        mut rng: Rng,
        now: Instant,
    ) -> Self {
        let Parts { assocs, subscriptions, peers, claims, update, echo, offending, report } = parts;
        // RFC 5353, 2.1 and 3.2.1: a random number that is not zero, for the registrar's lifetime.
        let id = if config.id.is_none() { ServerId(rng.nonzero_u32()) } else { config.id };
        Registrar {
            id,
            now,
            patience: Instant::ZERO,
            stops: 0,
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
            closing: ArrayVec::new_const(),
            events: Events::new(),
            stats: RegistrarStats::default(),
            peers,
            enrp_due: None,
            startup: Startup::NEW,
            heartbeat: Heartbeat::default(),
            update,
            takeover: None,
            takeover_untold: false,
            claims,
            leave: Leave::No,
            last_dial: 0,
            abandoned: ArrayVec::new_const(),
            targets: ArrayVec::new_const(),
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

    /// Whether something that was called for by an input before has not been polled yet.
    fn is_busy(&self) -> bool {
        self.reply.is_some() || self.report.is_pending() || self.update.is_pending()
    }

    /// An association is to be closed, by us.
    fn close(&mut self, assoc: AssocId) {
        if self.closing.try_push(assoc).is_err() {
            debug!("more associations to close than are kept");
        }
    }

    fn asap_message(&mut self, assoc: AssocId, bytes: &[u8]) -> Result<(), RecvError> {
        match self.assocs.get_mut(assoc) {
            None => return Err(RecvError::UnknownAssoc),
            Some(slot) if !slot.server.is_none() => return Err(RecvError::Unexpected),
            Some(slot) => slot.asap = true,
        }
        let parsed = match AsapMessage::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                if !self.unusable_registration(assoc, bytes, &error) {
                    self.report.parse_error(Ppid::Asap, assoc, bytes, &error);
                }
                return Err(RecvError::Malformed(error.kind));
            }
        };
        let done = match &parsed.message {
            AsapMessage::HandleResolution(message) => self.resolution(assoc, message),
            AsapMessage::Registration(message) => self.registration(assoc, message),
            AsapMessage::Deregistration(message) => self.deregistration(assoc, message),
            AsapMessage::EndpointKeepAliveAck(message) => self.keep_alive_ack(assoc, message),
            AsapMessage::EndpointUnreachable(message) => self.unreachable(assoc, message),
            AsapMessage::Error(error) => {
                info!("a peer reports an error, cause {}", error.error.code().unwrap_or(0));
                Ok(())
            }
            _ => Err(RecvError::Unexpected),
        };
        if !self.report.is_pending() {
            self.report.reports(Ppid::Asap, assoc, bytes, &parsed.reports);
        }
        done
    }

    fn count_error(&mut self, error: RecvError) {
        let counter = match error {
            RecvError::Malformed(_) => &mut self.stats.malformed,
            RecvError::Unexpected | RecvError::UnknownAssoc | RecvError::NotOwner => &mut self.stats.unexpected,
            RecvError::Full | RecvError::Busy | RecvError::NotServing => return,
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
        self.close(assoc);
        Err(RecvError::Full)
    }

    fn closed(&mut self, assoc: AssocId) {
        if self.reply.is_some_and(|reply| reply.to == assoc) {
            self.reply = None;
        }
        self.report.closed(assoc);
        self.closing.retain(|closing| *closing != assoc);
        self.unsubscribe_all(assoc);
        self.association_lost(assoc);
        self.enrp_closed(assoc);
        self.assocs.close(assoc);
    }

    /// The next thing that has to be done by the adapter.
    fn step(&mut self, now: Instant, buf: &mut [u8]) -> Option<Result<Step, EmitError>> {
        let asap =
            |written: Result<(AssocId, usize), EmitError>| written.map(|(to, len)| Step::Send(to, Ppid::Asap, len));
        loop {
            if self.enrp_due.is_some_and(|due| due <= now) {
                self.take_stock(now);
            }
            if let Some(written) = self.emit_reply(buf) {
                return Some(asap(written));
            }
            if let Some((to, ppid)) = self.report.pending() {
                let server = self.assocs.get(to).map_or(ServerId::NONE, |slot| slot.server);
                let written = self.report.emit(self.id, server, buf)?;
                self.stats.errors = self.stats.errors.wrapping_add(u64::from(written.is_ok()));
                return Some(written.map(|(to, len)| Step::Send(to, ppid, len)));
            }
            if let Some(written) = self.poll_takeover_server(buf) {
                return Some(written.map(|(to, len)| Step::Send(to, Ppid::Enrp, len)));
            }
            if let Some(written) = self.poll_update(buf) {
                return Some(written.map(|(to, len)| Step::Send(to, Ppid::Enrp, len)));
            }
            // What was to be said on it has been said.
            if let Some(assoc) = self.closing.pop() {
                return Some(Ok(Step::Close(assoc)));
            }
            if let Some(dial) = self.abandoned.pop() {
                return Some(Ok(Step::Abandon(dial)));
            }
            if let Some(written) = self.poll_elements(now, buf) {
                return Some(asap(written));
            }
            if self.update.is_pending() || !self.closing.is_empty() {
                // Looking after an element has brought news; it goes out before anything else happens.
                continue;
            }
            if let Some(step) = self.poll_enrp(now, buf) {
                return Some(step);
            }
            if self.enrp_due.is_some_and(|due| due <= now) {
                continue;
            }
            if let Some(written) = self.poll_updates(now, buf) {
                return Some(asap(written));
            }
            return self.poll_announce(now, buf).map(|written| written.map(|len| Step::Announce(Ppid::Asap, len)));
        }
    }
}

impl Machine for Registrar<'_> {
    type Event = RegistrarEvent;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), RecvError> {
        self.advance(now);
        self.begin();
        let done = match input {
            Input::Timeout => Ok(()),
            Input::Message { .. } if self.is_busy() => Err(RecvError::Busy),
            Input::Message { assoc, ppid, bytes } => {
                let done = match ppid {
                    Ppid::Asap => self.asap_message(assoc, bytes),
                    Ppid::Enrp => self.enrp_message(assoc, bytes),
                };
                self.limit_report();
                done
            }
            Input::Datagram { ppid: Ppid::Asap, bytes, .. } => {
                announcement(Ppid::Asap, bytes).and_then(|message| self.server_announce(&message))
            }
            Input::Datagram { from, ppid: Ppid::Enrp, bytes } => self.enrp_datagram(from, bytes),
            Input::Connected { assoc, dial, link, peer } => self.connected(assoc, link, peer).map(|()| {
                if let Some(dial) = dial {
                    self.dialled(dial, assoc);
                }
            }),
            Input::ConnectFailed { dial } => {
                self.connect_failed(dial);
                Ok(())
            }
            // RFC 5352, 3.5: what could not be delivered to an element may have been its keep-alive.
            Input::SendFailed { assoc } => {
                self.association_lost(assoc);
                self.enrp_send_failed(assoc);
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
        self.begin();
        let now = self.now;
        loop {
            match self.step(now, buf) {
                Some(Ok(Step::Send(to, ppid, len))) => {
                    let bytes = buf.get(..len).unwrap_or(&[]);
                    return Output::Transmit(Transmit { to: Destination::Assoc(to), ppid, bytes });
                }
                Some(Ok(Step::Announce(ppid, len))) => {
                    let bytes = buf.get(..len).unwrap_or(&[]);
                    return Output::Transmit(Transmit { to: Destination::Channel, ppid, bytes });
                }
                Some(Ok(Step::Connect(dial, link, ppid))) => {
                    return Output::Connect { dial, link, ppid, to: &self.targets };
                }
                Some(Ok(Step::Abandon(dial))) => return Output::Abandon { dial },
                Some(Ok(Step::Close(assoc))) => return Output::Disconnect { assoc },
                Some(Err(EmitError::BufferTooSmall { needed })) => return Output::BufferTooSmall { needed },
                Some(Err(EmitError::TooLong)) => continue,
                None => {}
            }
            return match self.events.pop() {
                Some(Queued::Event(event)) => Output::Event(event),
                Some(Queued::Lost) => Output::Event(RegistrarEvent::EventsLost),
                None => match self.leave.tell() {
                    Some(event) => Output::Event(event),
                    None => Output::Wait(self.next_deadline()),
                },
            };
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let asap = earliest(self.handlespace.next_deadline(), self.updates_due);
        earliest(asap, earliest(self.announcer.deadline(), self.enrp_due))
    }
}
