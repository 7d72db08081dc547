//! ENRP_HANDLE_TABLE_REQUEST and its response (RFC 5353, 2.2 and 2.3).

use core::fmt;

use super::Body;
use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::list::{Item, List};
use crate::wire::message::RawMessage;
use crate::wire::param::{POOL_ELEMENT, POOL_HANDLE, PoolElementParam, PoolHandle};
use crate::wire::reader::{Checked, Params};
use crate::wire::writer::Writer;

/// A registrar asks a peer for its handlespace.
///
/// ```text
/// |   Type = 0x02 |0|0|0|0|0|0|0|W|    Message Length = 0xC       |
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandleTableRequest {
    /// W: only the elements that the receiver owns.
    pub own_children_only: bool,
}

const W: u8 = 0x01;

impl<'a> Body<'a> for HandleTableRequest {
    const TYPE: u8 = 0x02;

    fn parse(raw: &RawMessage<'a>, _: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        Ok(HandleTableRequest { own_children_only: raw.bit(W) })
    }

    fn flags(&self) -> u8 {
        if self.own_children_only { W } else { 0 }
    }

    fn emit_value(&self, _: &mut Writer<'_>) {}
}

/// One page of a handlespace.
///
/// ```text
/// |   Type = 0x03 |0|0|0|0|0|0|M|R|        Message Length         |
/// :                 Pool Entry #1 to #n (optional)                :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
///
/// A pool entry is a pool handle parameter and one or more pool element parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandleTableResponse<'a> {
    /// M: there is more; ask again.
    pub more: bool,
    /// R: the request is refused. There are no entries then.
    pub rejected: bool,
    /// The pools.
    pub entries: PoolEntries<'a>,
}

const R: u8 = 0x01;
const M: u8 = 0x02;

/// One pool of a handle table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandleTableEntry<'a> {
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// At least one element.
    pub elements: List<'a, PoolElementParam<'a>>,
}

/// The pools of a handle table, still bytes or the caller's values.
#[derive(Clone, Copy)]
pub struct PoolEntries<'a>(Repr<'a>);

#[derive(Clone, Copy)]
enum Repr<'a> {
    Wire(&'a [u8]),
    Items(&'a [HandleTableEntry<'a>]),
}

impl<'a> PoolEntries<'a> {
    /// These pools.
    pub const fn new(entries: &'a [HandleTableEntry<'a>]) -> Self {
        PoolEntries(Repr::Items(entries))
    }

    /// No pools.
    pub const fn empty() -> Self {
        PoolEntries(Repr::Items(&[]))
    }

    /// The pools, in the order of the message.
    pub fn iter(&self) -> impl Iterator<Item = HandleTableEntry<'a>> + use<'a> {
        let (bytes, items): (&'a [u8], &'a [HandleTableEntry<'a>]) = match self.0 {
            Repr::Wire(bytes) => (bytes, &[]),
            Repr::Items(items) => (&[], items),
        };
        WireEntries(bytes).chain(items.iter().copied())
    }
}

struct WireEntries<'a>(&'a [u8]);

impl<'a> Iterator for WireEntries<'a> {
    type Item = HandleTableEntry<'a>;

    fn next(&mut self) -> Option<HandleTableEntry<'a>> {
        let mut items = Checked(self.0);
        let pool_handle = PoolHandle::from_tlv(&items.next()?).ok()?;
        let first = items.0;
        let mut end = first;
        loop {
            match items.next() {
                Some(item) if item.ty == POOL_ELEMENT => end = items.0,
                _ => break,
            }
        }
        self.0 = end;
        let elements = first.get(..first.len().saturating_sub(end.len())).unwrap_or(&[]);
        Some(HandleTableEntry { pool_handle, elements: List::checked(elements) })
    }
}

impl fmt::Debug for PoolEntries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for PoolEntries<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a> Body<'a> for HandleTableResponse<'a> {
    const TYPE: u8 = 0x03;

    fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let bytes = params.rest();
        let rejected = raw.bit(R);
        let mut any = false;
        while let Some(handle) = params.optional(POOL_HANDLE)? {
            PoolHandle::from_tlv(&handle)?;
            let first = params.required(POOL_ELEMENT)?;
            PoolElementParam::from_tlv(first, params.reports())?;
            while let Some(element) = params.optional(POOL_ELEMENT)? {
                PoolElementParam::from_tlv(element, params.reports())?;
            }
            any = true;
        }
        // RFC 5353, 2.3: pool entries must not be included in a rejection.
        if rejected && any {
            return Err(ParseError::new(ParseErrorKind::Misplaced(POOL_HANDLE), raw.whole));
        }
        Ok(HandleTableResponse { more: raw.bit(M), rejected, entries: PoolEntries(Repr::Wire(bytes)) })
    }

    fn flags(&self) -> u8 {
        (if self.more { M } else { 0 }) | (if self.rejected { R } else { 0 })
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        for entry in self.entries.iter() {
            entry.pool_handle.emit_into(w);
            for element in entry.elements.iter() {
                element.emit_item(w);
            }
        }
    }
}
