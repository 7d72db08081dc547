//! SCTP of the system's kernel (RFC 6458).
//!
//! A listener is one one-to-many socket. It takes associations, and those that the machine dials leave from it too, so
//! that peers see the port that they know (RFC 5353 wants that of registrars, and a registrar that takes over dials an
//! element at the port that it registered from). An association that is up is branched off into a descriptor of its own
//! (RFC 6458, 9.2), on the same port: so it can be read, paused, and be slow on its own. On the shared socket one
//! slow peer would fill the buffer of all.

mod assoc;
mod endpoint;
mod messages;
mod socket;

pub(super) use self::assoc::Assoc;
pub(super) use self::endpoint::{Endpoint, Happening};
pub(super) use self::messages::Messages;
pub(crate) use self::socket::associate;
pub use self::socket::{available, host_addresses};
