//! What a registrar can be told.

use core::net::SocketAddr;
use core::time::Duration;

use arrayvec::ArrayVec;

use super::rates::{AsapRates, EnrpRates};
use crate::compat::Compat;
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
    /// The least time between two keep-alives to one pool element, whoever reports it or claims it how often (RFC 5355,
    /// 2.14.3). 1 s, and never more than half of `keep_alive_interval`.
    pub keep_alive_gap: Duration,
    /// How long an element stays registered after its association is gone without a deregistration, for it to come
    /// back. 0 s: the loss of the association is a failure to send (RFC 5352, 3.5).
    pub lost_association_grace: Duration,
    /// MAX-BAD-PE-REPORT: by how many pool users an element may be reported as unreachable, and stay if it answers. One that
    /// reports it again counts once, until the element has registered again. 3; from 16 on it stays, however many they are.
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
    /// How often one association may ask.
    pub rates: AsapRates,
    /// What concerns the other registrars.
    pub enrp: EnrpConfig,
}

/// The timers, thresholds and limits of a registrar towards its peers (RFC 5353, 4.2), with the RFC's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrpConfig {
    /// Where peers find this registrar: its Server Information. All entries have the same link and port; on TCP there is
    /// one. An unspecified address (0.0.0.0 or ::) stands for the source of what a peer receives. Without any, peers
    /// cannot dial this registrar; it has to dial them.
    pub transport: ArrayVec<(Link, SocketAddr), MAX_ANNOUNCED>,
    /// PEER-HEARTBEAT-CYCLE: how often peers are told that this registrar is there, up to 10 % earlier. 30 s.
    pub peer_heartbeat_cycle: Duration,
    /// MAX-TIME-LAST-HEARD: after this time of silence a peer is asked whether it is there. 61 s.
    pub max_time_last_heard: Duration,
    /// MAX-TIME-NO-RESPONSE: how long an answer may take, whether to a presence, to a request for the list or the table,
    /// or to an announced takeover; also, how long a peer whose association is lost may take to come back. 5 s.
    pub max_time_no_response: Duration,
    /// Whether presences go to the multicast channel of ENRP as well, and peers are found by theirs. No.
    pub multicast: bool,
    /// How long to look for a mentor by multicast at the start, where no peer is configured. 2 s.
    pub mentor_discovery: Duration,
    /// How long to wait after all mentors have refused, before they are asked again (RFC 5353, 3.2.2.2). 2 s.
    pub mentor_retry: Duration,
    /// How often the mentors are gone through before this registrar starts without one. 4.
    pub mentor_rounds: u32,
    /// How many bytes one page of a handle table has at most; a longer one only if a single element needs it. 8,192.
    pub table_page_len: usize,
    /// The least time between two re-synchronisations with one peer (RFC 5353, 3.6.3). 5 s.
    pub resync_interval: Duration,
    /// How long [`leave`](super::Registrar::leave) waits for the elements to move. 5 s.
    pub leave_timeout: Duration,
    /// How often one association of a peer may ask.
    pub rates: EnrpRates,
    /// How peers and elements that follow rsplib instead of the RFCs are treated. [`Compat::Auto`].
    pub compat: Compat,
}

impl EnrpConfig {
    /// The defaults.
    pub const fn new() -> Self {
        EnrpConfig {
            transport: ArrayVec::new_const(),
            peer_heartbeat_cycle: Duration::from_secs(30),
            max_time_last_heard: Duration::from_secs(61),
            max_time_no_response: Duration::from_secs(5),
            multicast: false,
            mentor_discovery: Duration::from_secs(2),
            mentor_retry: Duration::from_secs(2),
            mentor_rounds: 4,
            table_page_len: 8192,
            resync_interval: Duration::from_secs(5),
            leave_timeout: Duration::from_secs(5),
            rates: EnrpRates::new(),
            compat: Compat::Auto,
        }
    }

    /// MAX-TIME-NO-RESPONSE, and not nothing, or a drain would not end.
    pub(super) fn no_response(&self) -> Duration {
        self.max_time_no_response.max(Duration::from_millis(1))
    }
}

impl Default for EnrpConfig {
    fn default() -> Self {
        Self::new()
    }
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
            keep_alive_gap: Duration::from_secs(1),
            lost_association_grace: Duration::ZERO,
            max_bad_pe_report: 3,
            max_items: 128,
            update_delay: Duration::from_millis(20),
            register_over_tcp: true,
            max_elements_per_association: 4096,
            max_subscriptions_per_association: 256,
            rates: AsapRates::new(),
            enrp: EnrpConfig::new(),
        }
    }
}

impl Default for RegistrarConfig {
    fn default() -> Self {
        Self::new()
    }
}
