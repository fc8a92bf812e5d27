//! A run in the shape of Fortio's result, the form that the tools of this family exchange.
//!
//! Times are seconds. A request whose answer never was whole has no latency: it stands in
//! `ErrorsDurationHistogram` alone, where it has a count and nothing else.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Kind, go_duration, utc};
use super::histogram::{self, percentile, steps};
use crate::record::Latency;

/// Percentiles of the file; the first five are those that Meshery asks for.
const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99];

/// A whole result.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Fortio {
    pub(crate) run_type: String,
    pub(crate) labels: String,
    pub(crate) start_time: String,
    #[serde(rename = "RequestedQPS")]
    pub(crate) requested_qps: String,
    pub(crate) requested_duration: String,
    #[serde(rename = "ActualQPS")]
    pub(crate) actual_qps: f64,
    pub(crate) actual_duration: u64,
    pub(crate) num_threads: u32,
    pub(crate) version: String,
    pub(crate) duration_histogram: Shape,
    pub(crate) errors_duration_histogram: Shape,
    pub(crate) exactly: u64,
    pub(crate) jitter: bool,
    pub(crate) uniform: bool,
    #[serde(rename = "RunID")]
    pub(crate) run_id: u64,
    pub(crate) access_logger_info: String,
    pub(crate) ret_codes: BTreeMap<String, u64>,
    pub(crate) sizes: Shape,
    pub(crate) header_sizes: Shape,
    #[serde(rename = "URL")]
    pub(crate) url: String,
    pub(crate) socket_count: u64,
    pub(crate) abort_on: i32,
}

/// A histogram.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Shape {
    pub(crate) count: u64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) sum: f64,
    pub(crate) avg: f64,
    pub(crate) std_dev: f64,
    pub(crate) data: Option<Vec<Bucket>>,
    pub(crate) percentiles: Option<Vec<Percentile>>,
}

/// Values between two bounds, and the share of all values up to the upper one.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Bucket {
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) percent: f64,
    pub(crate) count: u64,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Percentile {
    pub(crate) percentile: f64,
    pub(crate) value: f64,
}

/// The result of a run by one of its latencies.
pub(crate) fn result(entry: &Entry<'_>, kind: Kind, latency: &Latency) -> Fortio {
    let ended = entry.run.ended.saturating_sub(entry.run.started);
    let shape = shape(latency);
    let offered = match entry.cell.rate {
        0 => "max".to_owned(),
        rate => rate.to_string(),
    };
    Fortio {
        run_type: run_type(entry).to_owned(),
        labels: format!("{} {}", entry.title(), kind.name()),
        start_time: utc(entry.run.started),
        requested_qps: offered,
        requested_duration: go_duration(entry.campaign.window),
        actual_qps: entry.per_second(shape.count),
        actual_duration: ended,
        num_threads: entry.cell.connections,
        version: format!("perf-lab {}", entry.campaign.environment.version),
        ret_codes: codes(entry, shape.count),
        errors_duration_histogram: Shape {
            count: unanswered(entry),
            ..Shape::default()
        },
        sizes: sizes(entry, shape.count),
        duration_histogram: shape,
        exactly: 0,
        jitter: entry.cell.rate > 0,
        uniform: false,
        run_id: 0,
        access_logger_info: String::new(),
        header_sizes: Shape::default(),
        url: entry.url(),
        socket_count: entry.run.load.connects,
        abort_on: 0,
    }
}

/// Name of the file of a run, as Fortio composes it: the time, then the labels.
pub(crate) fn file_name(entry: &Entry<'_>, kind: Kind) -> String {
    let time = utc(entry.run.started);
    let digits = time.split('.').next().unwrap_or(&time);
    let digits: String = digits.chars().filter(char::is_ascii_digit).collect();
    let labels = format!("{} {}", entry.title(), kind.name());
    let words = labels.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!("{digits}_{}.json", words.join("_"))
}

fn run_type(entry: &Entry<'_>) -> &'static str {
    match entry.cell.protocol.as_str() {
        "tcp" => "TCP",
        "grpc" => "GRPC Ping",
        _ => "HTTP",
    }
}

/// Whole answers by status. Where a protocol has none, all that were timed are `OK`.
fn codes(entry: &Entry<'_>, timed: u64) -> BTreeMap<String, u64> {
    let named: BTreeMap<String, u64> = statuses(entry)
        .map(|(status, count)| (status.to_string(), *count))
        .collect();
    match named.is_empty() && timed > 0 {
        true => [("OK".to_owned(), timed)].into(),
        false => named,
    }
}

/// Statuses of whole answers; 0 stands in older records of protocols that have none.
fn statuses<'a>(entry: &Entry<'a>) -> impl Iterator<Item = &'a (u16, u64)> {
    let all = entry.run.load.statuses.iter();
    all.filter(|(status, _)| *status > 0)
}

/// Requests that were given up without a whole answer.
fn unanswered(entry: &Entry<'_>) -> u64 {
    let whole: u64 = statuses(entry).map(|(_, count)| count).sum();
    let wrong = whole.saturating_sub(entry.run.load.answered);
    entry.failed().saturating_sub(wrong)
}

/// Sizes of the answers as far as they are known: all correct ones have the same body.
fn sizes(entry: &Entry<'_>, timed: u64) -> Shape {
    let count = entry.run.load.answered.min(timed);
    let size = entry.cell.response_bytes as f64;
    let bucket = Bucket {
        start: size,
        end: size,
        percent: 100.0,
        count,
    };
    if count == 0 {
        return Shape::default();
    }
    Shape {
        count,
        min: size,
        max: size,
        sum: size * count as f64,
        avg: size,
        std_dev: 0.0,
        data: Some(vec![bucket]),
        percentiles: None,
    }
}

fn shape(latency: &Latency) -> Shape {
    histogram::decode(latency).map_or_else(Shape::default, |histogram| filled(&histogram))
}

fn filled(histogram: &Histogram<u64>) -> Shape {
    let count = histogram.len();
    let mut below = 0;
    let buckets = steps(histogram).into_iter().map(|step| {
        below += step.count;
        Bucket {
            start: seconds(step.start),
            end: seconds(step.end),
            percent: below as f64 * 100.0 / count as f64,
            count: step.count,
        }
    });
    let listed = PERCENTILES.map(|percent| Percentile {
        percentile: percent,
        value: seconds(percentile(histogram, percent)),
    });
    Shape {
        count,
        min: seconds(histogram.min()),
        max: seconds(histogram.max()),
        sum: histogram.mean() / 1e9 * count as f64,
        avg: histogram.mean() / 1e9,
        std_dev: histogram.stdev() / 1e9,
        data: Some(buckets.collect()),
        percentiles: Some(listed.to_vec()),
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
