//! Registration and deregistration at the registrar (RFC 5352, 3.1 and 3.2).

use core::net::{IpAddr, SocketAddr};

use super::rates::Charge;
use super::reply::{Refusal, Reply, ReplyKind};
use super::{Registrar, RegistrarEvent, RemovalReason};
use crate::handlespace::{ElementRef, PoolRef, RegisterError, RegisteredKind, Registration, WatchState};
use crate::wire::asap::{Deregistration, Registration as RegistrationMessage, unusable_registration};
use crate::wire::{ParseError, ParseErrorKind, PoolElementParam, PoolHandle, Transport};
use crate::{AssocId, Instant, Link, PeId, RecvError, ServerId};

impl Registrar<'_> {
    /// RFC 5352, 3.1: rules 1 to 5. Whatever comes of it is answered.
    pub(super) fn registration(&mut self, assoc: AssocId, message: &RegistrationMessage<'_>) -> Result<(), RecvError> {
        let id = message.element.id;
        if self.leave.is_leaving() {
            self.close(assoc);
            return Err(RecvError::NotServing);
        }
        if !self.echo.set(message.pool_handle.as_bytes()) {
            // The answer would have to repeat a handle that is longer than this registrar can hold.
            self.report.lack_of_resources(assoc);
            return Err(RecvError::Full);
        }
        let refused = if self.over_rate(assoc, Charge::Registration) {
            // Only counted: a log would be flooded, too.
            Some(Refusal::LackOfResources)
        } else {
            let refused = self.register(assoc, message).err();
            if let Some(refusal) = refused {
                info!("registration of {} in pool {} refused: {}", id, message.pool_handle, refusal.text());
            }
            refused
        };
        self.reply = Some(Reply { to: assoc, kind: ReplyKind::Registration { id, refused } });
        Ok(())
    }

    /// A registration with values that no element can have is refused like one whose values do not suit the pool
    /// (RFC 5352, 3.1, rule 5: "In all above cases, the ENRP server MUST reply ... with an
    /// ASAP_REGISTRATION_RESPONSE"). Says whether it is one that can be answered so.
    pub(super) fn unusable_registration(&mut self, assoc: AssocId, bytes: &[u8], error: &ParseError<'_>) -> bool {
        use ParseErrorKind::{InvalidValue, Misplaced, Missing};
        if !matches!(error.kind, InvalidValue | Misplaced(_) | Missing(_)) {
            return false;
        }
        let Some((pool_handle, id)) = unusable_registration(bytes) else { return false };
        if !self.echo.set(pool_handle.as_bytes()) {
            return false;
        }
        info!("registration of {} in pool {} refused: {}", id, pool_handle, Refusal::InvalidValues.text());
        let shown = self.offending.set(error.item);
        let refused = Some(if shown { Refusal::InvalidValues } else { Refusal::Unspecified });
        self.reply = Some(Reply { to: assoc, kind: ReplyKind::Registration { id, refused } });
        true
    }

    fn register(&mut self, assoc: AssocId, message: &RegistrationMessage<'_>) -> Result<(), Refusal> {
        let RegistrationMessage { pool_handle, mut element } = *message;
        element.lifetime = self.config.enrp.compat.asap().lifetime_in(element.lifetime);
        self.check_values(&element)?;
        let peer = self.assocs.get(assoc).ok_or(Refusal::Unspecified)?;
        if peer.link() == Link::Tcp && !self.config.register_over_tcp {
            return Err(Refusal::TcpOff);
        }

        let known = self.element(pool_handle, element.id);
        let bound_here = known.is_some_and(|e| self.assoc_of(e) == Some(assoc));
        let rival = known.and_then(|known| self.rival(known, assoc));
        if let Some(known) = known
            && rival.is_some()
            && self.is_elsewhere(known, &element.user_transport)
        {
            return Err(Refusal::NonUniqueId);
        }
        if !bound_here && peer.elements >= self.config.max_elements_per_association {
            return Err(Refusal::LackOfResources);
        }
        // Rule 4: this server is the owner, whoever was before, and keeps where the registration came from.
        let asap_transport = match (peer.transport(), element.asap_transport) {
            // Over TCP an element names the port at which it is reached; whether it names its own address is not asked.
            (Some(Transport::Tcp(from)), Some(Transport::Tcp(named))) if named.port() != 0 => {
                Some(Transport::Tcp(SocketAddr::new(from.ip(), named.port())))
            }
            (from, _) => from,
        };
        let registration = Registration { home: self.id, asap_transport, ..Registration::from(element) };
        let unchanged = known.is_some_and(|known| self.is_registered_as(known, &registration));
        let registered = self.handlespace.register(self.now, pool_handle, &registration);
        let registered = registered.map_err(|error| self.refusal(error, pool_handle))?;

        if !bound_here {
            self.bind(registered.element, assoc);
        }
        match rival {
            Some(rival) => self.dispute(registered.element, rival),
            None => self.alive(registered.element),
        }
        self.announce_add(registered.element);
        if !unchanged {
            self.pool_changed(registered.pool);
        }
        if registered.kind == RegisteredKind::Update {
            self.stats.reregistrations = self.stats.reregistrations.wrapping_add(1);
        } else {
            self.stats.registrations = self.stats.registrations.wrapping_add(1);
            self.events.push(RegistrarEvent::Registered { id: element.id, assoc });
            info!("{} registered in pool {}", element.id, pool_handle);
        }
        Ok(())
    }

    /// Rule 5: invalid values. The refusal shows the parameter that holds them (RFC 5354, 3.12.4).
    fn check_values(&mut self, element: &PoolElementParam<'_>) -> Result<(), Refusal> {
        let transport = &element.user_transport;
        let bad_address = |ip: IpAddr| ip.is_unspecified() || ip.is_multicast();
        let shown = if transport.port() == Some(0) || transport.socket_addrs().any(|at| bad_address(at.ip())) {
            self.offending.write(transport.encoded_len(), |room| transport.emit(room).is_ok())
        } else if !element.lifetime.is_valid() {
            // The lifetime is a field of the element.
            self.offending.write(element.encoded_len(), |room| element.emit(room).is_ok())
        } else {
            return Ok(());
        };
        Err(if shown { Refusal::InvalidValues } else { Refusal::Unspecified })
    }

    /// Whether the service of an element is not where somebody says who registers with its identifier.
    fn is_elsewhere(&self, known: ElementRef, transport: &Transport<'_>) -> bool {
        self.handlespace.element(known).is_some_and(|view| view.user_transport() != Some(*transport))
    }

    /// Whether users would be told the same of the element.
    pub(super) fn is_registered_as(&self, known: ElementRef, registration: &Registration<'_>) -> bool {
        self.handlespace.element(known).is_some_and(|view| {
            view.user_transport() == Some(registration.user_transport)
                && view.policy() == Some(registration.policy)
                && (view.home, view.lifetime) == (registration.home, registration.lifetime)
        })
    }

    fn refusal(&self, error: RegisterError, pool_handle: PoolHandle<'_>) -> Refusal {
        let member = self.handlespace.find_pool(pool_handle).and_then(|pool| self.handlespace.next_element(pool, None));
        match (error, member) {
            (RegisterError::InconsistentPolicy, Some(member)) => Refusal::Policy(member),
            (RegisterError::InconsistentTransport, Some(member)) => Refusal::Transport(member),
            (RegisterError::InconsistentControlChannel, _) => Refusal::ControlChannel,
            _ => Refusal::LackOfResources,
        }
    }

    /// RFC 5352, 3.2. An element that is not known is one that has left. There is no rate for it: see `rates.rs`.
    pub(super) fn deregistration(&mut self, assoc: AssocId, message: &Deregistration<'_>) -> Result<(), RecvError> {
        if !self.echo.set(message.pool_handle.as_bytes()) {
            self.report.lack_of_resources(assoc);
            return Err(RecvError::Full);
        }
        let mut refused = None;
        if let Some(element) = self.element(message.pool_handle, message.id) {
            // RFC 5352, 2.2.2: deregistration is not allowed by proxy. An element whose association is gone may come
            // over another one.
            self.returned(element, assoc);
            let owner = self.assoc_of(element).filter(|bound| self.assocs.get(*bound).is_some());
            if owner.is_some_and(|owner| owner != assoc) {
                refused = Some(Refusal::Security);
            } else if self.falls_back(element) {
                // It is not clear yet whose it is. If nobody answers over the other association, it is removed.
            } else if self.home_of(element) == Some(self.id) {
                self.remove(element, RemovalReason::Deregistered);
            } else {
                self.deregister_elsewhere(element);
            }
        }
        self.reply = Some(Reply { to: assoc, kind: ReplyKind::Deregistration { id: message.id, refused } });
        if refused.is_some() { Err(RecvError::NotOwner) } else { Ok(()) }
    }

    /// An element whose home is another registrar deregisters here: it cannot reach its home. Only the home can remove it,
    /// so this registrar becomes the home before.
    fn deregister_elsewhere(&mut self, element: ElementRef) {
        if self.become_home(element).is_ok() {
            let now = self.now;
            self.watch(element, WatchState::Leaving, now);
        }
    }

    pub(super) fn element(&self, pool_handle: PoolHandle<'_>, id: PeId) -> Option<ElementRef> {
        let pool = self.handlespace.find_pool(pool_handle)?;
        self.handlespace.find_element(pool, id)
    }

    pub(super) fn assoc_of(&self, element: ElementRef) -> Option<AssocId> {
        self.handlespace.watch(element)?.assoc()
    }

    /// The element comes to an association, from the one that it was on.
    pub(super) fn bind(&mut self, element: ElementRef, assoc: AssocId) {
        self.unbind(element);
        self.handlespace.bind(element, assoc);
        if let Some(peer) = self.assocs.get_mut(assoc) {
            peer.elements = peer.elements.saturating_add(1);
        }
    }

    /// The element leaves its association, which has one less.
    pub(super) fn unbind(&mut self, element: ElementRef) {
        self.claims.undisputed(element);
        if let Some(peer) = self.assoc_of(element).and_then(|bound| self.assocs.get_mut(bound)) {
            peer.elements = peer.elements.saturating_sub(1);
        }
        self.handlespace.unbind(element);
    }

    /// Takes an element out of the handlespace, and tells whom it concerns.
    pub(super) fn remove(&mut self, element: ElementRef, reason: RemovalReason) {
        let Some(view) = self.handlespace.element(element) else { return };
        let id = view.id;
        if let Some(pool) = self.handlespace.pool(view.pool) {
            info!("{} removed from pool {}: {}", id, pool.handle, reason.text());
        }
        if view.home == self.id {
            // RFC 5353, 3.3.2. What a registrar knows from others it does not announce.
            self.announce_delete(element);
        }
        self.step_over(element);
        self.unbind(element);
        if let Some(removed) = self.handlespace.remove(element) {
            if removed.pool_removed {
                self.pool_gone(removed.subscribers);
            } else {
                self.pool_changed(removed.pool);
            }
        }
        let stats = &mut self.stats;
        match reason {
            RemovalReason::Deregistered
            | RemovalReason::ByHome
            | RemovalReason::Unlisted
            | RemovalReason::Inconsistent => {}
            RemovalReason::Expired => stats.expired = stats.expired.wrapping_add(1),
            RemovalReason::Unreachable => stats.lost = stats.lost.wrapping_add(1),
            RemovalReason::Reported => stats.reported = stats.reported.wrapping_add(1),
        }
        self.events.push(RegistrarEvent::Removed { id, reason });
        self.leave_progress();
    }

    /// The element has shown that it lives.
    pub(super) fn alive(&mut self, element: ElementRef) {
        let interval = self.config.keep_alive_interval;
        let due = if interval == core::time::Duration::MAX {
            Instant::MAX
        } else {
            // RFC 5352, 3.5: plus/minus 50 per cent, so that keep-alives do not come in bursts.
            self.now + self.rng.jitter(interval, 50)
        };
        self.watch(element, WatchState::Idle, due);
    }

    pub(super) fn home_of(&self, element: ElementRef) -> Option<ServerId> {
        self.handlespace.element(element).map(|view| view.home)
    }

    pub(super) fn pool_of(&self, element: ElementRef) -> Option<PoolRef> {
        self.handlespace.element(element).map(|view| view.pool)
    }
}

impl Refusal {
    fn text(self) -> &'static str {
        match self {
            Refusal::Unspecified => "invalid values",
            Refusal::TcpOff => "registration over TCP is switched off",
            Refusal::InvalidValues => "invalid values",
            Refusal::NonUniqueId => "the identifier belongs to another element",
            Refusal::Policy(_) => "the pool has another policy",
            Refusal::LackOfResources => "a limit is reached",
            Refusal::Transport(_) => "the pool has another transport type",
            Refusal::ControlChannel => "the pool has another data/control configuration",
            Refusal::UnknownPool => "unknown pool handle",
            Refusal::Security => "the element belongs to another association",
        }
    }
}
