//! Handle resolution (RFC 5352, 3.3 and 3.7.2), the cache in front of it, and reports of failed elements (3.5).
//! Pool users and pool elements both have one.

use core::time::Duration;

use super::cache::{Answer, Cache, Request, Resolution};
use super::event::{ResolveError, SelectError, Unresolved};
use crate::arena::Idx;
use crate::config::EndpointConfig;
use crate::policy::{Candidate, choose};
use crate::rand::Rng;
use crate::rate::Limiter;
use crate::wire::asap::{EndpointUnreachable, HandleResolution, HandleResolutionResponse};
use crate::wire::{AsapMessage, EmitError, PoolElementParam, PoolHandle};
use crate::{AssocId, Instant, PeId, RecvError};

#[derive(Debug)]
pub(crate) struct Resolver<'s> {
    cache: Cache<'s>,
    /// Whether there may be elements with a report to be sent.
    reports: bool,
    report_limit: Limiter,
    /// The earliest time at which something is to be done; may be too early.
    due: Option<Instant>,
    /// How long a request waits for a home registrar: as long as all its attempts would take.
    patience: Duration,
}

/// What happened to a resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Resolved(Resolution),
    Unresolved(Resolution, Unresolved),
    Updated(Resolution),
}

/// What the resolver wants done.
pub(crate) enum Step {
    /// This many bytes of the buffer are a message to the home registrar.
    Send(usize),
    Failed(EmitError),
    Tell(Outcome),
    /// T1-ENRPrequest expired: look for another registrar.
    Hunt,
    /// And so often that the request is given up and the home counts as failed.
    GiveUp(Outcome),
}

impl<'s> Resolver<'s> {
    pub(crate) fn new(cache: Cache<'s>, config: &EndpointConfig) -> Self {
        let patience = config.t1_enrp_request.saturating_mul(config.max_request_retransmit.saturating_add(1));
        Resolver { cache, reports: false, report_limit: Limiter::FULL, due: None, patience }
    }

    pub(crate) fn cache(&self) -> &Cache<'s> {
        &self.cache
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    #[cfg_attr(target_os = "none", inline(never))]
    fn wake_at(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Asks for a pool, unless a good answer is in the cache (C1, C4). `true`: it can be used at once.
    pub(crate) fn resolve(
        &mut self,
        now: Instant,
        config: &EndpointConfig,
        handle: &[u8],
        subscribe: bool,
    ) -> Result<(Resolution, bool), ResolveError> {
        let handle = PoolHandle::new(handle).ok_or(ResolveError::BadHandle)?;
        let request = HandleResolution { subscribe, pool_handle: handle, wanted_items: config.wanted_items };
        let too_long = AsapMessage::from(request).emit(&mut []) == Err(EmitError::TooLong);
        if too_long || !config.compat.asap().takes_handle(handle) {
            return Err(ResolveError::BadHandle);
        }
        let pool = match self.cache.find(handle.as_bytes()) {
            Some(pool) => pool,
            None => self.cache.insert(now, handle)?,
        };
        let entry = self.cache.pools.at_mut(pool);
        entry.used_at = now;
        let newly_subscribed = subscribe && !entry.subscribe;
        entry.subscribe |= subscribe;
        let fresh = matches!(entry.answer, Answer::Positive(until) if until > now);
        let usable = fresh || (config.serve_stale && matches!(entry.answer, Answer::Positive(_)));
        if !fresh || newly_subscribed {
            self.request(now, pool);
        }
        Ok((self.cache.resolution(pool), usable))
    }

    /// A request is to be sent, unless one is under way.
    fn request(&mut self, now: Instant, pool: Idx) {
        self.want(now, pool);
        self.wake_at(now);
    }

    /// The same, where the pool is looked at next.
    fn want(&mut self, now: Instant, pool: Idx) {
        let give_up = now + self.patience;
        let entry = self.cache.pools.at_mut(pool);
        if entry.request == Request::None {
            entry.request = Request::Wanted(give_up);
            entry.attempts = 0;
        }
    }

    /// Ends the wish for updates. There is no message for it: the registrar goes on for the life of the association.
    /// What it sends is ignored, so the answer grows stale.
    pub(crate) fn unsubscribe(&mut self, now: Instant, config: &EndpointConfig, resolution: Resolution) {
        if let Some(pool) = self.cache.pool(resolution) {
            let entry = self.cache.pools.at_mut(pool);
            entry.subscribe = false;
            entry.end_updates(now + config.stale_cache_value);
        }
    }

    /// Cache_Purge_Request (RFC 5352, 6.4).
    pub(crate) fn purge(&mut self, resolution: Resolution) {
        if let Some(pool) = self.cache.pool(resolution) {
            self.cache.remove(pool);
        }
    }

    pub(crate) fn is_pending(&self, resolution: Resolution) -> bool {
        self.cache.pool(resolution).is_some_and(|pool| self.cache.pools.at(pool).request != Request::None)
    }

    /// What the last answer was, unless a request is under way that followed a refusal.
    pub(crate) fn answer(&self, resolution: Resolution) -> Option<Result<(), Unresolved>> {
        let entry = self.cache.pools.at(self.cache.pool(resolution)?);
        match entry.answer {
            Answer::None => None,
            Answer::Positive(_) => Some(Ok(())),
            Answer::Negative(..) if entry.request != Request::None => None,
            Answer::Negative(why, _) => Some(Err(why)),
        }
    }

    /// Hands out an element by the pool's policy (RFC 5352, 6.5.2; RFC 5356).
    pub(crate) fn select(
        &mut self,
        now: Instant,
        config: &EndpointConfig,
        rng: &mut Rng,
        resolution: Resolution,
    ) -> Result<PoolElementParam<'_>, SelectError> {
        let pool = self.cache.pool(resolution).ok_or(SelectError::Unknown)?;
        let entry = self.cache.pools.at_mut(pool);
        entry.used_at = now;
        match entry.answer {
            Answer::None => return Err(SelectError::Pending),
            Answer::Negative(..) if entry.request != Request::None => return Err(SelectError::Pending),
            Answer::Negative(Unresolved::Refused(code), _) => return Err(SelectError::Refused(code)),
            Answer::Negative(Unresolved::NoAnswer, _) => return Err(SelectError::NoAnswer),
            Answer::Positive(until) if until <= now => {
                // C2, C3.
                self.request(now, pool);
                if !config.serve_stale {
                    return Err(SelectError::Pending);
                }
            }
            Answer::Positive(_) => {}
        }
        let policy_type = self.cache.pools.at(pool).policy_type;
        let mut cursor = self.cache.pools.at(pool).cursor;
        let candidates = self.cache.elements_of(pool).map(|e| {
            let element = self.cache.elements.at(e);
            Candidate { policy: element.policy, usable: !element.failed }
        });
        let chosen = choose(policy_type, candidates, &mut cursor, rng);
        self.cache.pools.at_mut(pool).cursor = cursor;
        let element = chosen.and_then(|n| self.cache.elements_of(pool).nth(n));
        let Some(element) = element else {
            self.request(now, pool);
            return Err(SelectError::Exhausted);
        };
        self.cache.elements.at_mut(element).given = true;
        self.cache.view(element).ok_or(SelectError::Unknown)
    }

    /// Transport.Failure (RFC 5352, 6.9.2). Says whether it is one that is reported: the element must have been handed
    /// out, and each time it was handed out counts once. That also limits the reports (RFC 5352, 9.1; RFC 5353, 6.1).
    pub(crate) fn report_failure(&mut self, now: Instant, resolution: Resolution, id: PeId) -> bool {
        let Some(element) = self.cache.pool(resolution).and_then(|pool| self.cache.element_by_id(pool, id)) else {
            return false;
        };
        let element = self.cache.elements.at_mut(element);
        element.failed = true;
        let first = core::mem::take(&mut element.given);
        if first {
            element.report = true;
            self.reports = true;
            self.wake_at(now);
        }
        first
    }

    /// A handle resolution response, or an update, from the home registrar.
    pub(crate) fn response(
        &mut self,
        now: Instant,
        config: &EndpointConfig,
        assoc: AssocId,
        response: &HandleResolutionResponse<'_>,
    ) -> Result<Outcome, RecvError> {
        let pool = self.cache.find(response.pool_handle.as_bytes()).ok_or(RecvError::Unexpected)?;
        let entry = self.cache.pools.at_mut(pool);
        let asked = matches!(entry.request, Request::Sent(_));
        let update = !asked && entry.updates_from == Some(assoc) && entry.subscribe;
        if !asked && !update {
            return Err(RecvError::Unexpected);
        }
        entry.request = Request::None;
        entry.attempts = 0;
        entry.cursor = 0;
        let until = now + config.stale_cache_value;
        if response.accepts_updates {
            entry.updates_from = Some(assoc);
        } else if asked {
            entry.updates_from = None;
        }
        if let Some(error) = &response.error {
            let code = error.code().unwrap_or(0);
            let why = Unresolved::Refused(code);
            entry.answer = Answer::Negative(why, until);
            entry.updates_from = None;
            self.cache.clear(pool);
            self.wake_at(until);
            let resolution = self.cache.resolution(pool);
            return Ok(if asked { Outcome::Unresolved(resolution, why) } else { Outcome::Updated(resolution) });
        }
        let updated = entry.subscribe && entry.updates_from == Some(assoc);
        entry.answer = Answer::Positive(if updated { Instant::MAX } else { until });
        // RFC 5352, 2.2.6: round robin where the policy is not told.
        entry.policy_type = response.policy.map_or(1, |policy| policy.policy_type());
        let subscribed_since = asked && entry.subscribe && !entry.asked_for_updates;
        let lost = self.cache.replace(pool, &response.elements, config.compat.asap());
        if lost > 0 {
            info!("{} pool elements do not fit into the cache", lost);
        }
        if subscribed_since {
            self.request(now, pool);
        } else if !updated {
            self.wake_at(until);
        }
        let resolution = self.cache.resolution(pool);
        Ok(if asked { Outcome::Resolved(resolution) } else { Outcome::Updated(resolution) })
    }

    /// The home registrar is another one, or gone: what was sent to the old one is sent again to the new one, and
    /// subscriptions are renewed (RFC 5352, 2.2.5: registrars do not share them).
    pub(crate) fn home_changed(&mut self, now: Instant, config: &EndpointConfig) {
        let give_up = now + self.patience;
        let mut at = Idx::NIL;
        while let Some(next) = self.cache.pools.after(at) {
            at = next;
            let entry = self.cache.pools.at_mut(at);
            if !entry.in_use {
                continue;
            }
            // It stays usable until the renewal is answered, or the answer is stale.
            entry.end_updates(now + config.stale_cache_value);
            entry.updates_from = None;
            match entry.request {
                Request::None if entry.subscribe => entry.request = Request::Wanted(give_up),
                Request::Sent(_) => entry.request = Request::Wanted(give_up),
                Request::None | Request::Wanted(_) => {}
            }
        }
        self.wake_at(now);
    }

    /// The next thing to do. `home`: whether there is a home registrar to send to.
    pub(crate) fn poll(&mut self, now: Instant, config: &EndpointConfig, home: bool, buf: &mut [u8]) -> Option<Step> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        self.due = None;
        let mut at = Idx::NIL;
        while let Some(next) = self.cache.pools.after(at) {
            at = next;
            if !self.cache.pools.at(at).in_use {
                continue;
            }
            if let Some(step) = self.poll_pool(now, config, home, at, buf) {
                // There may be more to do now.
                self.wake_at(now);
                return Some(step);
            }
        }
        if self.reports && home {
            return self.poll_reports(now, config, buf);
        }
        None
    }

    /// Threat 8 (RFC 5352, 9.1; RFC 5355, 2.13.3): "The number of endpoint unreachable messages ... SHOULD be limited".
    fn poll_reports(&mut self, now: Instant, config: &EndpointConfig, buf: &mut [u8]) -> Option<Step> {
        let rate = config.rates.unreachable_reports;
        if let Some(until) = self.report_limit.wait(rate, now) {
            self.wake_at(until);
            return None;
        }
        let step = self.send_report(buf);
        match step {
            Some(Step::Send(_)) => self.report_limit.spend(rate, now),
            None => self.reports = false,
            _ => {}
        }
        if step.is_some() {
            self.wake_at(now);
        }
        step
    }

    fn poll_pool(
        &mut self,
        now: Instant,
        config: &EndpointConfig,
        home: bool,
        pool: Idx,
        buf: &mut [u8],
    ) -> Option<Step> {
        self.renew_subscription(now, pool);
        let entry = self.cache.pools.at_mut(pool);
        match entry.request {
            Request::Sent(t1) if t1 <= now => {
                entry.attempts = entry.attempts.saturating_add(1);
                if entry.attempts > config.max_request_retransmit {
                    return Some(Step::GiveUp(self.give_up(now, config, pool)));
                }
                // RFC 5352, 3.7.2: the request is sent again; in parallel another registrar is looked for.
                entry.request = Request::Wanted(now + self.patience);
                Some(Step::Hunt)
            }
            Request::Wanted(_) if home => Some(self.send_request(now, config, pool, buf)),
            Request::Wanted(until) if until <= now => Some(Step::Tell(self.give_up(now, config, pool))),
            Request::Sent(at) | Request::Wanted(at) => {
                self.wake_at(at);
                None
            }
            Request::None => None,
        }
    }

    /// Nobody has answered.
    fn give_up(&mut self, now: Instant, config: &EndpointConfig, pool: Idx) -> Outcome {
        let entry = self.cache.pools.at_mut(pool);
        entry.request = Request::None;
        entry.attempts = 0;
        // A subscription asks again then. What was known before is not known to be wrong, only stale.
        let again = now + config.stale_cache_value;
        entry.answer = match entry.answer {
            Answer::Positive(_) if entry.subscribe => Answer::Positive(again),
            Answer::Positive(until) => Answer::Positive(until),
            Answer::None | Answer::Negative(..) => Answer::Negative(Unresolved::NoAnswer, again),
        };
        Outcome::Unresolved(self.cache.resolution(pool), Unresolved::NoAnswer)
    }

    /// A subscription that the registrar does not serve (A = 0, or the pool does not exist) is kept up by asking again.
    fn renew_subscription(&mut self, now: Instant, pool: Idx) {
        let entry = self.cache.pools.at(pool);
        if !entry.subscribe || entry.request != Request::None {
            return;
        }
        match entry.answer {
            Answer::Positive(until) | Answer::Negative(_, until) if until <= now => self.want(now, pool),
            Answer::Positive(until) | Answer::Negative(_, until) if until != Instant::MAX => self.wake_at(until),
            _ => {}
        }
    }

    fn send_request(&mut self, now: Instant, config: &EndpointConfig, pool: Idx, buf: &mut [u8]) -> Step {
        let entry = self.cache.pools.at(pool);
        let subscribe = entry.subscribe;
        // NR1. Without a number of items the answer holds several (RFC 5356, 5.1.3 and 5.3.3).
        let request = PoolHandle::new(self.cache.handle(pool)).map(|pool_handle| HandleResolution {
            subscribe,
            pool_handle,
            wanted_items: config.wanted_items,
        });
        match request.map_or(Err(EmitError::TooLong), |request| AsapMessage::from(request).emit(buf)) {
            Ok(bytes) => {
                let sent = bytes.len();
                // NR4.
                let entry = self.cache.pools.at_mut(pool);
                entry.request = Request::Sent(now + config.t1_enrp_request);
                entry.asked_for_updates = subscribe;
                Step::Send(sent)
            }
            Err(EmitError::TooLong) => Step::Tell(self.give_up(now, config, pool)),
            Err(error) => Step::Failed(error),
        }
    }

    /// RFC 5352, 3.5: one message for each failure that was met.
    fn send_report(&mut self, buf: &mut [u8]) -> Option<Step> {
        let (pool, element) = self.cache.iter().find_map(|pool| {
            self.cache.elements_of(pool).find(|e| self.cache.elements.at(*e).report).map(|element| (pool, element))
        })?;
        let id = self.cache.elements.at(element).id;
        let pool_handle = PoolHandle::new(self.cache.handle(pool))?;
        let emitted = AsapMessage::from(EndpointUnreachable { pool_handle, id }).emit(buf).map(<[u8]>::len);
        if !matches!(emitted, Err(EmitError::BufferTooSmall { .. })) {
            self.cache.elements.at_mut(element).report = false;
        }
        Some(emitted.map_or_else(Step::Failed, Step::Send))
    }
}
