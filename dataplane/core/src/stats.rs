//! Every counter and histogram, declared once.
//!
//! A cell is written by the one worker that owns it (a plain add, stored relaxed) and read by
//! anybody. Families live in the resource that they count ([`PerWorker`] in a listener, route or
//! cluster), so that nothing is registered, looked up or locked on the path; readers walk the
//! snapshot and merge.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows. One writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0
            .store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down. One writer.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Adds one.
    #[inline]
    pub fn up(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Takes one away.
    #[inline]
    pub fn down(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    /// Sets the value.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the histogram buckets in nanoseconds; a last bucket takes the rest.
pub const BUCKETS_NS: [u64; 16] = [
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    60_000_000_000,
];

/// Durations by bucket. One writer.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BUCKETS_NS.len() + 1],
    sum_ns: Counter,
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn record(&self, nanoseconds: u64) {
        let bucket = BUCKETS_NS.partition_point(|&bound| bound < nanoseconds);
        self.buckets[bucket].add(1);
        self.sum_ns.add(nanoseconds);
    }

    /// Counts per bucket, not cumulative; the last one is above every bound.
    pub fn counts(&self) -> [u64; BUCKETS_NS.len() + 1] {
        std::array::from_fn(|index| self.buckets[index].value())
    }

    /// Sum of all durations in nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns.value()
    }
}

/// One cell family per worker, each on cache lines of its own.
#[derive(Debug)]
pub struct PerWorker<T> {
    cells: Box<[Padded<T>]>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded<T>(T);

impl<T: Default> PerWorker<T> {
    /// Cells for `workers` workers, all zero.
    pub fn new(workers: usize) -> Self {
        Self {
            cells: (0..workers).map(|_| Padded::default()).collect(),
        }
    }
}

impl<T> PerWorker<T> {
    /// The cells of one worker.
    ///
    /// # Panics
    /// If there is no such worker.
    #[inline]
    pub fn of(&self, worker: WorkerIndex) -> &T {
        &self.cells[worker.0 as usize].0
    }

    /// The cells of all workers, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.cells.iter().map(|cell| &cell.0)
    }
}

/// Which worker, from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WorkerIndex(pub u16);

/// Declares a family: a struct of cells and the list of their names and help texts.
macro_rules! family {
    ($(#[$doc:meta])* $name:ident {
        $($field:ident: $kind:ident = $metric:literal, $help:literal;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name {
            $(#[doc = $help] pub $field: $kind,)*
        }

        impl $name {
            /// Every cell, in the order declared.
            pub const CELLS: &'static [Cell<$name>] = &[$(Cell {
                metric: $metric,
                help: $help,
                kind: Kind::$kind,
                read: |family| family.$field.value(),
            },)*];
        }
    };
}

/// What exporters know of one cell of family `F`.
#[derive(Debug)]
pub struct Cell<F> {
    /// Name, with the labels that tell it from others of that name: `name{label="value"}`.
    pub metric: &'static str,
    /// Help text; belongs to the name, so cells of one name share it.
    pub help: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Reads one worker's value.
    pub read: fn(&F) -> u64,
}

/// Kind of a cell, for exporters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes both ways.
    Gauge,
}

family! {
    /// Per listener.
    ListenerCounters {
        connections: Counter = "penstock_listener_connections_total", "Connections accepted.";
        connections_active: Gauge = "penstock_listener_connections_active", "Connections open now.";
        refused_limit: Counter = "penstock_listener_connections_refused_total{reason=\"limit\"}",
            "Connections refused, by reason.";
        refused_process_limit: Counter =
            "penstock_listener_connections_refused_total{reason=\"process_limit\"}",
            "Connections refused, by reason.";
        refused_exhausted: Counter =
            "penstock_listener_connections_refused_total{reason=\"exhausted\"}",
            "Connections refused, by reason.";
        accept_failures: Counter = "penstock_listener_accept_failures_total",
            "Accept calls that failed (descriptors or memory exhausted).";
        requests: Counter = "penstock_downstream_requests_total", "Requests whose head was read.";
        requests_active: Gauge = "penstock_downstream_requests_active", "Exchanges open now.";
        status_1xx: Counter = "penstock_downstream_responses_total{code_class=\"1xx\"}",
            "Responses.";
        status_2xx: Counter = "penstock_downstream_responses_total{code_class=\"2xx\"}",
            "Responses.";
        status_3xx: Counter = "penstock_downstream_responses_total{code_class=\"3xx\"}",
            "Responses.";
        status_4xx: Counter = "penstock_downstream_responses_total{code_class=\"4xx\"}",
            "Responses.";
        status_5xx: Counter = "penstock_downstream_responses_total{code_class=\"5xx\"}",
            "Responses.";
        bytes_received: Counter = "penstock_bytes_total{side=\"downstream\",direction=\"request\"}",
            "Bytes moved, heads and framing included.";
        bytes_sent: Counter = "penstock_bytes_total{side=\"downstream\",direction=\"response\"}",
            "Bytes moved, heads and framing included.";
        timeouts_head: Counter = "penstock_downstream_timeouts_total{phase=\"head\"}",
            "Timeouts of clients, by phase.";
        timeouts_idle: Counter = "penstock_downstream_timeouts_total{phase=\"idle\"}",
            "Timeouts of clients, by phase.";
        timeouts_request: Counter = "penstock_downstream_timeouts_total{phase=\"request\"}",
            "Timeouts of clients, by phase.";
        timeouts_duration: Counter = "penstock_downstream_timeouts_total{phase=\"duration\"}",
            "Timeouts of clients, by phase.";
        timeouts_stream_idle: Counter = "penstock_downstream_timeouts_total{phase=\"stream_idle\"}",
            "Timeouts of clients, by phase.";
        timeouts_flush: Counter = "penstock_downstream_timeouts_total{phase=\"flush\"}",
            "Timeouts of clients, by phase.";
        resets: Counter = "penstock_downstream_resets_total",
            "Exchanges cut because the client went away.";
        overload: Counter = "penstock_downstream_overload_total",
            "Exchanges given up for want of buffers, slots or room.";
        unparsed_refused: Counter = "penstock_downstream_unparsed_refused_total",
            "Connections given up because incomplete heads and pipelined requests had filled their \
             bound.";
        tunnels: Counter = "penstock_downstream_upgrades_total", "Upgrades that became tunnels.";
    }
}

family! {
    /// Per cluster.
    ClusterCounters {
        connects: Counter = "penstock_upstream_connects_total", "Connections opened.";
        connect_failures: Counter = "penstock_upstream_connect_failures_total",
            "Connections that could not be opened.";
        connect_timeouts: Counter = "penstock_upstream_connect_timeouts_total",
            "Connections that took longer than connect_timeout.";
        connections_active: Gauge = "penstock_upstream_pool_active",
            "Connections open, idle or not.";
        connections_idle: Gauge = "penstock_upstream_pool_idle", "Connections ready for use.";
        reused: Counter = "penstock_upstream_reused_total", "Requests sent on a pooled connection.";
        requests: Counter = "penstock_upstream_requests_sent_total", "Requests sent.";
        requests_active: Gauge = "penstock_upstream_requests_active", "Exchanges open now.";
        requests_pending: Gauge = "penstock_upstream_requests_pending",
            "Exchanges that wait for a connection.";
        status_1xx: Counter = "penstock_upstream_requests_total{code_class=\"1xx\"}", "Responses.";
        status_2xx: Counter = "penstock_upstream_requests_total{code_class=\"2xx\"}", "Responses.";
        status_3xx: Counter = "penstock_upstream_requests_total{code_class=\"3xx\"}", "Responses.";
        status_4xx: Counter = "penstock_upstream_requests_total{code_class=\"4xx\"}", "Responses.";
        status_5xx: Counter = "penstock_upstream_requests_total{code_class=\"5xx\"}", "Responses.";
        bytes_sent: Counter = "penstock_bytes_total{side=\"upstream\",direction=\"request\"}",
            "Bytes moved, heads and framing included.";
        bytes_received: Counter = "penstock_bytes_total{side=\"upstream\",direction=\"response\"}",
            "Bytes moved, heads and framing included.";
        resent: Counter = "penstock_retries_total{result=\"stale_connection\"}",
            "Requests sent again because a pooled connection was closed under them.";
        no_endpoint: Counter = "penstock_upstream_no_endpoint_total",
            "Requests without an endpoint to send to.";
        panic: Counter = "penstock_upstream_panic_total", "Picks made in panic mode.";
        overflow_connections: Counter = "penstock_circuit_overflow_total{kind=\"connections\"}",
            "Refused by a circuit breaker.";
        overflow_pending: Counter = "penstock_circuit_overflow_total{kind=\"pending\"}",
            "Refused by a circuit breaker.";
        overflow_requests: Counter = "penstock_circuit_overflow_total{kind=\"requests\"}",
            "Refused by a circuit breaker.";
        timeouts: Counter = "penstock_upstream_timeouts_total", "Route timeouts.";
        resets: Counter = "penstock_upstream_resets_total", "Connections that broke in use.";
        protocol_errors: Counter = "penstock_upstream_protocol_errors_total",
            "Responses that break a rule.";
        unsolicited: Counter = "penstock_upstream_unsolicited_bytes_total",
            "Idle pooled connections closed because bytes arrived.";
    }
}

family! {
    /// Per route.
    RouteCounters {
        status_1xx: Counter = "penstock_http_requests_total{code_class=\"1xx\"}",
            "Requests by route.";
        status_2xx: Counter = "penstock_http_requests_total{code_class=\"2xx\"}",
            "Requests by route.";
        status_3xx: Counter = "penstock_http_requests_total{code_class=\"3xx\"}",
            "Requests by route.";
        status_4xx: Counter = "penstock_http_requests_total{code_class=\"4xx\"}",
            "Requests by route.";
        status_5xx: Counter = "penstock_http_requests_total{code_class=\"5xx\"}",
            "Requests by route.";
    }
}

family! {
    /// Per worker.
    WorkerCounters {
        turns: Counter = "penstock_worker_turns_total", "Turns of the loop.";
        busy_ns: Counter = "penstock_worker_busy_nanoseconds_total", "Time not spent waiting.";
        wait_ns: Counter = "penstock_worker_wait_nanoseconds_total", "Time spent waiting.";
        buffers_exhausted: Counter = "penstock_io_uring_buffers_exhausted_total",
            "Receives that found no buffer.";
        sq_full: Counter = "penstock_io_uring_sq_full_total", "Submission queue full in mid turn.";
        cq_overflow: Counter = "penstock_io_uring_cq_overflow_total", "Completion queue overflows.";
        late_wakeups: Counter = "penstock_worker_late_wakeups_total",
            "Waits of a full second that found something: a lost wake-up, or an overload.";
        buffers_in_use: Gauge = "penstock_worker_buffers_in_use", "Buffers outside the pool.";
        connections: Gauge = "penstock_worker_connections", "Connections, both sides.";
        exchanges: Gauge = "penstock_worker_exchanges", "Exchanges open now.";
        log_dropped: Counter = "penstock_worker_access_log_dropped_total",
            "Access log lines that found the worker's ring full.";
        snapshots: Counter = "penstock_worker_snapshots_total", "Configurations taken.";
    }
}

/// Families that count responses by the class of their status.
macro_rules! counts_status {
    ($($name:ident)*) => {$(
        impl $name {
            /// Counts a response by the class of its status; 0 stands for no response.
            pub fn count_status(&self, status: u16) {
                match status / 100 {
                    0 => {}
                    1 => self.status_1xx.add(1),
                    2 => self.status_2xx.add(1),
                    3 => self.status_3xx.add(1),
                    4 => self.status_4xx.add(1),
                    _ => self.status_5xx.add(1),
                }
            }
        }
    )*};
}

counts_status! { ListenerCounters ClusterCounters RouteCounters }

family! {
    /// Of the process: names of clusters that are resolved by DNS.
    DnsCounters {
        lookups: Counter = "penstock_dns_lookups_total", "Lookups of names of clusters.";
        failures: Counter = "penstock_dns_lookup_failures_total",
            "Lookups without an address; the last answer stays in use.";
        changes: Counter = "penstock_dns_changes_total", "Lookups that changed a set of addresses.";
        names: Gauge = "penstock_dns_names", "Names that are looked up.";
        failing: Gauge = "penstock_dns_names_failing", "Names whose last lookup failed.";
    }
}

/// Per listener: counters and the request duration.
#[derive(Debug)]
pub struct ListenerStats {
    /// Counters.
    pub counters: ListenerCounters,
    /// From the first byte of the request head to the last byte of the response.
    pub duration: Histogram,
    /// Refused messages by [`crate::http::Refusal`], in the order of `Refusal::ALL`.
    pub refusals: [Counter; crate::http::Refusal::COUNT],
}

impl Default for ListenerStats {
    fn default() -> Self {
        Self {
            counters: ListenerCounters::default(),
            duration: Histogram::default(),
            // Longer than the arrays that can say it themselves.
            refusals: std::array::from_fn(|_| Counter::default()),
        }
    }
}

/// Per cluster: counters and times.
#[derive(Debug, Default)]
pub struct ClusterStats {
    /// Counters.
    pub counters: ClusterCounters,
    /// From connect to connected.
    pub connect_duration: Histogram,
    /// From the request's head sent to the response complete.
    pub duration: Histogram,
}

/// Per route.
#[derive(Debug, Default)]
pub struct RouteStats {
    /// Counters.
    pub counters: RouteCounters,
}

/// Per worker.
#[derive(Debug, Default)]
pub struct WorkerStats {
    /// Counters.
    pub counters: WorkerCounters,
    /// Busy time per turn.
    pub loop_duration: Histogram,
}
