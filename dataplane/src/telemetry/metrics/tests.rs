//! Tests of both forms: what they say, and that a strict reader understands it.

use std::collections::{BTreeMap, BTreeSet};

use penstock_core::stats::{WorkerIndex, WorkerStats};
use regex::Regex;

use super::*;
use crate::fixture::{self, ODD_NAME, WORKERS};
use crate::telemetry::access_log::SinkSpec;

fn view() -> View {
    let snapshot = fixture::snapshot();
    let sinks = Sinks::default();
    sinks
        .intern(SinkSpec::from_path("/var/log/\"access\".log"))
        .unwrap();
    View {
        build: Arc::new(Build {
            version: "0.1.0".into(),
            revision: "".into(),
            driver: "epoll".into(),
        }),
        state: State::Live,
        uptime: Duration::from_secs(90),
        process: Process::read(),
        generation: snapshot.generation,
        listeners: listeners(&snapshot),
        clusters: clusters(&snapshot),
        workers: Arc::new(PerWorker::<WorkerStats>::new(WORKERS)),
        dns: Some(Arc::default()),
        busy: vec![0.25, 0.0],
        sinks: Arc::new(sinks),
    }
}

fn prometheus(view: View) -> String {
    let pieces = Exposition::new(view, SERIES_MAX, false, SeriesDropped::default());
    String::from_utf8(pieces.flatten().collect()).unwrap()
}

fn envoy(view: View, selection: Selection, shape: Shape) -> String {
    let pieces = EnvoyStats::new(view, selection, shape);
    String::from_utf8(pieces.flatten().collect()).unwrap()
}

/// Labels of a series, `le` among them.
type LabelSet = BTreeMap<String, String>;

/// Text that was understood: value per name and labels.
#[derive(Default)]
struct Scrape {
    kinds: BTreeMap<String, String>,
    values: BTreeMap<(String, LabelSet), f64>,
}

impl Scrape {
    /// Reads text strictly: names and labels well formed, HELP and TYPE before the samples and once
    /// per metric, all samples of a metric together, no series twice, histograms complete.
    fn read(text: &str) -> Scrape {
        let mut scrape = Scrape::default();
        let mut helped = BTreeSet::new();
        let mut current = String::new();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
                name.clone_into(&mut current);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert_eq!(name, current, "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(
                    scrape.kinds.insert(name.into(), kind.into()).is_none(),
                    "{line}"
                );
            } else {
                scrape.sample(line, &current);
            }
        }
        scrape.check_histograms();
        scrape
    }

    fn sample(&mut self, line: &str, current: &str) {
        let name_end = line.find(['{', ' ']).unwrap();
        let (name, rest) = line.split_at(name_end);
        assert!(
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
            "{line}"
        );
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => read_labels(rest),
            None => (LabelSet::new(), rest),
        };
        let value = value.strip_prefix(' ').unwrap().parse().unwrap();
        let mut stem = name;
        if self.kinds[current] == "histogram" {
            let stems = ["_bucket", "_sum", "_count"].iter();
            stem = stems
                .filter_map(|suffix| name.strip_suffix(suffix))
                .next()
                .unwrap();
        }
        assert_eq!(stem, current, "{line}");
        let before = self.values.insert((name.into(), labels), value);
        assert!(before.is_none(), "{line} twice");
    }

    fn check_histograms(&self) {
        let mut buckets: BTreeMap<(&str, LabelSet), Vec<(f64, f64)>> = BTreeMap::new();
        for ((name, labels), count) in &self.values {
            if let Some(stem) = name.strip_suffix("_bucket") {
                let mut labels = labels.clone();
                let bound = labels.remove("le").unwrap().replace("+Inf", "inf");
                let bound = bound.parse().unwrap();
                buckets
                    .entry((stem, labels))
                    .or_default()
                    .push((bound, *count));
            }
        }
        for ((stem, labels), mut counts) in buckets {
            counts.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(counts.is_sorted_by(|one, other| one.1 <= other.1), "{stem}");
            let total = self.values[&(format!("{stem}_count"), labels.clone())];
            assert_eq!(counts.last(), Some(&(f64::INFINITY, total)), "{stem}");
            assert!(self.values.contains_key(&(format!("{stem}_sum"), labels)));
        }
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let key = (name.to_owned(), labels.iter().map(own).collect());
        self.values.get(&key).copied()
    }
}

/// Labels after the brace, and what follows them.
fn read_labels(mut text: &str) -> (LabelSet, &str) {
    let mut labels = LabelSet::new();
    loop {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{name}"
        );
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    c => panic!("\\{c} is no escape"),
                }),
                (_, c) => value.push(c),
            }
        };
        assert!(labels.insert(name.into(), value).is_none(), "{name} twice");
        match rest[end + 1..].split_at(1) {
            (",", rest) => text = rest,
            ("}", rest) => return (labels, rest),
            (other, _) => panic!("{other} after a label"),
        }
    }
}

#[test]
fn a_strict_reader_understands_the_text() {
    let view = view();
    let main = view.listeners[0].clone();
    assert_eq!(&*main.name, "main");
    let http = main.chains.http_settings().next().unwrap();
    for worker in [0, 1] {
        let stats = main.stats.of(WorkerIndex(worker));
        stats.counters.requests.add(20);
        stats.counters.bytes_sent.add(5);
        stats.counters.connections_active.up();
        stats.duration.record(3_000_000);
        stats.refusals[0].add(1);
        http.routes.config().virtual_hosts[0].routes[1 + worker as usize]
            .stats
            .of(WorkerIndex(worker))
            .counters
            .status_2xx
            .add(4);
        view.workers
            .of(WorkerIndex(worker))
            .counters
            .busy_ns
            .add(1_500_000_000);
    }
    view.clusters[1]
        .stats
        .of(WorkerIndex(0))
        .counters
        .bytes_sent
        .add(9);
    let scrape = Scrape::read(&prometheus(view));
    let check = |name: &str, labels: &[(&str, &str)], expect| {
        assert_eq!(
            scrape.value(name, labels),
            Some(expect),
            "{name} {labels:?}"
        );
    };
    let listener = ("listener", "main");
    check("penstock_downstream_requests_total", &[listener], 40.0);
    check(
        "penstock_downstream_requests_total",
        &[("listener", "other")],
        0.0,
    );
    check("penstock_listener_connections_active", &[listener], 2.0);
    let (response, request) = (("direction", "response"), ("direction", "request"));
    check(
        "penstock_bytes_total",
        &[listener, ("side", "downstream"), response],
        10.0,
    );
    let cluster = ("cluster", ODD_NAME);
    check(
        "penstock_bytes_total",
        &[cluster, ("side", "upstream"), request],
        9.0,
    );
    let duration = "penstock_http_request_duration_seconds";
    check(&format!("{duration}_count"), &[listener], 2.0);
    check(&format!("{duration}_sum"), &[listener], 0.006);
    check(
        &format!("{duration}_bucket"),
        &[listener, ("le", "0.0025")],
        0.0,
    );
    check(
        &format!("{duration}_bucket"),
        &[listener, ("le", "0.005")],
        2.0,
    );
    let reason = ("reason", penstock_core::http::Refusal::ALL[0].label());
    check(
        "penstock_protocol_errors_total",
        &[listener, ("proto", "http1"), reason],
        2.0,
    );
    let (host, class) = (("virtual_host", "all"), ("code_class", "2xx"));
    let requests = "penstock_http_requests_total";
    check(requests, &[listener, host, ("route", "same"), class], 8.0);
    check(requests, &[listener, host, ("route", ""), class], 0.0);
    let a = ("cluster", "a");
    check(
        "penstock_upstream_health",
        &[a, ("state", "unhealthy")],
        1.0,
    );
    let open = [a, ("priority", "default"), ("kind", "connections")];
    check("penstock_circuit_open", &open, 0.0);
    check("penstock_worker_busy_ratio", &[("worker", "0")], 0.25);
    check(
        "penstock_worker_busy_seconds_total",
        &[("worker", "1")],
        1.5,
    );
    check(
        "penstock_worker_loop_duration_seconds_count",
        &[("worker", "1")],
        0.0,
    );
    let sink = ("sink", "/var/log/\"access\".log");
    check(
        "penstock_access_log_dropped_total",
        &[sink, ("reason", "ring_full")],
        0.0,
    );
    let build = [("version", "0.1.0"), ("revision", ""), ("driver", "epoll")];
    check("penstock_build_info", &build, 1.0);
    check("penstock_xds_snapshot_version", &[], 7.0);
    check("penstock_dns_lookups_total", &[], 0.0);
    check("penstock_exporter_series_dropped_total", &[], 0.0);
    assert!(scrape.value("process_resident_memory_bytes", &[]).unwrap() > 100_000.0);
    assert!(scrape.value("process_open_fds", &[]).is_some());
    assert!(scrape.value("process_cpu_seconds_total", &[]).is_some());
}

#[test]
fn pieces_are_bounded_however_large_the_configuration() {
    let mut view = view();
    let name = |id| format!("cluster-{id}");
    view.clusters = (0..300)
        .map(|id| fixture::cluster(id, &name(id), Vec::new()))
        .collect();
    let dropped = SeriesDropped::default();
    let pieces: Vec<_> = Exposition::new(view, SERIES_MAX, false, dropped).collect();
    let text: String = pieces
        .iter()
        .map(|piece| str::from_utf8(piece).unwrap())
        .collect();
    assert!(text.len() > 1_000_000, "{}", text.len());
    assert!(pieces.iter().all(|piece| piece.len() < 48 * 1024));
    assert!(Scrape::read(&text).values.len() > 20_000);
}

#[test]
fn the_ceiling_drops_whole_series_and_counts_them() {
    let dropped = SeriesDropped::default();
    let scrape = |series_max| {
        let pieces = Exposition::new(view(), series_max, false, dropped.clone());
        Scrape::read(&String::from_utf8(pieces.flatten().collect()).unwrap())
    };
    let all = scrape(SERIES_MAX).values.len();
    let some = scrape(100);
    assert!(some.values.len() <= 101, "{}", some.values.len());
    let counted = |scrape: &Scrape| scrape.value("penstock_exporter_series_dropped_total", &[]);
    assert_eq!(counted(&some), Some((all - some.values.len()) as f64));
    let none = scrape(0);
    assert_eq!(none.values.len(), 1);
    assert_eq!(
        counted(&none),
        Some((all - some.values.len() + all - 1) as f64)
    );
}

#[test]
fn used_only_leaves_out_zeros() {
    let text = Exposition::new(view(), SERIES_MAX, true, SeriesDropped::default());
    let text = String::from_utf8(text.flatten().collect()).unwrap();
    let scrape = Scrape::read(&text);
    assert_eq!(
        scrape.value(
            "penstock_downstream_requests_total",
            &[("listener", "main")]
        ),
        None
    );
    let zeros = scrape.values.iter().filter(|((name, _), value)| {
        **value == 0.0 && name != "penstock_exporter_series_dropped_total"
    });
    assert_eq!(zeros.count(), 0);
    assert!(scrape.value("penstock_live", &[]).is_some());
}

#[test]
fn envoy_names_as_text() {
    let view = view();
    for listener in &view.listeners {
        listener.stats.of(WorkerIndex(1)).counters.requests.add(3);
        listener.stats.of(WorkerIndex(0)).duration.record(3_000_000);
    }
    let text = envoy(view, Selection::default(), Shape::Text);
    let lines: Vec<&str> = text.lines().collect();
    for expect in [
        "cluster.a.membership_healthy: 1",
        "cluster.a.membership_total: 3",
        "cluster.a.upstream_rq_total: 0",
        "cluster.a.circuit_breakers.default.rq_open: 0",
        "cluster.b_\"odd\\_name\" é.upstream_cx_total: 0",
        "cluster_manager.active_clusters: 2",
        "dns.names_failing: 0",
        "http.in.downstream_rq_total: 6",
        "http.in.downstream_cx_protocol_error: 0",
        "listener.127.0.0.1_8080.downstream_cx_overflow: 0",
        "listener_manager.total_listeners_active: 2",
        "server.live: 1",
        "server.concurrency: 2",
        "worker.1.turns_total: 0",
        "cluster.a.upstream_rq_time: No recorded values",
        "http.in.downstream_rq_time: P0(nan,2.5) P25(nan,3.125) P50(nan,3.75) P75(nan,4.375) \
         P90(nan,4.75) P95(nan,4.875) P99(nan,4.975) P99.5(nan,4.9875) P99.9(nan,4.9975) \
         P100(nan,5)",
    ] {
        assert!(lines.contains(&expect), "{expect} in\n{text}");
    }
    let names = lines.iter().map(|line| line.split_once(": ").unwrap().0);
    assert_eq!(names.collect::<BTreeSet<_>>().len(), lines.len());
}

#[test]
fn envoy_names_as_json() {
    let view = view();
    view.listeners[0]
        .stats
        .of(WorkerIndex(0))
        .duration
        .record(3_000_000);
    let text = envoy(view, Selection::default(), Shape::Json);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let stats = document["stats"].as_array().unwrap();
    let find = |name: &str| stats.iter().find(|stat| stat["name"] == name);
    assert_eq!(find("server.uptime").unwrap()["value"], 90);
    let histograms = &stats.last().unwrap()["histograms"];
    assert_eq!(histograms["supported_quantiles"][7], 99.5);
    let computed = histograms["computed_quantiles"].as_array().unwrap();
    let time = computed
        .iter()
        .find(|one| one["name"] == "http.in.downstream_rq_time")
        .unwrap();
    assert_eq!(time["values"][2]["cumulative"], 3.75);
    assert_eq!(
        computed[0]["values"][2]["cumulative"],
        serde_json::Value::Null
    );
}

#[test]
fn a_selection_may_be_empty() {
    let none = || Selection {
        filter: Some(Regex::new("^nothing$").unwrap()),
        used_only: false,
    };
    assert_eq!(envoy(view(), none(), Shape::Text), "");
    let text = envoy(view(), none(), Shape::Json);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rest = document["stats"][0]["histograms"]["computed_quantiles"]
        .as_array()
        .unwrap();
    assert!(rest.is_empty());
    let used = Selection {
        filter: Some(Regex::new(r"^cluster\.a\.").unwrap()),
        used_only: true,
    };
    let text = envoy(view(), used, Shape::Text);
    let expect = "cluster.a.membership_degraded: 1\ncluster.a.membership_healthy: 1\n\
                  cluster.a.membership_total: 3\n";
    assert_eq!(text, expect);
}
