//! A node's clock: it began at its own time and runs a little too fast or too slow.

use rserpool_core::Instant;

use super::rng::Rng;

/// From the time of the world to a node's and back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    offset: i64,
    /// Microseconds gained per second.
    drift: i64,
}

const SECOND: i64 = 1_000_000;

impl Clock {
    /// Up to eleven days old, and within 200 parts per million of the truth.
    pub fn random(rng: &mut Rng) -> Self {
        Clock { offset: rng.below(1_000_000_000_000) as i64, drift: rng.below(401) as i64 - 200 }
    }

    pub fn local(&self, world: Instant) -> Instant {
        let world = world.as_micros() as i64;
        Instant::from_micros((self.offset + world + world * self.drift / SECOND) as u64)
    }

    /// The first instant of the world at which the clock shows `local`, or later.
    pub fn world(&self, local: Instant) -> Instant {
        if local == Instant::MAX {
            return Instant::MAX;
        }
        let elapsed = i128::from(local.as_micros()) - i128::from(self.offset);
        let guess = elapsed * i128::from(SECOND) / i128::from(SECOND + self.drift);
        let mut world = Instant::from_micros(guess.clamp(0, i64::MAX as i128 / 1024) as u64);
        while world > Instant::ZERO && self.local(before(world)) >= local {
            world = before(world);
        }
        while self.local(world) < local && world.as_micros() < (i64::MAX / 1024) as u64 {
            world = Instant::from_micros(world.as_micros() + 1);
        }
        world
    }
}

fn before(at: Instant) -> Instant {
    Instant::from_micros(at.as_micros() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_the_first_instant() {
        let mut rng = Rng::new(1);
        for _ in 0..10_000 {
            let clock = Clock::random(&mut rng);
            let world = Instant::from_micros(rng.range(1, 100_000_000_000));
            let back = clock.world(clock.local(world));
            assert!(back <= world && clock.local(back) == clock.local(world));
            assert!(clock.local(before(back)) < clock.local(world));
        }
    }
}
