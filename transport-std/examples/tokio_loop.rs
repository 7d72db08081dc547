//! How to run the machines in a runtime of one's own: here tokio, without this crate's driver.
//!
//! ```text
//! cargo run --example tokio_loop -- [REGISTRAR-ADDRESS]
//! ```
//!
//! Registers an element of the pool "tokio", resolves the pool, and deregisters. The loop is in `tokio_loop/node.rs`.

use std::error::Error;

use rserpool_core::wire::{Lifetime, Policy, Transport};
use rserpool_core::{
    ElementEvent, ElementInfo, EndpointConfig, EndpointLimits, Link, PoolElement, PoolUser, UserEvent,
};
use rserpool_std::{Clock, RegistrarOptions, RegistrarServer, seed::seed};
use tokio::sync::mpsc;

#[path = "tokio_loop/node.rs"]
mod node;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // A registrar in its own thread, unless there is one already.
    let registrar = RegistrarServer::start(RegistrarOptions::listening_on("127.0.0.1:0".parse()?))?;
    let registrar = std::env::args().nth(1).map_or(Ok(registrar.local_addr()), |address| address.parse())?;
    let (clock, limits, config) = (Clock::new(), EndpointLimits::default(), EndpointConfig::default());

    let mut element = PoolElement::growable(limits, config, seed()?, clock.now());
    element.add_server(Link::Tcp, &[registrar]);
    let (told, mut events) = mpsc::unbounded_channel();
    let element = node::spawn(clock, element, move |event, _| _ = told.send(event));
    let at = "192.0.2.7:7".parse()?;
    let key = element.with(move |element, now| {
        let (policy, lifetime) = (Policy::RoundRobin, Lifetime::from_secs(300));
        let user_transport = Transport::Tcp(at);
        element.register(now, &ElementInfo { pool_handle: b"tokio", id: None, user_transport, policy, lifetime })
    });
    let key = key.await.ok_or("the task has ended")??;
    while let Some(event) = events.recv().await {
        println!("element: {event:?}");
        match event {
            ElementEvent::Registered(_) => break,
            ElementEvent::Rejected { .. } | ElementEvent::NoAnswer(_) => return Err("not registered".into()),
            _ => {}
        }
    }

    let mut user = PoolUser::growable(limits, config, seed()?, clock.now());
    user.add_server(Link::Tcp, &[registrar]);
    let (told, mut answers) = mpsc::unbounded_channel();
    // The observer may ask the machine; here for what the registrar has answered.
    let user = node::spawn(clock, user, move |event, user| {
        println!("user: {event:?}");
        if let UserEvent::Resolved(pool) | UserEvent::Unresolved(pool, _) = event {
            let found = user.elements(pool).flat_map(|element| element.user_transport.socket_addrs());
            _ = told.send(found.collect::<Vec<_>>());
        }
    });
    user.with(|user, now| user.resolve(now, b"tokio")).await.ok_or("the task has ended")??;
    println!("the pool: {:?}", answers.recv().await);

    element.with(move |element, now| element.deregister(now, key)).await.ok_or("the task has ended")??;
    while events.recv().await.is_some_and(|event| !matches!(event, ElementEvent::Deregistered { .. })) {}
    Ok(())
}
