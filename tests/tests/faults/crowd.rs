//! A thousand elements whose home dies. That they do not come all at once is asserted in virtual time, in
//! `core/tests/hunt.rs`; here the curve is shown.

use std::time::Instant;

use rserpool_core::{EndpointConfig, Link};
use rserpool_std::{EndpointOptions, PoolElement, Service, resolve_registrar};

use crate::bounds::{self, CROWD_T5};
use crate::cast::{Registrar, here, place, until};

const CROWD: u32 = 1000;

#[test]
fn none_of_a_thousand_elements_is_lost_when_their_home_dies() {
    let places = [place(), place()];
    let mut registrars: Vec<Registrar> = places.iter().map(|ip| Registrar::start(&here, ip, &places)).collect();
    until("two registrars", || {
        registrars.iter().all(|r| r.count().is_some_and(|s| s.serving && s.peers.iter().any(|p| p.connected)))
    });
    let addresses: Vec<_> = registrars.iter().map(|r| resolve_registrar(&r.asap()).unwrap()).collect();
    let elements: Vec<PoolElement> = (0..CROWD)
        .map(|_| {
            let options = EndpointOptions {
                registrars: vec![addresses[0].clone()],
                asap: EndpointConfig { t5_server_hunt: CROWD_T5, ..EndpointConfig::default() },
                ..EndpointOptions::default()
            };
            let element = PoolElement::new(options).unwrap();
            let registration = element.register(&Service::tcp("crowd", "127.0.0.1:7".parse().unwrap())).unwrap();
            // To drop it would deregister.
            std::mem::forget(registration);
            let other = addresses[1].clone();
            assert!(element.driver().handle().with(move |machine, _| machine.add_server(Link::Tcp, &other)).unwrap());
            element
        })
        .collect();
    until("the copy", || registrars.iter().all(|r| r.count().is_some_and(|s| s.element_count == CROWD)));
    assert_eq!(registrars[0].count().unwrap().owned, CROWD);
    // A home counts as one that serves after T5; a hunt for one that fails before goes on where it was.
    let registered = Instant::now();
    until("T5", || registered.elapsed() > CROWD_T5);
    let died = Instant::now();
    registrars[0].kill();
    let mut curve = vec![0];
    let mut before = 0;
    until("all at the survivor", || {
        let status = registrars[1].count().expect("the survivor answers");
        assert_eq!(status.element_count, CROWD, "none is lost");
        let tenth = (died.elapsed().as_millis() / 100) as usize;
        curve.resize(curve.len().max(tenth + 1), 0);
        curve[tenth] += status.owned - before;
        before = status.owned;
        status.owned == CROWD
    });
    bounds::CROWD.took(died.elapsed());
    println!("re-registrations in each 100 ms: {curve:?}");
    bounds::write_curve(&curve);
    drop(elements);
}
