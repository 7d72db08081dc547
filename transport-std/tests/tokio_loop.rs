//! The loop of the example `tokio_loop` against registrars: registration, resolution, and what happens when the home
//! registrar goes.

use std::net::SocketAddr;
use std::time::Duration;

use rserpool_core::wire::{Lifetime, Policy, Transport};
use rserpool_core::{
    ElementEvent, ElementInfo, EndpointConfig, EndpointLimits, Link, PoolElement, PoolUser, Resolution, UserEvent,
};
use rserpool_std::{Clock, RegistrarOptions, RegistrarServer, seed::seed};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

#[path = "../examples/tokio_loop/node.rs"]
mod node;

const SERVICE: ([u8; 4], u16) = ([192, 0, 2, 7], 7);

fn registrar() -> RegistrarServer {
    RegistrarServer::start(RegistrarOptions::listening_on("127.0.0.1:0".parse().unwrap())).unwrap()
}

fn config() -> EndpointConfig {
    EndpointConfig {
        t1_enrp_request: Duration::from_secs(2),
        t5_server_hunt: Duration::from_millis(200),
        ..EndpointConfig::default()
    }
}

fn element(registrars: &[SocketAddr]) -> (node::Handle<PoolElement<'static>>, UnboundedReceiver<ElementEvent>) {
    let clock = Clock::new();
    let mut machine = PoolElement::growable(EndpointLimits::default(), config(), seed().unwrap(), clock.now());
    registrars.iter().for_each(|at| assert!(machine.add_server(Link::Tcp, &[*at])));
    let (told, events) = unbounded_channel();
    (node::spawn(clock, machine, move |event, _| _ = told.send(event)), events)
}

fn user(registrars: &[SocketAddr]) -> (node::Handle<PoolUser<'static>>, UnboundedReceiver<UserEvent>) {
    let clock = Clock::new();
    let mut machine = PoolUser::growable(EndpointLimits::default(), config(), seed().unwrap(), clock.now());
    registrars.iter().for_each(|at| assert!(machine.add_server(Link::Tcp, &[*at])));
    let (told, events) = unbounded_channel();
    (node::spawn(clock, machine, move |event, _| _ = told.send(event)), events)
}

/// Waits for an event that `pick` wants.
async fn event<E: std::fmt::Debug, T>(events: &mut UnboundedReceiver<E>, mut pick: impl FnMut(&E) -> Option<T>) -> T {
    let wanted = async {
        loop {
            let event = events.recv().await.expect("the task runs");
            if let Some(found) = pick(&event) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wanted).await.expect("the event comes")
}

/// Resolves the pool, and waits for the answer.
async fn resolve(user: &node::Handle<PoolUser<'static>>, events: &mut UnboundedReceiver<UserEvent>) -> Resolution {
    user.with(|user, now| user.resolve(now, b"pool")).await.unwrap().unwrap();
    event(events, |event| match event {
        UserEvent::Resolved(resolution) => Some(*resolution),
        UserEvent::Unresolved(_, why) => panic!("{why}"),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn an_element_registers_and_a_user_finds_it_also_when_the_registrar_goes() {
    let (first, second) = (registrar(), registrar());
    let both = [first.local_addr(), second.local_addr()];
    let (element, mut element_events) = element(&both);
    let register = element.with(|element, now| {
        let (policy, lifetime) = (Policy::RoundRobin, Lifetime::from_secs(300));
        let user_transport = Transport::Tcp(SERVICE.into());
        element.register(now, &ElementInfo { pool_handle: b"pool", id: None, user_transport, policy, lifetime })
    });
    let key = register.await.unwrap().unwrap();
    event(&mut element_events, |event| (*event == ElementEvent::Registered(key)).then_some(())).await;

    let (home, other) = if first.status(0).unwrap().element_count == 1 { (first, second) } else { (second, first) };
    let (user, mut user_events) = user(&[home.local_addr(), other.local_addr()]);
    event(&mut user_events, |event| matches!(event, UserEvent::HomeFound(_)).then_some(())).await;
    let at_home = user.with(|user, _| user.home()).await.unwrap().is_some();
    assert!(at_home);

    home.stop().unwrap();
    event(&mut element_events, |event| matches!(event, ElementEvent::HomeLost).then_some(())).await;
    event(&mut element_events, |event| matches!(event, ElementEvent::HomeFound(_)).then_some(())).await;
    let registered = async {
        while other.status(0).unwrap().element_count == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), registered).await.expect("the element moves on");

    // Whichever registrar the user had, it has the one that is left now.
    let resolution = resolve(&user, &mut user_events).await;
    let found = user.with(move |user, now| user.primary(now, resolution).unwrap().user_transport.socket_addrs().next());
    assert_eq!(found.await, Some(Some(SocketAddr::from(SERVICE))));

    element.with(move |element, now| element.deregister(now, key)).await.unwrap().unwrap();
    event(&mut element_events, |event| matches!(event, ElementEvent::Deregistered { .. }).then_some(())).await;
    assert_eq!(other.status(0).unwrap().element_count, 0);
}

#[tokio::test]
async fn without_a_registrar_the_hunt_goes_on_until_there_is_one() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (user, mut events) = user(&[nobody]);
    user.with(|user, now| user.resolve(now, b"pool")).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let late = RegistrarServer::start(RegistrarOptions::listening_on(nobody)).unwrap();
    event(&mut events, |event| matches!(event, UserEvent::HomeFound(_)).then_some(())).await;
    event(&mut events, |event| matches!(event, UserEvent::Unresolved(..)).then_some(())).await;
    late.stop().unwrap();
}
