//! Weighted Random (RFC 5356, 4.4).

use super::{Candidate, SelectionPolicy, Standing, Values, choose};
use crate::rand::Rng;

pub(super) struct WeightedRandom;

impl SelectionPolicy for WeightedRandom {
    fn standing(values: &Values, _: u32) -> Standing {
        Standing::Share(values.value)
    }

    /// RFC 5356, 4.4.3 asks for a random pick; one by weight keeps the shares also where the list holds the whole pool.
    fn choose<'a>(
        candidates: impl Iterator<Item = Candidate<'a>> + Clone,
        _: &mut u32,
        rng: &mut Rng,
    ) -> Option<usize> {
        choose::by_weight(candidates, rng, |values| values.value)
    }
}
