//! Connections that are too many, too slow, or too short.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::corpus::POOL;
use super::stage::{GOOD, Outcome, Setup, Stage};
use crate::scene::{HANG, Peer, element, registration, resolution, until};

pub(super) fn slow_both_ways() -> Outcome {
    const EACH: usize = 20;
    Stage::start(&Setup::default()).endures(|stage| {
        let message = registration(&[b'x'; 2000], element(1));
        let requests = resolution(GOOD.as_bytes(), false).repeat(1000);
        let mut slow: Vec<_> = (0..EACH).map(|_| stage.asap()).collect();
        // Each with what it has sent of its requests.
        let mut deaf: Vec<(Peer, usize)> = (0..EACH).map(|_| (stage.asap(), 0)).collect();
        for (peer, _) in &deaf {
            peer.stream.set_nonblocking(true).expect("a socket");
        }
        let begun = Instant::now();
        let (mut bytes, mut asked) = (0, 0);
        // Until the registrar has had enough of all of them.
        for byte in message.iter().cycle() {
            slow.retain_mut(|peer| peer.try_send(&[*byte]));
            bytes += slow.len();
            deaf.retain_mut(|(peer, sent)| {
                loop {
                    match peer.stream.write(&requests[*sent % requests.len()..]) {
                        Ok(len) => {
                            *sent += len;
                            asked += len;
                        }
                        Err(error) => return error.kind() == ErrorKind::WouldBlock,
                    }
                }
            });
            if slow.is_empty() && deaf.is_empty() {
                break;
            }
            assert!(begun.elapsed() < 2 * HANG, "{} slow and {} deaf ones left", slow.len(), deaf.len());
            std::thread::sleep(Duration::from_millis(50));
        }
        let kib = asked >> 10;
        format!("{EACH} that sent a byte at a time ({bytes} bytes), {EACH} that never read ({kib} KiB of requests)")
    })
}

pub(super) fn come_and_reset() -> Outcome {
    const COUNT: u32 = 5000;
    Stage::start(&Setup::default()).endures(|stage| {
        let mut resets = 0;
        for n in 0..COUNT {
            let Ok(mut stream) = TcpStream::connect(stage.asap) else { continue };
            let _ = match n % 3 {
                0 => stream.write_all(&registration(POOL, element(n + 1))),
                1 => stream.write_all(&resolution(GOOD.as_bytes(), true)),
                _ => Ok(()),
            };
            if n % 3 < 2 && n % 2 == 0 {
                // What was received and not read makes the end of the connection a reset.
                let _ = stream.set_read_timeout(Some(HANG));
                let _ = stream.read(&mut [0; 1]);
                resets += 1;
            }
        }
        let accepted = stage.counted("connections accepted");
        assert!(accepted > u64::from(COUNT) / 2);
        format!("{COUNT} connections, {resets} of them reset, {accepted} accepted in all")
    })
}

pub(super) fn more_than_descriptors() -> Outcome {
    const COUNT: usize = 300;
    Stage::start(&Setup { shell: "ulimit -n 64;", ..Setup::peered() }).endures(|stage| {
        let mut all: Vec<Peer> = (0..COUNT).map(|n| if n % 4 == 0 { stage.enrp() } else { stage.asap() }).collect();
        let open = |all: &mut Vec<Peer>| {
            all.retain_mut(|peer| !super::over_by_now(peer));
            all.len()
        };
        until("all that are too many to be closed", || open(&mut all) <= 64);
        let left = all.len();
        // For a while, so that it is seen whether the registrar spins.
        std::thread::sleep(Duration::from_secs(1));
        let held = stage.usage().descriptors;
        drop(all);
        format!("{COUNT} connections to a process of 64 descriptors, {left} of them stayed, {held} descriptors in use")
    })
}

pub(super) fn more_than_allowed() -> Outcome {
    const COUNT: usize = 1000;
    let arguments = vec!["--max-connections".to_owned(), "100".to_owned()];
    Stage::start(&Setup { arguments, ..Setup::default() }).endures(|stage| {
        let mut all: Vec<Peer> = (0..COUNT).map(|_| stage.asap()).collect();
        until("all that are too many to be closed", || {
            all.retain_mut(|peer| !super::over_by_now(peer));
            all.len() <= 100
        });
        format!("{COUNT} connections where 100 are allowed, {} of them stayed", all.len())
    })
}

pub(super) fn full_disk() -> Outcome {
    const COUNT: u32 = 2000;
    let setup = Setup { verbosity: &["-vvv"], log: Some("/dev/full"), ..Setup::peered() };
    Stage::start(&setup).endures(|stage| {
        let messages = (1..=COUNT).flat_map(|id| [registration(POOL, element(id)), vec![0x7f, 0, 0, 4]]);
        let answers = super::volley::over(stage.asap(), messages);
        format!("everything logged to /dev/full, {} messages, {answers} answers", 2 * COUNT)
    })
}
