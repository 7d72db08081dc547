//! Cookie (RFC 5354, 3.13): a byte string, perhaps an empty one.

use super::COOKIE;
use crate::wire::error::ParseError;
use crate::wire::reader::Params;
use crate::wire::writer::Writer;

pub(crate) fn cookie<'a>(params: &mut Params<'a, '_>) -> Result<&'a [u8], ParseError<'a>> {
    Ok(params.required(COOKIE)?.value)
}

pub(crate) fn emit_cookie(w: &mut Writer<'_>, cookie: &[u8]) {
    w.tlv(COOKIE, |w| w.bytes(cookie));
}
