//! Least Used (RFC 5356, 5.1).

use super::{SelectionPolicy, Standing, Values};

pub(super) struct LeastUsed;

impl SelectionPolicy for LeastUsed {
    fn standing(values: &Values, _: u32) -> Standing {
        Standing::Key(u64::from(values.value))
    }
}
