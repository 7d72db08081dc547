//! The answer that the message just taken up calls for. It is made in `poll`.

use super::Registrar;
use crate::handlespace::{ElementRef, PoolRef};
use crate::wire::asap::{DeregistrationResponse, HandleResolutionResponse, RegistrationResponse};
use crate::wire::cause::Cause;
use crate::wire::{AsapMessage, EmitError, List, OperationError, PoolHandle};
use crate::{AssocId, PeId};

/// An answer, without the pool handle that it repeats: that is in the machine's scratch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) to: AssocId,
    pub(super) kind: ReplyKind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ReplyKind {
    Registration {
        id: PeId,
        refused: Option<Refusal>,
    },
    Deregistration {
        id: PeId,
        refused: Option<Refusal>,
    },
    /// The elements are selected when the answer is first tried, and only then: a buffer that is too small must not
    /// cost the pool a turn.
    Resolution {
        pool: PoolRef,
        max: usize,
        accepts_updates: bool,
        selected: Option<usize>,
    },
    NoResolution {
        refused: Refusal,
    },
}

/// Why something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Cause 0x0: invalid values in a parameter that is too long to be shown.
    Unspecified,
    /// Cause 0x0: registration over TCP is switched off.
    TcpOff,
    /// Cause 0x3, with the offending parameter, which the machine keeps.
    InvalidValues,
    /// Cause 0x4.
    NonUniqueId,
    /// Cause 0x5, with the pool's policy, which an element of it shows.
    Policy(ElementRef),
    /// Cause 0x6.
    LackOfResources,
    /// Cause 0x7, with a transport of the pool.
    Transport(ElementRef),
    /// Cause 0x8.
    ControlChannel,
    /// Cause 0x9.
    UnknownPool,
    /// Cause 0xa: it belongs to somebody else.
    Security,
}

impl Registrar<'_> {
    fn cause(&self, refusal: Refusal) -> Cause<'_> {
        match refusal {
            Refusal::Unspecified | Refusal::TcpOff => Cause::Unspecified,
            Refusal::InvalidValues => Cause::InvalidValues(self.offending.get()),
            Refusal::NonUniqueId => Cause::NonUniquePeId,
            Refusal::Policy(element) => Cause::InconsistentPolicy(self.handlespace.policy_bytes(element)),
            Refusal::LackOfResources => Cause::LackOfResources,
            Refusal::Transport(element) => Cause::InconsistentTransport(self.handlespace.user_transport_bytes(element)),
            Refusal::ControlChannel => Cause::InconsistentControlChannel,
            Refusal::UnknownPool => Cause::UnknownPoolHandle,
            Refusal::Security => Cause::RejectedForSecurity,
        }
    }

    /// Writes the pending answer; it is forgotten once it is written.
    pub(super) fn emit_reply(&mut self, buf: &mut [u8]) -> Option<Result<(AssocId, usize), EmitError>> {
        let mut reply = self.reply?;
        if let ReplyKind::Resolution { pool, max, selected: selected @ None, .. } = &mut reply.kind {
            *selected = Some(self.handlespace.select(*pool, *max).len());
            self.reply = Some(reply);
        }
        let mut written = self.write_reply(reply.kind, buf);
        if written == Err(EmitError::TooLong)
            && let ReplyKind::Resolution { accepts_updates, .. } = reply.kind
        {
            // All elements have weight 0, or full load, or none fits beside the pool handle: there is nobody to name, and
            // an answer without elements is a negative one (RFC 5352, 2.2.6).
            if accepts_updates {
                self.unsubscribe(reply.to);
            }
            reply.kind = ReplyKind::NoResolution { refused: Refusal::LackOfResources };
            self.reply = Some(reply);
            written = self.write_reply(reply.kind, buf);
        }
        match written {
            Err(EmitError::BufferTooSmall { .. }) => {}
            Ok(_) => {
                self.reply = None;
                self.count_reply(reply.kind);
            }
            Err(EmitError::TooLong) => {
                // The pool handle alone fills a message, so that no answer can repeat it.
                self.reply = None;
                self.count_reply(reply.kind);
                self.report.lack_of_resources(reply.to);
                self.limit_report();
            }
        }
        Some(written.map(|len| (reply.to, len)))
    }

    fn count_reply(&mut self, kind: ReplyKind) {
        let stats = &mut self.stats;
        let counter = match kind {
            // Granted ones are counted where it is known whether they are new.
            ReplyKind::Registration { refused: None, .. } => return,
            ReplyKind::Registration { refused: Some(_), .. } => &mut stats.registrations_rejected,
            ReplyKind::Deregistration { refused: None, .. } => &mut stats.deregistrations,
            ReplyKind::Deregistration { refused: Some(_), .. } => &mut stats.deregistrations_rejected,
            ReplyKind::Resolution { .. } => &mut stats.resolutions,
            ReplyKind::NoResolution { .. } => &mut stats.resolutions_rejected,
        };
        *counter = counter.wrapping_add(1);
    }

    fn write_reply(&self, kind: ReplyKind, buf: &mut [u8]) -> Result<usize, EmitError> {
        let pool_handle = PoolHandle::new(self.echo.get()).ok_or(EmitError::TooLong)?;
        let refused = match kind {
            ReplyKind::Registration { refused, .. } | ReplyKind::Deregistration { refused, .. } => refused,
            ReplyKind::NoResolution { refused } => Some(refused),
            ReplyKind::Resolution { .. } => None,
        };
        if let ReplyKind::Resolution { accepts_updates, selected, .. } = kind {
            let selected = self.handlespace.selection(selected.unwrap_or(0));
            return self.write_elements(pool_handle, accepts_updates, selected, buf);
        }
        let cause = refused.map(|refusal| self.cause(refusal));
        match write_response(kind, pool_handle, cause, buf) {
            // What the cause shows does not fit beside the pool handle.
            Err(EmitError::TooLong) => {
                write_response(kind, pool_handle, cause.map(|cause| Cause::new(cause.code(), &[])), buf)
            }
            written => written,
        }
    }
}

/// An answer other than a positive one to a resolution.
fn write_response(
    kind: ReplyKind,
    pool_handle: PoolHandle<'_>,
    cause: Option<Cause<'_>>,
    buf: &mut [u8],
) -> Result<usize, EmitError> {
    let causes = cause.map(|cause| [cause]);
    let error = causes.as_ref().map(|causes| OperationError::new(causes));
    let message = match kind {
        ReplyKind::Registration { id, .. } => {
            AsapMessage::from(RegistrationResponse { rejected: error.is_some(), pool_handle, id, error })
        }
        ReplyKind::Deregistration { id, .. } => AsapMessage::from(DeregistrationResponse { pool_handle, id, error }),
        ReplyKind::NoResolution { .. } | ReplyKind::Resolution { .. } => negative(pool_handle, error),
    };
    message.emit(buf).map(<[u8]>::len)
}

/// A handle resolution response without elements.
pub(super) fn negative<'a>(pool_handle: PoolHandle<'a>, error: Option<OperationError<'a>>) -> AsapMessage<'a> {
    AsapMessage::from(HandleResolutionResponse {
        accepts_updates: false,
        pool_handle,
        policy: None,
        elements: List::empty(),
        error,
    })
}
