//! The handlespace in the shapes that matter: one pool or many, ten elements or a hundred thousand.
//!
//! * resolve: look a pool up by its handle, select 3 elements and read their parameters.
//! * register: a new element in an existing pool; the removal that makes room for it again is in the measure, and so
//!   is the timer.
//! * re-register: an element that is there, with a changed load under Least Used, and its timer.
//! * expire: the earliest timer and the removal of its element; the registrations before are not in the measure.
//! * checksum: of the owner of all elements.

#![allow(clippy::disallowed_types, reason = "a measurement has a clock")]

use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rserpool_core::handlespace::{Handlespace, Limits, Registration};
use rserpool_core::wire::{Lifetime, Policy, PoolHandle, Transport};
use rserpool_core::{Instant, PeId, ServerId};

const SHAPES: [(u32, u32); 4] = [(1, 10), (1, 1_000), (1, 100_000), (10_000, 10)];
const HOME: ServerId = ServerId(0x1234_5678);

/// A pseudo-random sequence that costs next to nothing.
struct Sequence(Cell<u64>);

impl Sequence {
    fn next(&self) -> u32 {
        let x = self.0.get().wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        self.0.set(x);
        (x >> 33) as u32
    }
}

/// Deadlines that tell whose they are: later with each registration, as in life.
fn due(clock: u64, pool: u32, id: u32) -> Instant {
    Instant::from_micros(clock << 31 | u64::from(pool) << 17 | u64::from(id))
}

fn whose(due: Instant) -> (u32, u32) {
    let low = (due.as_micros() & 0x7fff_ffff) as u32;
    (low >> 17, low & 0x1_ffff)
}

struct Bench {
    space: Handlespace<'static>,
    handles: Vec<String>,
    elements: u32,
    least_used: bool,
    random: Sequence,
    clock: u64,
}

impl Bench {
    fn new(pools: u32, elements: u32, least_used: bool) -> Self {
        let handles = (0..pools).map(|n| format!("pool-{n:05}")).collect();
        let space = Handlespace::growable(Limits::default(), 1);
        let mut bench = Bench { space, handles, elements, least_used, random: Sequence(Cell::new(1)), clock: 0 };
        for pool in 0..pools {
            for id in 0..elements {
                bench.register(pool, id);
            }
        }
        bench
    }

    fn pool(&self) -> u32 {
        self.random.next() % u32::try_from(self.handles.len()).unwrap()
    }

    fn handle(&self, pool: u32) -> PoolHandle<'_> {
        PoolHandle::new(self.handles[pool as usize].as_bytes()).unwrap()
    }

    fn register(&mut self, pool: u32, id: u32) {
        let random = self.random.next();
        let registration = Registration {
            id: PeId(id),
            home: HOME,
            lifetime: Lifetime::from_secs(300),
            user_transport: Transport::Tcp(([192, 0, 2, 1], 7).into()),
            policy: if self.least_used { Policy::LeastUsed { load: random << 1 } } else { Policy::RoundRobin },
            asap_transport: None,
        };
        let handle = PoolHandle::new(self.handles[pool as usize].as_bytes()).unwrap();
        let done = self.space.register(Instant::ZERO, handle, &registration).unwrap();
        self.clock += 1;
        self.space.set_timer(done.element, due(self.clock, pool, id));
    }

    fn remove(&mut self, pool: u32, id: u32) {
        let pool = self.space.find_pool(self.handle(pool)).unwrap();
        let element = self.space.find_element(pool, PeId(id)).unwrap();
        self.space.remove(element);
    }
}

fn benches(c: &mut Criterion) {
    for least_used in [false, true] {
        let policy = if least_used { "LU" } else { "RR" };
        for (pools, elements) in SHAPES {
            let shape = format!("{policy} {pools}x{elements}");
            let mut bench = Bench::new(pools, elements, least_used);
            let bytes = bench.space.table_bytes();
            println!("{shape}: {} bytes per element", bytes / bench.space.elements() as usize);

            c.bench_with_input(BenchmarkId::new("resolve", &shape), &(), |b, ()| {
                b.iter(|| {
                    let pool = bench.pool();
                    let handle = PoolHandle::new(bench.handles[pool as usize].as_bytes()).unwrap();
                    let pool = bench.space.find_pool(handle).unwrap();
                    let mut selected = [None; 3];
                    for (place, element) in selected.iter_mut().zip(bench.space.select(pool, 3)) {
                        *place = Some(*element);
                    }
                    for element in selected.into_iter().flatten() {
                        black_box(bench.space.user_transport_and_policy_bytes(element));
                    }
                });
            });
            let new = bench.elements;
            c.bench_with_input(BenchmarkId::new("register and remove", &shape), &(), |b, ()| {
                b.iter(|| {
                    let pool = bench.pool();
                    bench.register(pool, new);
                    bench.remove(pool, new);
                });
            });
            c.bench_with_input(BenchmarkId::new("re-register", &shape), &(), |b, ()| {
                b.iter(|| {
                    let (pool, id) = (bench.pool(), bench.random.next() % elements);
                    bench.register(pool, id);
                });
            });
            c.bench_with_input(BenchmarkId::new("checksum", &shape), &(), |b, ()| {
                b.iter(|| bench.space.checksum(black_box(HOME)));
            });
            c.bench_with_input(BenchmarkId::new("expire", &shape), &(), |b, ()| {
                b.iter_custom(|iterations| {
                    let mut spent = Duration::ZERO;
                    let mut left = iterations;
                    let mut expired = Vec::with_capacity(100);
                    while left > 0 {
                        let batch = left.min(u64::from(pools * elements / 2)).min(100);
                        let start = std::time::Instant::now();
                        for _ in 0..batch {
                            let (due, element) = bench.space.next_timer().unwrap();
                            bench.space.remove(element);
                            expired.push(due);
                        }
                        spent += start.elapsed();
                        left -= batch;
                        for due in expired.drain(..) {
                            let (pool, id) = whose(due);
                            bench.register(pool, id);
                        }
                    }
                    spent
                });
            });
        }
    }
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(800));
    targets = benches
}
criterion_main!(all);
