//! What is in force of each resource, beside what it came from: so that the next configuration
//! keeps what it does not change, counters and ids above all.

use std::collections::HashMap;
use std::sync::Arc;

use penstock_core::accept::ConnectionBudget;
use penstock_core::cluster::{Breakers, Thresholds};
use penstock_core::config::Chains;
use penstock_core::config::cluster::{Cluster, ClusterId, Endpoint};
use penstock_core::config::listener::{Listener, ListenerId};
use penstock_core::stats::PerWorker;
use penstock_proto::envoy::config::cluster::v3::Cluster as ClusterProto;
use penstock_proto::envoy::config::listener::v3::Listener as ListenerProto;

use super::cluster::ClusterDraft;
use super::draft::Draft;
use super::endpoints::{EndpointIds, Plan};
use super::listener::ListenerDraft;
use super::names::Resolved;
use super::route::{KnownStats, known_stats};
use super::source::Inputs;

/// A cluster in force.
#[derive(Debug)]
pub(super) struct ClusterSlot {
    proto: ClusterProto,
    /// Nothing was found about it, so it need not be looked at again.
    quiet: bool,
    pub(super) plan: Plan,
    endpoint_ids: EndpointIds,
    pub(super) cluster: Arc<Cluster>,
}

/// A listener in force.
#[derive(Debug)]
pub(super) struct ListenerSlot {
    proto: ListenerProto,
    quiet: bool,
    inputs: Inputs,
    referred: Vec<Box<str>>,
    pub(super) listener: Arc<Listener>,
}

/// A cluster of the next configuration.
pub(super) struct DraftedCluster {
    pub(super) proto: ClusterProto,
    quiet: bool,
    /// `None`: as before.
    built: Option<ClusterDraft>,
}

/// A listener of the next configuration.
pub(super) struct DraftedListener {
    pub(super) name: Box<str>,
    proto: ListenerProto,
    quiet: bool,
    inputs: Inputs,
    referred: Vec<Box<str>>,
    /// `None`: as before.
    built: Option<ListenerDraft>,
}

impl Draft<'_> {
    pub(super) fn clusters(
        &mut self,
        protos: &[ClusterProto],
        known: &HashMap<Box<str>, ClusterSlot>,
    ) -> Vec<DraftedCluster> {
        let mut seen = HashMap::new();
        let mut index = 0;
        self.each("clusters", protos, |draft, proto| {
            draft.required("name", &proto.name, "write a name");
            draft.check_unique(&mut seen, "clusters", &proto.name, index);
            index += 1;
            draft.drafted_cluster(proto, known.get(&*proto.name))
        })
    }

    fn drafted_cluster(
        &mut self,
        proto: &ClusterProto,
        slot: Option<&ClusterSlot>,
    ) -> DraftedCluster {
        let same = slot.is_some_and(|slot| slot.proto == *proto);
        let skip = same && slot.is_some_and(|slot| slot.quiet);
        let before = self.findings.len();
        let built = (!skip).then(|| self.cluster(proto)).filter(|_| !same);
        let quiet = self.findings.len() == before;
        DraftedCluster {
            proto: proto.clone(),
            quiet,
            built,
        }
    }

    pub(super) fn listeners(
        &mut self,
        protos: &[ListenerProto],
        known: &HashMap<Box<str>, ListenerSlot>,
        same_runtime: bool,
    ) -> Vec<DraftedListener> {
        let mut seen = HashMap::new();
        let mut addresses = HashMap::new();
        let mut index = 0;
        self.each("listeners", protos, |draft, proto| {
            let name = listener_name(proto);
            draft.check_unique(&mut seen, "listeners", &name, index);
            let drafted = draft.drafted_listener(proto, name, known, same_runtime);
            draft.check_address(&mut addresses, &drafted, known, index);
            index += 1;
            drafted
        })
    }

    fn drafted_listener(
        &mut self,
        proto: &ListenerProto,
        name: Box<str>,
        known: &HashMap<Box<str>, ListenerSlot>,
        same_runtime: bool,
    ) -> DraftedListener {
        let slot = known.get(&name);
        let same = same_runtime
            && slot.is_some_and(|slot| slot.proto == *proto && slot.inputs.unchanged());
        let skip = same && slot.is_some_and(|slot| slot.quiet && self.has_all(&slot.referred));
        let before = self.findings.len();
        let built = if skip {
            None
        } else {
            let stats = slot.map_or_else(KnownStats::new, |slot| {
                let tables = slot.listener.chains.http_settings();
                tables.flat_map(|http| known_stats(&http.routes)).collect()
            });
            self.listener(proto, &name, &stats).filter(|_| !same)
        };
        DraftedListener {
            name,
            proto: proto.clone(),
            quiet: self.findings.len() == before,
            inputs: std::mem::take(&mut self.inputs),
            referred: std::mem::take(&mut self.referred),
            built,
        }
    }

    fn has_all(&self, clusters: &[Box<str>]) -> bool {
        clusters
            .iter()
            .all(|name| self.configured.contains(&**name))
    }

    fn check_unique(
        &mut self,
        seen: &mut HashMap<Box<str>, usize>,
        list: &str,
        name: &str,
        index: usize,
    ) {
        if let Some(first) = seen.insert(name.into(), index) {
            self.error(
                "name",
                format!("`{name}` is the name of {list}[{first}] already"),
                "choose another name",
            );
        }
    }

    fn check_address(
        &mut self,
        seen: &mut HashMap<std::net::SocketAddr, usize>,
        drafted: &DraftedListener,
        known: &HashMap<Box<str>, ListenerSlot>,
        index: usize,
    ) {
        let built = drafted.built.as_ref().map(|built| built.address);
        let kept = || known.get(&drafted.name).map(|slot| slot.listener.address);
        let Some(address) = built.or_else(kept).filter(|address| address.port() != 0) else {
            return;
        };
        if let Some(first) = seen.insert(address, index) {
            self.error(
                "address",
                format!("{address} is the address of listeners[{first}] already"),
                "choose another port",
            );
        }
    }
}

impl ClusterSlot {
    /// Puts a cluster in force, with what there is of the one of that name before it.
    pub(super) fn commit(
        drafted: DraftedCluster,
        before: Option<ClusterSlot>,
        id: u32,
        workers: usize,
        (resolved, next): (&Resolved, &mut u32),
    ) -> Self {
        let DraftedCluster {
            proto,
            quiet,
            built,
        } = drafted;
        match (built, before) {
            (Some(built), before) => Self::build(
                proto,
                quiet,
                built,
                before,
                (ClusterId(id), workers),
                (resolved, next),
            ),
            (None, Some(before)) => {
                let mut slot = Self {
                    proto,
                    quiet,
                    ..before
                };
                slot.refresh(resolved, next);
                slot
            }
            (None, None) => unreachable!("a cluster is as before only if there was one"),
        }
    }

    fn build(
        proto: ClusterProto,
        quiet: bool,
        built: ClusterDraft,
        before: Option<ClusterSlot>,
        (id, workers): (ClusterId, usize),
        (resolved, next): (&Resolved, &mut u32),
    ) -> Self {
        let (mut endpoint_ids, old) = match before {
            Some(before) => (before.endpoint_ids, Some(before.cluster)),
            None => (EndpointIds::default(), None),
        };
        let priorities = built.plan.endpoints(resolved, &mut endpoint_ids, next);
        let cluster = Cluster {
            id,
            name: proto.name.as_str().into(),
            policy: built.policy,
            priorities,
            overprovisioning_percent: built.overprovisioning_percent,
            panic_percent: built.panic_percent,
            connect_timeout: built.connect_timeout,
            idle_timeout: built.idle_timeout,
            requests_per_connection_max: built.requests_per_connection_max,
            buffer_limit: built.buffer_limit,
            breakers: breakers(built.thresholds, old.as_deref()),
            stats: old.map_or_else(
                || Arc::new(PerWorker::new(workers)),
                |old| old.stats.clone(),
            ),
        };
        Self {
            proto,
            quiet,
            plan: built.plan,
            endpoint_ids,
            cluster: Arc::new(cluster),
        }
    }

    /// Takes new answers of DNS; says whether they changed anything.
    pub(super) fn refresh(&mut self, resolved: &Resolved, next: &mut u32) -> bool {
        if self.plan.names.is_empty() {
            return false;
        }
        let priorities = self.plan.endpoints(resolved, &mut self.endpoint_ids, next);
        let changed = priorities != self.cluster.priorities;
        if changed {
            self.cluster = Arc::new(with_endpoints(&self.cluster, priorities));
        }
        changed
    }
}

impl ListenerSlot {
    /// Puts a listener in force, with what there is of the one of that name before it.
    pub(super) fn commit(
        drafted: DraftedListener,
        before: Option<ListenerSlot>,
        id: u32,
        workers: usize,
        process: &Arc<ConnectionBudget>,
    ) -> Self {
        let DraftedListener {
            name,
            proto,
            quiet,
            inputs,
            referred,
            built,
        } = drafted;
        let Some(built) = built else {
            let before = before.expect("a listener is as before only if there was one");
            // One that was not looked at has no new list of what it reads and refers to.
            let skipped = before.quiet;
            let inputs = if skipped { before.inputs } else { inputs };
            let referred = if skipped { before.referred } else { referred };
            return Self {
                proto,
                quiet,
                inputs,
                referred,
                listener: before.listener,
            };
        };
        let old = before.map(|before| before.listener);
        let connections = old.as_ref().map_or_else(
            || {
                Arc::new(ConnectionBudget::new(
                    built.connections_max,
                    Some(Arc::clone(process)),
                ))
            },
            |old| Arc::clone(&old.connections),
        );
        connections.set_limit(built.connections_max);
        let listener = Listener {
            id: ListenerId(id),
            name,
            address: built.address,
            backlog: built.backlog,
            connections,
            buffer_limit: built.buffer_limit,
            chains: Chains::http(Arc::new(built.http)),
            stats: old.map_or_else(
                || Arc::new(PerWorker::new(workers)),
                |old| old.stats.clone(),
            ),
        };
        Self {
            proto,
            quiet,
            inputs,
            referred,
            listener: Arc::new(listener),
        }
    }
}

/// What is taken of the budgets goes on counting, unless a ceiling moves; then the workers carry
/// it over.
fn breakers(thresholds: (Thresholds, Thresholds), old: Option<&Cluster>) -> Arc<Breakers> {
    let kept = old
        .map(|old| &old.breakers)
        .filter(|breakers| (breakers.default.thresholds, breakers.high.thresholds) == thresholds);
    kept.map_or_else(
        || Arc::new(Breakers::new(thresholds.0, thresholds.1)),
        Arc::clone,
    )
}

fn with_endpoints(cluster: &Cluster, priorities: Vec<Vec<Endpoint>>) -> Cluster {
    Cluster {
        id: cluster.id,
        name: cluster.name.clone(),
        policy: cluster.policy,
        priorities,
        overprovisioning_percent: cluster.overprovisioning_percent,
        panic_percent: cluster.panic_percent,
        connect_timeout: cluster.connect_timeout,
        idle_timeout: cluster.idle_timeout,
        requests_per_connection_max: cluster.requests_per_connection_max,
        buffer_limit: cluster.buffer_limit,
        breakers: Arc::clone(&cluster.breakers),
        stats: Arc::clone(&cluster.stats),
    }
}

/// Its name, or its address where it has none, as Envoy allows.
fn listener_name(proto: &ListenerProto) -> Box<str> {
    use penstock_proto::envoy::config::core::v3::address::Address::SocketAddress;
    use penstock_proto::envoy::config::core::v3::socket_address::PortSpecifier::PortValue;
    if !proto.name.is_empty() {
        return proto.name.as_str().into();
    }
    match proto
        .address
        .as_ref()
        .and_then(|address| address.address.as_ref())
    {
        Some(SocketAddress(address)) => {
            let port = address.port_specifier.map_or(0, |PortValue(port)| port);
            format!("{}:{port}", address.address).into()
        }
        None => "".into(),
    }
}
