//! The identifiers of the protocol and of the adapter.

use core::fmt;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#010x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:#010x})"), self.0)
            }
        }
    };
}

identifier! {
    /// A pool element's identifier, unique within its pool (RFC 5354, 3.14).
    PeId
}

identifier! {
    /// A registrar's (ENRP server's) identifier (RFC 5353, 3.2.1). 0 means "not known" or "all" on the wire.
    ServerId
}

impl ServerId {
    /// Not known, or nobody in particular.
    pub const NONE: ServerId = ServerId(0);

    /// Whether this is [`ServerId::NONE`].
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// An association or connection, named by the adapter.
///
/// `slot` is dense: the adapter numbers its associations from 0 and uses a slot again once its association
/// is closed. `generation` differs between the uses of one slot, so a late event for an association that is
/// gone changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AssocId {
    /// Which of the adapter's places for associations.
    pub slot: u32,
    /// Which use of that place.
    pub generation: u32,
}

impl fmt::Display for AssocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// An attempt to establish an association, named by the machine that asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DialId(pub u32);

/// Which protocol a message belongs to: its SCTP payload protocol identifier.
///
/// On transports without one (TCP, UDP) the listener, the group or the dial knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ppid {
    /// 11 (RFC 5352, 8.3).
    Asap,
    /// 12 (RFC 5353, 5.3).
    Enrp,
}

impl Ppid {
    /// The number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Ppid::Asap => 11,
            Ppid::Enrp => 12,
        }
    }

    /// The protocol of a number on the wire.
    pub const fn from_number(number: u32) -> Option<Ppid> {
        match number {
            11 => Some(Ppid::Asap),
            12 => Some(Ppid::Enrp),
            _ => None,
        }
    }

    /// The registered port: 3863 (RFC 5352, 8.2) or 9901 (RFC 5353, 5.2).
    pub const fn port(self) -> u16 {
        match self {
            Ppid::Asap => 3863,
            Ppid::Enrp => 9901,
        }
    }
}
