//! ASAP_COOKIE and ASAP_COOKIE_ECHO (RFC 5352, 2.2.11 and 2.2.12).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Type=0x0b, 0x0c|0|0|0|0|0|0|0|0|        Message Length         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! :                         Cookie Parameter                      :
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use super::Body;
use crate::wire::error::ParseError;
use crate::wire::message::RawMessage;
use crate::wire::param::{cookie, emit_cookie};
use crate::wire::reader::Params;
use crate::wire::writer::Writer;

/// A pool element gives its user something to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cookie<'a> {
    /// The cookie.
    pub cookie: &'a [u8],
}

impl<'a> Body<'a> for Cookie<'a> {
    const TYPE: u8 = 0x0b;

    fn parse(_: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        Ok(Cookie { cookie: cookie(params)? })
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        emit_cookie(w, self.cookie);
    }
}

/// The user hands the last cookie to the pool element that takes over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CookieEcho<'a> {
    /// The cookie, unmodified.
    pub cookie: &'a [u8],
}

impl<'a> Body<'a> for CookieEcho<'a> {
    const TYPE: u8 = 0x0c;

    fn parse(_: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        Ok(CookieEcho { cookie: cookie(params)? })
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        emit_cookie(w, self.cookie);
    }
}
