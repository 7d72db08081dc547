//! The events that wait for the application.

use arrayvec::ArrayVec;

use crate::role::Role;

/// How many wait. Of more than these only that they were lost is kept.
const EVENTS: usize = 8;

pub(crate) struct Events<M: Role> {
    queue: ArrayVec<M::Event, EVENTS>,
    lost: bool,
}

impl<M: Role> Events<M> {
    pub(crate) const fn new() -> Self {
        Events { queue: ArrayVec::new_const(), lost: false }
    }

    pub(crate) fn push(&mut self, event: M::Event) {
        if self.queue.try_push(event).is_err() {
            self.lost = true;
        }
    }

    pub(crate) fn pop(&mut self) -> Option<M::Event> {
        if let Some(event) = self.queue.pop_at(0) {
            return Some(event);
        }
        core::mem::take(&mut self.lost).then_some(M::EVENTS_LOST)
    }
}
