//! `/stats` and its Prometheus form.

use hyper::StatusCode;
use regex::{Regex, RegexBuilder};

use super::answer::{Answer, JSON, PROMETHEUS, TEXT};
use super::desk::Desk;
use super::query::Query;
use crate::telemetry::metrics::{EnvoyStats, Exposition, SERIES_MAX, Selection, Shape};

/// Bytes that a filter may take once compiled.
const FILTER_BYTES_MAX: usize = 256 * 1024;

pub(super) fn stats(desk: &Desk, query: &Query) -> Answer {
    let (shape, kind) = match query.value("format") {
        None | Some("" | "text") => (Shape::Text, TEXT),
        Some("json") => (Shape::Json, JSON),
        Some("prometheus") => return prometheus(desk, query),
        Some(_) => {
            let why = "format is text, json or prometheus";
            return Answer::refused(StatusCode::BAD_REQUEST, why);
        }
    };
    let filter = match query.value("filter").map(filter).transpose() {
        Ok(filter) => filter,
        Err(fault) => {
            let why = format!("filter is not a regular expression that is served: {fault}");
            return Answer::refused(StatusCode::BAD_REQUEST, why);
        }
    };
    let selection = Selection {
        filter,
        used_only: query.has("usedonly"),
    };
    Answer::pieces(
        kind,
        Box::new(EnvoyStats::new(desk.view(), selection, shape)),
    )
}

pub(super) fn prometheus(desk: &Desk, query: &Query) -> Answer {
    let used_only = query.has("usedonly");
    let text = Exposition::new(desk.view(), SERIES_MAX, used_only, desk.dropped.clone());
    Answer::pieces(PROMETHEUS, Box::new(text))
}

fn filter(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .size_limit(FILTER_BYTES_MAX)
        .build()
}
