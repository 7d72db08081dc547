//! Peers of a registrar that are too many, too slow, too fast or not of this protocol. What they cost is bounded, and
//! those who behave go on being served.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use rserpool_core::PeId;
use rserpool_core::wire::AsapMessage;
use rserpool_tests::scene::{
    HANG, Peer, Scene, deregistration, element, message, registration, resolution, response, until,
};

/// Long enough that one who behaves is not hit on a busy host, short enough to wait for.
const SHORT: Duration = Duration::from_millis(500);

/// A generator of bytes for tests: the same ones each time.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut next = || {
            // splitmix64
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)).to_be_bytes()[0]
        };
        (0..len).map(|_| next()).collect()
    }
}

#[test]
fn a_stream_of_garbage_is_not_listened_to_for_ever() {
    let scene = Scene::with(|options| options.driver.partial_message_timeout = SHORT);
    for seed in 0..200 {
        let mut peer = scene.peer();
        let mut noise = Noise(seed);
        // Until the other side has had enough: by a length that cannot be, or by one that does not come true.
        for _ in 0..16 {
            if !peer.try_send(&noise.bytes(4096)) {
                break;
            }
        }
        peer.finish();
        peer.is_closed();
    }
    until("all to be closed", || scene.stats().connections == 2);
    assert_eq!(scene.strangers(), 0);
    scene.check();
}

#[test]
fn sound_messages_with_random_bytes_changed_do_no_harm() {
    let scene = Scene::with(|options| options.driver.partial_message_timeout = SHORT);
    let mut noise = Noise(7);
    let sound =
        [registration(b"pool", element(1)), resolution(b"good", true), deregistration(b"pool", 1)].map(|message| {
            assert!(message.len() < 256);
            message
        });
    for round in 0..2000 {
        let mut bytes = sound[round % sound.len()].clone();
        for change in noise.bytes(6).chunks(2) {
            // The message's own length stays: otherwise nothing but framing would be tested.
            let place = usize::from(change[0]) % bytes.len();
            if !(2..4).contains(&place) {
                bytes[place] = change[1];
            }
        }
        let mut peer = scene.peer();
        peer.send(&bytes);
        peer.finish();
        peer.is_closed();
    }
    scene.check();
}

#[test]
fn half_a_message_and_then_silence_is_not_waited_for() {
    let scene = Scene::with(|options| options.driver.partial_message_timeout = SHORT);
    let whole = registration(b"pool", element(1));
    let mut peers: Vec<Peer> = (1..whole.len())
        .map(|len| {
            let mut peer = scene.peer();
            peer.send(&whole[..len]);
            peer
        })
        .collect();
    scene.check();
    for peer in &mut peers {
        peer.is_closed();
    }
    until("the count", || scene.stats().closed.partial_message == peers.len() as u64);
    assert_eq!(scene.strangers(), 0);
    scene.check();
}

#[test]
fn ten_thousand_idle_connections_cost_nobody_else_anything_and_end_by_the_idle_timeout() {
    // Both ends are of this process; some descriptors are for everything else.
    let allowed = rlimit::increase_nofile_limit(21_000).unwrap_or(1024);
    let count = usize::try_from(allowed.saturating_sub(512) / 2).unwrap().min(10_000);
    println!("{count} connections of 10000, with {allowed} descriptors");
    let idle_timeout = Duration::from_secs(3);
    let scene = Scene::with(|options| {
        options.driver.max_connections = count + 8;
        options.driver.listeners[0].idle_timeout = Some(idle_timeout);
    });
    let mut idle = Vec::with_capacity(count);
    for n in 0..count {
        idle.push(connect(&scene));
        if n % 1000 == 0 {
            scene.check();
        }
    }
    until("all to be accepted", || scene.stats().accepted >= count as u64 + 2);
    scene.check();
    until("all to be closed", || {
        scene.check();
        scene.stats().connections <= 2
    });
    assert!(scene.stats().closed.idle >= count as u64, "{:?}", scene.stats());
    assert_eq!(scene.stats().refused, 0, "{:?}", scene.stats());
}

/// Ports can run out for a moment when connections come and go by the thousands.
fn connect(scene: &Scene) -> TcpStream {
    let mut stream = None;
    until("a connection", || match TcpStream::connect(scene.address()) {
        Ok(connected) => {
            stream = Some(connected);
            true
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::ConnectionReset), "{error}");
            false
        }
    });
    stream.unwrap()
}

#[test]
fn one_connection_too_many_is_closed_and_the_others_stay() {
    let scene = Scene::with(|options| options.driver.max_connections = 10);
    let mut within: Vec<Peer> = (0..8).map(|_| scene.peer()).collect();
    for peer in &mut within {
        peer.is_served_without_an_answer_before();
    }
    for _ in 0..100 {
        scene.peer().is_closed();
    }
    for peer in &mut within {
        peer.is_served_without_an_answer_before();
    }
    until("the count", || scene.stats().refused == 100);
    scene.check();
}

#[test]
fn very_many_who_come_and_go_leave_nothing_behind() {
    let scene = Scene::new();
    for n in 0..3000 {
        let mut stream = connect(&scene);
        match n % 3 {
            // Leaves at once; leaves with a request under way; leaves as an element.
            0 => {}
            1 => stream.write_all(&resolution(b"good", true)).unwrap(),
            _ => stream.write_all(&registration(b"pool", element(n))).unwrap(),
        }
    }
    until("all to be accepted", || scene.stats().accepted == 3002);
    until("all to be closed", || scene.stats().connections == 2);
    until("their elements to be removed", || scene.strangers() == 0);
    let status = scene.registrar.status(0).unwrap();
    assert_eq!((status.pool_count, status.subscriptions), (1, 0));
    scene.check();
}

#[test]
fn a_peer_that_asks_and_never_reads_is_dropped_and_not_buffered_for() {
    let scene = Scene::with(|options| {
        options.driver.write_stall = SHORT;
        options.driver.send_buffer = Some(64 << 10);
    });
    let mut deaf = scene.peer();
    deaf.stream.set_nonblocking(true).unwrap();
    let requests = resolution(b"good", false).repeat(1000);
    until("it to be dropped", || {
        for _ in 0..100 {
            match deaf.stream.write(&requests) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return true,
            }
        }
        scene.check();
        scene.stats().closed.write_stall == 1
    });
    until("the count", || scene.stats().closed.write_stall == 1);
    // It was not read from without end: what it sent waits in its own system.
    assert!(scene.stats().bytes_in < 64 << 20, "{:?}", scene.stats());
    scene.check();
}

#[test]
fn a_flood_of_registrations_over_one_connection_ends_at_the_limit() {
    const LIMIT: u32 = 1000;
    const FLOOD: u32 = 100_000;
    let scene = Scene::with(|options| options.registrar.max_elements_per_association = LIMIT);
    let mut peer = scene.peer();
    let mut sender = Peer::over(peer.stream.try_clone().unwrap());
    let flood = std::thread::spawn(move || {
        for first in (0..FLOOD).step_by(1000) {
            let batch: Vec<u8> = (first..first + 1000).flat_map(|id| registration(b"pool", element(id + 1))).collect();
            sender.send(&batch);
        }
    });
    let (mut granted, mut refused) = (0, 0);
    while granted + refused < FLOOD {
        let answer = peer.receive().expect("an answer");
        match AsapMessage::parse(&answer).unwrap().message {
            AsapMessage::EndpointKeepAlive(_) => {}
            AsapMessage::RegistrationResponse(response) if !response.rejected => granted += 1,
            _ => {
                assert_eq!(response(&answer), (false, Some(0x6)));
                refused += 1;
            }
        }
        if (granted + refused) % 20_000 == 0 {
            scene.check();
        }
    }
    flood.join().unwrap();
    assert_eq!((granted, refused), (LIMIT, FLOOD - LIMIT));
    assert_eq!(scene.strangers(), LIMIT);
    // What is registered can still be renewed.
    peer.send(&registration(b"pool", element(1)));
    let renewed = std::iter::from_fn(|| peer.receive()).find(|answer| answer[0] == 0x03).unwrap();
    assert_eq!(response(&renewed), (true, None));
    drop(peer);
    until("its elements to be removed", || scene.strangers() == 0);
    scene.check();
}

#[test]
fn subscriptions_beyond_the_limit_are_not_accepted_but_answered() {
    const LIMIT: u32 = 8;
    let scene = Scene::with(|options| options.registrar.max_subscriptions_per_association = LIMIT);
    let mut owner = scene.peer();
    let pool = |n: u32| format!("pool{n}").into_bytes();
    for n in 0..2 * LIMIT {
        assert_eq!(response(&owner.ask(&registration(&pool(n), element(n + 1)))), (true, None));
    }
    let mut subscriber = scene.peer();
    for n in 0..2 * LIMIT {
        let answer = subscriber.ask(&resolution(&pool(n), true));
        assert_eq!(response(&answer), (n < LIMIT, None), "pool {n}");
    }
    // The same again is the same subscription; one for a pool that does not exist is none.
    assert_eq!(response(&subscriber.ask(&resolution(&pool(0), true))), (true, None));
    assert_eq!(response(&subscriber.ask(&resolution(b"nobody", true))), (false, Some(0x9)));
    assert_eq!(scene.registrar.status(0).unwrap().subscriptions, LIMIT);
    drop(subscriber);
    until("the subscriptions to end", || scene.registrar.status(0).unwrap().subscriptions == 0);
    scene.check();
}

#[test]
fn an_element_that_never_acknowledges_is_removed() {
    let scene = Scene::with(|options| {
        options.registrar.keep_alive_interval = Duration::from_millis(100);
        options.registrar.keep_alive_timeout = Duration::from_secs(2);
    });
    let mut silent = scene.peer();
    assert_eq!(response(&silent.ask(&registration(b"pool", element(1)))), (true, None));
    // It has a keep-alive, and reads it, and that is all.
    let asked = silent.receive().unwrap();
    assert!(matches!(
        AsapMessage::parse(&asked).unwrap().message,
        AsapMessage::EndpointKeepAlive(question) if question.id == Some(PeId(1))
    ));
    until("its removal", || scene.strangers() == 0);
    scene.check();
}

#[test]
fn a_message_of_the_greatest_length_a_byte_at_a_time_is_not_waited_for() {
    let scene = Scene::with(|options| options.driver.partial_message_timeout = SHORT);
    let mut slow = scene.peer();
    let long = message(0x05, &[&[0; 65_000]]);
    let mut bytes = long.iter();
    let deadline = std::time::Instant::now() + HANG;
    while bytes.next().is_some_and(|byte| slow.try_send(&[*byte])) {
        assert!(std::time::Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(1));
    }
    until("the count", || scene.stats().closed.partial_message == 1);
    scene.check();
}
