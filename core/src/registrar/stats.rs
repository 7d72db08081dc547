//! What a registrar counts.

/// Counters since the start. They wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RegistrarStats {
    /// Registrations of new elements that were granted.
    pub registrations: u64,
    /// Registrations of known elements that were granted.
    pub reregistrations: u64,
    /// Registrations that were refused.
    pub registrations_rejected: u64,
    /// Deregistrations that were granted.
    pub deregistrations: u64,
    /// Deregistrations that were refused.
    pub deregistrations_rejected: u64,
    /// Handle resolutions that were answered with elements.
    pub resolutions: u64,
    /// Handle resolutions that were refused.
    pub resolutions_rejected: u64,
    /// Registrations that were refused since their association sent too many; they are among those that were refused.
    pub registrations_over_rate: u64,
    /// Handle resolutions that were refused for that; they are among those that were refused.
    pub resolutions_over_rate: u64,
    /// Reports of unreachable elements that were ignored for that; they are among those that came.
    pub unreachable_over_rate: u64,
    /// Error reports that were not sent, since there was too much to report about an association.
    pub errors_over_rate: u64,
    /// Requests for the handle table that were refused since the association sent too many; they are among those refused.
    pub tables_over_rate: u64,
    /// Requests for the list of peers that were refused for that.
    pub lists_over_rate: u64,
    /// Presences, and announcements of a takeover of this registrar, that were not answered for that.
    pub presences_over_rate: u64,
    /// Updates sent to subscribers.
    pub updates: u64,
    /// Reports of unreachable elements.
    pub unreachable_reports: u64,
    /// Keep-alives sent.
    pub keep_alives: u64,
    /// Keep-alives acknowledged.
    pub keep_alive_acks: u64,
    /// Elements removed since their registration was over.
    pub expired: u64,
    /// Elements removed since they did not answer, or their association was lost.
    pub lost: u64,
    /// Elements removed since they were reported too often.
    pub reported: u64,
    /// Announcements sent.
    pub announcements: u64,
    /// Messages that were malformed.
    pub malformed: u64,
    /// Messages that were not expected, or from a peer that has no right to send them.
    pub unexpected: u64,
    /// Error reports sent.
    pub errors: u64,
    /// Presences sent to peers (RFC 5353, 3.4.2), not counting those to the multicast channel.
    pub presences: u64,
    /// Updates of the handlespace sent to peers (RFC 5353, 3.3), one for each peer.
    pub handle_updates: u64,
    /// Pages of handle tables sent (RFC 5353, 3.2.3 and 3.6.3).
    pub table_pages: u64,
    /// Requests for the handle table that were refused.
    pub table_rejections: u64,
    /// Re-synchronisations with a peer that were finished (RFC 5353, 3.6.3).
    pub resynchronisations: u64,
    /// Takeovers that were announced (RFC 5353, 3.5.1).
    pub takeovers_begun: u64,
    /// Takeovers that were carried out (RFC 5353, 3.5.2).
    pub takeovers: u64,
}
