//! ASAP_HANDLE_RESOLUTION and its response (RFC 5352, 2.2.5 and 2.2.6).

use super::Body;
use crate::wire::error::{ParseError, ParseErrorKind};
use crate::wire::list::List;
use crate::wire::message::RawMessage;
use crate::wire::param::{
    OPERATION_ERROR, OperationError, POLICY, POOL_ELEMENT, POOL_HANDLE, Policy, PoolElementParam, PoolHandle,
    WANTED_ITEMS, emit_wanted_items, wanted_items,
};
use crate::wire::reader::Params;
use crate::wire::writer::Writer;

/// A pool user, or a pool element, asks for a pool's elements.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0x05 |0|0|0|0|0|0|0|S|        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                     Pool Handle Parameter                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandleResolution<'a> {
    /// S: send updates when the pool changes.
    pub subscribe: bool,
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// How many elements are wanted at most (parameter 0x803f, not of the RFC); 0xffffffff for as many as possible.
    pub wanted_items: Option<u32>,
}

impl<'a> HandleResolution<'a> {
    /// A resolution as the RFC has it: all elements, no updates.
    pub const fn new(pool_handle: PoolHandle<'a>) -> Self {
        HandleResolution { subscribe: false, pool_handle, wanted_items: None }
    }
}

const S: u8 = 0x01;

impl<'a> Body<'a> for HandleResolution<'a> {
    const TYPE: u8 = 0x05;

    fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let pool_handle = PoolHandle::from_tlv(&params.required(POOL_HANDLE)?)?;
        let wanted_items = match params.optional(WANTED_ITEMS)? {
            Some(item) => Some(wanted_items(&item)?),
            None => None,
        };
        Ok(HandleResolution { subscribe: raw.bit(S), pool_handle, wanted_items })
    }

    fn flags(&self) -> u8 {
        if self.subscribe { S } else { 0 }
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        self.pool_handle.emit_into(w);
        if let Some(items) = self.wanted_items {
            emit_wanted_items(w, items);
        }
    }
}

/// The registrar's answer, or its update when a pool has changed.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0x06 |0|0|0|0|0|0|0|A|        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                     Pool Handle Parameter                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :             Overall PE Selection Policy (optional)            :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :               Pool Element Parameter 1 (optional)             :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                              ...                              :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :               Pool Element Parameter N (optional)             :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                   Operational Error (optional)                :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandleResolutionResponse<'a> {
    /// A: updates will be sent.
    pub accepts_updates: bool,
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The pool's policy; round robin where it is absent. The policies within the elements do not tell it.
    pub policy: Option<Policy<'a>>,
    /// The elements; none if the answer is negative.
    pub elements: List<'a, PoolElementParam<'a>>,
    /// Why the answer is negative; its presence makes it so.
    pub error: Option<OperationError<'a>>,
}

const A: u8 = 0x01;

impl<'a> Body<'a> for HandleResolutionResponse<'a> {
    const TYPE: u8 = 0x06;

    fn parse(raw: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let pool_handle = PoolHandle::from_tlv(&params.required(POOL_HANDLE)?)?;
        let policy = match params.optional(POLICY)? {
            Some(policy) => Some(Policy::from_tlv(&policy)?),
            None => None,
        };
        let bytes = params.rest();
        let mut any = false;
        while let Some(element) = params.optional(POOL_ELEMENT)? {
            PoolElementParam::from_tlv(element, params.reports())?;
            any = true;
        }
        let error = match params.optional(OPERATION_ERROR)? {
            Some(error) => Some(OperationError::from_tlv(&error)?),
            None => None,
        };
        // RFC 5352, 2.2.6: at least one element where the answer is positive, none where it is negative.
        if any == error.is_some() {
            let kind =
                if any { ParseErrorKind::Misplaced(POOL_ELEMENT) } else { ParseErrorKind::Missing(POOL_ELEMENT) };
            return Err(ParseError::new(kind, raw.whole));
        }
        let elements = if any { List::checked(bytes) } else { List::empty() };
        Ok(HandleResolutionResponse { accepts_updates: raw.bit(A), pool_handle, policy, elements, error })
    }

    fn flags(&self) -> u8 {
        if self.accepts_updates { A } else { 0 }
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        self.pool_handle.emit_into(w);
        if let Some(policy) = &self.policy {
            policy.emit_into(w);
        }
        self.elements.emit(w);
        if let Some(error) = &self.error {
            error.emit_into(w);
        }
    }
}
