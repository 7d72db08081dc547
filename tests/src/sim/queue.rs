//! What is to happen, in the order of time; at one instant, in the order in which it was decided.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rserpool_core::Instant;

/// The heap has only times and places: it is gone through at each step, and should be small.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    places: Vec<Option<E>>,
    free: Vec<u32>,
    sequence: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Queue { heap: BinaryHeap::new(), places: Vec::new(), free: Vec::new(), sequence: 0 }
    }
}

impl<E> Queue<E> {
    pub fn push(&mut self, at: Instant, what: E) {
        self.sequence += 1;
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() as u32 - 1
        });
        self.places[place as usize] = Some(what);
        self.heap.push(Reverse((at, self.sequence, place)));
    }

    pub fn pop(&mut self) -> Option<(Instant, E)> {
        let Reverse((at, _, place)) = self.heap.pop()?;
        self.free.push(place);
        Some((at, self.places[place as usize].take()?))
    }

    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_decides_and_then_the_order() {
        let mut queue = Queue::default();
        for (at, what) in [(3, 'c'), (1, 'a'), (3, 'd'), (2, 'b')] {
            queue.push(Instant::from_secs(at), what);
        }
        let order: String = std::iter::from_fn(|| queue.pop()).map(|(_, what)| what).collect();
        assert_eq!(order, "abcd");
    }
}
