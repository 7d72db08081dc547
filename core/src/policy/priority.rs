//! Priority (RFC 5356, 4.5).

use super::{Candidate, SelectionPolicy, Standing, Values, choose};
use crate::rand::Rng;

pub(super) struct Priority;

impl SelectionPolicy for Priority {
    fn standing(values: &Values, _: u32) -> Standing {
        Standing::Key(u64::from(u32::MAX - values.value))
    }

    /// The highest priority, in turn where several have it.
    fn choose<'a>(
        candidates: impl Iterator<Item = Candidate<'a>> + Clone,
        cursor: &mut u32,
        _: &mut Rng,
    ) -> Option<usize> {
        let priority = |c: &Candidate<'a>| Values::from(&c.policy).value;
        let highest = candidates.clone().filter(|c| c.usable).map(|c| priority(&c)).max()?;
        let at_top = |c: Candidate<'a>| Candidate { usable: c.usable && priority(&c) == highest, ..c };
        choose::in_order(candidates.map(at_top), cursor)
    }
}
