//! How busy each worker was over the last seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use penstock_core::stats::{PerWorker, WorkerStats};

/// What the ratio looks back on.
const WINDOW: Duration = Duration::from_secs(10);
/// Samples kept at most, whatever the interval.
const SAMPLES_MAX: usize = 64;

/// Samples of the workers' busy time. Whoever owns it samples about once per second, so that the
/// ratio does not depend on who scrapes how often.
#[derive(Debug, Default)]
pub struct BusyWindow {
    samples: VecDeque<Sample>,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    busy_ns: Vec<u64>,
}

impl BusyWindow {
    /// Adds a sample taken at `now`, and forgets those that are too old.
    pub fn sample(&mut self, now: Instant, workers: &PerWorker<WorkerStats>) {
        let busy_ns = workers
            .iter()
            .map(|worker| worker.counters.busy_ns.value())
            .collect();
        self.samples.push_back(Sample { at: now, busy_ns });
        while self.samples.len() > 2 && self.is_first_surplus(now) {
            self.samples.pop_front();
        }
    }

    /// Busy share per worker between the first and the last sample, 0 to 1. Without two samples the
    /// list is empty. A turn counts when it ends.
    pub fn ratios(&self) -> Vec<f64> {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return Vec::new();
        };
        let window = last.at.duration_since(first.at).as_nanos() as f64;
        if window == 0.0 {
            return Vec::new();
        }
        let pairs = first.busy_ns.iter().zip(&last.busy_ns);
        pairs
            .map(|(first, last)| (last.saturating_sub(*first) as f64 / window).min(1.0))
            .collect()
    }

    /// The second sample alone reaches back far enough.
    fn is_first_surplus(&self, now: Instant) -> bool {
        let second = now.duration_since(self.samples[1].at);
        second >= WINDOW || self.samples.len() > SAMPLES_MAX
    }
}

#[cfg(test)]
mod tests {
    use penstock_core::stats::WorkerIndex;

    use super::*;

    #[test]
    fn the_window_moves() {
        let workers = PerWorker::<WorkerStats>::new(2);
        let start = Instant::now();
        let mut window = BusyWindow::default();
        assert!(window.ratios().is_empty());
        for second in 0..100 {
            window.sample(start + Duration::from_secs(second), &workers);
            let busy_ms = if second < 50 { 250 } else { 750 };
            let counters = &workers.of(WorkerIndex(1)).counters;
            counters.busy_ns.add(busy_ms * 1_000_000);
            if second == 49 {
                assert_eq!(window.ratios(), [0.0, 0.25]);
            }
        }
        assert_eq!(window.ratios(), [0.0, 0.75]);
        assert_eq!(window.samples.len(), 11);
    }
}
