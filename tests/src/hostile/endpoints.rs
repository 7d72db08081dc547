//! A registrar that attacks a pool element and a pool user. Both know a good one, too.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rserpool_core::wire::asap::{DeregistrationResponse, EndpointKeepAlive, RegistrationResponse};
use rserpool_core::{PeId, ServerId};
use rserpool_std::PoolUser;
use rserpool_std::driver::{Channel, Interface};

use super::corpus::{self, GHOST, POOL, announcement, answer};
use super::probe::Probe;
use super::registrar::BadRegistrar;
use super::stage::{GOOD, Outcome, Process, Setup, Stage, impatient};
use super::usage::{SLACK, Usage};
use super::{mutate, volley};
use crate::scene::{Peer, element, emit, handle, until};

/// How long it lasts.
const LENGTH: Duration = Duration::from_secs(2);
/// How often an endpoint may connect meanwhile. One that spins is there a thousand times in a second.
const CONNECTIONS: usize = 500;
/// How many descriptors an element with one registrar has at most, and some for one that it is about to leave.
const DESCRIPTORS: usize = 16;
const OWN: &str = "attacked";

/// Bad registrars, a good one, and what knows all of them: an element as a process, and a user whose requests are counted.
/// The bad ones are so many that either is with one of them first. As long as they are there the user is not told anything
/// wrong, and finds the good one; when they are gone the element does.
fn attacked(script: impl Fn(&mut Peer, &AtomicBool) + Send + Sync + 'static, did: impl Fn() -> String) -> Outcome {
    let stage = Stage::start(&Setup::default());
    let script = Arc::new(script);
    let bad: [BadRegistrar; 5] = std::array::from_fn(|_| {
        let script = Arc::clone(&script);
        BadRegistrar::new(move |peer, stop| script(peer, stop))
    });
    let connections = || bad.iter().map(BadRegistrar::connections).sum::<usize>();
    let registrars: Vec<_> = bad.iter().map(BadRegistrar::address).chain([stage.asap]).collect();
    let names: Vec<String> = registrars.iter().map(ToString::to_string).collect();
    let mut arguments = vec!["element", "--pool", OWN, "--id", "5", "--service", "tcp://127.0.0.1:9", "--check", "0"];
    arguments.extend(["--asap-listen", "off"]);
    arguments.extend(names.iter().flat_map(|name| ["--registrar", name]));
    let mut process = Process::start("", None, &arguments);
    until("the element to have met one", || connections() > 0 && process.is_ours());
    let before = Usage::of(process.id());
    let user = PoolUser::new(impatient(&registrars)).expect("a user");
    let probe = Probe::start(user, GOOD, stage.id);
    let begun = Instant::now();
    until("an answer", || {
        assert!(process.is_running(), "the element has ended");
        begun.elapsed() > LENGTH && probe.served() > 0
    });
    let service = probe.stop();
    let after = Usage::of(process.id());
    let connections = connections();
    assert!((1..=CONNECTIONS).contains(&connections), "{connections} connections");
    assert_eq!(service.wrong, 0, "{:?}", service.failure);
    drop(bad);
    let observer = stage.user();
    until("the element at the good registrar", || observer.resolve(OWN).is_ok_and(|members| members.len() == 1));
    assert!(after.memory <= before.memory + SLACK, "it has grown from {before:?} to {after:?}");
    assert!(after.descriptors <= DESCRIPTORS, "{before:?} {after:?}");
    Outcome { did: format!("{}; {connections} connections", did()), service, usage: [before, after] }
}

/// Sends these again and again, whatever comes.
fn answers(messages: Vec<Vec<u8>>) -> Outcome {
    let sent = Arc::new(AtomicUsize::new(0));
    let (count, kinds) = (Arc::clone(&sent), messages.len());
    attacked(
        move |peer, stop| {
            let mut rounds = messages.chunks(50).cycle();
            let _ = peer.stream.set_read_timeout(Some(Duration::from_millis(1)));
            let mut nowhere = [0; 65_536];
            while !stop.load(Ordering::Acquire) {
                let batch = rounds.next().unwrap_or_default();
                if !peer.try_send(&batch.concat()) {
                    return;
                }
                count.fetch_add(batch.len(), Ordering::AcqRel);
                let _ = peer.stream.read(&mut nowhere);
            }
        },
        move || format!("{} messages of {kinds} kinds", sent.load(Ordering::Acquire)),
    )
}

pub(super) fn truncated() -> Outcome {
    answers(corpus::asap().iter().flat_map(|message| mutate::truncated(message)).collect())
}

pub(super) fn extremes_and_flags() -> Outcome {
    let all = corpus::asap();
    answers(all.iter().flat_map(|message| [mutate::extremes(message), mutate::flags(message)].concat()).collect())
}

pub(super) fn for_somebody_else() -> Outcome {
    let (pool_handle, id) = (handle(POOL), PeId(77));
    let own = handle(OWN.as_bytes());
    answers(vec![
        emit(RegistrationResponse { rejected: false, pool_handle, id, error: None }),
        emit(RegistrationResponse { rejected: false, pool_handle: own, id, error: None }),
        emit(DeregistrationResponse { pool_handle: own, id: PeId(5), error: None }),
        emit(EndpointKeepAlive { adopt: true, server: GHOST, pool_handle: own, id: Some(id) }),
        answer(POOL, &[element(1)]),
    ])
}

pub(super) fn updates_without_end() -> Outcome {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    attacked(
        move |peer, stop| {
            let mut n = 0u32;
            while !stop.load(Ordering::Acquire) {
                // Ever new pools, and ever new elements of one.
                let batch = (0..50).flat_map(|_| {
                    n = n.wrapping_add(1);
                    [answer(format!("pool {n}").as_bytes(), &[element(n)]), answer(POOL, &[element(n)])]
                });
                if !peer.try_send(&batch.flatten().collect::<Vec<_>>()) {
                    return;
                }
                count.fetch_add(100, Ordering::AcqRel);
            }
        },
        move || format!("{} updates", sent.load(Ordering::Acquire)),
    )
}

pub(super) fn slowly() -> Outcome {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    attacked(
        move |peer, stop| {
            let bytes = answer(&[b'x'; 3000], &[element(1)]);
            for byte in bytes {
                if stop.load(Ordering::Acquire) || !peer.try_send(&[byte]) {
                    return;
                }
                count.fetch_add(1, Ordering::AcqRel);
                std::thread::sleep(Duration::from_millis(5));
            }
        },
        move || format!("{} bytes, one at a time, and nothing read", sent.load(Ordering::Acquire)),
    )
}

pub(super) fn resets() -> Outcome {
    // What was sent and is not read makes the end of the connection a reset.
    attacked(
        |peer, _| {
            let _ = peer.stream.peek(&mut [0; 1]);
        },
        || "each connection reset when something has come".to_owned(),
    )
}

pub(super) fn announcements() -> Outcome {
    let mut setup = Setup::multicast();
    setup.peered = false;
    Stage::start(&setup).endures(|stage| {
        let mut options = impatient(&[stage.asap]);
        let interfaces = vec![Interface::V4([127, 0, 0, 1].into())];
        options.channels =
            vec![Channel { send: false, interfaces, ..Channel::new(rserpool_core::Ppid::Asap, stage.groups[0]) }];
        let user = PoolUser::new(options).expect("a user");
        until("the user's first answer", || user.resolve(GOOD).is_ok());
        let probe = Probe::start(user, GOOD, stage.id);
        let sent = volley::datagrams(stage.groups[0], (1..=20_000).map(|n| announcement(ServerId(GHOST.0 + n))));
        std::thread::sleep(Duration::from_millis(500));
        let service = probe.stop();
        assert_eq!(service.served, service.requests, "not served: {:?}", service.failure);
        format!("{sent} announcements, each of another registrar, to a user with the multicast channel")
    })
}
