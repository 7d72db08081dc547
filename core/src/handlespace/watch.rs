//! What a registrar keeps per element to see whether it is still there, and the elements of an association.

use super::heads::Heads;
use super::list::{self, Linked, Links};
use super::{Element, ElementRef, Handlespace};
use crate::arena::{Arena, Idx};
use crate::{AssocId, Instant};

/// How the registrar stands with an element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum WatchState {
    /// Nothing is outstanding.
    #[default]
    Idle,
    /// A keep-alive was sent and is not answered yet.
    KeepAliveSent,
    /// Somebody could not reach the element: a keep-alive is to be sent at once (RFC 5352, 3.5).
    ProbeWanted,
    /// The element's association is gone, or none could be had.
    Lost,
    /// The element is to be asked to take this registrar as its home (RFC 5353, 3.5.2), for which an association may
    /// have to be opened.
    Claimed,
    /// It has deregistered, and is to be removed.
    Leaving,
    /// Its home does not list it: it is to be removed, if nobody else does.
    Unlisted,
    /// It gives way to elements of another kind, and is to be removed.
    Outranked,
}

/// The registrar's supervision of an element.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watch {
    /// When the next keep-alive, or the answer to the last one, is due. The handlespace does not look at it.
    pub(crate) due: Instant,
    /// The association's slot and 1; 0 for none, so that a zeroed watch is an empty one.
    assoc_slot: u32,
    assoc_generation: u32,
    /// When the last keep-alive was sent, in units of 1,024 us, as far as 32 bits can tell (50 days); 0 for never.
    asked: u32,
    /// Who has reported that the element cannot be reached since it last (re-)registered (RFC 5352, 3.5): a bit each.
    reporters: u16,
    pub(crate) state: WatchState,
    /// In one byte, since an element fills two cache lines exactly.
    flags: u8,
}

impl Watch {
    pub(crate) const EMPTY: Watch = Watch {
        due: Instant::ZERO,
        assoc_slot: 0,
        assoc_generation: 0,
        asked: 0,
        reporters: 0,
        state: WatchState::Idle,
        flags: 0,
    };

    /// The association that the element is bound to.
    pub(crate) fn assoc(&self) -> Option<AssocId> {
        let slot = self.assoc_slot.checked_sub(1)?;
        Some(AssocId { slot, generation: self.assoc_generation })
    }

    /// Somebody reports that the element cannot be reached. Whoever does so again counts once: the bits are dense as slots
    /// are, so that two with the same one are rare, and the element has the benefit of it.
    pub(crate) fn report(&mut self, by: AssocId) {
        self.reporters |= 1 << (by.slot % u16::BITS);
    }

    /// By how many it was reported, 16 at most.
    pub(crate) fn reporters(&self) -> u32 {
        self.reporters.count_ones()
    }

    pub(super) fn forgive(&mut self) {
        self.reporters = 0;
    }

    /// Its home registrar has yet to list it (RFC 5353, 3.6.3, step 1).
    pub(crate) fn is_marked(&self) -> bool {
        self.flags & MARKED != 0
    }

    pub(crate) fn mark(&mut self, marked: bool) {
        self.set(MARKED, marked);
    }

    /// Another registrar holds itself for the home. If the element answers to this one, all are to hear it.
    pub(crate) fn is_contested(&self) -> bool {
        self.flags & CONTESTED != 0
    }

    pub(crate) fn set_contested(&mut self, contested: bool) {
        self.set(CONTESTED, contested);
    }

    fn set(&mut self, flag: u8, to: bool) {
        self.flags = if to { self.flags | flag } else { self.flags & !flag };
    }

    /// A keep-alive is sent.
    pub(crate) fn ask(&mut self, now: Instant) {
        self.asked = units(now).max(1);
    }

    /// When the last keep-alive was sent, to a millisecond; `None`: never. After 50 days it may seem to be sent lately.
    pub(crate) fn asked(&self, now: Instant) -> Option<Instant> {
        let ago = u64::from(units(now).wrapping_sub(self.asked)) << UNIT_BITS;
        (self.asked != 0).then(|| Instant::from_micros(now.as_micros().saturating_sub(ago)))
    }

    /// An association with the slot `u32::MAX`, which no adapter has, is none.
    fn set_assoc(&mut self, assoc: Option<AssocId>) {
        self.assoc_slot = assoc.map_or(0, |assoc| assoc.slot.wrapping_add(1));
        self.assoc_generation = assoc.map_or(0, |assoc| assoc.generation);
    }
}

const MARKED: u8 = 1;
const CONTESTED: u8 = 2;

const UNIT_BITS: u32 = 10;

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn units(at: Instant) -> u32 {
    (at.as_micros() >> UNIT_BITS) as u32
}

/// The list of elements on associations with the same remainder of their slots.
pub(super) struct OnAssoc;

impl Linked<OnAssoc> for Element {
    fn links(&self) -> Links {
        self.on_assoc
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.on_assoc
    }
}

/// The heads of the elements' lists by association: the one at the slot's remainder by their number. Slots are dense,
/// so lists are shared only where there are more associations than room for elements, and none can be too many.
#[derive(Debug)]
pub(super) struct Bindings<'s>(pub(super) Heads<'s>);

impl Bindings<'_> {
    fn place(&self, assoc: AssocId) -> usize {
        (assoc.slot as usize).checked_rem(self.0.len()).unwrap_or(0)
    }

    fn head(&self, assoc: AssocId) -> Idx {
        self.0.at(self.place(assoc))
    }

    fn head_mut(&mut self, assoc: AssocId) -> Option<&mut Idx> {
        self.0.at_mut(self.place(assoc))
    }

    fn insert(&mut self, elements: &mut Arena<'_, Element>, i: Idx) {
        if let Some(head) = elements.at(i).watch.assoc().and_then(|assoc| self.head_mut(assoc)) {
            list::append::<OnAssoc, _>(elements, head, i);
        }
    }

    pub(super) fn remove(&mut self, elements: &mut Arena<'_, Element>, i: Idx) {
        if let Some(head) = elements.at(i).watch.assoc().and_then(|assoc| self.head_mut(assoc)) {
            list::unlink::<OnAssoc, _>(elements, head, i);
        }
        elements.at_mut(i).watch.set_assoc(None);
    }

    /// Makes more heads when there are as many elements.
    pub(super) fn make_room(&mut self, elements: &mut Arena<'_, Element>) {
        if !self.0.grow(elements.len()) {
            return;
        }
        let mut at = elements.after(Idx::NIL);
        while let Some(i) = at {
            elements.at_mut(i).on_assoc = Links::NONE;
            self.insert(elements, i);
            at = elements.after(i);
        }
    }
}

impl Handlespace<'_> {
    /// The supervision of an element.
    pub(crate) fn watch(&self, element: ElementRef) -> Option<&Watch> {
        self.live(element).map(|i| &self.elements.at(i).watch)
    }

    pub(crate) fn watch_mut(&mut self, element: ElementRef) -> Option<&mut Watch> {
        let i = self.live(element)?;
        Some(&mut self.elements.at_mut(i).watch)
    }

    /// Notes which association an element is reached by; it leaves the one that it was on.
    pub(crate) fn bind(&mut self, element: ElementRef, assoc: AssocId) {
        if let Some(i) = self.live(element) {
            self.bindings.remove(&mut self.elements, i);
            self.elements.at_mut(i).watch.set_assoc(Some(assoc));
            self.bindings.insert(&mut self.elements, i);
        }
    }

    /// Notes that an element is on no association any more.
    pub(crate) fn unbind(&mut self, element: ElementRef) {
        if let Some(i) = self.live(element) {
            self.bindings.remove(&mut self.elements, i);
        }
    }

    /// The next element on an association after `after`, the first for `None`. `None` also where `after` is not on it
    /// any more: to unbind all, ask for the first again and again.
    pub(crate) fn next_bound(&self, assoc: AssocId, after: Option<ElementRef>) -> Option<ElementRef> {
        let head = self.bindings.head(assoc);
        let mut i = match after {
            None => head,
            Some(element) => {
                let i = self.live(element).filter(|i| self.elements.at(*i).watch.assoc() == Some(assoc))?;
                list::after::<OnAssoc, _>(&self.elements, head, i)
            }
        };
        while i.is_some() {
            if self.elements.at(i).watch.assoc() == Some(assoc) {
                return Some(self.element_ref(i));
            }
            i = list::after::<OnAssoc, _>(&self.elements, head, i);
        }
        None
    }
}
