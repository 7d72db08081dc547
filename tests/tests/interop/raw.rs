//! A peer that sends by hand, over an SCTP association of its own from this process.

use std::net::SocketAddr;
use std::time::Duration;

use lksctp::{Family, Ppid, RecvMsg, SctpSocket, SendInfo, Style};
use rserpool_core::ServerId;
use rserpool_core::wire::EnrpMessage;
use rserpool_core::wire::enrp::EnrpBody;

/// The payload protocol identifiers of ASAP and ENRP.
pub(crate) const ASAP: u32 = 11;
pub(crate) const ENRP: u32 = 12;

/// An association.
pub(crate) struct Raw(SctpSocket);

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Message(Vec<u8>),
    /// The other side ended the association.
    Ended,
    /// Nothing within a second.
    Silence,
}

impl Raw {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let socket = SctpSocket::new(Family::Ipv4, Style::OneToOne).expect("a socket");
        socket.connect(&to).expect("an association");
        socket.set_recv_timeout(Some(Duration::from_secs(1))).expect("a socket");
        Raw(socket)
    }

    pub(crate) fn send(&self, ppid: u32, bytes: &[u8]) {
        self.0.send_msg(bytes, &SendInfo { ppid: Ppid(ppid), ..SendInfo::default() }).expect("it is sent");
    }

    pub(crate) fn receive(&self) -> Answer {
        let mut bytes = vec![0; 65_536];
        match self.0.recv_msg(&mut bytes) {
            Ok(RecvMsg::Data { len: 0, .. }) => Answer::Ended,
            Ok(RecvMsg::Data { len, .. }) => Answer::Message(bytes[..len].to_vec()),
            Ok(_) => Answer::Ended,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                Answer::Silence
            }
            Err(_) => Answer::Ended,
        }
    }

    pub(crate) fn ask(&self, ppid: u32, bytes: &[u8]) -> Answer {
        self.send(ppid, bytes);
        self.receive()
    }
}

/// An ENRP message.
pub(crate) fn enrp<'a>(sender: u32, receiver: u32, body: impl Into<EnrpBody<'a>>) -> Vec<u8> {
    let message = EnrpMessage { sender: ServerId(sender), receiver: ServerId(receiver), body: body.into() };
    let mut bytes = vec![0; message.encoded_len()];
    message.emit(&mut bytes).expect("room").to_vec()
}
