//! The echo service over SCTP: sends back each message on its stream, with its payload protocol identifier.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread;

use lksctp::{AssocChangeState, EventType, Family, Notification, RecvMsg, SctpSocket, SendInfo, Style};

use rserpool_core::Ppid;
use rserpool_std::driver::sctp_host_addresses;

use crate::error::Error;

/// How many associations may come up at once.
const BACKLOG: i32 = 128;
/// The longest message that is sent back, in bytes; what is longer comes back in pieces.
const LONGEST: usize = 64 << 10;

/// Starts the service; gives all its addresses.
pub(super) fn start(addresses: &[SocketAddr]) -> Result<Vec<SocketAddr>, Error> {
    crate::network::sctp_available()?;
    let listen = || {
        let family = if addresses.iter().any(SocketAddr::is_ipv6) { Family::Ipv6 } else { Family::Ipv4 };
        let socket = SctpSocket::new(family, Style::OneToMany)?;
        socket.subscribe_event(EventType::AssocChange, true)?;
        socket.set_nodelay(true)?;
        socket.set_reuse_address(true)?;
        socket.bindx_add(addresses)?;
        socket.listen(BACKLOG)?;
        let port = socket.local_addr()?.port();
        let ips: Vec<IpAddr> = match addresses.iter().any(|address| address.ip().is_unspecified()) {
            true => sctp_host_addresses()?.iter().map(SocketAddr::ip).collect(),
            false => addresses.iter().map(SocketAddr::ip).collect(),
        };
        // An IPv6 socket is one for IPv4, too.
        let bound = ips.iter().filter(|ip| ip.is_ipv4() || family == Family::Ipv6);
        let bound = bound.map(|ip| SocketAddr::new(*ip, port)).collect();
        Ok((socket, bound))
    };
    let (socket, bound) =
        listen().map_err(|error: io::Error| Error::system(format_args!("listen on {addresses:?}"), error))?;
    thread::Builder::new()
        .name("rserpool-echo".to_owned())
        .spawn(move || serve(&socket))
        .map_err(|error| Error::system("start a thread", error))?;
    Ok(bound)
}

fn serve(socket: &SctpSocket) {
    let mut buffer = [0; 4096];
    loop {
        let change = match socket.recv_msg(&mut buffer) {
            Ok(RecvMsg::Notification(Notification::AssocChange(change))) => change,
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return tracing::warn!(%error, "the echo service has ended"),
        };
        if change.state != AssocChangeState::CommUp {
            continue;
        }
        // Each user has a thread, as over TCP: one that does not read keeps nobody else waiting.
        let served = socket.peeloff(change.assoc_id).and_then(|user| {
            thread::Builder::new().spawn(move || {
                if let Err(error) = echo(&user) {
                    tracing::debug!(%error, "an association is lost");
                }
            })
        });
        if let Err(error) = served {
            tracing::debug!(%error, "an association is not served");
        }
    }
}

fn echo(user: &SctpSocket) -> io::Result<()> {
    let mut buffer = vec![0; LONGEST];
    loop {
        match user.recv_msg(&mut buffer)? {
            RecvMsg::Data { len: 0, info: None, .. } => return Ok(()),
            RecvMsg::Data { len, info, .. } => {
                let info = info.unwrap_or_default();
                // The control channel is not the users' data: a cookie that comes back is not for sending back.
                if info.ppid.0 == Ppid::Asap.number() {
                    continue;
                }
                let back = SendInfo { sid: info.sid, ppid: info.ppid, ..SendInfo::default() };
                user.send_msg(buffer.get(..len).unwrap_or_default(), &back)?;
            }
            RecvMsg::Notification(Notification::AssocChange(change))
                if matches!(change.state, AssocChangeState::CommLost | AssocChangeState::ShutdownComplete) =>
            {
                return Ok(());
            }
            RecvMsg::Notification(_) => {}
        }
    }
}
