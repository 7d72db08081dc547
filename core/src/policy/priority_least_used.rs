//! Priority Least Used (RFC 5356, 5.3).

use super::{SelectionPolicy, Standing, Values};

pub(super) struct PriorityLeastUsed;

impl SelectionPolicy for PriorityLeastUsed {
    fn standing(values: &Values, _: u32) -> Standing {
        Standing::Key(u64::from(values.value) + u64::from(values.degradation))
    }
}
