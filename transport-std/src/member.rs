//! A pool element as an application gets it.

use std::fmt;
use std::net::SocketAddr;

use rserpool_core::wire::PoolElementParam;
use rserpool_core::{PeId, ServerId};

/// An element of a pool, with its addresses and the values of its policy.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    id: PeId,
    home: ServerId,
    addresses: Vec<SocketAddr>,
    /// The parameter as the registrar sent it.
    encoded: Box<[u8]>,
}

impl Member {
    pub(crate) fn new(element: &PoolElementParam<'_>) -> Self {
        let mut encoded = vec![0; element.encoded_len()].into_boxed_slice();
        let written = element.emit(&mut encoded).map_or(0, <[u8]>::len);
        debug_assert_eq!(written, encoded.len(), "an element is emitted in its own length");
        Member {
            id: element.id,
            home: element.home,
            addresses: element.user_transport.socket_addrs().collect(),
            encoded,
        }
    }

    /// Its identifier.
    #[must_use]
    pub fn id(&self) -> PeId {
        self.id
    }

    /// Its home registrar.
    #[must_use]
    pub fn home(&self) -> ServerId {
        self.home
    }

    /// Where its service is.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// All that is known of it: transport type, policy and its values, lifetime. `None` never happens for a member that
    /// came from a registrar.
    #[must_use]
    pub fn parameter(&self) -> Option<PoolElementParam<'_>> {
        PoolElementParam::parse(&self.encoded).ok()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("id", &self.id).field("addresses", &self.addresses).finish_non_exhaustive()
    }
}
