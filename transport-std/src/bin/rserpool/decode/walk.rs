//! From bytes to a tree, as far as it goes.
//!
//! It tolerates what `rserpool_core::wire` does not, marks it, and goes on where there is a way to go on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use rserpool_core::wire::PoolHandle;
use rserpool_core::wire::cause::CauseCode;

use super::names::{self, Protocol};
use super::tree::{Kind, Node, Value};

/// A message within an error cause within a message, and so on, is shown to this depth.
const MAX_DEPTH: usize = 8;

/// The tree of one message.
pub(super) fn message(protocol: Protocol, bytes: &[u8]) -> Node {
    Walk { protocol, depth: 0 }.message(&mut Cursor { all: bytes, at: 0, end: bytes.len() })
}

/// A part of the message that is read from front to back.
struct Cursor<'a> {
    all: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Cursor<'a> {
    fn left(&self) -> usize {
        self.end - self.at
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.all.get(self.at..self.at.checked_add(len)?).filter(|_| len <= self.left())?;
        self.at += len;
        Some(taken)
    }

    fn rest(&mut self) -> &'a [u8] {
        self.take(self.left()).unwrap_or(&[])
    }

    /// The next bytes, at most `len`, as a cursor of their own.
    fn part(&mut self, len: usize) -> Cursor<'a> {
        let start = self.at;
        self.at += len.min(self.left());
        Cursor { all: self.all, at: start, end: self.at }
    }

    /// Reads a number of `N` bytes into a field. `None`, and a field that says so: there are too few.
    fn number<const N: usize>(&mut self, parent: &mut Node, name: &str) -> Option<(u32, &mut Self)> {
        let offset = self.at;
        let Some(bytes) = self.take(N) else {
            let left = self.left();
            let mut node = Node::new(Kind::Field, offset, left, name);
            if left > 0 {
                node = node.value(Value::Text(hex(self.rest())));
            }
            node.fault(format!("expected {}, but {} ends after {left}", count(N), parent.name));
            parent.children.push(node);
            return None;
        };
        let number = bytes.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
        Some((number, self))
    }

    fn hex<const N: usize>(&mut self, parent: &mut Node, name: &str, meaning: impl Fn(u32) -> String) -> Option<u32> {
        let offset = self.at;
        let (number, _) = self.number::<N>(parent, name)?;
        let node = Node::new(Kind::Field, offset, N, name).value(Value::Hex(number, 2 * N));
        parent.children.push(node.meaning(meaning(number)));
        Some(number)
    }

    fn decimal<const N: usize>(
        &mut self,
        parent: &mut Node,
        name: &str,
        meaning: impl Fn(u32) -> String,
    ) -> Option<u32> {
        let offset = self.at;
        let (number, _) = self.number::<N>(parent, name)?;
        let node = Node::new(Kind::Field, offset, N, name).value(Value::Decimal(i64::from(number)));
        parent.children.push(node.meaning(meaning(number)));
        Some(number)
    }

    /// What is left, as a field of bytes.
    fn bytes(&mut self, parent: &mut Node, name: &str) {
        let (offset, bytes) = (self.at, self.rest());
        let node = Node::new(Kind::Field, offset, bytes.len(), name).value(Value::Text(hex(bytes)));
        let printable = !bytes.is_empty() && bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
        parent.children.push(node.meaning(if printable { text(bytes) } else { String::new() }));
    }

    /// Says that nothing more belongs here.
    fn nothing_more(&mut self, parent: &mut Node) {
        if self.left() > 0 {
            let (offset, bytes) = (self.at, self.rest());
            let mut node = Node::new(Kind::Field, offset, bytes.len(), "more bytes").value(Value::Text(hex(bytes)));
            node.fault(format!("expected the end of {}", parent.name));
            parent.children.push(node);
        }
    }
}

#[derive(Clone, Copy)]
struct Walk {
    protocol: Protocol,
    depth: usize,
}

impl Walk {
    fn message(self, cursor: &mut Cursor<'_>) -> Node {
        let (start, available) = (cursor.at, cursor.left());
        let mut root = Node::new(Kind::Message, start, available, self.protocol.name());
        let Some(ty) = cursor.hex::<1>(&mut root, "message type", |_| String::new()) else { return root };
        let ty = ty as u8;
        let known = names::message_type(self.protocol, ty);
        root.name =
            format!("{} {}", self.protocol.name(), known.as_ref().map_or("unknown message", |known| known.name));
        if let Some(field) = root.children.last_mut() {
            field.meaning = Some(match &known {
                Some(known) => format!("{} ({})", known.name, known.section),
                None => names::unknown_message_action(ty).into(),
            });
        }
        let flags_at = cursor.at;
        let Some(flags) = cursor.hex::<1>(&mut root, "flags", |_| String::new()) else { return root };
        if let Some(field) = root.children.last_mut() {
            name_flags(field, flags_at, flags as u8, known.as_ref().map_or(&[], |known| known.flags));
        }
        let Some(length) = cursor.decimal::<2>(&mut root, "message length", |_| String::new()) else { return root };
        let length = length as usize;
        root.length = length.min(available);
        let mut wrong_length = None;
        if length < 4 {
            wrong_length = Some("expected at least 4, the length of the header".to_owned());
        } else if length > available {
            wrong_length = Some(format!("expected {length} bytes, but there are only {available}"));
        }
        if let (Some(error), Some(field)) = (wrong_length, root.children.last_mut()) {
            field.fault(error);
        }
        let mut value = cursor.part(length.saturating_sub(4));
        match known {
            Some(_) => self.value(ty, &mut value, &mut root),
            None if value.left() > 0 => value.bytes(&mut root, "message value"),
            None => {}
        }
        if length >= 4 {
            padding(cursor, length, &mut root, None);
            if cursor.left() > 0 {
                let (offset, rest) = (cursor.at, cursor.rest());
                let mut node = Node::new(Kind::Field, offset, rest.len(), "more bytes").value(Value::Text(hex(rest)));
                node.fault(format!("expected the end: the message is {length} bytes long, and its padding"));
                root.children.push(node);
            }
        }
        root
    }

    /// The value of a message of a known type: fields, then parameters.
    fn value(self, ty: u8, cursor: &mut Cursor<'_>, root: &mut Node) {
        let fields: &[&str] = match (self.protocol, ty) {
            (Protocol::Asap, 0x07 | 0x0a) => &["Server Identifier"],
            (Protocol::Asap, _) => &[],
            (Protocol::Enrp, 0x07..=0x09) => &["Sending Server's ID", "Receiving Server's ID", "Targeting Server's ID"],
            (Protocol::Enrp, _) => &["Sending Server's ID", "Receiving Server's ID"],
        };
        for field in fields {
            if cursor.hex::<4>(root, field, server_id).is_none() {
                return;
            }
        }
        if (self.protocol, ty) == (Protocol::Enrp, 0x04) {
            let action = cursor.hex::<2>(root, "Update Action", |action| match action {
                0 => "ADD_PE: the element is new or has changed".into(),
                1 => "DEL_PE: the element is gone".into(),
                _ => String::new(),
            });
            if let (Some(2..), Some(field)) = (action, root.children.last_mut()) {
                field.fault("expected 0 (ADD_PE) or 1 (DEL_PE)");
            }
            reserved(cursor, root);
        }
        self.parameters(cursor, root);
    }

    fn parameters(self, cursor: &mut Cursor<'_>, parent: &mut Node) {
        while cursor.left() > 0 {
            if !self.item(cursor, parent, Kind::Parameter) {
                return;
            }
        }
    }

    /// One parameter or cause and its padding; whether the next one can be found.
    fn item(self, cursor: &mut Cursor<'_>, parent: &mut Node, kind: Kind) -> bool {
        let start = cursor.at;
        let left = cursor.left();
        let what = if kind == Kind::Cause { "cause" } else { "parameter" };
        let Some(&[t0, t1, l0, l1]) = cursor.take(4) else {
            let rest = cursor.rest();
            let mut node = Node::new(kind, start, left, what).value(Value::Text(hex(rest)));
            node.fault(format!("expected a {what}'s type and length, 4 bytes, but {} ends after {left}", parent.name));
            parent.children.push(node);
            return false;
        };
        let ty = u16::from_be_bytes([t0, t1]);
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let name = match kind {
            Kind::Cause => capitalised(&CauseCode(ty).to_string()),
            _ => names::parameter(ty).unwrap_or("unknown parameter").into(),
        };
        let mut node = Node::new(kind, start, length.min(left), name).value(Value::Hex(u32::from(ty), 4));
        let fits = if length < 4 {
            node.length = 4;
            node.fault(format!("its length is {length}, expected at least 4, the length of its header"));
            false
        } else if length > left {
            node.fault(format!("its length is {length}, but {} ends after {left} bytes", parent.name));
            false
        } else {
            true
        };
        if fits {
            let mut value = cursor.part(length - 4);
            let inner = Walk { depth: self.depth + 1, ..self };
            match kind {
                Kind::Cause => inner.cause(ty, &mut value, &mut node),
                _ => inner.parameter(ty, &mut value, &mut node),
            }
        }
        parent.children.push(node);
        if fits {
            padding(cursor, length, parent, Some(parent.name.clone()));
        }
        fits
    }

    fn parameter(self, ty: u16, cursor: &mut Cursor<'_>, node: &mut Node) {
        match ty {
            0x1 | 0x2 => address(ty, cursor, node),
            0x3..=0x7 => self.transport(ty, cursor, node),
            0x8 => policy(cursor, node),
            0x9 => pool_handle(cursor, node),
            0xa => self.pool_element(cursor, node),
            0xb => {
                if cursor.hex::<4>(node, "server identifier", server_id).is_some() {
                    self.parameters(cursor, node);
                }
            }
            0xc => {
                if cursor.left() == 0 {
                    node.fault("expected one or more error causes");
                }
                while cursor.left() > 0 && self.item(cursor, node, Kind::Cause) {}
            }
            0xd => cursor.bytes(node, "cookie"),
            0xe => {
                cursor.hex::<4>(node, "PE identifier", |_| String::new());
                cursor.nothing_more(node);
            }
            0xf => {
                cursor.hex::<2>(node, "checksum", |sum| match sum {
                    0xffff => "of no elements".into(),
                    _ => "of the elements that the sender owns (RFC 5353, 3.6.2)".into(),
                });
                cursor.nothing_more(node);
            }
            0x10 => cursor.bytes(node, "opaque"),
            0x803f => {
                node.meaning = Some("not of the RFCs: rsplib's users send it".into());
                cursor.decimal::<4>(node, "elements wanted", |n| match n {
                    u32::MAX => "as many as possible".into(),
                    0 => "the registrar's choice".into(),
                    _ => "at most".into(),
                });
                cursor.nothing_more(node);
            }
            _ => {
                node.meaning = Some(names::unknown_parameter_action(ty).into());
                if ty & 0x8000 == 0 {
                    node.fault("a receiver that does not know this type stops here");
                }
                if cursor.left() > 0 {
                    cursor.bytes(node, "value");
                }
            }
        }
    }

    fn transport(self, ty: u16, cursor: &mut Cursor<'_>, node: &mut Node) {
        let port = cursor.decimal::<2>(node, "port", |port| match port {
            3863 => "the registered port of ASAP".into(),
            9901 => "the registered port of ENRP".into(),
            _ => String::new(),
        });
        if let (Some(0), Some(field)) = (port, node.children.last_mut()) {
            field.remark("nobody can be reached on port 0");
        }
        if ty == 0x4 {
            let transport_use = cursor.hex::<2>(node, "transport use", |number| match number {
                0 => "data only".into(),
                1 => "data plus control".into(),
                _ => String::new(),
            });
            if let (Some(2..), Some(field)) = (transport_use, node.children.last_mut()) {
                field.fault("expected 0 (data only) or 1 (data plus control)");
            }
        } else {
            reserved(cursor, node);
        }
        if ty == 0x3 {
            cursor.hex::<4>(node, "service code", |code| {
                let bytes = code.to_be_bytes();
                if bytes.iter().all(u8::is_ascii_graphic) { text(&bytes) } else { String::new() }
            });
        }
        self.parameters(cursor, node);
        let addresses = node.children.iter().filter(|child| child.name.ends_with("Address")).count();
        match (ty, addresses) {
            (0x4, 0) => node.fault("expected one or more addresses"),
            (0x4, _) | (_, 1) => {}
            _ => node.fault(format!("expected exactly one address, not {addresses}")),
        }
    }

    fn pool_element(self, cursor: &mut Cursor<'_>, node: &mut Node) {
        if cursor.hex::<4>(node, "PE identifier", |_| String::new()).is_none()
            || cursor.hex::<4>(node, "home server identifier", server_id).is_none()
        {
            return;
        }
        let offset = cursor.at;
        let Some((life, _)) = cursor.number::<4>(node, "registration life") else { return };
        let life = life.cast_signed();
        let mut field = Node::new(Kind::Field, offset, 4, "registration life").value(Value::Decimal(i64::from(life)));
        field = field.meaning(lifetime(life));
        if life == 0 || life < -1 {
            field.remark("a registrar refuses this: expected a number of seconds, or -1 for ever");
        }
        node.children.push(field);
        self.parameters(cursor, node);
    }

    fn cause(self, code: u16, cursor: &mut Cursor<'_>, node: &mut Node) {
        if cursor.left() == 0 {
            return;
        }
        if self.depth >= MAX_DEPTH {
            return cursor.bytes(node, "data");
        }
        let mut inner = Node::new(Kind::Cause, node.offset, node.length, node.name.clone());
        match code {
            0x1 | 0x3 | 0x5 | 0x7 => self.parameters(cursor, &mut inner),
            0x2 => {
                let part = &mut cursor.part(cursor.left());
                inner.children.push(self.message(part));
            }
            _ => cursor.bytes(&mut inner, "data"),
        }
        // The data of a cause is not checked: what counts is its code.
        inner.soften();
        node.children = inner.children;
    }
}

fn name_flags(field: &mut Node, offset: usize, flags: u8, known: &[names::Flag]) {
    let mut rest = flags;
    for (mask, letter, meaning) in known {
        rest &= !mask;
        let set = flags & mask != 0;
        let node = Node::new(Kind::Flag, offset, 1, *letter).value(Value::Decimal(i64::from(set)));
        field.children.push(node.meaning(if set { (*meaning).to_owned() } else { format!("not: {meaning}") }));
    }
    if rest != 0 {
        field.remark(format!("bits {rest:#04x} have no meaning; receivers ignore them"));
    }
}

/// The padding after an item of `length` bytes, within `counted_in` if that is a parameter or message.
fn padding(cursor: &mut Cursor<'_>, length: usize, parent: &mut Node, counted_in: Option<String>) {
    let wanted = length.wrapping_neg() & 3;
    let offset = cursor.at;
    let bytes = cursor.take(wanted.min(cursor.left())).unwrap_or(&[]);
    if bytes.is_empty() {
        return;
    }
    let mut node = Node::new(Kind::Padding, offset, bytes.len(), "padding").value(Value::Text(hex(bytes)));
    if bytes.iter().any(|byte| *byte != 0) {
        node.remark("senders pad with zeros (RFC 5354, 2)");
    }
    if let Some(outer) = counted_in.filter(|_| cursor.left() == 0) {
        node.remark(format!("the length of {outer} should not count its last padding (RFC 5354, 2)"));
    }
    parent.children.push(node);
}

fn reserved(cursor: &mut Cursor<'_>, node: &mut Node) {
    let number = cursor.hex::<2>(node, "reserved", |_| String::new());
    if let (Some(1..), Some(field)) = (number, node.children.last_mut()) {
        field.remark("senders write 0, receivers ignore it");
    }
}

fn address(ty: u16, cursor: &mut Cursor<'_>, node: &mut Node) {
    let (offset, bytes) = (cursor.at, cursor.rest());
    let address = match ty {
        0x1 => <[u8; 4]>::try_from(bytes).ok().map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
        _ => <[u8; 16]>::try_from(bytes).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets))),
    };
    let text = address.map_or_else(|| hex(bytes), |address| address.to_string());
    let mut field = Node::new(Kind::Field, offset, bytes.len(), "address").value(Value::Text(text));
    match address {
        None => field.fault(format!("expected {} bytes, not {}", if ty == 0x1 { 4 } else { 16 }, bytes.len())),
        Some(address) if address.is_unspecified() || address.is_multicast() => {
            field.remark("no address that one can connect to");
        }
        Some(_) => {}
    }
    node.children.push(field);
}

fn pool_handle(cursor: &mut Cursor<'_>, node: &mut Node) {
    let (offset, bytes) = (cursor.at, cursor.rest());
    match PoolHandle::new(bytes) {
        None => node.fault("expected a handle of at least one byte"),
        Some(handle) => {
            let field = Node::new(Kind::Field, offset, bytes.len(), "handle");
            node.children.push(field.value(Value::Text(format!("\"{handle}\""))));
        }
    }
}

fn policy(cursor: &mut Cursor<'_>, node: &mut Node) {
    let ty = cursor.hex::<4>(node, "policy type", |ty| match names::policy(ty) {
        Some((name, _)) => name.into(),
        None => {
            let range = if ty & 0x8000_0000 != 0 { "private" } else { "unassigned" };
            let adaptive = if ty & 0x4000_0000 != 0 { "adaptive" } else { "non-adaptive" };
            format!("{range}, {adaptive}")
        }
    });
    match ty {
        None => {}
        Some(0 | 0x4000_0000) => {
            if let Some(field) = node.children.last_mut() {
                field.fault("this number is reserved (RFC 5356, 7.1)");
            }
        }
        Some(ty) => match names::policy(ty) {
            Some((name, values)) => {
                let (expected, found) = (4 * values.len(), cursor.left());
                if expected != found {
                    node.fault(format!("{name} has {expected} bytes after its type, not {found}"));
                    if found > 0 {
                        cursor.bytes(node, "values");
                    }
                    return;
                }
                for value in values {
                    match *value {
                        "load" | "load degradation" => cursor.hex::<4>(node, value, percent),
                        "weight" => cursor.decimal::<4>(node, value, |weight| match weight {
                            0 => "no service".into(),
                            _ => String::new(),
                        }),
                        _ => cursor.decimal::<4>(node, value, |_| String::new()),
                    };
                }
            }
            None if cursor.left() > 0 => cursor.bytes(node, "values"),
            None => {}
        },
    }
}

fn percent(load: u32) -> String {
    format!("{:.2} %", f64::from(load) / f64::from(u32::MAX) * 100.0)
}

fn server_id(id: u32) -> String {
    if id == 0 { "none in particular".into() } else { String::new() }
}

fn lifetime(life: i32) -> String {
    match u64::try_from(life) {
        Err(_) if life == -1 => "for ever".into(),
        Err(_) => String::new(),
        Ok(secs) if secs >= 1000 => {
            let (long, short) = (Duration::from_secs(secs), Duration::from_millis(secs));
            format!("seconds, {}; or {short:?} from rsplib, which counts milliseconds", human(long))
        }
        Ok(_) => "seconds".into(),
    }
}

fn human(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        172_800.. => format!("{} days", secs / 86_400),
        7_200.. => format!("{} h", secs / 3_600),
        _ => format!("{} min", secs / 60),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn text(bytes: &[u8]) -> String {
    PoolHandle::new(bytes).map_or_else(String::new, |bytes| format!("\"{bytes}\""))
}

fn count(bytes: usize) -> String {
    if bytes == 1 { "1 byte".into() } else { format!("{bytes} bytes") }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
