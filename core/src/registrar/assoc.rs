//! The associations that a registrar knows, by their slots.

use core::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;

use super::rates::LIMITS;
use crate::arena::{Idx, Table};
use crate::bounded;
use crate::rate::Limiter;
use crate::wire::Transport;
use crate::{AssocId, Link, ServerId};

/// How many addresses of a peer are kept.
const MAX_ADDRESSES: usize = 4;

/// A place for an association.
#[derive(Clone, Debug, Default)]
pub(crate) struct AssocSlot {
    in_use: bool,
    generation: u32,
    link: Link,
    port: u16,
    addresses: ArrayVec<IpAddr, MAX_ADDRESSES>,
    pub(crate) elements: u32,
    pub(crate) subscriptions: u32,
    /// ASAP was spoken on it. An association has one protocol: that of its first message.
    pub(crate) asap: bool,
    /// The registrar that speaks ENRP on it; [`ServerId::NONE`]: none has.
    pub(crate) server: ServerId,
    /// This registrar has opened it.
    pub(crate) dialled: bool,
    /// The first of its subscriptions.
    pub(crate) first_subscription: Idx,
    /// What is left of its rates.
    pub(super) limits: [Limiter; LIMITS],
}

impl AssocSlot {
    pub(crate) const EMPTY: AssocSlot = AssocSlot {
        in_use: false,
        generation: 0,
        link: Link::Sctp,
        port: 0,
        addresses: ArrayVec::new_const(),
        elements: 0,
        subscriptions: 0,
        asap: false,
        server: ServerId::NONE,
        dialled: false,
        first_subscription: Idx::NIL,
        limits: [Limiter::FULL; LIMITS],
    };

    pub(crate) fn link(&self) -> Link {
        self.link
    }

    pub(crate) fn first_address(&self) -> Option<IpAddr> {
        self.addresses.first().copied()
    }

    /// The peer's transport address: what becomes the ASAP transport of an element that registers over the
    /// association (RFC 5352, 3.1, rule 4).
    pub(crate) fn transport(&self) -> Option<Transport<'_>> {
        match self.link {
            Link::Sctp => Some(Transport::sctp(self.port, &self.addresses)),
            Link::Tcp => self.addresses.first().map(|ip| Transport::Tcp(SocketAddr::new(*ip, self.port))),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Assocs<'s> {
    table: Table<'s, AssocSlot>,
    /// How many there may be, where the table grows.
    #[cfg(feature = "alloc")]
    limit: u32,
}

impl<'s> Assocs<'s> {
    pub(crate) fn lent(slots: &'s mut [AssocSlot]) -> Self {
        Assocs {
            #[cfg(feature = "alloc")]
            limit: u32::try_from(slots.len()).unwrap_or(u32::MAX),
            table: Table::Lent(slots),
        }
    }

    #[cfg(feature = "alloc")]
    pub(crate) fn growable(limit: u32) -> Self {
        Assocs { table: Table::Grown(alloc::vec::Vec::new()), limit }
    }

    /// An association is up. `false`: there is no place for it.
    pub(crate) fn open(&mut self, assoc: AssocId, link: Link, peer: &[SocketAddr]) -> bool {
        #[cfg(feature = "alloc")]
        if let Table::Grown(slots) = &mut self.table {
            if assoc.slot >= self.limit {
                return false;
            }
            if slots.len() <= assoc.slot as usize {
                slots.resize(assoc.slot as usize + 1, AssocSlot::EMPTY);
            }
        }
        let Some(slot) = self.table.as_mut_slice().get_mut(assoc.slot as usize) else { return false };
        *slot = AssocSlot {
            in_use: true,
            generation: assoc.generation,
            link,
            port: peer.first().map_or(0, SocketAddr::port),
            addresses: bounded::first(peer.iter().map(SocketAddr::ip)),
            ..AssocSlot::EMPTY
        };
        true
    }

    /// The association that has a slot.
    pub(crate) fn occupant(&self, slot: u32) -> Option<AssocId> {
        let found = self.table.as_slice().get(slot as usize).filter(|found| found.in_use)?;
        Some(AssocId { slot, generation: found.generation })
    }

    pub(crate) fn get(&self, assoc: AssocId) -> Option<&AssocSlot> {
        let slot = self.table.as_slice().get(assoc.slot as usize)?;
        (slot.in_use && slot.generation == assoc.generation).then_some(slot)
    }

    pub(crate) fn get_mut(&mut self, assoc: AssocId) -> Option<&mut AssocSlot> {
        let slot = self.table.as_mut_slice().get_mut(assoc.slot as usize)?;
        (slot.in_use && slot.generation == assoc.generation).then_some(slot)
    }

    pub(crate) fn close(&mut self, assoc: AssocId) {
        if let Some(slot) = self.get_mut(assoc) {
            *slot = AssocSlot::EMPTY;
        }
    }
}
