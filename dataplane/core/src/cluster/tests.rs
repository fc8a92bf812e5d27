//! Clusters as an engine uses them.

mod picks;
mod properties;

use core::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::chance::Chance;
use crate::config::cluster::{Health, Policy};
use crate::config::{Cluster, ClusterId, Endpoint, EndpointId, Snapshot};
use crate::event::ConnId;
use crate::pool::{Ticket, Waiting};
use crate::stats::{ClusterCounters, PerWorker, WorkerIndex};

use super::{Breakers, Clusters, EndpointKey, Thresholds};

const WORKER: WorkerIndex = WorkerIndex(0);

/// One endpoint: id, weight, health.
type Row = (u32, u32, Health);

fn cluster(policy: Policy, priorities: &[&[Row]], thresholds: Thresholds) -> Cluster {
    let endpoint = |&(id, weight, health): &Row| Endpoint {
        id: EndpointId(id),
        address: SocketAddr::from(([127, 0, 0, 1], 1000 + id as u16)),
        hostname: None,
        weight,
        health,
    };
    let level = |level: &&[Row]| level.iter().map(endpoint).collect();
    Cluster {
        id: ClusterId(0),
        name: "one".into(),
        policy,
        priorities: priorities.iter().map(level).collect(),
        overprovisioning_percent: 140,
        panic_percent: 50,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: None,
        requests_per_connection_max: None,
        buffer_limit: 32 * 1024,
        breakers: Arc::new(Breakers::new(thresholds, Thresholds::default())),
        stats: Arc::new(PerWorker::new(1)),
    }
}

/// The next generation of a cluster, as `translate` makes it: breakers and counters stay.
fn next(before: &Cluster, priorities: &[&[Row]]) -> Cluster {
    Cluster {
        breakers: Arc::clone(&before.breakers),
        stats: Arc::clone(&before.stats),
        ..cluster(before.policy, priorities, Thresholds::default())
    }
}

fn healthy(ids: std::ops::Range<u32>) -> Vec<Row> {
    ids.map(|id| (id, 1, Health::Healthy)).collect()
}

fn snapshot(clusters: &[Option<&Arc<Cluster>>]) -> Snapshot {
    Snapshot {
        clusters: clusters.iter().map(|cluster| cluster.cloned()).collect(),
        ..Snapshot::default()
    }
}

struct World {
    clusters: Clusters,
    cluster: Arc<Cluster>,
    chance: Chance,
    closing: Vec<ConnId>,
}

impl World {
    fn new(cluster: Cluster) -> Self {
        let mut world = Self {
            clusters: Clusters::new(WORKER, 1),
            cluster: Arc::new(cluster),
            chance: Chance::new(1),
            closing: Vec::new(),
        };
        world.reconcile();
        world
    }

    fn reconcile(&mut self) {
        let snapshot = snapshot(&[Some(&self.cluster)]);
        self.clusters.reconcile(&snapshot, &mut self.closing);
    }

    fn change(&mut self, priorities: &[&[Row]]) {
        self.cluster = Arc::new(next(&self.cluster, priorities));
        self.reconcile();
    }

    /// After it left: with new cells, as `translate` makes it.
    fn come_back(&mut self, priorities: &[&[Row]]) {
        let thresholds = self.cluster.breakers.default.thresholds;
        self.cluster = Arc::new(cluster(self.cluster.policy, priorities, thresholds));
        self.reconcile();
    }

    fn leave(&mut self) {
        self.clusters
            .reconcile(&snapshot(&[None]), &mut self.closing);
        self.clusters.forget(|_| false, &mut self.closing);
    }

    fn pick(&mut self) -> Option<EndpointKey> {
        self.clusters.pick(&self.cluster, &mut self.chance)
    }

    fn pick_id(&mut self) -> u32 {
        let key = self.pick().expect("there are endpoints");
        self.clusters.endpoint(key).id.0
    }

    fn counters(&self) -> &ClusterCounters {
        &self.cluster.stats.of(WORKER).counters
    }
}

fn conn(slot: u32) -> ConnId {
    ConnId {
        slot,
        generation: 7,
    }
}

#[test]
fn endpoints_that_leave_stay_for_their_requests_and_give_up_idle_connections() {
    let mut world = World::new(cluster(
        Policy::RoundRobin,
        &[&healthy(0..1)],
        Thresholds::default(),
    ));
    let key = world.pick().unwrap();
    assert!(world.clusters.try_connection(key, false));
    assert!(world.clusters.try_connection(key, false));
    world.clusters.started(key);
    assert_eq!(world.clusters.put(key, conn(1)), None);

    world.change(&[&healthy(1..3)]);
    assert_eq!(world.closing, [conn(1)]);
    assert_eq!(
        world.clusters.put(key, conn(2)),
        Some(conn(2)),
        "not pooled any more"
    );
    assert_eq!(world.clusters.endpoint(key).active, 1);
    world.clusters.ended(key);
    world.clusters.release_connection(key, false);
    assert_eq!(world.clusters.endpoints(), 3);
    world.clusters.release_connection(key, false);
    assert_eq!(world.clusters.endpoints(), 2);
    assert_eq!(world.counters().connections_active.value(), 0);
    assert_eq!(world.counters().connections_idle.value(), 0);
    assert_eq!(world.counters().requests_active.value(), 0);
}

#[test]
fn a_cluster_that_leaves_strands_its_waiters_and_is_forgotten_after_its_last_use() {
    let mut world = World::new(cluster(
        Policy::Random,
        &[&healthy(0..2)],
        Thresholds::default(),
    ));
    let key = world.pick().unwrap();
    let cluster = Arc::clone(&world.cluster);
    assert!(world.clusters.try_request(&cluster, false));
    world.clusters.started(key);
    world
        .clusters
        .wait(ClusterId(0), false, Waiting(1))
        .unwrap();
    world.clusters.wait(ClusterId(0), true, Waiting(2)).unwrap();

    world.leave();
    assert_eq!(world.pick(), None);
    assert!(
        world
            .clusters
            .wait(ClusterId(0), false, Waiting(3))
            .is_none()
    );
    assert_eq!(world.clusters.poll_stranded(), Some(Waiting(2)));
    assert_eq!(world.clusters.poll_stranded(), Some(Waiting(1)));
    assert_eq!(world.clusters.poll_stranded(), None);
    world.clusters.ended(key);
    assert!(
        world.clusters.states[0].is_some(),
        "a request is still counted"
    );
    world.clusters.release_request(&cluster, false);
    assert!(world.clusters.states[0].is_none());
    assert_eq!(world.clusters.endpoints(), 0);
    assert_eq!(cluster.breakers.default.requests.taken(), 0);
}

#[test]
fn round_robin_takes_turns_and_keeps_its_place_over_a_change() {
    let mut world = World::new(cluster(
        Policy::RoundRobin,
        &[&healthy(0..4)],
        Thresholds::default(),
    ));
    let first = world.pick_id();
    for turn in 1..9 {
        assert_eq!(world.pick_id(), (first + turn) % 4);
    }
    let expected = (first + 9) % 4;
    world.change(&[&healthy(0..5)]);
    assert_eq!(world.pick_id(), expected);
}

#[test]
fn an_idle_connection_elsewhere_serves_when_no_further_one_is_allowed() {
    let limits = Thresholds {
        connections: 2,
        ..Thresholds::default()
    };
    let rows = [
        (0, 1, Health::Healthy),
        (1, 1, Health::Healthy),
        (2, 1, Health::Unhealthy),
    ];
    let mut world = World::new(cluster(Policy::RoundRobin, &[&rows], limits));
    let (one, other) = (world.pick().unwrap(), world.pick().unwrap());
    assert!(world.clusters.try_connection(one, false));
    assert!(world.clusters.try_connection(other, false));
    assert!(!world.clusters.try_connection(one, false));
    assert_eq!(world.clusters.take_other(one), None, "nothing is idle");
    assert_eq!(world.clusters.put(other, conn(5)), None);
    assert_eq!(world.clusters.take(one), None);
    assert_eq!(world.clusters.take_other(one), Some((other, conn(5))));
    assert_eq!(world.counters().connections_idle.value(), 0);
    assert_eq!(world.counters().overflow_connections.value(), 1);
}

#[test]
fn an_endpoint_that_moves_keeps_its_connections() {
    let mut world = World::new(cluster(
        Policy::RoundRobin,
        &[&healthy(0..1)],
        Thresholds::default(),
    ));
    let key = world.pick().unwrap();
    assert!(world.clusters.try_connection(key, false));
    assert_eq!(world.clusters.put(key, conn(1)), None);
    let mut moved = next(&world.cluster, &[&healthy(0..1)]);
    moved.priorities[0][0].address = SocketAddr::from(([127, 0, 0, 2], 80));
    world.cluster = Arc::new(moved);
    world.reconcile();
    assert!(world.closing.is_empty());
    assert_eq!(world.pick(), Some(key));
    assert_eq!(world.clusters.take(key), Some(conn(1)));
    let address = world.clusters.endpoint(key).address;
    assert_eq!(address, SocketAddr::from(([127, 0, 0, 2], 80)));
}
