//! Every counter that the core declares is counted by something that happens: each scene here makes
//! some of them move, and a cell that none of them moves fails the test by its name.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::accept::ConnectionBudget;
use penstock_core::cluster::{Breakers, Thresholds};
use penstock_core::config::access_log::{AccessLog, SinkId};
use penstock_core::config::cluster::{Cluster, Health};
use penstock_core::event::{ConnId, IoFault};
use penstock_core::format::Format;
use penstock_core::limits;
use penstock_core::stats::{
    Cell, ClusterCounters, ListenerCounters, RouteCounters, WorkerCounters,
};

use crate::world::{World, WorldOptions};
use crate::{GET, OK};

/// Counted by the worker's loop and by its driver.
const BY_THE_RUNTIME: [&str; 8] = [
    "penstock_worker_turns_total",
    "penstock_worker_busy_nanoseconds_total",
    "penstock_worker_wait_nanoseconds_total",
    "penstock_worker_late_wakeups_total",
    "penstock_worker_buffers_in_use",
    "penstock_io_uring_buffers_exhausted_total",
    "penstock_io_uring_sq_full_total",
    "penstock_io_uring_cq_overflow_total",
];

const UPGRADE: &str =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

/// Names of the cells that were not zero at some time.
#[derive(Default)]
struct Seen(BTreeSet<&'static str>);

impl Seen {
    fn look(&mut self, world: &World) {
        self.cells(ListenerCounters::CELLS, world.counters());
        self.cells(ClusterCounters::CELLS, world.cluster_counters());
        self.cells(RouteCounters::CELLS, world.route_counters());
        self.cells(WorkerCounters::CELLS, world.worker_counters());
    }

    fn cells<F>(&mut self, cells: &'static [Cell<F>], family: &F) {
        let moved = cells.iter().filter(|cell| (cell.read)(family) > 0);
        self.0.extend(moved.map(|cell| cell.metric));
    }
}

#[test]
fn every_counter_counts_something() {
    let mut seen = Seen(BY_THE_RUNTIME.into());
    for scene in [
        statuses,
        tunnel,
        reuse,
        refusals,
        slots,
        slow_clients,
        long_exchanges,
        timeouts,
        no_connection,
        broken_origins,
        breakers,
        no_endpoint,
        panic_mode,
        full_log,
        full_of_heads,
    ] {
        scene(&mut seen);
    }
    let declared = metrics(ListenerCounters::CELLS)
        .chain(metrics(ClusterCounters::CELLS))
        .chain(metrics(RouteCounters::CELLS))
        .chain(metrics(WorkerCounters::CELLS));
    let still: Vec<_> = declared.filter(|name| !seen.0.contains(name)).collect();
    assert!(still.is_empty(), "never counted: {still:#?}");
}

#[test]
fn bytes_are_those_on_the_wire() {
    let mut world = World::new();
    let client = world.accept();
    let post = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                5\r\nhello\r\n0\r\n\r\n";
    world.client_sends(client, post);
    let origin = world.connected();
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    world.origin_sends(origin, answer);
    let unsolicited = "HTTP/1.1 200 OK\r\n";
    world.origin_sends(origin, unsolicited);
    let (request, response) = (world.sent_to(origin), world.sent_to(client));
    let (listener, cluster) = (world.counters(), world.cluster_counters());
    assert_eq!(listener.bytes_received.value(), post.len() as u64);
    assert_eq!(listener.bytes_sent.value(), response.len() as u64);
    assert_eq!(cluster.bytes_sent.value(), request.len() as u64);
    let read = answer.len() + unsolicited.len();
    assert_eq!(cluster.bytes_received.value(), read as u64);
}

#[test]
fn gauges_of_a_worker_follow_its_connections_and_exchanges() {
    let mut world = World::new();
    let gauges = |world: &World| {
        let counters = world.worker_counters();
        (counters.connections.value(), counters.exchanges.value())
    };
    let client = world.accept();
    assert_eq!(gauges(&world), (1, 0));
    world.client_sends(client, GET);
    assert_eq!(gauges(&world), (2, 1));
    let origin = world.connected();
    world.origin_sends(origin, OK);
    assert_eq!(gauges(&world), (2, 0));
    world.client_ends(client);
    world.drain();
    assert_eq!(gauges(&world), (0, 0));
}

fn metrics<F>(cells: &'static [Cell<F>]) -> impl Iterator<Item = &'static str> {
    cells.iter().map(|cell| cell.metric)
}

/// A client has sent a request; the cluster is asked for a connection.
fn asking(world: &mut World) -> ConnId {
    let client = world.accept();
    world.client_sends(client, GET);
    client
}

fn statuses(seen: &mut Seen) {
    for status in [200, 308, 404, 503] {
        let mut world = World::new();
        asking(&mut world);
        seen.look(&world);
        let origin = world.connected();
        let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        world.origin_sends(origin, &response);
        seen.look(&world);
    }
}

fn tunnel(seen: &mut Seen) {
    let mut world = World::new();
    let client = world.accept();
    world.client_sends(client, UPGRADE);
    let origin = world.connected();
    world.origin_sends(origin, SWITCHING);
    seen.look(&world);
    world.client_ends(client);
    world.origin_ends(origin);
    seen.look(&world);
}

fn reuse(seen: &mut Seen) {
    let mut world = World::new();
    let client = asking(&mut world);
    let origin = world.connected();
    world.origin_sends(origin, OK);
    seen.look(&world);
    world.client_sends(client, GET);
    world.origin_ends(origin);
    let fresh = world.connected();
    world.origin_sends(fresh, OK);
    world.origin_sends(fresh, "more");
    seen.look(&world);
}

fn refusals(seen: &mut Seen) {
    for (limit, parent) in [(1, 9), (9, 1)] {
        let mut world = World::edited(|listener, _| {
            let parent = ConnectionBudget::new(parent, None);
            listener.connections = Arc::new(ConnectionBudget::new(limit, Some(Arc::new(parent))));
        });
        world.accept();
        assert!(world.offer().is_none());
        world.accept_fails();
        seen.look(&world);
    }
}

/// Connections of both sides fill the worker's slots before the listener's limit is reached.
fn slots(seen: &mut Seen) {
    let mut world = World::new();
    while let Some(client) = world.offer() {
        world.client_sends(client, GET);
    }
    seen.look(&world);
}

fn slow_clients(seen: &mut Seen) {
    let mut world = World::serving(WorldOptions::default(), |http| {
        http.request_timeout = Some(Duration::from_secs(1));
        http.stream_idle_timeout = Some(Duration::from_secs(3));
    });
    let late = world.accept();
    world.client_sends(
        late,
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
    );
    world.connected();
    world.wait_seconds(2);
    let half = world.accept();
    world.client_sends(half, "GET / HTTP/1.1\r\n");
    asking(&mut world);
    world.connected();
    world.wait_seconds(70);
    world.accept();
    world.wait_seconds(70);
    let gone = asking(&mut world);
    world.breaks(gone);
    seen.look(&world);
}

fn long_exchanges(seen: &mut Seen) {
    let mut world = World::serving(WorldOptions::default(), |http| {
        http.stream_duration_max = Some(Duration::from_secs(1));
    });
    asking(&mut world);
    world.connected();
    world.wait_seconds(2);
    seen.look(&world);
}

fn timeouts(seen: &mut Seen) {
    let mut world = World::with(WorldOptions {
        keep_sent: true,
        ..WorldOptions::default()
    });
    asking(&mut world);
    let origin = world.connected();
    world.origin_sends(origin, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    world.origin_sends(origin, &"x".repeat(64 * 1024));
    world.wait_seconds(100);
    seen.look(&world);
}

fn no_connection(seen: &mut Seen) {
    let mut world = World::new();
    asking(&mut world);
    world.refuse_connect(IoFault::Refused);
    asking(&mut world);
    world.wait_seconds(6);
    seen.look(&world);
}

fn broken_origins(seen: &mut Seen) {
    let mut world = World::new();
    asking(&mut world);
    let origin = world.connected();
    world.origin_sends(origin, "no HTTP\r\n\r\n");
    asking(&mut world);
    let origin = world.connected();
    world.breaks(origin);
    seen.look(&world);
}

fn breakers(seen: &mut Seen) {
    let none = |edit: fn(&mut Thresholds)| {
        let mut thresholds = Thresholds::default();
        edit(&mut thresholds);
        World::edited(|_, cluster| {
            cluster.breakers = Arc::new(Breakers::new(thresholds, Thresholds::default()));
        })
    };
    for edit in [
        |it: &mut Thresholds| it.connections = 1,
        |it: &mut Thresholds| it.pending = 0,
        |it: &mut Thresholds| it.requests = 0,
    ] {
        let mut world = none(edit);
        asking(&mut world);
        asking(&mut world);
        world.try_connected();
        seen.look(&world);
    }
}

fn no_endpoint(seen: &mut Seen) {
    let mut world = World::edited(|_, cluster| cluster.priorities.clear());
    asking(&mut world);
    seen.look(&world);
}

fn panic_mode(seen: &mut Seen) {
    let mut world = World::edited(|_, cluster: &mut Cluster| {
        cluster.priorities[0][0].health = Health::Unhealthy;
    });
    asking(&mut world);
    seen.look(&world);
}

fn full_of_heads(seen: &mut Seen) {
    let (world, _) = crate::bounds::full_of_heads();
    seen.look(&world);
}

/// Lines that nobody takes: the queue fills and the rest is dropped.
fn full_log(seen: &mut Seen) {
    let line = vec![b'x'; limits::LOG_BYTES_MAX / 2];
    let mut world = World::serving(WorldOptions::default(), |http| {
        http.access_logs.push(AccessLog {
            sink: SinkId(0),
            format: Format::literal(&line),
        });
    });
    let client = world.accept();
    for _ in 0..3 {
        world.client_sends(client, GET);
        let origin = match world.try_connected() {
            Some(origin) => origin,
            None => world.last_origin(),
        };
        world.origin_sends(origin, OK);
    }
    seen.look(&world);
}
