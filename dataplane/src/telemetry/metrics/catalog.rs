//! Every metric once: its name, what it says of itself, and where its series come from.

use std::borrow::Cow;

use penstock_core::stats::{
    Cell, ClusterCounters, DnsCounters, Kind, ListenerCounters, RouteCounters, WorkerCounters,
};

use super::page::{Type, Value};
use crate::telemetry::process::Process;

/// A metric and where its series come from.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: Cow<'static, str>,
    pub(super) help: &'static str,
    pub(super) kind: Type,
    pub(super) parts: Vec<Part>,
}

/// Where series of a metric come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Build,
    Live,
    Uptime,
    Generation,
    Listener(&'static Cell<ListenerCounters>),
    Refusals,
    RequestDuration,
    Route(&'static Cell<RouteCounters>),
    Cluster(&'static Cell<ClusterCounters>),
    ConnectDuration,
    UpstreamDuration,
    Health,
    CircuitOpen,
    Dns(&'static Cell<DnsCounters>),
    Worker(&'static Cell<WorkerCounters>),
    Busy,
    Loop,
    LogWritten,
    LogDropped,
    Process(fn(&Process) -> Option<Value>),
}

/// Every metric once, with all its sources; cells of one name are collected.
pub(super) fn metrics() -> Vec<Metric> {
    let mut metrics = fixed();
    for cell in ListenerCounters::CELLS {
        collect(&mut metrics, cell, Part::Listener(cell));
    }
    for cell in RouteCounters::CELLS {
        collect(&mut metrics, cell, Part::Route(cell));
    }
    for cell in ClusterCounters::CELLS {
        collect(&mut metrics, cell, Part::Cluster(cell));
    }
    for cell in DnsCounters::CELLS {
        collect(&mut metrics, cell, Part::Dns(cell));
    }
    for cell in WorkerCounters::CELLS {
        collect(&mut metrics, cell, Part::Worker(cell));
    }
    metrics
}

fn collect<F>(metrics: &mut Vec<Metric>, cell: &'static Cell<F>, part: Part) {
    let name = exported_name(base(cell.metric));
    if let Some(metric) = metrics.iter_mut().find(|metric| metric.name == name) {
        metric.parts.push(part);
        return;
    }
    let kind = match cell.kind {
        Kind::Counter => Type::Counter,
        Kind::Gauge => Type::Gauge,
    };
    metrics.push(Metric {
        name,
        help: cell.help,
        kind,
        parts: vec![part],
    });
}

fn fixed() -> Vec<Metric> {
    use Type::{Counter, Gauge, Histogram};
    let metric = |name: &'static str, kind, help, part| Metric {
        name: Cow::Borrowed(name),
        help,
        kind,
        parts: vec![part],
    };
    let mut metrics = vec![
        metric("penstock_build_info", Gauge, "What runs here.", Part::Build),
        metric(
            "penstock_live",
            Gauge,
            "1 while nothing stops traffic from coming.",
            Part::Live,
        ),
        metric(
            "penstock_uptime_seconds",
            Gauge,
            "Time since the start.",
            Part::Uptime,
        ),
        metric(
            "penstock_xds_snapshot_version",
            Gauge,
            "Generation of the configuration in force.",
            Part::Generation,
        ),
        metric(
            "penstock_protocol_errors_total",
            Counter,
            "Messages refused because they break a rule.",
            Part::Refusals,
        ),
        metric(
            "penstock_http_request_duration_seconds",
            Histogram,
            "First byte of the request to last byte of the response.",
            Part::RequestDuration,
        ),
        metric(
            "penstock_upstream_connect_duration_seconds",
            Histogram,
            "Time to open a connection to an origin.",
            Part::ConnectDuration,
        ),
        metric(
            "penstock_upstream_request_duration_seconds",
            Histogram,
            "Request sent to an origin until its response is complete.",
            Part::UpstreamDuration,
        ),
        metric(
            "penstock_upstream_health",
            Gauge,
            "Endpoints by state.",
            Part::Health,
        ),
        metric(
            "penstock_circuit_open",
            Gauge,
            "1 while workers hold all of a threshold, reserves included.",
            Part::CircuitOpen,
        ),
        metric(
            "penstock_worker_busy_ratio",
            Gauge,
            "Share of the last seconds that the worker did not wait.",
            Part::Busy,
        ),
        metric(
            "penstock_worker_loop_duration_seconds",
            Histogram,
            "Busy time of a turn of the loop.",
            Part::Loop,
        ),
        metric(
            "penstock_access_log_written_total",
            Counter,
            "Access log lines written.",
            Part::LogWritten,
        ),
        metric(
            "penstock_access_log_dropped_total",
            Counter,
            "Access log lines dropped.",
            Part::LogDropped,
        ),
    ];
    metrics.extend(process());
    metrics
}

/// The usual set, under its usual names.
fn process() -> Vec<Metric> {
    type Read = fn(&Process) -> Option<Value>;
    let metric = |name: &'static str, kind, help, read: Read| Metric {
        name: Cow::Borrowed(name),
        help,
        kind,
        parts: vec![Part::Process(read)],
    };
    vec![
        metric(
            "process_cpu_seconds_total",
            Type::Counter,
            "Total user and system CPU time spent in seconds.",
            |process| process.cpu_seconds.map(Into::into),
        ),
        metric(
            "process_open_fds",
            Type::Gauge,
            "Number of open file descriptors.",
            |process| process.open_descriptors.map(Into::into),
        ),
        metric(
            "process_max_fds",
            Type::Gauge,
            "Maximum number of open file descriptors.",
            |process| process.descriptors_max.map(Into::into),
        ),
        metric(
            "process_virtual_memory_bytes",
            Type::Gauge,
            "Virtual memory size in bytes.",
            |process| process.virtual_bytes.map(Into::into),
        ),
        metric(
            "process_resident_memory_bytes",
            Type::Gauge,
            "Resident memory size in bytes.",
            |process| process.resident_bytes.map(Into::into),
        ),
        metric(
            "process_start_time_seconds",
            Type::Gauge,
            "Start time of the process since unix epoch in seconds.",
            |process| process.start_seconds.map(Into::into),
        ),
        metric(
            "process_threads",
            Type::Gauge,
            "Number of OS threads in the process.",
            |process| process.threads.map(Into::into),
        ),
    ]
}

/// What a worker counts in nanoseconds.
pub(super) const NANOSECONDS: &str = "_nanoseconds_total";

/// The name of a metric without its labels.
pub(super) fn base(metric: &'static str) -> &'static str {
    metric.split_once('{').map_or(metric, |(name, _)| name)
}

/// Base units: what a worker counts in nanoseconds is shown in seconds.
fn exported_name(name: &'static str) -> Cow<'static, str> {
    match name.strip_suffix(NANOSECONDS) {
        Some(stem) => format!("{stem}_seconds_total").into(),
        None => name.into(),
    }
}
