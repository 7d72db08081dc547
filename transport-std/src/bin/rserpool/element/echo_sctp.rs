//! The echo service over SCTP: sends back each message on its stream, with its payload protocol identifier.

use std::io;
use std::net::SocketAddr;
use std::thread;

use lksctp::{AssocChangeState, AssocId, EventType, Family, Notification, RecvMsg, SctpSocket, SendInfo, Style};

use rserpool_core::Ppid;

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
        let found = socket.local_addrs(AssocId::FUTURE)?;
        Ok((socket, found))
    };
    let (socket, found) =
        listen().map_err(|error: io::Error| Error::system(format_args!("listen on {addresses:?}"), error))?;
    thread::Builder::new()
        .name("rserpool-echo".to_owned())
        .spawn(move || serve(&socket))
        .map_err(|error| Error::system("start a thread", error))?;
    Ok(useful(found))
}

/// What users elsewhere can connect to, as far as there is any.
fn useful(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let is_link_local = |address: &SocketAddr| match address.ip() {
        std::net::IpAddr::V4(ip) => ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let mut found: Vec<SocketAddr> = found.into_iter().map(plain).collect();
    let elsewhere = |address: &SocketAddr| !address.ip().is_loopback() && !is_link_local(address);
    if found.iter().any(elsewhere) {
        found.retain(elsewhere);
    }
    found
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
