//! Messages captured from rsplib: what they hold, and that we write them as rsplib does.

use std::fmt::Write as _;

use rserpool_core::wire::enrp::UpdateAction;
use rserpool_core::wire::{
    AsapMessage, EnrpBody, EnrpMessage, OperationError, Policy, PoolElementParam, ServerInformation, Transport,
    TransportUse,
};

const VECTORS: &str = include_str!("../vectors/rsplib.txt");

struct Vector {
    protocol: &'static str,
    name: &'static str,
    /// What the message holds, parameter by parameter.
    holds: &'static str,
    bytes: Vec<u8>,
}

fn vectors() -> Vec<Vector> {
    let mut vectors = Vec::new();
    let mut holds = None;
    for line in VECTORS.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            holds.get_or_insert(comment);
        } else if line.is_empty() {
            holds = None;
        } else if line != "#" {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let [protocol, name, hex] = fields[..] else { panic!("not <asap|enrp> <name> <hex>: {line}") };
            let holds = holds.take().unwrap_or_else(|| panic!("no comment before: {line}"));
            vectors.push(Vector { protocol, name, holds, bytes: unhex(hex) });
        }
    }
    vectors
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes();
    assert!(digits.len().is_multiple_of(2), "odd number of digits: {hex}");
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A message of either protocol.
#[derive(Debug, PartialEq)]
enum Message<'a> {
    Asap(AsapMessage<'a>),
    Enrp(EnrpMessage<'a>),
}

impl<'a> Message<'a> {
    fn parse(protocol: &str, bytes: &'a [u8]) -> Self {
        match protocol {
            "asap" => {
                let parsed = AsapMessage::parse(bytes).unwrap();
                assert!(parsed.reports.is_empty());
                Message::Asap(parsed.message)
            }
            "enrp" => {
                let parsed = EnrpMessage::parse(bytes).unwrap();
                assert!(parsed.reports.is_empty());
                Message::Enrp(parsed.message)
            }
            other => panic!("no protocol: {other}"),
        }
    }

    fn emit(&self) -> Vec<u8> {
        let mut buf = [0xee; 2000];
        match self {
            Message::Asap(message) => message.emit(&mut buf).unwrap().to_vec(),
            Message::Enrp(message) => message.emit(&mut buf).unwrap().to_vec(),
        }
    }

    fn message_type(&self) -> u8 {
        match self {
            Message::Asap(message) => message.message_type(),
            Message::Enrp(message) => message.message_type(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Message::Asap(message) => message.name(),
            Message::Enrp(message) => message.name(),
        }
    }

    /// What it holds, in the words of the comments in the file.
    fn describe(&self) -> String {
        let parts = match self {
            Message::Asap(message) => asap(message),
            Message::Enrp(message) => {
                let mut parts = vec![format!("{}>{}", message.sender, message.receiver)];
                parts.extend(enrp(&message.body));
                parts
            }
        };
        format!("{}({})", self.name(), parts.join(","))
    }
}

/// A message's parts: flags and fields first, then parameters.
#[derive(Default)]
struct Parts(Vec<String>);

impl Parts {
    fn flag(mut self, name: &str, set: bool) -> Self {
        self.0.extend(set.then(|| format!("flags={name}")));
        self
    }

    fn and(mut self, part: impl Into<String>) -> Self {
        self.0.push(part.into());
        self
    }

    fn all(mut self, parts: impl IntoIterator<Item = String>) -> Self {
        self.0.extend(parts);
        self
    }
}

fn asap(message: &AsapMessage<'_>) -> Vec<String> {
    let parts = Parts::default();
    let parts = match message {
        AsapMessage::Registration(m) => parts.and(format!("PH={}", m.pool_handle)).and(element(&m.element)),
        AsapMessage::Deregistration(m) => parts.and(format!("PH={}", m.pool_handle)).and(format!("PEID={}", m.id)),
        AsapMessage::RegistrationResponse(m) => parts
            .flag("R", m.rejected)
            .and(format!("PH={}", m.pool_handle))
            .and(format!("PEID={}", m.id))
            .all(m.error.as_ref().map(error)),
        AsapMessage::DeregistrationResponse(m) => {
            parts.and(format!("PH={}", m.pool_handle)).and(format!("PEID={}", m.id)).all(m.error.as_ref().map(error))
        }
        AsapMessage::HandleResolution(m) => parts
            .flag("S", m.subscribe)
            .and(format!("PH={}", m.pool_handle))
            .all(m.wanted_items.map(|items| format!("Wanted={items}"))),
        AsapMessage::HandleResolutionResponse(m) => parts
            .flag("A", m.accepts_updates)
            .and(format!("PH={}", m.pool_handle))
            .all(m.policy.as_ref().map(policy))
            .all(m.elements.iter().map(|e| element(&e)))
            .all(m.error.as_ref().map(error)),
        AsapMessage::EndpointKeepAlive(m) => parts
            .flag("H", m.adopt)
            .and(format!("server={}", m.server))
            .and(format!("PH={}", m.pool_handle))
            .all(m.id.map(|id| format!("PEID={id}"))),
        AsapMessage::EndpointKeepAliveAck(m) => {
            parts.and(format!("PH={}", m.pool_handle)).and(format!("PEID={}", m.id))
        }
        AsapMessage::EndpointUnreachable(m) => parts.and(format!("PH={}", m.pool_handle)).and(format!("PEID={}", m.id)),
        AsapMessage::ServerAnnounce(m) => {
            parts.and(format!("server={}", m.server)).all(m.transports.iter().map(|t| transport(&t)))
        }
        AsapMessage::Cookie(m) => parts.and(format!("Cookie={}", hex(m.cookie))),
        AsapMessage::CookieEcho(m) => parts.and(format!("Cookie={}", hex(m.cookie))),
        AsapMessage::BusinessCard(m) => parts
            .and(format!("PH={}", m.pool_handle))
            .all(m.policy.as_ref().map(policy))
            .all(m.elements.iter().map(|e| element(&e))),
        AsapMessage::Error(m) => parts.and(error(&m.error)),
    };
    parts.0
}

fn enrp(body: &EnrpBody<'_>) -> Vec<String> {
    let parts = Parts::default();
    let parts = match body {
        EnrpBody::Presence(m) => parts
            .flag("R", m.reply_required)
            .all(m.checksum.map(|sum| format!("Checksum={sum:#06x}")))
            .all(m.server_information.as_ref().map(server)),
        EnrpBody::HandleTableRequest(m) => parts.flag("W", m.own_children_only),
        EnrpBody::HandleTableResponse(m) => {
            m.entries.iter().fold(parts.flag("M", m.more).flag("R", m.rejected), |parts, entry| {
                parts.and(format!("PH={}", entry.pool_handle)).all(entry.elements.iter().map(|e| element(&e)))
            })
        }
        EnrpBody::HandleUpdate(m) => parts
            .flag("T", m.takeover_suggested)
            .and(match m.action {
                UpdateAction::Add => "add",
                UpdateAction::Delete => "del",
            })
            .and(format!("PH={}", m.pool_handle))
            .and(element(&m.element)),
        EnrpBody::ListRequest(_) => parts,
        EnrpBody::ListResponse(m) => parts.flag("R", m.rejected).all(m.servers.iter().map(|s| server(&s))),
        EnrpBody::InitTakeover(m) => parts.and(format!("target={}", m.target)),
        EnrpBody::InitTakeoverAck(m) => parts.and(format!("target={}", m.target)),
        EnrpBody::TakeoverServer(m) => parts.and(format!("target={}", m.target)),
        EnrpBody::Error(m) => parts.and(error(&m.error)),
    };
    parts.0
}

fn element(element: &PoolElementParam<'_>) -> String {
    let parts = Parts::default()
        .and(transport(&element.user_transport))
        .and(policy(&element.policy))
        .all(element.asap_transport.as_ref().map(transport));
    let life = element.lifetime.to_wire();
    format!("PE({},home={},life={life}){{{}}}", element.id, element.home, parts.0.join(","))
}

fn server(server: &ServerInformation<'_>) -> String {
    format!("Server({}){{{}}}", server.id, transport(&server.transport))
}

fn transport(transport: &Transport<'_>) -> String {
    let control = match transport.transport_use() {
        TransportUse::DataOnly => "",
        TransportUse::DataPlusControl => "+ctrl",
    };
    let addresses: Vec<_> = transport.socket_addrs().map(|at| at.ip().to_string()).collect();
    format!("{}{control}:{}[{}]", transport.kind(), transport.port().unwrap(), addresses.join(","))
}

fn policy(policy: &Policy<'_>) -> String {
    match policy {
        Policy::RoundRobin => "RR".into(),
        Policy::WeightedRoundRobin { weight } => format!("WRR/{weight}"),
        Policy::Random => "RAND".into(),
        Policy::WeightedRandom { weight } => format!("WRAND/{weight}"),
        Policy::Priority { priority } => format!("PRIO/{priority}"),
        Policy::LeastUsed { load } => format!("LU/{load:#x}"),
        Policy::LeastUsedDegradation { load, degradation } => format!("LUD/{load:#x}/{degradation:#x}"),
        Policy::PriorityLeastUsed { load, degradation } => format!("PLU/{load:#x}/{degradation:#x}"),
        Policy::RandomizedLeastUsed { load } => format!("RLU/{load:#x}"),
        Policy::Rsplib(private) => {
            let mut buf = [0; 64];
            // Without the header and the type.
            let values = policy.emit(&mut buf).expect("room").get(8..).expect("a policy");
            format!("{:#010x}/{}", private.policy_type(), hex(values))
        }
        Policy::Other { policy_type, data } => format!("{policy_type:#010x}/{}", hex(data)),
    }
}

fn error(error: &OperationError<'_>) -> String {
    let causes: Vec<_> = error
        .causes()
        .map(|cause| match cause.data() {
            [] => format!("{:#06x}", cause.code()),
            data => format!("{:#06x}:{}", cause.code(), hex(data)),
        })
        .collect();
    format!("Error{{{}}}", causes.join(","))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[test]
fn there_are_62_messages_of_all_24_types() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 62);
    let mut types: Vec<_> = vectors.iter().map(|v| (v.protocol, v.bytes[0])).collect();
    types.sort_unstable();
    types.dedup();
    let all = (0x01..=0x0e).map(|ty| ("asap", ty)).chain((0x01..=0x0a).map(|ty| ("enrp", ty)));
    assert_eq!(types, all.collect::<Vec<_>>());
}

#[test]
fn every_message_of_rsplib_parses_to_what_it_holds() {
    for vector in vectors() {
        let message = Message::parse(vector.protocol, &vector.bytes);
        assert_eq!(message.message_type(), vector.bytes[0]);
        assert_eq!(message.name(), vector.name);
        assert_eq!(message.describe(), vector.holds);
    }
}

/// Without an exception: what rsplib adds to the RFCs (Wanted Items, the T flag, a policy in the business card, private
/// policies and causes) has its place in our messages.
#[test]
fn every_message_of_rsplib_is_emitted_as_rsplib_wrote_it() {
    for vector in vectors() {
        let message = Message::parse(vector.protocol, &vector.bytes);
        assert_eq!(hex(&message.emit()), hex(&vector.bytes), "{}", vector.holds);
    }
}
