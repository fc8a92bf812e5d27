//! Sums over workers.

use penstock_core::cluster::{Budget, Shared};
use penstock_core::stats::{BUCKETS_NS, Cell, Histogram, PerWorker};

/// Buckets of a histogram: the bounds and the rest above them.
pub(super) const BUCKETS: usize = BUCKETS_NS.len() + 1;

/// Durations of all workers together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Durations {
    /// Counts per bucket, not cumulative.
    pub(super) counts: [u64; BUCKETS],
    /// Sum in nanoseconds.
    pub(super) sum_ns: u64,
}

impl Durations {
    /// Adds one worker's histogram.
    pub(super) fn add(&mut self, histogram: &Histogram) {
        for (sum, count) in self.counts.iter_mut().zip(histogram.counts()) {
            *sum = sum.wrapping_add(count);
        }
        self.sum_ns = self.sum_ns.wrapping_add(histogram.sum_ns());
    }

    /// All durations.
    pub(super) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Counts up to and with each bucket.
    pub(super) fn cumulative(&self) -> [u64; BUCKETS] {
        let mut sum = 0;
        self.counts.map(|count| {
            sum += count;
            sum
        })
    }

    /// The duration in milliseconds below which `share` of all lie, taken as evenly spread within
    /// their bucket; `None` if there are none. Above the last bound its value is all that is known.
    pub(super) fn quantile_ms(&self, share: f64) -> Option<f64> {
        let total = self.total();
        let rank = share * total as f64;
        let cumulative = self.cumulative();
        let bucket = (0..BUCKETS)
            .find(|&bucket| self.counts[bucket] > 0 && cumulative[bucket] as f64 >= rank)?;
        let Some(&high) = BUCKETS_NS.get(bucket) else {
            return BUCKETS_NS.last().map(|&last| milliseconds(last as f64));
        };
        let low = if bucket == 0 {
            0
        } else {
            BUCKETS_NS[bucket - 1]
        };
        let below = (cumulative[bucket] - self.counts[bucket]) as f64;
        let within = ((rank - below) / self.counts[bucket] as f64).clamp(0.0, 1.0);
        Some(milliseconds(low as f64 + within * (high - low) as f64))
    }
}

/// Durations of all workers of what `choose` picks.
pub(super) fn durations<T>(cells: &PerWorker<T>, choose: fn(&T) -> &Histogram) -> Durations {
    let mut sum = Durations::default();
    cells.iter().for_each(|worker| sum.add(choose(worker)));
    sum
}

/// One cell over all workers. Gauges may be negative for a moment on one worker (what one opened
/// another closed), never in sum.
pub(super) fn cell<T, F>(cells: &PerWorker<T>, family: fn(&T) -> &F, cell: &Cell<F>) -> u64 {
    cells.iter().fold(0, |sum, worker| {
        sum.wrapping_add((cell.read)(family(worker)))
    })
}

/// The thresholds of one priority that are held now, by kind.
pub(super) fn budgets(shared: &Shared) -> [(&'static str, &Budget); 3] {
    [
        ("connections", &shared.connections),
        ("pending", &shared.pending),
        ("requests", &shared.requests),
    ]
}

fn milliseconds(nanoseconds: f64) -> f64 {
    nanoseconds / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_in_their_bucket() {
        let histogram = Histogram::default();
        let mut durations = Durations::default();
        assert_eq!(durations.quantile_ms(0.5), None);
        for _ in 0..100 {
            histogram.record(3_000_000); // 2.5 ms to 5 ms
        }
        durations.add(&histogram);
        assert_eq!(durations.quantile_ms(0.0), Some(2.5));
        assert_eq!(durations.quantile_ms(0.5), Some(3.75));
        assert_eq!(durations.quantile_ms(1.0), Some(5.0));
        histogram.record(u64::MAX / 2);
        let mut with_longer = Durations::default();
        with_longer.add(&histogram);
        assert_eq!(with_longer.quantile_ms(1.0), Some(60_000.0));
        assert_eq!(with_longer.total(), 101);
    }
}
