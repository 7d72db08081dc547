//! What is unknown, malformed or in the wrong place: RFC 5354, 3 and 4, and the rules of the single items.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rserpool_core::wire::asap::*;
use rserpool_core::wire::cause::Cause;
use rserpool_core::wire::enrp::*;
use rserpool_core::wire::param::*;
use rserpool_core::wire::{
    AsapMessage, EnrpBody, EnrpMessage, Lifetime, List, MAX_REPORTS, OperationError, ParseError, ParseErrorKind,
    Parsed, Policy, PoolElementParam, PoolHandle, ServerInformation, Transport, TransportUse,
};
use rserpool_core::{PeId, ServerId};

// --- bytes by hand ----------------------------------------------------------------------------------------------------

/// A parameter or an error cause with its header, without padding.
fn item(ty: u16, value: &[u8]) -> Vec<u8> {
    [&ty.to_be_bytes()[..], &u16::try_from(value.len() + 4).unwrap().to_be_bytes(), value].concat()
}

/// Items one after the other, padded in between but not at the end.
fn items(items: &[&[u8]]) -> Vec<u8> {
    items.iter().fold(Vec::new(), |mut all, item| {
        all.resize(all.len().next_multiple_of(4), 0);
        all.extend(*item);
        all
    })
}

/// A message of any protocol, padded.
fn message(ty: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = [&[ty, flags], &length.to_be_bytes()[..], value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn enrp(ty: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    message(ty, flags, &[&[0, 0, 0, 1, 0, 0, 0, 2], value].concat())
}

fn handle() -> Vec<u8> {
    item(POOL_HANDLE, b"pool!")
}

fn ipv4() -> Vec<u8> {
    item(IPV4_ADDRESS, &[192, 0, 2, 1])
}

fn ipv6() -> Vec<u8> {
    item(IPV6_ADDRESS, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
}

/// A transport parameter: port, second field, then items.
fn transport(ty: u16, second: u16, addresses: &[&[u8]]) -> Vec<u8> {
    let fields = if ty == DCCP_TRANSPORT { &[0, 0, 0, 0][..] } else { &[] };
    item(ty, &[&[0x0f, 0x17], &second.to_be_bytes()[..], fields, &items(addresses)].concat())
}

fn sctp() -> Vec<u8> {
    transport(SCTP_TRANSPORT, 0, &[&ipv4()])
}

fn round_robin() -> Vec<u8> {
    item(POLICY, &[0, 0, 0, 1])
}

fn element(parameters: &[&[u8]]) -> Vec<u8> {
    item(POOL_ELEMENT, &[&[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 60], &items(parameters)[..]].concat())
}

fn server(parameters: &[&[u8]]) -> Vec<u8> {
    item(SERVER_INFORMATION, &[&[0, 0, 0, 9], &items(parameters)[..]].concat())
}

fn registration(parameters: &[&[u8]]) -> Vec<u8> {
    message(0x01, 0, &items(&[&handle(), &element(parameters)]))
}

fn asap_kind(bytes: &[u8]) -> Result<AsapMessage<'_>, ParseErrorKind> {
    AsapMessage::parse(bytes).map(|parsed| parsed.message).map_err(|error| error.kind)
}

fn enrp_kind(bytes: &[u8]) -> Result<EnrpBody<'_>, ParseErrorKind> {
    EnrpMessage::parse(bytes).map(|parsed| parsed.message.body).map_err(|error| error.kind)
}

// --- messages of every type and the places in them --------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq)]
enum Message<'a> {
    Asap(AsapMessage<'a>),
    Enrp(EnrpMessage<'a>),
}

impl Message<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut buf = [0xff; 1000];
        match self {
            Message::Asap(message) => message.emit(&mut buf).unwrap().to_vec(),
            Message::Enrp(message) => message.emit(&mut buf).unwrap().to_vec(),
        }
    }

    fn parse<'b>(&self, bytes: &'b [u8]) -> Result<Parsed<'b, Message<'b>>, ParseError<'b>> {
        match self {
            Message::Asap(_) => AsapMessage::parse(bytes)
                .map(|Parsed { message, reports }| Parsed { message: Message::Asap(message), reports }),
            Message::Enrp(_) => EnrpMessage::parse(bytes)
                .map(|Parsed { message, reports }| Parsed { message: Message::Enrp(message), reports }),
        }
    }

    fn with_flags(&self, flags: u8) -> Vec<u8> {
        let mut bytes = self.bytes();
        bytes[1] = flags;
        bytes
    }
}

/// Calls `check` with a message of every type, full of parameters.
fn for_every_message(mut check: impl FnMut(Message<'_>)) {
    let addresses = [IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::from(Ipv6Addr::LOCALHOST)];
    let at = SocketAddr::new(addresses[0], 7);
    let pool_handle = PoolHandle::new(b"pool!").unwrap();
    let (id, sctp) = (PeId(7), Transport::sctp(3863, &addresses));
    let element = PoolElementParam {
        id,
        home: ServerId(1),
        lifetime: Lifetime::INFINITE,
        user_transport: Transport::Dccp { port: 1, service_code: 2, address: addresses[1] },
        policy: Policy::Other { policy_type: 0x8000_0001, data: b"odd" },
        asap_transport: Some(sctp),
    };
    let without = PoolElementParam { user_transport: Transport::Udp(at), asap_transport: None, ..element };
    let opaque = PoolElementParam { user_transport: Transport::Opaque(b"odd"), ..element };
    let elements = [element, without, opaque];
    let list = List::new(&elements);
    let causes = [Cause::UnrecognizedMessage(&[0x41, 0, 0, 5, 1]), Cause::LackOfResources];
    let error = Some(OperationError::new(&causes));
    let transports = [sctp, Transport::Tcp(at)];
    let policy = Some(Policy::WeightedRandom { weight: 3 });
    let positive = HandleResolutionResponse { accepts_updates: true, pool_handle, policy, elements: list, error: None };
    let asap: [AsapMessage<'_>; 15] = [
        Registration { pool_handle, element }.into(),
        Deregistration { pool_handle, id }.into(),
        RegistrationResponse { rejected: true, pool_handle, id, error }.into(),
        DeregistrationResponse { pool_handle, id, error }.into(),
        HandleResolution { subscribe: true, pool_handle, wanted_items: Some(3) }.into(),
        positive.into(),
        HandleResolutionResponse { policy: None, elements: List::empty(), error, ..positive }.into(),
        EndpointKeepAlive { adopt: true, server: ServerId(1), pool_handle, id: Some(id) }.into(),
        EndpointKeepAliveAck { pool_handle, id }.into(),
        EndpointUnreachable { pool_handle, id }.into(),
        ServerAnnounce { server: ServerId(1), transports: List::new(&transports) }.into(),
        Cookie { cookie: b"c" }.into(),
        CookieEcho { cookie: b"c" }.into(),
        BusinessCard { pool_handle, policy, elements: list }.into(),
        AsapError { error: OperationError::new(&causes) }.into(),
    ];
    let servers = [
        ServerInformation { id: ServerId(1), transport: sctp },
        ServerInformation { id: ServerId(2), transport: Transport::Tcp(at) },
    ];
    let entries = [HandleTableEntry { pool_handle, elements: list }, HandleTableEntry { pool_handle, elements: list }];
    let target = ServerId(3);
    let enrp: [EnrpBody<'_>; 10] = [
        Presence { reply_required: true, checksum: Some(1), server_information: Some(servers[0]) }.into(),
        HandleTableRequest { own_children_only: true }.into(),
        HandleTableResponse { more: true, rejected: false, entries: PoolEntries::new(&entries) }.into(),
        HandleUpdate { takeover_suggested: true, action: UpdateAction::Delete, pool_handle, element }.into(),
        ListRequest.into(),
        ListResponse { rejected: false, servers: List::new(&servers) }.into(),
        InitTakeover { target }.into(),
        InitTakeoverAck { target }.into(),
        TakeoverServer { target }.into(),
        EnrpError { error: OperationError::new(&causes) }.into(),
    ];
    asap.into_iter().for_each(|message| check(Message::Asap(message)));
    for body in enrp {
        check(Message::Enrp(EnrpMessage { sender: ServerId(1), receiver: ServerId(2), body }));
    }
}

/// Bytes and the items after them: the value of a message or of a parameter that nests others.
#[derive(Clone, Debug)]
struct Nest {
    fields: Vec<u8>,
    items: Vec<(u16, Nest)>,
}

impl Nest {
    fn of_message(message: Message<'_>, bytes: &[u8]) -> Nest {
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        let header = match (message, bytes[0]) {
            (Message::Asap(_), 0x07 | 0x0a) => 8,
            (Message::Asap(_), _) => 4,
            (Message::Enrp(_), 0x04 | 0x07..=0x09) => 16,
            (Message::Enrp(_), _) => 12,
        };
        Nest::read(&bytes[4..length], header - 4)
    }

    fn read(bytes: &[u8], fields: usize) -> Nest {
        let (fields, mut rest) = bytes.split_at(fields);
        let mut items = Vec::new();
        while !rest.is_empty() {
            let ty = u16::from_be_bytes([rest[0], rest[1]]);
            let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            let value = &rest[4..length];
            items.push((ty, Nest::read(value, Nest::fields_of(ty).unwrap_or(value.len()))));
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        }
        Nest { fields: fields.to_vec(), items }
    }

    /// How many bytes stand before the parameters in a parameter of this type; `None` where there are none.
    fn fields_of(ty: u16) -> Option<usize> {
        match ty {
            DCCP_TRANSPORT => Some(8),
            SCTP_TRANSPORT | TCP_TRANSPORT | UDP_TRANSPORT | UDP_LITE_TRANSPORT | SERVER_INFORMATION => Some(4),
            POOL_ELEMENT => Some(12),
            _ => None,
        }
    }

    fn write(&self) -> Vec<u8> {
        self.items.iter().fold(self.fields.clone(), |mut bytes, (ty, nest)| {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(item(*ty, &nest.write()));
            bytes
        })
    }

    /// With an item inserted at each place in turn, between the items and within those that nest others.
    fn with_inserted(&self, ty: u16, value: &[u8]) -> Vec<Nest> {
        let leaf = (ty, Nest { fields: value.to_vec(), items: Vec::new() });
        let mut all = Vec::new();
        for at in 0..=self.items.len() {
            let mut nest = self.clone();
            nest.items.insert(at, leaf.clone());
            all.push(nest);
        }
        for (at, (inner_ty, inner)) in self.items.iter().enumerate() {
            if Nest::fields_of(*inner_ty).is_some() {
                for inner in inner.with_inserted(ty, value) {
                    let mut nest = self.clone();
                    nest.items[at].1 = inner;
                    all.push(nest);
                }
            }
        }
        all
    }
}

/// Calls `check` with every message and each of its variants with this parameter in some place.
fn for_every_place(ty: u16, value: &[u8], mut check: impl FnMut(Message<'_>, &[u8])) {
    let mut places = 0;
    for_every_message(|original| {
        let bytes = original.bytes();
        let nest = Nest::of_message(original, &bytes);
        assert_eq!(message(bytes[0], bytes[1], &nest.write()), bytes, "the bytes are taken apart correctly");
        for nest in nest.with_inserted(ty, value) {
            check(original, &message(bytes[0], bytes[1], &nest.write()));
            places += 1;
        }
    });
    assert!(places > 150, "only {places} places");
}

// --- RFC 5354, 3: unknown parameters ----------------------------------------------------------------------------------

const VALUES: [&[u8]; 3] = [b"", b"odd", b"value of 16 byte"];

#[test]
fn unknown_parameter_00_stops_wherever_it_stands() {
    for (ty, value) in [0x0011, 0x3fff].into_iter().zip(VALUES) {
        for_every_place(ty, value, |message, bytes| {
            let kind = ParseErrorKind::UnknownParameter { parameter_type: ty, report: false };
            assert_eq!(message.parse(bytes), Err(ParseError { kind, item: &item(ty, value) }));
        });
    }
}

#[test]
fn unknown_parameter_01_stops_and_is_to_be_reported_wherever_it_stands() {
    for (ty, value) in [0x4000, 0x4123, 0x7fff].into_iter().zip(VALUES) {
        for_every_place(ty, value, |message, bytes| {
            let kind = ParseErrorKind::UnknownParameter { parameter_type: ty, report: true };
            assert_eq!(message.parse(bytes), Err(ParseError { kind, item: &item(ty, value) }));
        });
    }
}

#[test]
fn unknown_parameter_10_is_skipped_wherever_it_stands() {
    for (ty, value) in [0x8000, 0x8001, 0xbfff].into_iter().zip(VALUES) {
        for_every_place(ty, value, |message, bytes| {
            let parsed = message.parse(bytes).unwrap();
            assert_eq!(parsed.message, message);
            assert!(parsed.reports.is_empty());
        });
    }
}

#[test]
fn unknown_parameter_11_is_skipped_and_reported_wherever_it_stands() {
    for (ty, value) in [0xc000, 0xc001, 0xffff].into_iter().zip(VALUES) {
        for_every_place(ty, value, |message, bytes| {
            let parsed = message.parse(bytes).unwrap();
            assert_eq!(parsed.message, message);
            assert_eq!(parsed.reports[..], [&item(ty, value)[..]]);
        });
    }
}

#[test]
fn parameter_type_0_is_reserved_and_stops() {
    let kind = ParseErrorKind::UnknownParameter { parameter_type: 0, report: false };
    assert_eq!(asap_kind(&message(0x05, 0, &items(&[&handle(), &item(0, &[])]))), Err(kind));
}

#[test]
fn a_known_parameter_is_refused_where_it_does_not_belong() {
    for (ty, value) in [(PE_CHECKSUM, &[0, 0][..]), (COOKIE, b"c"), (SERVER_INFORMATION, &[0; 4])] {
        for_every_place(ty, value, |message, bytes| {
            assert!(message.parse(bytes).is_err(), "{ty:#x} in {message:?}");
        });
    }
}

#[test]
fn wanted_items_is_skipped_wherever_nobody_asks_for_it() {
    for_every_place(WANTED_ITEMS, &[0, 0, 0, 9], |message, bytes| {
        let parsed = message.parse(bytes).unwrap();
        assert!(parsed.reports.is_empty());
        match (parsed.message, message) {
            (
                Message::Asap(AsapMessage::HandleResolution(found)),
                Message::Asap(AsapMessage::HandleResolution(sent)),
            ) => {
                assert_eq!(found.pool_handle, sent.pool_handle);
                assert!(matches!(found.wanted_items, Some(3 | 9)));
            }
            (found, sent) => assert_eq!(found, sent),
        }
    });
}

#[test]
fn reports_come_in_the_order_of_the_message_from_all_levels() {
    let [first, second, third] = [item(0xc001, b"1"), item(0xffff, b""), item(0xc002, b"333")];
    let transport = transport(SCTP_TRANSPORT, 1, &[&ipv4(), &second, &ipv6()]);
    let bytes = message(0x01, 0, &items(&[&first, &handle(), &element(&[&transport, &round_robin()]), &third]));
    let parsed = AsapMessage::parse(&bytes).unwrap();
    assert_eq!(parsed.reports[..], [&first[..], &second, &third]);
}

#[test]
fn many_unknown_parameters_are_skipped_but_only_the_first_are_reported() {
    let numbered = |n: u16| item(0xc000 | n, b"");
    let many: Vec<u8> = (0..10_000).flat_map(numbered).collect();
    let within = element(&[&many, &sctp(), &round_robin()]);
    for bytes in [
        message(0x01, 0, &items(&[&many, &handle(), &element(&[&sctp(), &round_robin()])])),
        message(0x01, 0, &items(&[&handle(), &element(&[&sctp(), &round_robin()]), &many])),
        message(0x01, 0, &items(&[&handle(), &within])),
    ] {
        let parsed = AsapMessage::parse(&bytes).unwrap();
        let first: Vec<_> = (0..).map(numbered).take(MAX_REPORTS).collect();
        assert!(parsed.reports.iter().eq(first.iter()));
        assert_eq!(asap_kind(&bytes), asap_kind(&registration(&[&sctp(), &round_robin()])));
    }
}

// --- RFC 5354, 4: unknown messages ------------------------------------------------------------------------------------

#[test]
fn an_unknown_message_is_reported_if_its_type_says_01() {
    for (message_type, report) in [
        (0x00, false),
        (0x0f, false),
        (0x3f, false),
        (0x40, true),
        (0x7f, true),
        (0x80, false), // 10 and 11 are reserved
        (0xbf, false),
        (0xc0, false),
        (0xff, false),
    ] {
        let kind = ParseErrorKind::UnknownMessage { message_type, report };
        for value in VALUES {
            let bytes = message(message_type, 0x55, value);
            let whole = &bytes[..4 + value.len()];
            assert_eq!(AsapMessage::parse(&bytes).unwrap_err(), ParseError { kind, item: whole });
            assert_eq!(EnrpMessage::parse(&bytes).unwrap_err(), ParseError { kind, item: whole });
        }
    }
    let kind = ParseErrorKind::UnknownMessage { message_type: 0x0b, report: false };
    assert_eq!(enrp_kind(&enrp(0x0b, 0, &[])), Err(kind), "a type of ASAP only");
}

#[test]
fn reserved_flags_are_ignored_on_receipt_and_zero_on_sending() {
    for_every_message(|message| {
        let bytes = message.bytes();
        let reserved = match (message, bytes[0]) {
            (Message::Asap(_), 0x03 | 0x05 | 0x06 | 0x07) => 0xfe,
            (Message::Enrp(_), 0x01 | 0x02 | 0x04 | 0x06) => 0xfe,
            (Message::Enrp(_), 0x03) => 0xfc,
            _ => 0xff,
        };
        assert_eq!(bytes[1] & reserved, 0);
        assert_eq!(message.parse(&message.with_flags(bytes[1] | reserved)).unwrap().message, message);
    });
}

#[test]
fn the_flags_of_the_messages_are_where_the_rfcs_have_them() {
    let response = items(&[&handle(), &item(PE_IDENTIFIER, &[0, 0, 0, 7])]);
    let keep_alive = [&[0, 0, 0, 1][..], &handle()].concat();
    let positive = items(&[&handle(), &element(&[&sctp(), &round_robin()])]);
    for set in [false, true] {
        let flag = u8::from(set);
        assert!(matches!(asap_kind(&message(0x03, flag, &response)),
            Ok(AsapMessage::RegistrationResponse(m)) if m.rejected == set));
        assert!(matches!(asap_kind(&message(0x05, flag, &handle())),
            Ok(AsapMessage::HandleResolution(m)) if m.subscribe == set));
        assert!(matches!(asap_kind(&message(0x06, flag, &positive)),
            Ok(AsapMessage::HandleResolutionResponse(m)) if m.accepts_updates == set));
        assert!(matches!(asap_kind(&message(0x07, flag, &keep_alive)),
            Ok(AsapMessage::EndpointKeepAlive(m)) if m.adopt == set));
        assert!(matches!(enrp_kind(&enrp(0x01, flag, &[])),
            Ok(EnrpBody::Presence(m)) if m.reply_required == set));
        assert!(matches!(enrp_kind(&enrp(0x02, flag, &[])),
            Ok(EnrpBody::HandleTableRequest(m)) if m.own_children_only == set));
        assert!(matches!(enrp_kind(&enrp(0x03, flag, &[])),
            Ok(EnrpBody::HandleTableResponse(m)) if m.rejected == set && !m.more));
        assert!(matches!(enrp_kind(&enrp(0x03, flag << 1, &[])),
            Ok(EnrpBody::HandleTableResponse(m)) if m.more == set && !m.rejected));
        assert!(matches!(enrp_kind(&enrp(0x06, flag, &[])),
            Ok(EnrpBody::ListResponse(m)) if m.rejected == set));
    }
}

#[test]
fn each_flag_is_sent_where_the_rfcs_have_it() {
    let mut sent = Vec::new();
    for_every_message(|message| {
        let bytes = message.bytes();
        sent.push((matches!(message, Message::Asap(_)), bytes[0], bytes[1]));
    });
    sent.retain(|(_, _, flags)| *flags != 0);
    let (asap, enrp) = (true, false);
    assert_eq!(
        sent,
        [
            (asap, 0x03, 0x01), // R
            (asap, 0x05, 0x01), // S
            (asap, 0x06, 0x01), // A
            (asap, 0x06, 0x01),
            (asap, 0x07, 0x01), // H
            (enrp, 0x01, 0x01), // reply required
            (enrp, 0x02, 0x01), // W
            (enrp, 0x03, 0x02), // M
            (enrp, 0x04, 0x01), // T
        ]
    );
    let refused = HandleTableResponse { more: false, rejected: true, entries: PoolEntries::empty() };
    let list = ListResponse { rejected: true, servers: List::empty() };
    for body in [EnrpBody::from(refused), list.into()] {
        let message = Message::Enrp(EnrpMessage { sender: ServerId(1), receiver: ServerId(2), body });
        assert_eq!(message.bytes()[1], 0x01);
        assert_eq!(message.parse(&message.bytes()).unwrap().message, message);
    }
}

// --- lengths that lie -------------------------------------------------------------------------------------------------

#[test]
fn a_parameter_length_below_4_is_refused() {
    for length in 0..4 {
        let mut lie = item(COOKIE, b"cook");
        lie[3] = length;
        let bytes = message(0x0b, 0, &lie);
        let error = AsapMessage::parse(&bytes).unwrap_err();
        assert_eq!(error.kind, ParseErrorKind::ParameterLength);
        // The same for one that would be skipped.
        lie[..2].copy_from_slice(&[0x80, 0]);
        assert_eq!(asap_kind(&message(0x05, 0, &items(&[&lie, &handle()]))), Err(ParseErrorKind::ParameterLength));
    }
}

#[test]
fn a_parameter_that_reaches_beyond_the_message_is_refused() {
    for length in [9, 12, 13, 0xffff] {
        let mut lie = item(COOKIE, b"cook");
        lie[2..4].copy_from_slice(&u16::to_be_bytes(length));
        assert_eq!(asap_kind(&message(0x0b, 0, &lie)), Err(ParseErrorKind::ParameterLength));
        lie[..2].copy_from_slice(&[0xc0, 0]);
        assert_eq!(asap_kind(&message(0x05, 0, &items(&[&handle(), &lie]))), Err(ParseErrorKind::ParameterLength));
    }
}

#[test]
fn a_parameter_that_reaches_beyond_what_contains_it_is_refused() {
    let good = registration(&[&sctp(), &round_robin()]);
    assert!(AsapMessage::parse(&good).is_ok());
    // Message 4, handle 12, then the element with 4 + 12, its transport with 4 + 4, the address within that.
    let (element, transport, address, policy) = (16, 32, 40, 48);
    for (place, length) in [
        (element, 41),
        (element, 44),
        (transport, 17),
        (transport, 20),
        (transport, 24),
        (transport, 28),
        (address, 9),
        (address, 16),
        (policy, 9),
        (policy, 12),
    ] {
        let mut bytes = good.clone();
        assert!(usize::from(bytes[place + 3]) < length);
        bytes[place + 3] = u8::try_from(length).unwrap();
        assert!(AsapMessage::parse(&bytes).is_err(), "{length} at {place}");
    }
}

#[test]
fn a_container_that_ends_within_its_last_item_is_refused() {
    let good = registration(&[&sctp(), &round_robin()]);
    for (place, length) in
        [(16, 39), (16, 37), (16, 33), (16, 15), (32, 15), (32, 13), (32, 11), (32, 7), (40, 7), (48, 7)]
    {
        let mut bytes = good.clone();
        bytes[place + 3] = length;
        assert!(AsapMessage::parse(&bytes).is_err(), "{length} at {place}");
    }
}

#[test]
fn a_message_that_is_longer_than_its_bytes_is_truncated() {
    for_every_message(|message| {
        let bytes = message.bytes();
        let length = u16::from_be_bytes([bytes[2], bytes[3]]);
        for more in [4, 5, 100, u16::MAX - length] {
            let mut lie = bytes.clone();
            lie[2..4].copy_from_slice(&(length + more).to_be_bytes());
            assert_eq!(message.parse(&lie).unwrap_err().kind, ParseErrorKind::Truncated);
        }
    });
}

#[test]
fn a_message_length_below_4_is_refused() {
    for length in 0..4 {
        for bytes in [[0x0d, 0, 0, length], [0x02, 0, 0, length], [0x7f, 0, 0, length]] {
            assert_eq!(asap_kind(&bytes), Err(ParseErrorKind::Truncated));
            assert_eq!(enrp_kind(&bytes), Err(ParseErrorKind::Truncated));
        }
    }
}

#[test]
fn bytes_too_few_for_a_header_are_truncated() {
    for bytes in [&[][..], &[5], &[5, 0], &[5, 0, 0]] {
        assert_eq!(asap_kind(bytes), Err(ParseErrorKind::Truncated));
        assert_eq!(enrp_kind(bytes), Err(ParseErrorKind::Truncated));
    }
}

#[test]
fn bytes_after_a_message_and_its_padding_are_refused() {
    for_every_message(|message| {
        for more in 1..10 {
            let mut bytes = message.bytes();
            bytes.resize(bytes.len() + more, 0);
            assert_eq!(message.parse(&bytes).unwrap_err().kind, ParseErrorKind::TrailingBytes, "{more} more");
        }
    });
}

#[test]
fn fixed_fields_that_are_cut_off_are_refused() {
    for ty in [0x07, 0x0a] {
        for value in [&[][..], &[0], &[0, 0, 0]] {
            assert_eq!(asap_kind(&message(ty, 0, value)), Err(ParseErrorKind::Truncated));
        }
    }
    for ty in 0x01..=0x0a {
        for length in 0..8 {
            assert_eq!(enrp_kind(&message(ty, 0, &[0; 8][..length])), Err(ParseErrorKind::Truncated));
        }
    }
    for ty in [0x04, 0x07, 0x08, 0x09] {
        for value in [&[][..], &[0], &[0, 0, 0]] {
            assert_eq!(enrp_kind(&enrp(ty, 0, value)), Err(ParseErrorKind::Truncated));
        }
    }
}

// --- padding ----------------------------------------------------------------------------------------------------------

#[test]
fn padding_is_ignored_whatever_it_is_and_whether_it_is_counted_or_missing() {
    let mut plain = message(0x0b, 0, &item(COOKIE, b"c"));
    let expected = Ok(AsapMessage::from(Cookie { cookie: b"c" }));
    assert_eq!(asap_kind(&plain), expected);
    assert_eq!(plain.len(), 12);
    plain[9..].copy_from_slice(&[1, 2, 3]);
    assert_eq!(asap_kind(&plain), expected, "padding that is not zero");
    for cut in 9..12 {
        assert_eq!(asap_kind(&plain[..cut]), expected, "{cut} of 12 bytes");
    }
    plain[3] = 12;
    assert_eq!(asap_kind(&plain), expected, "a message length that counts the padding");
}

#[test]
fn padding_between_parameters_is_ignored() {
    let mut bytes = message(0x02, 0, &items(&[&handle(), &item(PE_IDENTIFIER, &[0, 0, 0, 7])]));
    let expected = Deregistration { pool_handle: PoolHandle::new(b"pool!").unwrap(), id: PeId(7) };
    assert_eq!(bytes[13..16], [0; 3]);
    bytes[13..16].copy_from_slice(&[0xff; 3]);
    assert_eq!(asap_kind(&bytes), Ok(expected.into()));
}

#[test]
fn a_parameter_may_count_the_last_padding_within_it() {
    let policy = item(POLICY, &[0x80, 0, 0, 1, b'x']);
    let mut padded = policy.clone();
    padded.resize(12, 0);
    let (plain, counted) = (registration(&[&sctp(), &policy]), registration(&[&sctp(), &padded]));
    assert_ne!(plain, counted);
    assert_eq!(asap_kind(&plain), asap_kind(&counted));
    assert!(matches!(asap_kind(&plain), Ok(AsapMessage::Registration(m))
        if m.element.policy == Policy::Other { policy_type: 0x8000_0001, data: b"x" }));
}

// --- the single parameters --------------------------------------------------------------------------------------------

#[test]
fn an_invalid_value_is_told_with_its_parameter() {
    let bad = item(PE_IDENTIFIER, &[0, 0, 7]);
    let bytes = message(0x02, 0, &items(&[&handle(), &bad]));
    assert_eq!(AsapMessage::parse(&bytes), Err(ParseError { kind: ParseErrorKind::InvalidValue, item: &bad }));
}

#[test]
fn parameters_of_a_fixed_size_have_no_other() {
    let invalid = Err(ParseErrorKind::InvalidValue);
    for size in [0, 3, 5, 8] {
        let value = &[1; 8][..size];
        assert_eq!(asap_kind(&message(0x02, 0, &items(&[&handle(), &item(PE_IDENTIFIER, value)]))), invalid);
        assert_eq!(asap_kind(&message(0x05, 0, &items(&[&handle(), &item(WANTED_ITEMS, value)]))), invalid);
        let address = transport(SCTP_TRANSPORT, 0, &[&item(IPV4_ADDRESS, value)]);
        assert_eq!(asap_kind(&registration(&[&address, &round_robin()])), invalid);
    }
    for size in [0, 1, 3, 4] {
        assert_eq!(enrp_kind(&enrp(0x01, 0, &item(PE_CHECKSUM, &[1; 4][..size]))), Err(ParseErrorKind::InvalidValue));
    }
    for size in [0, 4, 15, 17, 20] {
        let address = transport(SCTP_TRANSPORT, 0, &[&item(IPV6_ADDRESS, &[1; 20][..size])]);
        assert_eq!(asap_kind(&registration(&[&address, &round_robin()])), invalid);
    }
}

#[test]
fn a_pool_handle_of_no_bytes_is_refused() {
    let bytes = message(0x05, 0, &item(POOL_HANDLE, b""));
    let item = &[0, 9, 0, 4][..];
    assert_eq!(AsapMessage::parse(&bytes), Err(ParseError { kind: ParseErrorKind::InvalidValue, item }));
}

#[test]
fn the_reserved_policy_types_are_invalid() {
    for ty in [0x0000_0000u32, 0x4000_0000] {
        for data in VALUES {
            let policy = item(POLICY, &[&ty.to_be_bytes()[..], data].concat());
            let error = ParseError { kind: ParseErrorKind::InvalidValue, item: &policy };
            assert_eq!(Policy::parse(&policy), Err(error));
            assert_eq!(AsapMessage::parse(&registration(&[&sctp(), &policy])), Err(error));
        }
    }
}

#[test]
fn a_policy_has_exactly_the_values_of_its_type() {
    for (ty, values) in [
        (0x0000_0001u32, 0),
        (0x0000_0002, 1),
        (0x0000_0003, 0),
        (0x0000_0004, 1),
        (0x0000_0005, 1),
        (0x4000_0001, 1),
        (0x4000_0002, 2),
        (0x4000_0003, 2),
        (0x4000_0004, 1),
    ] {
        for len in 0..13 {
            let bytes = item(POLICY, &[&ty.to_be_bytes()[..], &vec![7; len]].concat());
            assert_eq!(Policy::parse(&bytes).is_ok(), len == values * 4, "{ty:#x} with {len} bytes");
        }
    }
    for ty in [0x0000_0006u32, 0x4000_0005, 0x8000_0000, 0xffff_ffff] {
        for data in VALUES {
            let bytes = item(POLICY, &[&ty.to_be_bytes()[..], data].concat());
            assert_eq!(Policy::parse(&bytes), Ok(Policy::Other { policy_type: ty, data }));
        }
    }
    for len in 0..4 {
        let error = Policy::parse(&item(POLICY, &[0x80; 4][..len])).unwrap_err().kind;
        assert_eq!(error, ParseErrorKind::InvalidValue);
    }
}

#[test]
fn a_parameter_alone_is_of_its_type_and_nothing_follows_it() {
    let (transport, policy, element) = (sctp(), round_robin(), element(&[&sctp(), &round_robin()]));
    let kinds = |bytes: &[u8]| {
        [
            Transport::parse(bytes).err().map(|error| error.kind),
            Policy::parse(bytes).err().map(|error| error.kind),
            PoolElementParam::parse(bytes).err().map(|error| error.kind),
        ]
    };
    for (at, bytes, ty) in [(0, transport, SCTP_TRANSPORT), (1, policy, POLICY), (2, element, POOL_ELEMENT)] {
        let mut expected = [Some(ParseErrorKind::Misplaced(ty)); 3];
        expected[at] = None;
        assert_eq!(kinds(&bytes), expected);
        let more = [&bytes[..], &round_robin()].concat();
        assert_eq!(kinds(&more)[at], Some(ParseErrorKind::TrailingBytes));
        assert_eq!(kinds(&bytes[..bytes.len() - 1])[at], Some(ParseErrorKind::ParameterLength));
    }
    assert_eq!(kinds(&[]), [Some(ParseErrorKind::ParameterLength); 3]);
}

#[test]
fn an_sctp_transport_has_one_or_more_addresses() {
    let invalid = ParseErrorKind::InvalidValue;
    assert_eq!(Transport::parse(&transport(SCTP_TRANSPORT, 0, &[])).unwrap_err().kind, invalid);
    let skipped = item(0x8001, b"no address");
    assert_eq!(Transport::parse(&transport(SCTP_TRANSPORT, 0, &[&skipped])).unwrap_err().kind, invalid);
    let addresses = [IpAddr::from([192, 0, 2, 1]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])];
    for bytes in [
        transport(SCTP_TRANSPORT, 0, &[&ipv4(), &ipv6()]),
        transport(SCTP_TRANSPORT, 0, &[&skipped, &ipv4(), &skipped, &ipv6(), &skipped]),
    ] {
        assert_eq!(Transport::parse(&bytes), Ok(Transport::sctp(0x0f17, &addresses)));
    }
}

#[test]
fn the_transport_use_is_data_only_or_data_plus_control() {
    for (number, transport_use) in [(0, Some(TransportUse::DataOnly)), (1, Some(TransportUse::DataPlusControl))]
        .into_iter()
        .chain([2, 3, 0x100, 0xffff].map(|number| (number, None)))
    {
        let bytes = transport(SCTP_TRANSPORT, number, &[&ipv4()]);
        assert_eq!(Transport::parse(&bytes).ok().map(|t| t.transport_use()), transport_use);
    }
}

#[test]
fn other_transports_are_always_data_only_whatever_their_reserved_field_holds() {
    for ty in [DCCP_TRANSPORT, TCP_TRANSPORT, UDP_TRANSPORT, UDP_LITE_TRANSPORT] {
        for reserved in [0, 1, 0xffff] {
            let bytes = transport(ty, reserved, &[&ipv4()]);
            let parsed = Transport::parse(&bytes).unwrap();
            assert_eq!(parsed.transport_use(), TransportUse::DataOnly);
            assert_eq!(parsed.port(), Some(0x0f17));
            let mut buf = [0xff; 40];
            assert_eq!(parsed.emit(&mut buf), Ok(&transport(ty, 0, &[&ipv4()])[..]));
        }
    }
}

#[test]
fn transports_other_than_sctp_have_exactly_one_address() {
    for ty in [DCCP_TRANSPORT, TCP_TRANSPORT, UDP_TRANSPORT, UDP_LITE_TRANSPORT] {
        assert!(Transport::parse(&transport(ty, 0, &[&ipv6()])).is_ok());
        for addresses in [&[][..], &[&ipv4()[..], &ipv4()], &[&ipv4()[..], &ipv6()]] {
            let error = Transport::parse(&transport(ty, 0, addresses)).unwrap_err().kind;
            assert_eq!(error, ParseErrorKind::InvalidValue, "{ty:#x} with {} addresses", addresses.len());
        }
    }
}

#[test]
fn a_transport_holds_nothing_but_addresses() {
    for ty in [DCCP_TRANSPORT, SCTP_TRANSPORT, TCP_TRANSPORT, UDP_TRANSPORT, UDP_LITE_TRANSPORT] {
        assert!(Transport::parse(&transport(ty, 0, &[&handle()])).is_err());
        assert!(Transport::parse(&transport(ty, 0, &[&ipv4(), &handle()])).is_err());
        for len in 0..4 {
            assert!(Transport::parse(&item(ty, &[0; 4][..len])).is_err());
        }
    }
    assert_eq!(Transport::parse(&item(OPAQUE_TRANSPORT, b"")), Ok(Transport::Opaque(b"")));
}

#[test]
fn a_pool_element_has_one_user_transport_and_one_policy() {
    let (sctp, policy) = (sctp(), round_robin());
    let udp = transport(UDP_TRANSPORT, 0, &[&ipv4()]);
    let good = [vec![&sctp[..], &policy], vec![&udp, &policy], vec![&udp, &policy, &sctp]];
    for parameters in good {
        assert!(asap_kind(&registration(&parameters)).is_ok());
    }
    for (parameters, kind) in [
        (vec![], ParseErrorKind::Missing(SCTP_TRANSPORT)),
        (vec![&policy[..]], ParseErrorKind::Missing(SCTP_TRANSPORT)),
        (vec![&policy, &sctp], ParseErrorKind::Missing(SCTP_TRANSPORT)),
        (vec![&sctp], ParseErrorKind::Missing(POLICY)),
        (vec![&sctp, &sctp, &policy], ParseErrorKind::Misplaced(SCTP_TRANSPORT)),
        (vec![&sctp, &udp, &policy], ParseErrorKind::Misplaced(UDP_TRANSPORT)),
        (vec![&sctp, &policy, &policy], ParseErrorKind::Misplaced(POLICY)),
        (vec![&sctp, &policy, &sctp, &sctp], ParseErrorKind::Misplaced(SCTP_TRANSPORT)),
        (vec![&sctp, &policy, &sctp, &policy], ParseErrorKind::Misplaced(POLICY)),
    ] {
        assert_eq!(asap_kind(&registration(&parameters)), Err(kind));
    }
    for len in 0..12 {
        let cut = item(POOL_ELEMENT, &[0; 12][..len]);
        assert_eq!(asap_kind(&message(0x01, 0, &items(&[&handle(), &cut]))), Err(ParseErrorKind::InvalidValue));
    }
}

#[test]
fn asap_and_enrp_transports_are_sctp_or_tcp() {
    for (ty, accepted) in [
        (DCCP_TRANSPORT, false),
        (SCTP_TRANSPORT, true),
        (TCP_TRANSPORT, true),
        (UDP_TRANSPORT, false),
        (UDP_LITE_TRANSPORT, false),
        (OPAQUE_TRANSPORT, false),
    ] {
        let transport = transport(ty, 0, &[&ipv4()]);
        assert_eq!(asap_kind(&registration(&[&sctp(), &round_robin(), &transport])).is_ok(), accepted, "{ty:#x}");
        assert_eq!(enrp_kind(&enrp(0x06, 0, &server(&[&transport]))).is_ok(), accepted, "{ty:#x}");
        let announce = message(0x0a, 0, &[&[0, 0, 0, 1], &transport[..]].concat());
        assert_eq!(asap_kind(&announce).is_ok(), accepted, "{ty:#x}");
    }
}

#[test]
fn server_information_has_one_transport() {
    for parameters in [&[][..], &[&handle()[..]], &[&sctp()[..], &sctp()], &[&sctp()[..], &round_robin()]] {
        assert!(enrp_kind(&enrp(0x06, 0, &server(parameters))).is_err());
    }
}

#[test]
fn an_operation_error_has_one_or_more_causes() {
    let error = |causes: &[u8]| message(0x0e, 0, &item(OPERATION_ERROR, causes));
    assert_eq!(asap_kind(&error(&[])), Err(ParseErrorKind::InvalidValue));
    let causes = items(&[&item(0x9, b""), &item(0x1, b"odd"), &item(0xf008, b"x")]);
    let bytes = error(&causes);
    let Ok(AsapMessage::Error(parsed)) = asap_kind(&bytes) else { panic!("no error") };
    assert_eq!(
        parsed.error.causes().collect::<Vec<_>>(),
        [Cause::UnknownPoolHandle, Cause::UnrecognizedParameter(b"odd"), Cause::Other { code: 0xf008, data: b"x" }]
    );
    assert_eq!(parsed.error.code(), Some(0x9));
    for length in [0, 1, 3, 9, 0xff] {
        let mut lie = item(0x1, b"odd!");
        lie[3] = length;
        assert!(asap_kind(&error(&lie)).is_err());
        assert!(asap_kind(&error(&items(&[&item(0x9, b""), &lie]))).is_err());
    }
    assert!(asap_kind(&error(&[0, 9, 0, 4, 0, 9])).is_err(), "half a cause");
}

#[test]
fn the_cause_codes_are_those_of_the_rfc() {
    let data = &b"data"[..];
    for (code, cause, holds) in [
        (0x0, Cause::Unspecified, false),
        (0x1, Cause::UnrecognizedParameter(data), true),
        (0x2, Cause::UnrecognizedMessage(data), true),
        (0x3, Cause::InvalidValues(data), true),
        (0x4, Cause::NonUniquePeId, false),
        (0x5, Cause::InconsistentPolicy(data), true),
        (0x6, Cause::LackOfResources, false),
        (0x7, Cause::InconsistentTransport(data), true),
        (0x8, Cause::InconsistentControlChannel, false),
        (0x9, Cause::UnknownPoolHandle, false),
        (0xa, Cause::RejectedForSecurity, false),
        (0xb, Cause::Other { code: 0xb, data }, true),
        (0xffff, Cause::Other { code: 0xffff, data }, true),
    ] {
        assert_eq!(Cause::new(code, data), cause);
        assert_eq!(cause.code(), code);
        assert_eq!(cause.data(), if holds { data } else { b"" });
    }
}

// --- the single messages ----------------------------------------------------------------------------------------------

#[test]
fn a_parameter_that_is_missing_is_told_with_the_message() {
    for (ty, missing) in [
        (0x01, POOL_ELEMENT),
        (0x02, PE_IDENTIFIER),
        (0x03, PE_IDENTIFIER),
        (0x04, PE_IDENTIFIER),
        (0x06, POOL_ELEMENT),
        (0x08, PE_IDENTIFIER),
        (0x09, PE_IDENTIFIER),
        (0x0d, POOL_ELEMENT),
    ] {
        let bytes = message(ty, 0, &handle());
        let kind = ParseErrorKind::Missing(missing);
        assert_eq!(AsapMessage::parse(&bytes), Err(ParseError { kind, item: &bytes[..13] }));
        assert_eq!(asap_kind(&message(ty, 0, &[])), Err(ParseErrorKind::Missing(POOL_HANDLE)));
    }
    assert_eq!(asap_kind(&message(0x0b, 0, &[])), Err(ParseErrorKind::Missing(COOKIE)));
    assert_eq!(asap_kind(&message(0x0c, 0, &[])), Err(ParseErrorKind::Missing(COOKIE)));
    assert_eq!(asap_kind(&message(0x0e, 0, &[])), Err(ParseErrorKind::Missing(OPERATION_ERROR)));
    assert_eq!(enrp_kind(&enrp(0x0a, 0, &[])), Err(ParseErrorKind::Missing(OPERATION_ERROR)));
    assert_eq!(enrp_kind(&enrp(0x03, 0, &handle())), Err(ParseErrorKind::Missing(POOL_ELEMENT)));
}

#[test]
fn a_parameter_that_stands_twice_is_refused() {
    for_every_message(|original| {
        let bytes = original.bytes();
        let nest = Nest::of_message(original, &bytes);
        for (ty, _) in &nest.items {
            // What there may be several of. Wanted Items is not of the RFC: the second one is skipped.
            if matches!(*ty, POOL_ELEMENT | SERVER_INFORMATION | SCTP_TRANSPORT | TCP_TRANSPORT | WANTED_ITEMS) {
                continue;
            }
            let twice = nest.items.iter().flat_map(|item| {
                let count = if item.0 == *ty { 2 } else { 1 };
                std::iter::repeat_n(item.clone(), count)
            });
            let twice = Nest { fields: nest.fields.clone(), items: twice.collect() };
            assert!(original.parse(&message(bytes[0], bytes[1], &twice.write())).is_err(), "{ty:#x} in {original:?}");
        }
    });
}

#[test]
fn a_handle_resolution_response_has_elements_or_an_error() {
    let element = element(&[&sctp(), &round_robin()]);
    let error = item(OPERATION_ERROR, &item(0x9, b""));
    let response = |parameters: &[&[u8]]| message(0x06, 0, &items(&[&[&handle()[..]], parameters].concat()));
    assert!(asap_kind(&response(&[&element])).is_ok());
    assert!(asap_kind(&response(&[&round_robin(), &element, &element])).is_ok());
    assert!(asap_kind(&response(&[&error])).is_ok());
    assert_eq!(asap_kind(&response(&[&round_robin()])), Err(ParseErrorKind::Missing(POOL_ELEMENT)));
    assert_eq!(asap_kind(&response(&[&element, &error])), Err(ParseErrorKind::Misplaced(POOL_ELEMENT)));
    assert_eq!(asap_kind(&response(&[&error, &element])), Err(ParseErrorKind::Misplaced(POOL_ELEMENT)));
}

#[test]
fn a_rejecting_handle_table_response_has_no_entries() {
    let entry = items(&[&handle(), &element(&[&sctp(), &round_robin()])]);
    assert!(enrp_kind(&enrp(0x03, 0x00, &entry)).is_ok());
    assert!(enrp_kind(&enrp(0x03, 0x02, &entry)).is_ok());
    for flags in [0x01, 0x03] {
        assert_eq!(enrp_kind(&enrp(0x03, flags, &entry)), Err(ParseErrorKind::Misplaced(POOL_HANDLE)));
        assert!(enrp_kind(&enrp(0x03, flags, &[])).is_ok());
    }
}

#[test]
fn a_pool_entry_is_a_handle_and_one_or_more_elements() {
    let (handle, element) = (handle(), element(&[&sctp(), &round_robin()]));
    let other = item(POOL_HANDLE, b"another");
    let table = |parameters: &[&[u8]]| enrp(0x03, 0, &items(parameters));
    let bytes = table(&[&handle, &element, &element, &other, &element]);
    let Ok(EnrpBody::HandleTableResponse(response)) = enrp_kind(&bytes) else { panic!("no table") };
    let pools: Vec<_> = response.entries.iter().map(|e| (e.pool_handle.as_bytes(), e.elements.len())).collect();
    assert_eq!(pools, [(&b"pool!"[..], 2), (b"another", 1)]);
    assert_eq!(enrp_kind(&table(&[&handle, &other, &element])), Err(ParseErrorKind::Misplaced(POOL_HANDLE)));
    assert_eq!(enrp_kind(&table(&[&handle, &element, &other])), Err(ParseErrorKind::Missing(POOL_ELEMENT)));
    assert_eq!(enrp_kind(&table(&[&element])), Err(ParseErrorKind::Misplaced(POOL_ELEMENT)));
}

#[test]
fn a_rejecting_list_response_has_no_servers() {
    let server = server(&[&sctp()]);
    assert!(enrp_kind(&enrp(0x06, 0, &server)).is_ok());
    assert_eq!(enrp_kind(&enrp(0x06, 1, &server)), Err(ParseErrorKind::Misplaced(SERVER_INFORMATION)));
    assert!(enrp_kind(&enrp(0x06, 1, &[])).is_ok());
}

#[test]
fn an_update_adds_or_deletes_and_its_reserved_field_is_ignored() {
    let parameters = items(&[&handle(), &element(&[&sctp(), &round_robin()])]);
    let update = |action: u16| enrp(0x04, 0, &[&action.to_be_bytes()[..], &[0xff, 0xff], &parameters].concat());
    for (number, action) in [(0, UpdateAction::Add), (1, UpdateAction::Delete)] {
        assert!(matches!(enrp_kind(&update(number)), Ok(EnrpBody::HandleUpdate(m)) if m.action == action));
    }
    for number in [2, 0x100, 0xffff] {
        assert_eq!(enrp_kind(&update(number)), Err(ParseErrorKind::InvalidValue));
    }
}

#[test]
fn a_presence_may_be_without_checksum_and_server_information() {
    let (checksum, server) = (item(PE_CHECKSUM, &[0x12, 0x34]), server(&[&sctp()]));
    for (parameters, has_checksum, has_server) in [
        (vec![], false, false),
        (vec![&checksum[..]], true, false),
        (vec![&server[..]], false, true),
        (vec![&checksum[..], &server], true, true),
    ] {
        let bytes = enrp(0x01, 0, &items(&parameters));
        let Ok(EnrpBody::Presence(presence)) = enrp_kind(&bytes) else { panic!("no presence") };
        assert_eq!(presence.checksum, has_checksum.then_some(0x1234));
        assert_eq!(presence.server_information.is_some(), has_server);
    }
    let swapped = enrp(0x01, 0, &items(&[&server, &checksum]));
    assert_eq!(enrp_kind(&swapped), Err(ParseErrorKind::Misplaced(PE_CHECKSUM)));
}

#[test]
fn every_error_says_something() {
    for kind in [
        ParseErrorKind::Truncated,
        ParseErrorKind::TrailingBytes,
        ParseErrorKind::ParameterLength,
        ParseErrorKind::InvalidValue,
        ParseErrorKind::Missing(POOL_HANDLE),
        ParseErrorKind::Misplaced(COOKIE),
        ParseErrorKind::UnknownParameter { parameter_type: 0x4123, report: true },
        ParseErrorKind::UnknownMessage { message_type: 0x7f, report: true },
    ] {
        assert!(kind.to_string().len() > 10, "{kind:?}");
    }
    assert_eq!(ParseErrorKind::Missing(POOL_HANDLE).to_string(), "Pool Handle is missing");
}
