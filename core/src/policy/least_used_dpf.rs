//! Least Used with delay penalty factor, a private policy of rsplib: the distance adds to the load. It has done so in the
//! values.

use super::least_used::LeastUsed;
use super::{SelectionPolicy, Standing, Values};

pub(super) struct LeastUsedDpf;

impl SelectionPolicy for LeastUsedDpf {
    fn standing(values: &Values, returned: u32) -> Standing {
        LeastUsed::standing(values, returned)
    }
}
