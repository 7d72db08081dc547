//! Priority (RFC 5356, 4.5).

use super::{Candidate, SelectionPolicy, Standing, Values, choose};
use crate::rand::Rng;

pub(super) struct Priority;

impl SelectionPolicy for Priority {
    fn standing(values: &Values, _: u32) -> Standing {
        Standing::Key(u64::from(u32::MAX - values.value))
    }

    /// The highest priority, in turn where several have it.
    fn choose(candidates: impl Iterator<Item = Candidate> + Clone, cursor: &mut u32, _: &mut Rng) -> Option<usize> {
        let highest = candidates.clone().filter(|c| c.usable).map(|c| c.values.value).max()?;
        let at_top = |c: Candidate| Candidate { usable: c.usable && c.values.value == highest, ..c };
        choose::in_order(candidates.map(at_top), cursor)
    }
}
