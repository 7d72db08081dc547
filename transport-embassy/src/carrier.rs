//! What the engine needs of a network stack. A further kind of link implements [`Carrier`]; nothing else changes.

use core::net::{IpAddr, SocketAddr};

use rserpool_core::{Link, Ppid};

/// How a place for a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// There is no connection, and none is being made: never was, refused, reset, timed out, or all done.
    Closed,
    /// As [`Status::Closed`], but the peer has still to be told.
    Reset,
    /// It listens.
    Listening,
    /// A handshake is going on.
    Opening,
    /// It is up. The peer may have ended its direction; what it has sent can still be read.
    Open,
    /// The peer has ended its direction and all that it sent was read; or we have ended ours.
    Ended,
}

/// What became of the wish to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialled {
    /// The handshake has begun.
    Started,
    /// There is no network now, or no way to that address now.
    NotNow,
    /// All addresses have been tried.
    NoMore,
}

/// What came from a peer.
#[derive(Debug)]
pub(crate) enum Received<'a> {
    /// Nothing, or not a whole message.
    Nothing,
    /// A message, to be [consumed](Carrier::consume). Its protocol, where the link carries one.
    Message(&'a [u8], Option<Ppid>),
    /// There is no way to find the next message.
    Broken,
}

/// What became of a message to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The stack has it, or the connection has ended, which [`Carrier::status`] tells.
    Yes,
    /// There is no room for it now.
    Full,
    /// There is never room for it.
    TooLong,
}

/// Places for connections of one kind of link, by number. What cannot be answered at once is asked again in the next
/// turn; who has wakers registers them for all that can change an answer.
pub(crate) trait Carrier {
    /// Which kind.
    const LINK: Link;

    /// How a place stands.
    fn status(&mut self, slot: usize) -> Status;
    /// Begins to connect. `attempt` counts up: links that have one address at a time take another one with each.
    fn dial(&mut self, slot: usize, to: &[SocketAddr], attempt: usize) -> Dialled;
    /// Begins to listen; says whether it does.
    fn listen(&mut self, slot: usize, port: u16) -> bool;
    /// The peer's address.
    fn peer(&mut self, slot: usize) -> Option<SocketAddr>;
    /// Whether the peer takes what is sent to it, so that it may ask for more.
    fn can_answer(&mut self, slot: usize) -> bool;
    /// The first message that was not consumed.
    fn receive(&mut self, slot: usize) -> Received<'_>;
    /// Removes that message.
    fn consume(&mut self, slot: usize);
    /// Sends a message, all of it or nothing.
    fn send(&mut self, slot: usize, ppid: Ppid, message: &[u8]) -> Sent;
    /// Ends our direction once all has been sent.
    fn close(&mut self, slot: usize);
    /// Ends the connection, or the attempt or the listening, at once.
    fn abort(&mut self, slot: usize);
}

/// The datagrams of the multicast channels, and the host's addresses.
pub(crate) trait Host {
    /// The host's IPv4 and IPv6 address.
    fn addresses(&mut self) -> [Option<IpAddr>; 2];
    /// The host has an address that it had not before: group memberships begin, or begin anew.
    fn join(&mut self);
    /// A datagram, in `buf`: its protocol, its source and its length.
    fn receive(&mut self, buf: &mut [u8]) -> Option<(Ppid, SocketAddr, usize)>;
    /// Sends a datagram to the channel of a protocol, if there is one.
    fn send(&mut self, ppid: Ppid, message: &[u8]);
}
