//! The ENRP messages (RFC 5353, 2), one file each. What is not known in them is treated as in ASAP (RFC 5353, 3.7).

mod error;
mod handle_table;
mod handle_update;
mod list;
mod presence;
mod takeover;

pub use error::EnrpError;
pub use handle_table::{HandleTableEntry, HandleTableRequest, HandleTableResponse, PoolEntries};
pub use handle_update::{HandleUpdate, UpdateAction};
pub use list::{ListRequest, ListResponse};
pub use presence::Presence;
pub use takeover::{InitTakeover, InitTakeoverAck, TakeoverServer};

use super::error::{EmitError, ParseError, ParseErrorKind};
use super::message::{Parsed, RawMessage};
use super::primitives::{be_u32, or_invalid};
use super::reader::{Params, Reports};
use super::writer::Writer;
use crate::ServerId;

/// What each message type can do.
trait Body<'a>: Sized {
    const TYPE: u8;

    /// Reads what follows the two server identifiers.
    fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>>;

    fn flags(&self) -> u8 {
        0
    }

    fn emit_value(&self, w: &mut Writer<'_>);
}

/// Any ENRP message. All begin with the identifiers of sender and receiver.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Message Type  |   Msg Flags   |        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                     Sending Server's ID                       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                    Receiving Server's ID                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnrpMessage<'a> {
    /// The sender.
    pub sender: ServerId,
    /// The receiver; [`ServerId::NONE`] where nobody in particular is meant.
    pub receiver: ServerId,
    /// The rest.
    pub body: EnrpBody<'a>,
}

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident: $body:ident $(<$life:lifetime>)?,)*) => {
        /// What an ENRP message says.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum EnrpBody<'a> {
            $($(#[$doc])* $name($body $(<$life>)?),)*
        }

        impl<'a> EnrpBody<'a> {
            fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
                Ok(match raw.ty {
                    $(<$body $(<$life>)? as Body<'a>>::TYPE => {
                        EnrpBody::$name(<$body $(<$life>)? as Body<'a>>::parse(raw, params)?)
                    })*
                    _ => return Err(raw.unknown()),
                })
            }

            /// The message type (RFC 5353, 2).
            pub const fn message_type(&self) -> u8 {
                match self {
                    $(EnrpBody::$name(_) => <$body $(<$life>)? as Body<'a>>::TYPE,)*
                }
            }

            fn flags(&self) -> u8 {
                match self {
                    $(EnrpBody::$name(body) => body.flags(),)*
                }
            }

            fn emit_value(&self, w: &mut Writer<'_>) {
                match self {
                    $(EnrpBody::$name(body) => body.emit_value(w),)*
                }
            }
        }

        $(impl<'a> From<$body $(<$life>)?> for EnrpBody<'a> {
            fn from(body: $body $(<$life>)?) -> Self {
                EnrpBody::$name(body)
            }
        })*
    };
}

messages! {
    /// 0x01
    Presence: Presence<'a>,
    /// 0x02
    HandleTableRequest: HandleTableRequest,
    /// 0x03
    HandleTableResponse: HandleTableResponse<'a>,
    /// 0x04
    HandleUpdate: HandleUpdate<'a>,
    /// 0x05
    ListRequest: ListRequest,
    /// 0x06
    ListResponse: ListResponse<'a>,
    /// 0x07
    InitTakeover: InitTakeover,
    /// 0x08
    InitTakeoverAck: InitTakeoverAck,
    /// 0x09
    TakeoverServer: TakeoverServer,
    /// 0x0a
    Error: EnrpError<'a>,
}

impl<'a> EnrpMessage<'a> {
    /// Reads one message that fills `bytes` but for its padding.
    ///
    /// # Errors
    /// The bytes are malformed, or contain something unknown whose type says "stop".
    pub fn parse(bytes: &'a [u8]) -> Result<Parsed<'a, Self>, ParseError<'a>> {
        let raw = RawMessage::parse(bytes)?;
        if !matches!(raw.ty, 0x01..=0x0a) {
            return Err(raw.unknown());
        }
        let (rest, sender) = or_invalid(be_u32(raw.value), ParseErrorKind::Truncated, raw.whole)?;
        let (rest, receiver) = or_invalid(be_u32(rest), ParseErrorKind::Truncated, raw.whole)?;
        let mut reports = Reports::new();
        let mut params = Params::new(rest, &mut reports);
        let body = EnrpBody::parse(&raw, &mut params).map_err(|e| e.about(raw.whole))?;
        params.finish()?;
        let message = EnrpMessage { sender: ServerId(sender), receiver: ServerId(receiver), body };
        Ok(Parsed { message, reports })
    }

    /// The message type (RFC 5353, 2).
    pub const fn message_type(&self) -> u8 {
        self.body.message_type()
    }

    /// The message's name in RFC 5353, without `ENRP_`.
    pub const fn name(&self) -> &'static str {
        name(self.message_type())
    }

    /// Writes the message and its padding to the front of `buf` and returns what it wrote.
    ///
    /// # Errors
    /// The buffer is too small, or the message too long for its length field.
    pub fn emit<'b>(&self, buf: &'b mut [u8]) -> Result<&'b [u8], EmitError> {
        let mut w = Writer::new(buf);
        self.write(&mut w);
        w.finish()
    }

    /// How many bytes [`EnrpMessage::emit`] writes, padding included.
    pub fn encoded_len(&self) -> usize {
        let mut w = Writer::new(&mut []);
        self.write(&mut w);
        w.len()
    }

    fn write(&self, w: &mut Writer<'_>) {
        w.message(self.message_type(), self.body.flags(), |w| {
            w.u32(self.sender.0);
            w.u32(self.receiver.0);
            self.body.emit_value(w);
        });
    }
}

const fn name(ty: u8) -> &'static str {
    match ty {
        0x01 => "PRESENCE",
        0x02 => "HANDLE_TABLE_REQUEST",
        0x03 => "HANDLE_TABLE_RESPONSE",
        0x04 => "HANDLE_UPDATE",
        0x05 => "LIST_REQUEST",
        0x06 => "LIST_RESPONSE",
        0x07 => "INIT_TAKEOVER",
        0x08 => "INIT_TAKEOVER_ACK",
        0x09 => "TAKEOVER_SERVER",
        0x0a => "ERROR",
        _ => "unknown",
    }
}
