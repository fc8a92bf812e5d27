//! Statistics under Envoy's names, for dashboards and scripts that exist.
//!
//! Rows stand in the order of their names, numbers first and histograms after them. What Envoy does
//! not count is there under a name of its kind; what we do not count is absent, never zero.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use penstock_core::config::cluster::{Cluster, Health};
use penstock_core::config::listener::Listener;
use penstock_core::stats::{
    Cell, ClusterCounters, DnsCounters, Kind, ListenerCounters, WorkerCounters,
};
use regex::Regex;

use super::sums::{Durations, budgets, cell, durations};
use super::{View, names};
use crate::admin::State;

/// Which statistics are wanted.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// `filter`: a regular expression that the name must contain.
    pub filter: Option<Regex>,
    /// `usedonly`: leave out what is zero or empty.
    pub used_only: bool,
}

/// How they are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// `name: value` per line.
    Text,
    /// One object.
    Json,
}

/// The text of `/stats`, piece by piece.
#[derive(Debug)]
pub struct EnvoyStats {
    view: View,
    rows: Vec<Row>,
    step: usize,
    first: bool,
    selection: Selection,
    shape: Shape,
}

/// What shares the first part of its names.
#[derive(Debug)]
enum Row {
    Cluster(Arc<Cluster>),
    ClusterManager,
    Dns,
    Http(Box<str>, Vec<Arc<Listener>>),
    Listener(Arc<Listener>),
    ListenerManager,
    Server,
    Worker(usize),
}

const QUANTILES: [f64; 10] = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0];

type Numbers = BTreeMap<String, (Kind, u64)>;

impl EnvoyStats {
    /// Those of `view` that are selected.
    pub fn new(view: View, selection: Selection, shape: Shape) -> Self {
        Self {
            rows: rows(&view),
            view,
            step: 0,
            first: true,
            selection,
            shape,
        }
    }

    fn numbers(&mut self, row: usize, out: &mut String) {
        let row = &self.rows[row];
        for (rest, (_, value)) in numbers(row, &self.view) {
            let name = format!("{}{rest}", row.prefix());
            if self.selection.used_only && value == 0 || !self.selection.wants(&name) {
                continue;
            }
            let _ = match self.shape {
                Shape::Text => writeln!(out, "{name}: {value}"),
                Shape::Json => {
                    let comma = comma(&mut self.first);
                    write!(
                        out,
                        "{comma}{{\"name\":{},\"value\":{value}}}",
                        quoted(&name)
                    )
                }
            };
        }
    }

    fn histograms(&mut self, row: usize, out: &mut String) {
        let row = &self.rows[row];
        for (rest, times) in histograms(row) {
            let name = format!("{}{rest}", row.prefix());
            let unused = times.total() == 0;
            if self.selection.used_only && unused || !self.selection.wants(&name) {
                continue;
            }
            match self.shape {
                Shape::Text => text_histogram(&name, &times, out),
                Shape::Json => {
                    out.push_str(comma(&mut self.first));
                    json_histogram(&name, &times, out);
                }
            }
        }
    }

    fn between(&mut self, out: &mut String) {
        if self.shape == Shape::Text {
            return;
        }
        let quantiles = QUANTILES.map(|quantile| quantile.to_string()).join(",");
        let comma = comma(&mut self.first);
        let _ = write!(
            out,
            "{comma}{{\"histograms\":{{\"supported_quantiles\":[{quantiles}],\
             \"computed_quantiles\":["
        );
        self.first = true;
    }

    fn frame(&self, text: &str, out: &mut String) {
        if self.shape == Shape::Json {
            out.push_str(text);
        }
    }
}

impl Iterator for EnvoyStats {
    type Item = Vec<u8>;

    /// One row per call, numbers of all rows first; may be empty.
    fn next(&mut self) -> Option<Vec<u8>> {
        let rows = self.rows.len();
        let mut out = String::new();
        match self.step {
            0 => self.frame("{\"stats\":[", &mut out),
            step if step <= rows => self.numbers(step - 1, &mut out),
            step if step == rows + 1 => self.between(&mut out),
            step if step <= 2 * rows + 1 => self.histograms(step - rows - 2, &mut out),
            step if step == 2 * rows + 2 => self.frame("]}}]}\n", &mut out),
            _ => return None,
        }
        self.step += 1;
        Some(out.into_bytes())
    }
}

impl Selection {
    fn wants(&self, name: &str) -> bool {
        self.filter
            .as_ref()
            .is_none_or(|filter| filter.is_match(name))
    }
}

impl Row {
    fn prefix(&self) -> String {
        match self {
            Row::Cluster(cluster) => format!("cluster.{}.", clean(&cluster.name)),
            Row::ClusterManager => "cluster_manager.".into(),
            Row::Dns => "dns.".into(),
            Row::Http(prefix, _) => format!("http.{}.", clean(prefix)),
            Row::Listener(listener) => {
                format!("listener.{}.", clean(&listener.address.to_string()))
            }
            Row::ListenerManager => "listener_manager.".into(),
            Row::Server => "server.".into(),
            Row::Worker(number) => format!("worker.{number}."),
        }
    }
}

fn rows(view: &View) -> Vec<Row> {
    let mut by_prefix: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for listener in &view.listeners {
        let prefixes: BTreeSet<_> = listener
            .chains
            .http_settings()
            .map(|http| http.stat_prefix.clone())
            .collect();
        for prefix in prefixes {
            by_prefix.entry(prefix).or_default().push(listener.clone());
        }
    }
    let clusters = view.clusters.iter().cloned().map(Row::Cluster);
    let http = by_prefix
        .into_iter()
        .map(|(prefix, listeners)| Row::Http(prefix, listeners));
    let listeners = view.listeners.iter().cloned().map(Row::Listener);
    let workers = (0..view.workers.iter().count()).map(Row::Worker);
    clusters
        .chain([Row::ClusterManager, Row::Dns])
        .chain(http)
        .chain(listeners)
        .chain([Row::ListenerManager, Row::Server])
        .chain(workers)
        .collect()
}

fn numbers(row: &Row, view: &View) -> Numbers {
    let mut numbers = Numbers::new();
    match row {
        Row::Cluster(cluster) => cluster_numbers(cluster, &mut numbers),
        Row::ClusterManager => {
            gauge(&mut numbers, "active_clusters", view.clusters.len() as u64);
        }
        Row::Dns => {
            for which in view.dns.iter().flat_map(|_| DnsCounters::CELLS) {
                let value = view.dns.as_ref().map_or(0, |dns| (which.read)(dns));
                add(&mut numbers, names::dns(which.metric), which, value);
            }
        }
        Row::Http(_, listeners) => {
            let cells = ListenerCounters::CELLS.iter();
            let named = cells.filter_map(|cell| Some((names::http(cell.metric)?, cell)));
            for (name, which) in named {
                listeners.iter().for_each(|listener| {
                    add(
                        &mut numbers,
                        name.into(),
                        which,
                        listener_cell(listener, which),
                    );
                });
            }
            let refused = listeners.iter().map(|listener| refusals(listener)).sum();
            numbers.insert(
                "downstream_cx_protocol_error".into(),
                (Kind::Counter, refused),
            );
        }
        Row::Listener(listener) => {
            for which in ListenerCounters::CELLS {
                if let Some(name) = names::listener(which.metric) {
                    add(&mut numbers, name, which, listener_cell(listener, which));
                }
            }
        }
        Row::ListenerManager => {
            gauge(
                &mut numbers,
                "total_listeners_active",
                view.listeners.len() as u64,
            );
            gauge(
                &mut numbers,
                "workers_started",
                u64::from(view.state != State::PreInitializing),
            );
        }
        Row::Server => server_numbers(view, &mut numbers),
        Row::Worker(number) => {
            for worker in view.workers.iter().skip(*number).take(1) {
                for which in WorkerCounters::CELLS {
                    let value = (which.read)(&worker.counters);
                    add(&mut numbers, names::worker(which.metric), which, value);
                }
            }
        }
    }
    numbers
}

fn cluster_numbers(cluster: &Cluster, numbers: &mut Numbers) {
    for which in ClusterCounters::CELLS {
        let value = cell(&cluster.stats, |stats| &stats.counters, which);
        add(numbers, names::cluster(which.metric), which, value);
    }
    let endpoints = || cluster.priorities.iter().flatten();
    let with = |health| {
        endpoints()
            .filter(|endpoint| endpoint.health == health)
            .count() as u64
    };
    gauge(numbers, "membership_total", endpoints().count() as u64);
    gauge(numbers, "membership_healthy", with(Health::Healthy));
    gauge(numbers, "membership_degraded", with(Health::Degraded));
    let levels = [
        ("default", &cluster.breakers.default),
        ("high", &cluster.breakers.high),
    ];
    for (priority, shared) in levels {
        for ((_, budget), name) in budgets(shared).iter().zip(["cx", "rq_pending", "rq"]) {
            let open = u64::from(budget.taken() >= budget.ceiling());
            gauge(
                numbers,
                &format!("circuit_breakers.{priority}.{name}_open"),
                open,
            );
        }
    }
}

fn server_numbers(view: &View, numbers: &mut Numbers) {
    let process = &view.process;
    gauge(numbers, "uptime", view.uptime.as_secs());
    gauge(numbers, "live", u64::from(view.state == State::Live));
    gauge(numbers, "state", envoy_state(view.state));
    gauge(numbers, "concurrency", view.workers.iter().count() as u64);
    gauge(
        numbers,
        "memory_physical_size",
        process.resident_bytes.unwrap_or_default(),
    );
    let connections = view
        .listeners
        .iter()
        .map(|listener| u64::from(listener.connections.used()));
    gauge(numbers, "total_connections", connections.sum());
}

/// `envoy.admin.v3.ServerInfo.State`.
fn envoy_state(state: State) -> u64 {
    match state {
        State::Live => 0,
        State::Draining => 1,
        State::PreInitializing => 2,
    }
}

fn histograms(row: &Row) -> Vec<(&'static str, Durations)> {
    match row {
        Row::Cluster(cluster) => vec![
            (
                "upstream_cx_connect_ms",
                durations(&cluster.stats, |stats| &stats.connect_duration),
            ),
            (
                "upstream_rq_time",
                durations(&cluster.stats, |stats| &stats.duration),
            ),
        ],
        Row::Http(_, listeners) => {
            let mut times = Durations::default();
            for stats in listeners.iter().flat_map(|listener| listener.stats.iter()) {
                times.add(&stats.duration);
            }
            vec![("downstream_rq_time", times)]
        }
        _ => Vec::new(),
    }
}

fn listener_cell(listener: &Listener, which: &'static Cell<ListenerCounters>) -> u64 {
    cell(&listener.stats, |stats| &stats.counters, which)
}

fn refusals(listener: &Listener) -> u64 {
    let all = listener.stats.iter().flat_map(|stats| &stats.refusals);
    all.map(|count| count.value()).sum()
}

/// Several cells and several listeners may share one name.
fn add<F>(numbers: &mut Numbers, name: String, which: &Cell<F>, value: u64) {
    let entry = numbers.entry(name).or_insert((which.kind, 0));
    entry.1 = entry.1.wrapping_add(value);
}

fn gauge(numbers: &mut Numbers, name: &str, value: u64) {
    numbers.insert(name.into(), (Kind::Gauge, value));
}

fn text_histogram(name: &str, times: &Durations, out: &mut String) {
    let _ = write!(out, "{name}:");
    if times.total() == 0 {
        out.push_str(" No recorded values");
    }
    // The interval is what Envoy keeps for its last flush; we keep only what is since the start.
    for quantile in QUANTILES {
        if let Some(value) = times.quantile_ms(quantile / 100.0) {
            let _ = write!(out, " P{quantile}(nan,{value})");
        }
    }
    out.push('\n');
}

fn json_histogram(name: &str, times: &Durations, out: &mut String) {
    let values = QUANTILES.map(|quantile| match times.quantile_ms(quantile / 100.0) {
        Some(value) => format!("{{\"interval\":null,\"cumulative\":{value}}}"),
        None => "{\"interval\":null,\"cumulative\":null}".into(),
    });
    let _ = write!(
        out,
        "{{\"name\":{},\"values\":[{}]}}",
        quoted(name),
        values.join(",")
    );
}

/// As Envoy does with colons; control characters would break the line.
fn clean(name: &str) -> String {
    name.replace(|c: char| c == ':' || c.is_control(), "_")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn comma(first: &mut bool) -> &'static str {
    if std::mem::take(first) { "" } else { "," }
}
