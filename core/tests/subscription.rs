//! Dynamic updates as a pool user sees them (RFC 5352, 2.2.5 and 2.2.6: the S and A bits).

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::AsapMessage;
use rserpool_core::wire::cause::Cause;
use rserpool_core::{AssocId, EndpointConfig, PeId, Resolution, SelectError, UserEvent};

struct Subscribed {
    sim: Sim,
    registrar: NodeId,
    assoc: AssocId,
    pu: NodeId,
    pool: Resolution,
}

fn subscribed(updates: bool) -> Subscribed {
    let mut sim = Sim::new(1);
    let registrar = sim.script();
    let pu = sim.user_with(EndpointConfig::new(), &[registrar]);
    sim.run_for(Duration::from_millis(100));
    let assoc = sim.associations(registrar)[0];
    let (pool, _) = sim.pu(pu, |pu, now| pu.subscribe(now, b"echo")).unwrap();
    let mut t = Subscribed { sim, registrar, assoc, pu, pool };
    t.update(updates, &[1]);
    assert!(t.sim.told_pu(pu, UserEvent::Resolved(pool)));
    t
}

impl Subscribed {
    fn update(&mut self, updates: bool, ids: &[u32]) {
        let elements: Vec<_> = ids.iter().map(|id| param(*id, 7)).collect();
        self.sim.send_bytes(self.registrar, self.assoc, &answer(b"echo", updates, None, &elements));
        self.sim.run_for(Duration::from_millis(50));
    }

    fn ids(&mut self) -> Vec<u32> {
        let pool = self.pool;
        self.sim.pu(self.pu, |pu, _| pu.elements(pool).map(|e| e.id.0).collect())
    }

    fn updates(&self) -> usize {
        let updated = Event::User(UserEvent::Updated(self.pool));
        self.sim.nodes[self.pu].events.iter().filter(|(_, e)| *e == updated).count()
    }

    fn primary(&mut self) -> Result<u32, SelectError> {
        let pool = self.pool;
        self.sim.pu(self.pu, |pu, now| pu.primary(now, pool).map(|e| e.id.0))
    }
}

fn requests(sim: &Sim, pu: NodeId) -> Vec<bool> {
    let sent = sim.sent(pu, HANDLE_RESOLUTION);
    let bits = sent.iter().map(|sent| match sent.message() {
        AsapMessage::HandleResolution(message) => message.subscribe,
        other => panic!("{other:?}"),
    });
    bits.collect()
}

#[test]
fn with_the_a_bit_updates_keep_the_cache_fresh_without_requests() {
    let mut t = subscribed(true);
    t.sim.run_secs(1_000);
    assert_eq!(t.primary(), Ok(1));
    t.update(true, &[2, 3]);
    assert_eq!(t.updates(), 1);
    assert_eq!(t.ids(), [2, 3]);
    assert_eq!(requests(&t.sim, t.pu), [true]);
}

/// A = 0: no updates will come, so the registrar is asked whenever the answer is stale.
#[test]
fn without_the_a_bit_the_registrar_is_asked_again() {
    let mut t = subscribed(false);
    t.sim.run_secs(31);
    assert_eq!(requests(&t.sim, t.pu), [true, true]);
    t.update(false, &[2]);
    assert_eq!(t.ids(), [2]);
}

/// 2.2.5: a pool that vanishes ends the updates; it may come back.
#[test]
fn a_pool_that_vanishes_is_told_and_asked_for_again() {
    let mut t = subscribed(true);
    t.sim.send_bytes(t.registrar, t.assoc, &no_answer(b"echo", Cause::UnknownPoolHandle));
    t.sim.run_secs(1);
    assert_eq!(t.updates(), 1);
    assert!(t.ids().is_empty());
    assert_eq!(t.primary(), Err(SelectError::Refused(9)));
    // What comes now is no update any more.
    t.update(true, &[2]);
    assert!(t.ids().is_empty());
    t.sim.run_secs(31);
    assert_eq!(requests(&t.sim, t.pu), [true, true]);
    t.update(true, &[3]);
    assert_eq!(t.primary(), Ok(3));
}

/// 2.2.5: "upon change of Home ENRP server, the PU will need to re-send an ASAP_HANDLE_RESOLUTION message with the 'S' bit".
#[test]
fn a_subscription_is_sent_again_to_a_new_home() {
    let mut t = subscribed(true);
    t.sim.run_secs(11);
    t.sim.lose_all_between(t.pu, t.registrar);
    // It stays usable in the meantime, for as long as any answer does.
    assert_eq!(t.primary(), Ok(1));
    t.sim.run_secs(1);
    assert_eq!(requests(&t.sim, t.pu), [true, true]);
    t.assoc = t.sim.associations(t.registrar)[0];
    t.update(true, &[2]);
    t.sim.run_secs(1_000);
    assert_eq!(t.primary(), Ok(2));
    assert_eq!(requests(&t.sim, t.pu), [true, true]);
}

#[test]
fn a_subscription_survives_the_lack_of_any_registrar() {
    let mut t = subscribed(true);
    t.sim.nodes[t.registrar].answer = Answer::Refuse;
    t.sim.lose_all_between(t.pu, t.registrar);
    t.sim.run_secs(1_000);
    t.sim.nodes[t.registrar].answer = Answer::Accept;
    t.sim.run_secs(100);
    t.assoc = t.sim.associations(t.registrar)[0];
    assert_eq!(requests(&t.sim, t.pu).last(), Some(&true));
    t.update(true, &[4]);
    assert_eq!(t.primary(), Ok(4));
}

/// Who subscribes while a plain request is under way gets updates as well.
#[test]
fn a_subscription_during_a_request_is_asked_for_after_it() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    sim.registered(&info_with_id(b"echo", 1), &[registrar]);
    let pu = sim.user(&[registrar]);
    sim.run_secs(1);
    let (pool, _) = sim.pu(pu, |pu, now| pu.resolve(now, b"echo")).unwrap();
    let (same, _) = sim.pu(pu, |pu, now| pu.subscribe(now, b"echo")).unwrap();
    assert_eq!(pool, same);
    sim.run_secs(1);
    assert_eq!(requests(&sim, pu), [false, true]);
    assert_eq!(sim.pr(registrar).subscriptions(), 1);
    sim.registered(&info_with_id(b"echo", 2), &[registrar]);
    sim.run_secs(1);
    assert!(sim.told_pu(pu, UserEvent::Updated(pool)));
}

/// What comes after the subscription has ended is ignored, and so the answer grows stale like any other.
#[test]
fn without_a_subscription_updates_are_ignored_and_the_answer_grows_stale() {
    let mut t = subscribed(true);
    let pool = t.pool;
    t.sim.pu(t.pu, |pu, _| pu.unsubscribe(pool));
    t.update(true, &[2]);
    assert_eq!((t.updates(), t.ids()), (0, vec![1]));
    assert_eq!(t.primary(), Ok(1));
    t.sim.run_secs(31);
    assert_eq!(t.primary(), Err(SelectError::Pending));
    assert_eq!(requests(&t.sim, t.pu), [true, false]);
}

/// The whole way: element, registrar, user.
#[test]
fn a_user_sees_elements_come_and_go() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (first, _) = sim.registered(&info_with_id(b"echo", 1), &[registrar]);
    let pu = sim.user(&[registrar]);
    let (pool, _) = sim.pu(pu, |pu, now| pu.subscribe(now, b"echo")).unwrap();
    sim.run_secs(1);
    let (_, _) = sim.registered(&info_with_id(b"echo", 2), &[registrar]);
    sim.run_secs(1);
    let count = |sim: &mut Sim| sim.pu(pu, |pu, _| pu.elements(pool).count());
    assert_eq!(count(&mut sim), 2);
    sim.nodes[registrar].answer = Answer::Refuse;
    sim.lose_all_between(first, registrar);
    sim.run_secs(1);
    assert_eq!(count(&mut sim), 1);
    assert_eq!(sim.pu(pu, |pu, now| pu.primary(now, pool).map(|e| e.id)), Ok(PeId(2)));
}
