//! What our counters are called in Envoy.
//!
//! A counter that is not in its table keeps its own name without prefix, so that a new one shows up
//! without an edit here.

/// Counters of the connection manager, `http.<stat_prefix>.`.
const HTTP: &[(&str, &str)] = &[
    ("penstock_listener_connections_total", "downstream_cx_total"),
    (
        "penstock_listener_connections_active",
        "downstream_cx_active",
    ),
    ("penstock_downstream_requests_total", "downstream_rq_total"),
    (
        "penstock_downstream_requests_active",
        "downstream_rq_active",
    ),
    (
        "penstock_downstream_responses_total{code_class=\"1xx\"}",
        "downstream_rq_1xx",
    ),
    (
        "penstock_downstream_responses_total{code_class=\"2xx\"}",
        "downstream_rq_2xx",
    ),
    (
        "penstock_downstream_responses_total{code_class=\"3xx\"}",
        "downstream_rq_3xx",
    ),
    (
        "penstock_downstream_responses_total{code_class=\"4xx\"}",
        "downstream_rq_4xx",
    ),
    (
        "penstock_downstream_responses_total{code_class=\"5xx\"}",
        "downstream_rq_5xx",
    ),
    (
        "penstock_bytes_total{side=\"downstream\",direction=\"request\"}",
        "downstream_cx_rx_bytes_total",
    ),
    (
        "penstock_bytes_total{side=\"downstream\",direction=\"response\"}",
        "downstream_cx_tx_bytes_total",
    ),
    (
        "penstock_downstream_timeouts_total{phase=\"head\"}",
        "downstream_rq_header_timeout",
    ),
    (
        "penstock_downstream_timeouts_total{phase=\"idle\"}",
        "downstream_cx_idle_timeout",
    ),
    (
        "penstock_downstream_timeouts_total{phase=\"request\"}",
        "downstream_rq_timeout",
    ),
    (
        "penstock_downstream_timeouts_total{phase=\"duration\"}",
        "downstream_rq_max_duration_reached",
    ),
    (
        "penstock_downstream_timeouts_total{phase=\"stream_idle\"}",
        "downstream_rq_idle_timeout",
    ),
    (
        "penstock_downstream_timeouts_total{phase=\"flush\"}",
        "downstream_rq_flush_timeout",
    ),
    ("penstock_downstream_resets_total", "downstream_rq_rx_reset"),
    (
        "penstock_downstream_upgrades_total",
        "downstream_cx_upgrades_total",
    ),
];

/// Counters of the listener, `listener.<address>.`.
const LISTENER: &[(&str, &str)] = &[
    ("penstock_listener_connections_total", "downstream_cx_total"),
    (
        "penstock_listener_connections_active",
        "downstream_cx_active",
    ),
    (
        "penstock_listener_connections_refused_total{reason=\"limit\"}",
        "downstream_cx_overflow",
    ),
    (
        "penstock_listener_connections_refused_total{reason=\"process_limit\"}",
        "downstream_global_cx_overflow",
    ),
    (
        "penstock_listener_connections_refused_total{reason=\"exhausted\"}",
        "downstream_cx_overload_reject",
    ),
];

/// Counters of the cluster, `cluster.<name>.`.
const CLUSTER: &[(&str, &str)] = &[
    ("penstock_upstream_connects_total", "upstream_cx_total"),
    (
        "penstock_upstream_connect_failures_total",
        "upstream_cx_connect_fail",
    ),
    (
        "penstock_upstream_connect_timeouts_total",
        "upstream_cx_connect_timeout",
    ),
    ("penstock_upstream_pool_active", "upstream_cx_active"),
    ("penstock_upstream_pool_idle", "upstream_cx_idle"),
    ("penstock_upstream_reused_total", "upstream_rq_reused"),
    ("penstock_upstream_requests_sent_total", "upstream_rq_total"),
    ("penstock_upstream_requests_active", "upstream_rq_active"),
    (
        "penstock_upstream_requests_pending",
        "upstream_rq_pending_active",
    ),
    (
        "penstock_upstream_requests_total{code_class=\"1xx\"}",
        "upstream_rq_1xx",
    ),
    (
        "penstock_upstream_requests_total{code_class=\"2xx\"}",
        "upstream_rq_2xx",
    ),
    (
        "penstock_upstream_requests_total{code_class=\"3xx\"}",
        "upstream_rq_3xx",
    ),
    (
        "penstock_upstream_requests_total{code_class=\"4xx\"}",
        "upstream_rq_4xx",
    ),
    (
        "penstock_upstream_requests_total{code_class=\"5xx\"}",
        "upstream_rq_5xx",
    ),
    (
        "penstock_bytes_total{side=\"upstream\",direction=\"request\"}",
        "upstream_cx_tx_bytes_total",
    ),
    (
        "penstock_bytes_total{side=\"upstream\",direction=\"response\"}",
        "upstream_cx_rx_bytes_total",
    ),
    (
        "penstock_retries_total{result=\"stale_connection\"}",
        "upstream_rq_retry",
    ),
    (
        "penstock_upstream_no_endpoint_total",
        "upstream_cx_none_healthy",
    ),
    ("penstock_upstream_panic_total", "lb_healthy_panic"),
    (
        "penstock_circuit_overflow_total{kind=\"connections\"}",
        "upstream_cx_overflow",
    ),
    (
        "penstock_circuit_overflow_total{kind=\"pending\"}",
        "upstream_rq_pending_overflow",
    ),
    (
        "penstock_circuit_overflow_total{kind=\"requests\"}",
        "upstream_rq_active_overflow",
    ),
    ("penstock_upstream_timeouts_total", "upstream_rq_timeout"),
    (
        "penstock_upstream_resets_total",
        "upstream_cx_destroy_remote_with_active_rq",
    ),
    (
        "penstock_upstream_protocol_errors_total",
        "upstream_cx_protocol_error",
    ),
    (
        "penstock_upstream_unsolicited_bytes_total",
        "upstream_cx_unsolicited_bytes",
    ),
];

/// Name under `http.<stat_prefix>.`; `None` if it belongs to the listener alone.
pub(super) fn http(metric: &str) -> Option<&'static str> {
    find(HTTP, metric)
}

/// Name under `listener.<address>.`; `None` if it belongs to the connection manager alone.
pub(super) fn listener(metric: &str) -> Option<String> {
    match find(LISTENER, metric) {
        Some(name) => Some(name.into()),
        None if http(metric).is_some() => None,
        None => Some(own(metric, "penstock_listener_")),
    }
}

/// Name under `cluster.<name>.`.
pub(super) fn cluster(metric: &str) -> String {
    find(CLUSTER, metric).map_or_else(|| own(metric, "penstock_"), Into::into)
}

/// Name under `dns.`; Envoy's are those of its resolver libraries.
pub(super) fn dns(metric: &str) -> String {
    own(metric, "penstock_dns_")
}

/// Name under `worker.<number>.`; Envoy has none of these.
pub(super) fn worker(metric: &str) -> String {
    own(metric, "penstock_worker_")
}

fn find(table: &[(&str, &'static str)], metric: &str) -> Option<&'static str> {
    table
        .iter()
        .find(|(ours, _)| *ours == metric)
        .map(|(_, name)| *name)
}

/// Our name as a path: `penstock_a_b_total{c="d"}` becomes `a_b_total.d`.
fn own(metric: &str, prefix: &str) -> String {
    let name = metric
        .strip_prefix(prefix)
        .or_else(|| metric.strip_prefix("penstock_"));
    let mut parts = name.unwrap_or(metric).split('"');
    let stem = parts.next().unwrap_or_default();
    let stem = stem.split_once('{').map_or(stem, |(stem, _)| stem);
    // Between quotes stand the values, every other piece.
    std::iter::once(stem)
        .chain(parts.step_by(2))
        .collect::<Vec<_>>()
        .join(".")
}

#[cfg(test)]
mod tests {
    use penstock_core::stats::{ClusterCounters, ListenerCounters};

    use super::*;

    #[test]
    fn every_entry_names_a_counter() {
        let listener: Vec<_> = ListenerCounters::CELLS
            .iter()
            .map(|cell| cell.metric)
            .collect();
        let cluster: Vec<_> = ClusterCounters::CELLS
            .iter()
            .map(|cell| cell.metric)
            .collect();
        for (metric, _) in HTTP.iter().chain(LISTENER) {
            assert!(listener.contains(metric), "{metric}");
        }
        for (metric, _) in CLUSTER {
            assert!(cluster.contains(metric), "{metric}");
        }
    }

    #[test]
    fn others_keep_their_own() {
        assert_eq!(
            own("penstock_a_total{x=\"b\",y=\"c\"}", "penstock_"),
            "a_total.b.c"
        );
        assert_eq!(
            own("penstock_worker_turns_total", "penstock_worker_"),
            "turns_total"
        );
        assert_eq!(
            worker("penstock_io_uring_sq_full_total"),
            "io_uring_sq_full_total"
        );
        assert_eq!(listener("penstock_downstream_requests_total"), None);
        let new = "penstock_listener_connections_refused_total{reason=\"new\"}";
        assert_eq!(listener(new).unwrap(), "connections_refused_total.new");
    }
}
