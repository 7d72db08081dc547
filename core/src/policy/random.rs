//! Random (RFC 5356, 4.3).

use super::{Candidate, SelectionPolicy, Standing, Values, choose};
use crate::rand::Rng;

pub(super) struct Random;

impl SelectionPolicy for Random {
    fn standing(_: &Values, _: u32) -> Standing {
        Standing::Share(1)
    }

    fn choose<'a>(
        candidates: impl Iterator<Item = Candidate<'a>> + Clone,
        _: &mut u32,
        rng: &mut Rng,
    ) -> Option<usize> {
        choose::by_weight(candidates, rng, |_| 1)
    }
}
