//! The contract between a machine and whoever moves its bytes.

use core::net::SocketAddr;

use crate::{AssocId, DialId, Instant, Ppid, RecvError};

/// A protocol machine: bytes, happenings and time in; bytes, wishes and events out.
///
/// The rules, for every machine of this crate:
///
/// 1. After each [`handle`](Machine::handle), and after each call of a machine's own (`register`, `resolve`, ...),
///    call [`poll`](Machine::poll) until it returns [`Output::Wait`]. To poll too often is harmless and cheap.
/// 2. An `Err` of `handle` is about the peer's bytes or about our capacity. The state is as it was, but for
///    counters and perhaps an error report to the peer that is now waiting to be polled.
/// 3. `now` may repeat. A `now` that is earlier than one seen before is taken as that one.
///    After a drain at `now`, `Wait(Some(t))` has `t > now`.
/// 4. No input makes a machine panic, and nothing but the inputs and the seed decides what it does.
/// 5. Everything is bounded. A limit that is reached is an error value, a refusal on the wire or one
///    "events lost" event, never a panic and never a silent loss.
/// 6. Bytes are made late, inside `poll`, in the caller's buffer.
pub trait Machine {
    /// What the machine tells its owner.
    type Event;

    /// Takes one input.
    ///
    /// # Errors
    /// Says what was wrong with the input or which limit it met; see rule 2. Only [`RecvError::Busy`] is the caller's
    /// doing: rule 1 was not followed. The message was not read then, and can be given again.
    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), RecvError>;

    /// Gives the next output. `buf` holds the bytes of a message to send; one message is at most 65,535 bytes
    /// and padding, and a buffer that is too small is answered by [`Output::BufferTooSmall`].
    #[must_use = "an output that is dropped is lost"]
    fn poll<'b>(&'b mut self, now: Instant, buf: &'b mut [u8]) -> Output<'b, Self::Event>;

    /// When the machine next wants [`Input::Timeout`] (or just a `poll`), if nothing else happens before.
    fn next_deadline(&self) -> Option<Instant>;
}

/// What carries an association. The machines speak the same messages over both; the adapter frames them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Link {
    /// SCTP, which RFC 5352 and 5353 are written for.
    #[default]
    Sctp,
    /// TCP: for pool users by RFC 5352, 2.1; between pool elements and registrars, and between registrars,
    /// an extension for hosts without SCTP.
    Tcp,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Time has passed. `poll` alone does the same.
    Timeout,
    /// A whole message came on an association.
    Message {
        /// The association.
        assoc: AssocId,
        /// Its protocol.
        ppid: Ppid,
        /// The message, from its type to the end of its value; padding may follow.
        bytes: &'a [u8],
    },
    /// A datagram came, by multicast or not.
    Datagram {
        /// Its source.
        from: SocketAddr,
        /// Its protocol.
        ppid: Ppid,
        /// The message.
        bytes: &'a [u8],
    },
    /// An association is up.
    Connected {
        /// Its name, new.
        assoc: AssocId,
        /// The attempt that brought it, or `None` where the peer opened it.
        dial: Option<DialId>,
        /// What carries it.
        link: Link,
        /// The peer's addresses: all of them on SCTP, one on TCP. A registrar keeps up to four, as the elements' ASAP
        /// transport; the others do not look at them.
        peer: &'a [SocketAddr],
    },
    /// An attempt to connect has failed.
    ConnectFailed {
        /// The attempt.
        dial: DialId,
    },
    /// A message could not be delivered (SEND.FAILURE of RFC 5352). The association may live on.
    SendFailed {
        /// The association.
        assoc: AssocId,
    },
    /// An association is gone, for whatever reason. Its name will not be heard again.
    Closed {
        /// The association.
        assoc: AssocId,
    },
}

/// What to do next.
#[derive(Debug)]
#[must_use = "an output that is dropped is lost"]
pub enum Output<'b, E> {
    /// Send these bytes.
    Transmit(Transmit<'b>),
    /// Try to establish an association to one peer, which has these addresses; answer with
    /// [`Input::Connected`] or [`Input::ConnectFailed`].
    Connect {
        /// The attempt's name.
        dial: DialId,
        /// What shall carry it.
        link: Link,
        /// Its protocol.
        ppid: Ppid,
        /// The peer's addresses: alternatives on TCP, all of them the peer on SCTP.
        to: &'b [SocketAddr],
    },
    /// Give up an attempt. If it succeeds all the same, `Connected` is answered by `Disconnect`.
    Abandon {
        /// The attempt.
        dial: DialId,
    },
    /// Close an association once what was transmitted on it is on its way. [`Input::Closed`] may follow.
    Disconnect {
        /// The association.
        assoc: AssocId,
    },
    /// Something the owner should know.
    Event(E),
    /// `buf` cannot hold the next message; nothing is lost, poll again with at least `needed` bytes.
    BufferTooSmall {
        /// Bytes.
        needed: usize,
    },
    /// Nothing more to do until an input comes, or until this instant.
    Wait(Option<Instant>),
}

/// One message to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Transmit<'b> {
    /// Where to.
    pub to: Destination,
    /// Its protocol.
    pub ppid: Ppid,
    /// The message, padded to a multiple of four bytes.
    pub bytes: &'b [u8],
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Destination {
    /// An association.
    Assoc(AssocId),
    /// The multicast group of the message's protocol (RFC 5352, 3.6: the ENRP client channel;
    /// RFC 5353, 3.1: the ENRP server channel), on every interface that the adapter is told to use.
    Channel,
}
