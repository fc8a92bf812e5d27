//! Short ways to write tables and requests.

use core::net::SocketAddr;
use std::sync::Arc;

use crate::access_log::{Flags, Record};
use crate::config::expression::WholeRegex;
use crate::config::route::*;
use crate::config::{ClusterId, Snapshot};
use crate::event::Time;
use crate::format::Format;
use crate::http::{Method, RequestHead, Version};
use crate::route::{Around, OriginalPath, RouteTable};
use crate::stats::PerWorker;

pub(super) fn table(routes: Vec<Route>) -> RouteTable {
    compile(config(routes))
}

pub(super) fn compile(config: RouteConfig) -> RouteTable {
    RouteTable::compile(config).unwrap_or_else(|errors| panic!("{errors:?}"))
}

pub(super) fn config(routes: Vec<Route>) -> RouteConfig {
    RouteConfig {
        name: "routes".into(),
        virtual_hosts: vec![VirtualHost {
            name: "all".into(),
            domains: vec!["*".into()],
            routes,
            ..VirtualHost::default()
        }],
        ..RouteConfig::default()
    }
}

/// A route that forwards to cluster 0.
pub(super) fn route(path: PathMatch) -> Route {
    let forward = Forward {
        cluster: ClusterChoice::One(ClusterId(0)),
        not_found_status: 503,
        path_rewrite: PathRewrite::Keep,
        host_rewrite: HostRewrite::Keep,
        append_forwarded_host: false,
        timeout: None,
        idle_timeout: None,
        stream_duration_max: None,
        upgrades: Vec::new(),
        high_priority: false,
    };
    Route {
        name: "".into(),
        matcher: RouteMatch {
            path,
            case_sensitive: true,
            headers: Vec::new(),
            query: Vec::new(),
            fraction: None,
        },
        action: Action::Forward(Box::new(forward)),
        headers: HeaderChanges::default(),
        stats: Arc::new(PerWorker::new(1)),
    }
}

/// The same, changed in some way.
pub(super) fn forward(path: PathMatch, change: impl FnOnce(&mut Forward)) -> Route {
    let mut route = route(path);
    if let Action::Forward(forward) = &mut route.action {
        change(forward);
    }
    route
}

pub(super) fn prefix(text: &str) -> PathMatch {
    PathMatch::Prefix(text.into())
}

pub(super) fn segments(text: &str) -> PathMatch {
    PathMatch::SegmentPrefix(text.into())
}

pub(super) fn exact(text: &str) -> PathMatch {
    PathMatch::Exact(text.into())
}

pub(super) fn regex(text: &str) -> PathMatch {
    PathMatch::Regex(whole(text))
}

pub(super) fn whole(text: &str) -> WholeRegex {
    WholeRegex::parse(text).unwrap()
}

pub(super) fn header(name: &str, test: ValueTest) -> HeaderMatch {
    HeaderMatch {
        name: name.into(),
        test,
        invert: false,
        missing_is_empty: false,
    }
}

pub(super) fn is(text: &str) -> ValueTest {
    ValueTest::Text(StringMatch {
        pattern: Pattern::Exact(text.into()),
        ignore_case: false,
    })
}

/// A GET of `target` with Host `authority`.
pub(super) fn get(authority: &str, target: &str) -> RequestHead {
    let mut request = RequestHead {
        method: Method::Get,
        ..RequestHead::default()
    };
    request.method_text = request.fields.store(b"GET");
    request.set_authority(authority.as_bytes());
    request.set_target(target.as_bytes());
    request
}

pub(super) fn with_fields(mut request: RequestHead, fields: &[(&str, &str)]) -> RequestHead {
    for (name, value) in fields {
        request.fields.push(name.as_bytes(), value.as_bytes());
    }
    request
}

pub(super) fn field<'a>(request: &'a RequestHead, name: &str) -> Vec<&'a str> {
    let values = request.fields.values_by_name(name.as_bytes());
    values
        .map(|value| std::str::from_utf8(value).unwrap())
        .collect()
}

pub(super) fn addition(name: &str, value: &str, action: AppendAction) -> HeaderAddition {
    HeaderAddition {
        name: name.into(),
        value: Format::parse(value).unwrap(),
        action,
        keep_empty: false,
    }
}

pub(super) fn record() -> Record {
    let address: SocketAddr = "192.0.2.1:80".parse().unwrap();
    Record {
        start_wall: 0,
        start: Time(0),
        request_end: Time::NEVER,
        upstream_start: Time::NEVER,
        response_start: Time::NEVER,
        end: Time::NEVER,
        bytes_received: 0,
        bytes_sent: 0,
        status: 0,
        flags: Flags::default(),
        details: "",
        attempts: 0,
        version: Version::Http11,
        downstream_direct: address,
        downstream_remote: address,
        downstream_local: address,
        upstream_remote: None,
        upstream_local: None,
        connection: 1,
    }
}

pub(super) fn around(record: &Record) -> Around<'_> {
    Around {
        record,
        listener: "front",
        cluster: "backend",
        hostname: "gate",
        original_path: OriginalPath::Keep,
    }
}

/// A snapshot with clusters 0 to `count`, called `cluster-0` and so on.
pub(super) fn snapshot(count: u32) -> Snapshot {
    use crate::cluster::{Breakers, Thresholds};
    use crate::config::cluster::{Cluster, Policy};
    let cluster = |id: u32| Cluster {
        id: ClusterId(id),
        name: format!("cluster-{id}").into(),
        policy: Policy::RoundRobin,
        priorities: Vec::new(),
        overprovisioning_percent: 140,
        panic_percent: 50,
        connect_timeout: std::time::Duration::from_secs(5),
        idle_timeout: None,
        requests_per_connection_max: None,
        buffer_limit: 32 * 1024,
        breakers: Arc::new(Breakers::new(Thresholds::default(), Thresholds::default())),
        stats: Arc::new(PerWorker::new(1)),
    };
    Snapshot {
        generation: 1,
        listeners: Vec::new(),
        clusters: (0..count).map(|id| Some(Arc::new(cluster(id)))).collect(),
        cluster_ids: (0..count + 1)
            .map(|id| (format!("cluster-{id}").into(), ClusterId(id)))
            .collect(),
    }
}
