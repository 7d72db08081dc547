//! Randomized Least Used (RFC 5356, 5.4): Weighted Random by what is not used.

use super::{Candidate, SelectionPolicy, Standing, Values, choose};
use crate::rand::Rng;

pub(super) struct RandomizedLeastUsed;

fn unload(values: &Values) -> u32 {
    u32::MAX - values.value
}

impl SelectionPolicy for RandomizedLeastUsed {
    fn standing(values: &Values, _: u32) -> Standing {
        Standing::Share(unload(values))
    }

    fn choose<'a>(
        candidates: impl Iterator<Item = Candidate<'a>> + Clone,
        _: &mut u32,
        rng: &mut Rng,
    ) -> Option<usize> {
        choose::by_weight(candidates, rng, unload)
    }
}
