//! Picking an endpoint, with 64 requests under way so that least request has something to weigh.

use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::sync::Arc;

use penstock_core::chance::Chance;
use penstock_core::cluster::Clusters;
use penstock_core::config::Snapshot;
use penstock_core::config::cluster::{Cluster, Policy};
use penstock_core::stats::WorkerIndex;

use super::Case;
use crate::gateway::{cluster, endpoint};

const POLICIES: [(&str, Policy); 3] = [
    ("round-robin", Policy::RoundRobin),
    ("random", Policy::Random),
    ("least-request", Policy::LeastRequest { choices: 2 }),
];
const ENDPOINTS: [u32; 3] = [3, 100, 10_000];
const UNDER_WAY: usize = 64;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, policy) in POLICIES {
        for count in ENDPOINTS {
            let name = format!("pick/{name}/{count}");
            cases.push(Case::new(name, move || pick(policy, count)));
        }
    }
    cases
}

/// One request begins, the oldest one ends.
fn pick(policy: Policy, count: u32) -> impl FnMut() {
    let (cluster, mut clusters) = reconciled(policy, count);
    let mut chance = Chance::new(1);
    let mut under_way = VecDeque::with_capacity(UNDER_WAY + 1);
    move || {
        let key = clusters.pick(black_box(&cluster), &mut chance);
        let key = key.expect("every endpoint is healthy");
        clusters.started(key);
        under_way.push_back(key);
        if under_way.len() > UNDER_WAY {
            let oldest = under_way.pop_front().expect("there are many");
            clusters.ended(oldest);
        }
    }
}

/// A cluster, and what a worker keeps of it.
pub(super) fn reconciled(policy: Policy, count: u32) -> (Arc<Cluster>, Clusters) {
    let cluster = Arc::new(cluster(policy, (0..count).map(endpoint).collect()));
    let snapshot = Snapshot {
        generation: 1,
        listeners: Vec::new(),
        clusters: vec![Some(Arc::clone(&cluster))],
        cluster_ids: HashMap::new(),
    };
    let mut clusters = Clusters::new(WorkerIndex(0), 1);
    clusters.reconcile(&snapshot, &mut Vec::new());
    (cluster, clusters)
}
