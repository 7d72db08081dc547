//! Priority Least Used with Degradation, a private policy of rsplib: by load and degradation, where each user adds the
//! degradation once more.

use super::least_used_degradation::LeastUsedDegradation;
use super::{SelectionPolicy, Standing, Values};

pub(super) struct PriorityLeastUsedDegradation;

impl SelectionPolicy for PriorityLeastUsedDegradation {
    const DEGRADES: bool = true;

    fn standing(values: &Values, returned: u32) -> Standing {
        LeastUsedDegradation::standing(values, returned.saturating_add(1))
    }
}
