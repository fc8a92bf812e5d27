//! The bootstrap to a snapshot: what a configuration means.
//!
//! All validation that is about meaning is here and all problems are found in one pass; nothing
//! invalid leaves it. A [`Translator`] lives as long as the process: it gives the stable ids and
//! keeps what did not change, so that workers see by the pointer that there is nothing to do.
//!
//! ```text
//! Bootstrap + SpanIndex ─► drafts (one file per message) ─► no errors? ─► slots ─► Snapshot
//!                                   Resolved (from DNS) ────────────────────┘
//! ```

mod access_log;
mod address;
mod cluster;
mod draft;
mod endpoints;
mod headers;
mod http;
mod intern;
mod listener;
mod matcher;
pub mod names;
mod process;
mod route;
mod runtime;
mod slots;
mod source;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use penstock_core::accept::ConnectionBudget;
use penstock_core::config::Snapshot;
use penstock_proto::envoy::config::bootstrap::v3::Bootstrap;
use penstock_proto::envoy::config::bootstrap::v3::bootstrap::StaticResources;

pub use process::{Admin, AdminReach};

use crate::bootstrap::{Finding, Findings, LoadOptions, Loaded, load};
use crate::telemetry::access_log::Sinks;
use draft::{Draft, Means};
use intern::Interner;
use names::{Name, NameKey, Resolved};
use runtime::Runtime;
use slots::{ClusterSlot, DraftedCluster, DraftedListener, ListenerSlot};

/// How a bootstrap is translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TranslateOptions {
    /// Which addresses the administration interface may have.
    pub admin: AdminReach,
    /// Whether to tell where an absent field means something else than in Envoy: for `check`.
    pub notes: bool,
}

/// What came of a bootstrap.
#[derive(Debug)]
pub struct Translated {
    /// For the workers.
    pub snapshot: Arc<Snapshot>,
    /// What DNS has to resolve from now on, each key once.
    pub names: Vec<Name>,
    /// The administration interface, if there is one.
    pub admin: Option<Admin>,
    /// Warnings and notes.
    pub findings: Vec<Finding>,
}

/// Turns bootstraps into snapshots, one after the other.
#[derive(Debug)]
pub struct Translator {
    workers: usize,
    sinks: Arc<Sinks>,
    options: TranslateOptions,
    process: Arc<ConnectionBudget>,
    /// The bound of the process where the configuration sets none.
    process_limit: u32,
    generation: u64,
    cluster_ids: Interner,
    listener_ids: Interner,
    next_endpoint: u32,
    runtime: Runtime,
    clusters: HashMap<Box<str>, ClusterSlot>,
    listeners: HashMap<Box<str>, ListenerSlot>,
}

impl Translator {
    /// A translator for this many workers. `process` bounds the connections of all listeners; its
    /// limit holds where the configuration sets none.
    pub fn new(
        workers: usize,
        sinks: Arc<Sinks>,
        process: Arc<ConnectionBudget>,
        options: TranslateOptions,
    ) -> Self {
        Self {
            workers,
            sinks,
            options,
            process_limit: process.limit(),
            process,
            generation: 0,
            cluster_ids: Interner::default(),
            listener_ids: Interner::default(),
            next_endpoint: 0,
            runtime: Runtime::default(),
            clusters: HashMap::new(),
            listeners: HashMap::new(),
        }
    }

    /// Takes a bootstrap in force. `resolved` is what DNS knows so far; names that it does not know
    /// have no endpoints until [`Translator::resolve`] is called.
    ///
    /// # Errors
    /// All problems, warnings among them; the configuration before stays in force.
    pub fn apply(&mut self, loaded: &Loaded, resolved: &Resolved) -> Result<Translated, Findings> {
        let drafted = self.draft(loaded);
        let mut findings = drafted.findings;
        findings.sort_by_key(|finding| (finding.line, finding.column));
        let findings = Findings(findings);
        if findings.has_errors() {
            return Err(findings);
        }
        self.runtime = drafted.runtime;
        self.process
            .set_limit(drafted.connections_max.unwrap_or(self.process_limit));
        self.commit_clusters(drafted.clusters, resolved);
        self.commit_listeners(drafted.listeners);
        Ok(Translated {
            snapshot: self.next_snapshot(),
            names: self.names(),
            admin: drafted.admin,
            findings: findings.0,
        })
    }

    /// Takes new answers of DNS; `None` if they change no cluster.
    pub fn resolve(&mut self, resolved: &Resolved) -> Option<Arc<Snapshot>> {
        let mut changed = false;
        for slot in self.clusters.values_mut() {
            changed |= slot.refresh(resolved, &mut self.next_endpoint);
        }
        changed.then(|| self.next_snapshot())
    }

    /// What DNS has to resolve, each key once, with the shortest times that were asked for.
    pub fn names(&self) -> Vec<Name> {
        let mut names: BTreeMap<NameKey, Name> = BTreeMap::new();
        for wanted in self.clusters.values().flat_map(|slot| &slot.plan.names) {
            names
                .entry(wanted.key.clone())
                .and_modify(|known| shorten(known, wanted))
                .or_insert_with(|| wanted.clone());
        }
        names.into_values().collect()
    }

    fn draft(&mut self, loaded: &Loaded) -> Drafted {
        let bootstrap = &loaded.bootstrap;
        let unset = StaticResources::default();
        let resources = bootstrap.static_resources.as_ref().unwrap_or(&unset);
        let runtime = Runtime::new(bootstrap.layered_runtime.as_ref());
        let configured: HashSet<&str> = resources
            .clusters
            .iter()
            .map(|cluster| cluster.name.as_str())
            .collect();
        let mut draft = Draft::new(Means {
            spans: &loaded.spans,
            notes: self.options.notes,
            cluster_ids: &mut self.cluster_ids,
            configured: &configured,
            runtime: &runtime,
            sinks: &self.sinks,
            workers: self.workers,
        });
        let (admin, connections_max) = draft.process(bootstrap, self.options.admin);
        let same_runtime = runtime == self.runtime;
        let (clusters, listeners) = draft.field("static_resources", |draft| {
            let clusters = draft.clusters(&resources.clusters, &self.clusters);
            let known = &self.listeners;
            (
                clusters,
                draft.listeners(&resources.listeners, known, same_runtime),
            )
        });
        let findings = draft.findings;
        Drafted {
            clusters,
            listeners,
            admin,
            connections_max,
            findings,
            runtime,
        }
    }

    fn commit_clusters(&mut self, drafted: Vec<DraftedCluster>, resolved: &Resolved) {
        let mut old = std::mem::take(&mut self.clusters);
        for cluster in drafted {
            let before = old.remove(&*cluster.proto.name);
            let name: Box<str> = cluster.proto.name.as_str().into();
            let id = self.cluster_ids.id(&name);
            let next = &mut self.next_endpoint;
            let slot = ClusterSlot::commit(cluster, before, id, self.workers, (resolved, next));
            self.clusters.insert(name, slot);
        }
    }

    fn commit_listeners(&mut self, drafted: Vec<DraftedListener>) {
        let mut old = std::mem::take(&mut self.listeners);
        for listener in drafted {
            let before = old.remove(&listener.name);
            let name = listener.name.clone();
            let id = self.listener_ids.id(&name);
            let slot = ListenerSlot::commit(listener, before, id, self.workers, &self.process);
            self.listeners.insert(name, slot);
        }
    }

    fn next_snapshot(&mut self) -> Arc<Snapshot> {
        self.generation += 1;
        let mut snapshot = Snapshot {
            generation: self.generation,
            listeners: vec![None; self.listener_ids.len()],
            clusters: vec![None; self.cluster_ids.len()],
            cluster_ids: HashMap::with_capacity(self.clusters.len()),
        };
        for slot in self.listeners.values() {
            let id = slot.listener.id.0 as usize;
            snapshot.listeners[id] = Some(Arc::clone(&slot.listener));
        }
        for (name, slot) in &self.clusters {
            let id = slot.cluster.id;
            snapshot.clusters[id.0 as usize] = Some(Arc::clone(&slot.cluster));
            snapshot.cluster_ids.insert(name.clone(), id);
        }
        Arc::new(snapshot)
    }
}

/// Everything that there is to say about a file: errors, warnings, and notes where an absent field
/// means something else than in Envoy.
pub fn check(path: &Path, options: &LoadOptions, admin: AdminReach) -> Findings {
    let loaded = match load(path, options) {
        Ok(loaded) => loaded,
        Err(findings) => return findings,
    };
    let process = Arc::new(ConnectionBudget::new(u32::MAX, None));
    let options = TranslateOptions { admin, notes: true };
    let mut translator = Translator::new(1, Arc::default(), process, options);
    let mut findings = loaded.warnings.clone();
    findings.extend(match translator.apply(&loaded, &Resolved::new()) {
        Ok(translated) => translated.findings,
        Err(findings) => findings.0,
    });
    findings.sort_by_key(|finding| (finding.line, finding.column));
    Findings(findings)
}

/// A whole configuration that is not in force yet.
struct Drafted {
    clusters: Vec<DraftedCluster>,
    listeners: Vec<DraftedListener>,
    admin: Option<Admin>,
    connections_max: Option<u32>,
    findings: Vec<Finding>,
    runtime: Runtime,
}

impl Draft<'_> {
    fn process(
        &mut self,
        bootstrap: &Bootstrap,
        reach: AdminReach,
    ) -> (Option<Admin>, Option<u32>) {
        let admin = bootstrap.admin.as_ref();
        let admin = admin.and_then(|admin| self.field("admin", |draft| draft.admin(admin, reach)));
        (admin, self.connections_max(bootstrap))
    }
}

/// The shorter of both times for a name that two clusters ask for.
fn shorten(known: &mut Name, wanted: &Name) {
    known.refresh = known.refresh.min(wanted.refresh);
    known.respect_ttl |= wanted.respect_ttl;
    known.retry_first = known.retry_first.min(wanted.retry_first);
    known.retry_max = known.retry_max.min(wanted.retry_max);
}
