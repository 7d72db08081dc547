//! Whatever can be emitted is parsed back to the same value, and no bytes at all make the parser panic.
//!
//! Messages borrow what they hold. The strategies leak it, which a short test can afford, and so give out messages that
//! live for ever.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::Union;
use rserpool_core::wire::asap::*;
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::enrp::*;
use rserpool_core::wire::*;
use rserpool_core::{PeId, ServerId};

// --- messages of either protocol --------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq)]
enum Message<'a> {
    Asap(AsapMessage<'a>),
    Enrp(EnrpMessage<'a>),
}

impl Message<'_> {
    fn emit<'b>(&self, buf: &'b mut [u8]) -> Result<&'b [u8], EmitError> {
        match self {
            Message::Asap(message) => message.emit(buf),
            Message::Enrp(message) => message.emit(buf),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Message::Asap(message) => message.encoded_len(),
            Message::Enrp(message) => message.encoded_len(),
        }
    }

    /// What is emitted; written over ones, so that a byte that is left out would show.
    fn bytes(&self) -> Vec<u8> {
        let mut buf = vec![0xff; self.encoded_len()];
        let emitted = self.emit(&mut buf).unwrap().len();
        assert_eq!(emitted, buf.len());
        buf
    }

    fn is_parsed_from<'b>(&self, bytes: &'b [u8]) -> Result<Parsed<'b, Message<'b>>, ParseError<'b>> {
        match self {
            Message::Asap(_) => parse_asap(bytes),
            Message::Enrp(_) => parse_enrp(bytes),
        }
    }
}

fn parse_asap(bytes: &[u8]) -> Result<Parsed<'_, Message<'_>>, ParseError<'_>> {
    AsapMessage::parse(bytes).map(|p| Parsed { message: Message::Asap(p.message), reports: p.reports })
}

fn parse_enrp(bytes: &[u8]) -> Result<Parsed<'_, Message<'_>>, ParseError<'_>> {
    EnrpMessage::parse(bytes).map(|p| Parsed { message: Message::Enrp(p.message), reports: p.reports })
}

// --- strategies -------------------------------------------------------------------------------------------------------

fn bytes(len: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = &'static [u8]> {
    prop::collection::vec(any::<u8>(), len).prop_map(|bytes| &*bytes.leak())
}

fn slice<T: Clone + std::fmt::Debug + 'static>(
    of: impl Strategy<Value = T>,
    len: std::ops::Range<usize>,
) -> impl Strategy<Value = &'static [T]> {
    prop::collection::vec(of, len).prop_map(|items| &*items.leak())
}

fn handle() -> impl Strategy<Value = PoolHandle<'static>> {
    prop_oneof![20 => bytes(1..=300), 1 => bytes(2000..=3000)].prop_map(|bytes| PoolHandle::new(bytes).unwrap())
}

fn pe_id() -> impl Strategy<Value = PeId> {
    any::<u32>().prop_map(PeId)
}

fn server_id() -> impl Strategy<Value = ServerId> {
    any::<u32>().prop_map(ServerId)
}

fn socket_addr() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(address, port)| SocketAddr::new(address, port))
}

fn sctp_transport() -> impl Strategy<Value = Transport<'static>> {
    let uses = select(&[TransportUse::DataOnly, TransportUse::DataPlusControl][..]);
    (any::<u16>(), uses, slice(any::<IpAddr>(), 1..6)).prop_map(|(port, transport_use, addresses)| Transport::Sctp {
        port,
        transport_use,
        addresses: List::new(addresses),
    })
}

/// Where ASAP and ENRP themselves run.
fn control_transport() -> impl Strategy<Value = Transport<'static>> {
    prop_oneof![3 => sctp_transport(), 1 => socket_addr().prop_map(Transport::Tcp)]
}

fn transport() -> impl Strategy<Value = Transport<'static>> {
    let dccp = (any::<u16>(), any::<u32>(), any::<IpAddr>());
    prop_oneof![
        dccp.prop_map(|(port, service_code, address)| Transport::Dccp { port, service_code, address }),
        sctp_transport(),
        socket_addr().prop_map(Transport::Tcp),
        socket_addr().prop_map(Transport::Udp),
        socket_addr().prop_map(Transport::UdpLite),
        bytes(0..40).prop_map(Transport::Opaque),
    ]
}

fn rsplib_policy() -> impl Strategy<Value = RsplibPolicy> {
    (0..7, any::<[u32; 4]>()).prop_map(|(which, [load, degradation, dpf, distance])| match which {
        0 => RsplibPolicy::RandomizedPriorityLeastUsed { load, degradation },
        1 => RsplibPolicy::RandomizedLeastUsedDegradation { load, degradation },
        2 => RsplibPolicy::PriorityLeastUsedDegradation { load, degradation },
        3 => RsplibPolicy::RandomizedPriorityLeastUsedDegradation { load, degradation },
        4 => RsplibPolicy::WeightedRandomDpf { weight: load, dpf, distance },
        5 => RsplibPolicy::LeastUsedDpf { load, dpf, distance },
        _ => RsplibPolicy::LeastUsedDegradationDpf { load, degradation, dpf, distance },
    })
}

fn policy() -> impl Strategy<Value = Policy<'static>> {
    let one = any::<u32>;
    let two = || (any::<u32>(), any::<u32>());
    // Private types, and standard ones that are not assigned yet.
    let other = prop_oneof![0x8000_0000u32..=0xffff_ffff, 0x6u32..=0x3fff_ffff, 0x4000_0005u32..=0x7fff_ffff];
    Union::new([
        Just(Policy::RoundRobin).boxed(),
        one().prop_map(|weight| Policy::WeightedRoundRobin { weight }).boxed(),
        Just(Policy::Random).boxed(),
        one().prop_map(|weight| Policy::WeightedRandom { weight }).boxed(),
        one().prop_map(|priority| Policy::Priority { priority }).boxed(),
        one().prop_map(|load| Policy::LeastUsed { load }).boxed(),
        two().prop_map(|(load, degradation)| Policy::LeastUsedDegradation { load, degradation }).boxed(),
        two().prop_map(|(load, degradation)| Policy::PriorityLeastUsed { load, degradation }).boxed(),
        one().prop_map(|load| Policy::RandomizedLeastUsed { load }).boxed(),
        rsplib_policy().prop_map(Policy::Rsplib).boxed(),
        (other, bytes(0..30)).prop_map(|(policy_type, data)| Policy::Other { policy_type, data }).boxed(),
    ])
}

fn element() -> impl Strategy<Value = PoolElementParam<'static>> {
    let asap_transport = prop::option::of(control_transport());
    (pe_id(), server_id(), any::<i32>(), transport(), policy(), asap_transport).prop_map(
        |(id, home, lifetime, user_transport, policy, asap_transport)| PoolElementParam {
            id,
            home,
            lifetime: Lifetime::from_wire(lifetime),
            user_transport,
            policy,
            asap_transport,
        },
    )
}

fn elements() -> impl Strategy<Value = List<'static, PoolElementParam<'static>>> {
    slice(element(), 1..6).prop_map(List::new)
}

fn server_information() -> impl Strategy<Value = ServerInformation<'static>> {
    (server_id(), control_transport()).prop_map(|(id, transport)| ServerInformation { id, transport })
}

fn cause() -> impl Strategy<Value = Cause<'static>> {
    let data = bytes(0..50);
    let code = prop_oneof![0x0u16..=0xa, 0xbu16..=0xffff];
    prop_oneof![
        (code, data).prop_map(|(code, data)| Cause::new(code, data)),
        // What causes are made for: an item within the item.
        policy().prop_map(|policy| Cause::InconsistentPolicy(leak(|buf| policy.emit(buf).map(<[u8]>::len)))),
        transport().prop_map(|t| Cause::InconsistentTransport(leak(|buf| t.emit(buf).map(<[u8]>::len)))),
    ]
}

fn leak(emit: impl FnOnce(&mut [u8]) -> Result<usize, EmitError>) -> &'static [u8] {
    let mut buf = vec![0; 200];
    let len = emit(&mut buf).unwrap();
    buf.truncate(len);
    buf.leak()
}

fn operation_error() -> impl Strategy<Value = OperationError<'static>> {
    slice(cause(), 1..5).prop_map(OperationError::new)
}

fn asap_message() -> impl Strategy<Value = AsapMessage<'static>> {
    let maybe_error = || prop::option::of(operation_error());
    let positive = (any::<bool>(), handle(), prop::option::of(policy()), elements()).prop_map(
        |(accepts_updates, pool_handle, policy, elements)| HandleResolutionResponse {
            accepts_updates,
            pool_handle,
            policy,
            elements,
            error: None,
        },
    );
    let negative = (handle(), operation_error()).prop_map(|(pool_handle, error)| HandleResolutionResponse {
        accepts_updates: false,
        pool_handle,
        policy: None,
        elements: List::empty(),
        error: Some(error),
    });
    Union::new([
        (handle(), element()).prop_map(|(pool_handle, element)| Registration { pool_handle, element }.into()).boxed(),
        (handle(), pe_id()).prop_map(|(pool_handle, id)| Deregistration { pool_handle, id }.into()).boxed(),
        (any::<bool>(), handle(), pe_id(), maybe_error())
            .prop_map(|(rejected, pool_handle, id, error)| {
                RegistrationResponse { rejected, pool_handle, id, error }.into()
            })
            .boxed(),
        (handle(), pe_id(), maybe_error())
            .prop_map(|(pool_handle, id, error)| DeregistrationResponse { pool_handle, id, error }.into())
            .boxed(),
        (any::<bool>(), handle(), any::<Option<u32>>())
            .prop_map(|(subscribe, pool_handle, wanted_items)| {
                HandleResolution { subscribe, pool_handle, wanted_items }.into()
            })
            .boxed(),
        prop_oneof![positive, negative].prop_map(AsapMessage::from).boxed(),
        (any::<bool>(), server_id(), handle(), prop::option::of(pe_id()))
            .prop_map(|(adopt, server, pool_handle, id)| EndpointKeepAlive { adopt, server, pool_handle, id }.into())
            .boxed(),
        (handle(), pe_id()).prop_map(|(pool_handle, id)| EndpointKeepAliveAck { pool_handle, id }.into()).boxed(),
        (handle(), pe_id()).prop_map(|(pool_handle, id)| EndpointUnreachable { pool_handle, id }.into()).boxed(),
        (server_id(), slice(control_transport(), 0..5))
            .prop_map(|(server, transports)| ServerAnnounce { server, transports: List::new(transports) }.into())
            .boxed(),
        bytes(0..100).prop_map(|cookie| Cookie { cookie }.into()).boxed(),
        bytes(0..100).prop_map(|cookie| CookieEcho { cookie }.into()).boxed(),
        (handle(), prop::option::of(policy()), elements())
            .prop_map(|(pool_handle, policy, elements)| BusinessCard { pool_handle, policy, elements }.into())
            .boxed(),
        operation_error().prop_map(|error| AsapError { error }.into()).boxed(),
    ])
}

fn enrp_body() -> impl Strategy<Value = EnrpBody<'static>> {
    let entry = (handle(), elements()).prop_map(|(pool_handle, elements)| HandleTableEntry { pool_handle, elements });
    let table = (any::<bool>(), slice(entry, 0..4)).prop_map(|(more, entries)| HandleTableResponse {
        more,
        rejected: false,
        entries: PoolEntries::new(entries),
    });
    let refused =
        any::<bool>().prop_map(|more| HandleTableResponse { more, rejected: true, entries: PoolEntries::empty() });
    let servers = prop_oneof![
        slice(server_information(), 0..5).prop_map(|servers| (false, List::new(servers))),
        Just((true, List::empty())),
    ];
    Union::new([
        (any::<bool>(), any::<Option<u16>>(), prop::option::of(server_information()))
            .prop_map(|(reply_required, checksum, server_information)| {
                Presence { reply_required, checksum, server_information }.into()
            })
            .boxed(),
        any::<bool>().prop_map(|own_children_only| HandleTableRequest { own_children_only }.into()).boxed(),
        prop_oneof![4 => table, 1 => refused].prop_map(EnrpBody::from).boxed(),
        (any::<bool>(), select(&[UpdateAction::Add, UpdateAction::Delete][..]), handle(), element())
            .prop_map(|(takeover_suggested, action, pool_handle, element)| {
                HandleUpdate { takeover_suggested, action, pool_handle, element }.into()
            })
            .boxed(),
        Just(ListRequest.into()).boxed(),
        servers.prop_map(|(rejected, servers)| ListResponse { rejected, servers }.into()).boxed(),
        server_id().prop_map(|target| InitTakeover { target }.into()).boxed(),
        server_id().prop_map(|target| InitTakeoverAck { target }.into()).boxed(),
        server_id().prop_map(|target| TakeoverServer { target }.into()).boxed(),
        operation_error().prop_map(|error| EnrpError { error }.into()).boxed(),
    ])
}

fn message() -> impl Strategy<Value = Message<'static>> {
    let enrp = (server_id(), server_id(), enrp_body());
    prop_oneof![
        14 => asap_message().prop_map(Message::Asap),
        10 => enrp.prop_map(|(sender, receiver, body)| Message::Enrp(EnrpMessage { sender, receiver, body })),
    ]
}

// --- the layout, by a reader of its own -------------------------------------------------------------------------------

fn be16(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

/// RFC 5354, 2 to 4: every length is right, all padding is zero, and no length counts the last padding within it.
fn check_layout(message: Message<'_>, bytes: &[u8]) {
    assert_eq!(bytes.len() % 4, 0);
    let length = be16(bytes, 2);
    assert_eq!(bytes.len(), length.next_multiple_of(4));
    assert!(bytes[length..].iter().all(|b| *b == 0));
    let header = match (message, bytes[0]) {
        (Message::Asap(_), 0x07 | 0x0a) => 8,
        (Message::Asap(_), _) => 4,
        (Message::Enrp(_), 0x04 | 0x07..=0x09) => 16,
        (Message::Enrp(_), _) => 12,
    };
    check_items(&bytes[header..length], false);
}

fn check_items(mut bytes: &[u8], are_causes: bool) {
    while !bytes.is_empty() {
        let (ty, length) = (be16(bytes, 0), be16(bytes, 2));
        let padded = length.next_multiple_of(4);
        // How many bytes stand before the items within a parameter of this type.
        let fields = match ty {
            _ if are_causes => None,
            0x3 => Some(8),
            0x4..=0x7 | 0xb => Some(4),
            0xa => Some(12),
            0xc => Some(0),
            _ => None,
        };
        if let Some(fields) = fields {
            check_items(&bytes[4 + fields..length], ty == 0xc);
        }
        if padded >= bytes.len() {
            assert_eq!(length, bytes.len(), "what contains the last parameter does not count its padding");
            return;
        }
        assert!(bytes[length..padded].iter().all(|b| *b == 0));
        bytes = &bytes[padded..];
    }
}

// --- what holds for any bytes -----------------------------------------------------------------------------------------

/// No parser panics, and what is accepted is a message that can be emitted.
fn check_any(bytes: &[u8]) {
    for parsed in [parse_asap(bytes), parse_enrp(bytes)] {
        match parsed {
            Ok(Parsed { message, reports }) => {
                assert!(reports.iter().all(|item| is_within(item, bytes) && item.len() >= 4));
                let emitted = message.bytes();
                assert!(emitted.len() <= bytes.len().next_multiple_of(4), "not more than what came");
                check_layout(message, &emitted);
                let again = message.is_parsed_from(&emitted).unwrap();
                assert_eq!(again.message, message);
                assert!(again.reports.is_empty());
                let _ = format!("{message:?}");
            }
            Err(error) => {
                assert!(error.item.is_empty() || is_within(error.item, bytes));
                let _ = format!("{error} {error:?}");
            }
        }
    }
    if let Ok(transport) = Transport::parse(bytes) {
        let mut buf = vec![0xff; bytes.len()];
        assert_eq!(Transport::parse(transport.emit(&mut buf).unwrap()), Ok(transport));
        let _ = transport.socket_addrs().count();
    }
    if let Ok(policy) = Policy::parse(bytes) {
        let mut buf = vec![0xff; bytes.len()];
        assert_eq!(Policy::parse(policy.emit(&mut buf).unwrap()), Ok(policy));
        let _ = format!("{policy}");
    }
    if let Ok(element) = PoolElementParam::parse(bytes) {
        let mut buf = vec![0xff; bytes.len()];
        assert_eq!(PoolElementParam::parse(element.emit(&mut buf).unwrap()), Ok(element));
    }
    let _ = Deframer::new(MAX_MESSAGE_LEN).next(bytes);
}

fn is_within(item: &[u8], bytes: &[u8]) -> bool {
    let (item, bytes) = (item.as_ptr_range(), bytes.as_ptr_range());
    bytes.start <= item.start && item.end <= bytes.end
}

fn set_length(bytes: &mut [u8]) {
    if let Ok(length) = u16::try_from(bytes.len())
        && let Some(field) = bytes.get_mut(2..4)
    {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    /// Another number where a type or a length may stand.
    Number(Index, u16),
    Remove(Index, usize),
    Repeat(Index, usize),
    Insert(Index, Vec<u8>),
}

impl Damage {
    fn any() -> impl Strategy<Value = Damage> {
        let numbers = prop_oneof![0u16..=0x20, any::<u16>(), (0u16..4).prop_map(|top| top << 14 | 0x3f)];
        let unknown = (numbers.clone(), prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(ty, value)| {
            let mut item = ty.to_be_bytes().to_vec();
            item.extend(u16::try_from(value.len() + 4).unwrap().to_be_bytes());
            item.extend(value);
            item.resize(item.len().next_multiple_of(4), 0);
            item
        });
        prop_oneof![
            (any::<Index>(), any::<u8>()).prop_map(|(at, bits)| Damage::Flip(at, bits)),
            (any::<Index>(), numbers).prop_map(|(at, number)| Damage::Number(at, number)),
            (any::<Index>(), 1usize..9).prop_map(|(at, count)| Damage::Remove(at, count)),
            (any::<Index>(), 1usize..40).prop_map(|(at, count)| Damage::Repeat(at, count)),
            (any::<Index>(), unknown).prop_map(|(at, item)| Damage::Insert(at, item)),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.len() < 4 {
            return;
        }
        match self {
            Damage::Flip(at, bits) => *at.get_mut(bytes) ^= bits,
            Damage::Number(at, number) => {
                let at = at.index(bytes.len() / 2) * 2;
                bytes[at..at + 2].copy_from_slice(&number.to_be_bytes());
            }
            Damage::Remove(at, count) => {
                let at = at.index(bytes.len());
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Damage::Repeat(at, count) => {
                let at = at.index(bytes.len() / 4) * 4;
                let again = bytes[at..(at + count * 4).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            Damage::Insert(at, item) => {
                let at = at.index(bytes.len() / 4) * 4;
                bytes.splice(at..at, item.iter().copied());
            }
        }
    }
}

/// Parameters of any types with anything in them, also other parameters; most lengths are right.
fn parameters() -> impl Strategy<Value = Vec<u8>> {
    let item = |value: Vec<u8>, ty: u16, lie: Option<u16>| {
        let mut item = ty.to_be_bytes().to_vec();
        let length = u16::try_from(value.len() + 4).unwrap();
        item.extend(lie.unwrap_or(length).to_be_bytes());
        item.extend(value);
        item.resize(item.len().next_multiple_of(4), 0);
        item
    };
    let ty = || prop_oneof![20 => 1u16..=0x10, 1 => Just(0x803f), 1 => (0u16..4).prop_map(|top| top << 14 | 0x3e)];
    let lie = || prop::option::weighted(0.02, any::<u16>());
    let leaf = (prop::collection::vec(any::<u8>(), 0..24), ty(), lie()).prop_map(move |(v, t, l)| item(v, t, l));
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let fields = select(&[0usize, 4, 8, 12][..]);
        (prop::collection::vec(inner, 0..4), fields, ty(), lie()).prop_map(move |(items, fields, ty, lie)| {
            let mut value = vec![0; fields];
            value.extend(items.concat());
            item(value, ty, lie)
        })
    })
}

proptest! {
    #[test]
    fn every_message_parses_back_to_what_was_emitted(message in message()) {
        let bytes = message.bytes();
        let parsed = message.is_parsed_from(&bytes).unwrap();
        prop_assert_eq!(parsed.message, message);
        prop_assert!(parsed.reports.is_empty());
        prop_assert_eq!(bytes[0], match message {
            Message::Asap(m) => m.message_type(),
            Message::Enrp(m) => m.message_type(),
        });
        // What was parsed emits the same bytes: borrowed lists and slices of items are alike.
        prop_assert_eq!(&parsed.message.bytes(), &bytes);
    }

    #[test]
    fn padding_is_zero_and_no_length_counts_the_last_padding(message in message()) {
        check_layout(message, &message.bytes());
    }

    #[test]
    fn a_message_takes_the_front_of_a_larger_buffer(message in message(), more in 0usize..20) {
        let bytes = message.bytes();
        let mut buf = vec![0x55; bytes.len() + more];
        prop_assert_eq!(message.emit(&mut buf).unwrap(), &bytes[..]);
        prop_assert!(buf[bytes.len()..].iter().all(|b| *b == 0x55));
    }

    #[test]
    fn every_buffer_that_is_too_small_is_told_what_is_needed(message in message()) {
        let needed = message.encoded_len();
        let mut buf = vec![0; needed];
        let step = needed / 300 + 1;
        for len in (0..needed).step_by(step).chain(needed.saturating_sub(8)..needed) {
            prop_assert_eq!(message.emit(&mut buf[..len]), Err(EmitError::BufferTooSmall { needed }));
        }
    }

    #[test]
    fn a_message_that_was_cut_off_is_refused_at_every_byte(message in message()) {
        let bytes = message.bytes();
        let length = be16(&bytes, 2);
        for cut in 0..length {
            let error = message.is_parsed_from(&bytes[..cut]).unwrap_err();
            prop_assert_eq!(error.kind, ParseErrorKind::Truncated);
        }
        for cut in length..bytes.len() {
            prop_assert_eq!(message.is_parsed_from(&bytes[..cut]).unwrap().message, message);
        }
    }

    #[test]
    fn a_message_that_ends_early_by_its_own_length_never_panics(message in message()) {
        let bytes = message.bytes();
        for cut in (4..bytes.len()).step_by(bytes.len() / 200 + 1) {
            let mut bytes = bytes[..cut].to_vec();
            set_length(&mut bytes);
            check_any(&bytes);
        }
    }

    #[test]
    fn transports_parse_back_to_what_was_emitted(transport in transport()) {
        let mut buf = [0xff; 200];
        let bytes = transport.emit(&mut buf).unwrap();
        prop_assert_eq!(Transport::parse(bytes), Ok(transport));
        prop_assert_eq!(be16(bytes, 2), bytes.len());
        for cut in 0..bytes.len() {
            prop_assert!(Transport::parse(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn pool_elements_parse_back_to_what_was_emitted(element in element()) {
        let mut buf = vec![0xff; element.encoded_len()];
        let bytes = element.emit(&mut buf).unwrap();
        prop_assert_eq!(PoolElementParam::parse(bytes), Ok(element));
        prop_assert_eq!(be16(bytes, 2), bytes.len());
        prop_assert_eq!(bytes.len(), element.encoded_len());
        for cut in 0..bytes.len() {
            prop_assert!(PoolElementParam::parse(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn policies_parse_back_to_what_was_emitted(policy in policy()) {
        let mut buf = [0xff; 200];
        let bytes = policy.emit(&mut buf).unwrap();
        prop_assert_eq!(Policy::parse(bytes), Ok(policy));
        prop_assert_eq!(be16(bytes, 2), bytes.len());
        for cut in 0..bytes.len() {
            prop_assert!(Policy::parse(&bytes[..cut]).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8 * ProptestConfig::default().cases))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), fitting: bool) {
        let mut bytes = bytes;
        if fitting {
            set_length(&mut bytes);
        }
        check_any(&bytes);
    }

    #[test]
    fn arbitrary_parameters_never_panic(
        ty in 0u8..0x12,
        flags in any::<u8>(),
        fields in select(&[0usize, 4, 8, 12][..]),
        items in prop::collection::vec(parameters(), 0..5),
    ) {
        let mut bytes = vec![ty, flags, 0, 0];
        bytes.resize(4 + fields, 0);
        bytes.extend(items.concat());
        set_length(&mut bytes);
        check_any(&bytes);
    }

    #[test]
    fn an_arbitrary_parameter_never_panics(item in parameters()) {
        check_any(&item);
    }

    #[test]
    fn damaged_messages_never_panic(
        message in message(),
        damage in prop::collection::vec(Damage::any(), 1..4),
        fitting: bool,
    ) {
        let mut bytes = message.bytes();
        for damage in &damage {
            damage.apply(&mut bytes);
        }
        if fitting {
            set_length(&mut bytes);
        }
        check_any(&bytes);
    }
}

// --- the ends of the ranges -------------------------------------------------------------------------------------------

fn resolution(handle: &[u8]) -> HandleResolution<'_> {
    HandleResolution::new(PoolHandle::new(handle).unwrap())
}

#[test]
fn the_longest_handle_makes_the_longest_message() {
    let handle = vec![b'h'; PoolHandle::MAX_LEN];
    let message = Message::Asap(resolution(&handle).into());
    let bytes = message.bytes();
    assert_eq!(be16(&bytes, 2), MAX_MESSAGE_LEN);
    assert_eq!(bytes.len(), padded_len(MAX_MESSAGE_LEN));
    assert_eq!(message.is_parsed_from(&bytes).unwrap().message, message);
}

#[test]
fn a_handle_has_at_least_one_byte_and_fits_into_a_message() {
    assert_eq!(PoolHandle::new(b""), None);
    assert_eq!(PoolHandle::new(&vec![b'h'; PoolHandle::MAX_LEN + 1]), None);
}

#[test]
fn a_message_that_is_too_long_for_its_length_field_is_not_emitted() {
    let handle = vec![b'h'; PoolHandle::MAX_LEN];
    let message = HandleResolution { wanted_items: Some(1), ..resolution(&handle) };
    let mut buf = vec![0; 70_000];
    assert_eq!(AsapMessage::from(message).emit(&mut buf), Err(EmitError::TooLong));
    assert_eq!(AsapMessage::from(message).emit(&mut []), Err(EmitError::TooLong), "no buffer would do");
}

#[test]
fn a_parameter_that_is_too_long_for_its_length_field_is_not_emitted() {
    let data = vec![1; 65_536];
    let mut buf = vec![0; 70_000];
    assert_eq!(Transport::Opaque(&data[..65_531]).emit(&mut buf).unwrap().len(), 65_535);
    assert_eq!(Transport::Opaque(&data[..65_532]).emit(&mut buf), Err(EmitError::TooLong));
    let policy = Policy::Other { policy_type: 0x8000_0000, data: &data };
    assert_eq!(policy.emit(&mut buf), Err(EmitError::TooLong));
}
