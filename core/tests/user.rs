//! The pool user: requests and their timer (RFC 5352, 3.3, 3.7.2, 6.7), the cache (C1 to C4, 6.4), selection, failures
//! and reports (3.5, 6.9.2; RFC 5351, 4.1).

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::asap::EndpointUnreachable;
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::{AsapMessage, Lifetime, Policy, PoolElementParam};
use rserpool_core::{
    AssocId, Compat, ElementEvent, EndpointConfig, Input, Link, PeId, Resolution, ResolveError, SelectError,
    Unresolved, UserEvent,
};

const ROUND_ROBIN: Option<Policy<'static>> = Some(Policy::RoundRobin);

struct Using {
    sim: Sim,
    registrar: NodeId,
    assoc: AssocId,
    pu: NodeId,
}

/// A pool user whose home is a script.
fn using(config: EndpointConfig) -> Using {
    let mut sim = Sim::new(1);
    let registrar = sim.script();
    let pu = sim.user_with(config, &[registrar]);
    sim.run_for(Duration::from_millis(100));
    let assoc = sim.associations(registrar)[0];
    Using { sim, registrar, assoc, pu }
}

impl Using {
    fn resolve(&mut self) -> (Resolution, bool) {
        self.sim.pu(self.pu, |pu, now| pu.resolve(now, b"echo")).unwrap()
    }

    fn answer(&mut self, ids: impl IntoIterator<Item = u32>) {
        let elements: Vec<_> = ids.into_iter().map(|id| param(id, 7)).collect();
        self.sim.send_bytes(self.registrar, self.assoc, &answer(b"echo", false, ROUND_ROBIN, &elements));
        self.sim.run_for(Duration::from_millis(50));
    }

    /// Resolved by these elements.
    fn resolved(&mut self, ids: impl IntoIterator<Item = u32>) -> Resolution {
        let (pool, _) = self.resolve();
        self.answer(ids);
        assert!(self.sim.told_pu(self.pu, UserEvent::Resolved(pool)));
        pool
    }

    fn primary(&mut self, pool: Resolution) -> Result<u32, SelectError> {
        self.sim.pu(self.pu, |pu, now| pu.primary(now, pool).map(|e| e.id.0))
    }

    fn next(&mut self, pool: Resolution, failed: u32) -> Result<u32, SelectError> {
        self.sim.pu(self.pu, |pu, now| pu.next(now, pool, PeId(failed)).map(|e| e.id.0))
    }

    fn requests(&self) -> usize {
        self.sim.count(self.pu, HANDLE_RESOLUTION)
    }

    fn reports(&self) -> Vec<u32> {
        let sent = self.sim.sent(self.pu, UNREACHABLE);
        let ids = sent.iter().map(|sent| match sent.message() {
            AsapMessage::EndpointUnreachable(EndpointUnreachable { pool_handle, id }) => {
                assert_eq!(pool_handle.as_bytes(), b"echo");
                id.0
            }
            other => panic!("{other:?}"),
        });
        ids.collect()
    }
}

/// 3.3, NR1 to NR3, 6.9.1.
#[test]
fn a_resolution_without_a_home_waits_for_one() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    let pu = sim.user(&[registrar]);
    let (pool, usable) = sim.pu(pu, |pu, now| pu.resolve(now, b"echo")).unwrap();
    assert!(!usable);
    assert_eq!(sim.pu(pu, |pu, now| pu.primary(now, pool).map(|e| e.id)), Err(SelectError::Pending));
    sim.run_secs(1);
    assert!(sim.told_pu(pu, UserEvent::Resolved(pool)));
    let (id, transport) = sim.pu(pu, |pu, now| pu.primary(now, pool).map(|e| (e.id, e.user_transport.port()))).unwrap();
    assert_eq!((id, transport), (PeId(5), Some(7)));
    assert_eq!(sim.pu(pu, |pu, _| pu.policy_type(pool)), Some(1));
    assert_eq!(sim.pu(pu, |pu, _| pu.pool_handle(pool).unwrap().to_vec()), b"echo");
    let AsapMessage::HandleResolution(request) = sim.sent(pu, HANDLE_RESOLUTION)[0].message() else { panic!() };
    assert_eq!((request.pool_handle.as_bytes(), request.wanted_items), (&b"echo"[..], None));
}

/// 3.2 and 3.3, NR3; 4: a pool element that is a pool user as well does everything over one association.
#[test]
fn a_pool_element_resolves_and_reports_over_the_association_it_registered_with() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pe, key) = sim.registered(&info_with_id(b"echo", 5), &[registrar]);
    let (pool, _) = sim.pe(pe, |pe, now| pe.resolve(now, b"echo")).unwrap();
    sim.run_secs(1);
    assert!(sim.told_pe(pe, ElementEvent::Resolved(pool)));
    assert_eq!(sim.pe(pe, |pe, now| pe.primary(now, pool).map(|e| e.id)), Ok(PeId(5)));
    assert!(sim.pe(pe, |pe, now| pe.report_failure(now, pool, PeId(5))));
    sim.pe(pe, |pe, now| pe.deregister(now, key)).unwrap();
    sim.run_secs(1);
    assert_eq!((sim.count(pe, UNREACHABLE), sim.count(pe, DEREGISTRATION)), (1, 1));
    assert_eq!(sim.pr(registrar).stats().unreachable_reports, 1);
    assert_eq!(sim.elements_at(registrar), 0);
    assert_eq!((sim.nodes[pe].dialled.len(), sim.associations(pe).len()), (1, 1));
}

/// 3.7.2: "re-send the original request ... repeated up to MAX-REQUEST-RETRANSMIT times. After that, an Error.Report
/// notification". 7.1: T1 is 15 seconds.
#[test]
fn t1_repeats_a_request_max_request_retransmit_times_and_then_reports() {
    let mut t = using(EndpointConfig::new());
    let (pool, _) = t.resolve();
    t.sim.run_secs(44);
    assert_eq!(t.sim.times(t.pu, HANDLE_RESOLUTION), [100, 15_100, 30_100]);
    let failed = UserEvent::Unresolved(pool, Unresolved::NoAnswer);
    assert!(!t.sim.told_pu(t.pu, failed));
    t.sim.run_secs(2);
    assert!(t.sim.told_pu(t.pu, failed));
    assert!(t.sim.told_pu(t.pu, UserEvent::HomeLost), "the home does not answer");
    t.sim.run_secs(1_000);
    assert_eq!(t.requests(), 3, "the request is discarded");
    assert_eq!(t.primary(pool), Err(SelectError::NoAnswer));
    // To resolve again is to ask again.
    assert_eq!(t.resolve(), (pool, false));
    assert_eq!(t.primary(pool), Err(SelectError::Pending));
    t.sim.run_secs(100);
    assert!(t.requests() > 3);
    assert_eq!(t.sim.nodes[t.pu].events.iter().filter(|(_, e)| *e == Event::User(failed)).count(), 2);
}

/// 3.7.2: "In parallel, the ASAP Endpoint should begin the ENRP server hunt"; "adopt the responding ENRP server as its new
/// Home ENRP server and re-send the request".
#[test]
fn another_registrar_is_looked_for_in_parallel_and_asked_at_once() {
    let mut t = using(EndpointConfig::new());
    let (pool, _) = t.resolve();
    let other = t.sim.registrar();
    t.sim.registered(&info_with_id(b"echo", 5), &[other]);
    t.sim.pu(t.pu, |pu, _| pu.add_server(Link::Tcp, &[address_of(other)]));
    t.sim.run_secs(14);
    assert_eq!(t.sim.home_of(t.pu), Some(t.registrar));
    t.sim.run_secs(2);
    assert_eq!(t.sim.home_of(t.pu), Some(other));
    assert!(t.sim.told_pu(t.pu, UserEvent::Resolved(pool)));
    assert!(t.sim.associations(t.registrar).is_empty());
}

/// The hunt beside a home that answers after all has no reason any more.
#[test]
fn an_answer_ends_the_hunt_that_went_on_in_parallel() {
    let mut t = using(EndpointConfig::new());
    let silent = t.sim.script();
    t.sim.nodes[silent].answer = Answer::Silence;
    t.sim.pu(t.pu, |pu, _| pu.add_server(Link::Tcp, &[address_of(silent)]));
    t.resolve();
    t.sim.run_secs(16);
    t.answer([1]);
    t.sim.nodes[silent].answer = Answer::Accept;
    t.sim.run_secs(500);
    assert_eq!(t.sim.home_of(t.pu), Some(t.registrar));
    assert_eq!(t.sim.nodes[t.pu].dialled.len(), 2);
}

/// 3.3 and 3.7.1: SEND.FAILURE and the loss of the association; the request is made anew for the next home.
#[test]
fn a_request_survives_the_loss_of_the_home() {
    for by_send_failure in [true, false] {
        let mut t = using(EndpointConfig::new());
        let (pool, _) = t.resolve();
        let other = t.sim.registrar();
        t.sim.registered(&info_with_id(b"echo", 5), &[other]);
        t.sim.pu(t.pu, |pu, _| pu.add_server(Link::Tcp, &[address_of(other)]));
        t.sim.nodes[t.registrar].answer = Answer::Refuse;
        let assoc = t.sim.associations(t.pu)[0];
        if by_send_failure {
            t.sim.input(t.pu, Input::SendFailed { assoc }).unwrap();
        } else {
            t.sim.lose(t.pu, assoc);
        }
        t.sim.run_secs(1);
        assert!(t.sim.told_pu(t.pu, UserEvent::Resolved(pool)));
    }
}

#[test]
fn without_any_registrar_a_resolution_fails_after_the_time_of_all_its_attempts() {
    let mut sim = Sim::new(1);
    let pu = sim.user(&[]);
    let (pool, _) = sim.pu(pu, |pu, now| pu.resolve(now, b"echo")).unwrap();
    sim.run_secs(44);
    assert!(sim.nodes[pu].events.is_empty());
    sim.run_secs(2);
    assert!(sim.told_pu(pu, UserEvent::Unresolved(pool, Unresolved::NoAnswer)));
}

/// C1, C4: "If the cache entry is NOT stale, the endpoint SHOULD NOT send a handle resolution request".
#[test]
fn a_fresh_answer_is_used_without_a_request() {
    let mut t = using(EndpointConfig::new());
    let pool = t.resolved([1]);
    t.sim.run_secs(29);
    assert_eq!(t.resolve(), (pool, true));
    assert_eq!(t.primary(pool), Ok(1));
    assert_eq!(t.requests(), 1);
}

/// C2, C3: "it may block the user and wait for an updated cache".
#[test]
fn a_stale_answer_is_renewed_before_it_is_used() {
    let mut t = using(EndpointConfig::new());
    let pool = t.resolved([1]);
    t.sim.run_secs(31);
    assert_eq!(t.resolve(), (pool, false));
    assert_eq!(t.primary(pool), Err(SelectError::Pending));
    assert_eq!(t.requests(), 2);
    t.answer([2]);
    assert_eq!(t.primary(pool), Ok(2));
}

/// C3: "the implementation may, in parallel, update the cache and answer the request".
#[test]
fn a_stale_answer_is_used_while_it_is_renewed_where_that_is_wanted() {
    let mut t = using(EndpointConfig { serve_stale: true, ..EndpointConfig::new() });
    let pool = t.resolved([1]);
    t.sim.run_secs(31);
    assert_eq!(t.resolve(), (pool, true));
    assert_eq!(t.primary(pool), Ok(1));
    assert_eq!(t.requests(), 2);
}

/// 6.4: Cache_Purge_Request.
#[test]
fn a_purged_pool_is_forgotten() {
    let mut t = using(EndpointConfig::new());
    let pool = t.resolved([1]);
    t.sim.pu(t.pu, |pu, _| pu.purge(pool));
    assert_eq!(t.primary(pool), Err(SelectError::Unknown));
    let (again, usable) = t.resolve();
    assert!(!usable && again != pool);
    assert_eq!(t.requests(), 2);
}

/// A full cache: the pool that was not used for longest makes room, unless it is waiting for an answer.
#[test]
fn the_least_recently_used_pool_makes_room() {
    let mut t = using(EndpointConfig::new());
    let echo = t.resolved([1]);
    t.sim.run_secs(1);
    t.primary(echo).unwrap();
    let resolve = |t: &mut Using, pool: &[u8]| t.sim.pu(t.pu, |pu, now| pu.resolve(now, pool));
    let (a, _) = resolve(&mut t, b"a").unwrap();
    t.sim.run_secs(1);
    // "a" is waiting for an answer; "echo" is not.
    let (b, _) = resolve(&mut t, b"b").unwrap();
    assert_eq!(t.primary(echo), Err(SelectError::Unknown));
    assert_eq!((t.primary(a), t.primary(b)), (Err(SelectError::Pending), Err(SelectError::Pending)));
    assert_eq!(resolve(&mut t, b"c"), Err(ResolveError::Full));
    assert_eq!(resolve(&mut t, b""), Err(ResolveError::BadHandle));
    assert_eq!(resolve(&mut t, &[b'x'; 33]), Err(ResolveError::BadHandle), "whether there is room or not");
}

/// A report that waits for a home is not left over by a pool that makes room.
#[test]
fn a_pool_that_makes_room_takes_its_reports_with_it() {
    let mut t = using(EndpointConfig::new());
    let pool = t.resolved([1]);
    t.primary(pool).unwrap();
    t.sim.nodes[t.registrar].answer = Answer::Refuse;
    t.sim.lose_all_between(t.registrar, t.pu);
    t.next(pool, 1).unwrap_err();
    t.sim.run_secs(60);
    for handle in [b"a", b"b"] {
        t.sim.pu(t.pu, |pu, now| pu.resolve(now, handle)).unwrap();
    }
    t.sim.nodes[t.registrar].answer = Answer::Accept;
    t.sim.run_secs(100);
    assert!(t.reports().is_empty());
}

/// 3.3: cause 9 ends the request with an error for the user.
#[test]
fn a_refused_resolution_is_reported_with_its_cause() {
    let mut t = using(EndpointConfig::new());
    let (pool, _) = t.resolve();
    t.sim.send_bytes(t.registrar, t.assoc, &no_answer(b"echo", Cause::UnknownPoolHandle));
    t.sim.run_secs(1);
    assert!(t.sim.told_pu(t.pu, UserEvent::Unresolved(pool, Unresolved::Refused(9))));
    assert_eq!(t.primary(pool), Err(SelectError::Refused(9)));
    t.sim.run_secs(100);
    assert_eq!(t.requests(), 1);
}

/// 6.5.2 and RFC 5356, 4.1: the user goes through the answer round robin, in its order.
#[test]
fn elements_are_handed_out_by_the_pools_policy() {
    let mut t = using(EndpointConfig::new());
    let pool = t.resolved([3, 1, 2]);
    let order: Vec<_> = (0..6).map(|_| t.primary(pool).unwrap()).collect();
    assert_eq!(order, [3, 1, 2, 3, 1, 2]);
    let (pool, _) = t.sim.pu(t.pu, |pu, now| pu.resolve(now, b"p")).unwrap();
    let element = |id, priority| PoolElementParam { policy: Policy::Priority { priority }, ..param(id, 7) };
    let elements = [element(1, 5), element(2, 1)];
    t.sim.send_bytes(t.registrar, t.assoc, &answer(b"p", false, Some(Policy::Priority { priority: 0 }), &elements));
    t.sim.run_secs(1);
    assert_eq!((t.primary(pool), t.primary(pool), t.next(pool, 1)), (Ok(1), Ok(1), Ok(2)));
}

/// RFC 5354, 3.10: the Registration Life is in seconds. rsplib's registrars tell milliseconds.
#[test]
fn lives_are_milliseconds_where_the_registrar_is_rsplib() {
    for (compat, expected) in [(Compat::Rfc, 90_000), (Compat::Auto, 90_000), (Compat::Rsplib, 90)] {
        let mut t = using(EndpointConfig { compat, ..EndpointConfig::new() });
        let (pool, _) = t.resolve();
        let element = PoolElementParam { lifetime: Lifetime::from_secs(90_000), ..param(1, 7) };
        t.sim.send_bytes(t.registrar, t.assoc, &answer(b"echo", false, ROUND_ROBIN, &[element]));
        t.sim.run_secs(1);
        let all = t.sim.pu(t.pu, |pu, _| pu.elements(pool).map(|e| e.lifetime).collect::<Vec<_>>());
        let handed_out = t.sim.pu(t.pu, |pu, now| pu.primary(now, pool).map(|e| e.lifetime));
        assert_eq!((all, handed_out), (vec![Lifetime::from_secs(expected)], Ok(Lifetime::from_secs(expected))));
    }
}

/// 2.2.6: "If not present, a Round-Robin overall pool member selection policy is assumed", and policies within elements
/// "MUST be ignored" for that.
#[test]
fn without_a_policy_parameter_it_is_round_robin() {
    let mut t = using(EndpointConfig::new());
    let (pool, _) = t.resolve();
    let element = |id| PoolElementParam { policy: Policy::Priority { priority: id }, ..param(id, 7) };
    t.sim.send_bytes(t.registrar, t.assoc, &answer(b"echo", false, None, &[element(1), element(2)]));
    t.sim.run_secs(1);
    assert_eq!([t.primary(pool), t.primary(pool), t.primary(pool)], [Ok(1), Ok(2), Ok(1)]);
}

/// 3.5: "MUST report no more than once each time it encounters such an event", and "MUST NOT send an
/// ASAP_ENDPOINT_UNREACHABLE message unless the user has made a previous request to send data to the PE".
#[test]
fn only_an_element_that_was_handed_out_is_reported_and_once_each_time() {
    let mut t = using(EndpointConfig::new());
    let pool = t.resolved([1, 2]);
    let report = |t: &mut Using, id| t.sim.pu(t.pu, |pu, now| pu.report_failure(now, pool, PeId(id)));
    assert!(!report(&mut t, 1), "nobody was told of it");
    assert!(!report(&mut t, 9), "nor of this one, which does not exist");
    assert_eq!(t.primary(pool), Ok(2));
    assert!(report(&mut t, 2));
    assert!(!report(&mut t, 2));
    assert_eq!(t.reports(), [2]);
    // A new answer names it again; so it may be handed out, fail and be reported again.
    t.sim.run_secs(31);
    t.resolved([2]);
    t.primary(pool).unwrap();
    assert!(report(&mut t, 2));
    assert_eq!(t.reports(), [2, 2]);
}

/// RFC 5351, 4.1, GETNEXTSERVER: the failed one is reported and passed over.
#[test]
fn the_next_element_is_another_one_until_all_have_failed() {
    let mut t = using(EndpointConfig::new());
    let pool = t.resolved([1, 2, 3]);
    assert_eq!(t.primary(pool), Ok(1));
    assert_eq!(t.next(pool, 1), Ok(2));
    assert_eq!(t.next(pool, 2), Ok(3));
    assert_eq!(t.primary(pool), Ok(3));
    assert_eq!(t.requests(), 1);
    assert_eq!(t.next(pool, 3), Err(SelectError::Exhausted));
    assert_eq!(t.reports(), [1, 2, 3]);
    assert_eq!(t.requests(), 2, "a fresh answer is asked for");
    t.answer([2]);
    assert_eq!(t.primary(pool), Ok(2));
}

/// 3.5: "to any ENRP server": a report that cannot be sent now is sent to the next home.
#[test]
fn a_report_waits_for_a_home() {
    let mut t = using(EndpointConfig::new());
    let pool = t.resolved([1, 2]);
    t.primary(pool).unwrap();
    t.sim.nodes[t.registrar].answer = Answer::Refuse;
    t.sim.lose_all_between(t.registrar, t.pu);
    assert_eq!(t.next(pool, 1), Ok(2));
    assert!(t.reports().is_empty());
    t.sim.nodes[t.registrar].answer = Answer::Accept;
    t.sim.run_secs(60);
    assert_eq!(t.reports(), [1]);
}

/// More elements than there is room for: those that fit are usable.
#[test]
fn an_answer_that_does_not_fit_is_used_as_far_as_it_does() {
    let mut t = using(EndpointConfig::new());
    let pool = t.resolved(1..=100);
    assert_eq!(t.sim.pu(t.pu, |pu, _| pu.elements(pool).count()), 16);
    t.sim.run_secs(31);
    t.resolved(50..=52);
    let ids = t.sim.pu(t.pu, |pu, _| pu.elements(pool).map(|e| e.id.0).collect::<Vec<_>>());
    assert_eq!(ids, [50, 51, 52]);
}

#[test]
fn an_element_that_is_named_twice_is_one() {
    let mut t = using(EndpointConfig::new());
    let pool = t.resolved([1, 2, 1, 1]);
    assert_eq!(t.sim.pu(t.pu, |pu, _| pu.elements(pool).count()), 2);
}
