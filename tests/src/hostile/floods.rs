//! Sound messages, too many of them.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use rserpool_core::ServerId;
use rserpool_core::wire::{Policy, PoolElementParam};

use super::corpus::{GHOST, POOL, announcement, presence};
use super::stage::{GOOD, Outcome, Setup, Stage};
use super::volley;
use crate::scene::{at, element, registration, resolution, unreachable};

/// How many connections attack at once.
const CONNECTIONS: u32 = 4;

pub(super) fn of_registrations() -> Outcome {
    const EACH: u32 = 10_000;
    Stage::start(&Setup::default()).endures(|stage| {
        let answers = volley::from_many(stage.asap, CONNECTIONS, |n| {
            (1..=EACH).map(move |id| registration(POOL, element(n * EACH + id)))
        });
        let refused = stage.counted("registrations rejected");
        assert!(refused > 0);
        format!("{} registrations, {answers} answers, {refused} refused", CONNECTIONS * EACH)
    })
}

pub(super) fn of_pools() -> Outcome {
    const EACH: u32 = 4000;
    Stage::start(&Setup::default()).endures(|stage| {
        let answers = volley::from_many(stage.asap, CONNECTIONS, |n| {
            (1..=EACH).map(move |id| registration(format!("pool {n} {id}").as_bytes(), element(id)))
        });
        format!("{} pools of one element, {answers} answers", CONNECTIONS * EACH)
    })
}

pub(super) fn of_resolutions() -> Outcome {
    const EACH: usize = 25_000;
    Stage::start(&Setup::default()).endures(|stage| {
        let questions = [resolution(GOOD.as_bytes(), false), resolution(b"nobody", false)];
        let answers = volley::from_many(stage.asap, CONNECTIONS, |_| questions.clone().into_iter().cycle().take(EACH));
        format!("{} resolutions, {answers} answers", CONNECTIONS as usize * EACH)
    })
}

pub(super) fn of_reports() -> Outcome {
    const EACH: u32 = 10_000;
    /// As many as may report an element that answers (MAX-BAD-PE-REPORT).
    const OF_THE_GOOD: u32 = 3;
    Stage::start(&Setup::default()).endures(|stage| {
        let good = stage.id.0;
        volley::from_many(stage.asap, CONNECTIONS, |n| {
            // Of the good element, of elements that are not there, and of one of the attacker's that is.
            let own = [registration(POOL, element(n + 1)), unreachable(POOL, n + 1)];
            own.into_iter().chain((1..EACH).flat_map(move |id| {
                let reported = if n < OF_THE_GOOD { good } else { id };
                [unreachable(GOOD.as_bytes(), reported), unreachable(POOL, n + 1), unreachable(b"nobody", id)]
            }))
        });
        format!("{} reports", 3 * CONNECTIONS * EACH)
    })
}

pub(super) fn of_subscriptions() -> Outcome {
    const POOLS: u32 = 500;
    const CHANGES: u32 = 20;
    Stage::start(&Setup::default()).endures(|stage| {
        let pool = |n: u32| format!("pool {n}").into_bytes();
        let mut owner = stage.asap();
        for n in 0..POOLS {
            owner.ask(&registration(&pool(n), with_load(n + 1, 0)));
        }
        // Each has the good pool, and all of the attacker's, which then change.
        let subscribers: Vec<_> = (0..8)
            .map(|_| {
                let peer = stage.asap();
                let mut own = crate::scene::Peer::over(peer.stream.try_clone().expect("a socket"));
                std::thread::spawn(move || {
                    let all = (0..POOLS).flat_map(|n| resolution(&pool(n), true));
                    own.send(&resolution(GOOD.as_bytes(), true));
                    own.send(&all.collect::<Vec<u8>>());
                    let mut updates = 0usize;
                    while own.receive().is_some() {
                        updates += 1;
                    }
                    updates
                });
                peer
            })
            .collect();
        crate::scene::until("the subscriptions", || stage.status().subscriptions >= 8);
        let subscriptions = stage.status().subscriptions;
        for round in 1..=CHANGES {
            for n in 0..POOLS {
                owner.send(&registration(&pool(n), with_load(n + 1, round)));
            }
            for _ in 0..POOLS {
                owner.receive();
            }
        }
        let updates = stage.counted("updates");
        for peer in &subscribers {
            peer.finish();
        }
        format!(
            "{} subscriptions, {subscriptions} noted, {} changes, {updates} updates",
            8 * (POOLS + 1),
            CHANGES * POOLS
        )
    })
}

fn with_load(id: u32, load: u32) -> PoolElementParam<'static> {
    PoolElementParam { policy: Policy::LeastUsed { load }, ..element(id) }
}

pub(super) fn of_announcements() -> Outcome {
    const COUNT: u32 = 20_000;
    Stage::start(&Setup::multicast()).endures(|stage| {
        let sent = volley::datagrams(stage.groups[0], (1..=COUNT).map(|n| announcement(ServerId(GHOST.0 + n))));
        format!("{sent} datagrams, each of another registrar")
    })
}

pub(super) fn of_presences() -> Outcome {
    const COUNT: u32 = 20_000;
    Stage::start(&Setup::multicast()).endures(|stage| {
        let ghosts = (1..=COUNT).map(|n| presence(ServerId(GHOST.0 + n), n % 2 == 0, 7));
        let sent = volley::datagrams(stage.groups[1], ghosts);
        let known = stage.status().peers.len();
        // Whoever really comes is let in, however many ghosts there are.
        let newcomer = stage.another(stage.enrp);
        let is_known =
            |id| stage.status().peers.iter().any(|peer| peer.id == id && peer.connected && peer.state == "active");
        crate::scene::until("a good registrar that is new", || is_known(newcomer.id().0));
        let still = stage.status().peers.len();
        drop(newcomer);
        format!(
            "{sent} datagrams, each of another registrar; {known} of them in the peer list, {still} with the newcomer"
        )
    })
}

pub(super) fn by_unicast() -> Outcome {
    const EACH: u32 = 10_000;
    Stage::start(&Setup::multicast()).endures(|stage| {
        let before = stage.counted("messages in");
        let [announced, present] = stage.groups.map(|group| at(group.port()));
        let mut sent = volley::datagrams(announced, (1..=EACH).map(|n| announcement(ServerId(GHOST.0 + n))));
        sent += volley::datagrams(present, (1..=EACH).map(|n| presence(ServerId(GHOST.0 + n), true, 7)));
        let status = stage.status();
        assert!(status.peers.iter().all(|peer| peer.id == stage.far_id().0), "{:?}", status.peers);
        let heard = stage.counted("messages in") - before;
        assert!(heard < u64::from(EACH), "{heard} messages");
        format!("{sent} datagrams, none of them heard")
    })
}

pub(super) fn of_peers() -> Outcome {
    const COUNT: u32 = 400;
    Stage::start(&Setup::peered()).endures(|stage| {
        let mut ghosts: Vec<_> = (1..=COUNT)
            .map(|n| {
                let mut peer = stage.enrp();
                let _ = peer.try_send(&presence(ServerId(GHOST.0 + n), true, 7));
                peer
            })
            .collect();
        crate::scene::until("the ghosts", || stage.status().peers.len() >= 200);
        let known = stage.status().peers.len();
        let refused = ghosts.iter_mut().skip(300).map(super::over_by_now).filter(|over| *over).count();
        format!(
            "{COUNT} associations of as many registrars; {known} in the peer list, {refused} of the last 100 closed"
        )
    })
}

pub(super) fn of_colliding_names() -> Outcome {
    const EACH: usize = 1500;
    /// What would be one chain of a table of so many.
    const CHAINS: u64 = 256;
    Stage::start(&Setup::default()).endures(|stage| {
        // They agree in all but the end, and the hash that std has without a key puts all of them into one chain.
        let colliding = |n: u32| {
            let names = (0u64..).map(move |m| format!("{:-<60}{n}-{m}", ""));
            names
                .filter(move |name| {
                    BuildHasherDefault::<DefaultHasher>::default().hash_one(name.as_bytes()) % CHAINS == 0
                })
                .take(EACH)
        };
        let answers = volley::from_many(stage.asap, CONNECTIONS, |n| {
            let names: Vec<String> = colliding(n).collect();
            let registrations: Vec<_> = names.iter().map(|name| registration(name.as_bytes(), element(1))).collect();
            let resolutions = names.into_iter().cycle().take(5 * EACH).map(|name| resolution(name.as_bytes(), false));
            registrations.into_iter().chain(resolutions.collect::<Vec<_>>())
        });
        format!("{} pools, each asked for 5 times, {answers} answers", CONNECTIONS as usize * EACH)
    })
}
