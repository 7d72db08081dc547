//! Weighted Random with delay penalty factor, a private policy of rsplib: the distance reduces the weight. It has done so
//! in the values.

use super::weighted_random::WeightedRandom;
use super::{Candidate, SelectionPolicy, Standing, Values};
use crate::rand::Rng;

pub(super) struct WeightedRandomDpf;

impl SelectionPolicy for WeightedRandomDpf {
    fn standing(values: &Values, returned: u32) -> Standing {
        WeightedRandom::standing(values, returned)
    }

    fn choose<'a>(
        candidates: impl Iterator<Item = Candidate<'a>> + Clone,
        cursor: &mut u32,
        rng: &mut Rng,
    ) -> Option<usize> {
        WeightedRandom::choose(candidates, cursor, rng)
    }
}
