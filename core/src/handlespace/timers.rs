//! One timer per element, in a heap.

use super::{Element, ElementRef, Handlespace};
use crate::Instant;
use crate::arena::{Arena, Idx, Table};

/// A timer as it lies in the heap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timer {
    /// Not later than the element's `due`.
    at: Instant,
    element: Idx,
}

impl Timer {
    pub(super) const EMPTY: Timer = Timer { at: Instant::ZERO, element: Idx::NIL };
}

/// Children per node: half the depth of a binary heap, and the children lie side by side in the cache.
const ARITY: usize = 4;

/// A heap by deadline. An element that gets a later deadline, as with each re-registration, stays where it is; only when
/// it comes to the top, it sinks to its place. So the heap's top may be too early, but never too late.
#[derive(Debug)]
pub(super) struct Timers<'s> {
    heap: Table<'s, Timer>,
    len: usize,
}

impl<'s> Timers<'s> {
    /// There are as many places as elements.
    pub(super) fn lent(places: &'s mut [Timer]) -> Self {
        Timers { heap: Table::Lent(places), len: 0 }
    }

    #[cfg(feature = "alloc")]
    pub(super) fn growable() -> Self {
        Timers { heap: Table::Grown(alloc::vec::Vec::new()), len: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.len * size_of::<Timer>()
    }

    fn at(&self, place: usize) -> Timer {
        self.heap.as_slice().get(place).copied().unwrap_or_default()
    }

    fn top(&self) -> Option<Timer> {
        (self.len > 0).then(|| self.at(0))
    }

    /// Puts a timer at a place of the heap.
    fn put(&mut self, elements: &mut Arena<'_, Element>, place: usize, timer: Timer) {
        if let Some(slot) = self.heap.as_mut_slice().get_mut(place) {
            *slot = timer;
            // A place among fewer than 2^32 - 1 elements.
            elements.at_mut(timer.element).timer = Idx::at_position(place).number();
        }
    }

    fn rise(&mut self, elements: &mut Arena<'_, Element>, mut place: usize, timer: Timer) {
        while place > 0 {
            let parent = (place - 1) / ARITY;
            let above = self.at(parent);
            if above.at <= timer.at {
                break;
            }
            self.put(elements, place, above);
            place = parent;
        }
        self.put(elements, place, timer);
    }

    fn sink(&mut self, elements: &mut Arena<'_, Element>, mut place: usize, timer: Timer) {
        loop {
            let first = place * ARITY + 1;
            let children = self.heap.as_slice().get(first..self.len.min(first + ARITY)).unwrap_or_default();
            let Some((nth, child)) = children.iter().enumerate().min_by_key(|(_, child)| child.at) else { break };
            let child = *child;
            if timer.at <= child.at {
                break;
            }
            self.put(elements, place, child);
            place = first + nth;
        }
        self.put(elements, place, timer);
    }

    fn set(&mut self, elements: &mut Arena<'_, Element>, i: Idx, due: Instant) {
        let element = elements.at_mut(i);
        element.due = due;
        let timer = Timer { at: due, element: i };
        match (element.timer as usize).checked_sub(1) {
            Some(place) if self.at(place).at <= due => {}
            Some(place) => self.rise(elements, place, timer),
            None => {
                #[cfg(feature = "alloc")]
                if let Table::Grown(places) = &mut self.heap
                    && places.len() <= self.len
                {
                    places.push(Timer::EMPTY);
                }
                self.len += 1;
                self.rise(elements, self.len - 1, timer);
            }
        }
    }

    pub(super) fn clear(&mut self, elements: &mut Arena<'_, Element>, i: Idx) {
        let Some(place) = (elements.at(i).timer as usize).checked_sub(1) else { return };
        elements.at_mut(i).timer = 0;
        self.len = self.len.saturating_sub(1);
        let last = self.at(self.len);
        if place < self.len {
            if last.at < self.at(place).at {
                self.rise(elements, place, last);
            } else {
                self.sink(elements, place, last);
            }
        }
    }

    /// The earliest deadline and whose it is, after everything above it has sunk to its place.
    fn next(&mut self, elements: &mut Arena<'_, Element>) -> Option<(Instant, Idx)> {
        loop {
            let top = self.top()?;
            let due = elements.at(top.element).due;
            if due <= top.at {
                return Some((due, top.element));
            }
            self.sink(elements, 0, Timer { at: due, ..top });
        }
    }
}

impl Handlespace<'_> {
    /// Sets an element's only timer, in place of an earlier setting. A later deadline than before costs O(1).
    pub fn set_timer(&mut self, element: ElementRef, due: Instant) {
        if let Some(i) = self.live(element) {
            self.timers.set(&mut self.elements, i, due);
        }
    }

    /// Stops an element's timer.
    pub fn clear_timer(&mut self, element: ElementRef) {
        if let Some(i) = self.live(element) {
            self.timers.clear(&mut self.elements, i);
        }
    }

    /// When an element's timer is due.
    pub fn timer(&self, element: ElementRef) -> Option<Instant> {
        let element = self.elements.at(self.live(element)?);
        (element.timer != 0).then_some(element.due)
    }

    /// The earliest timer, which stays set.
    pub fn next_timer(&mut self) -> Option<(Instant, ElementRef)> {
        let (due, i) = self.timers.next(&mut self.elements)?;
        Some((due, self.element_ref(i)))
    }

    /// When to call [`next_timer`](Handlespace::next_timer): at the earliest deadline, or before it where that has been
    /// put off since, but never after it. Right after `next_timer` it is exact.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.timers.top().map(|timer| timer.at)
    }
}
