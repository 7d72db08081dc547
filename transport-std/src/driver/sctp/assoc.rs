//! One association, on a descriptor of its own. What is sent on it has the protocol's identifier (RFC 5352, 5).

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use lksctp::{AssocChangeState, AssocId, Notification, RecvMsg, SctpSocket, SendFlags, SendInfo};
use mio::event::Source;
use rserpool_core::Ppid;

use super::socket::{Fd, useful};
use crate::driver::buffer::{Buffers, OutBuffer};
use crate::driver::link::{AfterWrite, Inbox, Received, Written};

/// How many messages are read at once.
const MESSAGES: usize = 64;
/// With less room than this in the buffer nothing more is read into it.
const LEAST_ROOM: usize = 16 << 10;

/// ENOTCONN, ESHUTDOWN: there is no association any more.
const ENDED: [i32; 2] = [107, 108];

/// An association and the messages that wait to be written to it.
#[derive(Debug)]
pub(in crate::driver) struct Assoc {
    socket: Fd,
    ppid: Ppid,
    out: OutBuffer,
    /// How long the messages in `out` are.
    lengths: VecDeque<usize>,
    /// What came behind the messages that were read last.
    news: Option<Received>,
}

impl Assoc {
    pub(super) fn new(socket: SctpSocket, ppid: Ppid) -> Self {
        Assoc { socket: Fd(socket), ppid, out: OutBuffer::default(), lengths: VecDeque::new(), news: None }
    }

    pub(in crate::driver) fn source(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    /// All addresses of the peer, the primary one first.
    pub(in crate::driver) fn peer(&self) -> io::Result<Vec<SocketAddr>> {
        self.socket.0.peer_addrs(AssocId::FUTURE).map(useful)
    }

    /// Reads messages until there are no more, or enough.
    pub(in crate::driver) fn receive(&mut self, buf: &mut [u8], inbox: &mut Inbox, buffers: &mut Buffers) -> Received {
        if let Some(news) = self.news.take() {
            return news;
        }
        let mut used = 0;
        for _ in 0..MESSAGES {
            let room = buf.get_mut(used..).unwrap_or_default();
            if used > 0 && room.len() < LEAST_ROOM {
                break;
            }
            let news = match self.socket.0.recv_msg(room) {
                Ok(RecvMsg::Data { len: 0, info: None, .. }) => Received::End,
                Ok(RecvMsg::Data { len, info, eor }) => {
                    if let Inbox::Messages(messages) = inbox {
                        messages.note(info.map_or(0, |info| info.ppid.0), len, eor);
                    }
                    used += len;
                    continue;
                }
                Ok(RecvMsg::Notification(notification)) => match self.notified(&notification, inbox, buffers) {
                    Some(news) => news,
                    None => continue,
                },
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => Received::Nothing,
                Err(error) if error.raw_os_error().is_some_and(|code| ENDED.contains(&code)) => Received::End,
                Err(error) => Received::Failed(error),
            };
            return match (used, news) {
                (0, news) => news,
                (len, Received::Nothing) => Received::Bytes { len, more: false },
                (len, news) => {
                    self.news = Some(news);
                    Received::Bytes { len, more: true }
                }
            };
        }
        Received::Bytes { len: used, more: true }
    }

    fn notified(&mut self, notification: &Notification, inbox: &mut Inbox, buffers: &mut Buffers) -> Option<Received> {
        match notification {
            Notification::AssocChange(change) => match change.state {
                AssocChangeState::CommLost | AssocChangeState::CantStartAssoc => {
                    Some(Received::Aborted { cause: change.error })
                }
                AssocChangeState::ShutdownComplete => Some(Received::End),
                AssocChangeState::Restart => {
                    forget_begun(inbox);
                    self.release(buffers);
                    Some(Received::Restarted)
                }
                AssocChangeState::CommUp | AssocChangeState::Unknown(_) => None,
            },
            Notification::Shutdown(_) => {
                // RFC 9260, 9.2: the peer takes nothing new any more.
                self.release(buffers);
                Some(Received::End)
            }
            Notification::SendFailed(_) => Some(Received::SendFailed),
            Notification::PartialDelivery(_) => {
                forget_begun(inbox);
                None
            }
            _ => None,
        }
    }

    pub(in crate::driver) fn push(&mut self, message: &[u8], buffers: &mut Buffers) {
        self.out.push(message, buffers);
        self.lengths.push_back(message.len());
    }

    pub(in crate::driver) fn unsent(&self) -> usize {
        self.out.len()
    }

    pub(in crate::driver) fn flush(&mut self, buffers: &mut Buffers) -> Written {
        let info = SendInfo { ppid: lksctp::Ppid(self.ppid.number()), ..SendInfo::default() };
        let mut written = 0;
        while let Some(len) = self.lengths.front().copied() {
            let message = self.out.waiting().get(..len).unwrap_or_default();
            let then = match self.socket.0.send_msg(message, &info) {
                Ok(_) => {
                    self.lengths.pop_front();
                    self.out.consume(len, buffers);
                    written += len;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => AfterWrite::Blocked,
                Err(error) => AfterWrite::Failed(error),
            };
            return Written { len: written, then };
        }
        Written { len: written, then: AfterWrite::Open }
    }

    /// SHUTDOWN: what was sent is still delivered.
    pub(in crate::driver) fn finish(&self) -> io::Result<()> {
        self.end(SendFlags::EOF)
    }

    /// ABORT: what was not delivered is lost.
    pub(in crate::driver) fn abort(&self) {
        if let Err(error) = self.end(SendFlags::ABORT) {
            tracing::debug!(%error, "no ABORT sent");
        }
    }

    fn end(&self, flags: SendFlags) -> io::Result<()> {
        end(&self.socket.0, AssocId::FUTURE, flags)
    }

    /// What is not sent is not sent any more.
    pub(in crate::driver) fn release(&mut self, buffers: &mut Buffers) {
        self.out.clear(buffers);
        self.lengths.clear();
    }
}

fn forget_begun(inbox: &mut Inbox) {
    if let Inbox::Messages(messages) = inbox {
        messages.forget_begun();
    }
}

/// Ends an association by SHUTDOWN or ABORT. On a branched-off socket the system does not look at the name.
pub(super) fn end(socket: &SctpSocket, assoc: AssocId, flags: SendFlags) -> io::Result<()> {
    socket.send_msg(&[], &SendInfo { flags, assoc_id: assoc, ..SendInfo::default() }).map(drop)
}
