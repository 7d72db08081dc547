//! How long the protocol may take: sums of its thresholds, and of what the network takes. Each bound holds from the last
//! fault on; nothing is promised while something is broken.

use std::time::Duration;

use super::scenario::Scenario;

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// A message between two hosts.
    pub delay: Duration,
    /// RFC 5353, 3.4.3: a peer that is silent counts as dead after MAX-TIME-LAST-HEARD and MAX-TIME-NO-RESPONSE; one whose
    /// association is lost, after MAX-TIME-NO-RESPONSE.
    pub detect: Duration,
    /// RFC 5353, 3.5: one takeover whose registrars are all alive: detection, a start within 10 % of MAX-TIME-NO-RESPONSE,
    /// the announcement and the answer.
    pub one_takeover: Duration,
    /// All takeovers, whoever died when. Each may wait for another one to end (MAX-TIME-NO-RESPONSE) and for an
    /// acknowledgement of one that is dead, too (twice that); and once the initiator may have died over it, which the
    /// others wait out for MAX-TIME-LAST-HEARD before they count the target as dead again.
    pub takeovers: Duration,
    /// RFC 5353, 3.5.2, step 2: the elements are dialled and asked. What does not answer within the keep-alive's timeout
    /// (once for the attempt, once for the answer) is removed.
    pub rehome: Duration,
    /// RFC 5352, 3.5: an element that is dead is asked within 1.5 keep-alive intervals and has the timeout to answer, or
    /// its association's loss is noticed; then there is the grace.
    pub unreachable: Duration,
    /// RFC 5353, 3.6: after a connection is made again, or a presence has told of a difference, the copy is read anew:
    /// redialling (at most a heartbeat apart), PEER-HEARTBEAT-CYCLE, the interval between two re-synchronisations, and the
    /// pages, each with its answer. Once more, since a request can fail.
    pub audit: Duration,
    /// RFC 5352, 3.1, 3.6: an element that is not registered and does not know it finds out by its next re-registration
    /// (T4), waits for T2 as often as it may, and hunts: T5 up to RETRAN-MAX, for each three registrars that it knows.
    pub register: Duration,
    /// After that long every rule about the whole holds.
    pub settled: Duration,
    /// How long an element that is gone may still be in a handlespace.
    pub gone: Duration,
    /// How long it may still be handed out: until the user's association to a registrar that has vanished breaks, after a
    /// heartbeat of the transport and its timeout; then there is the user's cache, and the request that renews it.
    pub served: Duration,
}

impl Scenario {
    pub fn bounds(&self) -> Bounds {
        let enrp = &self.registrar.enrp;
        let n = self.registrars as u32;
        let (mtlh, mtnr) = (enrp.max_time_last_heard, enrp.max_time_no_response);
        let delay = self.net.delay();
        let detect = mtlh + mtnr + delay * 2;
        let one_takeover = detect + mtnr / 10 + delay * 2;
        // Each of them may have lived twice: as the one that died and as the one that came back.
        let takeovers = detect + (mtnr * 3 + mtnr / 10 + delay * 4) * n * 2 + mtlh + mtnr * 2;
        let rehome = self.registrar.keep_alive_timeout * 2 + self.net.connect_timeout + delay * 4;
        let unreachable = self.registrar.keep_alive_interval * 3 / 2
            + self.registrar.keep_alive_timeout
            + self.registrar.lost_association_grace
            + self.net.transport_timeout
            + delay * 2;
        let pages = (self.most_elements() as u32).div_ceil((enrp.table_page_len as u32 / 100).max(1)) + 1;
        let transfer = delay * 2 * pages;
        let redial = enrp.peer_heartbeat_cycle + self.net.connect_timeout;
        let audit = redial + (enrp.peer_heartbeat_cycle + enrp.resync_interval + mtnr * 2 + transfer) * 2;
        let t4 = self.endpoint.t4_reregistration.min(self.lifetime);
        let known = n.div_ceil(3);
        let start = (mtnr * 3 + enrp.mentor_retry * 2) * (enrp.mentor_rounds + n) + transfer + enrp.mentor_discovery;
        let register = t4
            + self.endpoint.t2_registration * (self.endpoint.max_reg_attempt + 1)
            + self.endpoint.retran_max * 2 * (known + 1)
            + self.net.heartbeat
            + self.net.transport_timeout
            + start;
        let gone = takeovers + rehome + unreachable + audit;
        let settled = takeovers + rehome + unreachable + audit + register;
        let served = gone
            + self.net.heartbeat
            + self.net.transport_timeout
            + self.endpoint.stale_cache_value
            + self.endpoint.t1_enrp_request
            + delay * 2;
        Bounds { delay, detect, one_takeover, takeovers, rehome, unreachable, audit, register, settled, gone, served }
    }
}
