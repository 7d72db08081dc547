//! What networks do: links fail, peers reset, addresses change, frames are lost.

mod lab;

use std::time::Duration;

use embassy_net::ConfigV4;
use lab::{Lab, at, ip, static_v4};
use rserpool_core::wire::{PoolHandle, Transport};
use rserpool_core::{ElementEvent, Registrar};

const SECOND: Duration = Duration::from_secs(1);

/// Where the registrar thinks that the services are.
fn services(registrar: &Registrar<'_>) -> Vec<std::net::SocketAddr> {
    let handlespace = registrar.handlespace();
    let mut found = Vec::new();
    let Some(pool) = PoolHandle::new(b"echo").and_then(|handle| handlespace.find_pool(handle)) else { return found };
    let mut next = handlespace.next_element(pool, None);
    while let Some(element) = next {
        if let Some(Transport::Tcp(at)) = handlespace.element(element).and_then(|e| e.user_transport()) {
            found.push(at);
        }
        next = handlespace.next_element(pool, Some(element));
    }
    found
}

#[test]
fn a_registrar_that_is_started_again_gets_its_elements_back() {
    let mut lab = Lab::new();
    let registrar = lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    element.register(&mut lab, at(2, 7));
    lab.kill(registrar.task);
    let again = lab.registrar_on(registrar.stack, 1);
    // The element's TCP asks after 10 s, and gets a reset.
    let took = lab.run_until(30 * SECOND, || again.elements() == 1);
    assert!(took < 15 * SECOND, "{took:?}");
}

#[test]
fn an_element_goes_to_another_registrar_when_its_own_falls_silent() {
    let mut lab = Lab::new();
    let one = lab.registrar(1);
    let two = lab.registrar(2);
    let element = lab.element(3, &[at(1, 3863), at(2, 3863)]);
    element.register(&mut lab, at(3, 7));
    let (home, other, host) = if one.elements() == 1 { (&one, &two, 1) } else { (&two, &one, 2) };
    assert_eq!((home.elements(), other.elements()), (1, 0));
    lab.hub.set_link(host, false);
    let took = lab.run_until(60 * SECOND, || other.elements() == 1);
    assert!(took < 40 * SECOND, "{took:?}");
}

#[test]
fn a_short_loss_of_the_link_is_nothing() {
    let mut lab = Lab::new();
    let registrar = lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    element.register(&mut lab, at(2, 7));
    let handle = element.handle;
    lab.wait_for(SECOND, async move { (handle.event().await, handle.event().await) });
    for _ in 0..5 {
        lab.hub.set_link(2, false);
        // Less than a registrar waits for the acknowledgement of a keep-alive.
        lab.run_for(3 * SECOND);
        lab.hub.set_link(2, true);
        lab.run_for(60 * SECOND);
    }
    assert_eq!(registrar.elements(), 1);
    assert_eq!(registrar.handle.look(|registrar| registrar.stats()).registrations, 1);
}

#[test]
fn an_element_is_back_soon_after_a_long_loss_of_the_link() {
    let mut lab = Lab::new();
    let registrar = lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    element.register(&mut lab, at(2, 7));
    lab.hub.set_link(2, false);
    lab.run_for(600 * SECOND);
    assert_eq!(registrar.elements(), 0, "its connection is gone, and so is it");
    lab.hub.set_link(2, true);
    let took = lab.run_until(90 * SECOND, || registrar.elements() == 1);
    println!("registered again after {took:?}");
    // An attempt ends after 8 s, and the machine waits up to RETRAN-MAX for the next ones.
    assert!(took <= 70 * SECOND, "{took:?}");
}

#[test]
fn an_element_that_starts_without_a_network_registers_once_there_is_one() {
    let mut lab = Lab::new();
    let registrar = lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    element.stack.set_config_v4(ConfigV4::None);
    let key = element.handle.register(&lab::echo(at(2, 7))).unwrap();
    lab.run_for(200 * SECOND);
    assert!(!element.handle.is_registered(key));
    element.stack.set_config_v4(ConfigV4::Static(static_v4(ip(2))));
    let took = lab.run_until(10 * SECOND, || registrar.elements() == 1);
    assert!(took <= 2 * SECOND, "{took:?}");
}

/// As DHCP does it.
#[test]
fn an_element_with_another_address_registers_it() {
    let mut lab = Lab::new();
    let registrar = lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    element.register(&mut lab, at(2, 7));
    assert_eq!(registrar.handle.look(services), [at(2, 7)]);
    lab.run_for(30 * SECOND); // a home that was lost sooner would count as one that could not be reached

    element.stack.set_config_v4(ConfigV4::None);
    lab.run_for(3 * SECOND);
    element.stack.set_config_v4(ConfigV4::Static(static_v4(ip(77))));
    let took = lab.run_until(30 * SECOND, || registrar.handle.look(services).contains(&at(77, 7)));
    assert!(took <= 2 * SECOND, "{took:?}");
    // Nobody has told the registrar that the old address is gone. Until its TCP notices, it has both.
    lab.run_until(60 * SECOND, || registrar.handle.look(services) == [at(77, 7)]);
}

#[test]
fn a_registrar_is_found_by_multicast() {
    let mut lab = Lab::new();
    let element = lab.element(2, &[]);
    let user = lab.user(3, &[]);
    let key = element.handle.register(&lab::echo(at(2, 7))).unwrap();
    lab.run_for(60 * SECOND);
    assert!(element.handle.home().is_none() && user.handle.home().is_none());

    lab.registrar(1);
    let took = lab.run_until(10 * SECOND, || element.handle.is_registered(key) && user.handle.home().is_some());
    assert!(took <= 3 * SECOND, "{took:?}");

    // And another one when it is silent.
    lab.hub.set_link(1, false);
    let two = lab.registrar(4);
    lab.run_until(60 * SECOND, || two.elements() == 1);
}

#[test]
fn a_quarter_of_all_frames_can_be_lost() {
    let mut lab = Lab::new();
    lab.hub.set_loss(25);
    let registrar = lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    let user = lab.user(3, &[at(1, 3863)]).handle;
    let key = element.handle.register(&lab::echo(at(2, 7))).unwrap();
    lab.run_until(120 * SECOND, || registrar.elements() == 1);
    lab.run_until(60 * SECOND, || element.handle.is_registered(key));
    let found = lab.wait_for(120 * SECOND, async move {
        let pool = user.resolve(b"echo").unwrap();
        user.choose(pool).await
    });
    assert_eq!(found.map(|chosen| chosen.address), Ok(at(2, 7)));
    lab.run_for(1800 * SECOND);
    lab.hub.set_loss(0);
    lab.run_until(120 * SECOND, || registrar.elements() == 1 && element.handle.is_registered(key));
}

#[test]
fn events_tell_of_the_home() {
    let mut lab = Lab::new();
    lab.registrar(1);
    let element = lab.element(2, &[at(1, 3863)]);
    let handle = element.handle;
    lab.run_for(SECOND);
    lab.hub.set_link(1, false);
    lab.run_for(60 * SECOND);
    let events = lab.wait_for(SECOND, async move { (handle.event().await, handle.event().await) });
    assert!(matches!(events, (ElementEvent::HomeFound(_), ElementEvent::HomeLost)), "{events:?}");
}
