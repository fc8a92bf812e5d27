//! Counters for people and for collectors: one [`View`] of the process, and two ways to write it.
//!
//! Nothing is registered: a view walks the snapshot, adds up the workers' cells and is gone. Both
//! writers are iterators over small pieces of text, so a scrape of a large configuration needs the
//! memory of a piece, not that of the whole text, and never holds anything that a worker waits for.

mod busy;
mod catalog;
mod envoy;
mod names;
mod page;
mod prometheus;
mod series;
mod sums;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::{Cluster, Listener, Snapshot};
use penstock_core::stats::{DnsCounters, PerWorker, RouteStats, WorkerStats};

use super::access_log::Sinks;
use super::process::Process;
use crate::admin::State;

pub use busy::BusyWindow;
pub use envoy::{EnvoyStats, Selection, Shape};
pub use prometheus::{Exposition, SERIES_MAX, SeriesDropped};

/// What this process is.
#[derive(Clone, Debug)]
pub struct Build {
    /// Version.
    pub version: Box<str>,
    /// Revision it was built from; empty if unknown.
    pub revision: Box<str>,
    /// Driver that it runs on.
    pub driver: Box<str>,
}

/// Everything that one answer is made of, collected when it was asked for. Cells are read while the
/// text is written.
#[derive(Debug)]
pub struct View {
    /// What this process is.
    pub build: Arc<Build>,
    /// Where it is in its life.
    pub state: State,
    /// Since it started.
    pub uptime: Duration,
    /// What `/proc` says.
    pub process: Process,
    /// Generation of the configuration.
    pub generation: u64,
    /// Listeners in force, by name.
    pub listeners: Vec<Arc<Listener>>,
    /// Clusters in force, by name.
    pub clusters: Vec<Arc<Cluster>>,
    /// The workers' cells.
    pub workers: Arc<PerWorker<WorkerStats>>,
    /// Counters of the name lookups, if there are any.
    pub dns: Option<Arc<DnsCounters>>,
    /// Share of the last seconds that each worker did not wait.
    pub busy: Vec<f64>,
    /// Access log sinks.
    pub sinks: Arc<Sinks>,
}

/// Counters of all routes of one name in one virtual host of one listener.
#[derive(Debug)]
struct RouteRow {
    listener: usize,
    virtual_host: Box<str>,
    route: Box<str>,
    stats: Vec<Arc<PerWorker<RouteStats>>>,
}

/// Listeners of a snapshot, by name.
pub fn listeners(snapshot: &Snapshot) -> Vec<Arc<Listener>> {
    let mut listeners: Vec<_> = snapshot.listeners.iter().flatten().cloned().collect();
    listeners.sort_by(|one, other| one.name.cmp(&other.name));
    listeners
}

/// Clusters of a snapshot, by name.
pub fn clusters(snapshot: &Snapshot) -> Vec<Arc<Cluster>> {
    let mut clusters: Vec<_> = snapshot.clusters.iter().flatten().cloned().collect();
    clusters.sort_by(|one, other| one.name.cmp(&other.name));
    clusters
}

/// Routes that share their names share a row: a series may occur once only. Unnamed routes are
/// counted per virtual host, because a number would change its meaning with the next edit.
fn routes(listeners: &[Arc<Listener>]) -> Vec<RouteRow> {
    let mut rows: BTreeMap<(usize, &str, &str), Vec<_>> = BTreeMap::new();
    for (listener, described) in listeners.iter().enumerate() {
        let tables = described.chains.http_settings();
        for host in tables.flat_map(|http| &http.routes.config().virtual_hosts) {
            for route in &host.routes {
                let key = (listener, &*host.name, &*route.name);
                rows.entry(key).or_default().push(route.stats.clone());
            }
        }
    }
    let row = |((listener, host, route), stats): ((_, &str, &str), _)| RouteRow {
        listener,
        virtual_host: host.into(),
        route: route.into(),
        stats,
    };
    rows.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests;
