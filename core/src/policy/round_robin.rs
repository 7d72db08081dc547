//! Round Robin (RFC 5356, 4.1), the default policy; also for policies that are not known.

use super::{SelectionPolicy, Standing, Values};

pub(super) struct RoundRobin;

impl SelectionPolicy for RoundRobin {
    fn standing(_: &Values, _: u32) -> Standing {
        Standing::Key(0)
    }
}
