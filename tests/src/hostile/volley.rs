//! How messages are sent by the thousands.

use std::net::{SocketAddr, UdpSocket};
use std::thread;

use crate::scene::Peer;

/// How many messages are written at once.
const BATCH: usize = 500;

/// Sends messages over one connection and reads whatever comes, until the other side has had all of it. Says how many
/// messages came.
pub(super) fn over(mut peer: Peer, messages: impl Iterator<Item = Vec<u8>> + Send) -> usize {
    let mut sender = Peer::over(peer.stream.try_clone().expect("a socket"));
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut messages = messages.peekable();
            while messages.peek().is_some() {
                let batch: Vec<u8> = messages.by_ref().take(BATCH).flatten().collect();
                if !sender.try_send(&batch) {
                    break;
                }
            }
            sender.finish();
        });
        let mut received = 0;
        while peer.receive().is_some() {
            received += 1;
        }
        received
    })
}

/// The same over several connections at once, each with its own messages. Says how many came over all of them.
///
/// # Panics
/// One of them did.
pub(super) fn from_many<I>(to: SocketAddr, connections: u32, messages: impl Fn(u32) -> I + Sync) -> usize
where
    I: Iterator<Item = Vec<u8>> + Send,
{
    thread::scope(|scope| {
        let messages = &messages;
        let threads: Vec<_> =
            (0..connections).map(|n| scope.spawn(move || over(Peer::connect(to), messages(n)))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a connection")).sum()
    })
}

/// Sends datagrams to a multicast group over loopback; those for which there is no room are lost, as they are in a
/// network. Says how many.
///
/// # Panics
/// There is no UDP.
pub(super) fn datagrams(group: SocketAddr, messages: impl Iterator<Item = Vec<u8>>) -> usize {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    messages.filter(|message| socket.send_to(message, group).is_ok()).count()
}
