//! How often one association may ask (RFC 5352, 9.1; RFC 5353, 6.1; RFC 5355, 2.13 and 2.14): who floods is refused, who
//! does not is served, and a pause makes up for everything.

mod harness;

use std::time::Duration;

use harness::*;
use rserpool_core::wire::enrp::{ListRequest, ListResponse};
use rserpool_core::wire::{AsapMessage, EnrpBody, EnrpMessage, List, Policy};
use rserpool_core::{
    AsapRates, AssocId, ElementEvent, EndpointConfig, EndpointRates, EnrpRates, Input, Instant, PeId, Ppid, Rate,
    RegistrarConfig, RegistrarStats, ServerId,
};

const LACK_OF_RESOURCES: [(u16, Vec<u8>); 1] = [(6, Vec::new())];

/// Three at once, and ten a second.
const FEW: Rate = Rate { per_second: 10, burst: 3 };
const FEW_OF_ASAP: AsapRates =
    AsapRates { registrations: FEW, resolutions: FEW, unreachable_reports: FEW, errors: FEW };
const FEW_OF_ENRP: EnrpRates = EnrpRates { tables: FEW, lists: FEW, presences: FEW, errors: FEW };

struct Scene {
    sim: Sim,
    registrar: NodeId,
    client: NodeId,
    /// The client's association, as the registrar names it.
    assoc: AssocId,
}

fn scene(rates: AsapRates) -> Scene {
    scene_with(RegistrarConfig { rates, ..RegistrarConfig::new() })
}

fn scene_with(config: RegistrarConfig) -> Scene {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar_with(config);
    let client = sim.script();
    let (_, assoc) = sim.connect(client, registrar);
    Scene { sim, registrar, client, assoc }
}

impl Scene {
    /// The client's messages arrive, all at this instant.
    fn at_once(&mut self, bytes: &[u8], times: usize) {
        for _ in 0..times {
            let input = Input::Message { assoc: self.assoc, ppid: Ppid::Asap, bytes };
            let _ = self.sim.input(self.registrar, input);
        }
    }

    /// The answers to messages that all arrive at this instant.
    fn answers(&mut self, bytes: &[u8], times: usize) -> Vec<Vec<u8>> {
        self.at_once(bytes, times);
        self.sim.run_for(Duration::from_millis(10));
        self.sim.received(self.client).into_iter().map(|(_, bytes)| bytes).collect()
    }

    fn stats(&self) -> RegistrarStats {
        self.sim.pr(self.registrar).stats()
    }
}

/// How many answers have no error, and how many say "lack of resources" and nothing else.
fn granted_and_refused(answers: &[Vec<u8>]) -> (usize, usize) {
    let refused = answers.iter().filter(|bytes| causes(bytes) == LACK_OF_RESOURCES).count();
    let granted = answers.iter().filter(|bytes| causes(bytes).is_empty()).count();
    assert_eq!(granted + refused, answers.len(), "each is one or the other");
    (granted, refused)
}

/// RFC 5352, 3.1: the R flag and the cause.
#[test]
fn registrations_beyond_the_rate_are_refused_and_the_budget_comes_back() {
    let mut t = scene(FEW_OF_ASAP);
    let request = bytes_of(registration(b"echo", param(1, 7)));
    let answers = t.answers(&request, 8);
    assert_eq!(granted_and_refused(&answers), (3, 5));
    let rejected = |bytes: &Vec<u8>| match AsapMessage::parse(bytes).unwrap().message {
        AsapMessage::RegistrationResponse(response) => response.rejected,
        other => panic!("{other:?}"),
    };
    assert_eq!(answers.iter().map(rejected).collect::<Vec<_>>(), [vec![false; 3], vec![true; 5]].concat());
    assert_eq!((t.stats().registrations_over_rate, t.stats().registrations_rejected), (5, 5));
    assert_eq!(t.sim.elements_at(t.registrar), 1, "what was registered stays");
    t.sim.run_for(Duration::from_millis(90));
    assert_eq!(granted_and_refused(&t.answers(&request, 3)), (1, 2));
    t.sim.run_secs(10);
    assert_eq!(granted_and_refused(&t.answers(&request, 8)), (3, 5), "no more than the burst, after whatever pause");
}

/// With the defaults: an association with as many elements as it may have, all of which register again at once, twice.
#[test]
fn elements_that_all_register_again_at_once_are_not_refused() {
    let mut t = scene(AsapRates::new());
    let all = RegistrarConfig::new().max_elements_per_association as usize;
    t.at_once(&bytes_of(registration(b"echo", param(1, 7))), 2 * all);
    assert_eq!(t.stats().registrations_over_rate, 0);
    assert_eq!(t.stats().reregistrations, 2 * all as u64 - 1);
}

/// RFC 5352, 3.2: a refusal would leave an element behind that serves no more.
#[test]
fn a_deregistration_is_never_refused() {
    let mut t = scene(FEW_OF_ASAP);
    t.at_once(&bytes_of(registration(b"echo", param(1, 7))), 8);
    t.sim.run_for(Duration::from_millis(10));
    t.sim.received(t.client);
    let answers = t.answers(&bytes_of(deregistration(b"echo", 1)), 50);
    assert_eq!(granted_and_refused(&answers), (50, 0));
    assert_eq!(t.sim.elements_at(t.registrar), 0);
}

/// RFC 5352, 2.2.6 and 3.3.
#[test]
fn resolutions_beyond_the_rate_are_refused_and_the_budget_comes_back() {
    let mut t = scene(FEW_OF_ASAP);
    t.at_once(&bytes_of(registration(b"echo", param(1, 7))), 1);
    t.sim.run_for(Duration::from_millis(10));
    t.sim.received(t.client);
    let request = bytes_of(resolution(b"echo"));
    assert_eq!(granted_and_refused(&t.answers(&request, 8)), (3, 5));
    assert_eq!((t.stats().resolutions_over_rate, t.stats().resolutions_rejected), (5, 5));
    t.sim.run_secs(1);
    assert_eq!(granted_and_refused(&t.answers(&request, 8)), (3, 5));
}

/// RFC 5352, 2.2.5: "If a negative response is returned, no further updates to the Pool ... will occur."
#[test]
fn a_refused_resolution_ends_the_subscription() {
    let mut t = scene(FEW_OF_ASAP);
    t.at_once(&bytes_of(registration(b"echo", param(1, 7))), 1);
    let mut subscribe = resolution(b"echo");
    subscribe.subscribe = true;
    t.at_once(&bytes_of(subscribe), 3);
    assert_eq!(t.sim.pr(t.registrar).subscriptions(), 1);
    t.at_once(&bytes_of(subscribe), 1);
    assert_eq!(t.sim.pr(t.registrar).subscriptions(), 0);
}

#[test]
fn the_flood_of_one_association_is_nothing_to_another() {
    let mut t = scene(FEW_OF_ASAP);
    t.at_once(&bytes_of(registration(b"echo", param(1, 7))), 100);
    t.at_once(&bytes_of(resolution(b"echo")), 100);
    let (element, _) = t.sim.registered(&info_with_id(b"echo", 2), &[t.registrar]);
    let user = t.sim.user(&[t.registrar]);
    let asked = t.sim.pu(user, |pu, now| pu.resolve(now, b"echo")).unwrap().0;
    // The flood goes on.
    for _ in 0..100 {
        t.at_once(&bytes_of(registration(b"echo", param(1, 7))), 10);
        t.at_once(&bytes_of(resolution(b"echo")), 10);
        t.sim.run_for(Duration::from_millis(10));
    }
    assert_eq!(t.sim.pu(user, |pu, _| pu.elements(asked).count()), 2);
    assert_eq!(t.sim.home_of(element), Some(t.registrar));
}

#[test]
fn a_new_association_begins_with_the_whole_rate() {
    let mut t = scene(FEW_OF_ASAP);
    let request = bytes_of(resolution(b"echo"));
    t.at_once(&request, 100);
    t.sim.lose(t.registrar, t.assoc);
    t.assoc = t.sim.connect(t.client, t.registrar).1;
    t.sim.received(t.client);
    let answers = t.answers(&request, 8);
    assert_eq!(answers.iter().filter(|bytes| causes(bytes) == LACK_OF_RESOURCES).count(), 5);
}

#[test]
fn without_limits_nothing_is_refused() {
    let mut t = scene(AsapRates::UNLIMITED);
    t.at_once(&bytes_of(registration(b"echo", param(1, 7))), 20_000);
    t.at_once(&bytes_of(resolution(b"echo")), 200_000);
    let stats = t.stats();
    assert_eq!((stats.registrations_over_rate, stats.resolutions_over_rate), (0, 0));
    assert_eq!((stats.reregistrations, stats.resolutions), (19_999, 200_000));
}

/// Threat 8: RFC 5355, 2.13. There is no answer that could refuse it.
#[test]
fn reports_beyond_the_rate_are_ignored_and_counted() {
    let mut t = scene(FEW_OF_ASAP);
    let (element, _) = t.sim.registered(&info_with_id(b"echo", 5), &[t.registrar]);
    let answers = t.answers(&bytes_of(unreachable(b"echo", 5)), 50);
    assert!(answers.is_empty());
    assert_eq!((t.stats().unreachable_reports, t.stats().unreachable_over_rate), (50, 47));
    t.sim.run_secs(2);
    assert_eq!((t.sim.elements_at(t.registrar), t.sim.count(element, KEEP_ALIVE_ACK)), (1, 1));
    t.at_once(&bytes_of(unreachable(b"echo", 5)), 1);
    t.sim.run_secs(2);
    assert_eq!(t.sim.count(element, KEEP_ALIVE_ACK), 2, "with time, reports count again");
}

/// RFC 5354, 3: what is not understood is reported; not without end.
#[test]
fn error_reports_beyond_the_rate_are_not_sent() {
    let mut t = scene(FEW_OF_ASAP);
    // An unknown message whose type wants a report.
    let answers = t.answers(&[0x7f, 0, 0, 4], 50);
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|bytes| bytes[0] == ERROR));
    assert_eq!((t.stats().errors, t.stats().errors_over_rate, t.stats().malformed), (3, 47, 50));
    t.sim.run_secs(1);
    assert_eq!(t.answers(&[0x7f, 0, 0, 4], 50).len(), 3);
}

/// A clock that goes back gives no second budget, and costs nothing but the time until it is right again.
#[test]
fn wrong_clocks_are_harmless() {
    let mut t = scene(FEW_OF_ASAP);
    t.sim.run_secs(100);
    let request = bytes_of(resolution(b"echo"));
    t.at_once(&request, 10);
    assert_eq!(t.stats().resolutions_over_rate, 7);
    for earlier in [Instant::from_secs(99), Instant::ZERO] {
        let input = Input::Message { assoc: t.assoc, ppid: Ppid::Asap, bytes: &request };
        t.sim.handle(t.registrar, earlier, input).unwrap();
        t.sim.input(t.registrar, Input::Timeout).unwrap();
    }
    assert_eq!(t.stats().resolutions_over_rate, 9);
    t.sim.run_secs(1);
    t.at_once(&request, 3);
    assert_eq!(t.stats().resolutions_over_rate, 9);
}

// ---- registrars among each other ----

/// A registrar, a peer (9) that a test plays, and elements of another peer (5) in several pages.
fn peers(rates: EnrpRates) -> (Sim, NodeId, Peer) {
    let mut config = RegistrarConfig::new();
    config.enrp.rates = rates;
    config.enrp.table_page_len = 200;
    let mut sim = Sim::new(1);
    let registrar = sim.enrp_registrar_with(config, &[]);
    let peer = sim.enrp_peer(registrar, 9);
    let other = sim.enrp_peer(registrar, 5);
    for id in 1..20 {
        sim.tell(other, add(b"echo", owned(5, id, 7)));
    }
    sim.run_secs(2);
    sim.received(peer.node);
    (sim, registrar, peer)
}

fn pages(sim: &mut Sim, peer: Peer) -> Vec<Page> {
    sim.hears_of(peer, ty::TABLE_RESPONSE).iter().map(|bytes| page(bytes)).collect()
}

/// RFC 5353, 3.2.3. All pages of a table are one download, so that one that starts can have them as fast as they come.
#[test]
fn handle_tables_beyond_the_rate_are_refused_and_the_pages_of_one_are_not_counted() {
    let once = Rate { per_second: 1, burst: 1 };
    let (mut sim, registrar, peer) = peers(EnrpRates { tables: once, ..EnrpRates::new() });
    let download = |sim: &mut Sim| {
        let mut all = 0;
        loop {
            sim.tell(peer, table_request(false));
            let page = pages(sim, peer).remove(0);
            assert!(!page.rejected);
            all += page.elements.len();
            if !page.more {
                return all;
            }
        }
    };
    assert_eq!(download(&mut sim), 19);
    let begun = sim.pr(registrar).stats().table_pages;
    assert!(begun > 5, "{begun} pages");
    // To ask for one's own and for all in turn begins a download each time.
    let started = sim.now;
    for own_only in [false, true, true, false, true] {
        sim.say(peer, table_request(own_only));
    }
    sim.run_for(Duration::from_millis(50));
    let refusal = || Page { more: false, rejected: true, elements: Vec::new() };
    assert!(sim.now < started + Duration::from_secs(1));
    assert_eq!(pages(&mut sim, peer), [0; 5].map(|_| refusal()));
    let stats = sim.pr(registrar).stats();
    assert_eq!((stats.tables_over_rate, stats.table_rejections, stats.table_pages), (5, 5, begun));
    // After a pause it may have all of it.
    sim.run_secs(1);
    assert_eq!(download(&mut sim), 19);
}

/// RFC 5353, 3.2.2.2.
#[test]
fn lists_beyond_the_rate_are_refused() {
    let (mut sim, registrar, peer) = peers(FEW_OF_ENRP);
    for _ in 0..8 {
        sim.say(peer, ListRequest);
    }
    sim.run_for(Duration::from_millis(50));
    let rejected: Vec<bool> = sim
        .hears_of(peer, ty::LIST_RESPONSE)
        .iter()
        .map(|bytes| match EnrpMessage::parse(bytes).unwrap().message.body {
            EnrpBody::ListResponse(ListResponse { rejected, .. }) => rejected,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(rejected, [vec![false; 3], vec![true; 5]].concat());
    assert_eq!(sim.pr(registrar).stats().lists_over_rate, 5);
    sim.run_secs(1);
    sim.tell(peer, ListRequest);
    let answer = sim.hears_of(peer, ty::LIST_RESPONSE).remove(0);
    let servers = [information(5, peer.node + 1)];
    let expected = ListResponse { rejected: false, servers: List::new(&servers) };
    assert_eq!(EnrpMessage::parse(&answer).unwrap().message.body, expected.into());
}

/// RFC 5353, 2.1 and 3.5.1, rule 1: the second one is answered to all peers.
#[test]
fn presences_and_denials_beyond_the_rate_are_not_sent() {
    let (mut sim, registrar, peer) = peers(FEW_OF_ENRP);
    for _ in 0..50 {
        sim.say(peer, presence(true, None));
    }
    sim.run_for(Duration::from_millis(50));
    assert_eq!(sim.hears_of(peer, ty::PRESENCE).len(), 3);
    let before = sim.enrp_sent(registrar, ty::PRESENCE).len();
    for _ in 0..50 {
        sim.say(peer, init_takeover(sim.id_of(registrar)));
    }
    sim.run_for(Duration::from_millis(50));
    assert!(sim.enrp_sent(registrar, ty::PRESENCE).len() <= before + 4, "one a tenth of a second, to both peers");
    assert!(sim.pr(registrar).stats().presences_over_rate >= 47 + 48);
    sim.run_secs(1);
    sim.tell(peer, presence(true, None));
    assert_eq!(sim.hears_of(peer, ty::PRESENCE).len(), 1);
}

#[test]
fn enrp_errors_beyond_the_rate_are_not_sent() {
    let (mut sim, registrar, peer) = peers(FEW_OF_ENRP);
    for _ in 0..50 {
        sim.send_bytes(peer.node, peer.assoc, &[0x7f, 0, 0, 12, 0, 0, 0, 9, 0, 0, 0, 0]);
    }
    sim.run_for(Duration::from_millis(50));
    assert_eq!(sim.hears_of(peer, ty::ERROR).len(), 3);
    assert_eq!(sim.pr(registrar).stats().errors_over_rate, 47);
}

/// RFC 5353, 3.2: a registrar that starts needs one list and one table, in many pages.
#[test]
fn a_registrar_starts_within_the_least_of_rates() {
    let once = Rate { per_second: 1, burst: 1 };
    let (mut sim, mentor, _) = peers(EnrpRates { tables: once, lists: once, presences: once, errors: once });
    let newcomer = sim.enrp_registrar(&[mentor]);
    assert!(sim.run_until(|s| s.pr(newcomer).is_serving(), Duration::from_secs(5)));
    assert_eq!(sim.elements_at(newcomer), 19);
    let stats = sim.pr(mentor).stats();
    assert_eq!((stats.tables_over_rate, stats.lists_over_rate, stats.table_rejections), (0, 0, 0));
}

/// RFC 5353, 3.2.2.2 and 3.2.3: one that is refused asks again, and in the end begins without a mentor.
#[test]
fn a_registrar_that_is_always_refused_serves_in_the_end() {
    let (mut sim, mentor, _) = peers(EnrpRates { tables: Rate { per_second: 0, burst: 0 }, ..EnrpRates::new() });
    // One with a greater identifier would not wait for the mentor to have started.
    let config = RegistrarConfig { id: ServerId(1), ..RegistrarConfig::new() };
    let newcomer = sim.enrp_registrar_with(config, &[mentor]);
    assert!(sim.run_until(|s| s.pr(newcomer).is_serving(), Duration::from_secs(30)));
    assert!(sim.pr(mentor).stats().tables_over_rate > 1);
    // What comes from now on it hears of.
    let (element, _) = sim.registered(&info_with_id(b"new", 77), &[mentor]);
    sim.run_secs(1);
    assert_eq!((sim.elements_at(newcomer), sim.home_of(element)), (1, Some(mentor)));
}

// ---- keep-alives ----

fn shortest_gap(sim: &Sim, registrar: NodeId) -> u64 {
    let times = sim.times(registrar, KEEP_ALIVE);
    assert!(times.len() > 3, "{times:?}");
    times.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap()
}

/// Threat 9: RFC 5355, 2.14.3: "ENRP MUST limit the frequency of Keep-Alive messages to a given PE". The element
/// acknowledges at once, and is reported again at once.
#[test]
fn however_often_an_element_is_reported_it_is_asked_once_a_second() {
    let config = RegistrarConfig { max_bad_pe_report: u16::MAX, rates: AsapRates::UNLIMITED, ..RegistrarConfig::new() };
    let mut t = scene_with(config);
    t.sim.registered(&info_with_id(b"echo", 5), &[t.registrar]);
    for _ in 0..1_000 {
        t.at_once(&bytes_of(unreachable(b"echo", 5)), 10);
        t.sim.run_for(Duration::from_millis(10));
    }
    assert!((8..=11).contains(&t.sim.count(t.registrar, KEEP_ALIVE)));
    assert!(shortest_gap(&t.sim, t.registrar) >= 999);
    assert_eq!(t.sim.elements_at(t.registrar), 1);
}

/// The same for a peer that holds itself for the home whenever it is not (RFC 5353, 3.3.1), or offers the element (2.4, T
/// flag).
#[test]
fn however_often_an_element_is_claimed_it_is_asked_once_a_second() {
    for suggested in [false, true] {
        let (mut sim, registrar, peer) = peers(EnrpRates::new());
        let (element, _) = sim.registered(&info_with_id(b"mine", 5), &[registrar]);
        let own = sim.id_of(registrar);
        for _ in 0..500 {
            if sim.owned_by(registrar, own) == 1 {
                let mut update = add(b"mine", owned(9, 5, 7));
                update.takeover_suggested = suggested;
                sim.say(peer, update);
            }
            sim.run_for(Duration::from_millis(25));
        }
        let sent = sim.count(registrar, KEEP_ALIVE);
        assert!((4..=14).contains(&sent), "{sent} in 12.5 s");
        assert!(shortest_gap(&sim, registrar) >= 999);
        assert_eq!(sim.home_of(element), Some(registrar));
    }
}

/// Shorter intervals are as they were configured.
#[test]
fn the_gap_does_not_stretch_the_interval() {
    let interval = Duration::from_millis(200);
    let mut t = scene_with(RegistrarConfig { keep_alive_interval: interval, ..RegistrarConfig::new() });
    t.sim.registered(&info_with_id(b"echo", 5), &[t.registrar]);
    t.sim.run_secs(10);
    assert!((40..=60).contains(&t.sim.count(t.registrar, KEEP_ALIVE)));
}

/// An element at a registrar that a test plays.
fn at_script(rates: EndpointRates) -> (Sim, NodeId, NodeId, AssocId) {
    let mut sim = Sim::new(1);
    let home = sim.script();
    let element = sim.element_with(EndpointConfig { rates, ..EndpointConfig::new() }, &[home]);
    sim.register(element, &info_with_id(b"echo", 5));
    sim.run_secs(1);
    let assoc = sim.associations(home)[0];
    sim.send(home, assoc, granted(b"echo", PeId(5)));
    sim.run_secs(1);
    sim.received(home);
    (sim, element, home, assoc)
}

/// RFC 5355, 2.14: "If the ENRP server maliciously sent a flood of endpoint Keep-Alive messages".
#[test]
fn a_flood_of_keep_alives_is_not_answered_by_one_of_acknowledgements() {
    let (mut sim, element, home, assoc) = at_script(EndpointRates { keep_alive_acks: FEW, ..EndpointRates::new() });
    for _ in 0..1_000 {
        sim.send(home, assoc, keep_alive(b"echo", None, 1, false));
        sim.run_for(Duration::from_millis(1));
    }
    let acks = sim.count(element, KEEP_ALIVE_ACK);
    assert!((12..=14).contains(&acks), "three at once and ten a second, {acks} in all");
    // The last one is answered, too: a little later.
    sim.run_for(Duration::from_millis(120));
    assert_eq!(sim.count(element, KEEP_ALIVE_ACK), acks + 1);
    sim.run_secs(10);
    assert_eq!(sim.count(element, KEEP_ALIVE_ACK), acks + 1);
}

/// Or the home would take the element for dead.
#[test]
fn the_home_is_answered_whoever_else_floods() {
    let (mut sim, element, home, assoc) = at_script(EndpointRates { keep_alive_acks: FEW, ..EndpointRates::new() });
    let stranger = sim.script();
    let (strange, _) = sim.connect(stranger, element);
    for round in 0..1_000 {
        if round == 500 {
            sim.send(home, assoc, keep_alive(b"echo", Some(5), 1, false));
        }
        sim.send(stranger, strange, keep_alive(b"echo", Some(5), 9, false));
        sim.run_for(Duration::from_millis(1));
    }
    let to_home: Vec<_> = sim.sent(element, KEEP_ALIVE_ACK).into_iter().filter(|ack| ack.to == Some(home)).collect();
    assert_eq!(to_home.len(), 1);
    assert!(to_home[0].at <= Instant::from_millis(2_500 + 10 + 100), "{:?}", to_home[0].at);
}

/// RFC 5352, 3.4, KA2.4, from ever different registrars. One that is not heeded is not acknowledged either.
#[test]
fn registrars_cannot_make_an_element_change_its_home_in_a_frenzy() {
    let (mut sim, element, ..) = at_script(EndpointRates { home_changes: FEW, ..EndpointRates::new() });
    let mut acks = 0;
    for id in 10..110 {
        let claimant = sim.script();
        let (assoc, _) = sim.connect(claimant, element);
        sim.send(claimant, assoc, keep_alive(b"echo", Some(5), id, true));
        sim.run_for(Duration::from_millis(10));
        acks += sim.received(claimant).iter().filter(|(_, bytes)| bytes[0] == KEEP_ALIVE_ACK).count();
        sim.lose_all_between(claimant, claimant);
    }
    let adopted = |sim: &Sim| {
        let adopted = |event: &Event| matches!(event, Event::Element(ElementEvent::HomeAdopted(_)));
        sim.nodes[element].events.iter().filter(|(_, event)| adopted(event)).count()
    };
    let changes = adopted(&sim);
    assert!((11..=13).contains(&changes), "three at once and ten in this second, not {changes}");
    assert!(acks <= changes);
    // In peace, the next one is heeded.
    sim.run_secs(1);
    let heir = sim.script();
    let (assoc, _) = sim.connect(heir, element);
    sim.send(heir, assoc, keep_alive(b"echo", Some(5), 7, true));
    sim.run_secs(1);
    assert_eq!((adopted(&sim), sim.home_of(element)), (changes + 1, Some(heir)));
}

/// An element without a home takes one at once, however often it has changed.
#[test]
fn an_element_without_a_home_is_adopted_at_once() {
    let never = Rate { per_second: 0, burst: 0 };
    let (mut sim, element, home, _) = at_script(EndpointRates { home_changes: never, ..EndpointRates::new() });
    let heir = sim.script();
    let (assoc, _) = sim.connect(heir, element);
    sim.send(heir, assoc, keep_alive(b"echo", Some(5), 7, true));
    sim.run_secs(1);
    assert_eq!(sim.home_of(element), Some(home));
    sim.nodes[home].answer = Answer::Refuse;
    sim.lose_all_between(element, home);
    sim.send(heir, assoc, keep_alive(b"echo", Some(5), 7, true));
    sim.run_for(Duration::from_millis(50));
    assert_eq!(sim.home_of(element), Some(heir));
}

// ---- what endpoints send ----

/// RFC 5355, 2.13.3: "The number of endpoint unreachable messages sent ... from the PU SHOULD be limited."
#[test]
fn a_user_sends_its_reports_no_faster_than_the_rate() {
    let mut sim = Sim::new(1);
    let registrar = sim.script();
    let rates = EndpointRates { unreachable_reports: FEW, ..EndpointRates::new() };
    let user = sim.user_with(EndpointConfig { rates, ..EndpointConfig::new() }, &[registrar]);
    let pool = sim.pu(user, |pu, now| pu.resolve(now, b"echo")).unwrap().0;
    sim.run_secs(1);
    let elements: Vec<_> = (1..=12).map(|id| param(id, 7)).collect();
    sim.send_bytes(registrar, sim.associations(registrar)[0], &answer(b"echo", false, None, &elements));
    sim.run_secs(1);
    for _ in 0..12 {
        let failed = sim.pu(user, |pu, now| pu.primary(now, pool).map(|element| element.id)).unwrap();
        assert!(sim.pu(user, |pu, now| pu.report_failure(now, pool, failed)));
    }
    assert_eq!(sim.count(user, UNREACHABLE), 3);
    sim.run_for(Duration::from_millis(450));
    assert_eq!(sim.count(user, UNREACHABLE), 7);
    sim.run_secs(1);
    assert_eq!(sim.count(user, UNREACHABLE), 12, "all in all");
}

/// An element that changes its load all the time stays below what a registrar takes, which would refuse it otherwise.
#[test]
fn an_element_tells_its_load_no_faster_than_the_rate_and_the_latest_in_the_end() {
    let mut sim = Sim::new(1);
    sim.latency = Duration::from_micros(50);
    let registrar = sim.registrar_with(RegistrarConfig {
        rates: AsapRates { registrations: Rate { per_second: 20, burst: 6 }, ..AsapRates::new() },
        ..RegistrarConfig::new()
    });
    let rates = EndpointRates { registrations: FEW, ..EndpointRates::new() };
    let element = sim.element_with(EndpointConfig { rates, ..EndpointConfig::new() }, &[registrar]);
    let load = |load| Policy::LeastUsed { load };
    let key = sim.register(element, &rserpool_core::ElementInfo { policy: load(0), ..info_with_id(b"echo", 5) });
    for n in 1..=10_000 {
        sim.run_for(Duration::from_micros(200));
        sim.pe(element, |pe, now| pe.set_policy(now, key, load(n))).unwrap();
    }
    assert!((20..=24).contains(&sim.count(element, REGISTRATION)), "three at once and ten a second, for two seconds");
    sim.run_for(Duration::from_millis(120));
    let space = sim.pr(registrar).handlespace();
    let pool = space.find_pool(handle(b"echo")).unwrap();
    let known = space.element(space.find_element(pool, PeId(5)).unwrap()).unwrap();
    assert_eq!(known.policy(), Some(load(10_000)));
    assert_eq!(sim.pr(registrar).stats().registrations_over_rate, 0);
    assert!(sim.pe(element, |pe, _| pe.is_registered(key)));
}

/// RFC 5354, 3.
#[test]
fn an_endpoint_reports_errors_no_faster_than_the_rate() {
    let (mut sim, element, home, assoc) = at_script(EndpointRates { errors: FEW, ..EndpointRates::new() });
    for _ in 0..50 {
        sim.send_bytes(home, assoc, &[0x7f, 0, 0, 4]);
    }
    sim.run_for(Duration::from_millis(50));
    assert_eq!(sim.count(element, ERROR), 3);
    sim.run_secs(1);
    sim.send_bytes(home, assoc, &[0x7f, 0, 0, 4]);
    sim.run_secs(1);
    assert_eq!(sim.count(element, ERROR), 4);
}
