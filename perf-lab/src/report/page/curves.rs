//! The charts of a run: latency over its percentiles, and the window as it went by.

use super::chart::{self, Axis, Line};
use super::{tones, words};
use crate::record::{Campaign, Run, Slice};

/// Lines of latencies over nines.
pub(super) fn latency_chart(title: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let greatest = points().map(|point| point.1).fold(0.0, f64::max);
    if greatest == 0.0 {
        return String::new();
    }
    let least = points().map(|point| point.1).fold(greatest, f64::min);
    let quantile = points().map(|point| point.0).fold(0.0, f64::max);
    let y = Axis::log(least, greatest, words::latency_on_axis);
    chart::lines(title, &Axis::nines(quantile), &y, lines)
}

/// A line for each run; values come from `read`.
pub(super) fn time_chart(
    title: &str,
    campaign: &Campaign,
    runs: &[&Run],
    read: fn(&Run) -> Vec<(f64, f64)>,
) -> String {
    let tones = tones(campaign);
    let line = |run: &&Run| Line {
        name: campaign.subjects[run.subject].name.clone(),
        tone: tones[run.subject],
        points: read(run),
    };
    let lines: Vec<Line> = runs
        .iter()
        .map(line)
        .filter(|line| line.points.len() > 1)
        .collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let end = points().map(|point| point.0).fold(0.0, f64::max);
    if end == 0.0 {
        return String::new();
    }
    let greatest = points().map(|point| point.1).fold(0.0, f64::max);
    let x = Axis::from_zero(end, |value| format!("{} s", words::on_axis(value)));
    let x = Axis {
        range: (0.0, end),
        marks: x
            .marks
            .into_iter()
            .filter(|(value, _)| *value <= end)
            .collect(),
        ..x
    };
    let y = Axis::from_zero(greatest, words::on_axis);
    chart::lines(title, &x, &y, &lines)
}

/// Share of one CPU in each slice, at its end.
pub(super) fn cpu_percent(run: &Run) -> Vec<(f64, f64)> {
    let begins = std::iter::once(0).chain(run.series.iter().map(|slice| slice.at));
    let lengths = begins.zip(&run.series);
    lengths
        .map(|(begin, slice)| {
            let length = slice.at.saturating_sub(begin).max(1);
            let share = slice.on_cpu as f64 / length as f64;
            (slice.at as f64 / 1e9, share * 100.0)
        })
        .collect()
}

/// Resident memory at the end of each slice.
pub(super) fn mib(run: &Run) -> Vec<(f64, f64)> {
    let point = |slice: &Slice| {
        let mib = slice.resident as f64 / f64::from(1 << 20);
        (slice.at as f64 / 1e9, mib)
    };
    run.series.iter().map(point).collect()
}

/// Correct answers per second in each slice, at its end.
pub(super) fn rate(run: &Run) -> Vec<(f64, f64)> {
    let begins = std::iter::once(0).chain(run.series.iter().map(|slice| slice.at));
    let lengths = begins.zip(&run.series);
    lengths
        .map(|(begin, slice)| {
            let seconds = slice.at.saturating_sub(begin).max(1) as f64 / 1e9;
            (slice.at as f64 / 1e9, slice.answered as f64 / seconds)
        })
        .collect()
}
