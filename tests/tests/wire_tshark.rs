//! Wireshark understands what we emit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rserpool_core::wire::asap::*;
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::enrp::*;
use rserpool_core::wire::{
    AsapMessage, EnrpBody, EnrpMessage, Lifetime, List, OperationError, Policy, PoolElementParam, PoolHandle,
    ServerInformation, Transport, TransportUse,
};
use rserpool_core::{PeId, Ppid, ServerId};
use rserpool_tests::tshark::complaints_or_skip;

const V4: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2))];
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const MIXED: [IpAddr; 3] = [V4[0], V6, V4[1]];

const TRANSPORTS: [Transport<'static>; 10] = [
    Transport::sctp(3863, &[V6]),
    Transport::sctp(9, &V4),
    Transport::Sctp { port: 1, transport_use: TransportUse::DataPlusControl, addresses: List::new(&MIXED) },
    Transport::Tcp(SocketAddr::new(V4[0], 80)),
    Transport::Tcp(SocketAddr::new(V6, 80)),
    Transport::Udp(SocketAddr::new(V4[0], 53)),
    Transport::Udp(SocketAddr::new(V6, 53)),
    Transport::UdpLite(SocketAddr::new(V4[0], 5004)),
    Transport::Dccp { port: 5005, service_code: 0x4142_4344, address: V4[1] },
    Transport::Dccp { port: 5005, service_code: 0, address: V6 },
];

const CONTROL_TRANSPORTS: [Transport<'static>; 3] = [TRANSPORTS[1], TRANSPORTS[0], TRANSPORTS[3]];

const POLICIES: [Policy<'static>; 9] = [
    Policy::RoundRobin,
    Policy::WeightedRoundRobin { weight: 7 },
    Policy::Random,
    Policy::WeightedRandom { weight: 0 },
    Policy::Priority { priority: 0xffff_ffff },
    Policy::LeastUsed { load: 0x8000_0000 },
    Policy::LeastUsedDegradation { load: 0, degradation: 0x1000_0000 },
    Policy::PriorityLeastUsed { load: 0x4000_0000, degradation: 1 },
    Policy::RandomizedLeastUsed { load: 0xffff_ffff },
];

const HANDLES: [&[u8]; 6] = [b"a", b"ab", b"abc", b"abcd", &[0, 0xff, 0x80, 0x7f, 0x0a], &[b'h'; 300]];

/// A message as bytes, with what to call it.
struct Sample {
    what: String,
    ppid: Ppid,
    bytes: Vec<u8>,
    /// What Wireshark says because it lacks something that the RFCs have.
    complaints: &'static [&'static str],
}

#[derive(Default)]
struct Samples(Vec<Sample>);

impl Samples {
    fn asap<'a>(&mut self, message: impl Into<AsapMessage<'a>>) {
        let message = message.into();
        let mut bytes = vec![0xff; message.encoded_len()];
        message.emit(&mut bytes).unwrap();
        self.0.push(Sample { what: format!("{message:?}"), ppid: Ppid::Asap, bytes, complaints: &[] });
    }

    fn enrp<'a>(&mut self, body: impl Into<EnrpBody<'a>>) {
        let (sender, receivers) = (ServerId(0x1111_1111), [ServerId(0x2222_2222), ServerId::NONE]);
        let receiver = receivers[self.0.len() % 2];
        let message = EnrpMessage { sender, receiver, body: body.into() };
        let mut bytes = vec![0xff; message.encoded_len()];
        message.emit(&mut bytes).unwrap();
        self.0.push(Sample { what: format!("{message:?}"), ppid: Ppid::Enrp, bytes, complaints: &[] });
    }

    /// The last message has something that Wireshark does not know.
    fn wireshark_lacks(&mut self, complaints: &'static [&'static str]) {
        self.0.last_mut().unwrap().complaints = complaints;
    }

    /// What Wireshark has against each, unless it is missing.
    fn complaints(&self) -> Option<Vec<Vec<String>>> {
        let messages: Vec<_> = self.0.iter().map(|sample| (sample.ppid, &sample.bytes[..])).collect();
        complaints_or_skip(&messages)
    }

    /// How many samples there are of each message type.
    fn count(&self, ppid: Ppid, ty: u8) -> usize {
        self.0.iter().filter(|sample| sample.ppid == ppid && sample.bytes[0] == ty).count()
    }
}

fn handles() -> impl Iterator<Item = PoolHandle<'static>> + Clone {
    HANDLES.iter().map(|bytes| PoolHandle::new(bytes).unwrap())
}

/// Elements with each transport and each policy.
fn elements() -> Vec<PoolElementParam<'static>> {
    let lifetimes = [Lifetime::INFINITE, Lifetime::from_secs(0), Lifetime::from_secs(u32::MAX)];
    let homes = [ServerId::NONE, ServerId(0x1111_1111)];
    let asap_transports = [None, Some(CONTROL_TRANSPORTS[0]), Some(CONTROL_TRANSPORTS[1]), Some(CONTROL_TRANSPORTS[2])];
    let from = |user_transport, n: usize| PoolElementParam {
        id: PeId(u32::try_from(n).unwrap()),
        home: homes[n % homes.len()],
        lifetime: lifetimes[n % lifetimes.len()],
        user_transport,
        policy: POLICIES[n % POLICIES.len()],
        asap_transport: asap_transports[n % asap_transports.len()],
    };
    (0..).zip(TRANSPORTS).map(|(n, transport)| from(transport, n)).collect()
}

/// Causes of RFC 5354 with what they are to hold.
fn causes() -> Vec<Cause<'static>> {
    fn leaked(emit: impl FnOnce(&mut [u8]) -> usize) -> &'static [u8] {
        let mut buf = vec![0; 100];
        let len = emit(&mut buf);
        buf.truncate(len);
        buf.leak()
    }
    let policy = leaked(|buf| POLICIES[6].emit(buf).unwrap().len());
    let transport = leaked(|buf| TRANSPORTS[2].emit(buf).unwrap().len());
    vec![
        Cause::InvalidValues(&[0, 9, 0, 4]),
        Cause::InvalidValues(policy),
        Cause::NonUniquePeId,
        Cause::InconsistentPolicy(policy),
        Cause::LackOfResources,
        Cause::InconsistentTransport(transport),
        Cause::InconsistentControlChannel,
        Cause::UnknownPoolHandle,
        Cause::RejectedForSecurity,
    ]
}

/// Messages of every type in several shapes.
fn samples() -> Samples {
    let mut samples = Samples::default();
    let handle = handles().next().unwrap();
    let (elements, causes) = (elements(), causes());
    let few = [&elements[..1], &elements[..2], &elements[..]];
    let errors = [&causes[1..2], &causes[3..5], &causes[..]].map(OperationError::new);
    let id = PeId(0xcafe);

    for (pool_handle, element) in handles().cycle().zip(&elements) {
        samples.asap(Registration { pool_handle, element: *element });
    }
    for pool_handle in handles() {
        samples.asap(Deregistration { pool_handle, id });
        samples.asap(RegistrationResponse { rejected: false, pool_handle, id, error: None });
        samples.asap(DeregistrationResponse { pool_handle, id, error: None });
        samples.asap(HandleResolution::new(pool_handle));
        samples.asap(EndpointKeepAlive { adopt: false, server: ServerId(1), pool_handle, id: None });
        samples.asap(EndpointKeepAliveAck { pool_handle, id });
        samples.asap(EndpointUnreachable { pool_handle, id });
    }
    for error in errors {
        for rejected in [false, true] {
            samples.asap(RegistrationResponse { rejected, pool_handle: handle, id, error: Some(error) });
        }
        samples.asap(DeregistrationResponse { pool_handle: handle, id, error: Some(error) });
        samples.asap(HandleResolutionResponse {
            accepts_updates: false,
            pool_handle: handle,
            policy: None,
            elements: List::empty(),
            error: Some(error),
        });
        samples.asap(AsapError { error });
        samples.enrp(EnrpError { error });
    }
    for cause in &causes {
        let error = OperationError::new(std::slice::from_ref(cause));
        samples.asap(AsapError { error });
        samples.enrp(EnrpError { error });
    }
    let (announce, list_request) = ([0x0a, 0, 0, 8, 0, 0, 0, 1], [0x05, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 2]);
    samples.asap(AsapError { error: OperationError::new(&[Cause::UnrecognizedMessage(&announce)]) });
    samples.enrp(EnrpError { error: OperationError::new(&[Cause::UnrecognizedMessage(&list_request)]) });
    for wanted_items in [None, Some(0), Some(u32::MAX)] {
        samples.asap(HandleResolution { subscribe: true, pool_handle: handle, wanted_items });
    }
    let policies = POLICIES.map(Some).into_iter().chain([None]);
    for (pool_handle, (elements, policy)) in handles().cycle().zip(few.into_iter().cycle().zip(policies)) {
        let elements = List::new(elements);
        let accepts_updates = policy.is_some();
        samples.asap(HandleResolutionResponse { accepts_updates, pool_handle, policy, elements, error: None });
        samples.asap(BusinessCard { pool_handle, policy: None, elements });
    }
    for id in [None, Some(id)] {
        samples.asap(EndpointKeepAlive { adopt: true, server: ServerId::NONE, pool_handle: handle, id });
    }
    for count in 0..=CONTROL_TRANSPORTS.len() {
        let transports = List::new(&CONTROL_TRANSPORTS[..count]);
        samples.asap(ServerAnnounce { server: ServerId(0x1111_1111), transports });
    }
    for cookie in HANDLES {
        samples.asap(Cookie { cookie });
        samples.asap(CookieEcho { cookie });
    }

    let servers: Vec<_> = (1..)
        .zip(CONTROL_TRANSPORTS)
        .map(|(id, transport)| ServerInformation { id: ServerId(id), transport })
        .collect();
    for reply_required in [false, true] {
        for checksum in [None, Some(0), Some(0xffff)] {
            for server_information in [None, Some(servers[0]), Some(servers[1])] {
                samples.enrp(Presence { reply_required, checksum, server_information });
            }
        }
    }
    for own_children_only in [false, true] {
        samples.enrp(HandleTableRequest { own_children_only });
    }
    let entries: Vec<_> = handles()
        .zip(few.into_iter().cycle())
        .map(|(pool_handle, elements)| HandleTableEntry { pool_handle, elements: List::new(elements) })
        .collect();
    for more in [false, true] {
        for entries in [&entries[..0], &entries[..1], &entries[..]] {
            samples.enrp(HandleTableResponse { more, rejected: false, entries: PoolEntries::new(entries) });
        }
    }
    samples.enrp(HandleTableResponse { more: false, rejected: true, entries: PoolEntries::empty() });
    for (pool_handle, element) in handles().cycle().zip(&elements) {
        for action in [UpdateAction::Add, UpdateAction::Delete] {
            let takeover_suggested = element.home.is_none();
            samples.enrp(HandleUpdate { takeover_suggested, action, pool_handle, element: *element });
        }
    }
    for _receiver in 0..2 {
        samples.enrp(ListRequest);
    }
    for count in 0..=servers.len() {
        samples.enrp(ListResponse { rejected: false, servers: List::new(&servers[..count]) });
    }
    samples.enrp(ListResponse { rejected: true, servers: List::empty() });
    for target in [ServerId(0x3333_3333), ServerId(1), ServerId(u32::MAX)] {
        samples.enrp(InitTakeover { target });
        samples.enrp(InitTakeoverAck { target });
        samples.enrp(TakeoverServer { target });
    }
    samples
}

/// Parts of the RFCs, or such as they allow, that Wireshark 4.0 has no fields for.
fn unknown_to_wireshark(samples: &mut Samples) {
    let pool_handle = handles().next().unwrap();
    let with = |user_transport, policy| PoolElementParam { user_transport, policy, ..elements()[0] };

    let element = with(Transport::Opaque(b"odd"), Policy::Random);
    samples.asap(Registration { pool_handle, element });
    samples.wireshark_lacks(&[
        "unknown: Unknown Parameter (type 16 and 3 bytes value)",
        "unknown: Parameter Type: Unknown (0x0010)",
        "not understood: Parameter Value: 6f6464",
    ]);
    let policy = Policy::Other { policy_type: 0x8000_0001, data: b"odd" };
    samples.enrp(HandleUpdate {
        takeover_suggested: false,
        action: UpdateAction::Add,
        pool_handle,
        element: with(TRANSPORTS[0], policy),
    });
    samples.wireshark_lacks(&[
        "unknown: Policy Type: Unknown (0x80000001)",
        "not understood: Policy Value: 6f646400", // it counts the padding
    ]);
    samples.asap(AsapError { error: OperationError::new(&[Cause::Unspecified]) });
    samples.wireshark_lacks(&[
        "unknown: Unknown error cause (code 0 and 0 bytes information)",
        "unknown: Cause Code: Unknown (0x0000)",
    ]);
    samples.enrp(EnrpError { error: OperationError::new(&[Cause::UnrecognizedParameter(&[0xc0, 1, 0, 5, 7])]) });
    samples.wireshark_lacks(&[
        "unknown: Unknown Parameter (type 49153 and 1 byte value)",
        "unknown: Parameter Type: Unknown (0xc001)",
        "not understood: Parameter Value: 07",
    ]);
    let message = [0x7f, 0, 0, 12, 0, 9, 0, 8, b'p', b'o', b'o', b'l'];
    samples.asap(AsapError { error: OperationError::new(&[Cause::UnrecognizedMessage(&message)]) });
    samples.wireshark_lacks(&["unknown: Type: Unknown (127)"]);
    let message = [0x7f, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 2];
    samples.enrp(EnrpError { error: OperationError::new(&[Cause::UnrecognizedMessage(&message)]) });
    samples.wireshark_lacks(&["unknown: Type: Unknown (127)", "not understood: Value: 0000000100000002"]);
}

#[test]
fn wireshark_has_nothing_against_any_message_that_we_emit() {
    let mut samples = samples();
    unknown_to_wireshark(&mut samples);
    for ty in 0x01..=0x0e {
        assert!(samples.count(Ppid::Asap, ty) >= 3, "ASAP type {ty:#x}");
    }
    for ty in 0x01..=0x0a {
        // The two requests hold nothing but a flag.
        let shapes = if matches!(ty, 0x02 | 0x05) { 2 } else { 3 };
        assert!(samples.count(Ppid::Enrp, ty) >= shapes, "ENRP type {ty:#x}");
    }
    let Some(complaints) = samples.complaints() else { return };
    let mut text = String::new();
    for (sample, complaints) in samples.0.iter().zip(&complaints) {
        if complaints != sample.complaints {
            text += &format!("{}\n    {}\n", sample.what, complaints.join("\n    "));
        }
    }
    assert!(text.is_empty(), "{text}");
}

#[test]
fn what_is_wrong_with_a_message_is_noticed() {
    let good = {
        let mut samples = Samples::default();
        let pool_handle = PoolHandle::new(b"pool!").unwrap();
        samples.asap(Registration { pool_handle, element: elements()[0] });
        samples.0.remove(0).bytes
    };
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        assert_ne!(bytes[at], byte);
        bytes[at] = byte;
        bytes
    };
    let cut = |length: usize| good[..length].to_vec();
    let padded = |more: usize| [&good[..], &vec![0; more]].concat();
    // Message 4, handle 4 + 5 + 3, element 4 + 12, transport 4 + 4.
    let samples = [
        (Ppid::Asap, good.clone(), ""),
        (Ppid::Enrp, good.clone(), "malformed"),
        (Ppid::Asap, changed(0, 0x2f), "unknown"),
        (Ppid::Asap, changed(3, good[3] - 4), "length"),
        (Ppid::Asap, changed(3, good[3] + 4), "length"),
        (Ppid::Asap, changed(19, good[19] + 4), "malformed"),
        (Ppid::Asap, changed(33, 0x3f), "unknown"),
        (Ppid::Asap, cut(good.len() - 4), "length"),
        (Ppid::Asap, cut(good.len() - 1), "length"),
        (Ppid::Asap, padded(4), "length"),
        (Ppid::Asap, padded(1), "multiple of 4"),
    ];
    let messages: Vec<_> = samples.iter().map(|(ppid, bytes, _)| (*ppid, &bytes[..])).collect();
    let Some(complaints) = complaints_or_skip(&messages) else { return };
    for ((_, bytes, expected), complaints) in samples.iter().zip(&complaints) {
        let noticed = complaints.iter().any(|complaint| !expected.is_empty() && complaint.contains(expected));
        assert!(noticed || (expected.is_empty() && complaints.is_empty()), "{bytes:?}: {complaints:?}");
    }
}
