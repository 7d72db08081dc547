//! Handle resolution: the elements of a pool by its policy.

use super::{ElementRef, Handlespace, PoolRef};

impl Handlespace<'_> {
    /// Selects at most `max` elements of a pool by its policy, in the order of preference, no element twice (RFC 5356).
    ///
    /// * Round Robin, and policies that are not known: a circle in the order of registration, from its head on, and the
    ///   head moves on by one.
    /// * Weighted Round Robin: as if each element stood in that circle as often as its weight says, spread evenly.
    /// * Random, Weighted Random, Randomized Least Used: drawn by 1, by weight, by 0xffffffff less the load.
    /// * Priority: descending. Least Used, Priority Least Used, Least Used with Degradation: ascending by load, by load +
    ///   degradation, by load + degradation * how often the element was selected since it (re-)registered. Those of equal
    ///   rank come round robin.
    ///
    /// Elements of weight 0, and for Randomized Least Used those of full load, are never selected. There are no more
    /// elements than the storage's selection has room for, and none where the pool is gone.
    pub fn select(&mut self, pool: PoolRef, max: usize) -> &[ElementRef] {
        self.pick(pool, max, true)
    }

    /// What [`select`](Handlespace::select) would return, without a change of what the policy keeps. (The policies that
    /// draw at random draw anew each time.)
    pub fn list(&mut self, pool: PoolRef, max: usize) -> &[ElementRef] {
        self.pick(pool, max, false)
    }

    /// The first `count` elements of the last selection or list.
    pub(crate) fn selection(&self, count: usize) -> &[ElementRef] {
        self.selection.as_slice().get(..count).unwrap_or_default()
    }

    fn pick(&mut self, pool: PoolRef, max: usize, advance: bool) -> &[ElementRef] {
        let Some(i) = self.live_pool(pool) else { return &[] };
        let slot = self.pools.at_mut(i);
        let max = max.min(self.selection.as_slice().len());
        let out = self.selection.as_mut_slice().get_mut(..max).unwrap_or_default();
        let count = self.ranking.select(slot.policy_type, &mut slot.order, &mut self.elements, out, advance);
        self.selection.as_slice().get(..count).unwrap_or_default()
    }
}
