//! Elements of both kinds come, leave and die for a while, and users of both kinds are served all the time.

use std::env;
use std::time::{Duration, Instant};

use rserpool_tests::lab::{self, Process, Shape};

use crate::cast::{self, Kind};
use crate::dump;

/// Seconds, if not this long.
const LENGTH: &str = "RSERPOOL_SOAK";
const SHORT: u64 = 45;

/// The growth of a process's memory that is none, in KiB: buffers get their size once.
const GROWTH: u64 = 1024;

fn length() -> Duration {
    Duration::from_secs(env::var(LENGTH).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(SHORT))
}

/// An element of one kind or the other.
fn element(network: &lab::Network, slot: usize, id: u32, registrar: u8) -> Process {
    let host = network.host(4 + u8::try_from(slot).expect("a few slots"));
    if slot.is_multiple_of(2) {
        cast::server(host, "Pool", id, &[registrar], &[])
    } else {
        cast::element(host, "Pool", id, &[registrar], &[])
    }
}

#[test]
fn a_while() {
    let limit = length() + Duration::from_secs(120);
    let Some(captures) = lab::run("soak::a_while", limit, |lab| {
        let network = lab.network(Shape { hosts: 9, ..Shape::default() });
        let recording = network.record("soak");
        let mut ours = cast::registrar(Kind::Ours, network.host(1), cast::id(1), &[2]);
        let mut theirs = cast::registrar(Kind::Theirs, network.host(2), cast::id(2), &[1]);
        cast::ready(Kind::Theirs, &theirs);
        // Always there: one of each kind.
        let mut always = [cast::server(network.host(3), "Pool", 1, &[1], &[]), {
            let host = network.host(3);
            cast::element_at(host, 7001, "Pool", 2, &[2], &[])
        }];
        dump::until(network.host(3), 1, "two elements", |space| space.len() == 2);
        let mut terminal = cast::terminal(network.host(8), "Pool", &[2]);
        let mut user = cast::user(network.host(9), "Pool", &[1]);
        cast::echo(&mut terminal, "line 0", None);
        cast::echo_by_ours(&mut user, "line 0");

        let mut slots: [Option<Process>; 4] = [const { None }; 4];
        let mut random = 0x2545_f491_u32;
        let (began, mut next, mut lines, mut early) = (Instant::now(), 0x100, 0, None);
        while began.elapsed() < length() {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let slot = usize::try_from(random >> 8).expect("64 bits") % slots.len();
            let registrar = 1 + u8::from(random & 1 == 1);
            match slots[slot].take() {
                None => {
                    next += 1;
                    slots[slot] = Some(element(&network, slot, next, registrar));
                }
                Some(leaves) if random & 2 == 0 => drop(leaves.interrupt()),
                Some(dies) => dies.kill(),
            }
            lines += 1;
            cast::echo(&mut terminal, &format!("line {lines}"), None);
            cast::echo_by_ours(&mut user, &format!("line {lines}"));
            if early.is_none() && began.elapsed() > length() / 3 {
                early = Some([&ours, &always[1], &user].map(Process::resident));
            }
        }
        println!("{lines} lines, {} elements", next - 0x100);
        assert!(lines >= 10, "only {lines} lines");
        let early = early.expect("a third of the time is over");
        for ((who, process), early) in
            [("registrar", &ours), ("element", &always[1]), ("user", &user)].iter().zip(early)
        {
            let now = process.resident();
            println!("the {who} has {early} KiB after a third of the time, {now} KiB at its end");
            assert!(now < early + GROWTH, "the {who} has grown from {early} KiB to {now} KiB");
        }
        for process in [&mut ours, &mut theirs, &mut terminal, &mut user] {
            assert!(process.is_running());
        }
        assert!(always.iter_mut().all(Process::is_running));
        for slot in slots.into_iter().flatten() {
            slot.interrupt();
        }
        let left = dump::until(network.host(3), 1, "only the two that stay", |space| space.len() == 2);
        dump::until(network.host(3), 2, "the same", |space| *space == left);
        drop(recording);
    }) else {
        return;
    };
    captures["soak"].assert_clean(&[lab::v4(1, 0), lab::v4(5, 0), lab::v4(7, 0), lab::v4(9, 0)]);
}
