//! Handles, events, deadlines and rest.

mod common;

use std::io::Write;
use std::sync::mpsc::channel;
use std::time::Duration;

use common::*;
use rserpool_std::driver::{Driver, DriverConfig, DriverHandle, HandleError, StopError};

#[test]
fn closures_run_in_order_and_what_they_wish_is_done() {
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Report));
    let mut stream = client(server.address());
    let (assoc, ..) = server.connected();
    for kind in 0..100 {
        server.handle.post(move |toy, _| toy.send(assoc, &message(kind, 4))).unwrap();
    }
    assert!(!server.handle.with(|toy, _| toy.full).unwrap());
    for kind in 0..100 {
        assert_eq!(read_exactly(&mut stream, 4), message(kind, 4));
    }
}

#[test]
fn handles_of_many_threads() {
    let server = Rig::start(DriverConfig { command_queue: 4, ..DriverConfig::default() }, Toy::new(Mode::Report));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let handle = server.handle.clone();
            std::thread::spawn(move || {
                (0..500).filter(|_| handle.with(|_, now| now).unwrap() <= handle.clock().now()).count()
            })
        })
        .collect();
    assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), 4000);
}

#[test]
fn a_full_queue_is_said_and_a_stopped_driver_answers_nobody() {
    let server = Rig::start(DriverConfig { command_queue: 2, ..DriverConfig::default() }, Toy::new(Mode::Report));
    let ((started, start), (go, wait)) = (channel(), channel());
    let block = move |_: &mut Toy, _| {
        started.send(()).unwrap();
        wait.recv().unwrap()
    };
    server.handle.post(block).unwrap();
    start.recv().unwrap();
    let mut posted = 0;
    while server.handle.post(|_, _| {}) == Ok(()) {
        posted += 1;
    }
    assert_eq!(posted, 2);
    assert_eq!(server.handle.post(|_, _| {}), Err(HandleError::Busy));
    go.send(()).unwrap();
    // A send blocks while the queue is full, and is served.
    assert_eq!(server.handle.with(|_, _| 5), Ok(5));
}

#[test]
fn an_observer_cannot_wait_for_its_own_driver_but_has_the_machine() {
    let bound = Driver::<Toy>::bind(DriverConfig::default()).unwrap();
    let handle: DriverHandle<Toy> = bound.handle();
    let (sender, results) = channel();
    let driver = bound
        .spawn(Toy::new(Mode::Report), move |event, toy, now| {
            toy.full = true;
            sender.send((event, handle.with(|_, _| ()), now)).unwrap();
        })
        .unwrap();
    driver.handle().with(|toy, now| toy.wake_at(now + Duration::from_millis(1))).unwrap();
    let (event, result, _) = results.recv_timeout(HANG).unwrap();
    assert_eq!((event, result), (Seen::Timeout, Err(HandleError::DriverThread)));
    assert!(driver.stop().unwrap().full);
}

#[test]
fn a_panic_ends_the_driver_and_hangs_nobody() {
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Report));
    let mut stream = client(server.address());
    server.connected();
    assert_eq!(server.handle.with(|_, _| panic!("on purpose")), Err::<(), _>(HandleError::Stopped));
    wait_closed(&mut stream);
    assert_eq!(server.handle.with(|_, _| ()), Err(HandleError::Stopped));
    assert!(matches!(server.driver.stop(), Err(StopError::Panicked)));
}

#[test]
fn a_driver_in_this_thread() {
    let bound = Driver::<Toy>::bind(DriverConfig::default()).unwrap();
    let handle = bound.handle();
    handle.post(|toy, _| toy.full = true).unwrap();
    handle.shutdown();
    assert!(bound.run(Toy::new(Mode::Report), |_, _, _| {}).unwrap().full);
}

#[test]
fn an_idle_driver_sleeps_until_the_machines_deadline() {
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Report));
    let streams: Vec<_> = (0..50).map(|_| client(server.address())).collect();
    for _ in &streams {
        server.connected();
    }
    // Half a message has a deadline of its own, and must not keep the loop awake either.
    (&streams[0]).write_all(&[5]).unwrap();
    server.wait_stats(|stats| stats.bytes_in == 1);
    let (before, due) = {
        let handle = server.handle.clone();
        let wake = move |toy: &mut Toy, now| {
            let due = now + Duration::from_millis(300);
            toy.wake_at(due);
            due
        };
        let due = server.handle.with(wake).unwrap();
        (handle.stats().turns, due)
    };
    assert_eq!(server.next(), Seen::Timeout);
    assert!(server.handle.clock().now() >= due);
    let turns = server.handle.stats().turns - before;
    assert!(turns <= 3, "{turns} turns in which nothing was to do");
}

#[test]
fn a_deadline_that_has_passed_is_met_at_once() {
    let user = Rig::start(DriverConfig::default(), Toy::new(Mode::Report));
    for _ in 0..100 {
        user.handle.with(|toy, now| toy.wake_at(now)).unwrap();
        assert_eq!(user.next(), Seen::Timeout);
    }
}
