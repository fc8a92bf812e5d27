//! What repeated measurements say: medians, their spread, and how sure they are.
//!
//! Pure functions over numbers, the same bytes for the same input: the resampling has a fixed
//! seed. Nothing here knows what was measured. A round is never dropped after it was looked at.

use std::cmp::Ordering;

use penstock_core::chance::Chance;

/// Resamples behind an interval.
const RESAMPLES: usize = 10_000;
/// Fewest rounds that can say how far chance reaches.
const ROUNDS_MIN: usize = 3;
/// Fewest rounds of which a 95 % interval can be had. The least and the greatest of n values lie
/// around the true median in a share 1 - 2^(1-n) of all cases: 75 % of 3 values, 93.75 % of 5,
/// 96.9 % of 6. No way to choose from 5 values reaches 95 %.
pub const ROUNDS_SURE: usize = 6;
/// Where the resampling begins, in every process and on every machine.
const SEED: u64 = 0x5eed_9e57_570c;

/// A figure that was measured once in each round.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Estimate {
    /// The middle of the rounds.
    pub median: f64,
    /// Median absolute deviation from it.
    pub mad: f64,
    /// Bootstrap 95 % interval of the median from [`ROUNDS_SURE`] rounds on; below, the least and
    /// the greatest round, which claims less ([`Estimate::spread`]); none below three rounds.
    pub interval: Option<(f64, f64)>,
    /// How many rounds counted.
    pub rounds: usize,
}

/// What a ratio to a baseline says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The whole interval lies below 1.
    Less,
    /// The whole interval lies above 1.
    More,
    /// The interval holds 1.
    NoDifference,
    /// There were too few rounds to say.
    Unknown,
}

impl Estimate {
    /// The estimate from one value for each round; `None` without a value.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        (!values.is_empty()).then(|| Self {
            median: median(values),
            mad: deviation(values),
            interval: interval(values),
            rounds: values.len(),
        })
    }

    /// What this says if it is a ratio.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.interval {
            None => Verdict::Unknown,
            Some((_, high)) if high < 1.0 => Verdict::Less,
            Some((low, _)) if low > 1.0 => Verdict::More,
            Some(_) => Verdict::NoDifference,
        }
    }

    /// What its interval is, for people: `95 % interval`, or `range of 3 rounds`.
    #[must_use]
    pub fn spread(&self) -> String {
        match self.rounds {
            rounds if rounds >= ROUNDS_SURE => "95\u{a0}% interval".to_owned(),
            rounds => format!("range of {rounds} rounds"),
        }
    }

    /// True if both have intervals and these have no value in common.
    #[must_use]
    pub fn is_apart_from(&self, other: &Self) -> bool {
        match (self.interval, other.interval) {
            (Some(own), Some(other)) => own.1 < other.0 || other.1 < own.0,
            _ => false,
        }
    }
}

/// The middle of the values; 0 if there is none.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    middle(&mut sorted)
}

/// How far the values lie from their median, as a median.
#[must_use]
pub fn deviation(values: &[f64]) -> f64 {
    let middle = median(values);
    let distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    median(&distances)
}

/// The 95 % interval of the median: percentiles 2.5 and 97.5 of the medians of resamples drawn
/// with replacement (Efron's percentile bootstrap). Below [`ROUNDS_SURE`] values their range,
/// `None` below three.
#[must_use]
pub fn interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < ROUNDS_MIN {
        return None;
    }
    if values.len() < ROUNDS_SURE {
        return Some(range(values));
    }
    let mut chance = Chance::new(SEED);
    let mut sample = vec![0.0; values.len()];
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            sample.fill_with(|| values[below(&mut chance, values.len())]);
            middle(&mut sample)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    let at = |share: f64| medians[(share * (RESAMPLES - 1) as f64).round() as usize];
    Some((at(0.025), at(0.975)))
}

fn range(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (least, greatest)
}

/// Sorts the values and takes the middle.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len().cmp(&0) {
        Ordering::Equal => 0.0,
        _ if values.len().is_multiple_of(2) => f64::midpoint(values[half - 1], values[half]),
        _ => values[half],
    }
}

/// Brings the items into a random order (Fisher-Yates); the same seed, the same order.
pub fn shuffle<T>(chance: &mut Chance, items: &mut [T]) {
    for end in (1..items.len()).rev() {
        items.swap(end, below(chance, end + 1));
    }
}

fn below(chance: &mut Chance, bound: usize) -> usize {
    chance.below(bound as u64) as usize
}

#[cfg(test)]
mod tests {
    use penstock_core::chance::Chance;

    use super::{Estimate, Verdict, deviation, interval, median, shuffle};

    #[test]
    fn middles_are_found() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(deviation(&[1.0, 2.0, 9.0]), 1.0);
    }

    #[test]
    fn an_interval_lies_within_the_values_and_around_the_median() {
        let values = [0.71, 0.74, 0.72, 0.75, 0.73, 0.70, 0.74];
        let (low, high) = interval(&values).expect("seven values");
        assert!((0.70..=0.73).contains(&low), "{low}");
        assert!((0.73..=0.75).contains(&high), "{high}");
        assert_eq!(interval(&values), Some((low, high)), "the seed is fixed");
    }

    #[test]
    fn few_rounds_have_no_interval() {
        assert_eq!(interval(&[1.0, 2.0]), None);
        assert_eq!(Estimate::of(&[]), None);
        let two = Estimate::of(&[0.5, 0.6]).expect("two values");
        assert_eq!((two.rounds, two.verdict()), (2, Verdict::Unknown));
    }

    #[test]
    fn below_six_rounds_the_interval_is_their_range_and_says_so() {
        let five = Estimate::of(&[0.5, 0.9, 0.7, 0.6, 0.8]).expect("five values");
        assert_eq!(five.interval, Some((0.5, 0.9)));
        assert_eq!(five.spread(), "range of 5 rounds");
        let six = Estimate::of(&[0.5, 0.9, 0.7, 0.6, 0.8, 0.7]).expect("six values");
        assert_eq!(six.spread(), "95\u{a0}% interval");
        let (low, high) = six.interval.expect("six values");
        assert!(low > 0.5 && high < 0.9, "{low} to {high}");
    }

    #[test]
    fn a_verdict_needs_the_whole_interval_on_one_side() {
        let verdict = |values: &[f64]| Estimate::of(values).expect("values").verdict();
        assert_eq!(verdict(&[0.8, 0.82, 0.79, 0.81, 0.8]), Verdict::Less);
        assert_eq!(verdict(&[1.2, 1.21, 1.19, 1.3, 1.2]), Verdict::More);
        assert_eq!(
            verdict(&[0.98, 1.02, 1.0, 1.01, 0.99]),
            Verdict::NoDifference
        );
    }

    #[test]
    fn estimates_are_apart_when_their_intervals_share_nothing() {
        let of = |values: &[f64]| Estimate::of(values).expect("values");
        let low = of(&[0.8, 0.81, 0.82]);
        assert!(low.is_apart_from(&of(&[0.9, 0.91, 0.92])));
        assert!(!low.is_apart_from(&of(&[0.82, 0.9, 0.91])));
        assert!(!low.is_apart_from(&of(&[2.0])));
    }

    #[test]
    fn an_order_comes_from_its_seed() {
        let order = |seed| {
            let mut items: Vec<usize> = (0..6).collect();
            shuffle(&mut Chance::new(seed), &mut items);
            items
        };
        assert_eq!(order(7), order(7));
        let mut sorted = order(7);
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5]);
        assert!((0..20).any(|seed| order(seed) != order(7)));
    }
}
