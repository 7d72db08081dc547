//! What Wireshark makes of ASAP and ENRP messages.
//!
//! Its dissectors rarely complain by themselves. So what they found is gone over: was every byte understood, do the
//! lengths agree, is anything unknown?

use std::env;
use std::fmt;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use roxmltree::{Document, Node};
use rserpool_core::Ppid;

/// Why there is no opinion.
#[derive(Debug)]
pub enum TsharkError {
    /// It cannot be run: most likely it is not installed.
    Missing(io::Error),
    /// It failed, or wrote something else than expected.
    Failed(String),
}

impl fmt::Display for TsharkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TsharkError::Missing(error) => write!(f, "tshark cannot be run: {error}"),
            TsharkError::Failed(why) => write!(f, "tshark failed: {why}"),
        }
    }
}

impl std::error::Error for TsharkError {}

/// What Wireshark has against each of these messages, in one run.
///
/// Without tshark the caller's test is to be skipped: it gets `None`.
///
/// # Panics
/// tshark failed. Or it is missing, and the environment variable `RSERPOOL_REQUIRE` says that no test may be skipped.
pub fn complaints_or_skip(messages: &[(Ppid, &[u8])]) -> Option<Vec<Vec<String>>> {
    match complaints(messages) {
        Ok(complaints) => Some(complaints),
        Err(error @ TsharkError::Missing(_)) if env::var_os("RSERPOOL_REQUIRE").is_none() => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// What Wireshark has against each of these messages, in one run.
///
/// # Errors
/// tshark is missing or failed.
pub fn complaints(messages: &[(Ppid, &[u8])]) -> Result<Vec<Vec<String>>, TsharkError> {
    let pdml = dissect(capture(messages))?;
    let document = Document::parse(&pdml).map_err(|error| TsharkError::Failed(error.to_string()))?;
    let packets: Vec<_> = document.root_element().children().filter(|node| node.has_tag_name("packet")).collect();
    if packets.len() != messages.len() {
        return Err(TsharkError::Failed(format!("{} messages, {} dissections", messages.len(), packets.len())));
    }
    Ok(messages.iter().zip(packets).map(|((ppid, bytes), packet)| examine(packet, *ppid, bytes)).collect())
}

/// Runs tshark over a capture.
fn dissect(pcap: Vec<u8>) -> Result<String, TsharkError> {
    dissect_with(pcap, &["-o", "sctp.checksum:CRC32c"])
}

/// Runs tshark over a capture, with options beside those for its output.
pub(crate) fn dissect_with(pcap: Vec<u8>, options: &[&str]) -> Result<String, TsharkError> {
    let mut tshark = Command::new("tshark")
        .args(["-n", "-r", "-", "-T", "pdml"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(TsharkError::Missing)?;
    let stdin = tshark.stdin.take();
    // If tshark stops reading, its exit status tells more than the failure to write.
    let writer = thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&pcap)));
    let output = tshark.wait_with_output().map_err(|error| TsharkError::Failed(error.to_string()))?;
    let _ = writer.join();
    if !output.status.success() {
        return Err(TsharkError::Failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    String::from_utf8(output.stdout).map_err(|error| TsharkError::Failed(error.to_string()))
}

// --- from messages to a capture ---------------------------------------------------------------------------------------

/// A pcap file with one packet for each message.
fn capture(messages: &[(Ppid, &[u8])]) -> Vec<u8> {
    const LINKTYPE_IPV4: u32 = 228;
    let mut pcap = Vec::new();
    pcap.extend(0xa1b2_c3d4_u32.to_le_bytes());
    pcap.extend([2, 0, 4, 0]); // version 2.4
    for field in [0, 0, 262_144, LINKTYPE_IPV4] {
        pcap.extend(field.to_le_bytes());
    }
    for (second, (ppid, bytes)) in (1u32..).zip(messages) {
        let packet = ipv4(&sctp(*ppid, second, bytes));
        let length = u32::try_from(packet.len()).expect("the packet has 16 bits of length");
        for field in [second, 0, length, length] {
            pcap.extend(field.to_le_bytes());
        }
        pcap.extend(packet);
    }
    pcap
}

fn u16_len(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).expect("the message fits into a packet").to_be_bytes()
}

/// An SCTP packet with the message in one DATA chunk (RFC 9260, 3.3.1).
fn sctp(ppid: Ppid, tsn: u32, message: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(40_000u16.to_be_bytes());
    packet.extend(ppid.port().to_be_bytes());
    packet.extend(1u32.to_be_bytes()); // verification tag
    packet.extend([0; 4]); // the checksum, later
    packet.extend([0, 3]); // DATA, first and last fragment
    packet.extend(u16_len(16 + message.len()));
    packet.extend(tsn.to_be_bytes());
    packet.extend([0; 4]); // stream and its sequence number
    packet.extend(ppid.number().to_be_bytes());
    packet.extend(message);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let checksum = crc32c(&packet);
    packet[8..12].copy_from_slice(&checksum.to_le_bytes());
    packet
}

/// RFC 9260, appendix A.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

fn ipv4(payload: &[u8]) -> Vec<u8> {
    const SCTP: u8 = 132;
    let mut packet = vec![0x45, 0];
    packet.extend(u16_len(20 + payload.len()));
    packet.extend([0, 0, 0, 0, 64, SCTP, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let checksum = !u16::try_from(sum % 0xffff).expect("below the modulus");
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(payload);
    packet
}

// --- from a dissection to complaints ----------------------------------------------------------------------------------

/// A dissected field.
struct Field<'a> {
    name: &'a str,
    text: &'a str,
    show: &'a str,
    /// Where in the message, counted from its start.
    at: std::ops::Range<usize>,
}

impl<'a> Field<'a> {
    /// `start` is where the message begins in the packet.
    fn new(node: Node<'a, '_>, start: usize) -> Self {
        let attribute = |name| node.attribute(name).unwrap_or_default();
        let number = |name| attribute(name).parse().unwrap_or(0);
        let show = attribute("show");
        let from = usize::saturating_sub(number("pos"), start);
        Field {
            name: attribute("name"),
            text: node.attribute("showname").unwrap_or(show),
            show,
            at: from..from.saturating_add(number("size")),
        }
    }

    fn is_unknown(&self) -> bool {
        // "Unknown pool handle" is the name of an error cause.
        self.text.to_lowercase().replace("unknown pool handle", "").contains("unknown")
    }

    /// Whether Wireshark shows the bytes of something whose fields it does not know.
    fn is_opaque(&self) -> bool {
        self.name.ends_with("_value")
    }
}

fn examine(packet: Node<'_, '_>, ppid: Ppid, message: &[u8]) -> Vec<String> {
    let mut complaints = Vec::new();
    for node in packet.descendants() {
        let field = Field::new(node, 0);
        match field.name {
            "_ws.malformed" => complaints.push(format!("malformed: {}", field.text)),
            "_ws.expert" => complaints.push(format!("expert: {}", field.text)),
            _ => {}
        }
    }
    let protocol = match ppid {
        Ppid::Asap => "asap",
        Ppid::Enrp => "enrp",
    };
    let mut trees = packet.children().filter(|node| node.attribute("name") == Some(protocol));
    let (Some(tree), None) = (trees.next(), trees.next()) else {
        complaints.push(format!("not dissected once as {protocol}"));
        return complaints;
    };
    complaints.extend(examine_tree(tree, message));
    complaints
}

/// What there is against one message, by what was made of it.
pub(crate) fn examine_tree(tree: Node<'_, '_>, message: &[u8]) -> Vec<String> {
    let mut complaints = Vec::new();
    let start = tree.attribute("pos").and_then(|pos| pos.parse().ok()).unwrap_or(0);
    let mut seen = vec![false; message.len()];
    for node in tree.descendants().filter(|node| node.has_tag_name("field")) {
        let field = Field::new(node, start);
        if field.is_unknown() {
            complaints.push(format!("unknown: {}", field.text));
        } else if field.is_opaque() {
            complaints.push(format!("not understood: {}", field.text));
        }
        // A field without a name is only a heading of those below it.
        if !field.name.is_empty() || !node.has_children() {
            let end = field.at.end.min(seen.len());
            if let Some(seen) = seen.get_mut(field.at.start..end) {
                seen.fill(true);
            }
        }
        // Not that of a message within an error cause.
        if field.name.ends_with("message_length") && field.at.start == 2 {
            complaints.extend(length_complaint(field.show, message));
        }
    }
    let missed = seen.iter().filter(|seen| !**seen).count();
    if let Some(first) = seen.iter().position(|seen| !seen) {
        complaints.push(format!("{missed} bytes in no field, from offset {first}"));
    }
    complaints
}

/// RFC 5354, 4: the length does not cover the padding, which is zero and makes the whole a multiple of four bytes.
fn length_complaint(length: &str, message: &[u8]) -> Option<String> {
    let Some(padding) = length.parse().ok().and_then(|length: usize| message.get(length..)) else {
        return Some(format!("length {length}, but {} bytes", message.len()));
    };
    if !message.len().is_multiple_of(4) {
        Some(format!("{} bytes are no multiple of 4", message.len()))
    } else if padding.len() > 3 {
        Some(format!("length {length}, but {} bytes", message.len()))
    } else if padding.iter().any(|byte| *byte != 0) {
        Some("the padding is not zero".into())
    } else {
        None
    }
}
