//! Lists of parameters that are either still bytes or the caller's values.

use core::fmt;

use super::reader::{Checked, Tlv};
use super::writer::Writer;

/// What can stand in a [`List`].
pub(crate) trait Item<'a>: Sized + Copy {
    /// Reads an item that was read without an error before.
    fn from_checked(tlv: Tlv<'a>) -> Option<Self>;
    fn emit_item(&self, w: &mut Writer<'_>);
}

/// Several parameters of one kind.
///
/// A list that was parsed keeps its bytes and makes the items on the way; a list to be emitted borrows a slice.
pub struct List<'a, T>(Repr<'a, T>);

enum Repr<'a, T> {
    Wire(&'a [u8]),
    Items(&'a [T]),
}

impl<'a, T> List<'a, T> {
    /// A list of these items.
    pub const fn new(items: &'a [T]) -> Self {
        List(Repr::Items(items))
    }

    /// A list of nothing.
    pub const fn empty() -> Self {
        List(Repr::Items(&[]))
    }

    /// The bytes must have been gone over without an error.
    pub(crate) const fn checked(bytes: &'a [u8]) -> Self {
        List(Repr::Wire(bytes))
    }
}

#[allow(private_bounds, reason = "the trait is sealed: the items are the parameters of this crate")]
impl<'a, T: Item<'a>> List<'a, T> {
    /// The items, in the order of the message.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let (bytes, items): (&'a [u8], &'a [T]) = match self.0 {
            Repr::Wire(bytes) => (bytes, &[]),
            Repr::Items(items) => (&[], items),
        };
        Checked(bytes).filter_map(T::from_checked).chain(items.iter().copied())
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// How many items there are; O(n) for a list that was parsed.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    pub(crate) fn emit(&self, w: &mut Writer<'_>) {
        for item in self.iter() {
            item.emit_item(w);
        }
    }
}

impl<T> Clone for Repr<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Repr<'_, T> {}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<'a, T: Item<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Item<'a> + PartialEq> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}
