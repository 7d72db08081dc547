//! What a message consists of, as a tree, and how it is shown.

use std::fmt;
use std::io::{self, Write};
use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};

use crate::output::Paint;

/// What a [`Node`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Message,
    Parameter,
    Cause,
    Field,
    Flag,
    Padding,
}

/// A value as it stands on the wire.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Decimal(i64),
    /// With so many digits.
    Hex(u32, usize),
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Decimal(number) => write!(f, "{number}"),
            Value::Hex(number, digits) => write!(f, "0x{number:0digits$x}"),
            Value::Text(text) => f.write_str(text),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Decimal(number) => serializer.serialize_i64(*number),
            Value::Hex(number, _) => serializer.serialize_u32(*number),
            Value::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// A field, a parameter or a message.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Of its first byte, within the whole message.
    pub(super) offset: usize,
    /// How many bytes it takes, header included.
    pub(super) length: usize,
    pub(super) name: String,
    /// The type of a parameter, the code of a cause, the type of a message, the value of a field.
    pub(super) value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) meaning: Option<String>,
    /// What is unusual but not wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) note: Option<String>,
    /// What is wrong, and what is expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) children: Vec<Node>,
}

impl Node {
    pub(super) fn new(kind: Kind, offset: usize, length: usize, name: impl Into<String>) -> Self {
        let name = name.into();
        Node { kind, offset, length, name, value: None, meaning: None, note: None, error: None, children: Vec::new() }
    }

    pub(super) fn value(mut self, value: Value) -> Self {
        self.value = Some(value);
        self
    }

    pub(super) fn meaning(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = Some(meaning.into()).filter(|meaning| !meaning.is_empty());
        self
    }

    /// Adds what is wrong; the first one counts.
    pub(super) fn fault(&mut self, error: impl Into<String>) {
        self.error.get_or_insert(error.into());
    }

    /// Adds what is unusual.
    pub(super) fn remark(&mut self, note: impl Into<String>) {
        self.note.get_or_insert(note.into());
    }

    /// Turns what is wrong into something unusual: within what nobody checks.
    pub(super) fn soften(&mut self) {
        if let Some(error) = self.error.take() {
            self.note.get_or_insert(error);
        }
        self.children.iter_mut().for_each(Node::soften);
    }

    /// The first error of the tree, in the order of the bytes, among the nodes that begin in `within`.
    pub(super) fn first_error(&self, within: &RangeInclusive<usize>) -> Option<(&Node, &str)> {
        let own = self.error.as_deref().filter(|_| within.contains(&self.offset)).map(|error| (self, error));
        // What is wrong deeper is said more precisely.
        self.children.iter().find_map(|child| child.first_error(within)).or(own)
    }

    /// The innermost message, parameter or cause that holds the byte at `offset`, and the names on the way to it.
    pub(super) fn at(&mut self, offset: usize, path: &mut Vec<String>) -> &mut Node {
        path.push(self.name.clone());
        let inside = self.children.iter().position(|child| {
            let end = child.offset.saturating_add(child.length.max(1));
            matches!(child.kind, Kind::Message | Kind::Parameter | Kind::Cause) && (child.offset..end).contains(&offset)
        });
        match inside {
            Some(index) => self.children[index].at(offset, path),
            None => self,
        }
    }

    /// Writes the tree, a line per node.
    pub(super) fn write(&self, out: &mut impl Write, paint: Paint) -> io::Result<()> {
        self.write_at(out, paint, 0)
    }

    fn write_at(&self, out: &mut impl Write, paint: Paint, depth: usize) -> io::Result<()> {
        let name = format!("{:indent$}{}", "", self.name, indent = 2 * depth);
        write!(out, "{:>5}  ", paint.dim(self.offset))?;
        match self.kind {
            Kind::Message | Kind::Parameter | Kind::Cause => write!(out, "{:<38}", paint.bold(name))?,
            Kind::Padding => write!(out, "{:<38}", paint.dim(name))?,
            Kind::Field | Kind::Flag => write!(out, "{name:<38}")?,
        }
        if let Some(value) = &self.value {
            write!(out, "  {value}")?;
        }
        match self.kind {
            Kind::Message | Kind::Parameter | Kind::Cause => {
                write!(out, "  {}", paint.dim(format_args!("{} bytes", self.length)))?;
            }
            Kind::Field | Kind::Flag | Kind::Padding => {}
        }
        if let Some(meaning) = &self.meaning {
            write!(out, "  {meaning}")?;
        }
        if let Some(note) = &self.note {
            write!(out, "  {}", paint.warn(format_args!("~ {note}")))?;
        }
        if let Some(error) = &self.error {
            write!(out, "  {}", paint.bad(format_args!("! {error}")))?;
        }
        writeln!(out)?;
        self.children.iter().try_for_each(|child| child.write_at(out, paint, depth + 1))
    }
}
