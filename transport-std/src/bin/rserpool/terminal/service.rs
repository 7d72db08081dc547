//! A connection to a pool element of either protocol.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use lksctp::{AssocChangeState, EventType, Family, Notification, RecvMsg, SctpSocket, SendInfo, Style};
use rserpool_core::wire::TransportKind;
use rserpool_std::Member;

/// The longest answer that is shown as one, in bytes.
const LONGEST: usize = 64 << 10;

/// A connection. Its clones are the same connection, for another thread.
#[derive(Debug)]
pub(super) enum Service {
    Tcp(TcpStream),
    Sctp(Arc<SctpSocket>),
}

impl Service {
    pub(super) fn open(member: &Member, timeout: Duration) -> io::Result<Self> {
        match member.parameter().map(|parameter| parameter.user_transport.kind()) {
            Some(TransportKind::Tcp) => {
                let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
                for address in member.addresses() {
                    match TcpStream::connect_timeout(address, timeout) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            return Ok(Service::Tcp(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Some(TransportKind::Sctp) => associate(member.addresses(), timeout),
            kind => {
                let kind = kind.map_or_else(String::new, |kind| kind.to_string());
                Err(io::Error::new(ErrorKind::Unsupported, format!("a {kind} service has no connections")))
            }
        }
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Service::Tcp(stream) => Service::Tcp(stream.try_clone()?),
            Service::Sctp(socket) => Service::Sctp(Arc::clone(socket)),
        })
    }

    pub(super) fn send(&self, line: &str) -> io::Result<()> {
        let bytes = format!("{line}\n");
        match self {
            Service::Tcp(stream) => {
                let mut stream = stream;
                stream.write_all(bytes.as_bytes())
            }
            Service::Sctp(socket) => socket.send_msg(bytes.as_bytes(), &SendInfo::default()).map(drop),
        }
    }

    /// What comes next; `None`: nothing more does.
    pub(super) fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = vec![0; LONGEST];
        let len = match self {
            Service::Tcp(stream) => {
                let mut stream = stream;
                stream.read(&mut buffer)?
            }
            Service::Sctp(socket) => loop {
                match socket.recv_msg(&mut buffer)? {
                    RecvMsg::Data { len, .. } => break len,
                    RecvMsg::Notification(Notification::Shutdown(_)) => break 0,
                    RecvMsg::Notification(Notification::AssocChange(change))
                        if change.state != AssocChangeState::CommUp =>
                    {
                        break 0;
                    }
                    RecvMsg::Notification(_) => {}
                }
            },
        };
        buffer.truncate(len);
        Ok((len > 0).then_some(buffer))
    }

    /// Ends the connection, and with it the wait of a clone.
    pub(super) fn end(self) {
        let _ = match self {
            Service::Tcp(stream) => stream.shutdown(Shutdown::Both),
            Service::Sctp(socket) => socket.shutdown(Shutdown::Both),
        };
    }
}

fn associate(addresses: &[SocketAddr], timeout: Duration) -> io::Result<Service> {
    let family = if addresses.iter().any(SocketAddr::is_ipv6) { Family::Ipv6 } else { Family::Ipv4 };
    let socket = SctpSocket::new(family, Style::OneToOne)?;
    socket.subscribe_events(&[EventType::AssocChange, EventType::Shutdown])?;
    socket.set_nodelay(true)?;
    socket.set_send_timeout(Some(timeout))?;
    socket.connectx(addresses)?;
    Ok(Service::Sctp(Arc::new(socket)))
}
