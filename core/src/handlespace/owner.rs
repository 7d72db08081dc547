//! Owners: the home registrars of elements (RFC 5352, 1.1; RFC 5353, 1.1), with the checksums of what they own.

use super::hash::Chained;
use super::list::{self, Linked, Links};
use super::{Element, ElementRef, Handlespace, RegisterError};
use crate::ServerId;
use crate::arena::{Idx, Slot};
use crate::wire::{ChecksumAccumulator, element_sum};

/// An owner's slot. It is in use as long as the owner has elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    checksum: ChecksumAccumulator,
    id: ServerId,
    chain: Idx,
    /// The list of elements, by its first.
    elements: Idx,
    count: u32,
}

impl Owner {
    pub(super) const EMPTY: Owner = Owner {
        checksum: ChecksumAccumulator::new(),
        id: ServerId::NONE,
        chain: Idx::NIL,
        elements: Idx::NIL,
        count: 0,
    };
}

impl Default for Owner {
    fn default() -> Self {
        Owner::EMPTY
    }
}

impl Slot for Owner {
    fn next_free(&self) -> Idx {
        self.chain
    }
    fn set_next_free(&mut self, next: Idx) {
        self.chain = next;
    }
}

impl Chained for Owner {
    fn chain(&self) -> Idx {
        self.chain
    }
    fn set_chain(&mut self, next: Idx) {
        self.chain = next;
    }
}

/// The list of an owner's elements.
struct InOwner;

impl Linked<InOwner> for Element {
    fn links(&self) -> Links {
        self.in_owner
    }
    fn links_mut(&mut self) -> &mut Links {
        &mut self.in_owner
    }
}

impl Handlespace<'_> {
    /// The PE checksum of what a registrar owns (RFC 5353, 3.6.2): 0xffff for nothing. O(1).
    pub fn checksum(&self, owner: ServerId) -> u16 {
        self.owners.at(self.find_owner(owner)).checksum.value()
    }

    /// How many elements a registrar owns.
    pub fn owned(&self, owner: ServerId) -> u32 {
        self.owners.at(self.find_owner(owner)).count
    }

    /// The next element that a registrar owns after `after`, the first for `None`, in the order in which they came to
    /// it. `None` also where `after` is gone, or not its any more: get the next one before you remove one, or take the
    /// first again and again.
    pub fn next_owned(&self, owner: ServerId, after: Option<ElementRef>) -> Option<ElementRef> {
        let i = match after {
            None => self.owners.at(self.find_owner(owner)).elements,
            Some(element) => {
                let i = self.live(element)?;
                let owned_by = self.owners.at(self.elements.at(i).owner);
                if owned_by.id != owner {
                    return None;
                }
                list::after::<InOwner, _>(&self.elements, owned_by.elements, i)
            }
        };
        i.is_some().then(|| self.element_ref(i))
    }

    /// Gives an element another home registrar.
    ///
    /// # Errors
    /// [`RegisterError::OwnersFull`]; nothing has changed then. Also an element that is gone changes nothing.
    pub fn set_home(&mut self, element: ElementRef, home: ServerId) -> Result<(), RegisterError> {
        let Some(i) = self.live(element) else { return Ok(()) };
        if !self.can_own(home, i) {
            return Err(RegisterError::OwnersFull);
        }
        self.move_to_owner(i, home);
        Ok(())
    }

    /// Marks all that a registrar owns (RFC 5353, 3.6.3, step 1). A mark goes when the element is registered anew, and
    /// with its owner.
    pub(crate) fn mark_owned(&mut self, owner: ServerId) {
        let first = self.owners.at(self.find_owner(owner)).elements;
        let mut i = first;
        while i.is_some() {
            self.elements.at_mut(i).watch.mark(true);
            i = list::after::<InOwner, _>(&self.elements, first, i);
        }
    }

    pub(super) fn home(&self, i: Idx) -> ServerId {
        self.owners.at(self.elements.at(i).owner).id
    }

    fn find_owner(&self, id: ServerId) -> Idx {
        self.owner_index.find(&self.owners, self.keys.pair(0, id.0), |_, owner| owner.id == id)
    }

    /// Whether `home` has a slot or can get one, be it the one that element `i` (nil: a new one) is the last to hold.
    pub(super) fn can_own(&self, home: ServerId, i: Idx) -> bool {
        !self.owners.is_full()
            || self.owners.at(self.elements.at(i).owner).count == 1
            || self.find_owner(home).is_some()
    }

    /// Moves an element to its owner's list and checksum. There is room for the owner: see `can_own`.
    pub(super) fn move_to_owner(&mut self, i: Idx, home: ServerId) {
        if self.elements.at(i).owner.is_some() && self.home(i) == home {
            return;
        }
        self.leave_owner(i);
        let mut owner = self.find_owner(home);
        if owner.is_nil() {
            let keys = self.keys;
            let hash = |owner: &Owner| (owner.count > 0).then(|| keys.pair(0, owner.id.0));
            self.owner_index.make_room(&mut self.owners, hash);
            let Some(new) = self.owners.allocate() else { return };
            self.owners.at_mut(new).id = home;
            self.owner_index.insert(&mut self.owners, keys.pair(0, home.0), new);
            owner = new;
        }
        let sum = self.contribution(i);
        let slot = self.owners.at_mut(owner);
        slot.count += 1;
        slot.checksum.add(sum);
        list::append::<InOwner, _>(&mut self.elements, &mut slot.elements, i);
        let element = self.elements.at_mut(i);
        element.owner = owner;
        element.watch.mark(false);
    }

    /// Takes an element from its owner, which is forgotten with its last one.
    pub(super) fn leave_owner(&mut self, i: Idx) {
        let owner = core::mem::take(&mut self.elements.at_mut(i).owner);
        if owner.is_nil() {
            return;
        }
        let sum = self.contribution(i);
        let slot = self.owners.at_mut(owner);
        slot.count = slot.count.saturating_sub(1);
        slot.checksum.remove(sum);
        list::unlink::<InOwner, _>(&mut self.elements, &mut slot.elements, i);
        if slot.count == 0 {
            let hash = self.keys.pair(0, slot.id.0);
            self.owner_index.remove(&mut self.owners, hash, owner);
            self.owners.release(owner);
        }
    }

    fn contribution(&self, i: Idx) -> u32 {
        let element = self.elements.at(i);
        element_sum(self.handle_bytes(element.pool), element.id)
    }
}
