//! Where rsplib, the reference implementation, leaves RFC 5353 and 5354, and what is done about it. Every such place asks
//! here.

use core::time::Duration;

use crate::ServerId;
use crate::wire::{Lifetime, PoolHandle};

/// Whose reading of the protocol to follow where deployed registrars differ from the RFCs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Compat {
    /// The RFCs', towards everybody.
    Rfc,
    /// rsplib's, towards everybody: between pool elements and registrars, too, registration lives are milliseconds.
    Rsplib,
    /// rsplib's towards the peers that show that they are rsplib, the RFCs' towards all others; between pool elements and
    /// registrars the RFCs', since the messages do not tell. What the whole group has to agree about (the arbitration of takeovers)
    /// follows rsplib as soon as one such peer is known.
    #[default]
    Auto,
}

/// What one side of a conversation speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[default]
    Rfc,
    Rsplib,
}

/// rsplib asks a peer that it has not heard for 5 s and gives it 5 s more, and only presences count for it.
const RSPLIB_HEARTBEAT: Duration = Duration::from_secs(2);
/// rsplib ends with a failed assertion when it is sent a longer one.
const RSPLIB_HANDLE_LEN: usize = 32;

impl Compat {
    /// How a peer is spoken to. `revealed`: it has shown that it is rsplib.
    pub(crate) const fn peer(self, revealed: bool) -> Dialect {
        match self {
            Compat::Rsplib => Dialect::Rsplib,
            Compat::Auto if revealed => Dialect::Rsplib,
            Compat::Rfc | Compat::Auto => Dialect::Rfc,
        }
    }

    /// What pool elements, pool users and registrars speak with each other.
    pub(crate) const fn asap(self) -> Dialect {
        match self {
            Compat::Rsplib => Dialect::Rsplib,
            Compat::Rfc | Compat::Auto => Dialect::Rfc,
        }
    }

    /// How the group of registrars as a whole is dealt with. `any_revealed`: one of the peers has shown that it is
    /// rsplib.
    pub(crate) const fn group(self, any_revealed: bool) -> Dialect {
        self.peer(any_revealed)
    }
}

/// Whether an update or a presence that wants no reply shows that its sender is rsplib. By RFC 5353, 2.1 and 3.3.1, the
/// receiver's identifier is 0 there, since such a message goes to all peers; rsplib puts each peer's in.
pub(crate) fn reveals_rsplib(own: ServerId, receiver: ServerId) -> bool {
    !receiver.is_none() && receiver == own
}

impl Dialect {
    /// The receiver's identifier in what is sent to all peers (RFC 5353, 2.1, 3.3.1 and 3.3.2).
    pub(crate) const fn announced_to(self, peer: ServerId) -> ServerId {
        match self {
            Dialect::Rfc => ServerId::NONE,
            Dialect::Rsplib => peer,
        }
    }

    /// Who goes on when two registrars want to take over the same one. RFC 5353, 3.5.1, 2A: the one with the greater
    /// identifier. rsplib: the one with the smaller.
    pub(crate) fn first_yields(self, first: ServerId, second: ServerId) -> bool {
        match self {
            Dialect::Rfc => first < second,
            Dialect::Rsplib => first > second,
        }
    }

    /// The Registration Life that a message holds (RFC 5354, 3.10: seconds; rsplib: milliseconds), rounded up.
    pub(crate) fn lifetime_in(self, wire: Lifetime) -> Lifetime {
        match self {
            Dialect::Rfc => wire,
            Dialect::Rsplib if wire.is_infinite() => wire,
            // It is unsigned there.
            Dialect::Rsplib => Lifetime::from_secs(wire.to_wire().cast_unsigned().div_ceil(1000)),
        }
    }

    /// The Registration Life to put into a message.
    pub(crate) fn lifetime_out(self, lifetime: Lifetime) -> Lifetime {
        match self {
            Dialect::Rfc => lifetime,
            Dialect::Rsplib if !lifetime.is_valid() || lifetime.is_infinite() => lifetime,
            Dialect::Rsplib => {
                // What is longer than it can say becomes the longest that it can, some 49 days.
                let millis = lifetime.to_wire().cast_unsigned().checked_mul(1000).unwrap_or(u32::MAX - 1);
                Lifetime::from_wire(millis.cast_signed())
            }
        }
    }

    /// Whether a pool can be told of, registered in or asked for at all: rsplib's registrar ends by a longer handle.
    pub(crate) fn takes_handle(self, handle: PoolHandle<'_>) -> bool {
        match self {
            Dialect::Rfc => true,
            Dialect::Rsplib => handle.as_bytes().len() <= RSPLIB_HANDLE_LEN,
        }
    }

    /// How often presences are sent (RFC 5353, 3.4.2).
    pub(crate) fn heartbeat(self, cycle: Duration) -> Duration {
        match self {
            Dialect::Rfc => cycle,
            Dialect::Rsplib => cycle.min(RSPLIB_HEARTBEAT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_milliseconds_at_rsplib() {
        let rsplib = Dialect::Rsplib;
        assert_eq!(rsplib.lifetime_in(Lifetime::from_wire(90_000)), Lifetime::from_secs(90));
        assert_eq!(rsplib.lifetime_in(Lifetime::from_wire(1)), Lifetime::from_secs(1));
        assert_eq!(rsplib.lifetime_in(Lifetime::INFINITE), Lifetime::INFINITE);
        assert_eq!(rsplib.lifetime_out(Lifetime::from_secs(90)).to_wire(), 90_000);
        assert_eq!(rsplib.lifetime_out(Lifetime::INFINITE), Lifetime::INFINITE);
        // 30 days: above 2^31, which is no negative number there.
        let month = Lifetime::from_secs(2_592_000);
        assert_eq!(rsplib.lifetime_out(month).to_wire().cast_unsigned(), 2_592_000_000);
        assert_eq!(rsplib.lifetime_in(rsplib.lifetime_out(month)), month);
        assert_eq!(rsplib.lifetime_out(Lifetime::from_secs(u32::MAX)).to_wire().cast_unsigned(), u32::MAX - 1);
        assert_eq!(Dialect::Rfc.lifetime_in(Lifetime::from_secs(7)), Lifetime::from_secs(7));
    }

    #[test]
    fn the_greater_identifier_wins_by_the_rfc_and_the_smaller_at_rsplib() {
        let (low, high) = (ServerId(1), ServerId(2));
        assert!(Dialect::Rfc.first_yields(low, high) && !Dialect::Rfc.first_yields(high, low));
        assert!(Dialect::Rsplib.first_yields(high, low) && !Dialect::Rsplib.first_yields(low, high));
    }

    #[test]
    fn auto_follows_what_the_peer_shows() {
        assert!(reveals_rsplib(ServerId(7), ServerId(7)));
        assert!(!reveals_rsplib(ServerId(7), ServerId::NONE));
        assert_eq!(Compat::Auto.peer(true), Dialect::Rsplib);
        assert_eq!(Compat::Auto.peer(false), Dialect::Rfc);
        assert_eq!(Compat::Rfc.peer(true), Dialect::Rfc);
        assert_eq!(Compat::Auto.asap(), Dialect::Rfc);
        assert_eq!(Compat::Rsplib.asap(), Dialect::Rsplib);
        assert_eq!(Dialect::Rsplib.announced_to(ServerId(9)), ServerId(9));
        assert_eq!(Dialect::Rfc.announced_to(ServerId(9)), ServerId::NONE);
    }

    #[test]
    fn rsplib_is_sent_no_handle_that_it_cannot_bear_and_hears_of_us_in_time() {
        let long = PoolHandle::new(&[b'x'; 33]).unwrap();
        assert!(!Dialect::Rsplib.takes_handle(long) && Dialect::Rfc.takes_handle(long));
        assert_eq!(Dialect::Rsplib.heartbeat(Duration::from_secs(30)), Duration::from_secs(2));
        assert_eq!(Dialect::Rfc.heartbeat(Duration::from_secs(30)), Duration::from_secs(30));
    }
}
