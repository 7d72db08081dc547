//! The server hunt (RFC 5352, 3.6; T5, T6, T7 and RETRAN-MAX of 7).

mod harness;

use std::net::SocketAddr;
use std::time::Duration;

use harness::*;
use rserpool_core::wire::Transport;
use rserpool_core::{EndpointConfig, Input, Instant, Link, Links, RegistrarConfig, UserEvent};

fn dial_times(sim: &Sim, n: NodeId) -> Vec<u64> {
    sim.nodes[n].dialled.iter().map(|(at, _)| at.as_micros() / 1_000).collect()
}

/// "At its startup ... a PE or PU MUST establish a new Home ENRP server".
#[test]
fn the_hunt_begins_at_startup() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let (pu, pe) = (sim.user(&[registrar]), sim.element(&[registrar]));
    sim.run_secs(1);
    assert_eq!((sim.home_of(pu), sim.home_of(pe)), (Some(registrar), Some(registrar)));
    assert!(matches!(sim.nodes[pu].events[..], [(_, Event::User(UserEvent::HomeFound(_)))]));
}

/// SH1: "no more than three".
#[test]
fn three_registrars_are_dialled_at_once_and_no_more() {
    let mut sim = Sim::new(1);
    let silent: Vec<_> = (0..6).map(|_| sim.script()).collect();
    for n in &silent {
        sim.nodes[*n].answer = Answer::Silence;
    }
    let pu = sim.user(&silent);
    sim.run_secs(9);
    assert_eq!(dial_times(&sim, pu), [0, 0, 0]);
    // SH5: T5 expired; "a different set of transport addresses".
    sim.run_secs(2);
    assert_eq!(dial_times(&sim, pu)[3..], [10_000, 10_000, 10_000]);
    assert_eq!(sim.nodes[pu].abandoned, 3);
    let mut tried: Vec<_> = sim.nodes[pu].dialled.iter().map(|(_, n)| *n).collect();
    tried.sort_unstable();
    assert_eq!(tried, silent);
}

/// SH2, SH5.1: T5 is 10 seconds and doubles up to RETRAN.max.
#[test]
fn t5_doubles_up_to_retran_max() {
    let mut sim = Sim::new(1);
    let silent = sim.script();
    sim.nodes[silent].answer = Answer::Silence;
    let pu = sim.user(&[silent]);
    sim.run_secs(300);
    assert_eq!(dial_times(&sim, pu), [0, 10_000, 30_000, 70_000, 130_000, 190_000, 250_000]);
    // SH3: with success T5 goes back to its first value.
    sim.nodes[silent].answer = Answer::Accept;
    sim.run_secs(20);
    let (_, assoc) = (sim.home_of(pu).unwrap(), sim.associations(pu)[0]);
    let error = bytes_of(rserpool_core::wire::asap::AsapError {
        error: rserpool_core::wire::OperationError::new(&[rserpool_core::wire::cause::Cause::Unspecified]),
    });
    sim.input(pu, Input::Message { assoc, ppid: rserpool_core::Ppid::Asap, bytes: &error }).unwrap();
    // Success is a home that has spoken and lasted for T5: one that greets and closes is none.
    sim.run_secs(11);
    sim.nodes[silent].answer = Answer::Silence;
    sim.lose(pu, assoc);
    let start = sim.now.as_micros() / 1_000;
    let before = dial_times(&sim, pu).len();
    sim.run_secs(35);
    let after: Vec<_> = dial_times(&sim, pu)[before - 1..].iter().map(|at| at - start).collect();
    assert_eq!(after, [0, 10_000, 30_000]);
}

/// SH4: "If an association or connection establishment fails, the ASAP Endpoint SHOULD try ... a different transport
/// address."
#[test]
fn a_refused_attempt_is_followed_by_one_to_another_registrar() {
    let mut sim = Sim::new(1);
    let refusing: Vec<_> = (0..5).map(|_| sim.script()).collect();
    for n in &refusing {
        sim.nodes[*n].answer = Answer::Refuse;
    }
    let registrar = sim.registrar();
    let pu = sim.user(&[&refusing[..], &[registrar]].concat());
    sim.run_secs(1);
    assert_eq!(sim.home_of(pu), Some(registrar));
}

/// When all have refused, T5 is waited for.
#[test]
fn registrars_that_all_refuse_are_tried_again_after_t5_only() {
    let mut sim = Sim::new(1);
    let refusing = [sim.script(), sim.script()];
    for n in refusing {
        sim.nodes[n].answer = Answer::Refuse;
    }
    let pu = sim.user(&refusing);
    sim.run_secs(35);
    assert_eq!(dial_times(&sim, pu), [0, 0, 10_000, 10_000, 30_000, 30_000]);
}

/// SH6: one of those that answered is picked; "MUST NOT establish more than three".
#[test]
fn surplus_associations_are_given_up_or_closed() {
    let mut sim = Sim::new(1);
    let registrars: Vec<_> = (0..3).map(|_| sim.registrar()).collect();
    sim.nodes[registrars[1]].answer = Answer::AcceptLate(Duration::from_millis(15));
    let pe = sim.element(&registrars);
    sim.run_secs(1);
    assert_eq!(sim.associations(pe).len(), 1);
    assert_eq!(sim.nodes[pe].abandoned, 2);
    assert_eq!(sim.nodes[pe].disconnects, 1, "the one that came up although it had been given up");
    assert!(sim.associations(registrars[1]).is_empty());
    // SH3: with a home T5 does not run any more.
    sim.run_secs(100);
    assert_eq!(sim.nodes[pe].dialled.len(), 3);
}

/// An association that came up after its attempt was given up at T5 is not the home by accident.
#[test]
fn an_attempt_that_succeeds_after_t5_is_closed() {
    let mut sim = Sim::new(1);
    let slow = sim.script();
    sim.nodes[slow].answer = Answer::AcceptLate(Duration::from_secs(12));
    let pu = sim.user(&[slow]);
    sim.run_until(|s| !s.associations(pu).is_empty(), Duration::from_secs(13));
    assert!(sim.is_homeless(pu));
    sim.run_for(Duration::from_millis(20));
    assert!(sim.associations(pu).is_empty());
    sim.run_secs(15);
    assert_eq!(sim.home_of(pu), Some(slow), "the second attempt had 20 seconds");
}

/// "when it fails to communicate with its Home ENRP server": the association is lost.
#[test]
fn a_lost_home_is_looked_for_at_once() {
    let mut sim = Sim::new(1);
    let registrars = [sim.registrar(), sim.registrar()];
    let (pe, key) = sim.registered(&info(b"echo"), &registrars);
    let home = sim.home_of(pe).unwrap();
    let other = registrars.into_iter().find(|n| *n != home).unwrap();
    sim.nodes[home].answer = Answer::Refuse;
    sim.lose_all_between(pe, home);
    sim.run_secs(1);
    assert_eq!(sim.home_of(pe), Some(other));
    assert!(sim.pe(pe, |pe, _| pe.is_registered(key)));
    assert_eq!((sim.elements_at(home), sim.elements_at(other)), (0, 1));
}

/// All elements of a registrar that dies notice at the same moment: they come to the other one over a tenth of T5.
#[cfg(feature = "alloc")]
#[test]
fn the_elements_of_a_dead_registrar_do_not_come_to_another_one_all_at_once() {
    const ELEMENTS: usize = 1000;
    let mut sim = Sim::new(1);
    let [dead, survivor] = [1, 2].map(|id| {
        let config = RegistrarConfig { id: rserpool_core::ServerId(id), ..RegistrarConfig::new() };
        let machine = rserpool_core::Registrar::growable(Default::default(), config, id.into(), Instant::ZERO);
        sim.add(Role::Registrar(machine))
    });
    sim.nodes[survivor].answer = Answer::Refuse;
    let elements: Vec<_> = (0..ELEMENTS).map(|_| sim.registered(&info(b"echo"), &[dead, survivor]).0).collect();
    // After T5 the home counts as one that serves.
    sim.run_secs(11);
    sim.nodes[dead].answer = Answer::Refuse;
    sim.nodes[survivor].answer = Answer::Accept;
    let died = sim.now;
    for pe in &elements {
        sim.lose_all_between(*pe, dead);
    }
    sim.run_secs(2);
    let mut curve = [0; 20];
    for pe in &elements {
        let (at, _) = sim.nodes[*pe].dialled.iter().rfind(|(_, to)| *to == survivor).copied().unwrap();
        curve[(at.as_micros() - died.as_micros()) as usize / 100_000] += 1;
    }
    // T5 is 10 s. A hundred each, on average.
    assert!(curve[..10].iter().all(|n| (50..=150).contains(n)), "{curve:?}");
    assert_eq!(curve[..10].iter().sum::<usize>(), ELEMENTS);
    assert_eq!(sim.elements_at(survivor), ELEMENTS);
}

#[test]
fn a_registrar_that_accepts_and_closes_is_not_dialled_in_circles() {
    let mut sim = Sim::new(1);
    let fickle = sim.script();
    let pe = sim.element(&[fickle]);
    sim.register(pe, &info(b"echo"));
    for _ in 0..100_000 {
        for assoc in sim.associations(fickle) {
            sim.lose(fickle, assoc);
        }
        if sim.now > Instant::from_secs(300) || !sim.step() {
            break;
        }
    }
    let dials = dial_times(&sim, pe);
    assert!(dials.len() <= 9, "{dials:?}");
    assert!(dials.len() >= 5, "{dials:?}");
}

#[test]
fn a_registrar_that_accepts_and_cannot_be_sent_to_is_not_dialled_in_circles() {
    let mut sim = Sim::new(1);
    let fickle = sim.script();
    let pe = sim.element(&[fickle]);
    sim.register(pe, &info(b"echo"));
    for _ in 0..100_000 {
        for assoc in sim.associations(pe) {
            sim.input(pe, Input::SendFailed { assoc }).unwrap();
        }
        if sim.now > Instant::from_secs(300) || !sim.step() {
            break;
        }
    }
    assert!(dial_times(&sim, pe).len() <= 9);
}

/// "If an ASAP_SERVER_ANNOUNCE message is received by a PU or PE, it SHOULD insert all new included transport addresses".
#[test]
fn an_announced_registrar_is_found_without_configuration() {
    let mut sim = Sim::new(1);
    let pe = sim.element(&[]);
    let mut config = RegistrarConfig { announce: true, ..RegistrarConfig::new() };
    config.announced.push((Link::Tcp, address_of(1)));
    let registrar = sim.registrar_with(config);
    sim.run_secs(1);
    assert_eq!(sim.home_of(pe), Some(registrar));
    let home = sim.pe(pe, |pe, _| pe.home()).unwrap();
    assert_eq!(home.id, sim.pr(registrar).id());
}

/// "If a T7-ENRPoutdate timer for a transport address expires, the corresponding address is deleted".
#[test]
fn an_announced_address_is_forgotten_after_t7() {
    for (silence, dials) in [(4, 2), (6, 1)] {
        let mut sim = Sim::new(1);
        let registrar = sim.script();
        let pu = sim.user_with(
            rserpool_core::EndpointConfig { t5_server_hunt: Duration::from_secs(1), ..Default::default() },
            &[],
        );
        sim.multicast(registrar, &announce(1, &[Transport::Tcp(address_of(registrar))]));
        sim.run_secs(1);
        // It is heard and lasts for T5, so its loss starts a new round at once.
        let assoc = sim.associations(pu)[0];
        let error = rserpool_core::wire::OperationError::new(&[rserpool_core::wire::cause::Cause::Unspecified]);
        let bytes = bytes_of(rserpool_core::wire::asap::AsapError { error });
        sim.input(pu, Input::Message { assoc, ppid: rserpool_core::Ppid::Asap, bytes: &bytes }).unwrap();
        sim.run_secs(silence - 1);
        assert_eq!(sim.home_of(pu), Some(registrar));
        sim.lose(pu, assoc);
        sim.run_secs(60);
        assert_eq!(sim.nodes[pu].dialled.len(), dials, "announced {silence} s before");
    }
}

/// "For all already-known, included transport addresses, the T7-ENRPoutdate timer MUST be restarted".
#[test]
fn announcements_keep_an_address_and_configured_ones_need_none() {
    let mut sim = Sim::new(1);
    let (announced, configured) = (sim.script(), sim.script());
    sim.nodes[announced].answer = Answer::Refuse;
    sim.nodes[configured].answer = Answer::Refuse;
    let pu = sim.user(&[configured]);
    for _ in 0..30 {
        sim.multicast(announced, &announce(1, &[Transport::Tcp(address_of(announced))]));
        sim.multicast(configured, &announce(2, &[Transport::Tcp(address_of(configured))]));
        sim.run_secs(2);
    }
    let to = |n| sim.nodes[pu].dialled.iter().filter(|(_, to)| *to == n).count();
    assert_eq!((to(announced), to(configured)), (3, 3));
    sim.run_secs(120);
    let to = |n| sim.nodes[pu].dialled.iter().filter(|(_, to)| *to == n).count();
    assert_eq!((to(announced), to(configured)), (3, 5), "at 70 s nothing had been announced for 10 s");
}

/// "If no transport parameters are included ..., the SCTP transport protocol is assumed to be used and the source IP
/// address".
#[test]
fn an_announcement_without_transports_means_sctp_at_its_source() {
    let mut sim = Sim::new(1);
    let registrar = sim.script();
    let tcp_only = sim.user(&[]);
    let both = sim.user_with(EndpointConfig { links: Links { sctp: true, tcp: true }, ..EndpointConfig::new() }, &[]);
    sim.multicast(registrar, &announce(1, &[]));
    sim.run_secs(1);
    assert!(sim.is_homeless(tcp_only));
    assert_eq!(sim.home_of(both), Some(registrar));
}

#[test]
fn links_that_the_endpoint_does_not_have_are_passed_over() {
    let mut sim = Sim::new(1);
    let registrar = sim.script();
    let pu = sim.user(&[]);
    let addresses = [address_of(registrar).ip()];
    sim.multicast(registrar, &announce(1, &[Transport::sctp(3863, &addresses)]));
    sim.run_secs(1);
    assert!(sim.nodes[pu].dialled.is_empty());
}

/// More announced addresses than there is room for do no harm to those that are known.
#[test]
fn bogus_announcements_do_not_push_configured_registrars_out() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    sim.nodes[registrar].answer = Answer::Refuse;
    let liar = sim.script();
    let pu = sim.user(&[registrar]);
    for n in 0..200u8 {
        sim.multicast(liar, &announce(n.into(), &[Transport::Tcp(SocketAddr::from(([10, 0, 0, n], 1)))]));
    }
    sim.run_secs(2);
    sim.nodes[registrar].answer = Answer::Accept;
    sim.run_secs(60);
    assert_eq!(sim.home_of(pu), Some(registrar));
}

/// "an ENRP server MUST send periodically every (N+1)*T6-Serverannounce an ASAP_SERVER_ANNOUNCE message".
#[test]
fn registrars_announce_together_about_once_per_t6() {
    for registrars in 1..=4u64 {
        let mut sim = Sim::new(registrars);
        for n in 0..registrars {
            let mut config = RegistrarConfig { announce: true, ..RegistrarConfig::new() };
            config.announced.push((Link::Tcp, address_of(n as usize)));
            sim.registrar_with(config);
        }
        sim.run_secs(100);
        let before = sim.trace.len();
        sim.run_secs(100);
        let rate = sim.trace.len() - before;
        assert!((98..=102).contains(&rate), "{registrars} registrars sent {rate} in 100 s");
    }
}
