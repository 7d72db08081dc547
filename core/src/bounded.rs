//! Copies and insertions that cannot panic, and that a linker can see cannot.

use arrayvec::ArrayVec;

/// Copies as many bytes as both have.
#[cfg_attr(not(target_os = "none"), inline)]
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    let len = to.len().min(from.len());
    if let (Some((to, _)), Some((from, _))) = (to.split_at_mut_checked(len), from.split_at_checked(len)) {
        to.copy_from_slice(from);
    }
}

/// Adds an item, where there is room for it.
#[inline]
pub(crate) fn push<T, const N: usize>(list: &mut ArrayVec<T, N>, item: T) -> bool {
    list.try_push(item).is_ok()
}

/// The first items, as many as there is room for.
pub(crate) fn first<T, const N: usize>(items: impl Iterator<Item = T>) -> ArrayVec<T, N> {
    let mut list = ArrayVec::new();
    for item in items {
        if !push(&mut list, item) {
            break;
        }
    }
    list
}
