//! Least Used with Degradation (RFC 5356, 5.2).

use super::{SelectionPolicy, Standing, Values};

pub(super) struct LeastUsedDegradation;

impl SelectionPolicy for LeastUsedDegradation {
    const DEGRADES: bool = true;

    /// The sum is capped at 2^63 - 1, to which a counter at its end and the highest degradation would come.
    fn standing(values: &Values, returned: u32) -> Standing {
        let added = u64::from(returned) * u64::from(values.degradation);
        Standing::Key(added.saturating_add(u64::from(values.value)).min(i64::MAX.cast_unsigned()))
    }
}
