//! Messages, dials and the ends of connections over loopback TCP.

mod common;

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::time::Duration;

use common::*;
use rserpool_core::{AssocId, DialId, Ppid};
use rserpool_std::driver::{DriverConfig, HandleError, Listener};

const D: DialId = DialId(7);

#[test]
fn two_drivers_talk() {
    for loopback in ["127.0.0.1:0", "[::1]:0"] {
        let address: SocketAddr = loopback.parse().unwrap();
        let listeners = vec![Listener::tcp(Ppid::Enrp, address)];
        let server = Rig::start(DriverConfig { listeners, ..DriverConfig::default() }, Toy::new(Mode::Report));
        let user = Rig::start(DriverConfig::default(), Toy::new(Mode::Report));
        let address = server.address();
        user.tell(move |toy| toy.connect(D, &[address]));
        let (assoc, dial, peer) = user.connected();
        assert_eq!((dial, peer), (Some(D), address));
        let (accepted, dial, _) = server.connected();
        assert_eq!(dial, None);

        let request = message(5, 13);
        user.tell({
            let request = request.clone();
            move |toy| toy.send(assoc, &request)
        });
        assert_eq!(server.next(), Seen::Message(accepted, Ppid::Enrp, request));
        server.tell(move |toy| toy.send(accepted, &message(6, 60_000)));
        assert_eq!(user.next(), Seen::Message(assoc, Ppid::Asap, message(6, 60_000)));

        user.tell(move |toy| toy.disconnect(assoc));
        assert_eq!(server.next(), Seen::Closed(accepted));
        assert_eq!(user.next(), Seen::Closed(assoc));
        server.wait_stats(|stats| stats.closed.by_peer == 1);
        user.wait_stats(|stats| stats.closed.by_machine == 1 && stats.connections == 0);
    }
}

#[test]
fn bytes_one_by_one_and_messages_all_at_once() {
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Report));
    let mut stream = client(server.address());
    let (assoc, ..) = server.connected();
    let sent = [message(5, 6), message(5, 4), message(5, 33)];
    for byte in sent.concat() {
        stream.write_all(&[byte]).unwrap();
    }
    for expected in &sent {
        assert_eq!(server.next(), Seen::Message(assoc, Ppid::Asap, expected.clone()));
    }
    let many: Vec<Vec<u8>> = (4..1000).map(|length| message(1, length)).collect();
    stream.write_all(&many.concat()).unwrap();
    for expected in &many {
        assert_eq!(&server.message(), expected);
    }
    let stats = server.wait_stats(|stats| stats.messages_in == 999);
    assert_eq!(stats.bytes_in as usize, sent.concat().len() + many.concat().len());
}

#[test]
fn answers_come_in_order_however_much_is_asked_at_once() {
    // Small limits, so that pausing, held-over messages and partial writes all happen.
    let config =
        DriverConfig { messages_per_turn: 3, out_pause: 4_000, send_buffer: Some(8_000), ..DriverConfig::default() };
    let server = Rig::listening(config, Toy::new(Mode::Echo));
    let mut stream = client(server.address());
    let all: Vec<u8> = (0..2_000u16).flat_map(|i| message((i % 200) as u8, 4 + i)).collect();
    let writer = {
        let (mut stream, all) = (stream.try_clone().unwrap(), all.clone());
        std::thread::spawn(move || {
            stream.write_all(&all).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        })
    };
    assert!(read_exactly(&mut stream, all.len()) == all, "the echo differs");
    wait_closed(&mut stream);
    writer.join().unwrap();
}

#[test]
fn answers_are_written_after_the_peer_has_ended_its_side() {
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Answer(100)));
    let mut stream = client(server.address());
    stream.write_all(&message(5, 12).repeat(500)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_exactly(&mut stream, 50_000)[..4], [6, 0, 0, 100]);
    wait_closed(&mut stream);
    server.wait_stats(|stats| stats.closed.by_peer == 1);
}

#[test]
fn what_was_sent_before_a_disconnect_arrives() {
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Report));
    let mut stream = client(server.address());
    let (assoc, ..) = server.connected();
    // Bytes that the server will not read any more must not turn the close into a reset.
    stream.write_all(&message(5, 10)).unwrap();
    assert_eq!(server.message(), message(5, 10));
    server.tell(move |toy| {
        for _ in 0..20 {
            toy.send(assoc, &message(6, 60_000));
        }
        toy.disconnect(assoc);
        toy.send(assoc, &message(6, 8));
    });
    stream.write_all(&message(5, 10)).unwrap();
    assert_eq!(read_exactly(&mut stream, 20 * 60_000), message(6, 60_000).repeat(20));
    wait_closed(&mut stream);
    drop(stream);
    assert_eq!(server.next(), Seen::Closed(assoc));
    server.wait_stats(|stats| stats.closed.by_machine == 1 && stats.messages_lost == 1);
}

#[test]
fn a_peer_that_does_not_end_its_side_is_not_waited_for_longer_than_the_linger_time() {
    let config = DriverConfig { linger: Duration::from_millis(50), ..DriverConfig::default() };
    let server = Rig::listening(config, Toy::new(Mode::Report));
    let _stream = client(server.address());
    let (assoc, ..) = server.connected();
    server.tell(move |toy| toy.disconnect(assoc));
    assert_eq!(server.next(), Seen::Closed(assoc));
}

#[test]
fn a_slot_is_used_again_with_another_generation() {
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Report));
    for generation in 0..10 {
        let stream = client(server.address());
        let (assoc, ..) = server.connected();
        assert_eq!(assoc, AssocId { slot: 0, generation });
        drop(stream);
        assert_eq!(server.next(), Seen::Closed(assoc));
    }
    server.tell(|toy| toy.send(AssocId { slot: 0, generation: 3 }, &message(5, 4)));
    server.wait_stats(|stats| stats.messages_lost == 1);
}

#[test]
fn an_association_that_the_machine_has_no_room_for_is_closed() {
    let mut toy = Toy::new(Mode::Report);
    toy.full = true;
    let server = Rig::listening(DriverConfig::default(), toy);
    wait_closed(&mut client(server.address()));
    server.wait_stats(|stats| stats.closed.refused == 1 && stats.connections == 0);
}

#[test]
fn a_refused_connection_fails() {
    let user = Rig::start(DriverConfig::default(), Toy::new(Mode::Report));
    user.tell(|toy| toy.connect(D, &[nobody()]));
    assert_eq!(user.next(), Seen::ConnectFailed(D));
    user.tell(|toy| toy.connect(D, &[]));
    assert_eq!(user.next(), Seen::ConnectFailed(D));
    user.wait_stats(|stats| stats.dial_failures == 2 && stats.dials == 0);
}

#[test]
fn the_first_address_that_works_is_taken() {
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Echo));
    let user = Rig::start(DriverConfig::default(), Toy::new(Mode::Report));
    let to = [nobody(), "[::1]:1".parse().unwrap(), server.address(), nobody()];
    user.tell(move |toy| toy.connect(D, &to));
    let (_, dial, peer) = user.connected();
    assert_eq!((dial, peer), (Some(D), server.address()));
}

/// A listener that does not answer: its queue of connections is full, so the system drops further attempts.
fn silent() -> (TcpListener, Vec<socket2::Socket>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let listener: TcpListener = socket.into();
    let address = listener.local_addr().unwrap();
    let fill = (0..4).map(|_| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address.into());
        socket
    });
    let fill = fill.collect();
    (listener, fill)
}

#[test]
fn a_silent_address_is_not_waited_for_when_there_is_another() {
    let (silent, _fill) = silent();
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Echo));
    let config = DriverConfig { connect_timeout: HANG, ..DriverConfig::default() };
    let user = Rig::start(config, Toy::new(Mode::Report));
    let to = [silent.local_addr().unwrap(), server.address()];
    user.tell(move |toy| toy.connect(D, &to));
    assert_eq!(user.connected().2, server.address());
}

#[test]
fn a_silent_address_fails_in_the_end() {
    let (silent, _fill) = silent();
    let config = DriverConfig { connect_timeout: Duration::from_millis(50), ..DriverConfig::default() };
    let user = Rig::start(config, Toy::new(Mode::Report));
    let to = silent.local_addr().unwrap();
    user.tell(move |toy| toy.connect(D, &[to]));
    assert_eq!(user.next(), Seen::ConnectFailed(D));
}

#[test]
fn an_abandoned_dial_is_not_heard_of_again() {
    let (silent, _fill) = silent();
    let config = DriverConfig { connect_timeout: Duration::from_millis(50), max_dials: 1, ..DriverConfig::default() };
    let user = Rig::start(config, Toy::new(Mode::Report));
    let to = silent.local_addr().unwrap();
    user.tell(move |toy| {
        toy.connect(D, &[to]);
        toy.abandon(D);
        // One that has failed already, too.
        toy.connect(DialId(8), &[]);
        toy.abandon(DialId(8));
        // There is room for another, and for one only.
        toy.connect(DialId(9), &[to]);
        toy.connect(DialId(10), &[to]);
    });
    assert_eq!(user.next(), Seen::ConnectFailed(DialId(10)));
    assert_eq!(user.next(), Seen::ConnectFailed(DialId(9)));
    user.wait_stats(|stats| stats.dials == 0);
    assert_eq!(user.so_far(), []);
}

#[test]
fn stop_writes_what_was_sent_and_gives_the_machine_back() {
    let config = DriverConfig { stop_timeout: HANG, send_buffer: Some(16_000), ..DriverConfig::default() };
    let server = Rig::listening(config, Toy::new(Mode::Report));
    let mut stream = client(server.address());
    let (assoc, ..) = server.connected();
    // Far more than the kernel takes at once.
    server.tell(move |toy| (0..60).for_each(|_| toy.send(assoc, &message(6, 60_000))));
    let (go, wait) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        wait.recv().unwrap();
        let bytes = read_exactly(&mut stream, 60 * 60_000);
        wait_closed(&mut stream);
        bytes.len()
    });
    let stats = server.wait_stats(|stats| stats.messages_out == 60);
    assert!(stats.bytes_out < 60 * 60_000);
    go.send(()).unwrap();
    let handle = server.handle.clone();
    let toy = server.driver.stop().unwrap();
    assert!(!toy.full);
    assert_eq!(reader.join().unwrap(), 60 * 60_000);
    assert_eq!(handle.with(|_, _| ()), Err(HandleError::Stopped));
    assert_eq!(handle.post(|_, _| ()), Err(HandleError::Stopped));
    assert_eq!(handle.stats().closed.by_machine, 1);
}

#[test]
fn shutdown_by_a_handle_ends_the_driver_and_a_drop_does_not_hang() {
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Report));
    server.handle.shutdown();
    server.driver.join().unwrap();
    drop(Rig::listening(DriverConfig::default(), Toy::new(Mode::Report)));
}

#[test]
fn a_burst_beyond_the_limit_is_no_reason_to_drop_a_peer_that_reads() {
    let config = DriverConfig { out_limit: 100_000, ..DriverConfig::default() };
    let server = Rig::listening(config, Toy::new(Mode::Report));
    let mut stream = client(server.address());
    let (assoc, ..) = server.connected();
    server.tell(move |toy| (0..5).for_each(|_| toy.send(assoc, &message(6, 60_000))));
    assert_eq!(read_exactly(&mut stream, 5 * 60_000).len(), 300_000);
}
