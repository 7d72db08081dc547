//! The peer list (RFC 5353, 3.4): how peers are found, heartbeats, and how it is found out that one is dead.

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::enrp::{ListRequest, Presence};
use rserpool_core::wire::{EnrpBody, EnrpMessage, ServerInformation, Transport};
use rserpool_core::{
    Input, Instant, Link, PeerState, RecvError, Registrar, RegistrarConfig, RegistrarEvent, RegistrarStorage, ServerId,
};

const REGISTRAR: u32 = 0x100;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn alone() -> (Sim, NodeId) {
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar(&[]);
    (sim, registrar)
}

/// A script with an association that has not said anything.
fn stranger(sim: &mut Sim, registrar: NodeId, id: u32) -> Peer {
    let node = sim.script();
    let (assoc, _) = sim.connect_enrp(node, registrar);
    Peer { node, assoc, id }
}

fn presences(heard: &[Vec<u8>]) -> Vec<(EnrpMessage<'_>, Presence<'_>)> {
    let messages = heard.iter().map(|bytes| EnrpMessage::parse(bytes).unwrap().message);
    let presences = messages.filter_map(|message| match message.body {
        EnrpBody::Presence(presence) => Some((message, presence)),
        _ => None,
    });
    presences.collect()
}

#[test]
fn whoever_sends_any_message_is_a_peer_and_is_asked_to_introduce_itself() {
    for kind in 0..6 {
        let (mut sim, registrar) = alone();
        let peer = stranger(&mut sim, registrar, 5);
        match kind {
            0 => sim.tell(peer, presence(false, None)),
            1 => sim.tell(peer, ListRequest),
            2 => sim.tell(peer, table_request(false)),
            3 => sim.tell(peer, add(b"p", owned(5, 1, 7))),
            4 => sim.tell(peer, init_takeover(7)),
            _ => sim.tell(peer, takeover_server(7)),
        }
        assert_eq!(sim.peer_state(registrar, 5), Some(PeerState::Active));
        assert!(sim.told_pr(registrar, RegistrarEvent::PeerFound { peer: ServerId(5) }));
        let heard = sim.hears(peer);
        let presences = presences(&heard);
        assert_eq!(presences.len(), 1, "kind {kind}");
        assert!(presences[0].1.reply_required);
    }
}

#[test]
fn a_presence_tells_who_and_where_the_sender_is_and_what_it_owns() {
    let (mut sim, registrar) = alone();
    sim.registered(&info_with_id(b"echo", 3), &[registrar]);
    let peer = stranger(&mut sim, registrar, 5);
    sim.tell(peer, presence(true, None));
    let heard = sim.hears(peer);
    let (message, presence) = presences(&heard)[0];
    assert_eq!((message.sender, message.receiver), (ServerId(REGISTRAR), ServerId(0)));
    assert_eq!(presence.server_information, Some(information(REGISTRAR, registrar)));
    let checksum = sim.checksum_at(registrar, REGISTRAR);
    assert_ne!(checksum, 0xffff);
    assert_eq!(presence.checksum, Some(checksum));
}

#[test]
fn a_presence_with_reply_required_is_answered_at_once_and_one_without_is_not() {
    let (mut sim, registrar) = alone();
    let peer = sim.enrp_peer(registrar, 5);
    sim.tell(peer, presence(true, None));
    let heard = sim.hears(peer);
    let answers = presences(&heard);
    assert_eq!(answers.len(), 1);
    assert!(!answers[0].1.reply_required, "or it would never end");
    assert!(answers[0].1.server_information.is_some());
    sim.tell(peer, presence(false, None));
    assert!(sim.hears(peer).is_empty());
}

#[test]
fn presences_go_to_all_peers_once_in_a_heartbeat_cycle() {
    let (mut sim, registrar) = alone();
    let peers = [sim.enrp_peer(registrar, 5), sim.enrp_peer(registrar, 6)];
    let begin = sim.now;
    sim.keep_up(&peers, secs(300));
    for peer in peers {
        let sent = sim.enrp_sent_to(registrar, peer.node, ty::PRESENCE);
        let times: Vec<Instant> = sent.iter().map(|sent| sent.at).filter(|at| *at > begin).collect();
        assert!((9..=12).contains(&times.len()), "{}", times.len());
        for pair in times.windows(2) {
            let cycle = pair[1].saturating_duration_since(pair[0]);
            assert!((secs(27)..=secs(30)).contains(&cycle), "{cycle:?}");
        }
    }
    let after = sim.enrp_sent(registrar, ty::PRESENCE).into_iter().filter(|sent| sent.at > begin);
    for sent in after {
        let EnrpBody::Presence(presence) = sent.enrp().body else { panic!() };
        assert!(!presence.reply_required && presence.checksum.is_some());
    }
}

#[test]
fn any_message_is_a_sign_of_life() {
    let (mut sim, registrar) = alone();
    let peer = sim.enrp_peer(registrar, 5);
    for n in 0..10 {
        sim.run_secs(55);
        if n % 2 == 0 {
            sim.say(peer, ListRequest);
        } else {
            sim.say(peer, add(b"p", owned(5, 1, 7)));
        }
        sim.run_for(millis(11));
        let view = sim.peer_view(registrar, 5).unwrap();
        assert_eq!(view.state, PeerState::Active);
        assert_eq!(view.last_heard, Some(sim.now - millis(1)), "peer_last_heard");
    }
    assert!(!sim.events_of(registrar).iter().any(|e| matches!(e, RegistrarEvent::PeerDead { .. })));
}

#[test]
fn a_peer_that_is_silent_for_max_time_last_heard_is_probed_at_once() {
    let (mut sim, registrar) = alone();
    let peer = sim.enrp_peer(registrar, 5);
    sim.tell(peer, add(b"p", owned(5, 1, 7)));
    let heard = sim.peer_view(registrar, 5).unwrap().last_heard.unwrap();
    sim.hears(peer);
    assert!(sim.run_until(|s| s.peer_state(registrar, 5) == Some(PeerState::Suspected), secs(70)));
    assert_eq!(sim.now.saturating_duration_since(heard), secs(61));
    let probe = sim.enrp_sent_to(registrar, peer.node, ty::PRESENCE).last().map(|sent| sent.at);
    assert_eq!(probe, Some(sim.now));
    sim.run_for(millis(20));
    let heard = sim.hears(peer);
    assert!(presences(&heard).last().unwrap().1.reply_required);
    // It answers.
    sim.tell(peer, presence(false, None));
    assert_eq!(sim.peer_state(registrar, 5), Some(PeerState::Active));
    sim.run_secs(10);
    assert!(!sim.told_pr(registrar, RegistrarEvent::PeerDead { peer: ServerId(5) }));
}

#[test]
fn a_peer_that_does_not_answer_within_max_time_no_response_is_dead_and_taken_over() {
    let (mut sim, registrar) = alone();
    let peer = sim.enrp_peer(registrar, 5);
    sim.tell(peer, add(b"p", owned(5, 1, 7)));
    let dead = RegistrarEvent::PeerDead { peer: ServerId(5) };
    sim.run_secs(65);
    assert!(!sim.told_pr(registrar, dead));
    sim.run_secs(2);
    assert!(sim.told_pr(registrar, dead));
    assert!(sim.told_pr(registrar, RegistrarEvent::TakeoverBegun { target: ServerId(5) }));
}

#[test]
fn a_peer_whose_association_is_lost_has_max_time_no_response_to_come_back() {
    for comes_back in [true, false] {
        let (mut sim, registrar) = alone();
        let peer = sim.enrp_peer(registrar, 5);
        sim.tell(peer, add(b"p", owned(5, 1, 7)));
        sim.lose(peer.node, peer.assoc);
        sim.run_for(millis(10));
        assert_eq!(sim.peer_state(registrar, 5), Some(PeerState::Suspected));
        sim.run_for(millis(4_900));
        if comes_back {
            let (assoc, _) = sim.connect_enrp(peer.node, registrar);
            sim.tell(Peer { assoc, ..peer }, introduction(5, peer.node, true));
            assert_eq!(sim.peer_state(registrar, 5), Some(PeerState::Active));
        }
        sim.run_for(millis(200));
        assert_eq!(sim.told_pr(registrar, RegistrarEvent::PeerDead { peer: ServerId(5) }), !comes_back);
    }
}

#[test]
fn a_message_that_cannot_be_delivered_raises_suspicion() {
    let (mut sim, registrar) = alone();
    let peer = sim.enrp_peer(registrar, 5);
    let (_, assoc) = sim.other_end(peer.node, peer.assoc).unwrap();
    sim.input(registrar, Input::SendFailed { assoc }).unwrap();
    assert_eq!(sim.peer_state(registrar, 5), Some(PeerState::Suspected));
    sim.run_for(millis(50));
    let heard = sim.hears(peer);
    assert!(presences(&heard)[0].1.reply_required, "it is asked");
    sim.tell(peer, presence(false, None));
    assert_eq!(sim.peer_state(registrar, 5), Some(PeerState::Active));
}

#[test]
fn a_dead_peer_without_elements_is_only_removed() {
    let (mut sim, registrar) = alone();
    sim.enrp_peer(registrar, 5);
    sim.run_secs(70);
    assert_eq!(sim.peer_state(registrar, 5), None);
    assert!(sim.told_pr(registrar, RegistrarEvent::PeerRemoved { peer: ServerId(5) }));
    assert!(!sim.told_pr(registrar, RegistrarEvent::TakeoverBegun { target: ServerId(5) }));
}

#[test]
fn a_peer_is_dialled_where_its_presence_says_that_it_is() {
    let (mut sim, registrar) = alone();
    let peer = stranger(&mut sim, registrar, 5);
    // An unspecified address is that of the sender.
    let at = Transport::Tcp("0.0.0.0:9901".parse().unwrap());
    let server_information = Some(ServerInformation { id: ServerId(5), transport: at });
    sim.tell(peer, Presence { server_information, ..presence(false, None) });
    let own_port = (address_of(peer.node).ip(), 9901).into();
    assert_eq!(sim.peer_view(registrar, 5).unwrap().address, Some(own_port));
    sim.lose(peer.node, peer.assoc);
    sim.run_secs(1);
    assert_eq!(sim.nodes[registrar].dialled.last().map(|(_, to)| *to), Some(peer.node));
}

#[test]
fn a_peer_that_was_dialled_is_asked_to_introduce_itself() {
    let mut sim = Sim::new(1);
    let script = sim.script();
    sim.enrp_registrar(&[script]);
    sim.run_for(millis(100));
    let heard: Vec<Vec<u8>> = sim.received(script).into_iter().map(|(_, bytes)| bytes).collect();
    assert!(presences(&heard)[0].1.reply_required);
}

#[test]
fn a_configured_peer_is_dialled_for_ever() {
    let mut sim = Sim::new(1);
    let script = sim.script();
    sim.nodes[script].answer = Answer::Refuse;
    let registrar = sim.enrp_registrar(&[script]);
    sim.run_secs(3600);
    let times: Vec<Instant> = sim.nodes[registrar].dialled.iter().map(|(at, _)| *at).collect();
    assert!((100..300).contains(&times.len()), "{} attempts in an hour", times.len());
    let last = times.windows(2).last().unwrap();
    assert!(last[1].saturating_duration_since(last[0]) <= secs(31));
}

#[test]
fn a_configured_peer_that_was_dead_is_a_peer_again_when_it_returns_with_another_identifier() {
    let mut sim = Sim::new(1);
    let [a, b] = sim.cluster::<2>(&RegistrarConfig::new());
    let old = sim.id_of(b);
    sim.kill(b);
    sim.run_secs(10);
    assert_eq!(sim.peer_view(a, old), None);
    // Somebody answers there again.
    sim.nodes[b].answer = Answer::Accept;
    assert!(sim.run_until(|s| !s.associations(b).is_empty(), secs(60)));
    let peer = Peer { node: b, assoc: sim.associations(b)[0], id: 0x777 };
    sim.tell(peer, introduction(0x777, b, false));
    let view = sim.peer_view(a, 0x777).unwrap();
    assert_eq!((view.state, view.configured, sim.pr(a).peers().count()), (PeerState::Active, true, 1));
}

#[test]
fn peers_with_one_association_between_them_stay_with_it() {
    let mut sim = Sim::new(1);
    let [a, b, c] = sim.cluster::<3>(&RegistrarConfig::new());
    sim.run_secs(200);
    for n in [a, b, c] {
        assert!((2..=4).contains(&sim.associations(n).len()), "{}", sim.associations(n).len());
        assert_eq!(sim.active_peers(n), 2);
        assert!(sim.nodes[n].dialled.len() <= 4, "{:?}", sim.nodes[n].dialled);
    }
}

#[test]
fn a_presence_on_the_channel_tells_where_a_peer_may_be() {
    let mut config = RegistrarConfig::new();
    config.enrp.multicast = true;
    let mut sim = Sim::new(1);
    let script = sim.script();
    let registrar = sim.enrp_registrar_with(config, &[]);
    sim.run_secs(3);
    sim.multicast_enrp(script, &enrp_bytes(9, 0, introduction(9, script, false)));
    sim.run_for(millis(15));
    assert_eq!(sim.peer_state(registrar, 9), Some(PeerState::Unheard), "it has proved nothing");
    sim.run_for(millis(100));
    let assoc = sim.associations(script)[0];
    sim.tell(Peer { node: script, assoc, id: 9 }, introduction(9, script, false));
    assert_eq!(sim.peer_state(registrar, 9), Some(PeerState::Active));
}

#[test]
fn a_presence_on_the_channel_is_a_sign_of_life_of_a_peer_that_is_known() {
    let mut config = RegistrarConfig::new();
    config.enrp.multicast = true;
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar_with(config, &[]);
    sim.run_secs(3);
    let peer = sim.enrp_peer(registrar, 9);
    for _ in 0..10 {
        sim.run_secs(55);
        sim.multicast_enrp(peer.node, &enrp_bytes(9, 0, introduction(9, peer.node, false)));
    }
    sim.run_secs(5);
    assert_eq!(sim.peer_state(registrar, 9), Some(PeerState::Active));
}

#[test]
fn presences_go_to_the_channel_only_where_it_is_switched_on() {
    for multicast in [false, true] {
        let mut config = RegistrarConfig::new();
        config.enrp.multicast = multicast;
        let mut sim = Sim::new(1);
        let registrar = sim.enrp_registrar_with(config, &[]);
        sim.run_secs(100);
        let sent: Vec<_> = sim.enrp_sent(registrar, ty::PRESENCE).into_iter().filter(|s| s.to.is_none()).collect();
        assert_eq!(sent.len() >= 4, multicast);
        for sent in sent {
            let EnrpMessage { receiver, body: EnrpBody::Presence(presence), .. } = sent.enrp() else { panic!() };
            assert!(receiver.is_none() && !presence.reply_required);
            assert_eq!(presence.server_information, Some(information(REGISTRAR, registrar)));
        }
    }
}

#[test]
fn a_datagram_is_refused_if_it_is_no_presence_or_multicast_is_off() {
    let (mut sim, registrar) = alone();
    let script = sim.script();
    let introduced = enrp_bytes(9, 0, introduction(9, script, true));
    sim.multicast_enrp(script, &introduced);
    sim.run_secs(1);
    assert_eq!(sim.pr(registrar).peers().count(), 0);

    let mut config = RegistrarConfig::new();
    config.enrp.multicast = true;
    let other = sim.enrp_registrar_with(config, &[]);
    let from = address_of(script);
    for bytes in
        [enrp_bytes(9, 0, ListRequest), enrp_bytes(9, 0, takeover_server(5)), enrp_bytes(0, 0, presence(false, None))]
    {
        let done = sim.input(other, Input::Datagram { from, ppid: rserpool_core::Ppid::Enrp, bytes: &bytes });
        assert_eq!(done, Err(RecvError::Unexpected));
    }
    assert_eq!(sim.pr(other).peers().count(), 0);
}

#[test]
fn another_registrar_with_the_same_identifier_is_reported_and_sent_away() {
    let (mut sim, registrar) = alone();
    let peer = stranger(&mut sim, registrar, REGISTRAR);
    sim.tell(peer, introduction(REGISTRAR, peer.node, true));
    assert!(sim.told_pr(registrar, RegistrarEvent::DuplicateId));
    assert_eq!(sim.pr(registrar).peers().count(), 0);
    sim.run_for(millis(20));
    assert!(sim.associations(peer.node).is_empty());
    // Not with each message.
    for _ in 0..3 {
        let again = stranger(&mut sim, registrar, REGISTRAR);
        sim.tell(again, introduction(REGISTRAR, again.node, true));
    }
    let reports = sim.events_of(registrar).into_iter().filter(|e| *e == RegistrarEvent::DuplicateId).count();
    assert_eq!(reports, 1);
}

#[test]
fn its_own_presence_on_the_channel_is_no_duplicate() {
    let mut config = RegistrarConfig::new();
    config.enrp.multicast = true;
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar_with(config, &[]);
    sim.run_secs(200);
    assert!(!sim.told_pr(registrar, RegistrarEvent::DuplicateId));
    assert_eq!(sim.pr(registrar).peers().count(), 0);
}

#[test]
fn an_association_speaks_for_one_registrar() {
    let (mut sim, registrar) = alone();
    let peer = sim.enrp_peer(registrar, 5);
    let liar = Peer { id: 6, ..peer };
    sim.tell(liar, introduction(6, peer.node, true));
    sim.tell(liar, add(b"p", owned(6, 1, 7)));
    assert_eq!(sim.peer_view(registrar, 6), None);
    assert_eq!(sim.elements_at(registrar), 0);
    assert_eq!(sim.nodes[registrar].errors, [RecvError::Unexpected, RecvError::Unexpected]);
}

#[test]
fn an_association_has_one_protocol() {
    let (mut sim, registrar) = alone();
    let peer = sim.enrp_peer(registrar, 5);
    let (_, assoc) = sim.other_end(peer.node, peer.assoc).unwrap();
    let bytes = bytes_of(registration(b"p", param(1, 7)));
    let input = Input::Message { assoc, ppid: rserpool_core::Ppid::Asap, bytes: &bytes };
    assert_eq!(sim.input(registrar, input), Err(RecvError::Unexpected));
    assert_eq!(sim.elements_at(registrar), 0);
}

#[test]
fn a_message_without_a_sender_is_refused() {
    let (mut sim, registrar) = alone();
    let peer = stranger(&mut sim, registrar, 0);
    sim.tell(peer, presence(true, None));
    assert_eq!(sim.pr(registrar).peers().count(), 0);
    assert_eq!(sim.nodes[registrar].errors, [RecvError::Unexpected]);
    assert!(sim.hears(peer).is_empty());
}

#[test]
fn a_peer_that_there_is_no_room_for_is_sent_away() {
    let mut sim = Sim::new(1);
    let config = RegistrarConfig { id: ServerId(REGISTRAR), ..RegistrarConfig::new() };
    let machine = Registrar::new(leak(RegistrarStorage::<2, 4, 3>::new()), config, 1, sim.now);
    let registrar = sim.add_registrar(machine, &[]);
    sim.enrp_peer(registrar, 5);
    sim.enrp_peer(registrar, 6);
    let third = stranger(&mut sim, registrar, 7);
    sim.tell(third, introduction(7, third.node, true));
    sim.run_for(millis(20));
    assert_eq!(sim.pr(registrar).peers().count(), 2);
    assert_eq!(sim.nodes[registrar].errors, [RecvError::Full]);
    assert!(sim.associations(third.node).is_empty());
}

/// RFC 5353, 6.2: a datagram proves nothing.
#[test]
fn peers_that_are_known_by_datagrams_alone_make_room_for_one_that_connects() {
    let mut sim = Sim::new(1);
    let mut config = RegistrarConfig { id: ServerId(REGISTRAR), ..RegistrarConfig::new() };
    config.enrp.multicast = true;
    let machine = Registrar::new(leak(RegistrarStorage::<2, 4, 3>::new()), config, 1, sim.now);
    let registrar = sim.add_registrar(machine, &[]);
    let script = sim.script();
    sim.run_secs(3);
    for id in 20..30 {
        sim.multicast_enrp(script, &enrp_bytes(id, 0, presence(false, None)));
    }
    sim.run_for(millis(20));
    assert_eq!(sim.pr(registrar).peers().count(), 2);
    sim.enrp_peer(registrar, 5);
    sim.enrp_peer(registrar, 6);
    let known: Vec<_> = sim.pr(registrar).peers().map(|peer| (peer.id.0, peer.state)).collect();
    assert_eq!(known.len(), 2, "{known:?}");
    assert!(known.contains(&(5, PeerState::Active)) && known.contains(&(6, PeerState::Active)), "{known:?}");
}

#[test]
fn the_same_peer_is_not_configured_twice_and_none_without_an_address() {
    let config = RegistrarConfig { id: ServerId(REGISTRAR), ..RegistrarConfig::new() };
    let mut machine = Registrar::new(leak(RegistrarStorage::<2, 4, 3>::new()), config, 1, Instant::ZERO);
    assert!(machine.add_peer(Link::Tcp, &[address_of(5)]));
    assert!(machine.add_peer(Link::Tcp, &[address_of(5)]));
    assert_eq!(machine.peers().count(), 1);
    assert!(!machine.add_peer(Link::Tcp, &[]));
    assert!(machine.add_peer(Link::Tcp, &[address_of(6)]));
    assert!(!machine.add_peer(Link::Tcp, &[address_of(7)]), "there is room for two");
    assert!(machine.peers().all(|peer| peer.configured && peer.state == PeerState::Unheard && peer.id.is_none()));
}

#[test]
fn a_peer_that_opens_a_new_association_and_introduces_itself_is_spoken_to_on_that() {
    let (mut sim, registrar) = alone();
    let peer = sim.enrp_peer(registrar, 5);
    let (assoc, _) = sim.connect_enrp(peer.node, registrar);
    let again = Peer { assoc, ..peer };
    sim.tell(again, introduction(5, peer.node, true));
    sim.hears(peer);
    sim.registered(&info_with_id(b"p", 3), &[registrar]);
    let updates: Vec<_> = sim.received(peer.node).into_iter().filter(|(_, bytes)| bytes[0] == ty::UPDATE).collect();
    assert_eq!(updates.iter().map(|(on, _)| *on).collect::<Vec<_>>(), [assoc]);
}

/// It was heard of by multicast and accepts an association, but says nothing on it.
#[test]
fn a_peer_that_never_speaks_is_given_up_with_its_association_at_once() {
    let mut config = RegistrarConfig::new();
    config.enrp.multicast = true;
    let mut sim = Sim::new(1);
    let script = sim.script();
    let registrar = sim.enrp_registrar_with(config, &[]);
    sim.run_secs(3);
    sim.multicast_enrp(script, &enrp_bytes(9, 0, introduction(9, script, false)));
    sim.run_for(millis(15));
    assert!(sim.peer_view(registrar, 9).is_some());
    assert!(sim.run_until(|s| s.peer_view(registrar, 9).is_none(), secs(70)));
    assert_eq!(sim.nodes[registrar].disconnects, 1, "in the same drain");
}

/// RFC 5353, 3.4.3: the answer that is missing may lie in a socket of a registrar that stood still.
#[test]
fn a_peer_is_not_held_for_dead_by_a_registrar_that_stood_still() {
    for answers in [true, false] {
        let mut sim = Sim::new(1);
        let registrar = sim.enrp_registrar(&[]);
        let peer = sim.enrp_peer(registrar, 5);
        let suspected = |s: &Sim| s.peer_state(registrar, 5) == Some(PeerState::Suspected);
        assert!(sim.run_until(suspected, Duration::from_secs(70)));
        sim.now = sim.now + Duration::from_secs(30);
        sim.input(registrar, rserpool_core::Input::Timeout).unwrap();
        assert!(suspected(&sim));
        if answers {
            sim.tell(peer, presence(false, None));
        }
        sim.run_secs(10);
        assert_eq!(sim.peer_state(registrar, 5), answers.then_some(PeerState::Active));
    }
}
