//! The PE checksum (RFC 5353, 3.6.2; RFC 1071).

use crate::PeId;

/// What one pool element contributes to its owner's checksum: the sum of the 16-bit words of its byte block, which is
/// the pool handle, padded with zeros to a multiple of four bytes, and the identifier.
pub fn element_sum(handle: &[u8], id: PeId) -> u32 {
    let (words, odd) = handle.as_chunks::<2>();
    let mut sum = words.iter().fold(0u32, |sum, word| sum.wrapping_add(u32::from(u16::from_be_bytes(*word))));
    if let [last] = odd {
        sum = sum.wrapping_add(u32::from(u16::from_be_bytes([*last, 0])));
    }
    sum.wrapping_add(id.0 >> 16).wrapping_add(id.0 & 0xffff)
}

/// The checksum of a set of pool elements, kept up to date in O(1).
///
/// It holds the plain sum of the contributions and folds it only when it is asked. So no sequence of changes can make
/// it drift: in a folded sum 0 and 0xffff are the same number, and an emptied set would not always come back to 0.
/// 64 bits hold the contributions of more pool elements than there are identifiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ChecksumAccumulator(u64);

impl ChecksumAccumulator {
    /// No elements.
    pub const fn new() -> Self {
        ChecksumAccumulator(0)
    }

    /// Adds an element's [`element_sum`].
    pub const fn add(&mut self, element_sum: u32) {
        self.0 = self.0.wrapping_add(element_sum as u64);
    }

    /// Takes an element out that was added before.
    pub const fn remove(&mut self, element_sum: u32) {
        self.0 = self.0.wrapping_sub(element_sum as u64);
    }

    /// The checksum: 0xffff for no elements.
    #[expect(clippy::cast_possible_truncation, clippy::arithmetic_side_effects, reason = "folded until it fits")]
    pub const fn value(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// RFC 1071, 4.1, over one buffer.
    fn internet_checksum(bytes: &[u8]) -> u16 {
        let mut sum = 0u64;
        for pair in bytes.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        }
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }

    fn full(elements: &[(Vec<u8>, u32)]) -> u16 {
        let mut bytes = Vec::new();
        for (handle, id) in elements {
            bytes.extend(handle);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend(id.to_be_bytes());
        }
        internet_checksum(&bytes)
    }

    #[test]
    fn no_elements_give_0xffff() {
        assert_eq!(ChecksumAccumulator::new().value(), 0xffff);
    }

    #[test]
    fn the_checksum_that_rsplib_sent_for_one_element() {
        // Captured: EchoPool with element 0xabcd0001 gives 0xe682.
        let mut sum = ChecksumAccumulator::new();
        sum.add(element_sum(b"EchoPool", PeId(0xabcd_0001)));
        assert_eq!(sum.value(), 0xe682);
    }

    proptest! {
        #[test]
        fn any_sequence_of_changes_equals_the_full_computation(
            ops in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 1..40), any::<u32>()), 0..60)
        ) {
            let mut present: Vec<(Vec<u8>, u32)> = Vec::new();
            let mut sum = ChecksumAccumulator::new();
            for (remove, handle, id) in ops {
                if remove && !present.is_empty() {
                    let at = usize::try_from(id).unwrap() % present.len();
                    let (handle, id) = present.swap_remove(at);
                    sum.remove(element_sum(&handle, PeId(id)));
                } else {
                    sum.add(element_sum(&handle, PeId(id)));
                    present.push((handle, id));
                }
                prop_assert_eq!(sum.value(), full(&present));
            }
        }
    }
}
