//! When requests of an open loop are to be sent: arrivals by seed, nanoseconds from the start.
//!
//! A schedule is a cursor, not a queue: requests that wait for a connection are those between the
//! cursor and now, so a server that stalls costs no memory. The same seed yields the same arrivals.

use penstock_core::chance::Chance;

/// How the gaps between requests are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Arrivals {
    /// Exponential gaps, as independent users make them.
    #[default]
    Poisson,
    /// One request at a random point of each interval.
    Uniform,
}

/// A cursor over the arrivals of one thread.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    arrivals: Arrivals,
    chance: Chance,
    /// Mean gap in nanoseconds.
    gap: f64,
    /// Begin of the interval that comes next; of Poisson arrivals the last arrival.
    base: f64,
    next: u64,
}

impl Schedule {
    /// `rate` requests per second, more than 0.
    pub(super) fn new(arrivals: Arrivals, rate: f64, seed: u64) -> Self {
        let mut schedule = Self {
            arrivals,
            chance: Chance::new(seed),
            gap: 1e9 / rate,
            base: 0.0,
            next: 0,
        };
        schedule.step();
        schedule
    }

    /// The arrival under the cursor.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Goes on to the arrival behind it.
    pub(super) fn step(&mut self) {
        let chance = unit(&mut self.chance);
        match self.arrivals {
            Arrivals::Poisson => {
                self.base -= (1.0 - chance).ln() * self.gap;
                self.next = self.base as u64;
            }
            Arrivals::Uniform => {
                self.next = (self.base + chance * self.gap) as u64;
                self.base += self.gap;
            }
        }
    }

    /// Passes all arrivals up to `now` and counts them.
    pub(super) fn pass(&mut self, now: u64) -> u64 {
        let mut count = 0;
        while self.next <= now {
            self.step();
            count += 1;
        }
        count
    }
}

/// From 0 up to and without 1.
fn unit(chance: &mut Chance) -> f64 {
    (chance.bits() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::{Arrivals, Schedule};

    #[track_caller]
    fn check(arrivals: Arrivals, expect: std::ops::Range<u64>) {
        let mut schedule = Schedule::new(arrivals, 1000.0, 7);
        let count = schedule.clone().pass(100_000_000_000);
        assert!(expect.contains(&count), "{arrivals:?}: {count}");
        let mut last = 0;
        for _ in 0..10_000 {
            assert!(schedule.next() >= last);
            last = schedule.next();
            schedule.step();
        }
    }

    #[test]
    fn arrivals_keep_their_rate_and_order() {
        // 100,000 arrivals; the standard deviation of the Poisson count is 316.
        check(Arrivals::Poisson, 98_500..101_500);
        check(Arrivals::Uniform, 99_999..100_002);
    }

    #[test]
    fn the_same_seed_yields_the_same_arrivals() {
        let arrivals = |seed| {
            let mut schedule = Schedule::new(Arrivals::Poisson, 5000.0, seed);
            let mut next = || {
                schedule.step();
                schedule.next()
            };
            [next(), next(), next()]
        };
        assert_eq!(arrivals(1), arrivals(1));
        assert_ne!(arrivals(1), arrivals(2));
    }
}
