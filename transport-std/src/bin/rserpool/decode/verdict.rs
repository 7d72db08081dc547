//! Whether a message is well-formed, by the parser that the machines use, and exactly what is wrong.

use std::io::{self, Write};

use rserpool_core::wire::{AsapMessage, EnrpMessage, ParseError, ParseErrorKind};
use serde::Serialize;

use super::names::{self, Protocol};
use super::tree::{Kind, Node};
use super::walk;
use crate::output::Paint;

/// What was found out about a message.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) protocol: Protocol,
    pub(super) message: &'static str,
    /// How many bytes were given.
    pub(super) bytes: usize,
    pub(super) well_formed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Malformed>,
    /// The offsets of unknown parameters that a receiver skips and reports.
    pub(super) reported: Vec<usize>,
    pub(super) tree: Node,
}

/// What is wrong.
#[derive(Debug, Serialize)]
pub(super) struct Malformed {
    pub(super) kind: &'static str,
    /// Of the field, parameter or message that is wrong.
    pub(super) offset: usize,
    /// The names from the message to what is wrong.
    pub(super) path: Vec<String>,
    pub(super) description: String,
    /// What is expected there.
    pub(super) expected: Option<String>,
}

impl Verdict {
    pub(super) fn of(protocol: Protocol, bytes: &[u8]) -> Self {
        let mut tree = walk::message(protocol, bytes);
        let offset_of = |part: &[u8]| (part.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize).min(bytes.len());
        let parsed = match protocol {
            Protocol::Asap => AsapMessage::parse(bytes).map(|parsed| (parsed.message.name(), parsed.reports)),
            Protocol::Enrp => EnrpMessage::parse(bytes).map(|parsed| (parsed.message.name(), parsed.reports)),
        };
        let (message, error, reported) = match parsed {
            Ok((name, reports)) => {
                // The walk is stricter where nobody needs to be.
                tree.soften();
                (name, None, reports.iter().map(|item| offset_of(item)).collect())
            }
            Err(error) => {
                let ty = bytes.first().and_then(|ty| names::message_type(protocol, *ty));
                let offset = if error.item.is_empty() { 0 } else { offset_of(error.item) };
                let malformed = Malformed::of(protocol, bytes, &error, offset, &mut tree);
                (ty.map_or("unknown", |ty| ty.name), Some(malformed), Vec::new())
            }
        };
        Verdict { protocol, message, bytes: bytes.len(), well_formed: error.is_none(), error, reported, tree }
    }

    pub(super) fn write(&self, out: &mut impl Write, paint: Paint) -> io::Result<()> {
        self.tree.write(out, paint)?;
        match &self.error {
            None => {
                write!(out, "{}", paint.good("well-formed"))?;
                for offset in &self.reported {
                    write!(out, "; the unknown parameter at offset {offset} is skipped and reported")?;
                }
                writeln!(out)
            }
            Some(error) => {
                writeln!(out, "{} {error}", paint.bad("malformed:"))?;
                match &error.expected {
                    Some(expected) => writeln!(out, "  expected: {expected}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "offset {}, {}: {}", self.offset, self.path.join(" > "), self.description)
    }
}

impl Malformed {
    fn of(protocol: Protocol, bytes: &[u8], error: &ParseError<'_>, offset: usize, tree: &mut Node) -> Self {
        let item = match error.kind {
            ParseErrorKind::Truncated | ParseErrorKind::TrailingBytes => 0..=bytes.len(),
            _ => offset..=offset.saturating_add(error.item.len()),
        };
        let mut path = Vec::new();
        // The walk says it more precisely than the parser; but only the parser knows what may stand where.
        let precise = match error.kind {
            ParseErrorKind::Missing(_)
            | ParseErrorKind::Misplaced(_)
            | ParseErrorKind::UnknownParameter { .. }
            | ParseErrorKind::UnknownMessage { .. } => None,
            _ => {
                tree.first_error(&item).map(|(node, text)| (node.kind, node.offset, node.name.clone(), text.to_owned()))
            }
        };
        let (offset, description) = match precise {
            Some((kind, at, name, text)) => {
                tree.at(at, &mut path);
                if kind == Kind::Field {
                    path.push(name);
                }
                (at, text)
            }
            None => {
                let text = error.kind.to_string();
                tree.at(offset, &mut path).fault(text.clone());
                (offset, text)
            }
        };
        // The type of the parameter that is wrong, if it is one.
        let ty = match (*item.start(), error.item) {
            (1.., [high, low, ..]) => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        };
        // What is misplaced is judged by what it stands in.
        let misplaced = matches!(error.kind, ParseErrorKind::Misplaced(_)) && ty.is_some();
        let container = if misplaced { parent_type(&path) } else { ty };
        let expected = match (error.kind, container) {
            (ParseErrorKind::UnknownParameter { .. }, _) => {
                Some("a type of RFC 5354, or one whose top bit is set".into())
            }
            (ParseErrorKind::UnknownMessage { .. }, _) => Some(known_types(protocol)),
            (ParseErrorKind::Truncated | ParseErrorKind::TrailingBytes, _) => None,
            (_, Some(ty)) => names::parameter(ty)
                .zip(names::parameter_holds(ty))
                .map(|(name, holds)| format!("{name} holds: {holds}")),
            (_, None) => bytes
                .first()
                .and_then(|ty| names::message_type(protocol, *ty))
                .map(|ty| format!("{} holds: {}", ty.name, ty.holds)),
        };
        Malformed { kind: kind(error.kind), offset, path, description, expected }
    }
}

/// The type of the parameter that the last one of a path stands in; `None` if that is the message.
fn parent_type(path: &[String]) -> Option<u16> {
    let parent = path.len().checked_sub(2).filter(|at| *at > 0).and_then(|at| path.get(at))?;
    (0x1..=0x10).find(|ty| names::parameter(*ty) == Some(parent))
}

fn known_types(protocol: Protocol) -> String {
    match protocol {
        Protocol::Asap => "a message type of ASAP, 0x01 to 0x0e".into(),
        Protocol::Enrp => "a message type of ENRP, 0x01 to 0x0a".into(),
    }
}

const fn kind(kind: ParseErrorKind) -> &'static str {
    match kind {
        ParseErrorKind::Truncated => "truncated",
        ParseErrorKind::TrailingBytes => "trailing_bytes",
        ParseErrorKind::ParameterLength => "parameter_length",
        ParseErrorKind::InvalidValue => "invalid_value",
        ParseErrorKind::Missing(_) => "missing",
        ParseErrorKind::Misplaced(_) => "misplaced",
        ParseErrorKind::UnknownParameter { .. } => "unknown_parameter",
        ParseErrorKind::UnknownMessage { .. } => "unknown_message",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::hex;

    const VECTORS: &[(Protocol, &str)] = &[
        (
            Protocol::Asap,
            "0100004c0009000c4563686f506f6f6c000a003cabcd00010000000000015f900004002495360001000100080afb000400020014\
             fd0002510000000000000000000000040008000800000001",
        ),
        (Protocol::Asap, "0301001c0009000558000000000e000800000002000c000800080004"),
        (Protocol::Asap, "0e000014000c00100001000c4123000861626364"),
        (Protocol::Enrp, "0101002c1111111211111111000f0006ffff0000000b0018111111120004001026ad0000000100080afb0002"),
    ];

    /// Any byte of a message may be anything, and any end may be missing: there is a verdict, and it can be shown.
    #[test]
    fn whatever_the_bytes_there_is_a_verdict() {
        for (protocol, text) in VECTORS {
            let good = hex::parse(text).unwrap();
            assert!(Verdict::of(*protocol, &good).well_formed, "{text}");
            let ends = (0..good.len()).map(|end| good[..end].to_vec());
            let changes = (0..good.len()).flat_map(|at| {
                [0, 1, 3, 4, 5, 0x0a, 0x3f, 0x40, 0x80, 0xc0, 0xff].map(|byte| {
                    let mut changed = good.clone();
                    changed[at] = byte;
                    changed
                })
            });
            for bytes in ends.chain(changes) {
                let verdict = Verdict::of(*protocol, &bytes);
                verdict.write(&mut io::sink(), Paint::stdout()).unwrap();
                match &verdict.error {
                    None => assert!(verdict.tree.first_error(&(0..=bytes.len())).is_none(), "{bytes:02x?}"),
                    Some(error) => assert!(
                        !error.path.is_empty() && verdict.tree.first_error(&(0..=bytes.len())).is_some(),
                        "{bytes:02x?}: {error:?}"
                    ),
                }
            }
        }
    }
}
