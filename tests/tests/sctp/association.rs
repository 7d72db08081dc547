//! What a driver makes of an association: how it ends, whose messages it carries, and a peer that does not read.

use std::net::SocketAddr;
use std::time::Duration;

use lksctp::{AssocId, EventType, Family, Ppid, RecvMsg, SctpSocket, SendFlags, SendInfo, Style};
use rserpool_core::Link;
use rserpool_core::wire::asap::HandleResolution;
use rserpool_core::wire::{AsapMessage, PoolHandle};
use rserpool_std::driver::DriverStats;
use rserpool_std::{EndpointOptions, PoolUser, RegistrarOptions, RegistrarServer};
use rserpool_tests::lab;

const ASAP: Ppid = Ppid(11);
const ENRP: Ppid = Ppid(12);

#[test]
fn ends_protocols_and_peers_that_do_not_read() {
    let name = "association::ends_protocols_and_peers_that_do_not_read";
    lab::run(name, Duration::from_secs(180), |lab| {
        let mut options = RegistrarOptions { listen: Vec::new(), ..RegistrarOptions::default() };
        options.sctp_listen = vec!["127.0.0.1:0".parse().unwrap()];
        options.driver.write_stall = Duration::from_secs(3);
        let registrar = RegistrarServer::start(options).unwrap();
        let to = registrar.sctp_local_addrs()[0].1[0];
        let stats = || registrar.driver().handle().stats();

        lab.case("SHUTDOWN is told from ABORT");
        let (polite, rude) = (Peer::new(to), Peer::new(to));
        lab::until("both", || stats().accepted == 2);
        polite.send(&[], Ppid(0), SendFlags::EOF);
        lab::until("a SHUTDOWN", || stats().closed.by_peer == 1);
        rude.send(&[], Ppid(0), SendFlags::ABORT);
        lab::until("an ABORT", || stats().closed.aborted == 1);
        assert_eq!(stats().closed.total(), 2);

        lab.case("a message of ENRP on the port of ASAP ends the association");
        let peer = Peer::new(to);
        peer.send(&request(), ENRP, SendFlags::NONE);
        lab::until("the end", || stats().closed.wrong_protocol == 1);
        assert!(peer.receive().is_none(), "it is not answered");

        lab.case("messages of other protocols are passed over, and the others answered in order");
        let peer = Peer::new(to);
        for ppid in [Ppid(0), Ppid(46)] {
            peer.send(b"what", ppid, SendFlags::NONE);
        }
        for _ in 0..300 {
            peer.send(&request(), ASAP, SendFlags::NONE);
        }
        for _ in 0..300 {
            let (ppid, bytes) = peer.receive().expect("an answer");
            assert_eq!(ppid, ASAP);
            assert!(matches!(AsapMessage::parse(&bytes).unwrap().message, AsapMessage::HandleResolutionResponse(_)));
        }
        assert_eq!(stats().foreign_messages, 2);

        lab.case("a message that is too long ends the association, and nothing else");
        let verbose = Peer::new(to);
        verbose.send(&[5; 70_000], ASAP, SendFlags::NONE);
        lab::until("the end", || stats().closed.framing == 1);
        peer.send(&request(), ASAP, SendFlags::NONE);
        assert!(peer.receive().is_some());

        lab.case("who reads late gets all its answers");
        let late = Peer::new(to);
        let sent = late.send_until_blocked();
        for _ in 0..sent {
            assert!(late.receive().is_some(), "of {sent} answers");
        }

        lab.case("who does not read its answers keeps nobody else waiting, and is dropped");
        let deaf = Peer::new(to);
        deaf.send_until_blocked();
        peer.send(&request(), ASAP, SendFlags::NONE);
        assert!(peer.receive().is_some());
        lab::until("the end", || stats().closed.write_stall == 1);
        peer.send(&request(), ASAP, SendFlags::NONE);
        assert!(peer.receive().is_some());

        lab.case("where nobody listens an attempt fails at once");
        let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let user = PoolUser::new(EndpointOptions {
            link: Link::Sctp,
            sctp_addresses: vec!["127.0.0.1:0".parse().unwrap()],
            registrars: vec![vec![nobody]],
            timeout: Duration::from_secs(1),
            ..EndpointOptions::default()
        })
        .unwrap();
        user.resolve("pool").unwrap_err();
        let DriverStats { dial_failures, dialled, .. } = user.driver().handle().stats();
        assert!(dial_failures > 0 && dialled == 0);
        registrar.stop().unwrap();
    });
}

fn request() -> Vec<u8> {
    let message = AsapMessage::from(HandleResolution::new(PoolHandle::new(b"nothing").unwrap()));
    let mut bytes = vec![0; 64];
    message.emit(&mut bytes).unwrap().to_vec()
}

/// An association of ours by hand.
struct Peer {
    socket: SctpSocket,
    assoc: AssocId,
}

impl Peer {
    fn new(to: SocketAddr) -> Self {
        let socket = SctpSocket::new(Family::Ipv4, Style::OneToMany).unwrap();
        socket.subscribe_event(EventType::AssocChange, true).unwrap();
        socket.set_recv_timeout(Some(Duration::from_secs(10))).unwrap();
        let assoc = socket.connectx(&[to]).unwrap();
        Peer { socket, assoc }
    }

    fn try_send(&self, bytes: &[u8], ppid: Ppid, flags: SendFlags) -> std::io::Result<usize> {
        self.socket.send_msg(bytes, &SendInfo { ppid, flags, assoc_id: self.assoc, ..SendInfo::default() })
    }

    #[track_caller]
    fn send(&self, bytes: &[u8], ppid: Ppid, flags: SendFlags) {
        self.try_send(bytes, ppid, flags).unwrap();
    }

    /// Sends requests and reads no answers until nothing more can be sent; says how many it were.
    fn send_until_blocked(&self) -> usize {
        self.socket.set_send_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut sent = 0;
        while self.try_send(&request(), ASAP, SendFlags::NONE).is_ok() {
            sent += 1;
            assert!(sent < 500_000, "the registrar takes all, without its answers being read");
        }
        sent
    }

    /// The next message; `None`: the association has ended.
    fn receive(&self) -> Option<(Ppid, Vec<u8>)> {
        let mut bytes = vec![0; 70_000];
        loop {
            match self.socket.recv_msg(&mut bytes).unwrap() {
                RecvMsg::Data { len, info, .. } => {
                    bytes.truncate(len);
                    return Some((info.unwrap().ppid, bytes));
                }
                RecvMsg::Notification(lksctp::Notification::AssocChange(change))
                    if change.state == lksctp::AssocChangeState::CommUp => {}
                RecvMsg::Notification(_) => return None,
            }
        }
    }
}
