//! What a driver counts, and why it closes connections.

use std::{fmt, io};

use rserpool_core::wire::FrameError;

use super::link::Unusable;

/// Counters of a driver since its start. Monotonic but for `connections` and `dials`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DriverStats {
    /// Connections that are open now.
    pub connections: u64,
    /// Attempts to connect that are under way now.
    pub dials: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once because of [`max_connections`](super::DriverConfig::max_connections), or because no
    /// file descriptor was left.
    pub refused: u64,
    /// Connections established by the machine's wish.
    pub dialled: u64,
    /// Attempts to connect that failed.
    pub dial_failures: u64,
    /// Connections closed, by reason.
    pub closed: Closed,
    /// Messages received on connections.
    pub messages_in: u64,
    /// Messages accepted for sending on connections.
    pub messages_out: u64,
    /// Bytes received on connections.
    pub bytes_in: u64,
    /// Bytes written to connections.
    pub bytes_out: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams sent, one per channel and interface.
    pub datagrams_out: u64,
    /// Datagrams that could not be sent.
    pub datagrams_lost: u64,
    /// SCTP: messages with the payload protocol identifier of another protocol than ASAP and ENRP, which were passed over.
    pub foreign_messages: u64,
    /// SCTP: messages that the system could not deliver.
    pub send_failures: u64,
    /// Messages for a connection that was gone.
    pub messages_lost: u64,
    /// Inputs that the machine did not take: malformed or unexpected messages, full tables.
    pub inputs_refused: u64,
    /// Turns of the driver's loop.
    pub turns: u64,
}

/// Connections closed, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// By the peer; over SCTP in good order, by SHUTDOWN.
    pub by_peer: u64,
    /// SCTP: by an ABORT of the peer, or because it did not answer.
    pub aborted: u64,
    /// SCTP: the peer had lost the association and opened it anew.
    pub restarted: u64,
    /// SCTP: the peer spoke ENRP where ASAP is spoken, or the other way round.
    pub wrong_protocol: u64,
    /// By the machine.
    pub by_machine: u64,
    /// The stream could not be framed, or a message was too long.
    pub framing: u64,
    /// A message was begun and not completed in time.
    pub partial_message: u64,
    /// Nothing went either way for the idle timeout.
    pub idle: u64,
    /// More was waiting to be written than the limit.
    pub out_limit: u64,
    /// The peer took nothing for too long.
    pub write_stall: u64,
    /// The machine did not want it.
    pub refused: u64,
    /// An error of the system.
    pub io: u64,
}

impl Closed {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.by_peer
            + self.aborted
            + self.restarted
            + self.wrong_protocol
            + self.by_machine
            + self.framing
            + self.partial_message
            + self.idle
            + self.out_limit
            + self.write_stall
            + self.refused
            + self.io
    }
}

impl From<Unusable> for CloseReason {
    fn from(why: Unusable) -> Self {
        match why {
            Unusable::Framing(error) => CloseReason::Framing(error),
            Unusable::TooLong => CloseReason::TooLong,
            Unusable::WrongProtocol => CloseReason::WrongProtocol,
        }
    }
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum CloseReason {
    Peer,
    /// SCTP, with the cause code of RFC 9260, 3.3.10.
    Aborted(u16),
    Restarted,
    Machine,
    Framing(FrameError),
    TooLong,
    WrongProtocol,
    PartialMessage,
    Idle,
    OutLimit,
    WriteStall,
    Refused,
    Io(io::Error),
}

impl CloseReason {
    pub(super) fn count(&self, closed: &mut Closed) {
        let counter = match self {
            CloseReason::Peer => &mut closed.by_peer,
            CloseReason::Machine => &mut closed.by_machine,
            CloseReason::Framing(_) | CloseReason::TooLong => &mut closed.framing,
            CloseReason::WrongProtocol => &mut closed.wrong_protocol,
            CloseReason::Aborted(_) => &mut closed.aborted,
            CloseReason::Restarted => &mut closed.restarted,
            CloseReason::PartialMessage => &mut closed.partial_message,
            CloseReason::Idle => &mut closed.idle,
            CloseReason::OutLimit => &mut closed.out_limit,
            CloseReason::WriteStall => &mut closed.write_stall,
            CloseReason::Refused => &mut closed.refused,
            CloseReason::Io(_) => &mut closed.io,
        };
        *counter += 1;
    }

    /// Whether the peer misbehaved, as far as one can tell.
    pub(super) const fn is_fault(&self) -> bool {
        matches!(
            self,
            CloseReason::Framing(_)
                | CloseReason::TooLong
                | CloseReason::WrongProtocol
                | CloseReason::PartialMessage
                | CloseReason::OutLimit
                | CloseReason::WriteStall
        )
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Peer => f.write_str("closed by the peer"),
            CloseReason::Machine => f.write_str("closed by this side"),
            CloseReason::Aborted(0) => f.write_str("aborted by the peer"),
            CloseReason::Aborted(cause) => write!(f, "aborted, or the peer does not answer (cause {cause})"),
            CloseReason::Restarted => f.write_str("the peer has begun anew"),
            CloseReason::TooLong => f.write_str("a message is above the limit"),
            CloseReason::WrongProtocol => f.write_str("not the protocol of this port"),
            CloseReason::Framing(error) => write!(f, "not a stream of messages: {error}"),
            CloseReason::PartialMessage => f.write_str("a message was begun and not completed"),
            CloseReason::Idle => f.write_str("idle"),
            CloseReason::OutLimit => f.write_str("the peer reads too slowly: too much waits to be written"),
            CloseReason::WriteStall => f.write_str("the peer does not read"),
            CloseReason::Refused => f.write_str("no room for another association"),
            CloseReason::Io(error) => write!(f, "{error}"),
        }
    }
}
