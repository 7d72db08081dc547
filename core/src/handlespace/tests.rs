//! The handlespace against a model of maps, in lent and in growing memory.

use std::collections::BTreeMap;
use std::format;
use std::net::IpAddr;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::wire::{ChecksumAccumulator, Lifetime, Policy, PoolHandle, Transport, TransportUse, element_sum};
use crate::{AssocId, Instant, PeId, ServerId};

/// As small as the model's limits, so that they are all met.
type Storage = HandlespaceStorage<3, 8, 2, 8, 64>;

fn handle(n: u8) -> String {
    if n == 5 { String::from("too long a handle") } else { format!("pool-{n}") }
}

const ADDRESSES: [IpAddr; 6] = [IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)); 6];

/// A transport by number: 5 is too long for the storage together with anything.
fn transport(n: u8) -> Transport<'static> {
    match n {
        0 => Transport::Tcp(([192, 0, 2, 1], 7).into()),
        1 => Transport::sctp(7, &ADDRESSES[..2]),
        2 => Transport::Sctp {
            port: 7,
            transport_use: TransportUse::DataPlusControl,
            addresses: crate::wire::List::new(&ADDRESSES[..1]),
        },
        3 => Transport::Opaque(b"odd"),
        4 => Transport::Udp(([192, 0, 2, 1], 7).into()),
        _ => Transport::sctp(7, &ADDRESSES),
    }
}

fn policy(n: u8, value: u32) -> Policy<'static> {
    match n {
        0 => Policy::RoundRobin,
        1 => Policy::WeightedRoundRobin { weight: value },
        2 => Policy::Random,
        3 => Policy::WeightedRandom { weight: value },
        4 => Policy::Priority { priority: value },
        5 => Policy::LeastUsed { load: value },
        6 => Policy::LeastUsedDegradation { load: value, degradation: 1 },
        7 => Policy::PriorityLeastUsed { load: value, degradation: value },
        8 => Policy::RandomizedLeastUsed { load: u32::MAX - value },
        _ => Policy::Other { policy_type: 0x8000_0001, data: b"seven b" },
    }
}

#[derive(Clone, Debug)]
enum Op {
    Register { handle: u8, id: u32, home: u32, policy: u8, value: u32, transport: u8, asap: Option<u8>, life: i32 },
    Remove { handle: u8, id: u32 },
    Home { handle: u8, id: u32, home: u32 },
    Timer { handle: u8, id: u32, due: Option<u64> },
    Bind { handle: u8, id: u32, assoc: Option<u32> },
    Select { handle: u8, max: usize, advance: bool },
    Next,
}

fn op() -> impl Strategy<Value = Op> {
    let (handle, id, home) = (0u8..5, 0u32..6, 1u32..4);
    // Mostly consistent, so that most registrations are accepted.
    let register = (0u8..6, id.clone(), home.clone(), (0u8..10, any::<u8>()), 0u32..4, (0u8..6, any::<u8>())).prop_map(
        |(handle, id, home, (policy, p), value, (transport, t))| Op::Register {
            handle,
            id,
            home,
            policy: if p < 200 { handle * 2 + 1 } else { policy },
            value,
            transport: if t < 220 { handle.min(4) } else { transport },
            asap: (t % 3 == 0).then_some(t % 4),
            life: if p == 0 { -1 } else { i32::from(p) },
        },
    );
    prop_oneof![
        6 => register,
        2 => (handle.clone(), id.clone()).prop_map(|(handle, id)| Op::Remove { handle, id }),
        1 => (handle.clone(), id.clone(), home).prop_map(|(handle, id, home)| Op::Home { handle, id, home }),
        2 => (handle.clone(), id.clone(), prop::option::weighted(0.8, 0u64..50))
            .prop_map(|(handle, id, due)| Op::Timer { handle, id, due }),
        2 => (handle.clone(), id, prop::option::weighted(0.8, 0u32..20))
            .prop_map(|(handle, id, assoc)| Op::Bind { handle, id, assoc }),
        3 => (handle, 0usize..10, any::<bool>())
            .prop_map(|(handle, max, advance)| Op::Select { handle, max, advance }),
        1 => Just(Op::Next),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct ModelElement {
    home: u32,
    policy: (u8, u32),
    transport: u8,
    asap: Option<u8>,
    expires: Option<Instant>,
    due: Option<u64>,
    assoc: Option<u32>,
}

/// By handle: the elements by identifier, and the order of registration.
type Model = BTreeMap<u8, (BTreeMap<u32, ModelElement>, Vec<u32>)>;

fn all(model: &Model) -> impl Iterator<Item = (u8, u32, &ModelElement)> {
    model.iter().flat_map(|(handle, (elements, _))| elements.iter().map(move |(id, e)| (*handle, *id, e)))
}

fn owners(model: &Model) -> std::collections::BTreeSet<u32> {
    all(model).map(|(_, _, element)| element.home).collect()
}

/// What the model says to a registration.
fn model_register(model: &mut Model, op: &Op) -> Result<RegisteredKind, RegisterError> {
    let Op::Register { handle: h, id, home, policy: p, value, transport: t, asap, life } = *op else { panic!() };
    let before = model.get(&h).and_then(|(elements, _)| elements.get(&id)).cloned();
    if let Some((elements, _)) = model.get(&h) {
        let first = elements.values().next().unwrap();
        let (there, new) = (transport(first.transport), transport(t));
        if policy(first.policy.0, 0).policy_type() != policy(p, 0).policy_type() {
            return Err(RegisterError::InconsistentPolicy);
        }
        if there.kind() != new.kind() {
            return Err(RegisterError::InconsistentTransport);
        }
        if there.transport_use() != new.transport_use() {
            return Err(RegisterError::InconsistentControlChannel);
        }
    } else if handle(h).len() > 8 {
        return Err(RegisterError::HandleTooLong);
    } else if model.len() == 3 {
        return Err(RegisterError::PoolsFull);
    }
    if before.is_none() && all(model).count() == 8 {
        return Err(RegisterError::ElementsFull);
    }
    check_owner(model, home, before.as_ref())?;
    let kind = match (model.contains_key(&h), &before) {
        (false, _) => RegisteredKind::NewPool,
        (true, None) => RegisteredKind::NewElement,
        (true, Some(_)) => RegisteredKind::Update,
    };
    let (elements, order) = model.entry(h).or_default();
    if before.is_none() {
        order.push(id);
    }
    let element = ModelElement {
        home,
        policy: (p, value),
        transport: t,
        asap,
        expires: u64::try_from(life).ok().map(Instant::from_secs),
        due: before.as_ref().and_then(|before| before.due),
        assoc: before.as_ref().and_then(|before| before.assoc),
    };
    elements.insert(id, element);
    Ok(kind)
}

fn check_owner(model: &Model, home: u32, before: Option<&ModelElement>) -> Result<(), RegisterError> {
    let owners = owners(model);
    let is_last = |home| all(model).filter(|(_, _, element)| element.home == home).count() == 1;
    let ok = owners.contains(&home) || owners.len() < 2 || before.is_some_and(|before| is_last(before.home));
    if ok { Ok(()) } else { Err(RegisterError::OwnersFull) }
}

fn model_element(model: &mut Model, handle: u8, id: u32) -> Option<&mut ModelElement> {
    model.get_mut(&handle)?.0.get_mut(&id)
}

fn find(space: &Handlespace<'_>, h: u8, id: u32) -> Option<ElementRef> {
    let name = handle(h);
    space.find_element(space.find_pool(PoolHandle::new(name.as_bytes())?)?, PeId(id))
}

/// Does one thing in the handlespace; the answer is for comparing.
fn apply(space: &mut Handlespace<'_>, op: &Op) -> String {
    match *op {
        Op::Register { handle: h, id, home, policy: p, value, transport: t, asap, life } => {
            let registration = Registration {
                id: PeId(id),
                home: ServerId(home),
                lifetime: Lifetime::from_wire(life),
                user_transport: transport(t),
                policy: policy(p, value),
                asap_transport: asap.map(transport),
            };
            let name = handle(h);
            format!("{:?}", space.register(Instant::ZERO, PoolHandle::new(name.as_bytes()).unwrap(), &registration))
        }
        Op::Remove { handle, id } => {
            format!("{:?}", find(space, handle, id).map(|e| (space.remove(e), space.remove(e))))
        }
        Op::Home { handle, id, home } => {
            format!("{:?}", find(space, handle, id).map(|e| space.set_home(e, ServerId(home))))
        }
        Op::Timer { handle, id, due } => {
            if let Some(e) = find(space, handle, id) {
                match due {
                    Some(due) => space.set_timer(e, Instant::from_micros(due)),
                    None => space.clear_timer(e),
                }
            }
            format!("{:?}", space.next_deadline())
        }
        Op::Bind { handle, id, assoc } => {
            if let Some(e) = find(space, handle, id) {
                match assoc {
                    Some(slot) => space.bind(e, AssocId { slot, generation: 9 }),
                    None => space.unbind(e),
                }
            }
            String::new()
        }
        Op::Select { handle: h, max, advance } => {
            let name = handle(h);
            let Some(pool) = space.find_pool(PoolHandle::new(name.as_bytes()).unwrap()) else { return String::new() };
            format!("{:?}", if advance { space.select(pool, max) } else { space.list(pool, max) })
        }
        Op::Next => format!("{:?}", space.next_timer()),
    }
}

/// Everything that can be asked is as the model says.
fn check(space: &mut Handlespace<'_>, model: &Model) {
    assert_eq!(space.pools() as usize, model.len());
    assert_eq!(space.elements() as usize, all(model).count());
    assert_eq!(space.owners.len() as usize, owners(model).len());

    // Lists of pools and elements.
    let mut pools = BTreeMap::new();
    let mut pool = None;
    while let Some(next) = space.next_pool(pool) {
        let view = space.pool(next).unwrap();
        assert_eq!(space.find_pool(view.handle), Some(next));
        assert!(pools.insert(view.handle.as_bytes().to_vec(), next).is_none());
        pool = Some(next);
    }
    assert_eq!(pools.len(), model.len());
    let mut nodes = 0;
    for (h, (elements, order)) in model {
        let pool = pools[handle(*h).as_bytes()];
        nodes += space.ranking.check(&space.pools.at(pool.slot()).order);
        assert_eq!(space.pool(pool).unwrap().elements as usize, elements.len());
        let mut listed = Vec::new();
        let mut element = None;
        while let Some(next) = space.next_element(pool, element) {
            let view = space.element(next).unwrap();
            let expected = &elements[&view.id.0];
            listed.push(view.id.0);
            assert_eq!(space.find_element(pool, view.id), Some(next));
            assert_eq!((view.home, view.expires, view.pool), (ServerId(expected.home), expected.expires, pool));
            assert_eq!(view.user_transport(), Some(transport(expected.transport)));
            assert_eq!(view.policy(), Some(policy(expected.policy.0, expected.policy.1)));
            assert_eq!(view.asap_transport(), expected.asap.map(transport));
            let mut bytes = space.user_transport_bytes(next).to_vec();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(space.policy_bytes(next));
            assert_eq!(space.user_transport_and_policy_bytes(next), bytes);
            if expected.asap.is_some() {
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                bytes.extend(space.asap_transport_bytes(next));
            }
            assert_eq!(space.parameter_bytes(next), bytes);
            assert_eq!(space.timer(next), expected.due.map(Instant::from_micros));
            assert_eq!(space.watch(next).unwrap().assoc().map(|assoc| assoc.slot), expected.assoc);
            element = Some(next);
        }
        assert_eq!(&listed, order);
    }
    assert_eq!(space.ranking.nodes(), nodes, "no node is lost");

    // Owners.
    for home in 0..5 {
        let mut sum = ChecksumAccumulator::new();
        let mut expected: Vec<(u8, u32)> = Vec::new();
        for (h, id, _) in all(model).filter(|(_, _, element)| element.home == home) {
            sum.add(element_sum(handle(h).as_bytes(), PeId(id)));
            expected.push((h, id));
        }
        assert_eq!(space.checksum(ServerId(home)), sum.value());
        assert_eq!(space.owned(ServerId(home)) as usize, expected.len());
        let mut element = None;
        while let Some(next) = space.next_owned(ServerId(home), element) {
            let view = space.element(next).unwrap();
            let h = (0..5).find(|h| pools.get(handle(*h).as_bytes()) == Some(&view.pool)).unwrap();
            expected.remove(expected.iter().position(|e| *e == (h, view.id.0)).unwrap());
            element = Some(next);
        }
        assert_eq!(expected, []);
    }

    // Associations.
    for slot in 0..20 {
        let assoc = AssocId { slot, generation: 9 };
        let mut count = 0;
        let mut element = None;
        while let Some(next) = space.next_bound(assoc, element) {
            assert_eq!(space.watch(next).unwrap().assoc(), Some(assoc));
            count += 1;
            element = Some(next);
        }
        assert_eq!(count, all(model).filter(|(_, _, element)| element.assoc == Some(slot)).count());
        assert_eq!(space.next_bound(AssocId { slot, generation: 8 }, None), None);
    }

    // Timers.
    let due = all(model).filter_map(|(_, _, element)| element.due).min().map(Instant::from_micros);
    assert!(space.next_deadline().is_some() == due.is_some() && space.next_deadline() <= due);
}

fn run(space: &mut Handlespace<'_>, ops: &[Op]) -> Vec<String> {
    let mut model = Model::new();
    let mut answers = Vec::new();
    for op in ops {
        let answer = apply(space, op);
        match op {
            Op::Register { .. } => {
                let too_long = matches!(op, Op::Register { transport: 5, asap: _, .. });
                let mut changed = model.clone();
                match model_register(&mut changed, op) {
                    Ok(_) if too_long && answer.contains("DataTooLong") => {}
                    Ok(kind) => {
                        assert!(answer.starts_with("Ok") && answer.contains(&format!("{kind:?}")), "{op:?}: {answer}");
                        model = changed;
                    }
                    Err(error) => assert_eq!(answer, format!("Err({error:?})")),
                }
            }
            Op::Remove { handle, id } => {
                let mut gone = false;
                if let Some((elements, order)) = model.get_mut(handle) {
                    gone = elements.remove(id).is_some();
                    order.retain(|other| other != id);
                    if elements.is_empty() {
                        model.remove(handle);
                    }
                }
                assert_eq!(answer.starts_with("Some((Some("), gone, "{answer}");
                assert!(!gone || answer.ends_with(", None))"), "removed twice");
            }
            Op::Home { handle, id, home } => {
                let before = model_element(&mut model, *handle, *id).cloned();
                if before.is_some() {
                    let result = check_owner(&model, *home, before.as_ref());
                    assert_eq!(answer, format!("Some({result:?})"));
                    if result.is_ok() {
                        model_element(&mut model, *handle, *id).unwrap().home = *home;
                    }
                }
            }
            Op::Timer { handle, id, due } => {
                if let Some(element) = model_element(&mut model, *handle, *id) {
                    element.due = *due;
                }
            }
            Op::Bind { handle, id, assoc } => {
                if let Some(element) = model_element(&mut model, *handle, *id) {
                    element.assoc = *assoc;
                }
            }
            Op::Select { handle, max, .. } => {
                let selectable = model.get(handle).map_or(0, |(elements, _)| {
                    elements.values().filter(|e| e.policy.1 > 0 || !matches!(e.policy.0, 1 | 3 | 8)).count()
                });
                assert_eq!(answer.matches("ElementRef").count(), selectable.min(*max), "{answer}");
            }
            Op::Next => {
                let due = all(&model).filter_map(|(_, _, element)| element.due).min();
                assert_eq!(space.next_timer().map(|(due, _)| due), due.map(Instant::from_micros));
                assert_eq!(space.next_deadline(), due.map(Instant::from_micros), "exact after next_timer");
            }
        }
        check(space, &model);
        answers.push(answer);
    }
    // Take everything out, in the order of the timers as far as there are any: no slot is lost.
    let mut last = Instant::ZERO;
    while let Some((due, element)) = space.next_timer() {
        assert!(due >= last);
        last = due;
        space.remove(element).unwrap();
    }
    while let Some(pool) = space.next_pool(None) {
        let element = space.next_element(pool, None).unwrap();
        space.remove(element).unwrap();
    }
    let left = [space.pools.len(), space.elements.len(), space.owners.len(), space.ranking.nodes()];
    assert_eq!(left, [0; 4]);
    answers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn any_operations_are_as_in_the_model(ops in prop::collection::vec(op(), 1..80), seed: u64) {
        let mut storage = Storage::new();
        let lent = run(&mut Handlespace::new(&mut storage, seed), &ops);
        // Used memory is as good as new.
        let again = run(&mut Handlespace::new(&mut storage, seed), &ops);
        prop_assert_eq!(&lent, &again);
        #[cfg(feature = "alloc")]
        if !lent.iter().any(|answer| answer.contains("DataTooLong")) {
            let limits = Limits { pools: 3, elements: 8, owners: 2, handle_len: 8, selection: 8 };
            prop_assert_eq!(lent, run(&mut Handlespace::growable(limits, seed), &ops));
        }
    }
}

/// A registration of element `id` at its home `home`, as plain as can be.
fn plain(id: u32, home: u32) -> Registration<'static> {
    Registration {
        id: PeId(id),
        home: ServerId(home),
        lifetime: Lifetime::INFINITE,
        user_transport: transport(0),
        policy: Policy::RoundRobin,
        asap_transport: None,
    }
}

fn pool(name: &str) -> PoolHandle<'_> {
    PoolHandle::new(name.as_bytes()).unwrap()
}

#[test]
fn a_full_table_is_an_answer_and_changes_nothing() {
    let mut storage = HandlespaceStorage::<2, 3, 2, 4, 32>::new();
    let mut space = Handlespace::new(&mut storage, 1);
    let mut register = |name, registration| space.register(Instant::ZERO, pool(name), &registration);
    register("a", plain(1, 1)).unwrap();
    assert_eq!(register("a", plain(2, 1)).unwrap().kind, RegisteredKind::NewElement);
    let long = Registration { asap_transport: Some(transport(1)), ..plain(3, 1) };
    assert_eq!(register("a", long), Err(RegisterError::DataTooLong));
    assert_eq!(register("abcde", plain(3, 1)), Err(RegisterError::HandleTooLong));
    register("b", plain(1, 2)).unwrap();
    assert_eq!(register("c", plain(1, 1)), Err(RegisterError::PoolsFull));
    assert_eq!(register("a", plain(3, 1)), Err(RegisterError::ElementsFull));
    assert_eq!(register("a", plain(1, 3)), Err(RegisterError::OwnersFull));
    // The only element of an owner can move to a new one all the same.
    assert_eq!(register("b", plain(1, 3)).unwrap().kind, RegisteredKind::Update);
    assert_eq!((space.pools(), space.elements()), (2, 3));
    assert_eq!((space.owned(ServerId(1)), space.owned(ServerId(2)), space.owned(ServerId(3))), (2, 0, 1));
}

#[test]
fn the_only_element_of_a_pool_cannot_change_what_the_pool_is() {
    let mut storage = Storage::new();
    let mut space = Handlespace::new(&mut storage, 1);
    space.register(Instant::ZERO, pool("a"), &plain(1, 1)).unwrap();
    let other = Registration { policy: Policy::Random, ..plain(1, 1) };
    assert_eq!(space.register(Instant::ZERO, pool("a"), &other), Err(RegisterError::InconsistentPolicy));
    let other = Registration { user_transport: transport(4), ..plain(1, 1) };
    assert_eq!(space.register(Instant::ZERO, pool("a"), &other), Err(RegisterError::InconsistentTransport));
    space.register(Instant::ZERO, pool("b"), &Registration { user_transport: transport(1), ..plain(1, 1) }).unwrap();
    let other = Registration { user_transport: transport(2), ..plain(1, 1) };
    assert_eq!(space.register(Instant::ZERO, pool("b"), &other), Err(RegisterError::InconsistentControlChannel));
}

#[test]
fn a_registration_again_forgives_bad_reports_and_keeps_the_rest_of_the_watch() {
    let mut storage = Storage::new();
    let mut space = Handlespace::new(&mut storage, 1);
    let Registered { pool: p, element, .. } = space.register(Instant::ZERO, pool("a"), &plain(1, 1)).unwrap();
    let assoc = AssocId { slot: 0, generation: 0 };
    space.bind(element, assoc);
    let watch = space.watch_mut(element).unwrap();
    (watch.state, watch.due) = (WatchState::ProbeWanted, Instant::from_secs(5));
    for slot in [3, 4, 3] {
        watch.report(AssocId { slot, generation: 1 });
    }
    assert_eq!(watch.reporters(), 2);
    space.pool_state_mut(p).unwrap().dirty = true;
    space.register(Instant::ZERO, pool("a"), &plain(1, 1)).unwrap();
    let watch = space.watch(element).unwrap();
    assert_eq!((watch.reporters(), watch.state), (0, WatchState::ProbeWanted));
    assert_eq!(watch.assoc(), Some(assoc));
    assert!(space.pool_state_mut(p).unwrap().dirty);
}

#[test]
fn what_is_gone_is_not_mistaken_for_what_has_its_slot_now() {
    let mut storage = Storage::new();
    let mut space = Handlespace::new(&mut storage, 1);
    let old = space.register(Instant::ZERO, pool("a"), &plain(1, 1)).unwrap();
    assert!(space.remove(old.element).unwrap().pool_removed);
    let new = space.register(Instant::ZERO, pool("a"), &plain(1, 1)).unwrap();
    assert_ne!(old, new);
    assert!(space.element(old.element).is_none() && space.pool(old.pool).is_none());
    assert!(space.select(old.pool, 1).is_empty() && space.user_transport_bytes(old.element).is_empty());
    assert_eq!(space.remove(old.element), None);
    assert_eq!(space.next_element(new.pool, Some(old.element)), None);
    assert_eq!(space.element(new.element).map(|view| view.id), Some(PeId(1)));
}

#[test]
fn a_later_deadline_costs_nothing_until_it_is_at_the_top() {
    let mut storage = Storage::new();
    let mut space = Handlespace::new(&mut storage, 1);
    let a = space.register(Instant::ZERO, pool("a"), &plain(1, 1)).unwrap().element;
    let b = space.register(Instant::ZERO, pool("a"), &plain(2, 1)).unwrap().element;
    space.set_timer(a, Instant::from_secs(1));
    space.set_timer(b, Instant::from_secs(2));
    space.set_timer(a, Instant::from_secs(3));
    assert_eq!(space.next_deadline(), Some(Instant::from_secs(1)), "early, never late");
    assert_eq!(space.next_timer(), Some((Instant::from_secs(2), b)));
    assert_eq!(space.next_deadline(), Some(Instant::from_secs(2)));
    space.set_timer(a, Instant::from_secs(1));
    assert_eq!(space.next_timer(), Some((Instant::from_secs(1), a)));
}

#[test]
fn the_storage_is_small_and_can_be_a_static() {
    static STORAGE: std::sync::Mutex<HandlespaceStorage<8, 32, 5>> = std::sync::Mutex::new(HandlespaceStorage::new());
    let size = size_of::<HandlespaceStorage<8, 32, 5>>();
    let of = [size_of::<Pool>(), size_of::<Element>(), size_of::<Owner>(), size_of::<crate::policy::Node>()];
    std::println!("storage for 8 pools and 32 elements: {size} bytes; pool, element, owner, node: {of:?}");
    assert!(size <= 10_500);
    let mut storage = STORAGE.lock().unwrap();
    let mut space = Handlespace::new(&mut *storage, 1);
    space.register(Instant::ZERO, pool("a"), &plain(1, 1)).unwrap();
}

#[cfg(feature = "alloc")]
#[test]
fn memory_grows_as_needed_and_everything_stays_where_it_is_found() {
    let mut space = Handlespace::growable(Limits::default(), 7);
    let names: Vec<String> = (0..300).map(|n| format!("pool number {n}")).collect();
    let mut found = Vec::new();
    for id in 0..10 {
        for name in &names {
            let registered = space.register(Instant::ZERO, pool(name), &plain(id, id % 3 + 1)).unwrap();
            space.bind(registered.element, AssocId { slot: id * 50, generation: 1 });
            space.set_timer(registered.element, Instant::from_micros(u64::from(id * 7919 % 1000)));
            found.push((registered, name, id));
        }
    }
    for (registered, name, id) in &found {
        assert_eq!(space.find_pool(pool(name)), Some(registered.pool));
        assert_eq!(space.find_element(registered.pool, PeId(*id)), Some(registered.element));
    }
    let mut bound = 0;
    let mut element = None;
    while let Some(next) = space.next_bound(AssocId { slot: 50, generation: 1 }, element) {
        (bound, element) = (bound + 1, Some(next));
    }
    assert_eq!(bound, 300);
    for (registered, ..) in found {
        space.remove(registered.element).unwrap();
    }
    assert_eq!((space.pools(), space.elements(), space.next_deadline()), (0, 0, None));
}
