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
use super::tcp::Tcp;
use crate::framing::Framer;

/// The socket and what waits to be written to it.
#[derive(Debug)]
pub(super) enum Carrier {
    Tcp(Tcp),
}

/// What has been received and is not handled yet. Apart from the carrier, so that a message can be borrowed from it
/// while its handling writes to carriers, this one among them.
#[derive(Debug)]
pub(super) enum Inbox {
    Stream { framer: Framer, ppid: Ppid },
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
        }
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        match self {
            Carrier::Tcp(tcp) => tcp.source(),
        }
    }

    /// Reads once.
    pub(super) fn receive(&mut self, buf: &mut [u8]) -> Received {
        match self {
            Carrier::Tcp(tcp) => tcp.receive(buf),
        }
    }

    /// Queues a message.
    pub(super) fn push(&mut self, _ppid: Ppid, message: &[u8], buffers: &mut Buffers) {
        match self {
            Carrier::Tcp(tcp) => tcp.out.push(message, buffers),
        }
    }

    /// How many bytes are queued.
    pub(super) fn unsent(&self) -> usize {
        match self {
            Carrier::Tcp(tcp) => tcp.out.len(),
        }
    }

    /// Writes what is queued, as far as it goes.
    pub(super) fn flush(&mut self, buffers: &mut Buffers) -> Written {
        match self {
            Carrier::Tcp(tcp) => tcp.flush(buffers),
        }
    }

    /// Tells the peer that nothing more will come.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self {
            Carrier::Tcp(tcp) => tcp.stream.shutdown(Shutdown::Write),
        }
    }

    /// Gives the buffers back; the socket is closed when the carrier is dropped.
    pub(super) fn release(&mut self, buffers: &mut Buffers) {
        match self {
            Carrier::Tcp(tcp) => tcp.out.clear(buffers),
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
    pub(super) fn next<'m, 'c: 'm>(&'m mut self, chunk: &mut &'c [u8]) -> Result<Option<(Ppid, &'m [u8])>, FrameError> {
        match self {
            Inbox::Stream { framer, ppid } => {
                let ppid = *ppid;
                Ok(framer.next(chunk)?.map(|message| (ppid, message)))
            }
        }
    }

    /// Keeps what was not handled.
    pub(super) fn hold(&mut self, rest: &[u8]) {
        match self {
            Inbox::Stream { framer, .. } => framer.hold(rest),
        }
    }

    /// Whether nothing is held.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Inbox::Stream { framer, .. } => framer.held() == 0,
        }
    }
}
