//! Least Used with Degradation and delay penalty factor, a private policy of rsplib: the distance adds to the load. It
//! has done so in the values.

use super::least_used_degradation::LeastUsedDegradation;
use super::{SelectionPolicy, Standing, Values};

pub(super) struct LeastUsedDegradationDpf;

impl SelectionPolicy for LeastUsedDegradationDpf {
    const DEGRADES: bool = true;

    fn standing(values: &Values, returned: u32) -> Standing {
        LeastUsedDegradation::standing(values, returned)
    }
}
