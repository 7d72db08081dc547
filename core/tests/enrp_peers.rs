//! The peer list (RFC 5353, 2.1, 3.4).

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::enrp::{ListRequest, Presence};
use rserpool_core::wire::{EnrpBody, Transport};
use rserpool_core::{Link, PeerState, RecvError, RegistrarConfig, RegistrarEvent, ServerId};

fn with_peer(sim: &mut Sim) -> (NodeId, Peer) {
    let registrar = sim.registrar_among(RegistrarConfig::new(), &[]);
    let peer = sim.peer_of(registrar, 0x99);
    (registrar, peer)
}

fn presence_in(sent: &Sent) -> Presence<'_> {
    let EnrpBody::Presence(presence) = sent.enrp().body else { panic!("no presence") };
    presence
}

/// 3.4.1: "a message of any type"; "MUST send an ENRP_PRESENCE message with the Reply-required flag set to '1'".
#[test]
fn a_message_of_any_kind_makes_its_sender_a_peer() {
    for kind in 0..4 {
        let mut sim = Sim::new(1);
        let registrar = sim.registrar_among(RegistrarConfig::new(), &[]);
        let node = sim.script();
        let (assoc, _) = sim.connect_enrp(node, registrar);
        let peer = Peer { node, id: 0x99, assoc };
        match kind {
            0 => sim.tell(peer, ListRequest),
            1 => sim.tell(peer, table_request(true)),
            2 => sim.tell(peer, add(b"echo", owned_by(0x99, 1))),
            _ => sim.tell(peer, presence(node, 0x99, false)),
        }
        let view = sim.peer_view(registrar, 0x99).unwrap();
        assert_eq!((view.state, view.connected), (PeerState::Active, true));
        assert!(sim.told(registrar, RegistrarEvent::PeerFound { peer: ServerId(0x99) }));
        let probes = sim.enrp_to(registrar, node, PRESENCE).into_iter().filter(|s| presence_in(s).reply_required);
        assert_eq!(probes.count(), 1, "kind {kind}");
    }
}

/// 2.1: "the sender then MUST include its server information"; 3.6.1: the checksum in each.
#[test]
fn a_presence_that_wants_a_reply_is_answered_with_the_server_information() {
    let mut sim = Sim::new(1);
    let (registrar, peer) = with_peer(&mut sim);
    sim.forget_sent();
    sim.tell(peer, presence(peer.node, 0x99, true));
    let sent = sim.enrp_sent(registrar, PRESENCE);
    assert_eq!(sent.len(), 1);
    let Presence { reply_required, checksum, server_information } = presence_in(sent[0]);
    assert_eq!((reply_required, checksum), (false, Some(0xffff)));
    let information = server_information.unwrap();
    assert_eq!(information.id.0, sim.id_of(registrar));
    assert_eq!(information.transport, Transport::Tcp(enrp_address(registrar)));
    sim.tell(peer, presence(peer.node, 0x99, false));
    assert_eq!(sim.enrp_count(registrar, PRESENCE), 1, "one that wants none is not answered");
}

/// 3.4.2: every PEER-HEARTBEAT-CYCLE, 30 s, up to a tenth earlier here; 2.1: the receiver is 0 since all are meant.
#[test]
fn presences_go_to_all_peers_in_each_heartbeat_cycle() {
    let mut sim = Sim::new(1);
    let (registrar, a) = with_peer(&mut sim);
    let b = sim.peer_of(registrar, 0x88);
    sim.run_secs(2);
    sim.forget_sent();
    for _ in 0..300 {
        sim.say(a, presence(a.node, a.id, false));
        sim.say(b, presence(b.node, b.id, false));
        sim.run_secs(1);
    }
    for peer in [a, b] {
        let sent = sim.enrp_to(registrar, peer.node, PRESENCE);
        assert!((10..=11).contains(&sent.len()), "{}", sent.len());
        assert!(sent.iter().all(|s| !presence_in(s).reply_required && s.enrp().receiver.is_none()));
        let times: Vec<_> = sent.iter().map(|s| s.at.as_micros() / 1000).collect();
        assert!(times.windows(2).all(|w| (27_000..=30_000).contains(&(w[1] - w[0]))), "{times:?}");
    }
}

/// 3.4.3: MAX-TIME-LAST-HEARD, 61 s; MAX-TIME-NO-RESPONSE, 5 s. Any message counts.
#[test]
fn silence_is_questioned_and_then_it_is_death() {
    let mut sim = Sim::new(1);
    let (registrar, peer) = with_peer(&mut sim);
    sim.tell(peer, add(b"echo", owned_by(0x99, 1)));
    sim.run_secs(50);
    sim.say(peer, ListRequest);
    sim.run_for(Duration::from_millis(100));
    let heard = sim.now;
    sim.forget_sent();
    let probes = |sim: &Sim| {
        sim.enrp_sent(registrar, PRESENCE)
            .iter()
            .filter(|s| presence_in(s).reply_required)
            .map(|s| s.at)
            .collect::<Vec<_>>()
    };
    sim.run_for(Duration::from_millis(60_700));
    assert_eq!(probes(&sim).len(), 0);
    sim.run_for(Duration::from_millis(500));
    assert_eq!(probes(&sim).len(), 1);
    assert_eq!(sim.peer_view(registrar, 0x99).unwrap().state, PeerState::Suspected);
    let asked = probes(&sim)[0].saturating_duration_since(heard);
    assert!((60_800..=61_100).contains(&asked.as_millis()), "{asked:?}");
    assert!(!sim.told(registrar, RegistrarEvent::PeerDead { peer: ServerId(0x99) }));
    sim.run_for(Duration::from_millis(4_500));
    assert!(!sim.told(registrar, RegistrarEvent::PeerDead { peer: ServerId(0x99) }));
    sim.run_for(Duration::from_millis(1_000));
    assert!(sim.told(registrar, RegistrarEvent::PeerDead { peer: ServerId(0x99) }));
}

#[test]
fn a_peer_that_answers_in_time_lives() {
    let mut sim = Sim::new(1);
    let (registrar, peer) = with_peer(&mut sim);
    for _ in 0..5 {
        sim.run_secs(63);
        assert_eq!(sim.peer_view(registrar, 0x99).unwrap().state, PeerState::Suspected);
        sim.tell(peer, presence(peer.node, 0x99, false));
        assert_eq!(sim.peer_view(registrar, 0x99).unwrap().state, PeerState::Active);
    }
}

/// 3.4.3: "If the send fails". There is time to come back; one that owned nothing is then forgotten without a takeover.
#[test]
fn a_lost_association_is_opened_again_or_is_death() {
    for comes_back in [true, false] {
        let mut sim = Sim::new(1);
        let (registrar, peer) = with_peer(&mut sim);
        sim.nodes[peer.node].answer = if comes_back { Answer::Accept } else { Answer::Refuse };
        sim.lose(peer.node, peer.assoc);
        sim.run_secs(2);
        if comes_back {
            let again = sim.dialled_peer(peer.node, 0x99);
            sim.tell(again, presence(peer.node, 0x99, false));
            assert_eq!(sim.peer_view(registrar, 0x99).unwrap().state, PeerState::Active);
        } else {
            assert_eq!(sim.peer_view(registrar, 0x99).unwrap().state, PeerState::Suspected);
            sim.run_secs(4);
            assert!(sim.told(registrar, RegistrarEvent::PeerDead { peer: ServerId(0x99) }));
            sim.run_secs(1);
            assert!(sim.peer_view(registrar, 0x99).is_none());
            assert_eq!(sim.enrp_count(registrar, INIT_TAKEOVER), 0);
        }
    }
}

/// 3.2.1: "a very remote chance". It is reported, and not every time.
#[test]
fn another_registrar_with_the_same_identifier_is_reported() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar_among(RegistrarConfig::new(), &[]);
    let own = sim.id_of(registrar);
    for _ in 0..3 {
        let node = sim.script();
        let (assoc, _) = sim.connect_enrp(node, registrar);
        sim.tell(Peer { node, id: own, assoc }, presence(node, own, true));
        assert!(sim.associations(node).is_empty(), "nobody is served under one's own name");
    }
    let reports =
        sim.nodes[registrar].events.iter().filter(|(_, e)| *e == Event::Registrar(RegistrarEvent::DuplicateId));
    assert_eq!(reports.count(), 1);
    assert_eq!(sim.pr(registrar).peers().count(), 0);
}

#[test]
fn a_registrar_that_is_told_of_itself_serves_and_reports_nothing() {
    let mut sim = Sim::new(1);
    let own = sim.nodes.len();
    let registrar = sim.registrar_among(RegistrarConfig::new(), &[own]);
    sim.run_secs(300);
    assert!(sim.pr(registrar).is_serving());
    assert_eq!(sim.pr(registrar).peers().count(), 0);
    // By an address that it does not know for its own.
    let mut config = RegistrarConfig::new();
    config.id = ServerId(7);
    config.enrp.transport.push((Link::Tcp, "0.0.0.0:9901".parse().unwrap()));
    let mut machine = sim.new_registrar(config, 5);
    let n = sim.nodes.len();
    assert!(machine.add_peer(Link::Tcp, &[enrp_address(n)]));
    let registrar = sim.add(Role::Registrar(machine));
    sim.run_secs(300);
    assert!(sim.pr(registrar).is_serving());
    assert!(!sim.told(registrar, RegistrarEvent::DuplicateId));
    assert!(sim.enrp_count(registrar, PRESENCE) < 30, "it does not talk to itself in a loop");
}

#[test]
fn an_association_speaks_for_one_registrar() {
    let mut sim = Sim::new(1);
    let (registrar, peer) = with_peer(&mut sim);
    for id in [0, 0x55, 0x56] {
        sim.tell(Peer { id, ..peer }, presence(peer.node, id, true));
        assert_eq!(sim.nodes[registrar].errors.pop(), Some(RecvError::Unexpected));
    }
    assert_eq!(sim.pr(registrar).peers().count(), 1);
}

#[test]
fn what_there_is_no_room_for_is_disconnected() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar_among(RegistrarConfig::new(), &[]);
    for id in 0..5 {
        sim.peer_of(registrar, 0x300 + id);
    }
    assert_eq!(sim.pr(registrar).peers().count(), 5);
    let surplus = sim.peer_of(registrar, 0x400);
    assert_eq!(sim.nodes[registrar].errors, [RecvError::Full]);
    assert!(sim.associations(surplus.node).is_empty());
}

/// 3.1: the ENRP server channel, here by multicast: presences go to it, and whoever is heard there is spoken to.
#[test]
fn registrars_find_each_other_by_multicast() {
    let mut sim = Sim::new(1);
    let mut config = RegistrarConfig::new();
    config.enrp.multicast = true;
    let one = sim.registrar_among(config.clone(), &[]);
    assert!(!sim.pr(one).is_serving());
    sim.run_secs(3);
    assert!(sim.told(one, RegistrarEvent::Serving { mentor: None }), "nobody was heard in time");
    let element = sim.registered(&info_with_id(b"echo", 5), &[one]).0;
    let two = sim.registrar_among(config, &[]);
    sim.run_secs(1);
    let id = ServerId(sim.id_of(one));
    assert!(sim.told(two, RegistrarEvent::Serving { mentor: Some(id) }));
    assert_eq!(sim.space(two), sim.space(one));
    let presences = sim.trace.iter().filter(|s| s.to.is_none()).count();
    assert!(presences >= 2);
    assert!(sim.trace.iter().filter(|s| s.to.is_none()).all(|s| s.enrp().receiver.is_none()));
    let _ = element;
}

/// RFC 5353, 6.2: a receiver "must also be prepared to receive a large number of multicast announcements from attackers".
#[test]
fn a_registrar_that_is_heard_by_multicast_only_is_forgotten() {
    let mut sim = Sim::new(1);
    let mut config = RegistrarConfig::new();
    config.enrp.multicast = true;
    let registrar = sim.registrar_among(config, &[]);
    sim.run_secs(3);
    let liar = sim.script();
    sim.nodes[liar].answer = Answer::Refuse;
    for id in 0..100 {
        let bytes = enrp(0x1000 + id, 0, presence(liar, 0x1000 + id, true));
        sim.multicast_enrp(liar, &bytes);
    }
    sim.run_secs(1);
    assert_eq!(sim.pr(registrar).peers().count(), 5, "as many as there is room for");
    assert!(sim.pr(registrar).peers().all(|peer| peer.state == PeerState::Unheard));
    sim.run_secs(70);
    assert_eq!(sim.pr(registrar).peers().count(), 0);
}
