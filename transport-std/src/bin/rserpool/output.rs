//! Standard output: buffered, with colours on a terminal only.

use std::fmt::{self, Display};
use std::io::{self, BufWriter, IsTerminal, StdoutLock};

use serde::Serialize;

/// Standard output. Errors of writing are values (`?`): a closed pipe ends the command without a panic.
pub(crate) type Out = BufWriter<StdoutLock<'static>>;

/// Standard output, locked and buffered. Flush it at the end.
pub(crate) fn stdout() -> Out {
    BufWriter::new(io::stdout().lock())
}

/// Writes one line of JSON.
pub(crate) fn json(out: &mut impl io::Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Whether to use colours, and which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    /// Colours where standard output is a terminal and `NO_COLOR` is not set.
    pub(crate) fn stdout() -> Self {
        Paint(io::stdout().is_terminal() && !no_color())
    }

    pub(crate) fn bold<T: Display>(self, text: T) -> Painted<T> {
        self.with("\x1b[1m", text)
    }

    pub(crate) fn dim<T: Display>(self, text: T) -> Painted<T> {
        self.with("\x1b[2m", text)
    }

    pub(crate) fn good<T: Display>(self, text: T) -> Painted<T> {
        self.with("\x1b[32m", text)
    }

    pub(crate) fn bad<T: Display>(self, text: T) -> Painted<T> {
        self.with("\x1b[1;31m", text)
    }

    pub(crate) fn warn<T: Display>(self, text: T) -> Painted<T> {
        self.with("\x1b[33m", text)
    }

    fn with<T: Display>(self, code: &'static str, text: T) -> Painted<T> {
        Painted { code: self.0.then_some(code), text }
    }
}

/// <https://no-color.org>
pub(crate) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// A text in a colour. Widths of a format count its characters only.
#[derive(Debug)]
pub(crate) struct Painted<T> {
    code: Option<&'static str>,
    text: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => {
                f.write_str(code)?;
                self.text.fmt(f)?;
                f.write_str("\x1b[0m")
            }
            None => self.text.fmt(f),
        }
    }
}
