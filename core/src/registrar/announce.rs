//! Server announcements (RFC 5352, 3.6): one every (N + 1) * T6, where N is how many other registrars are heard.

use core::time::Duration;

use arrayvec::ArrayVec;

use super::{Registrar, RegistrarConfig};
use crate::bounded;
use crate::wire::asap::ServerAnnounce;
use crate::wire::{AsapMessage, EmitError, List, Transport};
use crate::{Instant, Link, RecvError, ServerId};

/// How many other registrars are counted at most. With more of them each announces a little too often.
const MAX_HEARD: usize = 16;

#[derive(Debug)]
pub(super) struct Announcer {
    due: Option<Instant>,
    heard: ArrayVec<(ServerId, Instant), MAX_HEARD>,
}

impl Announcer {
    pub(super) fn new(config: &RegistrarConfig, now: Instant) -> Self {
        Announcer { due: config.announce.then_some(now), heard: ArrayVec::new_const() }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Another registrar has announced itself.
    fn heard(&mut self, now: Instant, config: &RegistrarConfig, server: ServerId) {
        self.heard.retain(|(_, until)| *until > now);
        // The others' period grows with their number, as ours does.
        let others = u32::try_from(self.heard.len()).unwrap_or(u32::MAX);
        let until = now
            + config
                .t7_enrp_outdate
                .max(config.t6_server_announce.saturating_mul(others.saturating_add(2)).saturating_mul(2));
        match self.heard.iter_mut().find(|(id, _)| *id == server) {
            Some(entry) => entry.1 = until,
            None => {
                if self.heard.try_push((server, until)).is_err() {
                    debug!("more registrars are heard than are counted");
                }
            }
        }
    }

    fn announced(&mut self, now: Instant, config: &RegistrarConfig) {
        self.heard.retain(|(_, until)| *until > now);
        let others = u32::try_from(self.heard.len()).unwrap_or(u32::MAX);
        // At least a millisecond, so that a T6 of 0 does not make a drain endless.
        let t6 = config.t6_server_announce.max(Duration::from_millis(1));
        self.due = Some(now + t6.saturating_mul(others.saturating_add(1)));
    }
}

impl Registrar<'_> {
    pub(super) fn server_announce(&mut self, message: &ServerAnnounce<'_>) -> Result<(), RecvError> {
        if message.server == self.id {
            // Our own, come back by the loop; or somebody with our identifier.
            return Ok(());
        }
        self.announcer.heard(self.now, &self.config, message.server);
        Ok(())
    }

    pub(super) fn poll_announce(&mut self, now: Instant, buf: &mut [u8]) -> Option<Result<usize, EmitError>> {
        if self.announcer.due.is_none_or(|due| due > now) {
            return None;
        }
        if !self.startup.is_serving() || self.leave.is_leaving() {
            // Nobody shall come now.
            self.announcer.announced(now, &self.config);
            return None;
        }
        let mut ips = ArrayVec::<core::net::IpAddr, { super::MAX_ANNOUNCED }>::new();
        let mut transports = ArrayVec::<Transport<'_>, { super::MAX_ANNOUNCED }>::new();
        let announced = &self.config.announced;
        // One SCTP transport, with all the addresses, and last: rsplib stops reading there.
        let mut port = 0;
        for (_, at) in announced.iter().filter(|(link, _)| *link == Link::Sctp) {
            bounded::push(&mut ips, at.ip());
            port = at.port();
        }
        for (_, at) in announced.iter().filter(|(link, _)| *link == Link::Tcp) {
            bounded::push(&mut transports, Transport::Tcp(*at));
        }
        if !ips.is_empty() {
            bounded::push(&mut transports, Transport::sctp(port, &ips));
        }
        let message = AsapMessage::from(ServerAnnounce { server: self.id, transports: List::new(&transports) });
        let written = message.emit(buf).map(<[u8]>::len);
        if written != Err(EmitError::TooLong) && written.is_err() {
            return Some(written);
        }
        self.announcer.announced(now, &self.config);
        self.stats.announcements = self.stats.announcements.wrapping_add(1);
        Some(written)
    }
}
