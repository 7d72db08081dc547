//! What cannot be delivered (RFC 5352, 3.7.1): it is not sent again; another registrar is looked for and asked anew.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use lksctp::{
    AssocChangeState, AssocId, EventType, Family, Notification, Ppid, RecvMsg, SctpSocket, SendFlags, SendInfo, Style,
};
use rserpool_core::{EndpointConfig, Link, Unresolved};
use rserpool_std::{EndpointOptions, Error, PoolUser, RegistrarOptions, RegistrarServer};
use rserpool_tests::lab;

const LOST: &str = "127.0.0.1:5001";
const OTHER: &str = "127.0.0.1:5002";

/// Nothing comes through any more, or everything again.
fn cut(is_cut: bool) {
    let how: &[&str] =
        if is_cut { &["replace", "dev", "lo", "root", "netem", "loss", "100%"] } else { &["del", "dev", "lo", "root"] };
    assert!(Command::new("tc").arg("qdisc").args(how).status().unwrap().success(), "tc {how:?}");
}

/// A registrar that answers nothing.
struct Silent(SctpSocket);

impl Silent {
    fn bind() -> Self {
        let socket = SctpSocket::new(Family::Ipv4, Style::OneToMany).unwrap();
        socket.subscribe_event(EventType::AssocChange, true).unwrap();
        socket.set_recv_timeout(Some(lab::HANG)).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&LOST.parse().unwrap()).unwrap();
        Silent(socket)
    }

    /// The association that comes up, and where its peer is.
    fn accept(&self) -> (AssocId, SocketAddr) {
        self.0.listen(1).unwrap();
        let mut buffer = [0; 1500];
        loop {
            if let RecvMsg::Notification(Notification::AssocChange(change)) = self.0.recv_msg(&mut buffer).unwrap()
                && change.state == AssocChangeState::CommUp
            {
                return (change.assoc_id, self.0.peer_addrs(change.assoc_id).unwrap()[0]);
            }
        }
    }

    /// Reads until the association ends; gives the messages' protocols.
    fn read_all(&self) -> Vec<Ppid> {
        let (mut seen, mut buffer) = (Vec::new(), [0; 1500]);
        loop {
            match self.0.recv_msg(&mut buffer).unwrap() {
                RecvMsg::Data { info, .. } => seen.push(info.unwrap().ppid),
                RecvMsg::Notification(Notification::AssocChange(change))
                    if change.state != AssocChangeState::CommUp =>
                {
                    return seen;
                }
                RecvMsg::Notification(_) => {}
            }
        }
    }
}

/// A user whose home is a silent registrar, which the system gives up after about this time. Its own timers are too
/// long to play a part.
fn user(patience: Duration) -> PoolUser {
    let hour = Duration::from_secs(3600);
    let mut options = EndpointOptions {
        link: Link::Sctp,
        sctp_addresses: vec!["127.0.0.1:0".parse().unwrap()],
        registrars: [LOST, OTHER].map(|at| vec![at.parse().unwrap()]).to_vec(),
        asap: EndpointConfig { t1_enrp_request: hour, t5_server_hunt: Duration::from_secs(1), ..EndpointConfig::new() },
        timeout: Duration::from_secs(60),
        ..EndpointOptions::default()
    };
    options.driver.user_timeout = Some(patience);
    PoolUser::new(options).unwrap()
}

fn other_registrar() -> RegistrarServer {
    let mut options = RegistrarOptions { listen: Vec::new(), ..RegistrarOptions::default() };
    options.sctp_listen = vec![OTHER.parse().unwrap()];
    RegistrarServer::start(options).unwrap()
}

/// A request is under way, and nothing comes through; then `then` happens, and everything does again.
fn undeliverable(
    patience: u64,
    then: impl FnOnce(Silent, AssocId, SocketAddr) -> Option<Silent>,
    is_told: impl Fn(&PoolUser) -> bool,
) {
    let patience = Duration::from_secs(patience);
    let silent = Silent::bind();
    let user = user(patience);
    let (assoc, at) = silent.accept();
    lab::until("a home", || user.driver().handle().with(|machine, _| machine.home().is_some()).unwrap());
    let other = other_registrar();
    cut(true);
    thread::scope(|scope| {
        let sent = user.driver().handle().stats().messages_out;
        let resolved = scope.spawn(|| user.resolve("pool"));
        lab::until("the request", || user.driver().handle().stats().messages_out == sent + 1);
        let silent = then(silent, assoc, at);
        lab::until("the failure", || is_told(&user));
        if silent.is_none() {
            cut(false);
        }
        // The other registrar answers: it does not know the pool.
        let answer = resolved.join().unwrap();
        assert!(matches!(answer, Err(Error::Unresolved(Unresolved::Refused(9)))), "{answer:?}");
        if let Some(silent) = silent {
            assert_eq!(silent.read_all(), [], "it is not sent again");
        }
    });
    assert!(user.driver().handle().with(|machine, _| machine.home().is_some()).unwrap());
    drop(user);
    other.stop().unwrap();
}

#[test]
fn the_request_goes_to_another_registrar() {
    lab::run("send_failure::the_request_goes_to_another_registrar", Duration::from_secs(150), |lab| {
        lab.case("the path fails: the association ends, and with it what was under way");
        undeliverable(
            1,
            |silent, _, _| {
                drop(silent);
                None
            },
            |user| user.driver().handle().stats().closed.aborted == 1,
        );

        lab.case("the registrar has forgotten all, and begins anew: SCTP says that the message was not delivered");
        let restart = |silent: Silent, assoc, at| {
            // Nobody hears that.
            let abort = SendInfo { flags: SendFlags::ABORT, assoc_id: assoc, ..SendInfo::default() };
            silent.0.send_msg(&[], &abort).unwrap();
            drop(silent);
            let silent = Silent::bind();
            // It has to begin before the message comes again, which it would answer with an ABORT.
            silent.0.set_nonblocking(true).unwrap();
            silent.0.connectx(&[at]).unwrap();
            silent.0.set_nonblocking(false).unwrap();
            cut(false);
            Some(silent)
        };
        undeliverable(30, restart, |user| user.driver().handle().stats().send_failures == 1);
    });
}
