//! Attacks over SCTP: what only it makes possible, and what is worth to be tried over it, too. They run where the kernel
//! has it, in the laboratory.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lksctp::{AssocChangeState, AssocId, EventType, Family, InitParams, Notification, Ppid, RecvMsg, SctpSocket};
use lksctp::{SendFlags, SendInfo, Style};
use rserpool_core::wire::asap::EndpointKeepAliveAck;
use rserpool_core::wire::{PoolElementParam, Transport};

use super::corpus::{self, GHOST, POOL};
use super::stage::{GOOD, Outcome, Setup, Stage};
use super::{Attack, attack, mutate};
use crate::scene::{HANG, at, deregistration, element, emit, handle, registration, resolution, response, unreachable};

const ASAP: Ppid = Ppid(11);
const ENRP: Ppid = Ppid(12);

/// All of them.
pub const OVER_SCTP: &[Attack] = &[
    attack(
        "each message cut off at each byte, with extreme fields and flipped flags",
        mutated,
        "the parser, as over TCP",
    ),
    attack(
        "messages in two user messages, two in one, and one that is too long",
        boundaries,
        "a user message is a message; one over 65,536 bytes ends its association",
    ),
    attack(
        "the other protocol's payload protocol identifier, and those of nobody",
        protocols,
        "the other protocol's ends the association; others are passed over",
    ),
    attack(
        "all streams, in and out of order",
        streams,
        "16 streams for each peer; an answer needs no state but its request's",
    ),
    attack("a flood of registrations, of resolutions and of reports", floods, "`AsapRates`, as over TCP"),
    attack(
        "the registration of another's element repeated, to leave with it",
        exactly_as_an_element,
        "whoever is at the element's former association is asked, and has it back if it answers",
    ),
    attack("associate, register, and ABORT, again and again", come_and_abort, "what an association had ends with it"),
    attack("ABORT behind many requests", abort_behind_requests, "answers to an association that is gone are dropped"),
    attack("requests whose answers are never read", never_read, "`out_pause`, 64 KiB, and `write_stall`, 10 s"),
    attack("more associations than are allowed", too_many, "`max_connections`: the surplus is aborted"),
];

fn setup() -> Setup {
    Setup { sctp: true, ..Setup::default() }
}

/// An association of the attacker's.
struct Peer {
    socket: SctpSocket,
    assoc: AssocId,
}

impl Peer {
    fn connect(to: SocketAddr) -> Self {
        Peer::try_connect(to).expect("an association")
    }

    fn try_connect(to: SocketAddr) -> io::Result<Self> {
        Peer::with_streams(10, to)
    }

    /// It wants to send on so many streams.
    fn with_streams(streams: u16, to: SocketAddr) -> io::Result<Self> {
        let socket = SctpSocket::new(Family::Ipv4, Style::OneToMany)?;
        socket.set_init_params(&InitParams { num_ostreams: streams, ..socket.init_params()? })?;
        socket.subscribe_event(EventType::AssocChange, true)?;
        socket.set_recv_timeout(Some(HANG))?;
        let assoc = socket.connectx(&[to])?;
        Ok(Peer { socket, assoc })
    }

    fn send_as(&self, bytes: &[u8], ppid: Ppid, sid: u16, flags: SendFlags) -> io::Result<usize> {
        self.socket.send_msg(bytes, &SendInfo { ppid, sid, flags, assoc_id: self.assoc, ..SendInfo::default() })
    }

    fn send(&self, bytes: &[u8]) {
        // Its association may have been ended for what came before.
        let _ = self.send_as(bytes, ASAP, 0, SendFlags::NONE);
    }

    fn abort(&self) {
        let _ = self.send_as(&[], Ppid(0), 0, SendFlags::ABORT);
    }

    /// Whether its association has ended. What has come meanwhile is passed over.
    fn is_over(&self) -> bool {
        self.socket.set_recv_timeout(Some(Duration::from_millis(1))).expect("a socket");
        let mut bytes = vec![0; 70_000];
        loop {
            match self.socket.recv_msg(&mut bytes) {
                Ok(RecvMsg::Notification(Notification::AssocChange(change)))
                    if change.state != AssocChangeState::CommUp =>
                {
                    return true;
                }
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// The next message; `None`: the association has ended.
    fn receive(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 70_000];
        loop {
            match self.socket.recv_msg(&mut bytes).expect("something comes") {
                RecvMsg::Data { len, .. } => {
                    bytes.truncate(len);
                    return Some(bytes);
                }
                RecvMsg::Notification(Notification::AssocChange(change))
                    if change.state == AssocChangeState::CommUp => {}
                RecvMsg::Notification(_) => return None,
            }
        }
    }

    /// A request of its own is answered, and so all that was sent before has been read. Says how many answers came.
    fn catches_up(&self) -> Option<usize> {
        let last = format!("the last of {}", self.assoc.0);
        self.send(&resolution(last.as_bytes(), false));
        let mut answers = 0;
        loop {
            let answer = self.receive()?;
            if answer.windows(last.len()).any(|part| part == last.as_bytes()) {
                return Some(answers);
            }
            answers += 1;
        }
    }
}

fn mutated() -> Outcome {
    Stage::start(&setup()).endures(|stage| {
        let (mut sent, mut answers, mut associations) = (0, 0, 0);
        for (to, ppid, messages) in [(stage.asap, ASAP, corpus::asap()), (stage.enrp, ENRP, corpus::enrp(GHOST))] {
            for message in messages {
                let changed =
                    [mutate::truncated(&message), mutate::extremes(&message), mutate::flags(&message)].concat();
                let peer = Peer::connect(to);
                associations += 1;
                for bytes in &changed {
                    sent += usize::from(peer.send_as(bytes, ppid, 0, SendFlags::NONE).is_ok());
                }
                if ppid == ASAP {
                    answers += peer.catches_up().unwrap_or_default();
                }
            }
        }
        let malformed = stage.counted("malformed messages");
        assert!(malformed > 0);
        format!("{sent} messages over {associations} associations, {answers} answers, {malformed} malformed")
    })
}

fn boundaries() -> Outcome {
    const TIMES: usize = 200;
    Stage::start(&setup()).endures(|stage| {
        let peer = Peer::connect(stage.asap);
        let message = registration(POOL, element(1));
        for n in 0..TIMES {
            let (first, second) = message.split_at(4 * (n % (message.len() / 4)));
            peer.send(first);
            peer.send(second);
            peer.send(&[&message[..], &message].concat());
        }
        let answers = peer.catches_up().expect("the association is there");
        for len in [65_537, 70_000] {
            let long = Peer::connect(stage.asap);
            long.send(&vec![5; len]);
            assert!(long.receive().is_none(), "{len} bytes are no message");
        }
        format!("{TIMES} messages in two parts, {TIMES} pairs in one, {answers} answers; 2 associations with longer ones ended")
    })
}

fn protocols() -> Outcome {
    const TIMES: u32 = 100;
    Stage::start(&setup()).endures(|stage| {
        let (asap, enrp) = (resolution(GOOD.as_bytes(), false), corpus::presence(GHOST, true, 7));
        let peer = Peer::connect(stage.asap);
        for n in 0..TIMES {
            for ppid in [0, 13, 46, u32::MAX - n] {
                peer.send_as(&asap, Ppid(ppid), 0, SendFlags::NONE).expect("a message");
            }
        }
        assert_eq!(peer.catches_up(), Some(0), "what is not ASAP is not answered");
        let mut ended = 0;
        for _ in 0..TIMES {
            for (to, bytes, ppid) in [(stage.asap, &asap, ENRP), (stage.asap, &enrp, ENRP), (stage.enrp, &asap, ASAP)] {
                let peer = Peer::connect(to);
                let _ = peer.send_as(bytes, ppid, 0, SendFlags::NONE);
                ended += u32::from(peer.receive().is_none());
            }
        }
        assert_eq!(ended, 3 * TIMES, "who speaks the other protocol is sent away");
        format!("{} messages of no protocol, {ended} associations that spoke the wrong one and were ended", 4 * TIMES)
    })
}

fn streams() -> Outcome {
    const ROUNDS: usize = 20;
    Stage::start(&setup()).endures(|stage| {
        let peer = Peer::with_streams(u16::MAX, stage.asap).expect("an association");
        let (mut sent, mut used) = (0, 0);
        let question = resolution(GOOD.as_bytes(), false);
        for _ in 0..ROUNDS {
            for sid in 0..u16::MAX {
                let flags = if sid % 2 == 0 { SendFlags::UNORDERED } else { SendFlags::NONE };
                if peer.send_as(&question, ASAP, sid, flags).is_err() {
                    break;
                }
                sent += 1;
                used = used.max(usize::from(sid) + 1);
            }
        }
        assert_eq!(used, 16, "as many as one has, whatever it asks for");
        let mut answers = 0;
        while answers < sent {
            peer.receive().expect("an answer for each");
            answers += 1;
        }
        format!("{sent} requests over {used} streams, each second one out of order, {answers} answers")
    })
}

fn floods() -> Outcome {
    const EACH: u32 = 3_000;
    Stage::start(&setup()).endures(|stage| {
        let good = stage.id.0;
        let peer = Peer::connect(stage.asap);
        peer.socket.set_send_timeout(Some(HANG)).expect("a socket");
        let mut answers = 0;
        for n in 1..=EACH {
            peer.send(&registration(POOL, element(n)));
            peer.send(&resolution(GOOD.as_bytes(), n % 2 == 0));
            peer.send(&unreachable(GOOD.as_bytes(), good));
            if n % 100 == 0 {
                answers += peer.catches_up().expect("the association is there");
            }
        }
        format!("{EACH} registrations, as many resolutions, as many reports of the good element, {answers} answers")
    })
}

fn exactly_as_an_element() -> Outcome {
    const TIMES: usize = 100;
    Stage::start(&setup()).endures(|stage| {
        let pool = GOOD.as_bytes();
        let exactly = PoolElementParam { user_transport: Transport::Tcp(at(7)), ..element(stage.id.0) };
        let mut stay = Vec::new();
        for n in 0..TIMES {
            let peer = Peer::connect(stage.asap);
            peer.send(&registration(pool, exactly));
            let answer = peer.receive().expect("an answer");
            assert_eq!(response(&answer), (true, None));
            match n % 4 {
                // Leaves, answers for it and leaves, leaves rudely, or stays until the end.
                0 => {
                    peer.send(&deregistration(pool, stage.id.0));
                    peer.receive().expect("an answer");
                }
                1 => peer.send(&emit(EndpointKeepAliveAck { pool_handle: handle(pool), id: stage.id })),
                2 => peer.abort(),
                _ => stay.push(peer),
            }
        }
        format!("{TIMES} associations on which its registration is repeated; {} stayed until the end", stay.len())
    })
}

fn come_and_abort() -> Outcome {
    const TIMES: u32 = 1_000;
    Stage::start(&setup()).endures(|stage| {
        for n in 1..=TIMES {
            let peer = Peer::connect(stage.asap);
            peer.send(&registration(POOL, element(n)));
            if n % 2 == 0 {
                peer.abort();
            }
        }
        format!("{TIMES} associations, {} of them aborted", TIMES / 2)
    })
}

fn abort_behind_requests() -> Outcome {
    const TIMES: u32 = 50;
    const EACH: u32 = 50;
    Stage::start(&setup()).endures(|stage| {
        for n in 0..TIMES {
            let peer = Peer::connect(stage.asap);
            for m in 0..EACH {
                peer.send(&registration(POOL, element(n * EACH + m + 1)));
                peer.send(&resolution(GOOD.as_bytes(), true));
            }
            peer.abort();
        }
        format!("{TIMES} associations, with {} requests each before their ABORT", 2 * EACH)
    })
}

fn never_read() -> Outcome {
    Stage::start(&setup()).endures(|stage| {
        let mut deaf: Vec<Peer> = (0..3).map(|_| Peer::connect(stage.asap)).collect();
        let count = deaf.len();
        let question = resolution(GOOD.as_bytes(), false);
        let mut asked = 0;
        for peer in &deaf {
            peer.socket.set_send_timeout(Some(Duration::from_millis(200))).expect("a socket");
        }
        // To read would make room; that an association has ended is seen by what can be sent, too.
        crate::lab::until_within(3 * HANG, "the registrar to have had enough of them", || {
            deaf.retain(|peer| match peer.send_as(&question, ASAP, 0, SendFlags::NONE) {
                Ok(_) => {
                    asked += 1;
                    while peer.send_as(&question, ASAP, 0, SendFlags::NONE).is_ok() {
                        asked += 1;
                    }
                    true
                }
                Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            });
            deaf.is_empty()
        });
        format!("{count} associations that never read, with {asked} requests until they were ended")
    })
}

fn too_many() -> Outcome {
    const ALLOWED: usize = 50;
    const COUNT: usize = 200;
    let arguments = vec!["--max-connections".to_owned(), ALLOWED.to_string()];
    Stage::start(&Setup { arguments, ..setup() }).endures(|stage| {
        let mut peers: Vec<Peer> = (0..COUNT).filter_map(|_| Peer::try_connect(stage.asap).ok()).collect();
        crate::lab::until("those that are too many to be ended", || {
            peers.retain(|peer| !peer.is_over());
            peers.len() <= ALLOWED
        });
        format!("{COUNT} associations where {ALLOWED} are allowed, {} of them stayed", peers.len())
    })
}
