//! The ordinary course of things: registration, resolution, service, failover, deregistration.

mod lab;

use std::time::Duration;

use embassy_net::tcp::TcpSocket;
use embassy_time::with_timeout;
use lab::{Lab, at, echo, leak};
use rserpool_core::wire::Policy;
use rserpool_core::{ElementEvent, SelectError};

const SECOND: Duration = Duration::from_secs(1);

/// Sends back what it gets, one connection after the other.
async fn echo_service(stack: embassy_net::Stack<'static>, port: u16) {
    let mut socket = TcpSocket::new(stack, leak([0; 256]), leak([0; 256]));
    loop {
        socket.accept(port).await.unwrap();
        let mut buf = [0; 64];
        while let Ok(len @ 1..) = socket.read(&mut buf).await {
            socket.write(&buf[..len]).await.unwrap();
        }
        socket.abort();
        let _ = socket.flush().await;
    }
}

/// Asks an echo service for an answer.
async fn ask(stack: embassy_net::Stack<'static>, service: std::net::SocketAddr) -> bool {
    let mut socket = TcpSocket::new(stack, leak([0; 256]), leak([0; 256]));
    let std::net::SocketAddr::V4(service) = service else { return false };
    let asked = async {
        socket.connect((*service.ip(), service.port())).await.ok()?;
        socket.write(b"hello").await.ok()?;
        let mut buf = [0; 16];
        let len = socket.read(&mut buf).await.ok()?;
        (&buf[..len] == b"hello").then_some(())
    };
    let answered = with_timeout(embassy_time::Duration::from_secs(3), asked).await;
    socket.abort();
    let _ = with_timeout(embassy_time::Duration::from_secs(1), socket.flush()).await;
    matches!(answered, Ok(Some(())))
}

#[test]
fn a_user_is_served_by_the_element_that_the_registrar_knows() {
    let mut lab = Lab::new();
    let registrar = lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    let user = lab.user(3, &[at(1, 3863)]);
    lab.spawn(echo_service(element.stack, 7));
    element.register(&mut lab, at(2, 7));
    assert_eq!(registrar.elements(), 1);

    let (handle, stack) = (user.handle, user.stack);
    let served = lab.wait_for(10 * SECOND, async move {
        let pool = handle.resolve(b"echo").unwrap();
        let chosen = handle.choose(pool).await.unwrap();
        assert_eq!(chosen.address, at(2, 7));
        ask(stack, chosen.address).await
    });
    assert!(served);
}

#[test]
fn a_user_goes_on_with_the_next_element_when_one_dies() {
    let mut lab = Lab::new();
    let registrar = lab.registrar(1);
    let first = lab.element(2, &[at(1, 3863)]);
    let second = lab.element(3, &[at(1, 3863)]);
    for (element, host) in [(&first, 2), (&second, 3)] {
        lab.spawn(echo_service(element.stack, 7));
        element.register(&mut lab, at(host, 7));
    }
    assert_eq!(registrar.elements(), 2);

    let user = lab.user(4, &[at(1, 3863)]);
    let (handle, stack) = (user.handle, user.stack);
    let pool = handle.resolve(b"echo").unwrap();
    lab.wait_for(5 * SECOND, async move { handle.choose(pool).await.unwrap() });
    lab.hub.set_link(2, false);

    let unserved = lab.wait_for(60 * SECOND, async move {
        let mut unserved = 0;
        for _ in 0..6 {
            loop {
                let chosen = handle.choose(pool).await.unwrap();
                if ask(stack, chosen.address).await {
                    assert_eq!(chosen.address, at(3, 7));
                    break;
                }
                unserved += 1;
                handle.report_failure(pool, chosen.id);
            }
        }
        unserved
    });
    // The answer in the cache is renewed after 30 s, and may name the dead one once more.
    assert!((1..=2).contains(&unserved), "{unserved} attempts failed");
}

#[test]
fn an_unknown_pool_is_an_answer() {
    let mut lab = Lab::new();
    lab.registrar(1);
    let user = lab.user(2, &[at(1, 3863)]).handle;
    let answer = lab.wait_for(5 * SECOND, async move {
        let pool = user.resolve(b"nothing").unwrap();
        user.choose(pool).await
    });
    assert_eq!(answer, Err(SelectError::Refused(9)));
}

#[test]
fn an_element_changes_its_policy_and_leaves() {
    let mut lab = Lab::new();
    let registrar = lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    let handle = element.handle;
    let mut info = echo(at(2, 7));
    info.policy = Policy::LeastUsed { load: 0 };
    let key = handle.register(&info).unwrap();
    lab.wait_for(5 * SECOND, async move { handle.registered(key).await });

    handle.set_policy(key, Policy::LeastUsed { load: 77 }).unwrap();
    lab.run_for(SECOND);
    let stats = registrar.handle.look(|registrar| registrar.stats());
    assert_eq!((stats.registrations, stats.reregistrations), (1, 1));

    lab.wait_for(5 * SECOND, async move { handle.deregister(key).await.unwrap() });
    assert_eq!(registrar.elements(), 0);
    assert_eq!(handle.id(key), None);
}

#[test]
fn events_are_kept_and_lost_ones_are_told_of() {
    let mut lab = Lab::new();
    lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    let handle = element.handle;
    let key = element.register(&mut lab, at(2, 7));
    let events = lab.wait_for(SECOND, async move { [handle.event().await, handle.event().await] });
    assert!(matches!(events[0], ElementEvent::HomeFound(_)), "{events:?}");
    assert_eq!(events[1], ElementEvent::Registered(key));

    for _ in 0..10 {
        let key = handle.register(&echo(at(2, 8))).unwrap();
        lab.wait_for(5 * SECOND, async move {
            handle.registered(key).await;
            handle.deregister(key).await.unwrap();
        });
    }
    let last = lab.wait_for(SECOND, async move {
        for _ in 0..8 {
            assert_ne!(handle.event().await, ElementEvent::EventsLost);
        }
        handle.event().await
    });
    assert_eq!(last, ElementEvent::EventsLost);
}

#[test]
fn a_day_passes_with_little_traffic() {
    let mut lab = Lab::new();
    let registrar = lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    element.register(&mut lab, at(2, 7));
    lab.run_for(Duration::from_secs(86_400));
    let stats = registrar.handle.look(|registrar| registrar.stats());
    assert_eq!(registrar.elements(), 1);
    assert_eq!(stats.registrations, 1, "it was never lost");
    assert!(stats.reregistrations >= 86_400 / 300 && stats.keep_alive_acks >= 86_400 / 60, "{stats:?}");
}
