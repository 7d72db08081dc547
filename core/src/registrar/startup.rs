//! The start of a registrar (RFC 5353, 3.2): it finds a mentor, learns of its peers and copies the handlespace.

use super::peers::{Owed, PeerState, addresses_of};
use super::{Registrar, RegistrarEvent};
use crate::arena::Idx;
use crate::wire::enrp::ListResponse;
use crate::{Instant, RecvError, ServerId};

/// How far the start has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Startup {
    step: Step,
    /// How often all mentors were asked in vain.
    rounds: u32,
    /// The greatest identifier of those that refused in this round; they live, and may be starting as well.
    refused_by: ServerId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing has happened yet.
    Begin,
    /// Waits for somebody to be heard by multicast.
    Discovering {
        until: Instant,
    },
    /// Waits for an association with the mentor and for its first words.
    Meeting {
        mentor: Idx,
        until: Instant,
    },
    /// Waits for the list of peers (3.2.2.2).
    Listing {
        mentor: Idx,
        until: Instant,
    },
    /// Copies the handlespace (3.2.3), which `audit.rs` does.
    Downloading {
        mentor: Idx,
    },
    /// Waits before the mentors are asked again.
    Pausing {
        until: Instant,
    },
    Serving,
}

impl Startup {
    pub(super) const NEW: Startup = Startup { step: Step::Begin, rounds: 0, refused_by: ServerId::NONE };

    pub(super) fn is_serving(&self) -> bool {
        self.step == Step::Serving
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.step {
            Step::Discovering { until }
            | Step::Meeting { until, .. }
            | Step::Listing { until, .. }
            | Step::Pausing { until } => Some(until),
            Step::Begin | Step::Downloading { .. } | Step::Serving => None,
        }
    }

    fn mentor(&self) -> Idx {
        match self.step {
            Step::Meeting { mentor, .. } | Step::Listing { mentor, .. } | Step::Downloading { mentor } => mentor,
            Step::Begin | Step::Discovering { .. } | Step::Pausing { .. } | Step::Serving => Idx::NIL,
        }
    }

    /// The mentor has another place in the peer list.
    pub(super) fn moved(&mut self, from: Idx, to: Idx) {
        match &mut self.step {
            Step::Meeting { mentor, .. } | Step::Listing { mentor, .. } | Step::Downloading { mentor }
                if *mentor == from =>
            {
                *mentor = to;
            }
            _ => {}
        }
    }
}

impl Registrar<'_> {
    /// 3.2.2.1. Called with the first input or poll, when the peers are configured.
    pub(super) fn begin(&mut self) {
        if self.startup.step != Step::Begin {
            return;
        }
        if self.config.enrp.multicast {
            // Whoever hears this turns to us; by multicast peers are also found later.
            self.announce_presence();
            self.start_heartbeat();
        }
        if self.peers.any(|peer| peer.configured) {
            self.next_mentor();
        } else if self.config.enrp.multicast {
            self.startup.step = Step::Discovering { until: self.now + self.config.enrp.mentor_discovery };
            self.wake(self.now);
        } else {
            // "it is alone in the operational scope, and ... MUST consider its initialization completed".
            self.startup.step = Step::Serving;
        }
    }

    /// Whether all that a user can ask for is known.
    pub fn is_serving(&self) -> bool {
        self.startup.is_serving()
    }

    fn next_mentor(&mut self) {
        let untried =
            |peer: &super::peers::PeerSlot| !peer.tried && (peer.assoc.is_some() || peer.transport().is_some());
        let count = self.peers.iter().filter(|at| untried(self.peers.at(*at))).count();
        if count == 0 {
            return self.no_mentor_left();
        }
        let nth = usize::try_from(self.rng.below(count as u64)).unwrap_or(0);
        let Some(mentor) = self.peers.iter().filter(|at| untried(self.peers.at(*at))).nth(nth) else { return };
        let until = self.now + self.config.enrp.no_response();
        let now = self.now;
        let peer = self.peers.at_mut(mentor);
        peer.tried = true;
        peer.dial_at = now;
        self.startup.step = Step::Meeting { mentor, until };
        self.mentor_heard(mentor);
        self.wake(now);
    }

    /// All were asked. If none of them lives there is nobody to wait for. If they are starting, too, the one with the
    /// greatest identifier begins, or all would wait for each other; the others ask it in the next round.
    fn no_mentor_left(&mut self) {
        self.startup.rounds = self.startup.rounds.saturating_add(1);
        let refused_by = core::mem::take(&mut self.startup.refused_by);
        if self.id > refused_by || self.startup.rounds >= self.config.enrp.mentor_rounds {
            return self.serve(None);
        }
        // 3.2.2.2: "SHOULD either wait for a few seconds and re-send".
        let until = self.now + self.rng.jitter(self.config.enrp.mentor_retry, 25);
        self.startup.step = Step::Pausing { until };
        self.wake(until);
    }

    fn serve(&mut self, mentor: Option<ServerId>) {
        self.startup.step = Step::Serving;
        match mentor {
            Some(mentor) => info!("serving, with the handlespace of {}", mentor),
            None => info!("serving, without a mentor"),
        }
        self.events.push(RegistrarEvent::Serving { mentor });
        // Peers that wait for a mentor hear of this one.
        self.announce_presence();
    }

    pub(super) fn poll_startup(&mut self, now: Instant) {
        match self.startup.step {
            Step::Discovering { until } if until <= now => self.next_mentor(),
            Step::Pausing { until } if until <= now => {
                self.peers.for_each(|_, peer| peer.tried = false);
                self.next_mentor();
            }
            // "abandon the interaction with the current mentor server and send a new server list request to a backup".
            Step::Meeting { until, .. } | Step::Listing { until, .. } if until <= now => self.next_mentor(),
            _ => {}
        }
    }

    /// A peer has spoken, by a presence among others.
    pub(super) fn mentor_heard(&mut self, from: Idx) {
        match self.startup.step {
            Step::Meeting { mentor, .. } if mentor == from => {
                let peer = self.peers.at(from);
                if peer.assoc.is_some() && peer.state == PeerState::Active {
                    self.owe(from, Owed::LIST_REQUEST);
                    let until = self.now + self.config.enrp.no_response();
                    self.startup.step = Step::Listing { mentor, until };
                    self.wake(until);
                }
            }
            // Somebody is there; and in a pause, it may be one that serves by now.
            Step::Discovering { .. } if self.peers.at(from).assoc.is_some() => self.next_mentor(),
            Step::Pausing { until } => {
                self.startup.step = Step::Pausing { until: until.min(self.now) };
                self.wake(self.now);
            }
            _ => {}
        }
    }

    /// The mentor could not be reached, does not answer, or is lost.
    pub(super) fn mentor_failed(&mut self, at: Idx) {
        if at.is_some() && self.startup.mentor() == at {
            self.next_mentor();
        }
    }

    /// The mentor will not, since it is starting itself for instance.
    pub(super) fn mentor_refused(&mut self, at: Idx) {
        if at.is_some() && self.startup.mentor() == at {
            let id = self.peers.at(at).id;
            self.startup.refused_by = self.startup.refused_by.max(id);
            self.next_mentor();
        }
    }

    /// ENRP_LIST_RESPONSE.
    pub(super) fn list_response(&mut self, from: Idx, message: &ListResponse<'_>) -> Result<(), RecvError> {
        let Step::Listing { mentor, .. } = self.startup.step else { return Err(RecvError::Unexpected) };
        if mentor != from {
            return Err(RecvError::Unexpected);
        }
        if message.rejected {
            self.mentor_refused(from);
            return Ok(());
        }
        for server in message.servers.iter() {
            // rsplib lists peers that it has not heard yet, with 0.
            if server.id.is_none() || server.id == self.id {
                continue;
            }
            let found = self.peers.find(server.id);
            let at = if found.is_some() { found } else { self.new_peer(server.id) };
            if at.is_nil() {
                // The rest of the list is good.
                continue;
            }
            // One at this registrar's own address is what this one was before its restart: a peer that leaves elements
            // behind, but none to be dialled.
            if let Some((link, addresses)) = addresses_of(&server.transport, None)
                && !self.is_own(link, &addresses)
                && self.peers.at(at).transport().is_none()
            {
                self.peers.at_mut(at).set_addresses(link, &addresses);
            }
        }
        self.startup.step = Step::Downloading { mentor };
        self.download(mentor);
        Ok(())
    }

    /// 3.2.3, step 5: the last page has come.
    pub(super) fn downloaded(&mut self, from: Idx) {
        if self.startup.mentor() == from {
            let mentor = self.peers.at(from).id;
            self.serve(Some(mentor));
        }
    }
}
