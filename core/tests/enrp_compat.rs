//! Where rsplib differs from RFC 5353 and 5354, and how a registrar treats peers that are rsplib.

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::enrp::{HandleUpdate, ListRequest};
use rserpool_core::wire::{EnrpBody, EnrpMessage, Lifetime, PoolElementParam};
use rserpool_core::{Compat, ElementInfo, Instant, PeId, PeerState, RegistrarConfig, RegistrarEvent, ServerId};

const REGISTRAR: u32 = 0x100;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn world(compat: Compat) -> (Sim, NodeId, Peer) {
    let mut config = RegistrarConfig::new();
    config.enrp.compat = compat;
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar_with(config, &[]);
    let peer = sim.enrp_peer(registrar, 5);
    (sim, registrar, peer)
}

/// rsplib puts the identifier of the receiver into its heartbeats; by RFC 5353, 2.1 it is 0.
fn heartbeat_of_rsplib(sim: &mut Sim, peer: Peer) {
    let bytes = enrp_bytes(peer.id, REGISTRAR, presence(false, Some(0xffff)));
    sim.send_bytes(peer.node, peer.assoc, &bytes);
    sim.run_for(Duration::from_millis(25));
}

fn lifetime_of(sim: &Sim, registrar: NodeId, pool: &[u8], id: u32) -> Lifetime {
    let space = sim.pr(registrar).handlespace();
    let element = space.find_element(space.find_pool(handle(pool)).unwrap(), PeId(id)).unwrap();
    space.element(element).unwrap().lifetime
}

/// The last update that a peer has heard: the receiver's identifier, and the life.
fn last_update(sim: &mut Sim, peer: Peer) -> (u32, i32) {
    let heard = sim.hears_of(peer, ty::UPDATE);
    let message = EnrpMessage::parse(heard.last().expect("an update")).unwrap().message;
    let EnrpBody::HandleUpdate(HandleUpdate { element, .. }) = message.body else { panic!() };
    (message.receiver.0, element.lifetime.to_wire())
}

#[test]
fn a_peer_shows_that_it_is_rsplib_by_the_receiver_in_its_heartbeats_and_updates() {
    let (mut sim, registrar, peer) = world(Compat::Auto);
    let rsplib = |s: &Sim| s.peer_view(registrar, 5).unwrap().rsplib;
    sim.tell(peer, presence(false, None));
    sim.tell(peer, add(b"p", owned(5, 1, 7)));
    assert!(!rsplib(&sim));
    // An answer, or a question, is for one registrar by the RFC as well.
    let bytes = enrp_bytes(5, REGISTRAR, presence(true, None));
    sim.send_bytes(peer.node, peer.assoc, &bytes);
    let bytes = enrp_bytes(5, REGISTRAR, ListRequest);
    sim.send_bytes(peer.node, peer.assoc, &bytes);
    sim.run_for(Duration::from_millis(25));
    assert!(!rsplib(&sim));
    heartbeat_of_rsplib(&mut sim, peer);
    assert!(rsplib(&sim));

    let (mut sim, registrar, peer) = world(Compat::Auto);
    let bytes = enrp_bytes(5, REGISTRAR, add(b"p", owned(5, 1, 7)));
    sim.send_bytes(peer.node, peer.assoc, &bytes);
    sim.run_for(Duration::from_millis(25));
    assert!(sim.peer_view(registrar, 5).unwrap().rsplib);
}

#[test]
fn two_of_these_registrars_do_not_take_each_other_for_rsplib() {
    let mut sim = Sim::new(1);
    let all = sim.cluster::<3>(&RegistrarConfig::new());
    sim.registered(&info_with_id(b"p", 3), &[all[0]]);
    sim.run_secs(100);
    for n in all {
        assert!(sim.pr(n).peers().all(|peer| !peer.rsplib));
    }
}

#[test]
fn lives_are_milliseconds_in_what_rsplib_sends() {
    let told = PoolElementParam { lifetime: Lifetime::from_wire(300_000), ..owned(5, 1, 7) };
    for (compat, revealed, expected) in [
        (Compat::Rfc, true, 300_000),
        (Compat::Auto, false, 300_000),
        (Compat::Auto, true, 300),
        (Compat::Rsplib, false, 300),
    ] {
        let (mut sim, registrar, peer) = world(compat);
        if revealed {
            heartbeat_of_rsplib(&mut sim, peer);
        }
        sim.tell(peer, add(b"p", told));
        assert_eq!(lifetime_of(&sim, registrar, b"p", 1), Lifetime::from_secs(expected), "{compat:?} {revealed}");
    }
}

#[test]
fn lives_are_milliseconds_in_what_rsplib_is_sent_and_seconds_for_others() {
    let (mut sim, registrar, peer) = world(Compat::Auto);
    let rfc = sim.enrp_peer(registrar, 6);
    heartbeat_of_rsplib(&mut sim, peer);
    let info = ElementInfo { lifetime: Lifetime::from_secs(99), ..info_with_id(b"p", 3) };
    sim.registered(&info, &[registrar]);
    sim.run_for(Duration::from_millis(50));
    assert_eq!(last_update(&mut sim, peer), (5, 99_000), "with its identifier as the receiver");
    assert_eq!(last_update(&mut sim, rfc), (0, 99));
}

#[test]
fn the_tables_of_rsplib_have_milliseconds_as_well() {
    let (mut sim, registrar, peer) = world(Compat::Auto);
    heartbeat_of_rsplib(&mut sim, peer);
    sim.registered(&ElementInfo { lifetime: Lifetime::from_secs(99), ..info_with_id(b"p", 3) }, &[registrar]);
    sim.hears(peer);
    sim.tell(peer, table_request(true));
    let heard = sim.hears_of(peer, ty::TABLE_RESPONSE);
    let EnrpBody::HandleTableResponse(table) = EnrpMessage::parse(&heard[0]).unwrap().message.body else { panic!() };
    let element = table.entries.iter().next().unwrap().elements.iter().next().unwrap();
    assert_eq!(element.lifetime.to_wire(), 99_000);
}

#[test]
fn with_compat_rsplib_pool_elements_speak_of_milliseconds_too() {
    let (mut sim, registrar, peer) = world(Compat::Rsplib);
    let element = sim.script();
    let (assoc, _) = sim.connect(element, registrar);
    sim.send(
        element,
        assoc,
        registration(b"p", PoolElementParam { lifetime: Lifetime::from_wire(99_000), ..param(3, 7) }),
    );
    sim.run_for(Duration::from_millis(50));
    assert_eq!(lifetime_of(&sim, registrar, b"p", 3), Lifetime::from_secs(99));
    assert_eq!(last_update(&mut sim, peer), (5, 99_000));
}

#[test]
fn rsplib_is_not_told_of_pools_with_handles_of_more_than_32_bytes() {
    let (mut sim, registrar, peer) = world(Compat::Auto);
    let rfc = sim.enrp_peer(registrar, 6);
    heartbeat_of_rsplib(&mut sim, peer);
    let long = [b'x'; 33];
    let element = sim.script();
    let (assoc, _) = sim.connect(element, registrar);
    sim.send(element, assoc, registration(&long, param(3, 7)));
    sim.send(element, assoc, registration(&long[..32], param(4, 7)));
    sim.run_secs(1);
    assert_eq!(sim.hears_of(rfc, ty::UPDATE).len(), 2);
    assert_eq!(sim.hears_of(peer, ty::UPDATE).len(), 1);
    sim.tell(peer, table_request(false));
    let table = sim.hears_of(peer, ty::TABLE_RESPONSE);
    assert_eq!(page(&table[0]).elements, [(long[..32].to_vec(), 4, REGISTRAR)]);
    sim.send(element, assoc, deregistration(&long, 3));
    sim.run_secs(1);
    assert_eq!(sim.hears_of(peer, ty::UPDATE).len(), 0, "of its end neither");
    assert_eq!(sim.hears_of(rfc, ty::UPDATE).len(), 1);
}

#[test]
fn with_rsplib_among_the_peers_heartbeats_come_every_two_seconds() {
    let (mut sim, registrar, peer) = world(Compat::Auto);
    heartbeat_of_rsplib(&mut sim, peer);
    // The heartbeat that was due before.
    sim.keep_up(&[peer], secs(30));
    let begin = sim.now;
    sim.keep_up(&[peer], secs(20));
    let sent = sim.enrp_sent_to(registrar, peer.node, ty::PRESENCE);
    let times: Vec<Instant> = sent.iter().map(|sent| sent.at).filter(|at| *at > begin).collect();
    assert!((9..=12).contains(&times.len()), "{}", times.len());
}

#[test]
fn one_peer_that_is_rsplib_turns_the_arbitration_round_for_all() {
    for (revealed, gives_way) in [(false, true), (true, false)] {
        let (mut sim, registrar, peer) = world(Compat::Auto);
        let high = sim.enrp_peer(registrar, 0x900);
        let target = sim.enrp_peer(registrar, 0x500);
        sim.tell(target, add(b"p", owned(0x500, 1, 7)));
        if revealed {
            heartbeat_of_rsplib(&mut sim, peer);
        }
        sim.lose(target.node, target.assoc);
        let begun = RegistrarEvent::TakeoverBegun { target: ServerId(0x500) };
        assert!(sim.run_until(|s| s.told_pr(registrar, begun), secs(6)));
        sim.tell(high, init_takeover(0x500));
        let given_up = RegistrarEvent::TakeoverGivenUp { target: ServerId(0x500) };
        assert_eq!(sim.told_pr(registrar, given_up), gives_way, "{revealed}");
    }
}

#[test]
fn a_takeover_that_rsplib_begins_is_acknowledged_although_its_target_is_not_known() {
    let (mut sim, _, peer) = world(Compat::Rsplib);
    sim.tell(peer, init_takeover(0x77));
    assert_eq!(sim.hears_of(peer, ty::INIT_TAKEOVER_ACK).len(), 1);
}

/// TAKEOVER_SERVER of rsplib does not always arrive.
#[test]
fn the_new_home_is_learnt_from_updates_where_no_takeover_server_comes() {
    let (mut sim, registrar, peer) = world(Compat::Auto);
    let target = sim.enrp_peer(registrar, 0x500);
    sim.tell(target, add(b"p", owned(0x500, 1, 7)));
    sim.lose(target.node, target.assoc);
    sim.tell(peer, init_takeover(0x500));
    sim.tell(peer, add(b"p", owned(5, 1, 7)));
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, 5)]);
    // With nothing left there is nothing to take up.
    sim.keep_up(&[peer], secs(70));
    assert_eq!(sim.peer_view(registrar, 0x500), None);
    assert_eq!(sim.pr(registrar).stats().takeovers_begun, 0);
}

#[test]
fn whoever_is_dialled_hears_a_presence_before_anything_else() {
    let mut sim = Sim::new(1);
    let script = sim.script();
    let registrar = sim.enrp_registrar(&[script]);
    sim.run_for(Duration::from_millis(100));
    let assoc = sim.associations(script)[0];
    sim.tell(Peer { node: script, assoc, id: 5 }, introduction(5, script, false));
    let sent: Vec<u8> = sim.trace.iter().filter(|s| s.from == registrar).map(|s| s.bytes[0]).collect();
    assert_eq!(sent[..2], [ty::PRESENCE, ty::LIST_REQUEST]);
    assert_eq!(sim.peer_state(registrar, 5), Some(PeerState::Active));
}

/// Elements of a pool that no peer can be told of go one by one, however many they are: no stack grows with them, and each
/// is told of.
#[cfg(feature = "alloc")]
#[test]
fn thousands_of_elements_that_no_peer_can_be_told_of_end_at_once() {
    use rserpool_core::{AsapRates, AssocId, Input, Link, Machine, Output, Ppid, Registrar, RegistrarLimits};
    const ELEMENTS: u32 = 20_000;
    let mut config = RegistrarConfig { id: ServerId(REGISTRAR), ..RegistrarConfig::new() };
    config.enrp.compat = Compat::Rsplib;
    config.keep_alive_interval = Duration::ZERO;
    config.max_elements_per_association = ELEMENTS;
    config.rates = AsapRates::UNLIMITED;
    let mut registrar = Registrar::growable(RegistrarLimits::default(), config, 1, Instant::ZERO);
    let (peer, element) = (AssocId { slot: 0, generation: 0 }, AssocId { slot: 1, generation: 0 });
    let mut removed = 0;
    let mut give = |now: Instant, input: Input<'_>| {
        registrar.handle(now, input).unwrap();
        let mut buf = vec![0; 2000];
        loop {
            match registrar.poll(now, &mut buf) {
                Output::Event(RegistrarEvent::Removed { .. }) => removed += 1,
                Output::Event(event) => assert_ne!(event, RegistrarEvent::EventsLost),
                Output::Wait(_) => return removed,
                _ => {}
            }
        }
    };
    for (assoc, n) in [(peer, 1), (element, 2)] {
        give(Instant::ZERO, Input::Connected { assoc, dial: None, link: Link::Tcp, peer: &[address_of(n)] });
    }
    let bytes = enrp_bytes(5, REGISTRAR, introduction(5, 1, true));
    give(Instant::ZERO, Input::Message { assoc: peer, ppid: Ppid::Enrp, bytes: &bytes });
    for id in 1..=ELEMENTS {
        let one = PoolElementParam { lifetime: Lifetime::from_wire(10_000), ..param(id, 7) };
        let bytes = bytes_of(registration(&[b'x'; 33], one));
        give(Instant::ZERO, Input::Message { assoc: element, ppid: Ppid::Asap, bytes: &bytes });
    }
    // Nobody is there any more to be told of the end of the registrations.
    give(Instant::ZERO, Input::Closed { assoc: element });
    assert_eq!(give(Instant::from_secs(10), Input::Timeout), ELEMENTS);
}
