//! A message of either protocol.

use rserpool_core::Ppid;
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::enrp::EnrpBody;
use rserpool_core::wire::{AsapMessage, EmitError, EnrpMessage, ParseError, Parsed};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message<'a> {
    Asap(AsapMessage<'a>),
    Enrp(EnrpMessage<'a>),
}

impl<'a> Message<'a> {
    pub fn parse(ppid: Ppid, bytes: &'a [u8]) -> Result<Parsed<'a, Self>, ParseError<'a>> {
        match ppid {
            Ppid::Asap => {
                AsapMessage::parse(bytes).map(|p| Parsed { message: Message::Asap(p.message), reports: p.reports })
            }
            Ppid::Enrp => {
                EnrpMessage::parse(bytes).map(|p| Parsed { message: Message::Enrp(p.message), reports: p.reports })
            }
        }
    }

    pub fn ppid(&self) -> Ppid {
        match self {
            Message::Asap(_) => Ppid::Asap,
            Message::Enrp(_) => Ppid::Enrp,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Message::Asap(message) => message.name(),
            Message::Enrp(message) => message.name(),
        }
    }

    /// What an error message tells, in any other one nothing.
    pub fn causes(&self) -> impl Iterator<Item = Cause<'a>> {
        let error = match self {
            Message::Asap(AsapMessage::Error(message)) => Some(message.error),
            Message::Enrp(EnrpMessage { body: EnrpBody::Error(message), .. }) => Some(message.error),
            _ => None,
        };
        error.into_iter().flat_map(|error| error.causes())
    }

    pub fn emit<'b>(&self, buf: &'b mut [u8]) -> Result<&'b [u8], EmitError> {
        match self {
            Message::Asap(message) => message.emit(buf),
            Message::Enrp(message) => message.emit(buf),
        }
    }

    pub fn encoded_len(&self) -> usize {
        match self {
            Message::Asap(message) => message.encoded_len(),
            Message::Enrp(message) => message.encoded_len(),
        }
    }

    /// What is emitted, of the length that was predicted; `None` where the message is too long for its length field. It
    /// is written over ones, so that a byte that is left out shows.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let mut buf = vec![0xff; self.encoded_len()];
        match self.emit(&mut buf) {
            Ok(emitted) => assert_eq!(emitted.len(), buf.len(), "the length was predicted"),
            Err(EmitError::TooLong) => return None,
            Err(error) => panic!("{error}"),
        }
        Some(buf)
    }
}
