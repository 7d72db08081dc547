//! Randomized Priority Least Used, a private policy of rsplib: Weighted Random by what load and degradation leave unused.

use super::{Candidate, SelectionPolicy, Standing, Values, choose, unused};
use crate::rand::Rng;

pub(super) struct RandomizedPriorityLeastUsed;

impl SelectionPolicy for RandomizedPriorityLeastUsed {
    fn standing(values: &Values, _: u32) -> Standing {
        Standing::Share(unused(values, 1))
    }

    fn choose<'a>(
        candidates: impl Iterator<Item = Candidate<'a>> + Clone,
        _: &mut u32,
        rng: &mut Rng,
    ) -> Option<usize> {
        choose::by_weight(candidates, rng, |values| unused(values, 1))
    }
}
