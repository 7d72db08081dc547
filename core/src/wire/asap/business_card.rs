//! ASAP_BUSINESS_CARD (RFC 5352, 2.2.13).

use super::Body;
use crate::wire::error::ParseError;
use crate::wire::list::List;
use crate::wire::message::RawMessage;
use crate::wire::param::{POLICY, POOL_ELEMENT, POOL_HANDLE, Policy, PoolElementParam, PoolHandle};
use crate::wire::reader::Params;
use crate::wire::writer::Writer;

/// A peer tells its pool and its preferred order of failover.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Type = 0x0d |0|0|0|0|0|0|0|0|        Message Length         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                     Pool Handle Parameter                     :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// :                 Pool Element Parameter-1 to -N                :
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BusinessCard<'a> {
    /// The pool.
    pub pool_handle: PoolHandle<'a>,
    /// The pool's policy: not of the RFC, but rsplib writes it here. We do not send it.
    pub policy: Option<Policy<'a>>,
    /// The elements, the preferred one first.
    pub elements: List<'a, PoolElementParam<'a>>,
}

impl<'a> Body<'a> for BusinessCard<'a> {
    const TYPE: u8 = 0x0d;

    fn parse(_: &RawMessage<'a>, params: &mut Params<'a, '_>) -> Result<Self, ParseError<'a>> {
        let pool_handle = PoolHandle::from_tlv(&params.required(POOL_HANDLE)?)?;
        let policy = match params.optional(POLICY)? {
            Some(policy) => Some(Policy::from_tlv(&policy)?),
            None => None,
        };
        let bytes = params.rest();
        let first = params.required(POOL_ELEMENT)?;
        PoolElementParam::from_tlv(first, params.reports())?;
        while let Some(element) = params.optional(POOL_ELEMENT)? {
            PoolElementParam::from_tlv(element, params.reports())?;
        }
        Ok(BusinessCard { pool_handle, policy, elements: List::checked(bytes) })
    }

    fn emit_value(&self, w: &mut Writer<'_>) {
        self.pool_handle.emit_into(w);
        if let Some(policy) = &self.policy {
            policy.emit_into(w);
        }
        self.elements.emit(w);
    }
}
