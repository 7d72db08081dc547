//! What carries the messages of one association.
//!
//! The loop knows a link only by the methods of [`Carrier`] and [`Inbox`]: read once, take out the messages that this
//! completed, queue a message, write once, end. A byte stream with frames in it fits behind them as well as sockets
//! that keep message boundaries and say each message's protocol themselves; a new kind of link is a variant of both.

use std::io;
use std::net::Shutdown;

use mio::event::Source;
use rserpool_core::{Link, Ppid, wire::FrameError};

use super::buffer::Buffers;
use super::sctp;
use super::tcp::Tcp;
use crate::framing::Framer;

/// The socket and what waits to be written to it.
#[derive(Debug)]
pub(super) enum Carrier {
    Tcp(Tcp),
    Sctp(sctp::Assoc),
}

/// What has been received and is not handled yet. Apart from the carrier, so that a message can be borrowed from it
/// while its handling writes to carriers, this one among them.
#[derive(Debug)]
pub(super) enum Inbox {
    Stream { framer: Framer, ppid: Ppid },
    Messages(sctp::Messages),
}

/// What one read gave.
#[derive(Debug)]
pub(super) enum Received {
    /// So many bytes; `more`: there may be more to read now.
    Bytes { len: usize, more: bool },
    /// Nothing at present.
    Nothing,
    /// The peer sends no more.
    End,
    /// The link is broken.
    Failed(io::Error),
    /// SCTP: the peer has ended the association by ABORT, or does not answer; with the cause code of RFC 9260, 3.3.10.
    Aborted { cause: u16 },
    /// SCTP: the peer has begun anew (RFC 9260, 5.2): the same socket, another association.
    Restarted,
    /// SCTP: a message could not be delivered.
    SendFailed,
}

/// Why what was received is of no use, and nothing more is read.
#[derive(Debug)]
pub(super) enum Unusable {
    Framing(FrameError),
    /// SCTP: a message longer than the limit.
    TooLong,
    /// SCTP: ENRP where ASAP is spoken, or the other way round.
    WrongProtocol,
}

/// What one write did.
#[derive(Debug)]
pub(super) struct Written {
    /// So many bytes were taken.
    pub(super) len: usize,
    pub(super) then: AfterWrite,
}

#[derive(Debug)]
pub(super) enum AfterWrite {
    /// More could be written now.
    Open,
    /// The system takes no more at present.
    Blocked,
    /// The link is broken.
    Failed(io::Error),
}

impl Carrier {
    pub(super) const fn link(&self) -> Link {
        match self {
            Carrier::Tcp(_) => Link::Tcp,
            Carrier::Sctp(_) => Link::Sctp,
        }
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        match self {
            Carrier::Tcp(tcp) => tcp.source(),
            Carrier::Sctp(assoc) => assoc.source(),
        }
    }

    /// Reads once. `inbox` is told of boundaries, where the system knows them.
    pub(super) fn receive(&mut self, buf: &mut [u8], inbox: &mut Inbox, buffers: &mut Buffers) -> Received {
        match self {
            Carrier::Tcp(tcp) => tcp.receive(buf),
            Carrier::Sctp(assoc) => assoc.receive(buf, inbox, buffers),
        }
    }

    /// Queues a message.
    pub(super) fn push(&mut self, _ppid: Ppid, message: &[u8], buffers: &mut Buffers) {
        match self {
            Carrier::Tcp(tcp) => tcp.out.push(message, buffers),
            Carrier::Sctp(assoc) => assoc.push(message, buffers),
        }
    }

    /// How many bytes are queued.
    pub(super) fn unsent(&self) -> usize {
        match self {
            Carrier::Tcp(tcp) => tcp.out.len(),
            Carrier::Sctp(assoc) => assoc.unsent(),
        }
    }

    /// Writes what is queued, as far as it goes.
    pub(super) fn flush(&mut self, buffers: &mut Buffers) -> Written {
        match self {
            Carrier::Tcp(tcp) => tcp.flush(buffers),
            Carrier::Sctp(assoc) => assoc.flush(buffers),
        }
    }

    /// Tells the peer that nothing more will come.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self {
            Carrier::Tcp(tcp) => tcp.stream.shutdown(Shutdown::Write),
            Carrier::Sctp(assoc) => assoc.finish(),
        }
    }

    /// Tells the peer that it is at fault, where the link has a word for that.
    pub(super) fn abort(&mut self) {
        match self {
            Carrier::Tcp(_) => {}
            Carrier::Sctp(assoc) => assoc.abort(),
        }
    }

    /// Gives the buffers back; the socket is closed when the carrier is dropped.
    pub(super) fn release(&mut self, buffers: &mut Buffers) {
        match self {
            Carrier::Tcp(tcp) => tcp.out.clear(buffers),
            Carrier::Sctp(assoc) => assoc.release(buffers),
        }
    }
}

impl Inbox {
    pub(super) const fn stream(ppid: Ppid, max_message_len: usize) -> Self {
        Inbox::Stream { framer: Framer::new(max_message_len), ppid }
    }

    /// Takes the inbox out of its connection for the time of handling.
    pub(super) const fn take(&mut self) -> Inbox {
        std::mem::replace(self, Inbox::stream(Ppid::Asap, 0))
    }

    /// The next message of what is held and then of `chunk`, which shrinks.
    pub(super) fn next<'m, 'c: 'm>(&'m mut self, chunk: &mut &'c [u8]) -> Result<Option<(Ppid, &'m [u8])>, Unusable> {
        match self {
            Inbox::Stream { framer, ppid } => {
                let ppid = *ppid;
                Ok(framer.next(chunk).map_err(Unusable::Framing)?.map(|message| (ppid, message)))
            }
            Inbox::Messages(messages) => messages.next(chunk),
        }
    }

    /// How many messages of protocols that are not spoken here were passed over since this was asked last.
    pub(super) fn take_foreign(&mut self) -> u64 {
        match self {
            Inbox::Stream { .. } => 0,
            Inbox::Messages(messages) => messages.take_foreign(),
        }
    }

    /// Keeps what was not handled.
    pub(super) fn hold(&mut self, rest: &[u8]) {
        match self {
            Inbox::Stream { framer, .. } => framer.hold(rest),
            Inbox::Messages(messages) => messages.hold(rest),
        }
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Inbox::Stream { framer, .. } => framer.held() == 0,
            Inbox::Messages(messages) => messages.is_empty(),
        }
    }
}
