//! Updates of the handlespace between registrars (RFC 5353, 2.4 and 3.3).

mod harness;

use harness::*;
use rserpool_core::wire::enrp::{HandleUpdate, UpdateAction};
use rserpool_core::wire::{EnrpBody, Policy, PoolElementParam, Transport};
use rserpool_core::{PeId, RegistrarConfig, ServerId};

/// A registrar with two peers that the test plays.
fn with_peers(sim: &mut Sim) -> (NodeId, Peer, Peer) {
    let registrar = sim.registrar();
    let (a, b) = (sim.peer_of(registrar, 0x11), sim.peer_of(registrar, 0x22));
    sim.forget_sent();
    (registrar, a, b)
}

fn update(sent: &Sent) -> HandleUpdate<'_> {
    let EnrpBody::HandleUpdate(update) = sent.enrp().body else { panic!("no update") };
    update
}

/// A script that is a pool element, and its association.
fn element(sim: &mut Sim, registrar: NodeId, pool: &[u8], id: u32) -> (NodeId, rserpool_core::AssocId) {
    let n = sim.script();
    let (assoc, _) = sim.connect(n, registrar);
    sim.send(n, assoc, registration(pool, param(id, 7)));
    sim.run_secs(1);
    (n, assoc)
}

/// 3.3.1: "MUST announce this update to all its peers", with everything, the sender's identifier and no receiver's.
#[test]
fn a_registration_and_a_reregistration_are_announced_to_every_peer() {
    let mut sim = Sim::new(1);
    let (registrar, a, b) = with_peers(&mut sim);
    let own = ServerId(sim.id_of(registrar));
    let (n, assoc) = element(&mut sim, registrar, b"echo", 5);
    let loaded = PoolElementParam { policy: Policy::RoundRobin, user_transport: service(9), ..param(5, 9) };
    sim.send(n, assoc, registration(b"echo", loaded));
    sim.run_secs(1);
    for peer in [a, b] {
        let updates = sim.enrp_to(registrar, peer.node, UPDATE);
        assert_eq!(updates.len(), 2);
        for (sent, port) in updates.into_iter().zip([7, 9]) {
            assert_eq!((sent.enrp().sender, sent.enrp().receiver), (own, ServerId::NONE));
            let HandleUpdate { action, pool_handle, element, takeover_suggested } = update(sent);
            assert_eq!((action, pool_handle, takeover_suggested), (UpdateAction::Add, handle(b"echo"), false));
            let expected =
                PoolElementParam { home: own, asap_transport: Some(Transport::Tcp(address_of(n))), ..param(5, port) };
            assert_eq!(element, expected);
        }
    }
}

/// 3.3.2: for a deregistration as well as "for some other reasons".
#[test]
fn a_removal_is_announced_with_the_complete_element() {
    for how in ["deregistration", "lost association", "no keep-alive"] {
        let mut sim = Sim::new(1);
        let (registrar, a, b) = with_peers(&mut sim);
        let (n, assoc) = element(&mut sim, registrar, b"echo", 5);
        match how {
            "deregistration" => sim.send(n, assoc, deregistration(b"echo", 5)),
            "lost association" => sim.lose(n, assoc),
            _ => sim.nodes[n].deaf = true,
        }
        // The peers live for as long as that takes.
        for _ in 0..60 {
            sim.say(a, presence(a.node, a.id, false));
            sim.say(b, presence(b.node, b.id, false));
            sim.run_secs(1);
        }
        for peer in [a, b] {
            let sent = *sim.enrp_to(registrar, peer.node, UPDATE).last().unwrap();
            assert_eq!(sent.enrp().receiver, ServerId::NONE);
            assert_eq!(sent.enrp().sender.0, sim.id_of(registrar));
            let HandleUpdate { action, pool_handle, element, .. } = update(sent);
            assert_eq!((action, pool_handle), (UpdateAction::Delete, handle(b"echo")), "{how}");
            assert_eq!((element.user_transport, element.policy), (service(7), Policy::RoundRobin));
            assert!(element.asap_transport.is_some());
        }
    }
}

fn weight(policy: Option<Policy<'_>>) -> u32 {
    let Some(Policy::WeightedRandom { weight }) = policy else { panic!("{policy:?}") };
    weight
}

fn asap_of(transport: Option<Transport<'_>>) -> Option<std::net::SocketAddr> {
    transport.and_then(|transport| transport.socket_addrs().next())
}

/// 3.3.1, rules 1 to 3.
#[test]
fn an_update_makes_the_pool_adds_the_element_or_replaces_it() {
    let mut sim = Sim::new(1);
    let (registrar, a, _) = with_peers(&mut sim);
    let weighted = |id, weight| {
        let policy = Policy::WeightedRandom { weight };
        PoolElementParam { policy, ..owned_by(0x11, id) }
    };
    let look = |sim: &Sim, id| {
        let space = sim.pr(registrar).handlespace();
        let pool = space.find_pool(handle(b"echo")).unwrap();
        let view = space.element(space.find_element(pool, PeId(id)).unwrap()).unwrap();
        (space.pool(pool).unwrap().policy_type, weight(view.policy()), asap_of(view.asap_transport()), view.home)
    };
    let asap = asap_of(owned_by(0x11, 1).asap_transport);
    sim.tell(a, add(b"echo", weighted(1, 5)));
    assert_eq!(look(&sim, 1), (4, 5, asap, ServerId(0x11)));
    sim.tell(a, add(b"echo", weighted(2, 6)));
    assert_eq!(look(&sim, 2), (4, 6, asap, ServerId(0x11)));
    sim.tell(a, add(b"echo", weighted(1, 8)));
    // Once more, and late: what is repeated changes nothing.
    sim.tell(a, add(b"echo", weighted(1, 8)));
    assert_eq!(look(&sim, 1).1, 8);
    assert_eq!(sim.elements_at(registrar), 2);
    assert_eq!(sim.enrp_count(registrar, UPDATE), 0, "only the home announces");
}

/// 3.3.2: "If the removed PE is the last one in the pool, the peer MUST also delete the pool"; what is not found is no
/// matter.
#[test]
fn a_removal_takes_the_element_and_with_the_last_one_the_pool() {
    let mut sim = Sim::new(1);
    let (registrar, a, _) = with_peers(&mut sim);
    sim.tell(a, add(b"echo", owned_by(0x11, 1)));
    sim.tell(a, add(b"echo", owned_by(0x11, 2)));
    sim.tell(a, delete(b"echo", owned_by(0x11, 1)));
    assert_eq!(sim.space(registrar), [(b"echo".to_vec(), 2, 0x11)]);
    for (pool, id) in [(&b"echo"[..], 1), (b"none", 2)] {
        let errors = sim.nodes[registrar].errors.len();
        sim.tell(a, delete(pool, owned_by(0x11, id)));
        assert_eq!(sim.nodes[registrar].errors.len(), errors);
    }
    sim.tell(a, delete(b"echo", owned_by(0x11, 2)));
    assert_eq!(sim.pr(registrar).handlespace().pools(), 0);
}

/// A peer can announce and remove what it owns, and nothing else.
#[test]
fn only_the_home_is_obeyed() {
    let mut sim = Sim::new(1);
    let (registrar, a, b) = with_peers(&mut sim);
    sim.tell(a, add(b"echo", owned_by(0x11, 1)));
    sim.tell(b, delete(b"echo", owned_by(0x11, 1)));
    sim.tell(b, delete(b"echo", owned_by(0x22, 1)));
    sim.tell(b, add(b"echo", owned_by(0x11, 2)));
    assert_eq!(sim.space(registrar), [(b"echo".to_vec(), 1, 0x11)]);
    element(&mut sim, registrar, b"echo", 3);
    let own = sim.id_of(registrar);
    sim.tell(b, delete(b"echo", owned_by(own, 3)));
    assert_eq!(sim.elements_at(registrar), 2);
}

/// An element changes its home by the ADD_PE of the new one; a late DEL_PE of the old one is of no consequence.
#[test]
fn an_element_moves_to_the_registrar_that_announces_it() {
    let mut sim = Sim::new(1);
    let (registrar, a, b) = with_peers(&mut sim);
    sim.tell(a, add(b"echo", owned_by(0x11, 1)));
    sim.tell(b, add(b"echo", owned_by(0x22, 1)));
    assert_eq!(sim.space(registrar), [(b"echo".to_vec(), 1, 0x22)]);
    sim.tell(a, delete(b"echo", owned_by(0x11, 1)));
    assert_eq!(sim.space(registrar), [(b"echo".to_vec(), 1, 0x22)]);
    assert_eq!(sim.pr(registrar).handlespace().owned(ServerId(0x11)), 0);
}

/// Two registrars hold themselves for the home: the element is asked, and if it answers it is claimed back.
#[test]
fn a_connected_element_that_another_registrar_announces_is_asked_whose_it_is() {
    for answers in [true, false] {
        let mut sim = Sim::new(1);
        let (registrar, a, b) = with_peers(&mut sim);
        let own = sim.id_of(registrar);
        let (n, assoc) = element(&mut sim, registrar, b"echo", 5);
        sim.forget_sent();
        sim.say(a, add(b"echo", owned_by(0x11, 5)));
        sim.run_for(std::time::Duration::from_millis(200));
        assert_eq!(sim.space(registrar), [(b"echo".to_vec(), 5, 0x11)], "3.3.1, rule 3");
        sim.run_secs(1);
        assert_eq!(sim.count(registrar, KEEP_ALIVE), 1);
        if answers {
            sim.send(n, assoc, ack(b"echo", 5));
        }
        sim.run_secs(10);
        let home = if answers { own } else { 0x11 };
        assert_eq!(sim.space(registrar), [(b"echo".to_vec(), 5, home)]);
        for peer in [a, b] {
            assert_eq!(sim.enrp_to(registrar, peer.node, UPDATE).len(), usize::from(answers));
        }
    }
}

/// RFC 5352, 3.2, at a registrar that is not the home: only the home can remove an element, so it becomes that before.
#[test]
fn an_element_that_deregisters_elsewhere_is_gone_everywhere() {
    let mut sim = Sim::new(1);
    let (registrar, a, b) = with_peers(&mut sim);
    sim.tell(a, add(b"echo", owned_by(0x11, 5)));
    let n = sim.script();
    let (assoc, _) = sim.connect(n, registrar);
    sim.send(n, assoc, deregistration(b"echo", 5));
    sim.run_secs(1);
    assert_eq!(sim.elements_at(registrar), 0);
    for peer in [a, b] {
        let updates = sim.enrp_to(registrar, peer.node, UPDATE);
        let actions: Vec<_> = updates.iter().map(|sent| (update(sent).action, update(sent).element.home.0)).collect();
        let own = sim.id_of(registrar);
        assert_eq!(actions, [(UpdateAction::Add, own), (UpdateAction::Delete, own)]);
    }
}

/// Two registrars made one pool with different policies before they heard of each other. They agree in the end.
#[test]
fn pools_that_were_made_twice_become_one() {
    for winner_first in [true, false] {
        let mut sim = Sim::new(1);
        let n = sim.nodes.len();
        let one = sim.registrar_among(RegistrarConfig { id: ServerId(1), ..RegistrarConfig::new() }, &[]);
        let two = sim.registrar_among(RegistrarConfig { id: ServerId(2), ..RegistrarConfig::new() }, &[]);
        let policies = [Policy::RoundRobin, Policy::LeastUsed { load: 3 }];
        for (at, (registrar, policy)) in [one, two].into_iter().zip(policies).enumerate() {
            let pe = sim.element(&[registrar]);
            let info = rserpool_core::ElementInfo { policy, ..info_with_id(b"echo", at as u32 + 1) };
            sim.register(pe, &info);
        }
        sim.run_secs(2);
        let (dials, dialled) = if winner_first { (two, one) } else { (one, two) };
        sim.pr_call(dials, |pr, _| assert!(pr.add_peer(rserpool_core::Link::Tcp, &[enrp_address(dialled)])));
        sim.run_secs(60);
        assert_eq!(sim.space(one), [(b"echo".to_vec(), 2, 2)], "the pool of the greater identifier stays");
        assert_eq!(sim.space(one), sim.space(two));
        // The loser is refused when it registers again.
        sim.run_secs(300);
        assert_eq!(sim.space(one), [(b"echo".to_vec(), 2, 2)]);
        assert!(
            sim.nodes[n + 2]
                .events
                .iter()
                .any(|(_, e)| { matches!(e, Event::Element(rserpool_core::ElementEvent::Rejected { .. })) })
        );
    }
}
