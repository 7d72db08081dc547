//! What was on the lab's links, as Wireshark sees it.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use roxmltree::{Document, Node};
use rserpool_core::Ppid;

use crate::tshark::{self, TsharkError};

/// The ASAP and ENRP messages of a capture.
#[derive(Debug)]
pub struct Capture {
    /// In the order of their sending. A message that was sent again is there again.
    pub packets: Vec<Packet>,
    /// What the scenario noted meanwhile: see [`Recording::note`](super::Recording::note).
    pub notes: Vec<String>,
}

/// A message.
#[derive(Debug)]
pub struct Packet {
    /// Seconds since 1970, by the guest's clock.
    pub time: f64,
    /// Who sent it.
    pub source: IpAddr,
    /// Where it went.
    pub destination: IpAddr,
    /// Which protocol it is of.
    pub ppid: Ppid,
    /// The message type.
    pub kind: u8,
    /// The message's flags.
    pub flags: u8,
    /// What is wrong with it, be it that Wireshark does not understand it.
    pub complaints: Vec<String>,
    /// What there is against it by any standard: it is malformed.
    pub faults: Vec<String>,
    fields: Vec<(String, String)>,
}

/// ASAP_ERROR, which holds what its sender has not understood.
const REPORT: (Ppid, u8) = (Ppid::Asap, 0x0e);

/// How the types of rsplib's own policies begin. Wireshark does not know them, or not their values.
const PRIVATE: &str = "0xb000";

impl Packet {
    /// The values of a field by Wireshark's name for it.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, show)| show.as_str())
    }

    /// The first of them.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, show)| show.as_str())
    }

    /// Whether it is one of a type of message, between two addresses.
    pub fn is(&self, ppid: Ppid, kind: u8) -> bool {
        self.ppid == ppid && self.kind == kind
    }
}

impl Capture {
    pub(super) fn read(path: &Path) -> Result<Self, TsharkError> {
        let failed = |error: String| TsharkError::Failed(error);
        let pcap = fs::read(path).map_err(|error| failed(error.to_string()))?;
        let pdml = tshark::dissect_with(pcap, &["-Y", "asap || enrp"])?;
        let document = Document::parse(&pdml).map_err(|error| failed(error.to_string()))?;
        let packets = document.root_element().children().filter(|node| node.has_tag_name("packet"));
        let notes = fs::read_to_string(path.with_extension("notes")).unwrap_or_default();
        let notes = notes.lines().map(String::from).collect();
        Ok(Capture { packets: packets.flat_map(messages).collect(), notes })
    }

    /// The messages of a type.
    pub fn of(&self, ppid: Ppid, kind: u8) -> impl Iterator<Item = &Packet> {
        self.packets.iter().filter(move |packet| packet.is(ppid, kind))
    }

    /// Asserts that nothing in it is malformed, and that our hosts sent nothing that Wireshark does not understand.
    /// (What rsplib sends has values of its own, which Wireshark does not know.)
    #[track_caller]
    pub fn assert_clean(&self, ours: &[IpAddr]) {
        self.assert_clean_but(ours, |_| false);
    }

    /// The same, where some messages of others are known to be malformed.
    #[track_caller]
    pub fn assert_clean_but(&self, ours: &[IpAddr], is_known: impl Fn(&Packet) -> bool) {
        assert!(!self.packets.is_empty(), "nothing was captured");
        let is_wrong = |packet: &&Packet| match ours.contains(&packet.source) {
            true => !packet.faults.is_empty() || !packet.complaints.is_empty(),
            false => !packet.faults.is_empty() && !is_known(packet),
        };
        let wrong: Vec<_> = self.packets.iter().filter(is_wrong).collect();
        assert!(wrong.is_empty(), "{} of {} messages: {wrong:#?}", wrong.len(), self.packets.len());
    }
}

/// The messages in a packet: SCTP puts several into one.
fn messages(packet: Node<'_, '_>) -> Vec<Packet> {
    let field = |name: &str| {
        packet
            .descendants()
            .find(|node| node.attribute("name") == Some(name))
            .and_then(|node| node.attribute("show"))
            .unwrap_or_default()
    };
    let address = |v4, v6| field(v4).parse().or_else(|_| field(v6).parse()).expect("an address");
    let (source, destination) = (address("ip.src", "ipv6.src"), address("ip.dst", "ipv6.dst"));
    let time = field("frame.time_epoch").parse().unwrap_or_default();
    let malformed = packet.descendants().find(|node| node.attribute("name") == Some("_ws.malformed"));
    let malformed = malformed.and_then(|node| node.attribute("showname")).map(|text| format!("malformed: {text}"));

    let trees = packet.descendants().filter(|node| node.has_tag_name("proto"));
    trees
        .filter_map(|tree| {
            let (ppid, prefix) = match tree.attribute("name")? {
                "asap" => (Ppid::Asap, "asap"),
                "enrp" => (Ppid::Enrp, "enrp"),
                _ => return None,
            };
            let nodes = || tree.descendants().filter(|node| node.has_tag_name("field"));
            let fields: Vec<_> = nodes()
                .filter_map(|node| Some((node.attribute("name")?.to_owned(), node.attribute("show")?.to_owned())))
                .collect();
            let number = |name: &str| {
                let name = format!("{prefix}.{name}");
                let show = fields.iter().find(|(field, _)| *field == name).map_or("", |(_, show)| show);
                show.strip_prefix("0x").map_or_else(|| show.parse().ok(), |hex| u8::from_str_radix(hex, 16).ok())
            };
            let experts = nodes().filter(|node| node.attribute("name") == Some("_ws.expert"));
            let experts = experts.filter_map(|node| Some(format!("expert: {}", node.attribute("showname")?)));
            let faults: Vec<_> = malformed.iter().cloned().chain(experts).collect();
            let (kind, flags) = (number("message_type").unwrap_or(0), number("message_flags").unwrap_or(0));
            let mut complaints = tshark::examine_tree(tree, &bytes(tree));
            if fields.iter().any(|(name, show)| name.ends_with("_policy_type") && show.starts_with(PRIVATE)) {
                complaints.retain(|text| !text.contains("Policy Type") && !text.contains("Policy Value"));
            }
            if (ppid, kind) == REPORT {
                // What it reports is unknown, as it should be.
                complaints.retain(|text| !text.starts_with("unknown") && !text.starts_with("not understood"));
            }
            Some(Packet { time, source, destination, ppid, kind, flags, complaints, faults, fields })
        })
        .collect()
}

/// The bytes of a message, put together from its fields. Those that are in none are zero.
fn bytes(tree: Node<'_, '_>) -> Vec<u8> {
    let number = |node: Node<'_, '_>, name| node.attribute(name).and_then(|text| text.parse().ok()).unwrap_or(0usize);
    let start = number(tree, "pos");
    let mut bytes = vec![0; number(tree, "size")];
    for node in tree.descendants().filter(|node| node.has_tag_name("field")) {
        let hex = node.attribute("value").unwrap_or_default().as_bytes().chunks(2);
        for (place, digits) in (number(node, "pos").saturating_sub(start)..).zip(hex) {
            let byte = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
            // Of a bit field only the bits are told, so what was there before stays.
            if let (Some(place), Some(byte)) = (bytes.get_mut(place), byte)
                && *place == 0
            {
                *place = byte;
            }
        }
    }
    bytes
}
