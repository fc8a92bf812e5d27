//! What the schema has no field for: names and values, all of them text.

use std::collections::BTreeMap;

use super::super::entry::{Entry, Kind, listed, ms};
use super::super::summary::{cpu_us, switches_per_request};

/// Names and values of one message.
pub(crate) type Labels = BTreeMap<String, String>;

/// Why there are no counters of a network card.
const NO_NIC: &str = "lo is no network card: it has no capacity, and its counters are those of all \
                      processes; the bytes of the load stand in raw/series.csv instead";

/// Every label that a run may have; two runs of one campaign differ in nothing else.
pub(crate) const DOCUMENTED: [&str; 39] = [
    "body_bytes",
    "bytes_per_second",
    "bytes_total",
    "cpu_model",
    "cpu_us_per_request",
    "cpus_load",
    "cpus_origin",
    "cpus_proxy",
    "ctx_switches_per_request",
    "dirty",
    "errors_by_kind",
    "errors_total",
    "git_rev",
    "io_backend",
    "kernel",
    "latency_kind",
    "latency_unit",
    "load_generator_host",
    "load_generator_version",
    "nic",
    "note",
    "numa_nodes",
    "offered_rps",
    "p75_ms",
    "p9999_ms",
    "p999_ms",
    "protocol_downstream",
    "protocol_upstream",
    "round",
    "rounds",
    "rps",
    "seed",
    "service_p50_ms",
    "service_p999_ms",
    "service_p99_ms",
    "source_rev",
    "tls",
    "valid",
    "workers",
];

/// All labels of one run.
pub(crate) fn of(entry: &Entry<'_>) -> Labels {
    let mut labels = Labels::new();
    place(entry, &mut labels);
    workload(entry, &mut labels);
    outcome(entry, &mut labels);
    latency(entry, &mut labels);
    labels
}

/// The labels of the place alone, and what is missing there.
pub(crate) fn of_place(entry: &Entry<'_>) -> Labels {
    let mut labels = Labels::new();
    place(entry, &mut labels);
    put(&mut labels, "note", NO_NIC);
    labels
}

fn place(entry: &Entry<'_>, labels: &mut Labels) {
    let environment = &entry.campaign.environment;
    put(labels, "cpu_model", &environment.cpu_model);
    put(labels, "kernel", &environment.kernel);
    revisions(entry, labels);
    put(labels, "load_generator_host", &environment.host);
    put(labels, "load_generator_version", &environment.version);
    put(labels, "nic", "lo");
    if environment.numa_nodes > 0 {
        put(labels, "numa_nodes", environment.numa_nodes);
    }
    // Of what stands between load and origin: without it there is no proxy that has CPUs.
    let cpus = &entry.run.cpus;
    let proxy = match entry.is_direct() {
        true => &[],
        false => cpus.subject.as_slice(),
    };
    for (name, cpus) in [
        ("cpus_proxy", proxy),
        ("cpus_load", &cpus.load),
        ("cpus_origin", &cpus.origin),
    ] {
        let list: Vec<String> = cpus.iter().map(u32::to_string).collect();
        if !list.is_empty() {
            put(labels, name, list.join(","));
        }
    }
    if entry.campaign.seed > 0 {
        put(labels, "seed", entry.campaign.seed);
    }
}

/// Of the program that was measured, and of the tree where it is another one.
fn revisions(entry: &Entry<'_>, labels: &mut Labels) {
    let revisions = entry.revisions();
    put(labels, "git_rev", revisions.measured);
    put(labels, "dirty", revisions.dirty);
    if let Some(source) = revisions.source {
        put(labels, "source_rev", source);
    }
}

fn workload(entry: &Entry<'_>, labels: &mut Labels) {
    let protocol = match entry.cell.protocol.as_str() {
        "http1" => "h1",
        other => other,
    };
    put(labels, "protocol_downstream", protocol);
    put(labels, "protocol_upstream", protocol);
    put(labels, "tls", "none");
    put(labels, "body_bytes", entry.cell.response_bytes);
    put(labels, "offered_rps", entry.cell.rate);
    if !entry.subject.driver.is_empty() {
        put(labels, "io_backend", &entry.subject.driver);
    }
    put(labels, "workers", entry.subject.workers);
    put(labels, "round", entry.run.round);
    put(labels, "rounds", entry.campaign.rounds);
}

fn outcome(entry: &Entry<'_>, labels: &mut Labels) {
    let run = entry.run;
    put(labels, "rps", decimal(entry.per_second(run.load.answered)));
    let bytes = entry.per_second(entry.bytes());
    put(labels, "bytes_per_second", bytes.round());
    put(labels, "bytes_total", entry.bytes());
    put(labels, "errors_total", entry.failed());
    put(labels, "errors_by_kind", errors(entry));
    if let Some(cpu) = cpu_us(run) {
        put(labels, "cpu_us_per_request", decimal(cpu));
    }
    if let Some(switches) = switches_per_request(run) {
        put(labels, "ctx_switches_per_request", decimal(switches));
    }
    put(labels, "valid", entry.is_valid());
    if !entry.is_valid() {
        put(labels, "note", &run.void);
    }
}

fn latency(entry: &Entry<'_>, labels: &mut Labels) {
    let (kind, latency) = entry.latency();
    put(labels, "latency_unit", "ms");
    put(labels, "latency_kind", kind.name());
    let mut percentiles = |latency, names: [(&str, f64); 3]| {
        for (name, percent) in names {
            if let Some(value) = listed(latency, percent) {
                put(labels, name, ms(value));
            }
        }
    };
    let names = [("p75_ms", 75.0), ("p999_ms", 99.9), ("p9999_ms", 99.99)];
    percentiles(latency, names);
    // At a set rate both are told: the one hides a queue, the other shows it.
    if kind == Kind::Corrected {
        let names = ["service_p50_ms", "service_p99_ms", "service_p999_ms"];
        let percents = [50.0, 99.0, 99.9];
        let names = [0, 1, 2].map(|at| (names[at], percents[at]));
        percentiles(&entry.run.load.service, names);
    }
}

/// `connect=0,timeout=0,status=3,body=0`, and kinds of perf-lab's own behind them.
fn errors(entry: &Entry<'_>) -> String {
    let count = |kinds: &[&str]| -> u64 {
        let failures = entry.run.load.failures.iter();
        let named = failures.filter(|(kind, _)| kinds.contains(&kind.as_str()));
        named.map(|(_, count)| count).sum()
    };
    let mut text = format!(
        "connect={},timeout={},status={},body={}",
        count(&["connect"]),
        count(&["timeout"]),
        count(&["status"]),
        count(&["body", "length", "pattern"])
    );
    let known = ["connect", "timeout", "status", "body", "length", "pattern"];
    for (kind, count) in &entry.run.load.failures {
        if !known.contains(&kind.as_str()) {
            text += &format!(",{kind}={count}");
        }
    }
    text
}

/// Three digits behind the point at most.
fn decimal(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn put(labels: &mut Labels, name: &str, value: impl ToString) {
    labels.insert(name.to_owned(), value.to_string());
}
