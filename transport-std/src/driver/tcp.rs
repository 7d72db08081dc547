//! Messages over TCP.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::DriverConfig;
use super::buffer::{Buffers, OutBuffer};
use super::link::{AfterWrite, Received, Written};

/// A read or write that moved less than it could have means "no more at present", and the next readiness will be
/// signalled: true for edge-triggered epoll on streams (epoll(7), question 9). It saves the call that would only
/// return EAGAIN. Elsewhere that call is made.
const SHORT_MEANS_DRAINED: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Whether accepted sockets have the options of their listener, which saves setting them for each.
pub(super) const ACCEPTED_INHERIT: bool = cfg!(any(target_os = "linux", target_os = "android"));

const BACKLOG: i32 = 1024;

/// A connection and the bytes that wait to be written to it.
#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) stream: TcpStream,
    pub(super) out: OutBuffer,
}

impl Tcp {
    pub(super) fn new(stream: TcpStream) -> Self {
        Tcp { stream, out: OutBuffer::default() }
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        &mut self.stream
    }

    pub(super) fn receive(&mut self, buf: &mut [u8]) -> Received {
        loop {
            return match self.stream.read(buf) {
                Ok(0) => Received::End,
                Ok(len) => Received::Bytes { len, more: len == buf.len() || !SHORT_MEANS_DRAINED },
                Err(error) if error.kind() == ErrorKind::WouldBlock => Received::Nothing,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Received::Failed(error),
            };
        }
    }

    pub(super) fn flush(&mut self, buffers: &mut Buffers) -> Written {
        let waiting = self.out.len();
        if waiting == 0 {
            return Written { len: 0, then: AfterWrite::Open };
        }
        loop {
            return match self.stream.write(self.out.waiting()) {
                Ok(len) => {
                    self.out.consume(len, buffers);
                    let blocked = len < waiting && SHORT_MEANS_DRAINED;
                    Written { len, then: if blocked { AfterWrite::Blocked } else { AfterWrite::Open } }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => Written { len: 0, then: AfterWrite::Blocked },
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Written { len: 0, then: AfterWrite::Failed(error) },
            };
        }
    }
}

/// Opens a listening socket.
pub(super) fn listen(address: SocketAddr, config: &DriverConfig) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // On Unix this allows a restart while connections of the former process are in TIME_WAIT. On Windows it would
    // allow two listeners on one port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Accepted sockets inherit the buffer sizes, in time for the window scale of the handshake.
    set_buffers(&socket, config)?;
    if ACCEPTED_INHERIT {
        set_options(SockRef::from(&socket), config);
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Begins to connect; the socket becomes writable when it is decided.
pub(super) fn connect(address: SocketAddr, config: &DriverConfig) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    set_buffers(&socket, config)?;
    set_options(SockRef::from(&socket), config);
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if in_progress(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

fn in_progress(error: &io::Error) -> bool {
    // Unix says EINPROGRESS, for which stable Rust has no name; Windows says WSAEWOULDBLOCK.
    error.kind() == ErrorKind::WouldBlock || cfg!(unix) && error.raw_os_error() == Some(EINPROGRESS)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const EINPROGRESS: i32 = 115;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const EINPROGRESS: i32 = 36;

/// Whether an attempt to connect is decided: `Ok(false)` where it is not.
pub(super) fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        // A client's ephemeral port can be the port that it dials on its own host: it then talks to itself.
        Ok(peer) if stream.local_addr()? == peer => Err(ErrorKind::ConnectionRefused.into()),
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sets the options of a connection. A system that lacks one is no reason not to talk.
pub(super) fn set_options(socket: SockRef<'_>, config: &DriverConfig) {
    let log = |option: &str, result: io::Result<()>| {
        if let Err(error) = result {
            tracing::debug!(option, %error, "socket option not set");
        }
    };
    log("TCP_NODELAY", socket.set_tcp_nodelay(config.nodelay));
    if let Some(time) = config.keepalive {
        let keepalive = TcpKeepalive::new().with_time(time);
        log("SO_KEEPALIVE", socket.set_tcp_keepalive(&keepalive));
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(time) = config.user_timeout {
        log("TCP_USER_TIMEOUT", socket.set_tcp_user_timeout(Some(time)));
    }
}

fn set_buffers(socket: &Socket, config: &DriverConfig) -> io::Result<()> {
    if let Some(size) = config.send_buffer {
        socket.set_send_buffer_size(size)?;
    }
    if let Some(size) = config.receive_buffer {
        socket.set_recv_buffer_size(size)?;
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_accepted_socket_inherits_the_options() {
        let config = DriverConfig { send_buffer: Some(10_000), ..DriverConfig::default() };
        let listener = listen("127.0.0.1:0".parse().unwrap(), &config).unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // The handshake was complete before `connect` returned.
        let (stream, _) = listener.accept().unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
        assert!(socket.send_buffer_size().unwrap() <= 20_000);
        drop(peer);
    }
}
