//! The checksum of what a registrar owns (RFC 5353, 3.6): each side sends what the other one computes.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rserpool_core::Ppid;
use rserpool_tests::lab::{self, Capture, Network, Recording};

use crate::cast;

const PRESENCE: u8 = 0x01;
const HANDLE_TABLE_REQUEST: u8 = 0x02;
const OWN_CHILDREN_ONLY: u8 = 0x01;

/// How many presences of theirs a time without changes has.
const PRESENCES: usize = 3;

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs_f64()
}

/// Nothing changes any more: notes what our registrar has computed, of itself and of theirs, and lets both send some
/// presences.
#[track_caller]
pub(crate) fn settled(network: &Network, recording: &Recording, ours: u8, theirs: u8, what: &str) {
    // What was under way when the handlespaces became the same has arrived.
    presences(network, ours, theirs, 2);
    let (began, status) = (now(), cast::status(network.host(ours)));
    let peer = status.peers.iter().find(|peer| peer.id == cast::id(theirs)).expect("a peer");
    let (own, of_peer) = ((status.checksum, status.owned), (peer.checksum, peer.owned));
    presences(network, ours, theirs, PRESENCES);
    let status = cast::status(network.host(ours));
    let peer = status.peers.iter().find(|peer| peer.id == cast::id(theirs)).expect("a peer");
    assert_eq!(((status.checksum, status.owned), (peer.checksum, peer.owned)), (own, of_peer), "{what}");
    recording.note(&format!("{began} {} {:#06x} {:#06x} {what}", now(), own.0, of_peer.0));
    println!("           {what}: ours owns {own:#x?}, theirs {of_peer:#x?}");
}

/// Waits until ours has heard theirs so often, and has sent as many presences.
#[track_caller]
pub(crate) fn presences(network: &Network, ours: u8, theirs: u8, count: usize) {
    let ask = || {
        let status = cast::status(network.host(ours));
        let sent = status.counters.iter().find(|(name, _)| name == "presences").map_or(0, |(_, count)| *count);
        let peer = status.peers.iter().find(|peer| peer.id == cast::id(theirs)).expect("a peer");
        (peer.last_heard.unwrap_or(f64::MAX), sent)
    };
    let (mut before, first_sent) = ask();
    let (mut heard, least) = (0, u64::try_from(count).expect("a few"));
    lab::until("presences", || {
        let (ago, sent) = ask();
        heard += usize::from(ago < before);
        before = ago;
        heard >= count && sent >= first_sent + least
    });
    // They are on their way.
    std::thread::sleep(Duration::from_millis(100));
}

/// In the times that were noted each registrar sent what our registrar has computed, and none of them asked for a
/// re-synchronisation. `distinct`: how many pairs of checksums there were; values of policies are in none.
#[track_caller]
pub(crate) fn examine(capture: &Capture, ours: u8, theirs: u8, distinct: usize) {
    let mut seen = BTreeSet::new();
    for note in &capture.notes {
        let [from, until, own, of_peer, what] = note.splitn(5, ' ').collect::<Vec<_>>()[..] else { panic!("{note}") };
        let time = |text: &str| text.parse::<f64>().expect("a time");
        let within = time(from)..time(until);
        for (sender, receiver, computed) in [(ours, theirs, own), (theirs, ours, of_peer)] {
            let sent = |kind| {
                capture.of(Ppid::Enrp, kind).filter(|packet| {
                    within.contains(&packet.time)
                        && packet.source == lab::v4(sender, 0)
                        && packet.destination == lab::v4(receiver, 0)
                })
            };
            let checksums: Vec<_> = sent(PRESENCE).map(|packet| packet.value("enrp.pe_checksum")).collect();
            // The first or the last may be on the border.
            assert!(checksums.len() + 1 >= PRESENCES, "{what}: host {sender} sent {checksums:?}");
            assert!(checksums.iter().all(|sent| *sent == Some(computed)), "{what}: {checksums:?}, but {computed}");
            let asked = sent(HANDLE_TABLE_REQUEST).filter(|packet| packet.flags & OWN_CHILDREN_ONLY != 0);
            assert_eq!(asked.count(), 0, "{what}: host {sender} re-synchronises");
        }
        seen.insert((own, of_peer));
    }
    assert_eq!(seen.len(), distinct, "{:?}", capture.notes);
}
