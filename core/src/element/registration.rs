//! Registration, re-registration and deregistration (RFC 5352, 3.1 and 3.2), and the answers to keep-alives (3.4).

use super::event::{ElementEvent, RegisterError};
use super::storage::POLICY_ROOM;
use crate::arena::{Arena, Idx, Slot};
use crate::blobs::Blobs;
use crate::config::EndpointConfig;
use crate::hunt::Home;
use crate::rand::Rng;
use crate::wire::asap::{
    Deregistration, DeregistrationResponse, EndpointKeepAlive, EndpointKeepAliveAck,
    Registration as RegistrationMessage, RegistrationResponse,
};
use crate::wire::{AsapMessage, EmitError, Lifetime, Policy, PoolElementParam, PoolHandle, Transport};
use crate::{AssocId, Instant, PeId, RecvError, ServerId};

/// What an application registers (Registration.Request, RFC 5352, 6.1).
#[derive(Clone, Copy, Debug)]
pub struct ElementInfo<'a> {
    /// The pool: any bytes, at least one, no more than the storage can hold.
    pub pool_handle: &'a [u8],
    /// The element's identifier; `None` for a random one, which is changed if the pool has it already.
    pub id: Option<PeId>,
    /// Where users find the service. The addresses have to be given; the registrar puts none in.
    pub user_transport: Transport<'a>,
    /// Its part in the pool's policy.
    pub policy: Policy<'a>,
    /// For how long a registration is to be good if it is not renewed. It is renewed 20 s before its end, or after half
    /// of it where that is later, and after T4-reregistration at the latest.
    pub lifetime: Lifetime,
}

/// One of an endpoint's pool elements. It is valid until the element is deregistered; to use it afterwards is harmless
/// and answered by `None` or an error. It is of use only with the machine that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ElementKey {
    at: Idx,
    generation: u32,
}

/// Where a pool element stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Free,
    /// A registration is to be sent.
    Registering,
    /// T2-registration runs until then.
    AwaitingRegistration(Instant),
    /// T4-reregistration runs until then.
    Registered(Instant),
    /// A deregistration is to be sent.
    Deregistering,
    /// T3-deregistration runs until then.
    AwaitingDeregistration(Instant),
    /// Refused, or nobody answered. The application has been told, and nothing happens until it asks for something.
    Stopped,
}

/// A place for a pool element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    next_free: Idx,
    generation: u32,
    state: State,
    /// Whether some registrar has been sent this element: then keep-alives for it are answered.
    known: bool,
    /// The values have changed since the registration that is under way was sent.
    changed: bool,
    /// The identifier was chosen at random, so another one will do.
    random_id: bool,
    /// Whether the application has been told that it is registered.
    told: bool,
    id: PeId,
    lifetime: Lifetime,
    handle_len: u16,
    transport_len: u16,
    policy_len: u16,
    attempts: u32,
    /// A keep-alive to be answered.
    ack_to: Option<AssocId>,
}

impl Registration {
    pub(crate) const EMPTY: Registration = Registration {
        next_free: Idx::NIL,
        generation: 0,
        state: State::Free,
        known: false,
        changed: false,
        random_id: false,
        told: false,
        id: PeId(0),
        lifetime: Lifetime::from_wire(0),
        handle_len: 0,
        transport_len: 0,
        policy_len: 0,
        attempts: 0,
        ack_to: None,
    };
}

impl Default for Registration {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Slot for Registration {
    fn next_free(&self) -> Idx {
        self.next_free
    }
    fn set_next_free(&mut self, next: Idx) {
        self.next_free = next;
    }
}

#[derive(Debug)]
pub(crate) struct Registrations<'s> {
    slots: Arena<'s, Registration>,
    handles: Blobs<'s>,
    transports: Blobs<'s>,
    policies: Blobs<'s>,
    generation: u32,
    /// The earliest time at which something is to be done; may be too early.
    due: Option<Instant>,
}

/// What the registrations want done.
pub(crate) enum Step {
    /// This many bytes of the buffer are a message to this association.
    Send(AssocId, usize),
    Failed(EmitError),
    Tell(ElementEvent),
    /// T2 or T3 expired: the home counts as failed.
    DropHome,
}

impl<'s> Registrations<'s> {
    pub(crate) fn lent<const HANDLE: usize, const DATA: usize>(
        slots: &'s mut [Registration],
        handles: &'s mut [[u8; HANDLE]],
        transports: &'s mut [[u8; DATA]],
        policies: &'s mut [[u8; POLICY_ROOM]],
    ) -> Self {
        Registrations {
            slots: Arena::lent(slots),
            handles: Blobs::lent(handles),
            transports: Blobs::lent(transports),
            policies: Blobs::lent(policies),
            generation: 0,
            due: None,
        }
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn growable(limit: u32) -> Self {
        Registrations {
            slots: Arena::growable(limit),
            handles: Blobs::growable(),
            transports: Blobs::growable(),
            policies: Blobs::growable(),
            generation: 0,
            due: None,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn wake_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn key(&self, at: Idx) -> ElementKey {
        ElementKey { at, generation: self.slots.at(at).generation }
    }

    fn find(&self, key: ElementKey) -> Option<Idx> {
        let slot = self.slots.at(key.at);
        (slot.state != State::Free && slot.generation == key.generation).then_some(key.at)
    }

    fn handle(&self, at: Idx) -> &[u8] {
        self.handles.get(at, usize::from(self.slots.at(at).handle_len))
    }

    fn element(&self, at: Idx, home: ServerId) -> Option<PoolElementParam<'_>> {
        let slot = self.slots.at(at);
        Some(PoolElementParam {
            id: slot.id,
            home,
            lifetime: slot.lifetime,
            user_transport: Transport::parse(self.transports.get(at, usize::from(slot.transport_len))).ok()?,
            policy: Policy::parse(self.policies.get(at, usize::from(slot.policy_len))).ok()?,
            asap_transport: None,
        })
    }

    pub(crate) fn id(&self, key: ElementKey) -> Option<PeId> {
        self.find(key).map(|at| self.slots.at(at).id)
    }

    pub(crate) fn is_registered(&self, key: ElementKey) -> bool {
        // Between two registrations it is still a registered one.
        self.find(key).is_some_and(|at| self.slots.at(at).told)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// R2 (RFC 5352, 3.1 and 2.2.1): what is to be sent is put together.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        info: &ElementInfo<'_>,
    ) -> Result<ElementKey, RegisterError> {
        let handle = PoolHandle::new(info.pool_handle).ok_or(RegisterError::BadHandle)?;
        let handle_len = u16::try_from(info.pool_handle.len()).map_err(|_| RegisterError::BadHandle)?;
        if !self.handles.fits(info.pool_handle.len()) {
            return Err(RegisterError::BadHandle);
        }
        if !info.lifetime.is_valid() {
            return Err(RegisterError::BadLifetime);
        }
        if info.user_transport.port() == Some(0)
            || (info.user_transport.port().is_some() && info.user_transport.socket_addrs().next().is_none())
        {
            return Err(RegisterError::BadTransport);
        }
        let id = info.id.unwrap_or_else(|| PeId(rng.nonzero_u32()));
        if self.iter().any(|at| self.handle(at) == handle.as_bytes() && self.slots.at(at).id == id) {
            return Err(RegisterError::DuplicateId);
        }
        let element = PoolElementParam {
            id,
            home: ServerId::NONE,
            lifetime: info.lifetime,
            user_transport: info.user_transport,
            policy: info.policy,
            asap_transport: None,
        };
        if !can_be_sent(handle, element) {
            return Err(RegisterError::TooLong);
        }
        let at = self.slots.allocate().ok_or(RegisterError::Full)?;
        let (Some(transport_len), Some(policy_len)) =
            (self.store_transport(at, &info.user_transport), self.store_policy(at, &info.policy))
        else {
            self.slots.release(at);
            return Err(RegisterError::TooLong);
        };
        self.handles.set(at, handle.as_bytes());
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        *self.slots.at_mut(at) = Registration {
            generation,
            state: State::Registering,
            random_id: info.id.is_none(),
            id,
            lifetime: info.lifetime,
            handle_len,
            transport_len,
            policy_len,
            ..Registration::EMPTY
        };
        self.wake_at(now);
        Ok(self.key(at))
    }

    fn store_transport(&mut self, at: Idx, transport: &Transport<'_>) -> Option<u16> {
        let len = transport.encoded_len();
        transport.emit(self.transports.make(at, len)?).ok()?;
        u16::try_from(len).ok()
    }

    fn store_policy(&mut self, at: Idx, policy: &Policy<'_>) -> Option<u16> {
        let len = policy.encoded_len();
        policy.emit(self.policies.make(at, len)?).ok()?;
        u16::try_from(len).ok()
    }

    /// A new policy value: the element registers again (RFC 5352, 3.1 and 6.5.2).
    pub(crate) fn set_policy(
        &mut self,
        now: Instant,
        key: ElementKey,
        policy: Policy<'_>,
    ) -> Result<(), RegisterError> {
        let at = self.find(key).ok_or(RegisterError::UnknownElement)?;
        let slot = self.slots.at(at);
        if matches!(slot.state, State::Deregistering | State::AwaitingDeregistration(_)) {
            return Err(RegisterError::UnknownElement);
        }
        let element = self.element(at, ServerId::NONE).map(|element| PoolElementParam { policy, ..element });
        let sendable =
            PoolHandle::new(self.handle(at)).zip(element).is_some_and(|(h, element)| can_be_sent(h, element));
        if !sendable || !self.policies.fits(policy.encoded_len()) {
            return Err(RegisterError::TooLong);
        }
        let policy_len = self.store_policy(at, &policy).ok_or(RegisterError::TooLong)?;
        let slot = self.slots.at_mut(at);
        slot.policy_len = policy_len;
        match slot.state {
            State::AwaitingRegistration(_) => slot.changed = true,
            _ => {
                slot.state = State::Registering;
                slot.attempts = 0;
            }
        }
        self.wake_at(now);
        Ok(())
    }

    /// Registers at once, with the values as they are.
    pub(crate) fn reregister(&mut self, now: Instant, key: ElementKey) -> Result<(), RegisterError> {
        let at = self.find(key).ok_or(RegisterError::UnknownElement)?;
        let slot = self.slots.at_mut(at);
        match slot.state {
            State::Registered(_) | State::Stopped => {
                slot.state = State::Registering;
                slot.attempts = 0;
                self.wake_at(now);
                Ok(())
            }
            State::Registering | State::AwaitingRegistration(_) => Ok(()),
            State::Free | State::Deregistering | State::AwaitingDeregistration(_) => Err(RegisterError::UnknownElement),
        }
    }

    /// Deregistration.Request (RFC 5352, 6.2).
    pub(crate) fn deregister(&mut self, now: Instant, key: ElementKey) -> Result<(), RegisterError> {
        let at = self.find(key).ok_or(RegisterError::UnknownElement)?;
        let slot = self.slots.at_mut(at);
        if !matches!(slot.state, State::Deregistering | State::AwaitingDeregistration(_)) {
            slot.state = State::Deregistering;
            slot.attempts = 0;
            self.wake_at(now);
        }
        Ok(())
    }

    /// The home registrar is another one, or gone: whatever is registered must be registered there (RFC 5352, 3.1), and
    /// what was under way starts again. What had just timed out is left to `poll`, which counts it.
    pub(crate) fn home_changed(&mut self, now: Instant) {
        let mut at = Idx::NIL;
        while let Some(next) = self.slots.after(at) {
            at = next;
            let slot = self.slots.at_mut(at);
            slot.state = match slot.state {
                State::AwaitingRegistration(until) if until > now => State::Registering,
                State::AwaitingDeregistration(until) if until > now => State::Deregistering,
                State::Registered(_) => State::Registering,
                state => state,
            };
        }
        self.wake_at(now);
    }

    /// A registrar has taken over the home's elements and made itself the home: it knows those that are registered.
    /// What was under way to the old home is sent again.
    pub(crate) fn adopted(&mut self, now: Instant) {
        let mut at = Idx::NIL;
        while let Some(next) = self.slots.after(at) {
            at = next;
            let slot = self.slots.at_mut(at);
            slot.state = match slot.state {
                State::AwaitingRegistration(_) => State::Registering,
                State::AwaitingDeregistration(_) => State::Deregistering,
                state => state,
            };
        }
        self.wake_at(now);
    }

    /// RFC 5352, 3.1: what the registrar says to a registration.
    pub(crate) fn registration_response(
        &mut self,
        now: Instant,
        config: &EndpointConfig,
        rng: &mut Rng,
        response: &RegistrationResponse<'_>,
    ) -> Result<Option<ElementEvent>, RecvError> {
        let awaited = |s: &Registration| matches!(s.state, State::AwaitingRegistration(_));
        let at = self.by_name(&response.pool_handle, response.id, awaited).ok_or(RecvError::Unexpected)?;
        let key = self.key(at);
        let cause = response.error.as_ref().and_then(|error| error.code());
        let slot = self.slots.at_mut(at);
        let changed = core::mem::take(&mut slot.changed);
        if !response.rejected {
            slot.attempts = 0;
            let first = !core::mem::replace(&mut slot.told, true);
            let t4 = now + config.reregistration(slot.lifetime);
            slot.state = if changed { State::Registering } else { State::Registered(t4) };
            self.wake_at(if changed { now } else { t4 });
            return Ok(match cause {
                Some(cause) => Some(ElementEvent::Warning { element: key, cause }),
                None if first => Some(ElementEvent::Registered(key)),
                None => None,
            });
        }
        slot.attempts = slot.attempts.saturating_add(1);
        // Cause 4: the identifier is taken. To choose another one corrects the error.
        if cause == Some(0x4) && slot.random_id && slot.attempts <= config.max_reg_attempt {
            slot.id = PeId(rng.nonzero_u32());
            slot.known = false;
            slot.state = State::Registering;
            self.wake_at(now);
            return Ok(None);
        }
        slot.told = false;
        // The PE must not try again without correcting the error; a change that came in the meantime may be that.
        if changed {
            slot.state = State::Registering;
            slot.attempts = 0;
            self.wake_at(now);
            return Ok(None);
        }
        slot.state = State::Stopped;
        Ok(Some(ElementEvent::Rejected { element: key, cause: cause.unwrap_or(0) }))
    }

    /// RFC 5352, 3.2: the answer to a deregistration, or the notice that a registration has expired.
    pub(crate) fn deregistration_response(
        &mut self,
        now: Instant,
        response: &DeregistrationResponse<'_>,
    ) -> Result<Option<ElementEvent>, RecvError> {
        let at = self.by_name(&response.pool_handle, response.id, |_| true).ok_or(RecvError::Unexpected)?;
        let key = self.key(at);
        let cause = response.error.as_ref().and_then(|error| error.code());
        let slot = self.slots.at_mut(at);
        match (slot.state, cause) {
            (State::AwaitingDeregistration(_), None) => {
                let id = slot.id;
                self.slots.release(at);
                Ok(Some(ElementEvent::Deregistered { element: key, id }))
            }
            (State::AwaitingDeregistration(_), Some(cause)) => {
                slot.state = State::Stopped;
                Ok(Some(ElementEvent::Rejected { element: key, cause }))
            }
            // The registrar does not know us any more, but we want to go on.
            (State::Registered(_), _) => {
                slot.state = State::Registering;
                slot.told = false;
                self.wake_at(now);
                Ok(Some(ElementEvent::Expired(key)))
            }
            _ => Err(RecvError::Unexpected),
        }
    }

    /// KA1 and KA2 (RFC 5352, 3.4 and 2.2.7): which elements are to be acknowledged. `Err`: the pool handle is none of
    /// ours, and the message is discarded.
    pub(crate) fn keep_alive(
        &mut self,
        now: Instant,
        assoc: AssocId,
        message: &EndpointKeepAlive<'_>,
    ) -> Result<(), RecvError> {
        let mut at = Idx::NIL;
        let mut any = false;
        while let Some(next) = self.slots.after(at) {
            at = next;
            let matches = self.handle(at) == message.pool_handle.as_bytes();
            let slot = self.slots.at_mut(at);
            // Without an identifier all our elements of the pool are meant.
            if slot.state != State::Free && slot.known && matches && message.id.is_none_or(|id| id == slot.id) {
                slot.ack_to = Some(assoc);
                any = true;
            }
        }
        if !any {
            return Err(RecvError::Unexpected);
        }
        self.wake_at(now);
        Ok(())
    }

    pub(crate) fn closed(&mut self, assoc: AssocId) {
        let mut at = Idx::NIL;
        while let Some(next) = self.slots.after(at) {
            at = next;
            let slot = self.slots.at_mut(at);
            if slot.ack_to == Some(assoc) {
                slot.ack_to = None;
            }
        }
    }

    fn by_name(&self, handle: &PoolHandle<'_>, id: PeId, wanted: impl Fn(&Registration) -> bool) -> Option<Idx> {
        self.iter().find(|at| {
            let slot = self.slots.at(*at);
            slot.id == id && wanted(slot) && self.handle(*at) == handle.as_bytes()
        })
    }

    /// The next thing to do.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        config: &EndpointConfig,
        home: Option<Home>,
        buf: &mut [u8],
    ) -> Option<Step> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        self.due = None;
        let mut at = Idx::NIL;
        while let Some(next) = self.slots.after(at) {
            at = next;
            if let Some(step) = self.poll_one(now, config, home, at, buf) {
                self.wake_at(now);
                return Some(step);
            }
        }
        None
    }

    fn poll_one(
        &mut self,
        now: Instant,
        config: &EndpointConfig,
        home: Option<Home>,
        at: Idx,
        buf: &mut [u8],
    ) -> Option<Step> {
        if let Some(to) = self.slots.at(at).ack_to {
            let sent = self.emit_ack(at, buf);
            if sent.is_ok() {
                self.slots.at_mut(at).ack_to = None;
            }
            return Some(sent.map_or_else(Step::Failed, |len| Step::Send(to, len)));
        }
        let key = self.key(at);
        let slot = self.slots.at_mut(at);
        match slot.state {
            State::Free | State::Stopped => None,
            State::AwaitingRegistration(until) | State::AwaitingDeregistration(until) if until <= now => {
                let leaving = matches!(slot.state, State::AwaitingDeregistration(_));
                slot.state = if leaving { State::Deregistering } else { State::Registering };
                slot.attempts = slot.attempts.saturating_add(1);
                if slot.attempts <= config.max_reg_attempt {
                    // RFC 5352, 3.1 and 3.2: T2 or T3 expired; another registrar is looked for.
                    return Some(Step::DropHome);
                }
                // MAX-REG-ATTEMPT is exceeded: the application is told, and the attempts stop.
                slot.attempts = 0;
                if leaving {
                    let id = slot.id;
                    self.slots.release(at);
                    return Some(Step::Tell(ElementEvent::Deregistered { element: key, id }));
                }
                slot.state = State::Stopped;
                slot.told = false;
                Some(Step::Tell(ElementEvent::NoAnswer(key)))
            }
            State::Registered(t4) if t4 <= now => {
                slot.state = State::Registering;
                slot.attempts = 0;
                self.send(now, config, home, at, buf)
            }
            State::AwaitingRegistration(until) | State::AwaitingDeregistration(until) | State::Registered(until) => {
                self.wake_at(until);
                None
            }
            // It was never sent anywhere, so there is nothing to take back.
            State::Deregistering if !slot.known => {
                let id = slot.id;
                self.slots.release(at);
                Some(Step::Tell(ElementEvent::Deregistered { element: key, id }))
            }
            State::Registering | State::Deregistering => self.send(now, config, home, at, buf),
        }
    }

    /// R3 and R4, D3 and D4: sends and starts T2 or T3.
    fn send(
        &mut self,
        now: Instant,
        config: &EndpointConfig,
        home: Option<Home>,
        at: Idx,
        buf: &mut [u8],
    ) -> Option<Step> {
        let leaving = self.slots.at(at).state == State::Deregistering;
        let Some(home) = home else {
            if leaving {
                // T3 runs without a home as well, so that to leave comes to an end where no registrar can be reached.
                let until = now + config.t3_deregistration;
                self.slots.at_mut(at).state = State::AwaitingDeregistration(until);
                self.wake_at(until);
            }
            return None;
        };
        let sent = if leaving { self.emit_deregistration(at, buf) } else { self.emit_registration(at, home.id, buf) };
        let len = match sent {
            Ok(len) => len,
            Err(error) => return Some(Step::Failed(error)),
        };
        let slot = self.slots.at_mut(at);
        slot.state = if leaving {
            State::AwaitingDeregistration(now + config.t3_deregistration)
        } else {
            slot.known = true;
            slot.changed = false;
            State::AwaitingRegistration(now + config.t2_registration)
        };
        Some(Step::Send(home.assoc, len))
    }

    fn emit_registration(&self, at: Idx, home: ServerId, buf: &mut [u8]) -> Result<usize, EmitError> {
        let (Some(pool_handle), Some(element)) = (PoolHandle::new(self.handle(at)), self.element(at, home)) else {
            return Err(EmitError::TooLong);
        };
        AsapMessage::from(RegistrationMessage { pool_handle, element }).emit(buf).map(<[u8]>::len)
    }

    /// RFC 5352, 2.2.2; D1 and D2.
    fn emit_deregistration(&self, at: Idx, buf: &mut [u8]) -> Result<usize, EmitError> {
        let pool_handle = PoolHandle::new(self.handle(at)).ok_or(EmitError::TooLong)?;
        AsapMessage::from(Deregistration { pool_handle, id: self.slots.at(at).id }).emit(buf).map(<[u8]>::len)
    }

    fn emit_ack(&self, at: Idx, buf: &mut [u8]) -> Result<usize, EmitError> {
        let pool_handle = PoolHandle::new(self.handle(at)).ok_or(EmitError::TooLong)?;
        AsapMessage::from(EndpointKeepAliveAck { pool_handle, id: self.slots.at(at).id }).emit(buf).map(<[u8]>::len)
    }

    fn iter(&self) -> impl Iterator<Item = Idx> + use<'_, 's> {
        let mut at = Idx::NIL;
        core::iter::from_fn(move || {
            loop {
                at = self.slots.after(at)?;
                if self.slots.at(at).state != State::Free {
                    return Some(at);
                }
            }
        })
    }
}

/// Whether a registration of this element fits into a message.
fn can_be_sent(pool_handle: PoolHandle<'_>, element: PoolElementParam<'_>) -> bool {
    AsapMessage::from(RegistrationMessage { pool_handle, element }).emit(&mut []) != Err(EmitError::TooLong)
}
