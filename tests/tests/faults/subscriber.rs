//! A subscriber that stops reading while its pool changes.

use std::time::{Duration, Instant};

use rserpool_core::wire::{Policy, PoolElementParam};
use rserpool_tests::scene::{Scene, element, registration, resolution, until};

use crate::bounds;

const STALL: Duration = Duration::from_secs(1);

#[test]
fn a_subscriber_that_does_not_read_is_dropped_and_keeps_nobody_waiting() {
    let scene = Scene::with(|options| {
        options.driver.write_stall = STALL;
        options.driver.send_buffer = Some(16 << 10);
        options.registrar.update_delay = Duration::ZERO;
    });
    let weigh = |id: u32, weight: u32| {
        registration(b"wide", PoolElementParam { policy: Policy::WeightedRoundRobin { weight }, ..element(id) })
    };
    let mut elements = scene.peer();
    for id in 1..=100 {
        elements.ask(&weigh(id, 1));
    }
    let mut deaf = scene.peer();
    deaf.ask(&resolution(b"wide", true));
    assert_eq!(scene.registrar.status(0).unwrap().subscriptions, 1);
    // Each change is told with all elements.
    let begin = Instant::now();
    let mut weight = 1;
    until("it to be dropped", || {
        for _ in 0..20 {
            weight += 1;
            elements.ask(&weigh(1 + weight % 100, weight));
        }
        scene.check();
        let closed = scene.stats().closed;
        closed.write_stall + closed.out_limit == 1
    });
    bounds::DEAF.took(begin.elapsed());
    until("the end of its subscription", || scene.registrar.status(0).unwrap().subscriptions == 0);
    assert_eq!(scene.strangers(), 100, "no element is lost");
    scene.check();
}
