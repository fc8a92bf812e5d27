//! The piece of Prometheus text (format 0.0.4) that is being written.

use std::fmt;
use std::io::Write as _;

use penstock_core::stats::BUCKETS_NS;

use super::sums::{BUCKETS, Durations};

/// Type of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    Counter,
    Gauge,
    Histogram,
}

impl Type {
    fn as_str(self) -> &'static str {
        match self {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        }
    }
}

/// Labels of a series: what tells resources apart, then what the cell itself says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Labels<'a> {
    /// Name and value; the value is escaped here.
    pub(super) own: &'a [(&'static str, &'a str)],
    /// Already in the format; may be empty.
    pub(super) fixed: &'static str,
}

/// Text on its way out, and how many series may still be written.
#[derive(Debug)]
pub(super) struct Page {
    /// Finished text.
    pub(super) text: Vec<u8>,
    /// Series that may still be written.
    pub(super) series_left: usize,
    /// Series that found no room.
    pub(super) dropped: u64,
    /// Leave out what is zero.
    pub(super) used_only: bool,
    heading: Option<String>,
}

impl Page {
    pub(super) fn new(series_max: usize, used_only: bool) -> Self {
        Self {
            text: Vec::new(),
            series_left: series_max,
            dropped: 0,
            used_only,
            heading: None,
        }
    }

    /// Begins a metric; its head is written with its first series, or not at all.
    pub(super) fn metric(&mut self, name: &str, help: &str, kind: Type) {
        let kind = kind.as_str();
        self.heading = Some(format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Writes one series, unless it is left out.
    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Into<Value>) {
        let value = value.into();
        if self.used_only && value.is_zero() || !self.take(1) {
            return;
        }
        self.line(name, "", labels, None, value);
    }

    /// Writes the series of one histogram, all or none, in seconds.
    pub(super) fn histogram(&mut self, name: &str, labels: Labels<'_>, durations: &Durations) {
        if self.used_only && durations.total() == 0 || !self.take(BUCKETS + 2) {
            return;
        }
        let bounds = BUCKETS_NS.iter().map(|&bound| seconds(bound).to_string());
        let bounds = bounds.chain(["+Inf".into()]);
        for (bound, count) in bounds.zip(durations.cumulative()) {
            self.line(name, "_bucket", labels, Some(&bound), count.into());
        }
        let (sum, count) = (seconds(durations.sum_ns), durations.total());
        self.line(name, "_sum", labels, None, sum.into());
        self.line(name, "_count", labels, None, count.into());
    }

    fn take(&mut self, series: usize) -> bool {
        match self.series_left.checked_sub(series) {
            Some(left) => self.series_left = left,
            None => {
                self.dropped += series as u64;
                return false;
            }
        }
        self.text
            .extend(self.heading.take().unwrap_or_default().into_bytes());
        true
    }

    fn line(&mut self, name: &str, suffix: &str, labels: Labels<'_>, le: Option<&str>, v: Value) {
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(suffix.as_bytes());
        let mut before = b'{';
        for (label, value) in labels.own.iter().copied().chain(le.map(|le| ("le", le))) {
            self.text.push(before);
            before = b',';
            self.text.extend_from_slice(label.as_bytes());
            self.text.extend_from_slice(b"=\"");
            escape(value, &mut self.text);
            self.text.push(b'"');
        }
        if !labels.fixed.is_empty() {
            self.text.push(before);
            before = b',';
            self.text.extend_from_slice(labels.fixed.as_bytes());
        }
        if before == b',' {
            self.text.push(b'}');
        }
        writeln!(self.text, " {v}").expect("writing to memory does not fail");
    }
}

/// Value of a series.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Whole(u64),
    Real(f64),
}

impl Value {
    fn is_zero(self) -> bool {
        match self {
            Value::Whole(value) => value == 0,
            Value::Real(value) => value == 0.0,
        }
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Value::Whole(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Real(value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Whole(value) => value.fmt(out),
            Value::Real(value) => value.fmt(out),
        }
    }
}

/// Nanoseconds in seconds.
pub(super) fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// Escapes a label value: backslash, quote, line end.
fn escape(value: &str, out: &mut Vec<u8>) {
    for byte in value.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            byte => out.push(byte),
        }
    }
}
