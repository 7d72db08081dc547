//! Pool Handle (RFC 5354, 3.9).
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         Type = 0x9            |       Length=variable         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! :                          Pool Handle                          :
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use core::fmt::{self, Write};

use super::POOL_HANDLE;
use crate::wire::error::ParseError;
use crate::wire::reader::Tlv;
use crate::wire::writer::Writer;

/// The name of a pool: a byte string of at least one byte. Often text, but nothing says so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolHandle<'a>(&'a [u8]);

impl<'a> PoolHandle<'a> {
    /// The longest handle that a message can carry, in bytes: a 16-bit message length less the headers of the message
    /// and the parameter.
    pub const MAX_LEN: usize = 65_535 - 8;

    /// A handle of 1 to [`PoolHandle::MAX_LEN`] bytes; `None` otherwise.
    pub const fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.is_empty() || bytes.len() > Self::MAX_LEN { None } else { Some(PoolHandle(bytes)) }
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn from_tlv(item: &Tlv<'a>) -> Result<Self, ParseError<'a>> {
        match Self::new(item.value) {
            Some(handle) => Ok(handle),
            None => item.invalid(),
        }
    }

    pub(crate) fn emit_into(&self, w: &mut Writer<'_>) {
        w.tlv(POOL_HANDLE, |w| w.bytes(self.0));
    }
}

/// As text, where the bytes are printable ASCII; other bytes, and the backslash, as `\xNN`.
impl fmt::Display for PoolHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b'\\' => f.write_str("\\x5c")?,
                b' '..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PoolHandle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolHandle({self})")
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for PoolHandle<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        match core::str::from_utf8(self.0) {
            Ok(text) => defmt::write!(f, "{=str}", text),
            Err(_) => defmt::write!(f, "{=[u8]:02x}", self.0),
        }
    }
}
