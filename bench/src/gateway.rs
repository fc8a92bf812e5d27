//! The smallest whole gateway: an engine with one listener, one route and one cluster, and a wire
//! that delivers at once. No sockets; time moves by a fixed step with everything that arrives.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::accept::ConnectionBudget;
use penstock_core::cluster::{Breakers, Thresholds};
use penstock_core::config::cluster::{Cluster, Endpoint, Health, Policy};
use penstock_core::config::listener::{
    Forwarded, HostOptions, Http, Listener, RequestId, ServerHeader,
};
use penstock_core::config::route::{
    Action, ClusterChoice, Forward, HeaderChanges, HostRewrite, PathMatch, PathRewrite, Route,
    RouteConfig, RouteMatch, VirtualHost,
};
use penstock_core::config::{AccessLog, Chains, ClusterId, EndpointId, ListenerId, Snapshot};
use penstock_core::engine::{Engine, EngineOptions};
use penstock_core::event::{ConnId, Event, Incoming, Now, Op, Time};
use penstock_core::http::h1::RequestOptions;
use penstock_core::http::path::PathOptions;
use penstock_core::limits::BUFFER_PAYLOAD;
use penstock_core::machine::Machine;
use penstock_core::route::RouteTable;
use penstock_core::stats::{PerWorker, WorkerIndex};

/// Between two arrivals.
const STEP: Duration = Duration::from_micros(50);

/// See the file.
pub(crate) struct Gateway {
    engine: Engine,
    now: Now,
    /// What the wire answers to what the engine did.
    answers: VecDeque<Event>,
    client: Option<ConnId>,
    origin: Option<ConnId>,
    /// Bytes sent to the client so far.
    delivered: usize,
}

impl Gateway {
    /// With these access logs.
    pub(crate) fn new(access_logs: Vec<AccessLog>) -> Self {
        let engine = Engine::new(EngineOptions {
            worker: WorkerIndex(0),
            workers: 1,
            seed: 1,
            buffer_payload: BUFFER_PAYLOAD,
            buffers_limit: 256,
            connections_limit: 64,
            hostname: "gateway".into(),
            relay_bytes_min: u64::MAX,
            stats: Arc::new(PerWorker::new(1)),
        });
        let mut gateway = Self {
            engine,
            now: Now {
                time: Time(1),
                wall: 784_111_777_000_000_000,
            },
            answers: VecDeque::new(),
            client: None,
            origin: None,
            delivered: 0,
        };
        let endpoints = vec![endpoint(0)];
        let clusters = vec![Some(Arc::new(cluster(Policy::RoundRobin, endpoints)))];
        gateway.give(Event::Snapshot(Arc::new(Snapshot {
            generation: 1,
            listeners: vec![Some(Arc::new(listener(access_logs)))],
            clusters,
            cluster_ids: HashMap::new(),
        })));
        gateway
    }

    /// A client connects.
    pub(crate) fn accept(&mut self) {
        self.give(Event::Accepted {
            listener: ListenerId(0),
            incoming: Incoming(1),
            remote: SocketAddr::from(([192, 0, 2, 1], 1000)),
            local: SocketAddr::from(([192, 0, 2, 2], 80)),
        });
    }

    /// One request and its response; returns the bytes that the client got.
    pub(crate) fn exchange(&mut self, request: &[u8], response: &[u8]) -> usize {
        let before = self.delivered;
        self.arrive(self.client.expect("a client is connected"), request);
        self.arrive(self.origin.expect("the origin is connected"), response);
        self.engine
            .take_log(&mut |_, line| assert!(!line.is_empty()));
        self.delivered - before
    }

    /// Is the client still connected?
    pub(crate) fn has_client(&self) -> bool {
        self.client.is_some()
    }

    /// Bytes arrive on a connection, in as few buffers as they fit.
    fn arrive(&mut self, conn: ConnId, bytes: &[u8]) {
        for piece in bytes.chunks(BUFFER_PAYLOAD) {
            let mut buffer = self.engine.buffers().take().expect("a buffer is free");
            buffer.fill_from(piece);
            self.give(Event::Received { conn, buffer });
        }
    }

    /// A turn of a worker for each event, until nothing is left to do.
    fn give(&mut self, event: Event) {
        self.now.time = self.now.time.after(STEP);
        self.now.wall += STEP.as_nanos() as u64;
        if self.engine.poll_timeout() <= self.now.time {
            self.engine.handle_timeout(self.now);
            self.carry_out();
        }
        self.answers.push_back(event);
        while let Some(event) = self.answers.pop_front() {
            self.engine.handle(event, self.now);
            self.carry_out();
        }
    }

    fn carry_out(&mut self) {
        while let Some(op) = self.engine.poll_op() {
            match op {
                Op::Adopt { conn, .. } => self.client = Some(conn),
                Op::Connect { conn, .. } => self.connect(conn),
                Op::Send { conn, segment } => {
                    let bytes = segment.len() as u32;
                    if self.client == Some(conn) {
                        self.delivered += bytes as usize;
                    }
                    self.answers.push_back(Event::Sent {
                        conn,
                        bytes,
                        buffer: segment,
                    });
                }
                Op::Shutdown { conn } => self.answers.push_back(Event::End { conn }),
                Op::Close { conn, .. } => {
                    self.client = self.client.filter(|&client| client != conn);
                    self.answers.push_back(Event::Closed { conn });
                }
                Op::ReceiveOn { .. } | Op::ReceiveOff { .. } => {}
                Op::Refuse { .. } | Op::Unlisten { .. } | Op::Relay { .. } => {
                    unreachable!("nothing is refused or relayed here")
                }
            }
        }
    }

    fn connect(&mut self, conn: ConnId) {
        self.origin = Some(conn);
        self.answers.push_back(Event::Connected {
            conn,
            result: Ok(SocketAddr::from(([192, 0, 2, 2], 2000))),
        });
    }
}

pub(crate) fn endpoint(id: u32) -> Endpoint {
    let [_, high, middle, low] = id.to_be_bytes();
    Endpoint {
        id: EndpointId(id),
        address: SocketAddr::from(([10, high, middle, low], 8080)),
        hostname: None,
        weight: 1,
        health: Health::Healthy,
    }
}

pub(crate) fn cluster(policy: Policy, endpoints: Vec<Endpoint>) -> Cluster {
    let ceilings = || Thresholds {
        connections: 100_000,
        pending: 100_000,
        requests: 100_000,
        retries: 3,
    };
    Cluster {
        id: ClusterId(0),
        name: "origin".into(),
        policy,
        priorities: vec![endpoints],
        overprovisioning_percent: 140,
        panic_percent: 50,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Some(Duration::from_secs(3600)),
        requests_per_connection_max: None,
        buffer_limit: 32 * 1024,
        breakers: Arc::new(Breakers::new(ceilings(), ceilings())),
        stats: Arc::new(PerWorker::new(1)),
    }
}

fn listener(access_logs: Vec<AccessLog>) -> Listener {
    Listener {
        id: ListenerId(0),
        name: "main".into(),
        address: SocketAddr::from(([192, 0, 2, 2], 80)),
        backlog: None,
        connections: Arc::new(ConnectionBudget::new(64, None)),
        buffer_limit: 32 * 1024,
        chains: Chains::http(Arc::new(http(access_logs))),
        stats: Arc::new(PerWorker::new(1)),
    }
}

/// The defaults of a connection manager with `normalize_path`.
fn http(access_logs: Vec<AccessLog>) -> Http {
    Http {
        stat_prefix: "main".into(),
        routes: Arc::new(RouteTable::compile(routes()).expect("the table is valid")),
        access_logs,
        decode: RequestOptions::default(),
        path: PathOptions {
            normalize: true,
            ..PathOptions::default()
        },
        host: HostOptions::default(),
        forward_trailers: false,
        head_timeout: Some(Duration::from_secs(10)),
        request_timeout: None,
        stream_duration_max: None,
        idle_timeout: Some(Duration::from_secs(60)),
        stream_idle_timeout: Some(Duration::from_secs(300)),
        connection_duration_max: None,
        requests_per_connection_max: None,
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
        proxy_continue: false,
        upgrades: Vec::new(),
        suppress_envoy_headers: false,
    }
}

fn routes() -> RouteConfig {
    let everything = VirtualHost {
        name: "any".into(),
        domains: vec!["*".into()],
        routes: vec![route(PathMatch::Prefix("/".into()), forward())],
        ..VirtualHost::default()
    };
    RouteConfig {
        name: "routes".into(),
        virtual_hosts: vec![everything],
        ..RouteConfig::default()
    }
}

/// A route by path alone.
pub(crate) fn route(path: PathMatch, action: Action) -> Route {
    Route {
        name: "".into(),
        matcher: RouteMatch {
            path,
            case_sensitive: true,
            headers: Vec::new(),
            query: Vec::new(),
            fraction: None,
        },
        action,
        headers: HeaderChanges::default(),
        stats: Arc::new(PerWorker::new(1)),
    }
}

/// To the cluster.
pub(crate) fn forward() -> Action {
    Action::Forward(Box::new(Forward {
        cluster: ClusterChoice::One(ClusterId(0)),
        not_found_status: 503,
        path_rewrite: PathRewrite::Keep,
        host_rewrite: HostRewrite::Keep,
        append_forwarded_host: false,
        timeout: Some(Duration::from_secs(15)),
        idle_timeout: None,
        stream_duration_max: None,
        upgrades: Vec::new(),
        high_priority: false,
    }))
}
