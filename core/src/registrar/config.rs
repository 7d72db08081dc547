//! What a registrar can be told.

use core::net::SocketAddr;
use core::time::Duration;

use arrayvec::ArrayVec;

use crate::{Link, ServerId};

/// How many addresses a registrar announces at most.
pub const MAX_ANNOUNCED: usize = 4;

/// The timers, thresholds and limits of a registrar. The defaults are the RFCs', where they have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrarConfig {
    /// The identifier; [`ServerId::NONE`] for a random one (RFC 5353, 3.2.1).
    pub id: ServerId,
    /// T6-Serverannounce: with N other registrars about, an announcement is sent every (N + 1) * T6. 1 s.
    pub t6_server_announce: Duration,
    /// T7-ENRPoutdate: after this time without an announcement another registrar is not counted any more. 5 s.
    pub t7_enrp_outdate: Duration,
    /// Whether announcements are sent to the multicast channel. No.
    pub announce: bool,
    /// What is announced. Without any, receivers take the datagram's source for an SCTP address.
    pub announced: ArrayVec<(Link, SocketAddr), MAX_ANNOUNCED>,
    /// How long after its last sign of life a pool element gets a keep-alive, +-50 % (RFC 5352, 3.5). 30 s;
    /// [`Duration::MAX`] for never.
    pub keep_alive_interval: Duration,
    /// How long an acknowledgement may take before the element counts as unreachable. 5 s.
    pub keep_alive_timeout: Duration,
    /// How long an element stays registered after its association is gone without a deregistration, for it to come
    /// back. 0 s: the loss of the association is a failure to send (RFC 5352, 3.5).
    pub lost_association_grace: Duration,
    /// MAX-BAD-PE-REPORT: how many reports of unreachability an element survives. 3.
    pub max_bad_pe_report: u16,
    /// How many elements an answer holds at most, unless the user asks for less. 128.
    pub max_items: u32,
    /// How long changes of a pool are gathered before its subscribers are told. 20 ms.
    pub update_delay: Duration,
    /// Whether pool elements may register over TCP: an extension, RFC 5352, 2.1 wants SCTP. Yes.
    pub register_over_tcp: bool,
    /// How many elements may be registered over one association. 4,096.
    pub max_elements_per_association: u32,
    /// How many pools one association may subscribe to. 256.
    pub max_subscriptions_per_association: u32,
}

impl RegistrarConfig {
    /// The defaults.
    pub const fn new() -> Self {
        RegistrarConfig {
            id: ServerId::NONE,
            t6_server_announce: Duration::from_secs(1),
            t7_enrp_outdate: Duration::from_secs(5),
            announce: false,
            announced: ArrayVec::new_const(),
            keep_alive_interval: Duration::from_secs(30),
            keep_alive_timeout: Duration::from_secs(5),
            lost_association_grace: Duration::ZERO,
            max_bad_pe_report: 3,
            max_items: 128,
            update_delay: Duration::from_millis(20),
            register_over_tcp: true,
            max_elements_per_association: 4096,
            max_subscriptions_per_association: 256,
        }
    }
}

impl Default for RegistrarConfig {
    fn default() -> Self {
        Self::new()
    }
}
