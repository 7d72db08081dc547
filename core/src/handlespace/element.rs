//! Pool elements.

use super::hash::Chained;
use super::list::{Linked, Links};
use super::watch::Watch;
use super::{ElementRef, PoolRef};
use crate::arena::{Idx, Slot};
use crate::policy::{InRing, Member, Ranked};
use crate::wire::{Lifetime, Policy, Transport, padded_len};
use crate::{Instant, PeId, ServerId};

/// A pool element's slot. Two cache lines of a large machine; what a resolution reads of it lies in one of them.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "alloc", repr(align(64)))]
pub(crate) struct Element {
    /// When its timer is due, if there is one.
    pub(super) due: Instant,
    /// [`Instant::MAX`] for never.
    pub(super) expires: Instant,
    pub(super) watch: Watch,
    pub(super) member: Member,
    pub(super) in_pool: Links,
    pub(super) in_owner: Links,
    pub(super) on_assoc: Links,
    pub(super) pool: Idx,
    pub(super) owner: Idx,
    chain: Idx,
    /// Its place among the timers, counted from 1; 0 for no timer.
    pub(super) timer: u32,
    /// 0 in a free slot.
    pub(super) generation: u32,
    pub(super) id: PeId,
    pub(super) lifetime: Lifetime,
    pub(super) layout: Layout,
}

impl Element {
    pub(super) const EMPTY: Element = Element {
        due: Instant::ZERO,
        expires: Instant::ZERO,
        watch: Watch::EMPTY,
        member: Member::EMPTY,
        in_pool: Links::NONE,
        in_owner: Links::NONE,
        on_assoc: Links::NONE,
        pool: Idx::NIL,
        owner: Idx::NIL,
        chain: Idx::NIL,
        timer: 0,
        generation: 0,
        id: PeId(0),
        lifetime: Lifetime::from_wire(0),
        layout: Layout { user: 0, policy: 0, asap: 0 },
    };
}

impl Default for Element {
    fn default() -> Self {
        Element::EMPTY
    }
}

impl Slot for Element {
    fn next_free(&self) -> Idx {
        self.chain
    }
    fn set_next_free(&mut self, next: Idx) {
        self.chain = next;
    }
}

impl Chained for Element {
    fn chain(&self) -> Idx {
        self.chain
    }
    fn set_chain(&mut self, next: Idx) {
        self.chain = next;
    }
}

impl Linked<InRing> for Element {
    fn links(&self) -> Links {
        self.member.ring()
    }
    fn links_mut(&mut self) -> &mut Links {
        self.member.ring_mut()
    }
}

impl Ranked for Element {
    fn member(&self) -> &Member {
        &self.member
    }
    fn member_mut(&mut self) -> &mut Member {
        &mut self.member
    }
    fn reference(&self, slot: Idx) -> ElementRef {
        ElementRef::new(slot, self.generation)
    }
}

/// How long the encoded parameters of an element are, in bytes, without padding. They lie one behind the other, each
/// but the last padded to a multiple of four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) user: u16,
    pub(super) policy: u16,
    /// 0 where there is no ASAP transport.
    pub(super) asap: u16,
}

impl Layout {
    pub(super) fn policy_at(&self) -> usize {
        padded_len(usize::from(self.user))
    }

    pub(super) fn policy_end(&self) -> usize {
        self.policy_at() + usize::from(self.policy)
    }

    pub(super) fn asap_at(&self) -> usize {
        padded_len(self.policy_end())
    }

    /// The length of all of them.
    pub(super) fn end(&self) -> usize {
        if self.asap == 0 { self.policy_end() } else { self.asap_at() + usize::from(self.asap) }
    }
}

/// A pool element, as it is now.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ElementView<'a> {
    /// Its pool.
    pub pool: PoolRef,
    /// Its identifier.
    pub id: PeId,
    /// Its home registrar.
    pub home: ServerId,
    /// For how long it was registered.
    pub lifetime: Lifetime,
    /// When its registration ends; `None` for never.
    pub expires: Option<Instant>,
    pub(super) user: &'a [u8],
    pub(super) policy: &'a [u8],
    pub(super) asap: &'a [u8],
}

impl<'a> ElementView<'a> {
    /// Where its users find it. `None` only where it was registered with what no message can carry, such as an SCTP
    /// transport without addresses.
    pub fn user_transport(&self) -> Option<Transport<'a>> {
        Transport::parse(self.user).ok()
    }

    /// Its part in the pool's policy; `None` as for [`ElementView::user_transport`].
    pub fn policy(&self) -> Option<Policy<'a>> {
        Policy::parse(self.policy).ok()
    }

    /// Where registrars find it, if that is known.
    pub fn asap_transport(&self) -> Option<Transport<'a>> {
        Transport::parse(self.asap).ok()
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn what_a_resolution_reads_lies_in_one_cache_line() {
        assert_eq!(size_of::<Element>(), 128);
        let hot = [
            offset_of!(Element, generation),
            offset_of!(Element, member),
            offset_of!(Element, owner),
            offset_of!(Element, id),
            offset_of!(Element, lifetime),
            offset_of!(Element, layout),
        ];
        assert!(hot.iter().all(|at| at / 64 == hot[0] / 64), "{hot:?}");
    }
}
