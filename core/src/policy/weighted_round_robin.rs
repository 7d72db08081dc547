//! Weighted Round Robin (RFC 5356, 4.2).

use super::{Candidate, SelectionPolicy, Standing, Values, choose};
use crate::rand::Rng;

pub(super) struct WeightedRoundRobin;

impl SelectionPolicy for WeightedRoundRobin {
    fn standing(values: &Values, _: u32) -> Standing {
        Standing::Turns(values.value)
    }

    /// As Round Robin. A weight of 0 is no service, should a registrar return such an element.
    fn choose(candidates: impl Iterator<Item = Candidate> + Clone, cursor: &mut u32, _: &mut Rng) -> Option<usize> {
        choose::in_order(candidates.map(|c| Candidate { usable: c.usable && c.values.value > 0, ..c }), cursor)
    }
}
