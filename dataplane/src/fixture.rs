//! A small configuration for tests of what looks at one: two listeners, two clusters, odd names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::accept::ConnectionBudget;
use penstock_core::cluster::{Breakers, Thresholds};
use penstock_core::config::cluster::{Health, Policy};
use penstock_core::config::listener::{Forwarded, HostOptions, RequestId, ServerHeader};
use penstock_core::config::route::{
    Action, DirectResponse, HeaderChanges, PathMatch, Route, RouteConfig, RouteMatch, VirtualHost,
};
use penstock_core::config::{
    Chains, Cluster, ClusterId, Endpoint, EndpointId, Http, Listener, ListenerId, Snapshot,
};
use penstock_core::http::h1::RequestOptions;
use penstock_core::http::path::PathOptions;
use penstock_core::route::RouteTable;
use penstock_core::stats::PerWorker;

pub(crate) const WORKERS: usize = 2;

/// A name that a careless exporter would stumble over.
pub(crate) const ODD_NAME: &str = "b:\"odd\\\nname\" é";

pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        generation: 7,
        listeners: vec![
            Some(listener(0, "main", "in")),
            None,
            Some(listener(2, "other", "in")),
        ],
        clusters: vec![
            Some(cluster(
                0,
                ODD_NAME,
                vec![vec![endpoint(0, Health::Healthy)]],
            )),
            Some(cluster(
                1,
                "a",
                vec![
                    vec![endpoint(0, Health::Healthy), endpoint(1, Health::Degraded)],
                    vec![endpoint(2, Health::Unhealthy)],
                ],
            )),
        ],
        ..Snapshot::default()
    }
}

pub(crate) fn listener(id: u32, name: &str, stat_prefix: &str) -> Arc<Listener> {
    Arc::new(Listener {
        id: ListenerId(id),
        name: name.into(),
        address: loopback(8080 + id as u16),
        backlog: None,
        connections: Arc::new(ConnectionBudget::new(100, None)),
        buffer_limit: 32 * 1024,
        chains: Chains::http(Arc::new(http(stat_prefix))),
        stats: Arc::new(PerWorker::new(WORKERS)),
    })
}

pub(crate) fn cluster(id: u32, name: &str, priorities: Vec<Vec<Endpoint>>) -> Arc<Cluster> {
    let thresholds = Thresholds::default();
    Arc::new(Cluster {
        id: ClusterId(id),
        name: name.into(),
        policy: Policy::RoundRobin,
        priorities,
        overprovisioning_percent: 140,
        panic_percent: 50,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: None,
        requests_per_connection_max: None,
        buffer_limit: 32 * 1024,
        breakers: Arc::new(Breakers::new(thresholds, thresholds)),
        stats: Arc::new(PerWorker::new(WORKERS)),
    })
}

pub(crate) fn endpoint(id: u32, health: Health) -> Endpoint {
    Endpoint {
        id: EndpointId(id),
        address: loopback(9000 + id as u16),
        hostname: (id == 1).then(|| "one.test".into()),
        weight: 1 + id,
        health,
    }
}

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn http(stat_prefix: &str) -> Http {
    let routes = RouteConfig {
        name: "routes".into(),
        virtual_hosts: vec![VirtualHost {
            name: "all".into(),
            domains: vec!["*".into()],
            routes: vec![route("one"), route("same"), route("same"), route("")],
            ..VirtualHost::default()
        }],
        ..RouteConfig::default()
    };
    Http {
        stat_prefix: stat_prefix.into(),
        routes: Arc::new(RouteTable::compile(routes).expect("the routes above are correct")),
        access_logs: Vec::new(),
        decode: RequestOptions::default(),
        path: PathOptions::default(),
        host: HostOptions::default(),
        forward_trailers: false,
        head_timeout: None,
        request_timeout: None,
        stream_duration_max: None,
        idle_timeout: None,
        stream_idle_timeout: None,
        connection_duration_max: None,
        requests_per_connection_max: None,
        delayed_close_timeout: Duration::from_secs(1),
        forwarded: Forwarded {
            use_remote_address: true,
            trusted_hops: 0,
            skip_append: false,
            append_port: false,
        },
        server: ServerHeader::PassThrough,
        via: "".into(),
        request_id: RequestId {
            generate: true,
            preserve_external: false,
            in_response: false,
        },
        proxy_continue: false,
        upgrades: Vec::new(),
        suppress_envoy_headers: false,
    }
}

fn route(name: &str) -> Route {
    Route {
        name: name.into(),
        matcher: RouteMatch {
            path: PathMatch::Prefix("/".into()),
            case_sensitive: true,
            headers: Vec::new(),
            query: Vec::new(),
            fraction: None,
        },
        action: Action::Direct(Box::new(DirectResponse {
            status: 200,
            body: Box::default(),
        })),
        headers: HeaderChanges::default(),
        stats: Arc::new(PerWorker::new(WORKERS)),
    }
}
