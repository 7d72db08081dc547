//! Updates of the handlespace (RFC 5353, 3.3): what a registrar tells its peers of its elements, and what it makes of
//! theirs.

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::enrp::{HandleUpdate, UpdateAction};
use rserpool_core::wire::{EnrpBody, EnrpMessage, Lifetime, Policy, PoolElementParam, Transport};
use rserpool_core::{
    ElementEvent, ElementInfo, EndpointConfig, PeId, Ppid, RecvError, RegistrarConfig, RegistrarEvent, RemovalReason,
    ServerId,
};

const REGISTRAR: u32 = 0x100;

/// A registrar (0x100) with two peers: 5, and 0x900.
fn with_peers() -> (Sim, NodeId, Peer, Peer) {
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar(&[]);
    let (low, high) = (sim.enrp_peer(registrar, 5), sim.enrp_peer(registrar, 0x900));
    (sim, registrar, low, high)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn updates(heard: &[Vec<u8>]) -> Vec<(ServerId, ServerId, HandleUpdate<'_>)> {
    let updates = heard.iter().map(|bytes| EnrpMessage::parse(bytes).unwrap().message);
    let updates = updates.map(|message| match message.body {
        EnrpBody::HandleUpdate(update) => (message.sender, message.receiver, update),
        other => panic!("no update: {other:?}"),
    });
    updates.collect()
}

/// Which updates a registrar has sent to a node: the action and the element's identifier.
fn told(sim: &Sim, registrar: NodeId, to: NodeId) -> Vec<(UpdateAction, u32)> {
    let sent = sim.enrp_sent_to(registrar, to, ty::UPDATE);
    let parsed = sent.iter().map(|sent| match sent.enrp().body {
        EnrpBody::HandleUpdate(update) => (update.action, update.element.id.0),
        other => panic!("no update: {other:?}"),
    });
    parsed.collect()
}

fn last_error(sim: &Sim, n: NodeId) -> Option<RecvError> {
    sim.nodes[n].errors.last().copied()
}

#[test]
fn a_registration_is_announced_to_every_peer_with_all_values() {
    let (mut sim, registrar, low, high) = with_peers();
    let config = EndpointConfig { asap_port: 4444, ..EndpointConfig::new() };
    let element = sim.element_with(config, &[registrar]);
    let policy = Policy::WeightedRandom { weight: 77 };
    let info = ElementInfo { policy, lifetime: Lifetime::from_secs(99), ..info_with_id(b"echo", 3) };
    sim.register(element, &info);
    sim.run_secs(1);
    let at = Transport::Tcp((address_of(element).ip(), 4444).into());
    for peer in [low, high] {
        let heard = sim.hears_of(peer, ty::UPDATE);
        let [(sender, receiver, update)] = updates(&heard)[..] else { panic!("one for each") };
        assert_eq!((sender, receiver), (ServerId(REGISTRAR), ServerId(0)), "the receiver's identifier is 0");
        assert_eq!(update.action, UpdateAction::Add);
        assert_eq!(update.pool_handle, handle(b"echo"));
        let expected = PoolElementParam {
            id: PeId(3),
            home: ServerId(REGISTRAR),
            lifetime: Lifetime::from_secs(99),
            user_transport: info.user_transport,
            policy,
            asap_transport: Some(at),
        };
        assert_eq!(update.element, expected);
        assert!(!update.takeover_suggested);
    }
}

#[test]
fn a_re_registration_is_announced_too() {
    let (mut sim, registrar, low, _) = with_peers();
    let (element, key) = sim.registered(&info_with_id(b"echo", 3), &[registrar]);
    sim.pe(element, |pe, now| pe.set_policy(now, key, Policy::RoundRobin)).unwrap();
    sim.pe(element, |pe, now| pe.reregister(now, key)).unwrap();
    sim.run_secs(1);
    let told = told(&sim, registrar, low.node);
    assert!(told.len() >= 2 && told.iter().all(|told| *told == (UpdateAction::Add, 3)), "{told:?}");
}

#[test]
fn a_deregistration_is_announced_with_all_values() {
    let (mut sim, registrar, low, high) = with_peers();
    let (element, key) = sim.registered(&info_with_id(b"echo", 3), &[registrar]);
    sim.hears(low);
    sim.hears(high);
    sim.pe(element, |pe, now| pe.deregister(now, key)).unwrap();
    sim.run_secs(1);
    for peer in [low, high] {
        let heard = sim.hears_of(peer, ty::UPDATE);
        let [(sender, receiver, update)] = updates(&heard)[..] else { panic!("one for each") };
        assert_eq!((sender, receiver), (ServerId(REGISTRAR), ServerId(0)));
        assert_eq!((update.action, update.pool_handle), (UpdateAction::Delete, handle(b"echo")));
        assert_eq!((update.element.id, update.element.user_transport), (PeId(3), service(7)));
        assert_eq!(update.element.policy, Policy::RoundRobin);
    }
}

#[test]
fn an_element_that_is_removed_for_another_reason_is_announced_as_well() {
    let (mut sim, registrar, low, _) = with_peers();
    let (element, _) = sim.registered(&info_with_id(b"echo", 3), &[registrar]);
    sim.lose_all_between(registrar, element);
    sim.run_for(Duration::from_millis(5));
    assert_eq!(told(&sim, registrar, low.node).last(), Some(&(UpdateAction::Delete, 3)));
}

#[test]
fn what_comes_from_a_peer_is_not_passed_on() {
    let (mut sim, registrar, low, high) = with_peers();
    sim.tell(low, add(b"p", owned(5, 1, 7)));
    sim.tell(low, delete(b"p", owned(5, 1, 7)));
    sim.run_secs(1);
    assert!(sim.hears_of(high, ty::UPDATE).is_empty());
    assert!(sim.enrp_sent(registrar, ty::UPDATE).is_empty());
}

#[test]
fn the_first_add_makes_the_pool_with_the_elements_policy_type() {
    let (mut sim, registrar, low, _) = with_peers();
    let policy = Policy::LeastUsed { load: 9 };
    sim.tell(low, add(b"p", PoolElementParam { policy, ..owned(5, 1, 7) }));
    let space = sim.pr(registrar).handlespace();
    let pool = space.find_pool(handle(b"p")).unwrap();
    assert_eq!(space.pool(pool).unwrap().policy_type, policy.policy_type());
    let view = space.element(space.find_element(pool, PeId(1)).unwrap()).unwrap();
    assert_eq!((view.home, view.lifetime), (ServerId(5), Lifetime::from_secs(300)));
}

#[test]
fn an_add_to_a_known_pool_adds_and_one_of_a_known_element_replaces() {
    let (mut sim, registrar, low, high) = with_peers();
    sim.tell(low, add(b"p", owned(5, 1, 7)));
    sim.tell(high, add(b"p", owned(0x900, 2, 7)));
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, 5), (b"p".to_vec(), 2, 0x900)]);
    let before = sim.space(registrar);
    sim.tell(low, add(b"p", owned(5, 1, 8)));
    let after = sim.space(registrar);
    assert_eq!(after.len(), 2);
    assert_ne!(before[0].3, after[0].3, "its transport is another one");
}

#[test]
fn doubled_updates_change_nothing() {
    let (mut sim, registrar, low, _) = with_peers();
    sim.tell(low, add(b"p", owned(5, 1, 7)));
    let space = sim.space(registrar);
    sim.tell(low, add(b"p", owned(5, 1, 7)));
    assert_eq!(sim.space(registrar), space);
    for _ in 0..2 {
        sim.tell(low, delete(b"p", owned(5, 1, 7)));
        assert_eq!(sim.space(registrar), []);
        assert_eq!(last_error(&sim, registrar), None);
    }
}

#[test]
fn a_delete_removes_the_element_and_with_the_last_one_the_pool() {
    let (mut sim, registrar, low, _) = with_peers();
    sim.tell(low, add(b"p", owned(5, 1, 7)));
    sim.tell(low, add(b"p", owned(5, 2, 7)));
    sim.tell(low, delete(b"p", owned(5, 1, 7)));
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 2, 5)]);
    let removed = RegistrarEvent::Removed { id: PeId(1), reason: RemovalReason::ByHome };
    assert!(sim.told_pr(registrar, removed));
    sim.tell(low, delete(b"p", owned(5, 2, 7)));
    assert_eq!(sim.pr(registrar).handlespace().find_pool(handle(b"p")), None);
}

#[test]
fn a_delete_of_what_is_not_known_is_no_error() {
    let (mut sim, registrar, low, _) = with_peers();
    sim.tell(low, delete(b"nothing", owned(5, 1, 7)));
    sim.tell(low, add(b"p", owned(5, 1, 7)));
    sim.tell(low, delete(b"p", owned(5, 2, 7)));
    assert_eq!(sim.elements_at(registrar), 1);
    assert_eq!(last_error(&sim, registrar), None);
    assert!(sim.enrp_sent(registrar, ty::ERROR).is_empty());
}

#[test]
fn a_delete_by_a_registrar_that_is_not_the_home_is_not_obeyed() {
    let (mut sim, registrar, low, high) = with_peers();
    sim.tell(low, add(b"p", owned(5, 1, 7)));
    sim.tell(high, delete(b"p", owned(5, 1, 7)));
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, 5)]);
    assert_eq!(last_error(&sim, registrar), Some(RecvError::NotOwner));
}

#[test]
fn an_add_that_names_a_third_registrar_as_home_is_not_obeyed() {
    let (mut sim, registrar, low, _) = with_peers();
    sim.tell(low, add(b"p", owned(0x900, 1, 7)));
    assert_eq!(sim.elements_at(registrar), 0);
    assert_eq!(last_error(&sim, registrar), Some(RecvError::NotOwner));
}

#[test]
fn an_add_by_another_registrar_changes_the_home() {
    let (mut sim, registrar, low, high) = with_peers();
    sim.tell(low, add(b"p", owned(5, 1, 7)));
    let checksum = sim.checksum_at(registrar, 5);
    sim.tell(high, add(b"p", owned(0x900, 1, 7)));
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, 0x900)]);
    assert_eq!(sim.checksum_at(registrar, 0x900), checksum, "it counts for the new home");
    assert_eq!(sim.checksum_at(registrar, 5), 0xffff);
}

#[test]
fn a_late_delete_by_the_former_home_does_not_remove_what_has_a_new_one() {
    let (mut sim, registrar, low, high) = with_peers();
    sim.tell(low, add(b"p", owned(5, 1, 7)));
    sim.tell(high, add(b"p", owned(0x900, 1, 7)));
    sim.tell(low, delete(b"p", owned(5, 1, 7)));
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, 0x900)]);
}

#[test]
fn an_update_without_a_home_is_the_senders() {
    let (mut sim, registrar, low, _) = with_peers();
    sim.tell(low, add(b"p", owned(0, 1, 7)));
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 1, 5)]);
}

#[test]
fn an_update_with_a_life_that_makes_no_sense_is_refused() {
    let (mut sim, registrar, low, _) = with_peers();
    sim.tell(low, add(b"p", PoolElementParam { lifetime: Lifetime::from_wire(-7), ..owned(5, 1, 7) }));
    assert_eq!(sim.elements_at(registrar), 0);
    assert_eq!(last_error(&sim, registrar), Some(RecvError::Unexpected));
}

#[test]
fn an_element_that_moves_to_another_registrar_is_given_up_by_the_first() {
    let mut sim = Sim::new(2);
    let [a, b] = sim.cluster::<2>(&RegistrarConfig::new());
    let (element, _) = sim.registered(&info_with_id(b"p", 3), &[a, b]);
    let home = sim.home_of(element).unwrap();
    let (other, home_id, other_id) = (if home == a { b } else { a }, sim.id_of(home), sim.id_of(a ^ b ^ home));
    sim.run_secs(1);
    assert_eq!(sim.homes(other), [(b"p".to_vec(), 3, home_id)]);
    // Its home is gone for it alone.
    sim.nodes[home].answer = Answer::Refuse;
    sim.lose_all_between(element, home);
    assert!(sim.run_until(|s| s.home_of(element) == Some(other), secs(30)));
    sim.run_secs(2);
    for n in [a, b] {
        assert_eq!(sim.homes(n), [(b"p".to_vec(), 3, other_id)]);
    }
}

/// The element has moved, without closing its association before, and does not answer to its former home.
#[test]
fn a_contested_element_that_does_not_answer_is_the_other_registrars() {
    let (mut sim, registrar, low, _) = with_peers();
    let script = sim.script();
    let (assoc, _) = sim.connect(script, registrar);
    sim.send(script, assoc, registration(b"p", param(3, 7)));
    sim.run_secs(1);
    sim.tell(low, add(b"p", owned(5, 3, 7)));
    sim.run_for(Duration::from_millis(600));
    let asked = sim.sent(registrar, KEEP_ALIVE);
    assert_eq!(asked.len(), 1, "it is asked");
    let rserpool_core::wire::AsapMessage::EndpointKeepAlive(asked) = asked[0].message() else { panic!() };
    assert!(!asked.adopt);
    sim.keep_up(&[low], secs(8));
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 3, 5)]);
    assert!(!told(&sim, registrar, low.node).contains(&(UpdateAction::Delete, 3)));
}

#[test]
fn a_contested_element_that_answers_is_claimed_back() {
    let (mut sim, registrar, low, high) = with_peers();
    sim.registered(&info_with_id(b"p", 3), &[registrar]);
    sim.run_for(Duration::from_millis(50));
    sim.hears(high);
    sim.tell(low, add(b"p", owned(5, 3, 7)));
    sim.run_secs(2);
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 3, REGISTRAR)]);
    let heard = sim.hears_of(high, ty::UPDATE);
    let updates = updates(&heard);
    assert_eq!(updates.len(), 1, "and all are told");
    assert_eq!((updates[0].2.action, updates[0].2.element.home), (UpdateAction::Add, ServerId(REGISTRAR)));
}

/// Its home was asked nothing yet when the other registrar says so again.
#[test]
fn an_element_that_is_announced_twice_is_contested_still() {
    let (mut sim, registrar, low, _) = with_peers();
    sim.registered(&info_with_id(b"p", 3), &[registrar]);
    sim.run_for(Duration::from_millis(50));
    sim.tell(low, add(b"p", owned(5, 3, 7)));
    sim.tell(low, add(b"p", owned(5, 3, 7)));
    sim.run_secs(2);
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 3, REGISTRAR)]);
}

/// RFC 5353, 3.6.3, step 5: the other registrar has given it up before the element was asked.
#[test]
fn a_contested_element_that_the_other_registrar_does_not_list_any_more_stays() {
    let (mut sim, registrar, low, _) = with_peers();
    sim.registered(&info_with_id(b"p", 3), &[registrar]);
    sim.run_for(Duration::from_millis(50));
    sim.tell(low, add(b"p", owned(5, 3, 7)));
    sim.tell(low, presence(false, Some(0xffff)));
    assert!(!sim.hears_of(low, ty::TABLE_REQUEST).is_empty());
    sim.table(low, false, &[]);
    assert_eq!(sim.elements_at(registrar), 1);
    sim.run_secs(2);
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 3, REGISTRAR)]);
}

/// RFC 5353, 3.6.3: a registrar that stood still reads anew what its peers own. An old table of theirs that names another
/// home than this one is answered by the element, and all hear the answer: they may have believed the table.
#[test]
fn an_element_that_a_table_gives_to_another_registrar_is_announced_again_if_it_answers() {
    let (mut sim, registrar, low, high) = with_peers();
    sim.registered(&info_with_id(b"p", 3), &[registrar]);
    sim.run_for(Duration::from_millis(50));
    sim.now = sim.now + secs(90);
    sim.input(registrar, rserpool_core::Input::Timeout).unwrap();
    sim.run_for(Duration::from_millis(50));
    assert!(!sim.hears_of(low, ty::TABLE_REQUEST).is_empty());
    sim.hears(high);
    sim.table(low, false, &[(b"p", &[owned(5, 3, 7)])]);
    sim.run_secs(2);
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 3, REGISTRAR)]);
    let heard = sim.hears_of(high, ty::UPDATE);
    assert!(updates(&heard).iter().any(|(.., update)| update.action == UpdateAction::Add));
}

#[test]
fn an_element_may_deregister_at_a_registrar_that_is_not_its_home() {
    for noticed in [true, false] {
        let mut sim = Sim::new(2);
        let config = RegistrarConfig { lost_association_grace: secs(30), ..RegistrarConfig::new() };
        let [a, b, c] = sim.cluster::<3>(&config);
        let script = sim.script();
        let (assoc, _) = sim.connect(script, a);
        sim.send(script, assoc, registration(b"p", param(3, 7)));
        sim.run_secs(1);
        assert!([a, b, c].iter().all(|n| sim.elements_at(*n) == 1));
        if noticed {
            sim.lose(script, assoc);
        }
        let (assoc, _) = sim.connect(script, b);
        sim.send(script, assoc, deregistration(b"p", 3));
        // A home that believes in its association asks the element first.
        sim.run_secs(if noticed { 1 } else { 6 });
        for n in [a, b, c] {
            assert_eq!(sim.homes(n), [], "at {n}");
        }
    }
}

#[test]
fn pools_that_were_made_with_different_policies_become_one() {
    for seed in 0..6 {
        let mut sim = Sim::new(seed);
        let mut config = RegistrarConfig::new();
        config.enrp.peer_heartbeat_cycle = secs(5);
        let [a, b] = sim.cluster::<2>(&config);
        // Shorter than it takes to find each other dead.
        sim.part(a, b);
        sim.registered(&info_with_id(b"p", 1), &[a]);
        let policy = Policy::WeightedRandom { weight: 3 };
        sim.registered(&ElementInfo { policy, ..info_with_id(b"p", 2) }, &[b]);
        sim.join();
        sim.run_secs(30);
        assert_eq!(sim.space(a), sim.space(b), "seed {seed}");
        assert_eq!(sim.homes(a), [(b"p".to_vec(), 2, sim.id_of(b))], "the greater identifier decides");
    }
}

#[test]
fn a_home_with_a_greater_identifier_decides_on_the_policy_of_a_pool() {
    let (mut sim, registrar, low, high) = with_peers();
    let (element, key) = sim.registered(&info_with_id(b"p", 3), &[registrar]);
    let other = Policy::WeightedRandom { weight: 3 };
    sim.tell(low, add(b"p", PoolElementParam { policy: other, ..owned(5, 1, 7) }));
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 3, REGISTRAR)], "5 is smaller than 0x100");
    assert_eq!(last_error(&sim, registrar), Some(RecvError::NotOwner));
    sim.hears(low);

    sim.tell(high, add(b"p", PoolElementParam { policy: other, ..owned(0x900, 2, 7) }));
    let removed = RegistrarEvent::Removed { id: PeId(3), reason: RemovalReason::Inconsistent };
    assert!(sim.told_pr(registrar, removed));
    assert_eq!(told(&sim, registrar, low.node).last(), Some(&(UpdateAction::Delete, 3)), "with an announcement");
    // The pool is the greater one's now; the element is told when it registers again.
    sim.tell(high, add(b"p", PoolElementParam { policy: other, ..owned(0x900, 2, 7) }));
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 2, 0x900)]);
    sim.pe(element, |pe, now| pe.reregister(now, key)).unwrap();
    sim.run_secs(2);
    assert_eq!(sim.homes(registrar), [(b"p".to_vec(), 2, 0x900)]);
    assert!(!sim.told_pe(element, ElementEvent::Registered(key)) || !sim.pe(element, |pe, _| pe.is_registered(key)));
}

#[test]
fn a_registrar_that_is_not_connected_hears_of_changes_once_it_is() {
    let mut sim = Sim::new(2);
    let [a, b] = sim.cluster::<2>(&RegistrarConfig::new());
    sim.part(a, b);
    sim.registered(&info_with_id(b"p", 3), &[a]);
    assert_eq!(sim.homes(b), []);
    sim.join();
    sim.run_secs(7);
    assert_eq!(sim.space(a), sim.space(b));
    assert_eq!(sim.elements_at(b), 1);
}

#[test]
fn subscribers_are_told_of_elements_of_other_registrars() {
    let (mut sim, registrar, low, _) = with_peers();
    sim.registered(&info_with_id(b"p", 3), &[registrar]);
    let user = sim.script();
    let (assoc, _) = sim.connect(user, registrar);
    let wanted = rserpool_core::wire::asap::HandleResolution { subscribe: true, ..resolution(b"p") };
    sim.send(user, assoc, wanted);
    sim.run_secs(1);
    sim.received(user);
    sim.tell(low, add(b"p", owned(5, 1, 7)));
    sim.run_secs(1);
    assert_eq!(sim.received(user).len(), 1);
}

#[test]
fn no_more_elements_of_peers_are_kept_than_there_is_room_for() {
    let (mut sim, registrar, low, _) = with_peers();
    for id in 1..40 {
        sim.tell(low, add(b"p", owned(5, id, 7)));
    }
    assert_eq!(sim.elements_at(registrar), 32);
    assert_eq!(last_error(&sim, registrar), Some(RecvError::Full));
    assert!(sim.trace.iter().all(|sent| sent.ppid == Ppid::Enrp));
}

#[test]
fn an_element_whose_home_is_never_heard_of_again_does_not_stay_for_ever() {
    let (mut sim, registrar, low, _) = with_peers();
    sim.tell(low, add(b"p", PoolElementParam { lifetime: Lifetime::from_secs(10), ..owned(5, 1, 7) }));
    sim.keep_up(&[low], secs(60));
    assert_eq!(sim.elements_at(registrar), 1, "its home renews it");
    sim.keep_up(&[low], secs(25));
    assert_eq!(sim.elements_at(registrar), 0);
    let removed = RegistrarEvent::Removed { id: PeId(1), reason: RemovalReason::Expired };
    assert!(sim.told_pr(registrar, removed));
}
