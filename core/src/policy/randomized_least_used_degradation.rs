//! Randomized Least Used with Degradation, a private policy of rsplib: Weighted Random by what is unused, where each
//! user adds the degradation to the load. (rsplib's registrar does not count users here; this one does.)

use super::{Candidate, SelectionPolicy, Standing, Values, choose, unused};
use crate::rand::Rng;

pub(super) struct RandomizedLeastUsedDegradation;

impl SelectionPolicy for RandomizedLeastUsedDegradation {
    const DEGRADES: bool = true;

    fn standing(values: &Values, returned: u32) -> Standing {
        Standing::Share(unused(values, returned))
    }

    fn choose<'a>(
        candidates: impl Iterator<Item = Candidate<'a>> + Clone,
        _: &mut u32,
        rng: &mut Rng,
    ) -> Option<usize> {
        choose::by_weight(candidates, rng, |values| unused(values, 0))
    }
}
