//! Peers that do not play by the rules do not stop anything, and take no more than their place.

mod lab;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use embassy_net::tcp::TcpSocket;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use lab::{Lab, PLACES, at, leak};
use rserpool_core::ServerId;
use rserpool_core::wire::asap::ServerAnnounce;
use rserpool_core::wire::{AsapMessage, List, Transport};

const SECOND: Duration = Duration::from_secs(1);

const GARBAGE: [&[u8]; 4] = [
    b"GET / HTTP/1.1\r\n\r\n",
    &[0; 64],
    &[5, 0, 0xff, 0xff, 1, 2, 3],
    // A registration whose parameter is longer than the message.
    &[1, 0, 0, 12, 0, 9, 0xff, 0xf0, 0, 0, 0, 0],
];

/// Connects, sends something and waits for the end of the connection.
async fn send_and_wait(stack: embassy_net::Stack<'static>, to: core::net::Ipv4Addr, bytes: &[u8]) {
    let mut socket = TcpSocket::new(stack, leak([0; 256]), leak([0; 256]));
    socket.set_timeout(Some(embassy_time::Duration::from_secs(5)));
    if socket.connect((to, 3863)).await.is_ok() {
        let _ = socket.write(bytes).await;
        socket.close();
        let mut buf = [0; 64];
        while let Ok(1..) = socket.read(&mut buf).await {}
        let _ = socket.flush().await;
    }
    socket.abort();
    let _ = socket.flush().await;
}

#[test]
fn a_registrar_outlives_hundreds_of_bad_connections() {
    let mut lab = Lab::new();
    let registrar = lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    element.register(&mut lab, at(2, 7));
    let stranger = lab.host(3);
    for round in 0..400 {
        let bytes = GARBAGE[round % GARBAGE.len()];
        lab.wait_for(60 * SECOND, send_and_wait(stranger, lab::ip(1), bytes));
    }
    assert_eq!(registrar.elements(), 1);
    // All places but one are free again.
    for host in 10..10 + PLACES as u8 - 1 {
        let element = lab.element(host, &[at(1, 3863)]);
        element.register(&mut lab, at(host, 7));
    }
    assert_eq!(registrar.elements(), PLACES as u32);
}

#[test]
fn an_element_outlives_a_registrar_that_is_none() {
    let mut lab = Lab::new();
    let impostor = lab.host(1);
    lab.spawn(async move {
        let mut socket = TcpSocket::new(impostor, leak([0; 256]), leak([0; 256]));
        for round in 0.. {
            socket.accept(3863).await.unwrap();
            let _ = socket.write(GARBAGE[round % GARBAGE.len()]).await;
            embassy_time::Timer::after_millis(200).await;
            socket.abort();
            let _ = socket.flush().await;
        }
    });
    let element = lab.element(2, &[at(1, 3863), at(3, 3863)]);
    let key = element.handle.register(&lab::echo(at(2, 7))).unwrap();
    lab.run_for(300 * SECOND);
    assert!(!element.handle.is_registered(key));
    let registrar = lab.registrar(3);
    lab.run_until(120 * SECOND, || registrar.elements() == 1);
}

#[test]
fn who_says_nothing_does_not_keep_others_out_for_ever() {
    let mut lab = Lab::new();
    let registrar = lab.registrar(1);
    let stranger = lab.host(2);
    for _ in 0..PLACES {
        lab.spawn(async move {
            let mut socket = TcpSocket::new(stranger, leak([0; 256]), leak([0; 256]));
            socket.connect((lab::ip(1), 3863)).await.unwrap();
            let mut buf = [0; 64];
            while let Ok(1..) = socket.read(&mut buf).await {}
            socket.close();
            core::future::pending::<()>().await;
        });
    }
    lab.run_for(SECOND);
    let element = lab.element(3, &[at(1, 3863)]);
    let key = element.handle.register(&lab::echo(at(3, 7))).unwrap();
    lab.run_for(200 * SECOND);
    assert_eq!(registrar.elements(), 0, "all places are taken");
    let took = lab.run_until(300 * SECOND, || element.handle.is_registered(key));
    println!("registered {took:?} later");
}

/// Asks for ever and reads no answer. (A resolution of the pool "echo".)
#[test]
fn who_reads_nothing_stops_nobody_else() {
    let mut lab = Lab::new();
    let registrar = lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    element.register(&mut lab, at(2, 7));
    let stranger = lab.host(3);
    lab.spawn(async move {
        let mut socket = TcpSocket::new(stranger, leak([0; 256]), leak([0; 2048]));
        socket.connect((lab::ip(1), 3863)).await.unwrap();
        let request = [5, 0, 0, 12, 0, 9, 0, 8, b'e', b'c', b'h', b'o'];
        while socket.write(&request).await.is_ok() {}
    });
    lab.run_for(5 * SECOND);
    let user = lab.user(4, &[at(1, 3863)]).handle;
    let begin = lab::clock::now();
    let found = lab.wait_for(10 * SECOND, async move {
        let pool = user.resolve(b"echo").unwrap();
        user.choose(pool).await
    });
    assert!(found.is_ok());
    assert!(lab::clock::now() - begin < 1_000_000, "it had to wait");
    assert_eq!(registrar.elements(), 1);
}

/// A mistake of whoever chose the size of the registrar's buffer: there are elements that no answer has room for.
#[test]
fn an_answer_that_does_not_fit_costs_connections_and_no_more() {
    let mut lab = Lab::new();
    let stack = lab.host(1);
    let registrar = lab.registrar_with::<96>(stack, 1);
    let elements: Vec<_> = [2, 3].map(|host| (host, lab.element(host, &[at(1, 3863)]))).into();
    for (host, element) in &elements {
        element.register(&mut lab, at(*host, 7));
    }
    lab.run_for(20 * SECOND);
    let user = lab.user(4, &[at(1, 3863)]);
    let handle = user.handle;
    // There is an answer in the end: while one element is away, the other one fits.
    let _ = lab.wait_for(300 * SECOND, async move {
        let pool = handle.resolve(b"echo").unwrap();
        handle.choose(pool).await
    });
    lab.kill(user.task);
    lab.run_until(120 * SECOND, || registrar.elements() == 2);
    assert!(registrar.handle.look(|registrar| registrar.stats()).registrations > 2, "no connection was lost");
}

#[test]
fn an_announcement_by_unicast_is_not_taken() {
    let mut lab = Lab::new();
    let (impostor, stranger) = (lab.host(1), lab.host(3));
    let visits = Rc::new(Cell::new(0));
    let counted = Rc::clone(&visits);
    lab.spawn(async move {
        let mut socket = TcpSocket::new(impostor, leak([0; 256]), leak([0; 256]));
        while socket.accept(3863).await.is_ok() {
            counted.set(counted.get() + 1);
            socket.abort();
            let _ = socket.flush().await;
        }
    });
    let element = lab.element(2, &[]);
    element.handle.register(&lab::echo(at(2, 7))).unwrap();
    let transports = [Transport::Tcp(at(1, 3863))];
    let announcement = AsapMessage::from(ServerAnnounce { server: ServerId(1), transports: List::new(&transports) });
    let mut bytes = [0; 64];
    let bytes = announcement.emit(&mut bytes).unwrap().to_vec();
    let mut announce = |to: core::net::Ipv4Addr| {
        let bytes = bytes.clone();
        lab.wait_for(SECOND, async move {
            let meta = leak([PacketMetadata::EMPTY; 1]);
            let mut socket =
                UdpSocket::new(stranger, meta, leak([0; 64]), leak([PacketMetadata::EMPTY; 1]), leak([0; 64]));
            socket.bind(999).unwrap();
            socket.send_to(&bytes, (to, 3863)).await.unwrap();
            socket.flush().await;
        });
        lab.run_for(60 * SECOND);
        visits.get()
    };
    assert_eq!(announce(lab::ip(2)), 0);
    assert!(announce(rserpool_embassy::GROUP_V4) > 0);
}
