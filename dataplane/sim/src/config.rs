//! The configuration of a simulated machine, made from the core's own types.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::accept::ConnectionBudget;
use penstock_core::cluster::{Breakers, Thresholds};
use penstock_core::config::cluster::{Health, Policy};
use penstock_core::config::listener::{Forwarded, HostOptions, RequestId, ServerHeader};
use penstock_core::config::route::{
    Action, ClusterChoice, DirectResponse, Forward, HeaderChanges, HostRewrite, PathMatch,
    PathRewrite, RouteConfig, RouteMatch, VirtualHost, WeightedCluster,
};
use penstock_core::config::{
    AccessLog, Chains, Cluster, ClusterId, Endpoint, EndpointId, Http, Listener, ListenerId,
    SinkId, Snapshot, route::Route,
};
use penstock_core::format::Format;
use penstock_core::http::h1::RequestOptions;
use penstock_core::http::path::{EscapedSlashes, PathOptions};
use penstock_core::route::RouteTable;
use penstock_core::stats::{
    ClusterCounters, ClusterStats, ListenerCounters, ListenerStats, PerWorker, RouteStats,
    WorkerIndex,
};

use crate::message::DIRECT_BODY;
use crate::scenario::{Scenario, Settings};

/// What lasts over all configurations of a run: counters and budgets.
pub struct Configurator {
    scenario: Scenario,
    http: Arc<Http>,
    /// Counters of both listeners.
    pub listener_stats: [Arc<PerWorker<ListenerStats>>; 2],
    /// Connection budgets of both listeners.
    pub budgets: [Arc<ConnectionBudget>; 2],
    /// Counters of every cluster, those of former names included; the last two are in force.
    pub cluster_stats: Vec<Arc<PerWorker<ClusterStats>>>,
    /// Breakers of the same.
    pub breakers: Vec<Arc<Breakers>>,
    generation: u64,
}

impl Configurator {
    /// For a scenario.
    pub fn new(world: &Scenario) -> Self {
        let settings = world.settings;
        let process = Arc::new(ConnectionBudget::new(settings.listener_limit * 2, None));
        let budget = || {
            Arc::new(ConnectionBudget::new(
                settings.listener_limit,
                Some(process.clone()),
            ))
        };
        let mut configurator = Self {
            scenario: world.clone(),
            http: Arc::new(http(world, 0)),
            listener_stats: [Arc::new(PerWorker::new(1)), Arc::new(PerWorker::new(1))],
            budgets: [budget(), budget()],
            cluster_stats: Vec::new(),
            breakers: Vec::new(),
            generation: 0,
        };
        configurator.rename();
        configurator
    }

    /// From now on the two clusters have other names, and so other ids, counters and breakers.
    pub fn rename(&mut self) {
        let settings = self.settings();
        let ceiling = Thresholds {
            connections: settings.breaker_connections,
            pending: settings.breaker,
            requests: settings.breaker,
            retries: 3,
        };
        for _ in 0..2 {
            self.cluster_stats.push(Arc::new(PerWorker::new(1)));
            self.breakers
                .push(Arc::new(Breakers::new(ceiling, ceiling)));
        }
        self.http = Arc::new(http(&self.scenario, self.first_id()));
    }

    fn settings(&self) -> Settings {
        self.scenario.settings
    }

    /// Id of the first cluster; former ones left theirs unused.
    fn first_id(&self) -> usize {
        self.breakers.len() - 2
    }

    /// A configuration with these endpoints (bits per cluster), listeners and clusters.
    pub fn snapshot(
        &mut self,
        endpoints: [u8; 2],
        listeners: [bool; 2],
        present: [bool; 2],
    ) -> Arc<Snapshot> {
        self.generation += 1;
        let clusters = [0, 1].map(|index| Arc::new(self.cluster(index, endpoints[index])));
        let former = (0..self.first_id()).map(|_| None);
        Arc::new(Snapshot {
            generation: self.generation,
            listeners: (0..2)
                .map(|index| listeners[index].then(|| Arc::new(self.listener(index))))
                .collect(),
            cluster_ids: clusters
                .iter()
                .map(|cluster| (cluster.name.clone(), cluster.id))
                .collect::<HashMap<_, _>>(),
            clusters: former
                .chain(
                    clusters
                        .into_iter()
                        .zip(present)
                        .map(|(cluster, present)| present.then_some(cluster)),
                )
                .collect(),
        })
    }

    /// Every counter that is not zero, both listeners and both clusters together.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let only = WorkerIndex(0);
        let mut counters = Vec::new();
        for cell in ListenerCounters::CELLS {
            let of = |stats: &Arc<PerWorker<ListenerStats>>| (cell.read)(&stats.of(only).counters);
            counters.push((cell.metric, self.listener_stats.iter().map(of).sum()));
        }
        for cell in ClusterCounters::CELLS {
            let of = |stats: &Arc<PerWorker<ClusterStats>>| (cell.read)(&stats.of(only).counters);
            counters.push((cell.metric, self.cluster_stats.iter().map(of).sum()));
        }
        counters.retain(|&(_, value)| value > 0);
        counters
    }

    fn listener(&self, index: usize) -> Listener {
        Listener {
            id: ListenerId(index as u32),
            name: format!("listener{index}").into(),
            address: listener_address(index),
            backlog: None,
            connections: self.budgets[index].clone(),
            buffer_limit: self.settings().buffer_limit,
            chains: Chains::http(self.http.clone()),
            stats: self.listener_stats[index].clone(),
        }
    }

    fn cluster(&self, index: usize, endpoints: u8) -> Cluster {
        let settings = self.settings();
        let id = self.first_id() + index;
        let members = (0..8).filter(|bit| endpoints & (1 << bit) != 0);
        Cluster {
            id: ClusterId(id as u32),
            name: format!("cluster{id}").into(),
            policy: match settings.policy {
                0 => Policy::RoundRobin,
                1 => Policy::Random,
                _ => Policy::LeastRequest { choices: 2 },
            },
            priorities: vec![members.map(|member| endpoint(index, member)).collect()],
            overprovisioning_percent: 140,
            panic_percent: 50,
            connect_timeout: Duration::from_nanos(settings.connect_timeout),
            idle_timeout: Some(Duration::from_nanos(settings.pool_idle_timeout)),
            requests_per_connection_max: some(settings.upstream_requests_max),
            buffer_limit: settings.buffer_limit,
            breakers: self.breakers[id].clone(),
            stats: self.cluster_stats[id].clone(),
        }
    }
}

/// Address of a listener.
pub fn listener_address(index: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 8080 + index as u16))
}

/// Address of an origin.
pub fn origin_address(cluster: usize, member: usize) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1 + cluster as u8], 9000 + member as u16))
}

fn endpoint(cluster: usize, member: usize) -> Endpoint {
    Endpoint {
        id: EndpointId(member as u32),
        address: origin_address(cluster, member),
        hostname: None,
        weight: 1 + member as u32,
        health: Health::Healthy,
    }
}

fn some(number: u32) -> Option<u32> {
    (number > 0).then_some(number)
}

fn http(world: &Scenario, first_id: usize) -> Http {
    let settings = &world.settings;
    let time = |nanoseconds: u64| (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds));
    Http {
        stat_prefix: "sim".into(),
        routes: Arc::new(routes(world, first_id as u32)),
        access_logs: vec![AccessLog {
            sink: SinkId(0),
            format: Format::literal(b"exchange\n"),
        }],
        decode: RequestOptions {
            accept_http10: true,
            ..RequestOptions::default()
        },
        path: PathOptions {
            normalize: true,
            merge_slashes: false,
            escaped_slashes: EscapedSlashes::Reject,
        },
        host: HostOptions::default(),
        forward_trailers: world.rules.forward_trailers,
        head_timeout: time(settings.head_timeout),
        request_timeout: time(settings.request_timeout),
        stream_duration_max: None,
        idle_timeout: time(settings.idle_timeout),
        stream_idle_timeout: time(settings.stream_idle_timeout),
        connection_duration_max: time(settings.connection_duration_max),
        requests_per_connection_max: some(settings.downstream_requests_max),
        delayed_close_timeout: Duration::from_secs(1),
        forwarded: Forwarded {
            use_remote_address: true,
            trusted_hops: 0,
            skip_append: false,
            append_port: false,
        },
        server: ServerHeader::Overwrite("penstock".into()),
        via: "".into(),
        request_id: RequestId {
            generate: true,
            preserve_external: false,
            in_response: false,
        },
        proxy_continue: world.rules.proxy_continue,
        upgrades: if world.rules.upgrades {
            vec!["websocket".into()]
        } else {
            Vec::new()
        },
        suppress_envoy_headers: true,
    }
}

/// `/a` and `/b` go to one cluster each, `/w` to both, `/d` answers by itself.
fn routes(world: &Scenario, first_id: u32) -> RouteTable {
    let one = |index: u32| ClusterChoice::One(ClusterId(first_id + index));
    let split = ClusterChoice::Weighted {
        clusters: (0..2)
            .map(|index| WeightedCluster {
                cluster: ClusterId(first_id + index),
                weight: 1,
                headers: HeaderChanges::default(),
                host_rewrite: None,
            })
            .collect(),
        total: 2,
    };
    let timeout = world.settings.route_timeout;
    let config = RouteConfig {
        name: "sim".into(),
        virtual_hosts: vec![VirtualHost {
            name: "all".into(),
            domains: vec!["*".into()],
            routes: vec![
                route("/a", forward(one(0), timeout)),
                route("/b", forward(one(1), timeout)),
                route("/w", forward(split, timeout)),
                route("/d", direct()),
            ],
            ..VirtualHost::default()
        }],
        ..RouteConfig::default()
    };
    match RouteTable::compile(config) {
        Ok(table) => table,
        Err(errors) => unreachable!("the simulator's routes do not compile: {errors:?}"),
    }
}

fn forward(cluster: ClusterChoice, timeout: u64) -> Action {
    Action::Forward(Box::new(Forward {
        cluster,
        not_found_status: 503,
        path_rewrite: PathRewrite::Keep,
        host_rewrite: HostRewrite::Keep,
        append_forwarded_host: false,
        timeout: (timeout > 0).then(|| Duration::from_nanos(timeout)),
        idle_timeout: None,
        stream_duration_max: None,
        upgrades: Vec::new(),
        high_priority: false,
    }))
}

fn direct() -> Action {
    Action::Direct(Box::new(DirectResponse {
        status: 200,
        body: DIRECT_BODY.into(),
    }))
}

fn route(prefix: &str, action: Action) -> Route {
    Route {
        name: prefix.into(),
        matcher: RouteMatch {
            path: PathMatch::Prefix(prefix.into()),
            case_sensitive: true,
            headers: Vec::new(),
            query: Vec::new(),
            fraction: None,
        },
        action,
        headers: HeaderChanges::default(),
        stats: Arc::new(PerWorker::<RouteStats>::new(1)),
    }
}
