//! The queue of a machine's events.

use arrayvec::ArrayVec;

/// A bounded queue. What does not fit is counted as one loss, which the owner is told of.
#[derive(Debug)]
pub(crate) struct Events<E, const N: usize> {
    queue: ArrayVec<E, N>,
    lost: bool,
}

/// What the queue gives out.
pub(crate) enum Queued<E> {
    Event(E),
    /// Some events after those given out before did not fit.
    Lost,
}

impl<E, const N: usize> Events<E, N> {
    pub(crate) const fn new() -> Self {
        Events { queue: ArrayVec::new_const(), lost: false }
    }

    pub(crate) fn push(&mut self, event: E) {
        if self.queue.try_push(event).is_err() {
            self.lost = true;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<Queued<E>> {
        if let Some(event) = self.queue.pop_at(0) {
            return Some(Queued::Event(event));
        }
        core::mem::take(&mut self.lost).then_some(Queued::Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_keeps_the_oldest_and_tells_of_the_loss_once() {
        let mut events = Events::<u8, 2>::new();
        for n in 0..5 {
            events.push(n);
        }
        assert!(matches!(events.pop(), Some(Queued::Event(0))));
        assert!(matches!(events.pop(), Some(Queued::Event(1))));
        assert!(matches!(events.pop(), Some(Queued::Lost)));
        assert!(events.pop().is_none());
    }
}
