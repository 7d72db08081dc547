//! What a registrar grants and refuses (RFC 5352, 3.1, rules 1 to 5; RFC 5354, 3.12), and what its limits do.

mod harness;

use std::net::SocketAddr;
use std::time::Duration;

use harness::*;
use rserpool_core::wire::{AsapMessage, Lifetime, Policy, PoolElementParam, Transport, TransportUse};
use rserpool_core::{
    AssocId, PeId, RecvError, Registrar, RegistrarConfig, RegistrarEvent, RegistrarStorage, RemovalReason, ServerId,
};

struct Client {
    sim: Sim,
    registrar: NodeId,
    pe: NodeId,
    assoc: AssocId,
}

fn client_of(registrar: Registrar<'static>) -> Client {
    let mut sim = Sim::new(1);
    let registrar = sim.add(Role::Registrar(registrar));
    let pe = sim.script();
    let (assoc, _) = sim.connect(pe, registrar);
    Client { sim, registrar, pe, assoc }
}

fn client(config: RegistrarConfig) -> Client {
    let storage = leak(RegistrarStorage::<8, 32, 2, 16, 8>::new());
    client_of(Registrar::new(storage, config, 1, rserpool_core::Instant::ZERO))
}

impl Client {
    fn try_register(&mut self, pool: &[u8], element: PoolElementParam<'_>) -> Result<(), (u16, Vec<u8>)> {
        self.try_register_over(self.assoc, pool, element)
    }

    fn try_register_over(
        &mut self,
        assoc: AssocId,
        pool: &[u8],
        element: PoolElementParam<'_>,
    ) -> Result<(), (u16, Vec<u8>)> {
        self.sim.send(self.pe, assoc, registration(pool, element));
        self.sim.run_for(Duration::from_millis(25));
        let received = self.sim.received(self.pe);
        let AsapMessage::RegistrationResponse(response) = AsapMessage::parse(&received[0].1).unwrap().message else {
            panic!("{received:?}");
        };
        assert_eq!((response.pool_handle.as_bytes(), response.id), (pool, element.id));
        let mut causes = causes(&received[0].1);
        assert_eq!(response.rejected, !causes.is_empty());
        if causes.is_empty() { Ok(()) } else { Err(causes.remove(0)) }
    }

    fn elements(&self) -> usize {
        self.sim.elements_at(self.registrar)
    }
}

fn tlv(transport: &Transport<'_>) -> Vec<u8> {
    let mut buf = [0; 100];
    transport.emit(&mut buf).unwrap().to_vec()
}

/// 3.1, rules 1, 2 and 4: the server "MUST assign itself the owner of this PE" and "record the SCTP transport address".
#[test]
fn a_granted_registration_makes_the_pool_and_the_registrar_its_owner() {
    let mut t = client(RegistrarConfig { id: ServerId(77), ..RegistrarConfig::new() });
    t.try_register(b"echo", param(1, 7)).unwrap();
    t.try_register(b"echo", param(2, 8)).unwrap();
    t.try_register(b"other", param(1, 9)).unwrap();
    let space = t.sim.pr(t.registrar).handlespace();
    assert_eq!((space.pools(), space.elements(), space.owned(ServerId(77))), (2, 3, 3));
    let pool = space.find_pool(handle(b"echo")).unwrap();
    let element = space.element(space.find_element(pool, PeId(2)).unwrap()).unwrap();
    assert_eq!(element.home, ServerId(77));
    assert_eq!(element.asap_transport(), Some(Transport::Tcp(address_of(t.pe))));
    let (id, assoc) = (PeId(2), AssocId { slot: 0, generation: 0 });
    assert!(t.sim.told_pr(t.registrar, RegistrarEvent::Registered { id, assoc }));
}

/// RFC 5353, 2.1 and 3.2.1: "a non-zero, 32-bit" number, not the same for two registrars, that does not change.
#[test]
fn a_registrar_picks_an_identifier_at_random_and_keeps_it() {
    let registrar = |seed| {
        let storage = leak(RegistrarStorage::<8, 32, 2, 16, 8>::new());
        Registrar::new(storage, RegistrarConfig::new(), seed, rserpool_core::Instant::ZERO)
    };
    let ids: std::collections::BTreeSet<_> = (0..1_000).map(|seed| registrar(seed).id()).collect();
    assert_eq!(ids.len(), 1_000);
    assert!(!ids.contains(&ServerId::NONE));
    let mut t = client_of(registrar(1));
    let id = t.sim.pr(t.registrar).id();
    t.try_register(b"echo", param(1, 7)).unwrap();
    t.sim.run_secs(1_000);
    assert_eq!(t.sim.pr(t.registrar).id(), id);
}

/// 3.1, rule 3: "consider this as a re-registration case ... replace the attributes".
#[test]
fn a_registration_of_a_known_element_replaces_its_attributes() {
    let mut t = client(RegistrarConfig::new());
    t.try_register(b"echo", param(1, 7)).unwrap();
    t.try_register(b"echo", param(1, 8)).unwrap();
    let space = t.sim.pr(t.registrar).handlespace();
    let pool = space.find_pool(handle(b"echo")).unwrap();
    let element = space.element(space.find_element(pool, PeId(1)).unwrap()).unwrap();
    assert_eq!(element.user_transport(), Some(service(8)));
    let stats = t.sim.pr(t.registrar).stats();
    assert_eq!((stats.registrations, stats.reregistrations), (1, 1));
}

/// 3.1, rule 2 and RFC 5354, 3.12.6: cause 5 shows the pool's policy. Rule 3: also for a re-registration.
#[test]
fn another_policy_than_the_pools_is_refused_with_cause_5_and_the_pools_policy() {
    let mut t = client(RegistrarConfig::new());
    t.try_register(b"echo", PoolElementParam { policy: Policy::LeastUsed { load: 3 }, ..param(1, 7) }).unwrap();
    let mut pool_policy = [0; 100];
    let pool_policy = Policy::LeastUsed { load: 3 }.emit(&mut pool_policy).unwrap().to_vec();
    assert_eq!(t.try_register(b"echo", param(2, 7)), Err((5, pool_policy.clone())));
    assert_eq!(t.try_register(b"echo", param(1, 7)), Err((5, pool_policy)));
    assert_eq!(t.elements(), 1);
}

/// 3.1, rule 2 and RFC 5354, 3.12.8: cause 7 shows the pool's transport.
#[test]
fn another_transport_type_than_the_pools_is_refused_with_cause_7_and_the_pools_transport() {
    let mut t = client(RegistrarConfig::new());
    t.try_register(b"echo", param(1, 7)).unwrap();
    let udp =
        PoolElementParam { user_transport: Transport::Udp(SocketAddr::from(([198, 51, 100, 1], 7))), ..param(2, 7) };
    assert_eq!(t.try_register(b"echo", udp), Err((7, tlv(&service(7)))));
    let udp = PoolElementParam { id: PeId(1), ..udp };
    assert_eq!(t.try_register(b"echo", udp), Err((7, tlv(&service(7)))));
}

/// 3.1, rule 2 and RFC 5354, 3.12.9: cause 8.
#[test]
fn another_control_channel_usage_than_the_pools_is_refused_with_cause_8() {
    let mut t = client(RegistrarConfig::new());
    let ips = ["198.51.100.1".parse().unwrap()];
    let Transport::Sctp { port, addresses, .. } = Transport::sctp(7, &ips) else { panic!() };
    let sctp = |id, transport_use| {
        let user_transport = Transport::Sctp { port, transport_use, addresses };
        PoolElementParam { user_transport, ..param(id, 7) }
    };
    t.try_register(b"echo", sctp(1, TransportUse::DataOnly)).unwrap();
    assert_eq!(t.try_register(b"echo", sctp(2, TransportUse::DataPlusControl)), Err((8, vec![])));
}

/// RFC 5354, 3.12.5: cause 4. An element that comes back over a new association with its old service is the same one.
#[test]
fn an_identifier_that_another_live_element_has_is_refused_with_cause_4() {
    let mut t = client(RegistrarConfig::new());
    t.try_register(b"echo", param(1, 7)).unwrap();
    let (second, _) = t.sim.connect(t.pe, t.registrar);
    assert_eq!(t.try_register_over(second, b"echo", param(1, 8)), Err((4, vec![])));
    t.try_register_over(second, b"echo", param(1, 7)).unwrap();
    assert_eq!(t.elements(), 1);
    // It moved. The old association is asked once more, and is nothing to it when it ends.
    t.sim.lose(t.pe, t.assoc);
    assert_eq!(t.elements(), 1);
    t.sim.lose(t.pe, second);
    assert_eq!(t.elements(), 0);
}

/// 3.1, rule 5 and RFC 5354, 3.12.4: cause 3 shows the offending parameter.
#[test]
fn invalid_values_are_refused_with_cause_3_and_the_parameter() {
    let mut t = client(RegistrarConfig::new());
    for at in [([198, 51, 100, 1], 0), ([0, 0, 0, 0], 7), ([224, 0, 0, 1], 7)] {
        let user_transport = Transport::Tcp(SocketAddr::from(at));
        let refused = t.try_register(b"echo", PoolElementParam { user_transport, ..param(1, 7) });
        assert_eq!(refused, Err((3, tlv(&user_transport))));
    }
    for life in [0, -2, i32::MIN] {
        let element = PoolElementParam { lifetime: Lifetime::from_wire(life), ..param(1, 7) };
        let mut buf = [0; 100];
        let shown = element.emit(&mut buf).unwrap().to_vec();
        assert_eq!(t.try_register(b"echo", element), Err((3, shown)));
    }
    assert_eq!(t.elements(), 0);
    assert_eq!(t.sim.pr(t.registrar).stats().registrations_rejected, 6);
}

#[test]
fn registration_over_tcp_can_be_switched_off() {
    let mut t = client(RegistrarConfig { register_over_tcp: false, ..RegistrarConfig::new() });
    assert_eq!(t.try_register(b"echo", param(1, 7)), Err((0, vec![])));
}

/// Rule 5 and RFC 5354, 3.12.7: cause 6, and what was there stays usable.
#[test]
fn each_limit_is_refused_with_cause_6_and_gives_way_when_something_leaves() {
    let lack = Err((6, vec![]));
    // Pools.
    let mut t = client_of(Registrar::new(
        leak(RegistrarStorage::<2, 8, 1>::new()),
        RegistrarConfig::new(),
        1,
        rserpool_core::Instant::ZERO,
    ));
    t.try_register(b"a", param(1, 7)).unwrap();
    t.try_register(b"b", param(1, 7)).unwrap();
    assert_eq!(t.try_register(b"c", param(1, 7)), lack);
    t.sim.send(t.pe, t.assoc, deregistration(b"a", 1));
    t.sim.run_secs(1);
    t.sim.received(t.pe);
    t.try_register(b"c", param(1, 7)).unwrap();
    // Elements.
    let mut t = client_of(Registrar::new(
        leak(RegistrarStorage::<2, 2, 1>::new()),
        RegistrarConfig::new(),
        1,
        rserpool_core::Instant::ZERO,
    ));
    t.try_register(b"a", param(1, 7)).unwrap();
    t.try_register(b"a", param(2, 7)).unwrap();
    assert_eq!(t.try_register(b"a", param(3, 7)), lack);
    t.try_register(b"a", param(2, 7)).unwrap();
    // Elements of one association.
    let mut t = client(RegistrarConfig { max_elements_per_association: 2, ..RegistrarConfig::new() });
    t.try_register(b"a", param(1, 7)).unwrap();
    t.try_register(b"a", param(2, 7)).unwrap();
    assert_eq!(t.try_register(b"a", param(3, 7)), lack);
    t.try_register(b"a", param(2, 8)).unwrap();
    // Bytes of an element.
    let ips: Vec<_> = (1..=20).map(|n| std::net::IpAddr::from([198, 51, 100, n])).collect();
    let mut t = client(RegistrarConfig::new());
    let long = PoolElementParam { user_transport: Transport::sctp(7, &ips), ..param(1, 7) };
    assert_eq!(t.try_register(b"a", long), lack);
    assert_eq!(t.elements(), 0);
}

/// A pool handle that the registrar cannot hold: it cannot answer with it, and says so with an ASAP_ERROR.
#[test]
fn a_pool_handle_beyond_fixed_storage_is_a_lack_of_resources() {
    let mut t = client(RegistrarConfig::new());
    let long = vec![b'x'; 65_000];
    let requests =
        [bytes_of(registration(&long, param(1, 7))), bytes_of(deregistration(&long, 1)), bytes_of(resolution(&long))];
    for request in requests {
        t.sim.send_bytes(t.pe, t.assoc, &request);
        t.sim.run_secs(1);
        let received = t.sim.received(t.pe);
        assert_eq!((received[0].1[0], causes(&received[0].1)), (ERROR, vec![(6, vec![])]));
    }
    t.sim.send(t.pe, t.assoc, unreachable(&long, 1));
    t.sim.run_secs(1);
    assert_eq!(t.sim.nodes[t.registrar].errors, [RecvError::Full; 3]);
    t.try_register(b"echo", param(1, 7)).unwrap();
}

#[cfg(feature = "alloc")]
#[test]
fn a_pool_handle_of_65000_bytes_works_in_growable_storage() {
    use rserpool_core::{ElementEvent, EndpointConfig, EndpointLimits, Instant, PoolElement, PoolUser, UserEvent};
    let mut sim = Sim::new(1);
    let long: &'static [u8] = leak(vec![b'x'; 65_000]);
    let config = RegistrarConfig { keep_alive_interval: Duration::from_secs(10), ..RegistrarConfig::new() };
    let registrar = sim.add(Role::Registrar(Registrar::growable(Default::default(), config, 1, Instant::ZERO)));
    let servers = [address_of(registrar)];
    let mut pe = PoolElement::growable(EndpointLimits::default(), EndpointConfig::new(), 2, Instant::ZERO);
    pe.add_server(rserpool_core::Link::Tcp, &servers);
    let pe = sim.add(Role::Element(pe));
    let mut pu = PoolUser::growable(EndpointLimits::default(), EndpointConfig::new(), 3, Instant::ZERO);
    pu.add_server(rserpool_core::Link::Tcp, &servers);
    let pu = sim.add(Role::User(pu));
    let key = sim.register(pe, &info_with_id(long, 5));
    sim.run_secs(100);
    assert!(sim.told_pe(pe, ElementEvent::Registered(key)));
    assert!(sim.count(pe, KEEP_ALIVE_ACK) > 3);
    let (pool, _) = sim.pu(pu, |pu, now| pu.subscribe(now, long)).unwrap();
    sim.run_secs(1);
    assert!(sim.told_pu(pu, UserEvent::Resolved(pool)));
    sim.pe(pe, |pe, now| pe.deregister(now, key)).unwrap();
    sim.run_secs(1);
    assert!(sim.told_pu(pu, UserEvent::Updated(pool)));
    assert_eq!(sim.elements_at(registrar), 0);
    // What no message can carry is refused before it is tried.
    let longest = leak(vec![b'x'; 65_527]);
    assert!(sim.pe(pe, |pe, now| pe.register(now, &info(longest))).is_err());
}

/// 5354, 3.12.7: a handle that fills a message leaves no room to say why it is not known.
#[cfg(feature = "alloc")]
#[test]
fn a_pool_handle_that_no_answer_can_repeat_is_a_lack_of_resources() {
    use rserpool_core::Instant;
    use rserpool_core::wire::PoolHandle;
    use rserpool_core::wire::asap::HandleResolution;
    let mut sim = Sim::new(1);
    let config = RegistrarConfig::new();
    let registrar = sim.add(Role::Registrar(Registrar::growable(Default::default(), config, 1, Instant::ZERO)));
    let stranger = sim.script();
    let (assoc, _) = sim.connect(stranger, registrar);
    let longest = leak(vec![b'x'; PoolHandle::MAX_LEN]);
    sim.send_bytes(stranger, assoc, &bytes_of(HandleResolution::new(PoolHandle::new(longest).unwrap())));
    sim.run_secs(1);
    assert_eq!(sim.received(stranger)[0].1[..12], [0x0e, 0, 0, 12, 0, 0x0c, 0, 8, 0, 6, 0, 4]);
}

/// More associations than places: those beyond are closed, and room is given back.
#[test]
fn associations_beyond_the_limit_are_closed() {
    let mut sim = Sim::new(1);
    let registrar = sim.registrar();
    let client = sim.script();
    for _ in 0..20 {
        sim.connect(client, registrar);
    }
    assert_eq!(sim.nodes[registrar].errors, [RecvError::Full; 4]);
    sim.run_secs(1);
    assert_eq!(sim.associations(registrar).len(), 16);
    sim.lose_all_between(client, registrar);
    for _ in 0..16 {
        sim.connect(client, registrar);
    }
    sim.run_secs(1);
    assert_eq!(sim.associations(registrar).len(), 16);
}

/// Many elements on one association: each removal is told, although they happen together.
#[test]
fn all_elements_of_a_lost_association_are_told_one_by_one() {
    let mut t = client(RegistrarConfig::new());
    for id in 1..=32 {
        t.try_register(b"echo", param(id, 7)).unwrap();
    }
    t.sim.lose(t.pe, t.assoc);
    for id in (1..=32).map(PeId) {
        assert!(t.sim.told_pr(t.registrar, RegistrarEvent::Removed { id, reason: RemovalReason::Unreachable }));
    }
    assert_eq!(t.sim.pr(t.registrar).handlespace().pools(), 0);
}

/// A slot that is used again without `Closed`: what belonged to the old association is gone with it.
#[test]
fn a_slot_that_is_used_again_takes_nothing_over() {
    let mut t = client(RegistrarConfig::new());
    t.try_register(b"echo", param(1, 7)).unwrap();
    let request = rserpool_core::wire::asap::HandleResolution { subscribe: true, ..resolution(b"echo") };
    t.sim.send(t.pe, t.assoc, request);
    t.sim.run_secs(1);
    assert_eq!(t.sim.pr(t.registrar).subscriptions(), 1);
    let (assoc, peer) = (AssocId { slot: 0, generation: 9 }, [address_of(t.pe)]);
    let link = rserpool_core::Link::Tcp;
    t.sim.input(t.registrar, rserpool_core::Input::Connected { assoc, dial: None, link, peer: &peer }).unwrap();
    assert_eq!(t.sim.pr(t.registrar).subscriptions(), 0);
    assert_eq!(t.elements(), 0);
}
