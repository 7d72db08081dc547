//! Peers that misbehave, and too many of them.

mod common;

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use common::*;
use rserpool_core::{DialId, Ppid};
use rserpool_std::driver::{DriverConfig, Listener};

/// Long enough that a peer which is served is not hit on a busy host, short enough to wait for.
const SHORT: Duration = Duration::from_millis(200);

/// Asks once and takes the answer.
#[track_caller]
fn assert_served(stream: &mut TcpStream) {
    stream.write_all(&message(5, 12)).unwrap();
    assert_eq!(read_exactly(stream, 100)[..4], [6, 0, 0, 100]);
}

#[test]
fn a_peer_that_never_reads_is_dropped_and_others_are_served_meanwhile() {
    let config = DriverConfig { write_stall: SHORT, send_buffer: Some(16_000), ..DriverConfig::default() };
    let server = Rig::listening(config, Toy::new(Mode::Answer(100)));
    let mut other = client(server.address());
    assert_served(&mut other);
    let mut deaf = client(server.address());
    deaf.set_nonblocking(true).unwrap();
    let requests = message(5, 12).repeat(1000);
    loop {
        match deaf.write(&requests) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        assert_served(&mut other);
    }
    let stats = server.wait_stats(|stats| stats.closed.total() == 1);
    assert_eq!(stats.closed.write_stall, 1, "{stats:?}");
    // It was not read from without end.
    assert!(stats.bytes_in < 20 << 20, "{stats:?}");
    assert_served(&mut other);
}

#[test]
fn a_peer_that_more_waits_for_than_the_limit_is_dropped() {
    let config =
        DriverConfig { out_limit: 1 << 20, send_buffer: Some(16_000), write_stall: HANG, ..DriverConfig::default() };
    let server = Rig::listening(config, Toy::new(Mode::Report));
    let mut stream = client(server.address());
    let (assoc, ..) = server.connected();
    server.tell(move |toy| {
        for _ in 0..30 {
            toy.send(assoc, &message(6, 60_000));
        }
    });
    assert_eq!(server.next(), Seen::Closed(assoc));
    wait_closed(&mut stream);
    server.wait_stats(|stats| stats.closed.out_limit == 1);
}

#[test]
fn where_too_much_waits_for_all_together_those_who_do_not_read_are_dropped() {
    const DEAF: usize = 20;
    let config = DriverConfig {
        out_total: 1 << 20,
        out_pause: 100_000,
        send_buffer: Some(16_000),
        write_stall: HANG,
        ..DriverConfig::default()
    };
    let server = Rig::listening(config, Toy::new(Mode::Answer(100)));
    let mut deaf: Vec<_> = (0..DEAF).map(|_| (client(server.address()), server.connected().0)).collect();
    let (mut reader, ..) = (client(server.address()), server.connected());
    let assocs: Vec<_> = deaf.iter().map(|(_, assoc)| *assoc).collect();
    // Each is far below the limit of one.
    server.tell(move |toy| {
        for _ in 0..5 {
            assocs.iter().for_each(|assoc| toy.send(*assoc, &message(6, 60_000)));
        }
    });
    server.wait_stats(|stats| stats.closed.out_limit > 0);
    server.wait_stats(|stats| stats.messages_out + stats.messages_lost == 5 * DEAF as u64);
    assert_served(&mut reader);
    let stats = server.wait_stats(|_| true);
    // What was dropped has made room: not all had to go.
    assert!(stats.closed.out_limit < DEAF as u64, "{stats:?}");
    deaf.clear();
}

#[test]
fn half_a_message_and_then_silence() {
    let config = DriverConfig { partial_message_timeout: SHORT, ..DriverConfig::default() };
    let server = Rig::listening(config, Toy::new(Mode::Answer(100)));
    for beginning in [&[5][..], &[5, 0, 0][..], &message(5, 12)[..11], &message(5, 20)[..18]] {
        let mut stream = client(server.address());
        assert_served(&mut stream);
        stream.write_all(beginning).unwrap();
        wait_closed(&mut stream);
    }
    server.wait_stats(|stats| stats.closed.partial_message == 4);
}

#[test]
fn a_message_that_comes_too_slowly_is_not_waited_for() {
    let config = DriverConfig { partial_message_timeout: SHORT, ..DriverConfig::default() };
    let server = Rig::listening(config, Toy::new(Mode::Answer(100)));
    let mut stream = client(server.address());
    // A byte now and then does not help.
    for byte in message(5, 60_000) {
        if stream.write_all(&[byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    server.wait_stats(|stats| stats.closed.partial_message == 1);
}

#[test]
fn garbage_is_not_listened_to() {
    let config = DriverConfig { max_message_len: 1000, ..DriverConfig::default() };
    let server = Rig::listening(config, Toy::new(Mode::Answer(100)));
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4], &message(5, 1001)] {
        let mut stream = client(server.address());
        stream.write_all(&message(5, 12)).unwrap();
        stream.write_all(garbage).unwrap();
        wait_closed(&mut stream);
    }
    server.wait_stats(|stats| stats.closed.framing == 3 && stats.messages_in == 3);
}

#[test]
fn an_idle_connection_is_closed_unless_the_machine_dialled_it() {
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listeners = vec![
        Listener { idle_timeout: Some(SHORT), ..Listener::tcp(Ppid::Asap, address) },
        Listener { idle_timeout: None, ..Listener::tcp(Ppid::Asap, address) },
    ];
    let server = Rig::listening(DriverConfig { listeners, ..DriverConfig::default() }, Toy::new(Mode::Report));
    let lasting = server.driver.local_addresses()[1].1;
    let user = Rig::start(DriverConfig::default(), Toy::new(Mode::Report));
    user.tell(move |toy| toy.connect(DialId(1), &[lasting]));
    let (dialled, ..) = user.connected();
    server.connected();

    let mut idle = client(server.address());
    let (assoc, ..) = server.connected();
    wait_closed(&mut idle);
    assert_eq!(server.next(), Seen::Closed(assoc));
    server.wait_stats(|stats| stats.closed.idle == 1 && stats.connections == 1);
    user.tell(move |toy| toy.send(dialled, &message(5, 4)));
    assert_eq!(server.message(), message(5, 4));
}

#[test]
fn what_goes_either_way_keeps_a_connection_alive() {
    let listener = Listener { idle_timeout: Some(SHORT), ..Listener::tcp(Ppid::Asap, "127.0.0.1:0".parse().unwrap()) };
    let config = DriverConfig { listeners: vec![listener], ..DriverConfig::default() };
    let server = Rig::listening(config, Toy::new(Mode::Report));
    let mut stream = client(server.address());
    let (assoc, ..) = server.connected();
    let start = std::time::Instant::now();
    for round in 0.. {
        let before = std::time::Instant::now();
        if round % 2 == 0 {
            server.tell(move |toy| toy.send(assoc, &message(6, 8)));
            read_exactly(&mut stream, 8);
        } else {
            stream.write_all(&message(5, 8)).unwrap();
            assert_eq!(server.message(), message(5, 8));
        }
        if start.elapsed() > 3 * SHORT {
            break;
        }
        std::thread::sleep(SHORT / 10);
        // A host that stood still for so long proves nothing.
        if before.elapsed() > SHORT / 2 {
            return;
        }
    }
    assert_eq!(server.handle.stats().closed.total(), 0);
}

#[test]
fn one_connection_too_many_is_closed_at_once() {
    let config = DriverConfig { max_connections: 2, ..DriverConfig::default() };
    let server = Rig::listening(config, Toy::new(Mode::Answer(100)));
    let (mut a, mut b) = (client(server.address()), client(server.address()));
    assert_served(&mut a);
    assert_served(&mut b);
    wait_closed(&mut client(server.address()));
    assert_served(&mut a);
    drop(a);
    server.wait_stats(|stats| stats.connections == 1 && stats.refused == 1);
    assert_served(&mut client(server.address()));
}

#[test]
fn a_thousand_connections() {
    if !in_process_with_descriptors("a_thousand_connections", "hard") {
        return;
    }
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let allowed = limits.lines().find(|line| line.starts_with("Max open files"));
    let allowed = allowed.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(1024usize);
    let count = 1000.min((allowed - 24) / 2);
    println!("{count} connections");
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Answer(100)));
    let mut streams: Vec<TcpStream> = (0..count).map(|_| client(server.address())).collect();
    for _ in 0..3 {
        for stream in &mut streams {
            stream.write_all(&message(5, 12)).unwrap();
        }
        for stream in &mut streams {
            assert_eq!(read_exactly(stream, 100)[..4], [6, 0, 0, 100]);
        }
    }
    let stats = server.wait_stats(|stats| stats.messages_out == 3 * count as u64);
    assert_eq!(stats.connections as usize, count);
    drop(streams);
    server.wait_stats(|stats| stats.connections == 0 && stats.closed.by_peer == count as u64);
}

#[test]
fn no_file_descriptor_left() {
    if !in_process_with_descriptors("no_file_descriptor_left", "60") {
        return;
    }
    let server = Rig::listening(DriverConfig::default(), Toy::new(Mode::Answer(100)));
    let mut first = client(server.address());
    assert_served(&mut first);
    let turns = server.handle.stats().turns;
    let mut files: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    for refused in 1..=5 {
        // One descriptor, which the client takes: the server finds none for its side.
        files.pop();
        let mut client = client(server.address());
        wait_closed(&mut client);
        server.wait_stats(|stats| stats.refused == refused);
        assert_served(&mut first);
        drop(client);
        files.push(std::fs::File::open("/dev/null").unwrap());
    }
    drop(files);
    assert_served(&mut client(server.address()));
    let stats = server.handle.stats();
    assert!(stats.turns - turns < 60, "the loop spins: {stats:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_state_is_told_when_there_are_descriptors_again() {
    use std::io::Read;
    use std::os::unix::fs::FileExt;
    use std::os::unix::net::UnixStream;

    use rserpool_std::{RegistrarOptions, RegistrarServer, control};

    if !in_process_with_descriptors("the_state_is_told_when_there_are_descriptors_again", "60") {
        return;
    }
    let path = std::env::temp_dir().join(format!("rserpool-limits-{}.sock", std::process::id()));
    let mut options = RegistrarOptions::listening_on(([127, 0, 0, 1], 0).into());
    options.control = Some(path.clone());
    let registrar = RegistrarServer::start(options).unwrap();
    assert!(control::ask(&path, 0).is_ok());

    // How often the thread that tells it has gone to sleep.
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let named = |task: &std::path::PathBuf| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.starts_with("rserpool-contro"))
    };
    let status = std::fs::File::open(tasks.into_iter().find(named).unwrap().join("status")).unwrap();
    let sleeps = || {
        let mut text = [0; 4096];
        let len = status.read_at(&mut text, 0).unwrap();
        let text = String::from_utf8_lossy(&text[..len]);
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    let mut all: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    let before = sleeps();
    all.pop();
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"0\n").unwrap();
    let begun = std::time::Instant::now();
    while sleeps() == before {
        assert!(begun.elapsed() < HANG);
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(all);
    client.set_read_timeout(Some(HANG)).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with('{'), "{answer}");
    registrar.stop().unwrap();
}
