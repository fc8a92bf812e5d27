//! What was recorded, for tools that compute on their own: histograms and the window in slices.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::entry::{Entry, Kind, ms};
use super::histogram;
use crate::record::Latency;

/// The histogram of the window as an interval log of one interval; `None` without a value. Times
/// in the log are nanoseconds, its maxima milliseconds.
pub(crate) fn interval_log(entry: &Entry<'_>, kind: Kind, latency: &Latency) -> Option<Vec<u8>> {
    let histogram = histogram::decode(latency)?;
    let began = UNIX_EPOCH + Duration::from_nanos(entry.run.started);
    let length = Duration::from_nanos(entry.run.ended.saturating_sub(entry.run.started));
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(&format!("{}, {}, nanoseconds", entry.title(), kind.name()))
        .with_start_time(began)
        .with_base_time(began)
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut bytes, &mut serializer)
        .ok()?;
    log.write_histogram(&histogram, Duration::ZERO, length, Tag::new(kind.name()))
        .ok()?;
    Some(bytes)
}

/// The window in slices; rates are those of each slice.
pub(crate) fn series(entry: &Entry<'_>) -> String {
    let mut text = String::from(
        "end_s,answered_per_s,failed,p50_ms,p99_ms,cpu_percent,resident_bytes,\
         received_bytes_per_s,switches_per_s\n",
    );
    let mut begin = 0;
    for slice in &entry.run.series {
        let seconds = slice.at.saturating_sub(begin).max(1) as f64 / 1e9;
        let rate = |quantity: u64| quantity as f64 / seconds;
        writeln!(
            text,
            "{:.3},{:.1},{},{},{},{:.2},{},{:.0},{:.1}",
            slice.at as f64 / 1e9,
            rate(slice.answered),
            slice.failed,
            ms(slice.p50),
            ms(slice.p99),
            rate(slice.on_cpu) / 1e7,
            slice.resident,
            rate(slice.bytes_in),
            rate(slice.switches),
        )
        .expect("a string takes all");
        begin = slice.at;
    }
    text
}
