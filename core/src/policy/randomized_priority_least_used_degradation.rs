//! Randomized Priority Least Used with Degradation, a private policy of rsplib: Weighted Random by what load and
//! degradation leave unused, where each user adds the degradation once more.

use super::{Candidate, SelectionPolicy, Standing, Values, choose, unused};
use crate::rand::Rng;

pub(super) struct RandomizedPriorityLeastUsedDegradation;

impl SelectionPolicy for RandomizedPriorityLeastUsedDegradation {
    const DEGRADES: bool = true;

    fn standing(values: &Values, returned: u32) -> Standing {
        Standing::Share(unused(values, returned.saturating_add(1)))
    }

    fn choose<'a>(
        candidates: impl Iterator<Item = Candidate<'a>> + Clone,
        _: &mut u32,
        rng: &mut Rng,
    ) -> Option<usize> {
        choose::by_weight(candidates, rng, |values| unused(values, 1))
    }
}
