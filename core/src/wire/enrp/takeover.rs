//! ENRP_INIT_TAKEOVER, ENRP_INIT_TAKEOVER_ACK and ENRP_TAKEOVER_SERVER (RFC 5353, 2.7 to 2.9).
//!
//! ```text
//! |Type=0x07..0x09|0|0|0|0|0|0|0|0|        Message Length         |
//! |                      Targeting Server's ID                    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::Body;
use crate::ServerId;
use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::message::RawMessage;
use crate::wire::primitives::{be_u32, or_invalid};
use crate::wire::reader::Params;
use crate::wire::writer::Writer;

macro_rules! takeover_message {
    ($(#[$doc:meta])* $name:ident = $ty:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name {
            /// The registrar that is to be taken over.
            pub target: ServerId,
        }

        impl<'a> Body<'a> for $name {
            const TYPE: u8 = $ty;

            fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
                let (rest, target) = or_invalid(be_u32(params.rest()), ParseErrorKind::Truncated, raw.whole)?;
                params.skip_to(rest);
                Ok($name { target: ServerId(target) })
            }

            fn emit_value(&self, w: &mut Writer<'_>) {
                w.u32(self.target.0);
            }
        }
    };
}

takeover_message! {
    /// A registrar wants to take over a peer that seems dead.
    InitTakeover = 0x07
}

takeover_message! {
    /// A peer does not object.
    InitTakeoverAck = 0x08
}

takeover_message! {
    /// The takeover is done.
    TakeoverServer = 0x09
}
