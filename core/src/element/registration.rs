//! The elements of an endpoint: what the application registers, changes and takes back (RFC 5352, 3.1, 3.2, 6.1, 6.2).

use core::net::IpAddr;

use super::event::RegisterError;
use super::storage::POLICY_ROOM;
use crate::arena::{Arena, Idx, Slot};
use crate::blobs::Blobs;
use crate::compat::Dialect;
use crate::rand::Rng;
use crate::rate::Limiter;
use crate::wire::asap::Registration as RegistrationMessage;
use crate::wire::param::replace_address;
use crate::wire::{AsapMessage, EmitError, Lifetime, Policy, PoolElementParam, PoolHandle, Transport};
use crate::{AssocId, Instant, PeId, ServerId};

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
pub(super) enum State {
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
    /// As `Stopped`, but it was a deregistration that was refused: keep-alives are not acknowledged, so that it does not
    /// stay listed.
    Unwanted,
}

/// A place for a pool element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registration {
    pub(super) next_free: Idx,
    pub(super) generation: u32,
    pub(super) state: State,
    /// Whether some registrar has been sent this element: then keep-alives for it are answered.
    pub(super) known: bool,
    /// The values have changed since the registration that is under way was sent.
    pub(super) changed: bool,
    /// The identifier was chosen at random, so another one will do.
    pub(super) random_id: bool,
    /// Whether the application has been told that it is registered.
    pub(super) told: bool,
    pub(super) id: PeId,
    pub(super) lifetime: Lifetime,
    pub(super) handle_len: u16,
    pub(super) transport_len: u16,
    pub(super) policy_len: u16,
    pub(super) attempts: u32,
    /// A keep-alive to be answered.
    pub(super) ack_to: Option<AssocId>,
    pub(super) acks: Limiter,
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
        acks: Limiter::FULL,
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
    pub(super) slots: Arena<'s, Registration>,
    handles: Blobs<'s>,
    transports: Blobs<'s>,
    policies: Blobs<'s>,
    generation: u32,
    /// How many registrations may be sent.
    pub(super) limit: Limiter,
    /// The earliest time at which something is to be done; may be too early.
    pub(super) due: Option<Instant>,
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
            limit: Limiter::FULL,
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
            limit: Limiter::FULL,
            due: None,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    #[cfg_attr(target_os = "none", inline(never))]
    pub(super) fn wake_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    pub(super) fn key(&self, at: Idx) -> ElementKey {
        ElementKey { at, generation: self.slots.at(at).generation }
    }

    fn find(&self, key: ElementKey) -> Option<Idx> {
        let slot = self.slots.at(key.at);
        (slot.state != State::Free && slot.generation == key.generation).then_some(key.at)
    }

    pub(super) fn handle(&self, at: Idx) -> &[u8] {
        self.handles.get(at, usize::from(self.slots.at(at).handle_len))
    }

    pub(super) fn element(&self, at: Idx, home: ServerId) -> Option<PoolElementParam<'_>> {
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
        dialect: Dialect,
        info: &ElementInfo<'_>,
    ) -> Result<ElementKey, RegisterError> {
        let handle = PoolHandle::new(info.pool_handle).ok_or(RegisterError::BadHandle)?;
        let handle_len = u16::try_from(info.pool_handle.len()).map_err(|_| RegisterError::BadHandle)?;
        if !self.handles.fits(info.pool_handle.len()) || !dialect.takes_handle(handle) {
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
        self.slots.at_mut(at).policy_len = policy_len;
        self.values_changed(now, at);
        Ok(())
    }

    /// The host has another address: the elements that are reached at the old one register again.
    pub(crate) fn move_host(&mut self, now: Instant, from: IpAddr, to: IpAddr) {
        let mut next = self.slots.after(Idx::NIL);
        while let Some(at) = next {
            next = self.slots.after(at);
            let slot = self.slots.at(at);
            let lasting = !matches!(slot.state, State::Free | State::Deregistering | State::AwaitingDeregistration(_));
            let len = usize::from(slot.transport_len);
            let transport = self.transports.make(at, len).filter(|_| lasting);
            if transport.is_some_and(|transport| replace_address(transport, from, to)) {
                self.values_changed(now, at);
            }
        }
    }

    /// The registrar is to hear of an element's new values (RFC 5352, 3.1).
    fn values_changed(&mut self, now: Instant, at: Idx) {
        let slot = self.slots.at_mut(at);
        match slot.state {
            State::AwaitingRegistration(_) => slot.changed = true,
            _ => {
                slot.state = State::Registering;
                slot.attempts = 0;
            }
        }
        self.wake_at(now);
    }

    /// Registers at once, with the values as they are.
    pub(crate) fn reregister(&mut self, now: Instant, key: ElementKey) -> Result<(), RegisterError> {
        let at = self.find(key).ok_or(RegisterError::UnknownElement)?;
        let slot = self.slots.at_mut(at);
        match slot.state {
            State::Registered(_) | State::Stopped | State::Unwanted => {
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

    pub(super) fn iter(&self) -> impl Iterator<Item = Idx> + use<'_, 's> {
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
