//! Reports of what was not understood (RFC 5354, 3 and 4; RFC 5352, 2.2.14).

use arrayvec::ArrayVec;

use crate::bounded;
use crate::scratch::Scratch;
use crate::wire::asap::AsapError;
use crate::wire::cause::Cause;
use crate::wire::enrp::EnrpError;
use crate::wire::{
    AsapMessage, EmitError, EnrpMessage, MAX_REPORTS, OperationError, ParseError, ParseErrorKind, Reports, items,
};
use crate::{AssocId, Ppid, ServerId};

/// An ASAP_ERROR or ENRP_ERROR that waits to be sent.
#[derive(Debug)]
pub(crate) struct PendingReport<'s> {
    to: Option<AssocId>,
    ppid: Ppid,
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
        PendingReport { to: None, ppid: Ppid::Asap, kind: Kind::Message, scratch }
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.to.is_some()
    }

    /// To whom, and in which protocol.
    pub(crate) fn pending(&self) -> Option<(AssocId, Ppid)> {
        self.to.map(|to| (to, self.ppid))
    }

    /// Takes up what a parse error of `message` asks to be reported to the sender, if anything.
    pub(crate) fn parse_error(&mut self, ppid: Ppid, to: AssocId, message: &[u8], error: &ParseError<'_>) {
        let kind = match error.kind {
            _ if is_error(ppid, message) => return,
            ParseErrorKind::UnknownParameter { report: true, .. } => Kind::Parameters,
            ParseErrorKind::UnknownMessage { report: true, .. } => Kind::Message,
            // RFC 5354, 3.12.4: the offending TLV is included; a message is none.
            ParseErrorKind::InvalidValue if error.item.len() >= 4 => Kind::Invalid,
            _ => return,
        };
        self.set(ppid, to, kind, error.item);
    }

    /// Takes up the parameters of a message that was processed all the same.
    pub(crate) fn reports(&mut self, ppid: Ppid, to: AssocId, message: &[u8], reports: &Reports<'_>) {
        if is_error(ppid, message) {
            return;
        }
        // Several parameters lie scattered in the message; the first ones that fit together are reported.
        if let Some(first) = reports.first() {
            self.set(ppid, to, Kind::Parameters, first);
            for item in reports.iter().skip(1) {
                if !self.scratch.append_padded(item) {
                    debug!("no room to report another unrecognised parameter of {} bytes", item.len());
                }
            }
        }
    }

    /// Tells the peer that a limit is reached.
    pub(crate) fn lack_of_resources(&mut self, to: AssocId) {
        self.set(Ppid::Asap, to, Kind::LackOfResources, &[]);
    }

    fn set(&mut self, ppid: Ppid, to: AssocId, kind: Kind, item: &[u8]) {
        if self.scratch.set(item) {
            self.to = Some(to);
            self.ppid = ppid;
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

    /// Writes the report, if one is pending, and forgets it once it is written. In ENRP it names its sender and receiver.
    pub(crate) fn emit(
        &mut self,
        sender: ServerId,
        receiver: ServerId,
        buf: &mut [u8],
    ) -> Option<Result<(AssocId, usize), EmitError>> {
        let to = self.to?;
        let item = self.scratch.get();
        let causes: ArrayVec<Cause<'_>, MAX_REPORTS> = match self.kind {
            Kind::Parameters => bounded::first(items(item).map(Cause::UnrecognizedParameter)),
            Kind::Message => bounded::first(core::iter::once(Cause::UnrecognizedMessage(item))),
            Kind::Invalid => bounded::first(core::iter::once(Cause::InvalidValues(item))),
            Kind::LackOfResources => bounded::first(core::iter::once(Cause::LackOfResources)),
        };
        let error = OperationError::new(&causes);
        let written = match self.ppid {
            Ppid::Asap => AsapMessage::from(AsapError { error }).emit(buf),
            Ppid::Enrp => EnrpMessage { sender, receiver, body: EnrpError { error }.into() }.emit(buf),
        };
        match written.map(<[u8]>::len) {
            Ok(len) => {
                self.to = None;
                Some(Ok((to, len)))
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
fn is_error(ppid: Ppid, message: &[u8]) -> bool {
    let ty = match ppid {
        Ppid::Asap => 0x0e,
        Ppid::Enrp => 0x0a,
    };
    message.first() == Some(&ty)
}
