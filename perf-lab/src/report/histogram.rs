//! Histograms read back from the record, and what charts and files take from them.

use std::io::Cursor;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use crate::base64;
use crate::record::Latency;

/// The histogram that a record keeps; `None` if nothing was recorded or the text is damaged.
pub(crate) fn decode(latency: &Latency) -> Option<Histogram<u64>> {
    if latency.histogram.is_empty() {
        return None;
    }
    let bytes = base64::decode(&latency.histogram)?;
    Deserializer::new()
        .deserialize(&mut Cursor::new(bytes))
        .ok()
}

/// All of them in one: percentiles of several runs are taken from it, never averaged.
pub(crate) fn merge<'a>(latencies: impl Iterator<Item = &'a Latency>) -> Option<Histogram<u64>> {
    let mut sum: Option<Histogram<u64>> = None;
    for histogram in latencies.filter_map(decode) {
        match &mut sum {
            None => sum = Some(histogram),
            Some(sum) => {
                sum.auto(true);
                sum.add(&histogram).ok()?;
            }
        }
    }
    sum
}

/// A percentile in nanoseconds. The crate answers with the end of a step, which may lie above the
/// greatest value that was recorded.
pub(crate) fn percentile(histogram: &Histogram<u64>, percent: f64) -> u64 {
    let value = histogram.value_at_percentile(percent);
    value.clamp(histogram.min(), histogram.max())
}

/// One step of a histogram for readers that want few: bounds in nanoseconds, values in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// Least value in it.
    pub(crate) start: u64,
    /// Greatest value in it.
    pub(crate) end: u64,
    /// How many.
    pub(crate) count: u64,
}

/// Ends of steps within a decade, in tenths: finer where latencies crowd.
const ENDS: [u64; 16] = [
    12, 14, 16, 18, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80, 90, 100,
];

/// The histogram in steps of at most a fifth of their value. Steps without values are left out.
pub(crate) fn steps(histogram: &Histogram<u64>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut bounds = bounds();
    let mut bound = bounds.next();
    let mut open = true;
    for value in histogram.iter_recorded() {
        let end = value.value_iterated_to();
        while bound.is_some_and(|bound| bound < end) {
            bound = bounds.next();
            open = true;
        }
        let count = value.count_since_last_iteration();
        match steps.last_mut() {
            Some(step) if !open => (step.end, step.count) = (end, step.count + count),
            _ => steps.push(Step {
                start: histogram.lowest_equivalent(end),
                end,
                count,
            }),
        }
        open = false;
    }
    if let (Some(first), min) = (steps.first_mut(), histogram.min()) {
        first.start = first.start.max(min);
    }
    if let (Some(last), max) = (steps.last_mut(), histogram.max()) {
        last.end = last.end.min(max);
    }
    steps
}

/// 1.2 µs, 1.4 µs ... in nanoseconds, as far as a latency can go.
fn bounds() -> impl Iterator<Item = u64> {
    let decades = (0..10_u32).map(|decade| 10_u64.pow(decade) * 100);
    std::iter::once(1_000).chain(
        decades
            .flat_map(|decade| ENDS.map(|end| end * decade / 10))
            .filter(|end| *end > 1_000),
    )
}

/// Points of a percentile curve, up to the last one that the number of values supports.
pub(crate) fn curve(histogram: &Histogram<u64>) -> Vec<(f64, u64)> {
    let values = histogram.len() as f64;
    // Nine points for each nine, evenly on the axis.
    let nines = (0..=50).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 9.0));
    nines
        .take_while(|quantile| (1.0 - quantile) * values >= 1.0)
        .map(|quantile| (quantile, percentile(histogram, quantile * 100.0)))
        .collect()
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::{curve, percentile, steps};

    fn histogram() -> Histogram<u64> {
        let mut histogram = Histogram::new(3).expect("three digits");
        for value in [900, 1_100, 1_150, 1_350, 70_000, 71_000, 2_000_000_000] {
            histogram.record(value).expect("it grows");
        }
        histogram
    }

    #[test]
    fn steps_hold_every_value_once_and_ascend() {
        let histogram = histogram();
        let steps = steps(&histogram);
        let sum: u64 = steps.iter().map(|step| step.count).sum();
        assert_eq!(sum, histogram.len());
        assert!(steps.iter().all(|step| step.start <= step.end));
        assert!(
            steps.windows(2).all(|two| two[0].end < two[1].start),
            "{steps:?}"
        );
        assert_eq!(steps[0].start, histogram.min());
        assert_eq!(steps.last().map(|step| step.end), Some(histogram.max()));
        let counts: Vec<u64> = steps.iter().map(|step| step.count).collect();
        assert_eq!(counts, [1, 2, 1, 2, 1]);
    }

    #[test]
    fn percentiles_stay_within_what_was_recorded() {
        let histogram = histogram();
        assert_eq!(percentile(&histogram, 0.0), histogram.min());
        assert_eq!(percentile(&histogram, 100.0), histogram.max());
    }

    #[test]
    fn a_curve_ends_where_values_become_single() {
        let points = curve(&histogram());
        assert!(points.last().is_some_and(|(quantile, _)| *quantile < 0.86));
        assert!(points.windows(2).all(|two| two[0].1 <= two[1].1));
    }
}
