//! Handlespaces that differ are made equal again, and big ones are copied whole.

use std::net::SocketAddr;
use std::time::Duration;

use rserpool_core::wire::enrp::{HandleUpdate, UpdateAction};
use rserpool_core::wire::{Lifetime, Policy, PoolElementParam, PoolHandle, Transport};
use rserpool_core::{Compat, EndpointConfig, Link, PeId, Ppid, ServerId};
use rserpool_std::{EndpointOptions, PoolElement, Service};
use rserpool_tests::lab::{self, Lab, Shape};

use crate::cast::{self, Kind};
use crate::dump;
use crate::raw::{self, ENRP, Raw};

const HANDLE_TABLE_REQUEST: u8 = 0x02;
const OWN_CHILDREN_ONLY: u8 = 0x01;

#[test]
fn an_injected_difference_is_healed() {
    let Some(captures) = lab::run("audit::an_injected_difference_is_healed", Duration::from_secs(90), |lab| {
        let network = lab.network(Shape { hosts: 5, ..Shape::default() });
        let recording = network.record("healed");
        let ours = cast::registrar(Kind::Ours, network.host(1), cast::id(1), &[2]);
        let theirs = cast::registrar(Kind::Theirs, network.host(2), cast::id(2), &[1]);
        cast::ready(Kind::Theirs, &theirs);
        let server = cast::server(network.host(4), "Pool", 0xabcd_0001, &[1], &["-rereginterval=90000"]);
        let all = dump::until(network.host(3), 2, "element", |space| space.len() == 1);

        lab.case("theirs is told that an element of ours is gone");
        let addresses = [network.host(4).ip()];
        let update = |action, id, home| HandleUpdate {
            takeover_suggested: false,
            action,
            pool_handle: PoolHandle::new(b"Pool").expect("a pool handle"),
            element: PoolElementParam {
                id: PeId(id),
                home: ServerId(home),
                lifetime: Lifetime::from_wire(300_000),
                user_transport: Transport::Sctp {
                    port: 7,
                    transport_use: rserpool_core::wire::TransportUse::DataPlusControl,
                    addresses: rserpool_core::wire::Addresses::new(&addresses),
                },
                policy: Policy::RoundRobin,
                asap_transport: Some(Transport::sctp(8, &addresses)),
            },
        };
        let deleted = raw::enrp(0x9999_9999, cast::id(2), update(UpdateAction::Delete, 0xabcd_0001, cast::id(1)));
        let peer = Raw::connect(SocketAddr::new(network.host(2).ip(), 9901));
        peer.send(ENRP, &deleted);
        theirs.until("action $0001");
        dump::until(network.host(3), 2, "the element again", |space| *space == all);

        lab.case("ours is told that theirs has an element that it has not");
        let added = raw::enrp(cast::id(2), 0, update(UpdateAction::Add, 0xabcd_0002, cast::id(2)));
        let peer = Raw::connect(SocketAddr::new(network.host(1).ip(), 9901));
        peer.send(ENRP, &added);
        ours.until("0xabcd0002 removed from pool Pool: unknown to its home registrar");
        dump::until(network.host(3), 1, "only the one element", |space| *space == all);
        drop((recording, server));
    }) else {
        return;
    };
    let capture = &captures["healed"];
    capture.assert_clean(&[lab::v4(1, 0)]);
    for host in [1, 2] {
        let asked = capture.of(Ppid::Enrp, HANDLE_TABLE_REQUEST).filter(|packet| packet.source == lab::v4(host, 0));
        assert!(
            asked.filter(|packet| packet.flags == OWN_CHILDREN_ONLY).count() >= 1,
            "registrar {host} has not asked"
        );
    }
}

/// A registrar of one kind has many elements when one of the other kind joins it.
fn many(lab: &Lab, first: Kind, second: Kind) {
    const MANY: u32 = 500;
    lab.case(&format!("{second:?} joins {first:?}"));
    let network = lab.network(Shape { hosts: 3, ..Shape::default() });
    let recording = network.record(&format!("many-{first:?}"));
    let registrar = cast::registrar(first, network.host(1), cast::id(1), &[2]);
    cast::ready(first, &registrar);
    let here = lab::v4(lab::HERE, 0);
    let element = PoolElement::new(EndpointOptions {
        registrars: vec![vec![SocketAddr::new(network.host(1).ip(), 3863)]],
        link: Link::Sctp,
        sctp_addresses: vec![SocketAddr::new(here, 0)],
        asap: EndpointConfig { compat: Compat::Rsplib, ..EndpointConfig::new() },
        ..EndpointOptions::default()
    })
    .expect("an element");
    for id in 1..=MANY {
        let pool = format!("pool number {}", id % 37);
        let service = Service { id: Some(PeId(id)), ..Service::tcp(&pool, SocketAddr::new(here, 9)) };
        let service = Service { lifetime: Lifetime::from_secs(600), ..service };
        std::mem::forget(element.register(&service).expect("a registration"));
    }
    let other = cast::registrar(second, network.host(2), cast::id(2), &[1]);
    cast::ready(second, &other);
    let size = usize::try_from(MANY).expect("64 bits");
    let all = dump::until(network.host(3), 2, "element of all", |space| space.len() == size);
    assert_eq!(dump::dump(network.host(3), 1), all);
    drop(recording);
}

#[test]
fn five_hundred_elements_are_copied() {
    let Some(captures) = lab::run("audit::five_hundred_elements_are_copied", Duration::from_secs(150), |lab| {
        many(lab, Kind::Ours, Kind::Theirs);
        many(lab, Kind::Theirs, Kind::Ours);
    }) else {
        return;
    };
    for (name, host) in [("many-Ours", 1), ("many-Theirs", 2)] {
        captures[name].assert_clean(&[lab::v4(host, 0), lab::v4(lab::HERE, 0)]);
    }
}
