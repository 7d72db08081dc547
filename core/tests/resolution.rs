//! Handle resolution and dynamic updates at the registrar (RFC 5352, 3.3, 2.2.5 and 2.2.6). The asking side is a script.

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::asap::{HandleResolution, HandleResolutionResponse};
use rserpool_core::wire::{AsapMessage, Policy};
use rserpool_core::{AssocId, PeId, RegistrarConfig};

/// A registrar, a script with these elements at it, and a script that asks.
struct Asking {
    sim: Sim,
    registrar: NodeId,
    owner: NodeId,
    owned: AssocId,
    asking: NodeId,
    assoc: AssocId,
}

fn asking(config: RegistrarConfig, elements: &[(u32, Policy<'static>)]) -> Asking {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar_with(config);
    let (owner, asking) = (sim.script(), sim.script());
    let (owned, _) = sim.connect(owner, registrar);
    for (id, policy) in elements {
        let element = rserpool_core::wire::PoolElementParam { policy: *policy, ..param(*id, 7) };
        sim.send(owner, owned, registration(b"echo", element));
    }
    let (assoc, _) = sim.connect(asking, registrar);
    sim.run_for(Duration::from_millis(200));
    Asking { sim, registrar, owner, owned, asking, assoc }
}

fn round_robin(ids: std::ops::RangeInclusive<u32>) -> Vec<(u32, Policy<'static>)> {
    ids.map(|id| (id, Policy::RoundRobin)).collect()
}

impl Asking {
    fn ask(&mut self, subscribe: bool, wanted_items: Option<u32>) -> Vec<u8> {
        let request = HandleResolution { subscribe, wanted_items, ..resolution(b"echo") };
        self.sim.send(self.asking, self.assoc, request);
        self.sim.run_for(Duration::from_millis(25));
        let mut received = self.sim.received(self.asking);
        assert_eq!(received.len(), 1, "one request, one answer");
        received.remove(0).1
    }

    fn updates(&mut self) -> Vec<Vec<u8>> {
        self.sim.run_for(Duration::from_millis(100));
        self.sim.received(self.asking).into_iter().map(|(_, bytes)| bytes).collect()
    }

    fn register(&mut self, id: u32) {
        self.sim.send(self.owner, self.owned, registration(b"echo", param(id, 7)));
    }

    fn deregister(&mut self, id: u32) {
        self.sim.send(self.owner, self.owned, deregistration(b"echo", id));
    }
}

fn parsed(bytes: &[u8]) -> HandleResolutionResponse<'_> {
    match AsapMessage::parse(bytes).unwrap().message {
        AsapMessage::HandleResolutionResponse(message) => message,
        other => panic!("{other:?}"),
    }
}

fn ids(bytes: &[u8]) -> Vec<u32> {
    parsed(bytes).elements.iter().map(|e| e.id.0).collect()
}

/// 3.3: "the ENRP server MUST ... respond with ... all the PEs" of the pool, up to the registrar's limit.
#[test]
fn an_answer_holds_all_elements_up_to_the_limit() {
    let mut t = asking(RegistrarConfig::new(), &round_robin(1..=10));
    let mut all = ids(&t.ask(false, None));
    all.sort_unstable();
    assert_eq!(all, (1..=10).collect::<Vec<_>>());
    let mut t = asking(RegistrarConfig { max_items: 4, ..RegistrarConfig::new() }, &round_robin(1..=10));
    assert_eq!(ids(&t.ask(false, None)), [1, 2, 3, 4]);
}

/// The private parameter 0x803f: how many elements the user wants; 0 is as without it.
#[test]
fn a_user_may_ask_for_fewer_elements() {
    let mut t = asking(RegistrarConfig { max_items: 5, ..RegistrarConfig::new() }, &round_robin(1..=10));
    assert_eq!(ids(&t.ask(false, Some(2))).len(), 2);
    assert_eq!(ids(&t.ask(false, Some(0))).len(), 5);
    assert_eq!(ids(&t.ask(false, Some(1_000))).len(), 5);
}

/// 2.2.6 and 3.3: what is told of an element, and the pool's policy.
#[test]
fn an_answer_tells_the_pools_policy_and_each_elements_home_and_values() {
    let elements = [(1, Policy::Priority { priority: 3 }), (2, Policy::Priority { priority: 9 })];
    let mut t = asking(RegistrarConfig::new(), &elements);
    let bytes = t.ask(false, None);
    let answer = parsed(&bytes);
    assert_eq!(answer.policy.unwrap().policy_type(), 5);
    let found: Vec<_> = answer.elements.iter().map(|e| (e.id, e.home, e.policy, e.user_transport)).collect();
    let home = t.sim.pr(t.registrar).id();
    assert_eq!(found[0], (PeId(2), home, Policy::Priority { priority: 9 }, service(7)), "the first is the best");
    assert_eq!(found[1], (PeId(1), home, Policy::Priority { priority: 3 }, service(7)));
    assert_eq!(answer.elements.iter().find(|e| e.asap_transport.is_some()), None);
    // Round robin need not be told, but is: deployed users want it.
    let mut t = asking(RegistrarConfig::new(), &round_robin(1..=1));
    assert_eq!(parsed(&t.ask(false, None)).policy, Some(Policy::RoundRobin));
}

/// 3.3: "carrying an Unknown Pool Handle error".
#[test]
fn an_unknown_pool_is_answered_with_cause_9() {
    let mut t = asking(RegistrarConfig::new(), &[]);
    let bytes = t.ask(true, None);
    assert_eq!(causes(&bytes), [(9, vec![])]);
    assert!(!parsed(&bytes).accepts_updates);
    assert_eq!(t.sim.pr(t.registrar).subscriptions(), 0);
}

/// RFC 5356: nobody is selected whose weight is 0; an answer without elements is a negative one, and "If a negative
/// response is returned, no further updates to the Pool ... will occur" (2.2.5).
#[test]
fn a_pool_of_which_nobody_can_be_selected_is_a_negative_answer_without_a_subscription() {
    let mut t = asking(RegistrarConfig::new(), &[(1, Policy::WeightedRandom { weight: 0 })]);
    let bytes = t.ask(true, None);
    assert_eq!(causes(&bytes), [(6, vec![])]);
    assert!(!parsed(&bytes).accepts_updates);
    assert_eq!(t.sim.pr(t.registrar).subscriptions(), 0);
    let element = rserpool_core::wire::PoolElementParam { policy: Policy::WeightedRandom { weight: 1 }, ..param(2, 7) };
    t.sim.send(t.owner, t.owned, registration(b"echo", element));
    assert!(t.updates().is_empty());
}

/// RFC 5356, 4.1: consecutive answers begin with consecutive elements; a buffer that was too small costs no turn.
#[test]
fn round_robin_moves_on_with_each_answer() {
    let mut t = asking(RegistrarConfig::new(), &round_robin(1..=3));
    let first: Vec<_> = (0..12).map(|_| ids(&t.ask(false, Some(1)))[0]).collect();
    assert_eq!(first, [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]);
}

/// 2.2.5 and 2.2.6: the S and A bits; updates "when the Pool changes for the lifetime of the SCTP association".
#[test]
fn a_subscriber_is_told_of_every_change_of_the_pool() {
    let mut t = asking(RegistrarConfig::new(), &round_robin(1..=2));
    assert!(parsed(&t.ask(true, None)).accepts_updates);
    t.register(3);
    let updates = t.updates();
    assert_eq!(updates.len(), 1);
    assert!(parsed(&updates[0]).accepts_updates);
    assert_eq!(ids(&updates[0]).len(), 3);
    t.deregister(1);
    assert_eq!(ids(&t.updates()[0]).len(), 2);
    t.sim.lose(t.owner, t.owned);
    let last = t.updates();
    assert_eq!(causes(&last[0]), [(9, vec![])]);
    t.sim.lose(t.asking, t.assoc);
    assert_eq!(t.sim.pr(t.registrar).subscriptions(), 0);
}

#[test]
fn without_the_s_bit_nobody_is_told_anything() {
    let mut t = asking(RegistrarConfig::new(), &round_robin(1..=2));
    assert!(!parsed(&t.ask(false, None)).accepts_updates);
    t.register(3);
    assert!(t.updates().is_empty());
}

/// 2.2.5: "when the Pool changes": a registration that is renewed with the same values is no change.
#[test]
fn a_renewed_registration_without_a_change_is_no_update() {
    let mut t = asking(RegistrarConfig::new(), &round_robin(1..=2));
    t.ask(true, None);
    t.register(2);
    assert!(t.updates().is_empty());
    t.sim.send(t.owner, t.owned, registration(b"echo", param(2, 8)));
    assert_eq!(t.updates().len(), 1, "another transport is");
}

/// Changes that come together are told together.
#[test]
fn changes_within_the_update_delay_are_one_update() {
    let mut t = asking(RegistrarConfig::new(), &round_robin(1..=1));
    t.ask(true, None);
    for id in 2..=9 {
        t.register(id);
    }
    let updates = t.updates();
    assert_eq!(updates.iter().map(|u| ids(u).len()).collect::<Vec<_>>(), [9]);
    for id in 2..=9 {
        t.deregister(id);
    }
    assert_eq!(t.updates().len(), 1);
}

/// Someone who subscribes while others have an update coming misses nothing that happens after the answer.
#[test]
fn a_subscriber_that_joins_between_two_changes_is_told_of_the_second() {
    let config = RegistrarConfig { update_delay: Duration::from_millis(500), ..RegistrarConfig::new() };
    let mut t = asking(config, &round_robin(1..=1));
    t.ask(true, None);
    let late = t.sim.script();
    let (assoc, _) = t.sim.connect(late, t.registrar);
    t.register(2);
    t.sim.run_for(Duration::from_millis(100));
    t.sim.send(late, assoc, HandleResolution { subscribe: true, ..resolution(b"echo") });
    t.sim.run_for(Duration::from_millis(100));
    t.register(3);
    t.sim.run_secs(1);
    let received = t.sim.received(late);
    assert_eq!(received.iter().map(|(_, bytes)| ids(bytes).len()).collect::<Vec<_>>(), [2, 3]);
}

/// 2.2.5: "the 'S' bit will only cause Dynamic update of a Pool when the Pool exists": its end is told once, and ends it.
#[test]
fn the_end_of_a_pool_ends_its_subscriptions() {
    let mut t = asking(RegistrarConfig::new(), &round_robin(1..=1));
    t.ask(true, None);
    t.deregister(1);
    let updates = t.updates();
    assert_eq!(updates.len(), 1);
    assert_eq!(causes(&updates[0]), [(9, vec![])]);
    assert_eq!(t.sim.pr(t.registrar).subscriptions(), 0);
    t.register(1);
    assert!(t.updates().is_empty());
}

/// The notice that a pool was gone must not end a subscription to the pool that has come in its place.
#[test]
fn who_subscribes_anew_to_a_pool_that_came_back_is_not_told_that_it_was_gone() {
    let config = RegistrarConfig { update_delay: Duration::from_millis(500), ..RegistrarConfig::new() };
    let mut t = asking(config, &round_robin(1..=1));
    t.ask(true, None);
    t.deregister(1);
    t.register(2);
    t.sim.run_for(Duration::from_millis(50));
    assert_eq!(ids(&t.ask(true, None)), [2]);
    t.sim.run_secs(2);
    assert!(t.sim.received(t.asking).is_empty());
    assert_eq!(t.sim.pr(t.registrar).subscriptions(), 1);
    t.register(3);
    t.sim.run_secs(2);
    assert_eq!(ids(&t.sim.received(t.asking)[0].1).len(), 2);
}

/// To ask with S again does not make two subscriptions.
#[test]
fn a_repeated_subscription_is_one() {
    let mut t = asking(RegistrarConfig::new(), &round_robin(1..=1));
    for _ in 0..20 {
        assert!(parsed(&t.ask(true, None)).accepts_updates);
    }
    assert_eq!(t.sim.pr(t.registrar).subscriptions(), 1);
    t.register(2);
    assert_eq!(t.updates().len(), 1);
}

/// 2.2.6: A = 0 where "it has resource issues and cannot supply this feature".
#[test]
fn a_subscription_beyond_the_limit_is_answered_without_the_a_bit() {
    let config = RegistrarConfig { max_subscriptions_per_association: 0, ..RegistrarConfig::new() };
    let mut t = asking(config, &round_robin(1..=1));
    let bytes = t.ask(true, None);
    assert!(!parsed(&bytes).accepts_updates);
    assert_eq!(ids(&bytes), [1]);
    t.register(2);
    assert!(t.updates().is_empty());
}

/// Subscriptions end with their association, also while an update is waiting.
#[test]
fn subscriptions_end_with_their_association_and_leave_room() {
    let mut t = asking(RegistrarConfig::new(), &round_robin(1..=1));
    for round in 0..100 {
        assert!(parsed(&t.ask(true, None)).accepts_updates, "round {round}: 8 places in all");
        t.register(round % 2 + 5);
        t.sim.run_for(Duration::from_millis(12));
        t.sim.lose(t.asking, t.assoc);
        t.assoc = t.sim.connect(t.asking, t.registrar).0;
        t.sim.received(t.asking);
    }
    assert_eq!(t.sim.nodes[t.registrar].errors, []);
}
