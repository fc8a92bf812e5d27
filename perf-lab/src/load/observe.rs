//! What a load saw since somebody looked last: counts and histograms, taken while it runs.
//!
//! Each thread counts into a [`Tally`] of its own, which it holds for one turn at a time; an
//! observation swaps it for an empty one. So a window is the sum of the observations in it, and
//! percentiles are never averaged: histograms are added.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use super::Report;
use crate::base64;
use crate::cpu::own;
use crate::record;

/// Longest time that a histogram tells from others: an hour.
const LONGEST: u64 = 3_600_000_000_000;
/// Significant decimal digits of a histogram.
const DIGITS: u8 = 3;
/// Percentiles that a [`record::Latency`] lists.
const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99];

/// What happened since the last observation, or since the start.
#[derive(Clone, Debug)]
pub struct Observation {
    /// How long that is.
    pub length: Duration,
    /// Counts of it.
    pub report: Report,
    /// Complete answers by status.
    pub statuses: Vec<(u16, u64)>,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Requests begun.
    pub sent: u64,
    /// Requests that were due; 0 in a closed loop. Where `sent` stays behind, the rate was not
    /// reached.
    pub offered: u64,
    /// Silent connections that are open now.
    pub idle_open: u64,
    /// Time on a CPU of the threads of the load, and of what else is on them.
    pub on_cpu: Duration,
    /// Resident memory of this process now, in bytes.
    pub resident: u64,
    /// Nanoseconds from the time at which a request was due to its whole answer; open loop only.
    pub corrected: Histogram<u64>,
    /// Nanoseconds from the time at which a request was sent to its whole answer.
    pub service: Histogram<u64>,
    /// Nanoseconds by which a request was late although a connection was free; open loop only.
    pub lateness: Histogram<u64>,
}

impl Observation {
    /// Nothing, of no length: the sum to begin with.
    pub fn nothing() -> Self {
        Self {
            length: Duration::ZERO,
            report: Report::default(),
            statuses: Vec::new(),
            bytes_out: 0,
            sent: 0,
            offered: 0,
            idle_open: 0,
            on_cpu: Duration::ZERO,
            resident: 0,
            corrected: histogram(),
            service: histogram(),
            lateness: histogram(),
        }
    }

    /// Adds what happened after it.
    pub fn add(&mut self, later: &Observation) {
        self.length += later.length;
        self.offered += later.offered;
        self.idle_open = 0;
        self.resident = later.resident;
        self.join(later);
        self.report.elapsed = self.length;
    }

    /// Adds what happened beside it.
    fn join(&mut self, other: &Observation) {
        self.report.add(&other.report);
        for (status, count) in &other.statuses {
            count_status(&mut self.statuses, *status, *count);
        }
        self.bytes_out += other.bytes_out;
        self.sent += other.sent;
        self.idle_open += other.idle_open;
        self.on_cpu += other.on_cpu;
        for (sum, histogram) in [
            (&mut self.corrected, &other.corrected),
            (&mut self.service, &other.service),
            (&mut self.lateness, &other.lateness),
        ] {
            sum.add(histogram).expect("all have the same bounds");
        }
    }

    /// As it is kept; what only the origin knows is 0.
    pub fn record(&self) -> record::Load {
        let named = super::Failure::ALL.iter().zip(self.report.failures);
        let mut statuses = self.statuses.clone();
        statuses.sort_unstable();
        record::Load {
            answered: self.report.answered,
            failures: named
                .filter(|(_, count)| *count > 0)
                .map(|((_, name), count)| ((*name).to_owned(), count))
                .collect(),
            statuses,
            connects: self.report.connects,
            origin_connects: 0,
            origin_requests: 0,
            bytes_in: self.report.bytes,
            bytes_out: self.bytes_out,
            corrected: latency(&self.corrected),
            service: latency(&self.service),
            lateness_p99: self.lateness.value_at_percentile(99.0),
            on_cpu: self.on_cpu.as_nanos() as u64,
            resident: self.resident,
        }
    }

    /// As a slice that ends `at` nanoseconds into the window; what only the subject knows is 0.
    pub fn slice(&self, at: u64) -> record::Slice {
        let latency = match self.corrected.is_empty() {
            true => &self.service,
            false => &self.corrected,
        };
        record::Slice {
            at,
            answered: self.report.answered,
            failed: self.report.failed(),
            p50: latency.value_at_percentile(50.0),
            p99: latency.value_at_percentile(99.0),
            bytes_in: self.report.bytes,
            ..record::Slice::default()
        }
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |histogram: &Histogram<u64>| {
            let us = |percentile| histogram.value_at_percentile(percentile) as f64 / 1e3;
            format!(
                "p50 {:.1} p90 {:.1} p99 {:.1} p99.9 {:.1} max {:.1} us",
                us(50.0),
                us(90.0),
                us(99.0),
                us(99.9),
                histogram.max() as f64 / 1e3
            )
        };
        write!(f, "service {}", line(&self.service))?;
        if self.offered > 0 {
            let (due, sent) = (self.offered, self.sent);
            write!(f, "\ncorrected {}", line(&self.corrected))?;
            write!(f, "\nlateness {}", line(&self.lateness))?;
            write!(f, "\n{due} requests were due, {sent} were sent")?;
        }
        Ok(())
    }
}

/// A histogram as it is kept.
pub fn latency(histogram: &Histogram<u64>) -> record::Latency {
    if histogram.is_empty() {
        return record::Latency::default();
    }
    let value = |percentile| (percentile, histogram.value_at_percentile(percentile));
    record::Latency {
        histogram: encode(histogram),
        count: histogram.len(),
        min: histogram.min(),
        mean: histogram.mean(),
        max: histogram.max(),
        percentiles: PERCENTILES.map(value).to_vec(),
    }
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    let written = V2DeflateSerializer::new().serialize(histogram, &mut bytes);
    written.expect("a histogram of an hour fits into memory");
    base64::encode(&bytes)
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST, DIGITS).expect("the bounds are constant and fit each other")
}

fn count_status(statuses: &mut Vec<(u16, u64)>, status: u16, count: u64) {
    match statuses.iter_mut().find(|(known, _)| *known == status) {
        Some((_, sum)) => *sum += count,
        None => statuses.push((status, count)),
    }
}

/// What one thread counts.
#[derive(Debug)]
pub(super) struct Tally {
    /// When its first request could be sent; connections that are to be silent stand by then.
    pub(super) began: Option<Instant>,
    /// The thread that counts, once it does.
    pub(super) thread: Option<u32>,
    /// What it used up to the last observation.
    used: Duration,
    /// Since the last observation; length and offer are not known here.
    pub(super) seen: Observation,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            began: None,
            thread: None,
            used: Duration::ZERO,
            seen: Observation::nothing(),
        }
    }

    /// An answer was whole, right or wrong, and took `service` nanoseconds. A protocol without
    /// statuses gives 0, which is none.
    pub(super) fn whole(&mut self, status: u16, service: u64) {
        if status > 0 {
            count_status(&mut self.seen.statuses, status, 1);
        }
        self.seen.service.saturating_record(service);
    }

    /// Takes what was counted and goes on with `fresh`; gauges stay.
    fn take(&mut self, mut fresh: Observation) -> Observation {
        fresh.idle_open = self.seen.idle_open;
        std::mem::replace(&mut self.seen, fresh)
    }
}

/// Takes what all threads counted since the last time.
pub(super) fn collect(tallies: &[std::sync::Arc<Mutex<Tally>>]) -> Observation {
    let mut sum = Observation::nothing();
    for tally in tallies {
        let fresh = Observation::nothing();
        let (mut seen, thread) = {
            let mut tally = lock(tally);
            (tally.take(fresh), tally.thread)
        };
        // The thread goes on counting while the kernel is asked.
        let used = thread.and_then(|thread| own::of_thread(thread).ok());
        if let Some(used) = used {
            let before = std::mem::replace(&mut lock(tally).used, used);
            seen.on_cpu = used.saturating_sub(before);
        }
        sum.join(&seen);
    }
    sum.resident = own::resident();
    sum
}

/// A thread that panicked is reported when it is joined; its counts are as good as ever.
pub(super) fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_add_up_and_are_kept() {
        let mut tally = Tally::new();
        tally.whole(200, 1_000);
        tally.whole(404, 3_000_000);
        let mut sum = tally.take(Observation::nothing());
        tally.whole(200, 2_000);
        sum.add(&tally.take(Observation::nothing()));
        let record = sum.record();
        assert_eq!(record.statuses, [(200, 2), (404, 1)]);
        assert_eq!((record.service.count, record.service.min), (3, 1_000));
        assert_eq!(record.corrected, record::Latency::default());
        let p50 = record.service.percentiles[0];
        assert_eq!(p50.0, 50.0);
        assert!((2_000..2_002).contains(&p50.1), "{p50:?}");
        assert!(record.service.histogram.starts_with("HISTFAAA"));
        assert_eq!(sum.slice(7).p50, p50.1);
    }
}
