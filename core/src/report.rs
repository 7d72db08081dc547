//! Reports of what was not understood (RFC 5354, 3 and 4; RFC 5352, 2.2.14).

use arrayvec::ArrayVec;

use crate::AssocId;
use crate::bounded;
use crate::scratch::Scratch;
use crate::wire::asap::AsapError;
use crate::wire::cause::Cause;
use crate::wire::{AsapMessage, EmitError, MAX_REPORTS, OperationError, ParseError, ParseErrorKind, Reports, items};

/// An ASAP_ERROR that waits to be sent.
#[derive(Debug)]
pub(crate) struct PendingReport<'s> {
    to: Option<AssocId>,
    kind: Kind,
    scratch: Scratch<'s>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The scratch holds parameters one after the other, each padded.
    Parameters,
    Message,
    Invalid,
    LackOfResources,
}

impl<'s> PendingReport<'s> {
    pub(crate) fn new(scratch: Scratch<'s>) -> Self {
        PendingReport { to: None, kind: Kind::Message, scratch }
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.to.is_some()
    }

    /// Takes up what a parse error of `message` asks to be reported to the sender, if anything.
    pub(crate) fn parse_error(&mut self, to: AssocId, message: &[u8], error: &ParseError<'_>) {
        match error.kind {
            _ if is_asap_error(message) => {}
            ParseErrorKind::UnknownParameter { report: true, .. } => self.set(to, Kind::Parameters, error.item),
            ParseErrorKind::UnknownMessage { report: true, .. } => self.set(to, Kind::Message, error.item),
            // RFC 5354, 3.12.4: the offending TLV is included; a message is none.
            ParseErrorKind::InvalidValue if error.item.len() >= 4 => self.set(to, Kind::Invalid, error.item),
            _ => {}
        }
    }

    /// Takes up the parameters of a message that was processed all the same.
    pub(crate) fn reports(&mut self, to: AssocId, message: &[u8], reports: &Reports<'_>) {
        if is_asap_error(message) {
            return;
        }
        // Several parameters lie scattered in the message; the first ones that fit together are reported.
        if let Some(first) = reports.first() {
            self.set(to, Kind::Parameters, first);
            for item in reports.iter().skip(1) {
                if !self.scratch.append_padded(item) {
                    debug!("no room to report another unrecognised parameter of {} bytes", item.len());
                }
            }
        }
    }

    /// Tells the peer that a limit is reached.
    pub(crate) fn lack_of_resources(&mut self, to: AssocId) {
        self.set(to, Kind::LackOfResources, &[]);
    }

    fn set(&mut self, to: AssocId, kind: Kind, item: &[u8]) {
        if self.scratch.set(item) {
            self.to = Some(to);
            self.kind = kind;
        } else {
            debug!("no room to report an unrecognised item of {} bytes", item.len());
        }
    }

    /// The association is gone, and with it whom to tell.
    pub(crate) fn closed(&mut self, assoc: AssocId) {
        if self.to == Some(assoc) {
            self.to = None;
        }
    }

    /// Writes the report, if one is pending, and forgets it once it is written.
    pub(crate) fn emit(&mut self, buf: &mut [u8]) -> Option<Result<(AssocId, usize), EmitError>> {
        let to = self.to?;
        let item = self.scratch.get();
        let causes: ArrayVec<Cause<'_>, MAX_REPORTS> = match self.kind {
            Kind::Parameters => bounded::first(items(item).map(Cause::UnrecognizedParameter)),
            Kind::Message => bounded::first(core::iter::once(Cause::UnrecognizedMessage(item))),
            Kind::Invalid => bounded::first(core::iter::once(Cause::InvalidValues(item))),
            Kind::LackOfResources => bounded::first(core::iter::once(Cause::LackOfResources)),
        };
        let message = AsapMessage::from(AsapError { error: OperationError::new(&causes) });
        match message.emit(buf) {
            Ok(bytes) => {
                self.to = None;
                Some(Ok((to, bytes.len())))
            }
            Err(error) => {
                if error == EmitError::TooLong {
                    self.to = None;
                }
                Some(Err(error))
            }
        }
    }
}

/// An error message is never answered by one: two peers would go on for ever.
fn is_asap_error(message: &[u8]) -> bool {
    message.first() == Some(&0x0e)
}
