//! Why a subcommand failed, and the exit status that says so.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

/// Why a subcommand failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// What was asked for did not come about.
    Failed(String),
    /// The command line is wrong in a way that the parser of arguments cannot see. Say the flag, the value and what is
    /// allowed: see [`Error::value`].
    Usage(String),
    /// The system refused something: say what, and its reason.
    System(String),
    /// Standard output could not be written.
    Output(io::Error),
}

impl Error {
    /// A value that its flag (or argument) does not take.
    pub(crate) fn value(flag: &str, value: &str, allowed: impl Display) -> Self {
        Error::Usage(format!("invalid value '{value}' for '{flag}': {allowed}"))
    }

    /// The system refused to do `what`.
    pub(crate) fn system(what: impl Display, reason: impl Display) -> Self {
        Error::System(format!("cannot {what}: {reason}"))
    }

    /// What went wrong.
    pub(crate) fn text(&self) -> String {
        match self {
            Error::Failed(text) | Error::Usage(text) | Error::System(text) => text.clone(),
            Error::Output(error) => format!("cannot write to standard output: {error}"),
        }
    }

    /// Tells the user and gives the exit status.
    pub(crate) fn report(self) -> ExitCode {
        let (text, status) = match self {
            // The reader has had enough, as `head` does: that is no failure.
            Error::Output(error) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Error::Output(error) => (format!("cannot write to standard output: {error}"), 3),
            Error::Failed(text) => (text, 1),
            Error::Usage(text) => (format!("{text}\n\nFor more information, try '--help'."), 2),
            Error::System(text) => (text, 3),
        };
        // Nobody is left to be told where standard error is closed.
        let _ = io::Write::write_all(&mut io::stderr(), format!("error: {text}\n").as_bytes());
        ExitCode::from(status)
    }
}

/// Of standard output: everything else says what it was about with [`Error::system`].
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Output(error)
    }
}
