//! What can go wrong for an application.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::{fmt, io};

use rserpool_core::wire::cause::CauseCode;
use rserpool_core::{RegisterError, ResolveError, Unresolved};

use crate::driver::{HandleError, StartError};

/// Why a call of a pool element, a pool user or a registrar failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A registrar's name cannot be resolved.
    Name {
        /// The name.
        name: String,
        /// Why, if the system says.
        error: Option<io::Error>,
    },
    /// The driver's sockets could not be opened.
    Start(StartError),
    /// A registrar's control socket could not be opened.
    Control {
        /// Its path.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A registrar's peer has no address that can be connected to, or there are more peers than the limits allow.
    Peer {
        /// Its addresses.
        addresses: Vec<SocketAddr>,
    },
    /// The driver has ended.
    Stopped,
    /// No answer came in time.
    TimedOut {
        /// What was waited for.
        waited_for: &'static str,
    },
    /// The pool element cannot be registered as it was described.
    Register(RegisterError),
    /// The registrar refused a registration or deregistration, with this cause code (RFC 5354, 3.12).
    Refused(u16),
    /// The pool handle cannot be resolved.
    Resolve(ResolveError),
    /// No registrar knows the pool, or none answered.
    Unresolved(Unresolved),
    /// No pool element could be reached.
    NoElement {
        /// How many were tried.
        tried: usize,
        /// What happened with the last one.
        last: Option<io::Error>,
    },
    /// The system refused something.
    Io(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Name { name, error: Some(error) } => write!(f, "cannot find the registrar {name:?}: {error}"),
            Error::Name { name, error: None } => write!(f, "the registrar {name:?} has no address"),
            Error::Start(error) => error.fmt(f),
            Error::Control { path, error } => write!(f, "cannot open the control socket {}: {error}", path.display()),
            Error::Peer { addresses } => {
                let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
                write!(f, "cannot have {} as a peer: no address of a host, or too many peers", addresses.join(", "))
            }
            Error::Stopped => f.write_str("the driver has ended"),
            Error::TimedOut { waited_for } => write!(f, "timed out waiting for {waited_for}"),
            Error::Register(error) => error.fmt(f),
            Error::Refused(code) => write!(f, "the registrar refused: {}", CauseCode(*code)),
            Error::Resolve(error) => error.fmt(f),
            Error::Unresolved(why) => write!(f, "the pool cannot be resolved: {why}"),
            Error::NoElement { tried, last: Some(error) } => {
                write!(f, "no pool element could be reached ({tried} tried; the last: {error})")
            }
            Error::NoElement { tried, last: None } => write!(f, "no pool element is usable ({tried} tried)"),
            Error::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Start(error) => Some(error),
            Error::Register(error) => Some(error),
            Error::Resolve(error) => Some(error),
            Error::Io(error)
            | Error::Control { error, .. }
            | Error::Name { error: Some(error), .. }
            | Error::NoElement { last: Some(error), .. } => Some(error),
            _ => None,
        }
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        Error::Start(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}

impl From<HandleError> for Error {
    fn from(_: HandleError) -> Self {
        Error::Stopped
    }
}

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Self {
        Error::Io(io::Error::other(error))
    }
}
