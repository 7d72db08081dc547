//! Messages over byte streams (TCP).

use core::net::SocketAddr;

use rserpool_core::wire::Deframer;
use rserpool_core::{Link, Ppid};

use crate::carrier::{Carrier, Dialled, Received, Sent, Status};

/// The TCP sockets of a stack, by number. As for [`Carrier`], of which it is the lower half.
pub(crate) trait Streams {
    fn status(&mut self, slot: usize) -> Status;
    fn connect(&mut self, slot: usize, to: SocketAddr) -> bool;
    fn listen(&mut self, slot: usize, port: u16) -> bool;
    fn peer(&mut self, slot: usize) -> Option<SocketAddr>;
    /// Bytes that were read; 0 where there are none, for whatever reason.
    fn read(&mut self, slot: usize, buf: &mut [u8]) -> usize;
    /// Writes all of it; the room was asked for before.
    fn write(&mut self, slot: usize, bytes: &[u8]);
    /// How many bytes can be written, now and with an empty buffer; `None` where none ever can.
    fn room(&mut self, slot: usize) -> Option<(usize, usize)>;
    fn close(&mut self, slot: usize);
    fn abort(&mut self, slot: usize);
}

/// What was read of a stream and not handed on.
#[derive(Debug)]
pub(crate) struct Inbox<const MESSAGE: usize> {
    bytes: [u8; MESSAGE],
    len: usize,
}

impl<const MESSAGE: usize> Inbox<MESSAGE> {
    pub(crate) const fn new() -> Self {
        Inbox { bytes: [0; MESSAGE], len: 0 }
    }
}

/// Streams with their inboxes: a carrier of messages.
pub(crate) struct Framed<'a, S, const MESSAGE: usize> {
    pub(crate) streams: S,
    pub(crate) inboxes: &'a mut [Inbox<MESSAGE>],
}

impl<S, const MESSAGE: usize> Framed<'_, S, MESSAGE> {
    /// The longest message that fits, with its padding.
    const DEFRAMER: Deframer = Deframer::new(MESSAGE / 4 * 4);

    fn forget(&mut self, slot: usize) {
        if let Some(inbox) = self.inboxes.get_mut(slot) {
            inbox.len = 0;
        }
    }
}

impl<S: Streams, const MESSAGE: usize> Carrier for Framed<'_, S, MESSAGE> {
    const LINK: Link = Link::Tcp;

    fn status(&mut self, slot: usize) -> Status {
        self.streams.status(slot)
    }

    fn dial(&mut self, slot: usize, to: &[SocketAddr], attempt: usize) -> Dialled {
        let Some(to) = to.get(attempt) else { return Dialled::NoMore };
        self.forget(slot);
        if self.streams.connect(slot, *to) { Dialled::Started } else { Dialled::NotNow }
    }

    fn listen(&mut self, slot: usize, port: u16) -> bool {
        self.forget(slot);
        self.streams.listen(slot, port)
    }

    fn peer(&mut self, slot: usize) -> Option<SocketAddr> {
        self.streams.peer(slot)
    }

    /// Half of the buffer is enough for answers; what is longer waits a little.
    fn can_answer(&mut self, slot: usize) -> bool {
        self.streams.room(slot).is_none_or(|(now, all)| now >= all / 2)
    }

    fn receive(&mut self, slot: usize) -> Received<'_> {
        let Some(inbox) = self.inboxes.get_mut(slot) else { return Received::Nothing };
        loop {
            let held = inbox.bytes.get(..inbox.len).unwrap_or(&[]);
            match Self::DEFRAMER.next(held) {
                Ok(Some((message, _))) => {
                    let len = message.len();
                    return Received::Message(inbox.bytes.get(..len).unwrap_or(&[]), None);
                }
                Ok(None) => {}
                Err(_) => return Received::Broken,
            }
            let free = inbox.bytes.get_mut(inbox.len..).unwrap_or(&mut []);
            match self.streams.read(slot, free) {
                0 => return Received::Nothing,
                read => inbox.len += read,
            }
        }
    }

    fn consume(&mut self, slot: usize) {
        let Some(inbox) = self.inboxes.get_mut(slot) else { return };
        let held = inbox.bytes.get_mut(..inbox.len).unwrap_or(&mut []);
        if let Ok(Some((_, consumed))) = Self::DEFRAMER.next(held) {
            held.copy_within(consumed.., 0);
            inbox.len -= consumed;
        }
    }

    fn send(&mut self, slot: usize, _ppid: Ppid, message: &[u8]) -> Sent {
        match self.streams.room(slot) {
            Some((_, all)) if all < message.len() => return Sent::TooLong,
            Some((now, _)) if now < message.len() => return Sent::Full,
            Some(_) => self.streams.write(slot, message),
            None => {}
        }
        Sent::Yes
    }

    fn close(&mut self, slot: usize) {
        self.streams.close(slot);
    }

    fn abort(&mut self, slot: usize) {
        self.streams.abort(slot);
    }
}
