//! The laws of the policies, against naive models.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::vec::Vec;

use proptest::prelude::*;

use super::{Candidate, choose};
use crate::handlespace::{Handlespace, HandlespaceStorage, PoolRef, Registration};
use crate::rand::Rng;
use crate::wire::{Lifetime, Policy, PoolHandle, RsplibPolicy, Transport};
use crate::{Instant, PeId, ServerId};

type Storage = HandlespaceStorage<1, 64, 1, 8, 48>;

fn handle() -> PoolHandle<'static> {
    PoolHandle::new(b"pool").unwrap()
}

fn register(space: &mut Handlespace<'_>, id: u32, policy: Policy<'_>) -> PoolRef {
    let registration = Registration {
        id: PeId(id),
        home: ServerId(1),
        lifetime: Lifetime::from_secs(1),
        user_transport: Transport::Tcp(([192, 0, 2, 1], 7).into()),
        policy,
        asap_transport: None,
    };
    space.register(Instant::ZERO, handle(), &registration).unwrap().pool
}

fn remove(space: &mut Handlespace<'_>, id: u32) {
    let element = space.find_pool(handle()).and_then(|pool| space.find_element(pool, PeId(id)));
    if let Some(element) = element {
        space.remove(element).unwrap();
    }
}

fn ids(space: &mut Handlespace<'_>, max: usize, advance: bool) -> Vec<u32> {
    let Some(pool) = space.find_pool(handle()) else { return Vec::new() };
    let found = if advance { space.select(pool, max) } else { space.list(pool, max) }.to_vec();
    found.into_iter().map(|element| space.element(element).unwrap().id.0).collect()
}

/// The model of all policies that order by a key: queues of equals, by key.
struct Ordered {
    policy: fn(u32, u32) -> Policy<'static>,
    /// By value, degradation and counter.
    key: fn(u64, u64, u64) -> u64,
    /// Whether selections count.
    counts: bool,
    elements: BTreeMap<u32, (u64, u64, u64)>,
    queues: BTreeMap<u64, VecDeque<u32>>,
}

impl Ordered {
    fn key_of(&self, id: u32) -> u64 {
        let (value, degradation, counter) = self.elements[&id];
        (self.key)(value, degradation, counter)
    }

    fn leave(&mut self, id: u32, key: u64) {
        let queue = self.queues.get_mut(&key).unwrap();
        queue.retain(|other| *other != id);
        if queue.is_empty() {
            self.queues.remove(&key);
        }
    }

    fn register(&mut self, id: u32, value: u32, degradation: u32) {
        let old = self.elements.contains_key(&id).then(|| self.key_of(id));
        self.elements.insert(id, (value.into(), degradation.into(), 0));
        self.requeue(id, old);
    }

    fn requeue(&mut self, id: u32, old: Option<u64>) {
        let new = self.key_of(id);
        if old != Some(new) {
            if let Some(old) = old {
                self.leave(id, old);
            }
            self.queues.entry(new).or_default().push_back(id);
        }
    }

    fn remove(&mut self, id: u32) {
        if self.elements.contains_key(&id) {
            let key = self.key_of(id);
            self.leave(id, key);
            self.elements.remove(&id);
        }
    }

    fn list(&self, max: usize) -> Vec<u32> {
        self.queues.values().flatten().copied().take(max).collect()
    }

    fn select(&mut self, max: usize) -> Vec<u32> {
        let selected = self.list(max);
        let touched: BTreeSet<u64> = selected.iter().map(|id| self.key_of(*id)).collect();
        for key in touched {
            self.queues.get_mut(&key).unwrap().rotate_left(1);
        }
        let counted = if self.counts { &*selected } else { &[] };
        for id in counted {
            let old = self.key_of(*id);
            self.elements.get_mut(id).unwrap().2 += 1;
            self.requeue(*id, Some(old));
        }
        selected
    }
}

/// A policy by value and degradation, its key by value, degradation and counter, and whether selections count.
type Case = (fn(u32, u32) -> Policy<'static>, fn(u64, u64, u64) -> u64, bool);

const ORDERED: [Case; 9] = [
    (|_, _| Policy::RoundRobin, |_, _, _| 0, false),
    (|_, _| Policy::Other { policy_type: 0x8000_0001, data: b"1234" }, |_, _, _| 0, false),
    (|priority, _| Policy::Priority { priority }, |priority, _, _| u64::MAX - priority, false),
    (|load, _| Policy::LeastUsed { load }, |load, _, _| load, false),
    (
        |load, degradation| Policy::LeastUsedDegradation { load, degradation },
        |load, degradation, counter| load + counter * degradation,
        true,
    ),
    (|load, degradation| Policy::PriorityLeastUsed { load, degradation }, |load, add, _| load + add, false),
    (
        |load, degradation| Policy::Rsplib(RsplibPolicy::PriorityLeastUsedDegradation { load, degradation }),
        |load, degradation, counter| load + (counter + 1) * degradation,
        true,
    ),
    // Here the second value is the distance.
    (
        |load, distance| Policy::Rsplib(RsplibPolicy::LeastUsedDpf { load, dpf: 2, distance }),
        |load, distance, _| (load + 2 * distance).min(u64::from(u32::MAX)),
        false,
    ),
    (
        |load, degradation| {
            let (dpf, distance) = (1 << 20, 1000);
            Policy::Rsplib(RsplibPolicy::LeastUsedDegradationDpf { load, degradation, dpf, distance })
        },
        |load, degradation, counter| (load + 1000 * (1 << 20)).min(u64::from(u32::MAX)) + counter * degradation,
        true,
    ),
];

/// Few values, so that many are equal; and the extremes.
fn value() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..4, Just(u32::MAX - 1), Just(u32::MAX)]
}

proptest! {
    #[test]
    fn ordering_policies_are_queues_of_equals(
        which in 0..ORDERED.len(),
        ops in prop::collection::vec((0u8..5, 0u32..12, value(), value(), 0usize..15), 1..150),
    ) {
        let (policy, key, counts) = ORDERED[which];
        let mut model = Ordered { policy, key, counts, elements: BTreeMap::new(), queues: BTreeMap::new() };
        let mut storage = Storage::new();
        let mut space = Handlespace::new(&mut storage, 3);
        for (op, id, value, degradation, max) in ops {
            match op {
                0 | 1 => {
                    model.register(id, value, degradation);
                    register(&mut space, id, (model.policy)(value, degradation));
                }
                2 => {
                    model.remove(id);
                    remove(&mut space, id);
                }
                3 => prop_assert_eq!(ids(&mut space, max, false), model.list(max)),
                _ => prop_assert_eq!(ids(&mut space, max, true), model.select(max)),
            }
        }
    }

    #[test]
    fn weighted_round_robin_is_within_one_turn_of_each_share(
        weights in prop::collection::vec(prop_oneof![0u32..10, 0u32..1000, (u32::MAX - 3)..=u32::MAX], 1..20),
        max in 1usize..5,
    ) {
        let mut storage = Storage::new();
        let mut space = Handlespace::new(&mut storage, 3);
        for (id, weight) in (0..).zip(&weights) {
            register(&mut space, id, Policy::WeightedRoundRobin { weight: *weight });
        }
        let total: i128 = weights.iter().map(|weight| i128::from(*weight)).sum();
        let selectable = weights.iter().filter(|weight| **weight > 0).count();
        let mut turns = std::vec![0i128; weights.len()];
        for request in 1..=300 {
            let listed = ids(&mut space, max, false);
            let selected = ids(&mut space, max, true);
            prop_assert_eq!(&selected, &listed);
            prop_assert_eq!(selected.len(), max.min(selectable));
            prop_assert_eq!(selected.iter().collect::<BTreeSet<_>>().len(), selected.len());
            prop_assert!(selected.iter().all(|id| weights[*id as usize] > 0));
            let Some(first) = selected.first() else { break };
            turns[*first as usize] += 1;
            for (had, weight) in turns.iter().zip(&weights) {
                // |had - request * weight / total| <= 1, and a hair for what rounding cannot express.
                let off = (had * total - request * i128::from(*weight)).abs();
                prop_assert!(off <= total + (total >> 20), "{turns:?} after {request} requests, weights {weights:?}");
            }
        }
    }

    #[test]
    fn weighted_round_robin_stays_fair_whoever_comes_and_goes(
        ops in prop::collection::vec((0u8..4, 0u32..8, 0u32..6), 1..200),
    ) {
        let mut storage = Storage::new();
        let mut space = Handlespace::new(&mut storage, 3);
        // Two that are always there.
        register(&mut space, 100, Policy::WeightedRoundRobin { weight: 2 });
        register(&mut space, 101, Policy::WeightedRoundRobin { weight: 1 });
        let mut weights = BTreeMap::from([(100u32, 2u32), (101, 1)]);
        // What is due to the two less what they had, in millionths of a turn.
        let mut owed = [0i64; 2];
        for (op, id, weight) in ops {
            match op {
                0 => {
                    register(&mut space, id, Policy::WeightedRoundRobin { weight });
                    weights.insert(id, weight);
                }
                1 => {
                    remove(&mut space, id);
                    weights.remove(&id);
                }
                _ => {
                    let total: u32 = weights.values().sum();
                    let first = ids(&mut space, 1, true)[0];
                    prop_assert!(weights[&first] > 0);
                    for (n, owed) in owed.iter_mut().enumerate() {
                        let id = 100 + u32::try_from(n).unwrap();
                        *owed += 1_000_000 * i64::from(weights[&id]) / i64::from(total);
                        *owed -= if first == id { 1_000_000 } else { 0 };
                    }
                }
            }
            // The average may move by what those take with them who go; so it is a few turns, but bounded.
            prop_assert!(owed.iter().all(|owed| owed.abs() < 6_000_000), "{owed:?}");
        }
    }

    #[test]
    fn draws_do_not_repeat_and_weight_zero_is_never_drawn(
        weights in prop::collection::vec(prop_oneof![Just(0u32), 1u32..5, Just(u32::MAX)], 1..40),
        max in 0usize..64,
        load: bool,
        gone in prop::collection::vec(0u32..40, 0..10),
    ) {
        let mut storage = Storage::new();
        let mut space = Handlespace::new(&mut storage, 3);
        let mut model = BTreeMap::new();
        for (id, weight) in (0..).zip(&weights) {
            let policy = match load {
                true => Policy::RandomizedLeastUsed { load: u32::MAX - weight },
                false => Policy::WeightedRandom { weight: *weight },
            };
            register(&mut space, id, policy);
            model.insert(id, *weight);
        }
        for id in gone {
            remove(&mut space, id);
            model.remove(&id);
        }
        let all: BTreeSet<u32> = model.iter().filter(|(_, weight)| **weight > 0).map(|(id, _)| *id).collect();
        for advance in [true, false, true] {
            let drawn = ids(&mut space, max, advance);
            prop_assert_eq!(drawn.len(), max.min(all.len()));
            let set: BTreeSet<u32> = drawn.iter().copied().collect();
            prop_assert_eq!(set.len(), drawn.len());
            prop_assert!(set.is_subset(&all));
        }
    }
}

#[test]
fn weighted_round_robin_of_equal_weights_is_round_robin() {
    for weight in [1, 7, u32::MAX] {
        let mut storage = Storage::new();
        let mut space = Handlespace::new(&mut storage, 3);
        for id in 0..7 {
            register(&mut space, id, Policy::WeightedRoundRobin { weight });
        }
        for request in 0..100 {
            let expected: Vec<u32> = (0..5).map(|n| (request + n) % 7).collect();
            assert_eq!(ids(&mut space, 5, true), expected);
        }
    }
}

#[test]
fn weighted_round_robin_spreads_the_turns_of_one_element() {
    let mut storage = Storage::new();
    let mut space = Handlespace::new(&mut storage, 3);
    for (id, weight) in [(0, 4), (1, 1), (2, 2), (3, 1)] {
        register(&mut space, id, Policy::WeightedRoundRobin { weight });
    }
    let sequence: Vec<u32> = (0..800).map(|_| ids(&mut space, 1, true)[0]).collect();
    // Half of the turns are the first one's: never three in a row, nor two others.
    for window in sequence.windows(3) {
        let zeros = window.iter().filter(|id| **id == 0).count();
        assert!((1..=2).contains(&zeros), "{:?}", &sequence[..24]);
    }
}

#[test]
fn a_registration_again_keeps_the_turn_and_cannot_jump_the_queue() {
    let mut storage = Storage::new();
    let mut space = Handlespace::new(&mut storage, 3);
    for id in 0..3 {
        register(&mut space, id, Policy::WeightedRoundRobin { weight: 2 });
    }
    let sequence: Vec<u32> = (0..30)
        .map(|_| {
            register(&mut space, 1, Policy::WeightedRoundRobin { weight: 2 });
            ids(&mut space, 1, true)[0]
        })
        .collect();
    assert_eq!(sequence, (0..30).map(|n| n % 3).collect::<Vec<u32>>());
}

#[test]
fn shares_are_those_of_the_weights() {
    const DRAWS: u32 = 40_000;
    let loads = [0u32, 1 << 30, 1 << 31, u32::MAX];
    let near_and_far = |(weight, distance)| RsplibPolicy::WeightedRandomDpf { weight, dpf: u32::MAX / 100, distance };
    let half_more = |load| RsplibPolicy::RandomizedPriorityLeastUsed { load, degradation: 1 << 31 };
    let not_more = |load| RsplibPolicy::RandomizedLeastUsedDegradation { load, degradation: 0 };
    let cases: [(Vec<Policy<'_>>, Vec<f64>); 6] = [
        (std::vec![Policy::Random; 5], std::vec![1.0; 5]),
        ([1, 2, 0, 7].map(|weight| Policy::WeightedRandom { weight }).to_vec(), std::vec![1.0, 2.0, 0.0, 7.0]),
        (
            loads.map(|load| Policy::RandomizedLeastUsed { load }).to_vec(),
            loads.map(|load| f64::from(u32::MAX - load)).to_vec(),
        ),
        (
            [(8, 0), (8, 50), (8, 1000), (0, 0)].map(near_and_far).map(Policy::Rsplib).to_vec(),
            std::vec![8.0, 4.0, 1.0, 0.0],
        ),
        (
            [0, 1 << 30, 1 << 31].map(half_more).map(Policy::Rsplib).to_vec(),
            std::vec![f64::from((1u32 << 31) - 1), f64::from((1u32 << 30) - 1), 1.0],
        ),
        (
            loads.map(not_more).map(Policy::Rsplib).to_vec(),
            loads.map(|load| f64::from((u32::MAX - load).max(1))).to_vec(),
        ),
    ];
    for (policies, weights) in cases {
        let mut storage = Storage::new();
        let mut space = Handlespace::new(&mut storage, 99);
        for (id, policy) in (0..).zip(&policies) {
            register(&mut space, id, *policy);
        }
        let mut firsts = std::vec![0u32; weights.len()];
        let mut seconds = firsts.clone();
        for _ in 0..DRAWS {
            let drawn = ids(&mut space, 2, true);
            assert_ne!(drawn[0], drawn[1]);
            firsts[drawn[0] as usize] += 1;
            seconds[drawn[1] as usize] += 1;
        }
        let total: f64 = weights.iter().sum();
        for (n, weight) in weights.iter().enumerate() {
            let share = weight / total;
            // The second is drawn from those that are left.
            let second: f64 = (0..weights.len())
                .filter(|other| *other != n)
                .map(|other| weights[other] / total * weight / (total - weights[other]))
                .sum();
            for (count, share) in [(firsts[n], share), (seconds[n], second)] {
                let expected = f64::from(DRAWS) * share;
                let deviation = (expected * (1.0 - share)).sqrt();
                assert!((f64::from(count) - expected).abs() <= 5.0 * deviation, "{firsts:?} {seconds:?}");
            }
        }
    }
}

#[test]
fn the_degradation_counter_counts_what_was_returned_since_the_registration() {
    let mut storage = Storage::new();
    let mut space = Handlespace::new(&mut storage, 3);
    let policy = |load| Policy::LeastUsedDegradation { load, degradation: 10 };
    register(&mut space, 1, policy(0));
    register(&mut space, 2, policy(15));
    assert_eq!(ids(&mut space, 1, true), [1]); // 1: 0 -> 10
    assert_eq!(ids(&mut space, 1, false), [1]); // a list does not count
    assert_eq!(ids(&mut space, 1, true), [1]); // 1: 10 -> 20
    assert_eq!(ids(&mut space, 2, true), [2, 1]); // 2: 15 -> 25, 1: 20 -> 30
    assert_eq!(ids(&mut space, 1, true), [2]); // 2: 25 -> 35
    assert_eq!(ids(&mut space, 1, false), [1]);
    register(&mut space, 2, policy(29)); // 2: 29
    assert_eq!(ids(&mut space, 2, true), [2, 1]);
}

#[test]
fn randomized_policies_degrade_too() {
    type Case = fn(u32, u32) -> RsplibPolicy;
    let cases: [Case; 2] = [
        |load, degradation| RsplibPolicy::RandomizedLeastUsedDegradation { load, degradation },
        |load, degradation| RsplibPolicy::RandomizedPriorityLeastUsedDegradation { load, degradation },
    ];
    for policy in cases {
        let mut storage = Storage::new();
        let mut space = Handlespace::new(&mut storage, 3);
        // Once returned, the second is as good as used up: with a share of 1 in 2^32 it never comes again.
        register(&mut space, 1, Policy::Rsplib(policy(0, 0)));
        register(&mut space, 2, Policy::Rsplib(policy(0, 1 << 31)));
        let seconds = |space: &mut _| (0..200).filter(|_| ids(space, 1, true) == [2]).count();
        assert!((1..=2).contains(&seconds(&mut space)));
        assert_eq!(seconds(&mut space), 0);
        register(&mut space, 2, Policy::Rsplib(policy(0, 1 << 31)));
        assert!((1..=2).contains(&seconds(&mut space)));
    }
}

fn pick(policies: &[(Policy<'static>, bool)], cursor: &mut u32, rng: &mut Rng) -> Option<usize> {
    let candidates = policies.iter().map(|(policy, usable)| Candidate { policy: *policy, usable: *usable });
    choose(policies[0].0.policy_type(), candidates, cursor, rng)
}

fn picks(policies: &[(Policy<'static>, bool)], count: usize) -> Vec<usize> {
    let (mut cursor, mut rng) = (0, Rng::new(5));
    (0..count).filter_map(|_| pick(policies, &mut cursor, &mut rng)).collect()
}

#[test]
fn a_user_goes_through_the_list_in_its_order_and_leaves_out_what_has_failed() {
    for (policy, _, _) in ORDERED.iter().filter(|(policy, ..)| !matches!(policy(0, 0), Policy::Priority { .. })) {
        let list = [(policy(1, 1), true), (policy(2, 2), false), (policy(3, 3), true)];
        assert_eq!(picks(&list, 5), [0, 2, 0, 2, 0]);
        assert_eq!(picks(&[(policy(1, 1), false)], 1), []);
    }
    let weighted = |weight| Policy::WeightedRoundRobin { weight };
    assert_eq!(picks(&[(weighted(3), true), (weighted(0), true), (weighted(1), true)], 4), [0, 2, 0, 2]);
}

#[test]
fn a_user_takes_the_highest_priority_that_is_usable() {
    let of = |priority| Policy::Priority { priority };
    assert_eq!(picks(&[(of(9), false), (of(5), true), (of(7), true), (of(7), true)], 4), [2, 3, 2, 3]);
    assert_eq!(picks(&[(of(9), true), (of(5), true)], 3), [0, 0, 0]);
}

#[test]
fn a_user_draws_by_weight() {
    let mut counts = [0u32; 4];
    let weights = [(1, true), (3, true), (0, true), (50, false)];
    let list = weights.map(|(weight, usable)| (Policy::WeightedRandom { weight }, usable));
    for at in picks(&list, 10_000) {
        counts[at] += 1;
    }
    assert!((2_300..2_700).contains(&counts[0]), "{counts:?}");
    assert_eq!(counts[2..], [0, 0]);
    let loads = [(u32::MAX, true), (0, true)].map(|(load, usable)| (Policy::RandomizedLeastUsed { load }, usable));
    assert!(picks(&loads, 100).iter().all(|at| *at == 1));
    let far = |distance| Policy::Rsplib(RsplibPolicy::WeightedRandomDpf { weight: 1 << 30, dpf: 1 << 24, distance });
    assert!(picks(&[(far(1000), true), (far(0), true)], 100).iter().all(|at| *at == 1));
    let equal = picks(&[(Policy::Random, true), (Policy::Random, true)], 10_000);
    assert!((4_700..5_300).contains(&equal.iter().sum::<usize>()));
    assert_eq!(picks(&[(Policy::WeightedRandom { weight: 0 }, true)], 1), []);
}
