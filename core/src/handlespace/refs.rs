//! How others name what is in the handlespace.

use crate::arena::Idx;

macro_rules! reference {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// It is valid until what it names is removed. After that it names nothing, also when the slot is in use again:
        /// every function that takes it then answers as for something unknown.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        pub struct $name {
            slot: Idx,
            generation: u32,
        }

        impl $name {
            pub(crate) const fn new(slot: Idx, generation: u32) -> Self {
                $name { slot, generation }
            }

            pub(crate) const fn slot(self) -> Idx {
                self.slot
            }

            pub(crate) const fn generation(self) -> u32 {
                self.generation
            }
        }
    };
}

reference! {
    /// A pool.
    PoolRef
}

reference! {
    /// A pool element.
    ElementRef
}
