//! The page of one run.

use super::chart::{self, Line};
use super::curves::{cpu_percent, latency_chart, mib, rate, time_chart};
use super::html::{escape, facts, page as whole, table};
use super::words;
use crate::report::entry::{Entry, Kind, listed, utc};
use crate::report::histogram;
use crate::report::mue::{FORMULA, MISSING, Mue};
use crate::report::summary::{cpu_us, kib_per_connection, switches_per_request};

/// The page of a run, given the files that lie beside it.
pub(in crate::report) fn page(entry: &Entry<'_>, files: &[String]) -> String {
    let mut body = header(entry);
    body += &format!(
        "<section>\n<h2>Figures</h2>\n{}</section>\n",
        figures(entry)
    );
    body += &latencies(entry);
    body += &efficiency(entry);
    body += &over_time(entry);
    body += &format!("<section>\n<h2>Files</h2>\n{}</section>\n", links(files));
    whole(&format!("{} · perf-lab", entry.title()), &body)
}

fn header(entry: &Entry<'_>) -> String {
    let void = match entry.is_valid() {
        true => String::new(),
        false => format!(
            "<p class=\"warning\">This run is void: {}</p>\n",
            escape(&entry.run.void)
        ),
    };
    let short = super::short(entry.campaign);
    format!(
        "<header>\n<p class=\"kicker\"><a href=\"../report.html\">{}</a> · one run</p>\n\
         <h1>{}</h1>\n<p class=\"about\">{}</p>\n{void}{short}</header>\n",
        escape(&entry.campaign.name),
        escape(&entry.title()),
        escape(&words::workload(entry.cell))
    )
}

fn figures(entry: &Entry<'_>) -> String {
    let (run, load, cost) = (entry.run, &entry.run.load, &entry.run.cost);
    let open = entry.cell.connections + entry.cell.idle;
    let count = |value: u64| words::thousands(&value.to_string());
    let some = |value: Option<f64>, unit: &str| {
        value.map_or_else(String::new, |value| {
            format!("{} {unit}", words::figure(value))
        })
    };
    let kinds: Vec<String> = load
        .failures
        .iter()
        .map(|(kind, number)| format!("{kind} {}", count(*number)))
        .collect();
    facts(&[
        ("Subject", words::versioned(entry.subject)),
        (
            "Window",
            format!("{} to {}", utc(run.started), utc(run.ended)),
        ),
        ("CPU per request", some(cpu_us(run), "µs")),
        ("CPU in the window", some_length(cost.on_cpu)),
        ("CPU of load and origin", some_length(load.on_cpu)),
        ("In a run queue", some_length(cost.waiting)),
        ("ksoftirqd", words::length(cost.ksoftirqd)),
        ("Steal", format!("{} %", words::figure(cost.steal))),
        ("Correct answers", count(load.answered)),
        (
            "Throughput",
            some(Some(entry.per_second(load.answered)), "requests/s"),
        ),
        ("Failures", kinds.join(", ")),
        (
            "Bytes",
            format!(
                "{} in, {} out",
                words::bytes(load.bytes_in),
                words::bytes(load.bytes_out)
            ),
        ),
        (
            "Connections",
            format!(
                "{} by the load, {} at the origin",
                count(load.connects),
                count(load.origin_connects)
            ),
        ),
        ("Resident memory", words::bytes(cost.resident)),
        (
            "Memory per connection",
            some(
                kib_per_connection(run, open).filter(|_| !entry.is_direct()),
                "KiB",
            ),
        ),
        ("Switches per request", some(switches_per_request(run), "")),
        ("Threads", cost.threads.to_string()),
        (
            "Requests late",
            match load.lateness_p99 {
                0 => String::new(),
                late => format!("{} at p99", words::latency(late)),
            },
        ),
    ])
}

/// Nothing of what was not measured.
fn some_length(nanoseconds: u64) -> String {
    match nanoseconds {
        0 => String::new(),
        length => words::length(length),
    }
}

fn latencies(entry: &Entry<'_>) -> String {
    let taken = entry.latencies();
    if taken.is_empty() {
        return String::new();
    }
    let heads = [
        "Latency", "min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max", "values",
    ];
    let rows: Vec<_> = taken
        .iter()
        .map(|(kind, latency)| {
            let percentile = |percent| {
                listed(latency, percent).map_or_else(|| words::NONE.to_owned(), words::latency)
            };
            let mut row = vec![
                name(*kind).to_owned(),
                words::latency(latency.min),
                words::latency(latency.mean as u64),
            ];
            row.extend([50.0, 90.0, 99.0, 99.9, 99.99].map(percentile));
            row.extend([
                words::latency(latency.max),
                words::thousands(&latency.count.to_string()),
            ]);
            row
        })
        .collect();
    let lines: Vec<Line> = taken
        .iter()
        .zip([0, 3])
        .filter_map(|((kind, latency), tone)| {
            let points = histogram::curve(&histogram::decode(latency)?);
            Some(Line {
                name: name(*kind).to_owned(),
                tone,
                points: points
                    .iter()
                    .map(|(quantile, value)| (*quantile, *value as f64))
                    .collect(),
            })
        })
        .collect();
    format!(
        "<section>\n<h2>Latency</h2>\n{}{}</section>\n",
        table("Latency", &heads.map(str::to_owned), &rows),
        latency_chart("Latency by percentile", &lines)
            + &chart::legend(lines.iter().map(|line| (line.name.as_str(), line.tone)))
    )
}

/// Shares that were left, and the number of MeshMark's style with its formula.
fn efficiency(entry: &Entry<'_>) -> String {
    let Some(mue) = Mue::of(entry) else {
        return String::new();
    };
    let latency = mue.mue_latency.map(|share| share.to_string());
    let listed = facts(&[
        ("mue_cpu", mue.mue_cpu.to_string()),
        ("mue_memory", mue.mue_memory.to_string()),
        ("mue_latency", latency.unwrap_or_default()),
        ("meshmark_style_index", mue.meshmark_style_index.to_string()),
    ]);
    format!(
        "<section>\n<h2>What was left</h2>\n{listed}<p>The index is {}, with all weights 0, over \
         the classes that are there; it compares with no other score. {}.</p>\n</section>\n",
        escape(FORMULA),
        escape(MISSING)
    )
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Corrected => "from when it was due",
        Kind::Service => "service time",
    }
}

fn over_time(entry: &Entry<'_>) -> String {
    let runs = [entry.run];
    let charts = [
        time_chart("Answers per second", entry.campaign, &runs, rate),
        time_chart("CPU, % of one CPU", entry.campaign, &runs, cpu_percent),
        time_chart("Resident memory, MiB", entry.campaign, &runs, mib),
    ];
    match charts.concat() {
        none if none.is_empty() => none,
        charts => format!(
            "<section>\n<h2>Over the window</h2>\n<div class=\"charts\">\n{charts}</div>\n\
             </section>\n"
        ),
    }
}

fn links(files: &[String]) -> String {
    let items: String = files
        .iter()
        .map(|file| format!("<li><a href=\"{0}\">{0}</a></li>\n", escape(file)))
        .collect();
    format!("<ul class=\"files\">\n{items}</ul>\n")
}
