//! Weighted Round Robin (RFC 5356, 4.2).

use super::{Candidate, SelectionPolicy, Standing, Values, choose};
use crate::rand::Rng;

pub(super) struct WeightedRoundRobin;

impl SelectionPolicy for WeightedRoundRobin {
    fn standing(values: &Values, _: u32) -> Standing {
        Standing::Turns(values.value)
    }

    /// As Round Robin. A weight of 0 is no service, should a registrar return such an element.
    fn choose<'a>(
        candidates: impl Iterator<Item = Candidate<'a>> + Clone,
        cursor: &mut u32,
        _: &mut Rng,
    ) -> Option<usize> {
        let in_service = |c: Candidate<'a>| Candidate { usable: c.usable && Values::from(&c.policy).value > 0, ..c };
        choose::in_order(candidates.map(in_service), cursor)
    }
}
