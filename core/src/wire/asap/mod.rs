//! The ASAP messages (RFC 5352, 2.2), one file each.

mod business_card;
mod cookie;
mod deregistration;
mod endpoint_keep_alive;
mod endpoint_unreachable;
mod error;
mod handle_resolution;
mod registration;
mod server_announce;

pub use business_card::BusinessCard;
pub use cookie::{Cookie, CookieEcho};
pub use deregistration::{Deregistration, DeregistrationResponse};
pub use endpoint_keep_alive::{EndpointKeepAlive, EndpointKeepAliveAck};
pub use endpoint_unreachable::EndpointUnreachable;
pub use error::AsapError;
pub use handle_resolution::{HandleResolution, HandleResolutionResponse};
pub(crate) use registration::unusable_registration;
pub use registration::{Registration, RegistrationResponse};
pub use server_announce::ServerAnnounce;

use super::error::{EmitError, ParseError};
use super::message::{Parsed, RawMessage};
use super::reader::{Params, Reports};
use super::writer::Writer;

/// What each message type can do.
trait Body<'a>: Sized {
    const TYPE: u8;

    /// Reads the value; `params` stands at its first parameter for messages that begin with one.
    fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>>;

    fn flags(&self) -> u8 {
        0
    }

    fn emit_value(&self, w: &mut Writer<'_>);
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident: $body:ident $(<$life:lifetime>)?,)*) => {
        /// Any ASAP message.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum AsapMessage<'a> {
            $($(#[$doc])* $name($body $(<$life>)?),)*
        }

        impl<'a> AsapMessage<'a> {
            /// Reads one message that fills `bytes` but for its padding.
            ///
            /// # Errors
            /// The bytes are malformed, or contain something unknown whose type says "stop".
            pub fn parse(bytes: &'a [u8]) -> Result<Parsed<'a, Self>, ParseError<'a>> {
                let raw = RawMessage::parse(bytes)?;
                let mut reports = Reports::new();
                let message = match raw.ty {
                    $(<$body $(<$life>)? as Body<'a>>::TYPE => {
                        let mut params = Params::new(raw.value, &mut reports);
                        let body = <$body $(<$life>)? as Body<'a>>::parse(&raw, &mut params).map_err(|e| e.about(raw.whole))?;
                        params.finish()?;
                        AsapMessage::$name(body)
                    })*
                    _ => return Err(raw.unknown()),
                };
                Ok(Parsed { message, reports })
            }

            /// The message type (RFC 5352, 2.2).
            pub const fn message_type(&self) -> u8 {
                match self {
                    $(AsapMessage::$name(_) => <$body $(<$life>)? as Body<'a>>::TYPE,)*
                }
            }

            /// The message's name in RFC 5352, without `ASAP_`.
            pub const fn name(&self) -> &'static str {
                name(self.message_type())
            }

            fn write(&self, w: &mut Writer<'_>) {
                match self {
                    $(AsapMessage::$name(body) => w.message(self.message_type(), body.flags(), |w| body.emit_value(w)),)*
                }
            }
        }

        $(impl<'a> From<$body $(<$life>)?> for AsapMessage<'a> {
            fn from(body: $body $(<$life>)?) -> Self {
                AsapMessage::$name(body)
            }
        })*
    };
}

messages! {
    /// 0x01
    Registration: Registration<'a>,
    /// 0x02
    Deregistration: Deregistration<'a>,
    /// 0x03
    RegistrationResponse: RegistrationResponse<'a>,
    /// 0x04
    DeregistrationResponse: DeregistrationResponse<'a>,
    /// 0x05
    HandleResolution: HandleResolution<'a>,
    /// 0x06
    HandleResolutionResponse: HandleResolutionResponse<'a>,
    /// 0x07
    EndpointKeepAlive: EndpointKeepAlive<'a>,
    /// 0x08
    EndpointKeepAliveAck: EndpointKeepAliveAck<'a>,
    /// 0x09
    EndpointUnreachable: EndpointUnreachable<'a>,
    /// 0x0a
    ServerAnnounce: ServerAnnounce<'a>,
    /// 0x0b
    Cookie: Cookie<'a>,
    /// 0x0c
    CookieEcho: CookieEcho<'a>,
    /// 0x0d
    BusinessCard: BusinessCard<'a>,
    /// 0x0e
    Error: AsapError<'a>,
}

impl AsapMessage<'_> {
    /// Writes the message and its padding to the front of `buf` and returns what it wrote.
    ///
    /// # Errors
    /// The buffer is too small, or the message too long for its length field.
    pub fn emit<'b>(&self, buf: &'b mut [u8]) -> Result<&'b [u8], EmitError> {
        let mut w = Writer::new(buf);
        self.write(&mut w);
        w.finish()
    }

    /// How many bytes [`AsapMessage::emit`] writes, padding included.
    pub fn encoded_len(&self) -> usize {
        let mut w = Writer::new(&mut []);
        self.write(&mut w);
        w.len()
    }
}

const fn name(ty: u8) -> &'static str {
    match ty {
        0x01 => "REGISTRATION",
        0x02 => "DEREGISTRATION",
        0x03 => "REGISTRATION_RESPONSE",
        0x04 => "DEREGISTRATION_RESPONSE",
        0x05 => "HANDLE_RESOLUTION",
        0x06 => "HANDLE_RESOLUTION_RESPONSE",
        0x07 => "ENDPOINT_KEEP_ALIVE",
        0x08 => "ENDPOINT_KEEP_ALIVE_ACK",
        0x09 => "ENDPOINT_UNREACHABLE",
        0x0a => "SERVER_ANNOUNCE",
        0x0b => "COOKIE",
        0x0c => "COOKIE_ECHO",
        0x0d => "BUSINESS_CARD",
        0x0e => "ERROR",
        _ => "unknown",
    }
}
