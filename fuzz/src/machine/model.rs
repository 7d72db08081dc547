//! What a registrar's handlespace must hold, as a table with a few dates: RFC 5352, 3.1 to 3.5, without any procedure.
//!
//! It follows what is granted, and knows who must be listed and who must not. Of a registrar with peers it only knows
//! that answers fit what is listed; who is listed there depends on others, which `pair_ops` looks at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rserpool_core::wire::AsapMessage;
use rserpool_core::wire::asap::{HandleResolution, HandleResolutionResponse, Registration};
use rserpool_core::{AsapRates, AssocId, Destination, Instant, Ppid, RegistrarConfig, RegistrarEvent};

use super::host::Sent;
use super::registrar::{Listed, Space};
use super::world::{Cause, Outcome};
use crate::wire::message::Message;

type Key = (Vec<u8>, u32);

/// A registered element.
#[derive(Clone, Debug)]
struct Entry {
    /// Over which it is registered, as long as that is there.
    assoc: Option<AssocId>,
    /// Over which it was registered when it registered over another one, until it is clear whether somebody is there.
    former: Option<AssocId>,
    /// There were so many disputes that this one may have been given up, or not.
    unclear: bool,
    expires: Option<Instant>,
    /// Its last sign of life.
    alive: Instant,
    /// When it was asked and has not answered since.
    asked: Option<Instant>,
    /// When its association was lost.
    lost: Option<Instant>,
    /// Who has reported it as unreachable, ever.
    reporters: BTreeSet<u32>,
    user_transport: Vec<u8>,
    policy: Vec<u8>,
}

/// How many disputes a registrar remembers at least.
const DISPUTES: usize = 2;
/// And at most.
const MOST_DISPUTES: u32 = 4;

pub struct Model {
    config: RegistrarConfig,
    /// There is nobody else who could change anything.
    alone: bool,
    entries: BTreeMap<Key, Entry>,
    /// What was listed before the step.
    before: Space,
}

impl Model {
    pub fn new(config: RegistrarConfig, alone: bool) -> Self {
        Model { config, alone, entries: BTreeMap::new(), before: Space::new() }
    }

    pub fn step(&mut self, now: Instant, outcome: &Outcome<RegistrarEvent>, listed: &Space) {
        let mut deregistered = None;
        match &outcome.cause {
            Cause::Message { assoc, ppid: Ppid::Asap, bytes, done: Ok(()) } => {
                match AsapMessage::parse(bytes).map(|parsed| parsed.message) {
                    Ok(AsapMessage::Registration(message)) => self.registration(now, *assoc, &message, outcome, listed),
                    Ok(AsapMessage::Deregistration(message)) => {
                        let key = (message.pool_handle.as_bytes().to_vec(), message.id.0);
                        let entry = self.entries.get_mut(&key);
                        let may_fall_back = |entry: &&mut Entry| entry.former.is_some_and(|former| former != *assoc);
                        if let Some(entry) = entry.filter(may_fall_back) {
                            // There is one more to ask.
                            (entry.assoc, entry.former) = (entry.former, None);
                        } else {
                            // 2.2.2: not by proxy, but by whoever comes where the owner's association is gone.
                            let entry = self.entries.get(&key);
                            let may =
                                |entry: &Entry| entry.owners().next().is_none() || entry.owners().any(|o| o == *assoc);
                            deregistered = entry.is_none_or(may).then_some(key);
                        }
                    }
                    Ok(AsapMessage::EndpointKeepAliveAck(message)) => {
                        let key = (message.pool_handle.as_bytes().to_vec(), message.id.0);
                        if let Some(entry) = self.entries.get_mut(&key) {
                            (entry.alive, entry.asked) = (now, None);
                            // It is accepted from where the element is.
                            (entry.assoc, entry.former, entry.unclear) = (Some(*assoc), None, false);
                        }
                    }
                    Ok(AsapMessage::EndpointUnreachable(message)) => {
                        let key = (message.pool_handle.as_bytes().to_vec(), message.id.0);
                        if let Some(entry) = self.entries.get_mut(&key) {
                            entry.reporters.insert(assoc.slot);
                        }
                    }
                    Ok(AsapMessage::HandleResolution(message)) => self.resolution(*assoc, &message, outcome, listed),
                    _ => {}
                }
            }
            Cause::SendFailed(assoc) => self.lost(now, *assoc),
            _ => {}
        }
        for sent in &outcome.sent {
            self.keep_alive_sent(sent);
        }
        for assoc in &outcome.closed {
            self.lost(now, *assoc);
        }
        let timeout = self.config.keep_alive_timeout;
        for entry in self.entries.values_mut() {
            if entry.former.is_some() && !entry.unclear && entry.asked.is_some_and(|asked| asked + timeout <= now) {
                // Nobody has answered there. The other one is to be asked, when the element may be asked again.
                (entry.former, entry.asked, entry.alive) = (None, None, now);
            }
        }
        if self.alone {
            self.compare(now, listed, deregistered);
        }
        self.before.clone_from(listed);
    }

    fn keep_alive_sent(&mut self, sent: &Sent) {
        if let (Destination::Assoc(to), Message::Asap(AsapMessage::EndpointKeepAlive(message))) =
            (sent.to, sent.message())
            && let Some(id) = message.id
            && let Some(entry) = self.entries.get_mut(&(message.pool_handle.as_bytes().to_vec(), id.0))
        {
            if entry.unclear {
                return;
            }
            let known = entry.owners().any(|owner| owner == to);
            assert!(!self.alone || known, "3.5: over the association that it registered over");
            if entry.former.is_some_and(|former| former != to) {
                (entry.former, entry.asked) = (None, None);
            }
            entry.asked.get_or_insert(sent.at);
        }
    }

    fn registration(
        &mut self,
        now: Instant,
        assoc: AssocId,
        message: &Registration<'_>,
        outcome: &Outcome<RegistrarEvent>,
        listed: &Space,
    ) {
        let key = (message.pool_handle.as_bytes().to_vec(), message.element.id.0);
        let answer = answers(outcome, assoc).find_map(|answer| match answer {
            AsapMessage::RegistrationResponse(answer) => Some(answer),
            _ => None,
        });
        let Some(answer) = answer else {
            // The association was closed, so that nobody hears the answer.
            assert!(outcome.closed.contains(&assoc), "3.1: a registration is answered");
            return;
        };
        assert_eq!((answer.pool_handle, answer.id), (message.pool_handle, message.element.id));
        if answer.rejected {
            return;
        }
        let Some(found) = listed.get(&key) else {
            // A peer can have told at the same time that it is not to be.
            assert!(!self.alone, "who is granted is listed: {key:02x?}");
            return;
        };
        let (transport, policy) = (message.element.user_transport, message.element.policy);
        let mut buf = vec![0; transport.encoded_len().max(policy.encoded_len())];
        let user_transport = transport.emit(&mut buf).expect("it was read").to_vec();
        let policy = policy.emit(&mut buf).expect("it was read").to_vec();
        assert_eq!((&found.user_transport, &found.policy), (&user_transport, &policy), "as it was registered");
        if let Some(known) = self.entries.get(&key)
            && self.alone
            && !known.unclear
        {
            let elsewhere = known.assoc.is_some() && known.owners().all(|owner| owner != assoc);
            let same = known.user_transport == user_transport;
            assert!(!elsewhere || same, "RFC 5354, 3.12.5: another element has the identifier");
        }
        let known = self.entries.get(&key);
        let reporters = known.map(|known| known.reporters.clone()).unwrap_or_default();
        let former = known.and_then(|known| known.former.or(known.assoc)).filter(|former| *former != assoc);
        let disputed = known.filter(|known| known.assoc == Some(assoc) && known.former.is_some());
        let asked = disputed.and_then(|known| known.asked);
        let expires = message.element.lifetime.duration().map(|life| now + life);
        if self.alone {
            assert_eq!(found.expires, expires, "for as long as it asked");
        }
        let unclear = known.is_some_and(|known| known.unclear);
        let entry = Entry {
            assoc: Some(assoc),
            former,
            unclear,
            expires,
            alive: now,
            asked,
            lost: None,
            reporters,
            user_transport,
            policy,
        };
        self.entries.insert(key, entry);
        let mut disputes: Vec<_> = self.entries.values_mut().filter(|entry| entry.former.is_some()).collect();
        if disputes.len() > DISPUTES {
            disputes.iter_mut().for_each(|entry| entry.unclear = true);
        }
    }

    /// RFC 5352, 3.3: the answer is of elements that are there, and says so where there is no such pool.
    fn resolution(
        &self,
        assoc: AssocId,
        message: &HandleResolution<'_>,
        outcome: &Outcome<RegistrarEvent>,
        listed: &Space,
    ) {
        let handle = message.pool_handle.as_bytes();
        let answer = answers(outcome, assoc).find_map(|answer| match answer {
            AsapMessage::HandleResolutionResponse(answer) if answer.pool_handle == message.pool_handle => Some(answer),
            _ => None,
        });
        let Some(HandleResolutionResponse { elements, error, .. }) = answer else {
            // No answer could repeat a handle that fills a message by itself.
            let told = |answer: AsapMessage<'_>| matches!(answer, AsapMessage::Error(e) if e.error.code() == Some(0x6));
            let too_long = handle.len() > 65_000 && answers(outcome, assoc).any(told);
            assert!(too_long || outcome.closed.contains(&assoc), "3.3: a resolution is answered");
            return;
        };
        if error.and_then(|error| error.code()) == Some(0x6) {
            let limited = self.config.rates != AsapRates::new();
            assert!(elements.is_empty() && (limited || listed.keys().any(|(pool, _)| pool == handle)), "2.2.6");
            return;
        }
        let exists = listed.keys().any(|(pool, _)| pool == handle);
        let unknown = error.is_some_and(|error| error.code() == Some(0x9));
        assert_eq!(unknown, !exists, "2.2.6: unknown pool handle");
        let most = message.wanted_items.filter(|n| *n != 0).unwrap_or(u32::MAX).min(self.config.max_items);
        let ids: Vec<u32> = elements.iter().map(|element| element.id.0).collect();
        assert!(ids.len() <= most as usize, "not more than were asked for");
        for (at, id) in ids.iter().enumerate() {
            assert!(listed.contains_key(&(handle.to_vec(), *id)), "only those that are there");
            assert!(!ids[..at].contains(id), "each once");
        }
    }

    fn lost(&mut self, now: Instant, assoc: AssocId) {
        for entry in self.entries.values_mut() {
            if entry.unclear {
                continue;
            } else if entry.former == Some(assoc) {
                (entry.former, entry.asked, entry.alive) = (None, None, now);
            } else if entry.assoc == Some(assoc) {
                entry.assoc = entry.former.take();
                if entry.assoc.is_none() {
                    // It has as long to come back as is granted for that, asked or not.
                    (entry.lost, entry.asked) = (Some(now), None);
                }
            }
        }
    }

    /// Who must be listed, and who must not.
    fn compare(&mut self, now: Instant, listed: &Space, deregistered: Option<Key>) {
        for key in listed.keys() {
            assert!(self.entries.contains_key(key), "nobody registered {key:02x?}");
        }
        let config = &self.config;
        self.entries.retain(|key, entry| {
            let overdue = entry.overdue(now, config);
            if entry.unclear {
                return listed.contains_key(key);
            }
            let left = deregistered.as_ref() == Some(key);
            let reported = entry.reporters.len() > usize::from(config.max_bad_pe_report);
            match listed.get(key) {
                Some(found) => {
                    assert!(!left, "3.2: who has deregistered is not listed");
                    assert!(overdue.is_none(), "{key:02x?} is listed, but {overdue:?} at {now:?}: {entry:?}");
                    assert!(found.has(entry), "nobody has changed it: {entry:?}, {found:?}");
                    // 3.5: who says nothing is asked, 50 per cent later than the interval at most.
                    let asked_by = entry.alive + config.keep_alive_interval * 3 / 2;
                    let asked = entry.asked.is_some() || entry.assoc.is_none() || now <= asked_by;
                    assert!(asked, "{key:02x?} has not been asked: {entry:?} at {now:?}");
                    true
                }
                None => {
                    let gone = left || overdue.is_some() || reported;
                    assert!(gone, "{key:02x?} is not listed any more, at {now:?}: {entry:?}");
                    false
                }
            }
        });
        for (assoc, count) in self.per_association() {
            // What was disputed comes back, whatever was registered meanwhile.
            assert!(count <= config_limit(&self.config) + MOST_DISPUTES, "{count} elements over {assoc}");
        }
    }

    fn per_association(&self) -> BTreeMap<AssocId, u32> {
        let mut counts = BTreeMap::new();
        for assoc in self.entries.values().filter(|entry| !entry.unclear).filter_map(|entry| entry.assoc) {
            *counts.entry(assoc).or_insert(0) += 1;
        }
        counts
    }
}

fn config_limit(config: &RegistrarConfig) -> u32 {
    config.max_elements_per_association
}

impl Entry {
    /// Who may speak for it.
    fn owners(&self) -> impl Iterator<Item = AssocId> {
        self.assoc.into_iter().chain(self.former)
    }

    /// Why it must not be listed any more.
    fn overdue(&self, now: Instant, config: &RegistrarConfig) -> Option<&'static str> {
        let after = |since: Option<Instant>, time: Duration| since.is_some_and(|at| at + time <= now);
        if after(self.expires, Duration::ZERO) {
            Some("its registration is over")
        } else if after(self.lost, config.lost_association_grace) {
            Some("its association is lost")
        } else if self.former.is_none() && after(self.asked, config.keep_alive_timeout) {
            Some("it has not answered")
        } else {
            None
        }
    }
}

impl Listed {
    fn has(&self, entry: &Entry) -> bool {
        (&self.user_transport, &self.policy, self.expires) == (&entry.user_transport, &entry.policy, entry.expires)
    }
}

/// What an association was told.
fn answers<E>(outcome: &Outcome<E>, assoc: AssocId) -> impl Iterator<Item = AsapMessage<'_>> {
    outcome.sent.iter().filter(move |sent| sent.to == Destination::Assoc(assoc)).filter_map(|sent| {
        match sent.message() {
            Message::Asap(message) => Some(message),
            Message::Enrp(_) => None,
        }
    })
}
