//! Connections to the services of pool elements.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use lksctp::{AssocChangeState, EventType, Notification, RecvMsg, SctpSocket, SendInfo};
use rserpool_core::Ppid;
use rserpool_core::wire::Transport;

use crate::driver::sctp_associate;
use crate::error::Error;
use crate::member::Member;
use crate::user::PoolUser;

/// A connection to a service, over the protocol that it is registered with: TCP or the SCTP of the system's kernel.
///
/// Over TCP it is a stream of bytes. Over SCTP a write is one message, on stream 0 and with payload protocol identifier
/// 0, as rsplib's services have it; and a read gives one message, or as much of it as there is room for, and the next
/// read the rest. Messages of ASAP, such as cookies, are passed over.
#[derive(Debug)]
pub struct ServiceStream(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    /// A one-to-one socket (RFC 6458, 4).
    Sctp(Arc<SctpSocket>),
}

impl ServiceStream {
    /// Connects to a service. Over SCTP all its addresses are those of one association.
    ///
    /// # Errors
    /// It does not accept a connection in time; the system has no SCTP; or ([`ErrorKind::Unsupported`]) it is a service
    /// without connections.
    pub fn connect(service: &Transport<'_>, timeout: Duration) -> io::Result<Self> {
        let addresses: Vec<SocketAddr> = service.socket_addrs().collect();
        match service {
            Transport::Tcp(_) => {
                let address = addresses.first().ok_or(ErrorKind::AddrNotAvailable)?;
                let stream = TcpStream::connect_timeout(address, timeout)?;
                stream.set_nodelay(true)?;
                Ok(ServiceStream(Kind::Tcp(stream)))
            }
            Transport::Sctp { .. } => {
                let socket = sctp_associate(&addresses, timeout)?;
                socket.subscribe_events(&[EventType::AssocChange, EventType::Shutdown])?;
                socket.set_nodelay(true)?;
                Ok(ServiceStream(Kind::Sctp(Arc::new(socket))))
            }
            _ => {
                let why = format!("a service over {} has no connections", service.kind());
                Err(io::Error::new(ErrorKind::Unsupported, why))
            }
        }
    }

    /// The same connection again, to write to it and to read from it in two threads.
    ///
    /// # Errors
    /// The system has no descriptor for it.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(ServiceStream(match &self.0 {
            Kind::Tcp(stream) => Kind::Tcp(stream.try_clone()?),
            Kind::Sctp(socket) => Kind::Sctp(Arc::clone(socket)),
        }))
    }

    /// The socket of a TCP connection, for its options.
    #[must_use]
    pub fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Kind::Tcp(stream) => Some(stream),
            Kind::Sctp(_) => None,
        }
    }

    /// Who is at the other end; over SCTP by its primary address.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.0 {
            Kind::Tcp(stream) => stream.peer_addr(),
            Kind::Sctp(socket) => socket.peer_addr(),
        }
    }

    /// How long a read may take until it fails with [`ErrorKind::WouldBlock`] or [`ErrorKind::TimedOut`]. Default: for
    /// ever.
    ///
    /// # Errors
    /// The time is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp(stream) => stream.set_read_timeout(timeout),
            Kind::Sctp(socket) => socket.set_recv_timeout(timeout),
        }
    }

    /// The same for a write.
    ///
    /// # Errors
    /// The time is zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp(stream) => stream.set_write_timeout(timeout),
            Kind::Sctp(socket) => socket.set_send_timeout(timeout),
        }
    }

    /// Ends the connection, also for its clones: a read that waits ends.
    ///
    /// # Errors
    /// The connection has ended.
    pub fn shutdown(&self) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Kind::Sctp(socket) => socket.shutdown(Shutdown::Both),
        }
    }
}

/// The next bytes of the peer's; none where it has sent its last ones.
fn receive(socket: &SctpSocket, buf: &mut [u8]) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    loop {
        match socket.recv_msg(buf)? {
            // The control channel is not the application's (RFC 5352, 5).
            RecvMsg::Data { info: Some(info), .. } if info.ppid.0 == Ppid::Asap.number() => {}
            RecvMsg::Data { len, .. } => return Ok(len),
            RecvMsg::Notification(Notification::Shutdown(_)) => return Ok(0),
            RecvMsg::Notification(Notification::AssocChange(change)) => match change.state {
                AssocChangeState::ShutdownComplete => return Ok(0),
                AssocChangeState::CommLost | AssocChangeState::Restart => {
                    return Err(ErrorKind::ConnectionReset.into());
                }
                _ => {}
            },
            RecvMsg::Notification(_) => {}
        }
    }
}

impl Read for &ServiceStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp(stream) => { stream }.read(buf),
            Kind::Sctp(socket) => receive(socket, buf),
        }
    }
}

impl Write for &ServiceStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Tcp(stream) => { stream }.write(buf),
            // There are no empty messages.
            Kind::Sctp(_) if buf.is_empty() => Ok(0),
            Kind::Sctp(socket) => socket.send_msg(buf, &SendInfo::default()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for ServiceStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        { &*self }.read(buf)
    }
}

impl Write for ServiceStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        { &*self }.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection to an element of a pool, which can move to another element.
///
/// It reads and writes like a [`ServiceStream`]. What the service needs to go on elsewhere (to log in, to repeat a
/// request) only the application knows: after [`PoolStream::fail_over`] it does that.
#[derive(Debug)]
pub struct PoolStream<'u> {
    user: &'u PoolUser,
    pool: Vec<u8>,
    stream: ServiceStream,
    member: Member,
}

impl<'u> PoolStream<'u> {
    pub(crate) fn new(user: &'u PoolUser, pool: Vec<u8>) -> Result<Self, Error> {
        let (stream, member) = user.open(&pool, None)?;
        Ok(PoolStream { user, pool, stream, member })
    }

    /// The element at the other end.
    #[must_use]
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// The connection itself, for time-outs and for another thread.
    #[must_use]
    pub fn get_ref(&self) -> &ServiceStream {
        &self.stream
    }

    /// Reports the element as failed and connects to the next best.
    ///
    /// # Errors
    /// As [`PoolUser::connect`].
    pub fn fail_over(&mut self) -> Result<(), Error> {
        let _ = self.stream.shutdown();
        (self.stream, self.member) = self.user.open(&self.pool, Some(self.member.id()))?;
        Ok(())
    }
}

impl Read for PoolStream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buf)
    }
}

impl Write for PoolStream<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
