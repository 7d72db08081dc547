//! What registrars are told and what they say: the messages of registration and deregistration (RFC 5352, 3.1 and 3.2),
//! and the answers to keep-alives (3.4).

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::event::ElementEvent;
use super::registration::{Registration, Registrations, State};
use crate::arena::Idx;
use crate::config::EndpointConfig;
use crate::hunt::Home;
use crate::rand::Rng;
use crate::wire::asap::{
    Deregistration, DeregistrationResponse, EndpointKeepAlive, EndpointKeepAliveAck,
    Registration as RegistrationMessage, RegistrationResponse,
};
use crate::wire::{AsapMessage, EmitError, PoolElementParam, PoolHandle, Transport};
use crate::{AssocId, Instant, PeId, RecvError, ServerId};

/// What the registrations want done.
pub(crate) enum Step {
    /// This many bytes of the buffer are a message to this association.
    Send(AssocId, usize),
    Failed(EmitError),
    Tell(ElementEvent),
    /// T2 or T3 expired: the home counts as failed.
    DropHome,
}

impl Registrations<'_> {
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

    /// A registrar has made itself the home: it knows the element that it has named (RFC 5352, 3.4, KA2.4). Whether it
    /// knows the others is not certain, so they register; and what was under way to the old home is sent again.
    pub(crate) fn adopted(&mut self, now: Instant, message: &EndpointKeepAlive<'_>) {
        let mut at = Idx::NIL;
        while let Some(next) = self.slots.after(at) {
            at = next;
            let named = message.id.is_none_or(|id| id == self.slots.at(at).id)
                && self.handle(at) == message.pool_handle.as_bytes();
            let slot = self.slots.at_mut(at);
            slot.state = match slot.state {
                State::Registered(_) if !named => State::Registering,
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
                slot.state = State::Unwanted;
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
    /// ours, and the message is discarded. An acknowledgement that waits for its turn makes room for one to the home only.
    pub(crate) fn keep_alive(
        &mut self,
        now: Instant,
        assoc: AssocId,
        home: bool,
        message: &EndpointKeepAlive<'_>,
    ) -> Result<(), RecvError> {
        let mut at = Idx::NIL;
        let mut any = false;
        while let Some(next) = self.slots.after(at) {
            at = next;
            let matches = self.handle(at) == message.pool_handle.as_bytes();
            let slot = self.slots.at_mut(at);
            // Without an identifier all our elements of the pool are meant.
            let here = slot.known && !matches!(slot.state, State::Free | State::Unwanted);
            if here && matches && message.id.is_none_or(|id| id == slot.id) {
                if home || slot.ack_to.is_none() {
                    slot.ack_to = Some(assoc);
                }
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
            let rate = config.rates.keep_alive_acks;
            if let Some(until) = self.slots.at(at).acks.wait(rate, now) {
                // RFC 5355, 2.14: a flood of keep-alives does not become one of acknowledgements.
                self.wake_at(until);
            } else {
                let sent = self.emit_ack(at, buf);
                if sent.is_ok() {
                    let slot = self.slots.at_mut(at);
                    slot.ack_to = None;
                    slot.acks.spend(rate, now);
                }
                return Some(sent.map_or_else(Step::Failed, |len| Step::Send(to, len)));
            }
        }
        let key = self.key(at);
        let slot = self.slots.at_mut(at);
        match slot.state {
            State::Free | State::Stopped | State::Unwanted => None,
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
        let rate = config.rates.registrations;
        if let Some(until) = self.limit.wait(rate, now).filter(|_| !leaving) {
            self.wake_at(until);
            return None;
        }
        let sent =
            if leaving { self.emit_deregistration(at, buf) } else { self.emit_registration(at, home.id, config, buf) };
        let len = match sent {
            Ok(len) => len,
            Err(error) => return Some(Step::Failed(error)),
        };
        if !leaving {
            self.limit.spend(rate, now);
        }
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

    /// With the port for registrars, where there is one. Its address says nothing that the association's does not say, so
    /// that of the service will do.
    fn emit_registration(
        &self,
        at: Idx,
        home: ServerId,
        config: &EndpointConfig,
        buf: &mut [u8],
    ) -> Result<usize, EmitError> {
        let (Some(pool_handle), Some(mut element)) = (PoolHandle::new(self.handle(at)), self.element(at, home)) else {
            return Err(EmitError::TooLong);
        };
        element.lifetime = config.compat.asap().lifetime_out(element.lifetime);
        let address = element.user_transport.socket_addrs().next();
        let address = address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        let port = config.asap_port;
        let asap_transport = (port != 0).then(|| Transport::Tcp(SocketAddr::new(address, port)));
        let with_port = PoolElementParam { asap_transport, ..element };
        match AsapMessage::from(RegistrationMessage { pool_handle, element: with_port }).emit(buf).map(<[u8]>::len) {
            Err(EmitError::TooLong) => {
                AsapMessage::from(RegistrationMessage { pool_handle, element }).emit(buf).map(<[u8]>::len)
            }
            emitted => emitted,
        }
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
}
