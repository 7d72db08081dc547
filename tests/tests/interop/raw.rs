//! A peer that sends by hand, over an SCTP association of its own from this process.

use std::io::ErrorKind;
use std::net::SocketAddr;

use lksctp::{Family, Ppid, RecvMsg, SctpSocket, SendInfo, Style};
use rserpool_core::ServerId;
use rserpool_core::wire::EnrpMessage;
use rserpool_core::wire::enrp::EnrpBody;
use rserpool_tests::lab;
use rserpool_tests::scene::resolution;

/// The payload protocol identifiers of ASAP and ENRP.
pub(crate) const ASAP: u32 = 11;
pub(crate) const ENRP: u32 = 12;

/// An association.
pub(crate) struct Raw(SctpSocket);

/// A pool that nobody has.
const MARK: &[u8] = b"mark";
const HANDLE_RESOLUTION_RESPONSE: u8 = 0x06;

impl Raw {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let socket = SctpSocket::new(Family::Ipv4, Style::OneToOne).expect("a socket");
        socket.connect(&to).expect("an association");
        socket.set_recv_timeout(Some(lab::HANG)).expect("a socket");
        Raw(socket)
    }

    pub(crate) fn send(&self, ppid: u32, bytes: &[u8]) {
        self.try_send(ppid, bytes).expect("it is sent");
    }

    fn try_send(&self, ppid: u32, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send_msg(bytes, &SendInfo { ppid: Ppid(ppid), ..SendInfo::default() })
    }

    /// What a registrar answers to a message; `None`: it ends the association. Silence is an answer, too: requests are
    /// answered in their order, so after the message there goes one that is answered in any case.
    pub(crate) fn ask(&self, ppid: u32, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.send(ppid, bytes);
        self.try_send(ASAP, &resolution(MARK, false)).ok()?;
        let mut answers = Vec::new();
        loop {
            let answer = self.receive()?;
            if answer[0] == HANDLE_RESOLUTION_RESPONSE && answer.windows(MARK.len()).any(|part| part == MARK) {
                return Some(answers);
            }
            answers.push(answer);
        }
    }

    fn receive(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 65_536];
        match self.0.recv_msg(&mut bytes) {
            Ok(RecvMsg::Data { len: 1.., .. }) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => panic!("no answer"),
            Ok(_) | Err(_) => return None,
        }
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        bytes.truncate(length);
        Some(bytes)
    }
}

/// An ENRP message.
pub(crate) fn enrp<'a>(sender: u32, receiver: u32, body: impl Into<EnrpBody<'a>>) -> Vec<u8> {
    let message = EnrpMessage { sender: ServerId(sender), receiver: ServerId(receiver), body: body.into() };
    let mut bytes = vec![0; message.encoded_len()];
    message.emit(&mut bytes).expect("room").to_vec()
}
