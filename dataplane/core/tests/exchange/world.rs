//! A scripted world around one engine: clients and origins are names, bytes are strings.

use core::net::SocketAddr;
use std::collections::HashMap;
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
use penstock_core::config::{Chains, ClusterId, EndpointId, ListenerId, Snapshot};
use penstock_core::engine::{Engine, EngineOptions};
use penstock_core::event::{ConnId, Event, Incoming, IoFault, Now, Op, Time};
use penstock_core::http::h1::RequestOptions;
use penstock_core::http::path::PathOptions;
use penstock_core::machine::Machine;
use penstock_core::route::{HostIndex, RouteRef, RouteTable};
use penstock_core::stats::{
    ClusterCounters, ListenerCounters, PerWorker, RouteCounters, WorkerCounters, WorkerIndex,
    WorkerStats,
};

/// Bodies of which so much is still to come are offered to the driver.
pub(crate) const RELAY_BYTES_MIN: u64 = 100;

/// How a world differs from the plain one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorldOptions {
    /// Segments are reported as sent only by [`World::release_sent`].
    pub(crate) keep_sent: bool,
    /// The listener accepts HTTP/1.0.
    pub(crate) accept_http10: bool,
    /// The cluster has two endpoints and may have two connections.
    pub(crate) two_of_each: bool,
    /// Room for thousands of connections.
    pub(crate) many: bool,
}

/// One engine and what it has done so far.
pub(crate) struct World {
    engine: Engine,
    worker_stats: Arc<PerWorker<WorkerStats>>,
    snapshot: Arc<Snapshot>,
    options: WorldOptions,
    now: Now,
    incoming: u32,
    adopted: Vec<ConnId>,
    connects: Vec<ConnId>,
    origins: Vec<ConnId>,
    sent: HashMap<ConnId, Vec<u8>>,
    unreported: HashMap<ConnId, Vec<Event>>,
    receiving: HashMap<ConnId, bool>,
    closed: Vec<ConnId>,
    shut: Vec<ConnId>,
    relays: Vec<(ConnId, ConnId, u64)>,
    unlistening: usize,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(WorldOptions::default())
    }

    pub(crate) fn with(options: WorldOptions) -> Self {
        Self::serving(options, |_| {})
    }

    /// A world whose connection manager is changed by `edit`.
    pub(crate) fn serving(options: WorldOptions, edit: impl FnOnce(&mut Http)) -> Self {
        let mut http = http(options);
        edit(&mut http);
        let mut listener = listener(http);
        if options.many {
            listener.connections = Arc::new(ConnectionBudget::new(4096, None));
        }
        Self::of(options, snapshot(listener, cluster(options)))
    }

    /// A world whose responses may take as long as they like.
    pub(crate) fn without_route_timeout() -> Self {
        let mut config = routes();
        if let Action::Forward(forward) = &mut config.virtual_hosts[0].routes[0].action {
            forward.timeout = None;
        }
        let table = RouteTable::compile(config).expect("the table is valid");
        Self::serving(WorldOptions::default(), |http| {
            http.routes = Arc::new(table)
        })
    }

    /// A world whose listener and cluster are changed by `edit`.
    pub(crate) fn edited(edit: impl FnOnce(&mut Listener, &mut Cluster)) -> Self {
        let options = WorldOptions::default();
        let (mut listener, mut cluster) = (listener(http(options)), cluster(options));
        edit(&mut listener, &mut cluster);
        Self::of(options, snapshot(listener, cluster))
    }

    fn of(options: WorldOptions, snapshot: Snapshot) -> Self {
        let worker_stats = Arc::new(PerWorker::<WorkerStats>::new(1));
        let engine = Engine::new(EngineOptions {
            worker: WorkerIndex(0),
            workers: 1,
            seed: 1,
            buffer_payload: 16 * 1024,
            buffers_limit: 256,
            connections_limit: if options.many { 4096 } else { 64 },
            hostname: "gateway".into(),
            relay_bytes_min: RELAY_BYTES_MIN,
            stats: worker_stats.clone(),
        });
        let mut world = Self {
            engine,
            worker_stats,
            snapshot: Arc::new(snapshot),
            options,
            now: Now {
                time: Time(1),
                wall: 784_111_777_000_000_000,
            },
            incoming: 0,
            adopted: Vec::new(),
            connects: Vec::new(),
            origins: Vec::new(),
            sent: HashMap::new(),
            unreported: HashMap::new(),
            receiving: HashMap::new(),
            closed: Vec::new(),
            shut: Vec::new(),
            relays: Vec::new(),
            unlistening: 0,
        };
        world.give(Event::Snapshot(world.snapshot.clone()));
        world
    }

    /// Counters of the listener.
    pub(crate) fn counters(&self) -> &ListenerCounters {
        let listener = self.snapshot.listeners[0].as_ref();
        let stats = &listener.expect("the world has a listener").stats;
        &stats.of(WorkerIndex(0)).counters
    }

    /// Counters of the only route.
    pub(crate) fn route_counters(&self) -> &RouteCounters {
        let listener = self.snapshot.listeners[0].as_ref();
        let chains = &listener.expect("the world has a listener").chains;
        let http = chains.http_settings().next();
        let http = http.expect("its chain serves HTTP");
        let route = RouteRef {
            host: HostIndex(0),
            index: 0,
        };
        &http.routes.route(route).stats.of(WorkerIndex(0)).counters
    }

    /// Counters of the cluster.
    pub(crate) fn cluster_counters(&self) -> &ClusterCounters {
        let cluster = self.snapshot.clusters[0].as_ref();
        let stats = &cluster.expect("the world has a cluster").stats;
        &stats.of(WorkerIndex(0)).counters
    }

    /// Counters of the worker.
    pub(crate) fn worker_counters(&self) -> &WorkerCounters {
        &self.worker_stats.of(WorkerIndex(0)).counters
    }

    pub(crate) fn accept(&mut self) -> ConnId {
        self.offer().expect("the connection is adopted")
    }

    /// A client connects; `None` if it is refused.
    pub(crate) fn offer(&mut self) -> Option<ConnId> {
        self.incoming += 1;
        self.give(Event::Accepted {
            listener: ListenerId(0),
            incoming: Incoming(self.incoming),
            remote: "192.0.2.1:1000".parse().unwrap(),
            local: "192.0.2.2:80".parse().unwrap(),
        });
        self.adopted.pop()
    }

    /// The listener fails to accept.
    pub(crate) fn accept_fails(&mut self) {
        self.give(Event::AcceptFailed {
            listener: ListenerId(0),
            fault: IoFault::Exhausted,
        });
    }

    /// The connection breaks.
    pub(crate) fn breaks(&mut self, conn: ConnId) {
        self.give(Event::Failed {
            conn,
            fault: IoFault::Reset,
        });
    }

    pub(crate) fn client_sends(&mut self, conn: ConnId, bytes: &str) {
        self.arrive(conn, bytes.as_bytes());
    }

    /// Bytes arrive on a connection, in as few buffers as they fit.
    pub(crate) fn arrive(&mut self, conn: ConnId, bytes: &[u8]) {
        for piece in bytes.chunks(16 * 1024) {
            let mut buffer = self.engine.buffers().take().expect("a buffer is free");
            buffer.fill_from(piece);
            self.give(Event::Received { conn, buffer });
        }
    }

    pub(crate) fn origin_sends(&mut self, conn: ConnId, bytes: &str) {
        self.client_sends(conn, bytes);
    }

    pub(crate) fn client_ends(&mut self, conn: ConnId) {
        self.give(Event::End { conn });
    }

    pub(crate) fn origin_ends(&mut self, conn: ConnId) {
        self.give(Event::End { conn });
    }

    /// Connections asked for and not answered.
    pub(crate) fn connects(&self) -> &[ConnId] {
        &self.connects
    }

    /// Lets the connection that was asked for succeed.
    pub(crate) fn connected(&mut self) -> ConnId {
        self.try_connected().expect("a connection is asked for")
    }

    pub(crate) fn try_connected(&mut self) -> Option<ConnId> {
        let conn = self.connects.pop()?;
        self.origins.push(conn);
        let local = "192.0.2.2:2000".parse().unwrap();
        self.give(Event::Connected {
            conn,
            result: Ok(local),
        });
        Some(conn)
    }

    pub(crate) fn last_origin(&self) -> ConnId {
        *self.origins.last().expect("an origin was connected")
    }

    pub(crate) fn refuse_connect(&mut self, fault: IoFault) {
        let conn = self.connects.pop().expect("a connection is asked for");
        self.give(Event::Connected {
            conn,
            result: Err(fault),
        });
    }

    /// What was sent on a connection since the last look.
    pub(crate) fn sent_to(&mut self, conn: ConnId) -> String {
        String::from_utf8(self.bytes_to(conn)).expect("text was sent")
    }

    /// What was sent on a connection since the last look, as it is.
    pub(crate) fn bytes_to(&mut self, conn: ConnId) -> Vec<u8> {
        self.sent.remove(&conn).unwrap_or_default()
    }

    pub(crate) fn release_sent(&mut self, conn: ConnId) {
        for event in self.unreported.remove(&conn).unwrap_or_default() {
            self.give(event);
        }
    }

    pub(crate) fn receiving(&self, conn: ConnId) -> Option<bool> {
        self.receiving.get(&conn).copied()
    }

    pub(crate) fn closed(&self) -> &[ConnId] {
        &self.closed
    }

    pub(crate) fn shut(&self) -> &[ConnId] {
        &self.shut
    }

    /// Bodies that were offered to the driver: from, to, and how many bytes.
    pub(crate) fn relays(&self) -> &[(ConnId, ConnId, u64)] {
        &self.relays
    }

    /// The driver moved bytes by itself, and holds some in between.
    pub(crate) fn relayed(&mut self, from: ConnId, bytes: u64, held: u32) {
        self.give(Event::Relayed { from, bytes, held });
    }

    /// Takes the only listener out of the configuration.
    pub(crate) fn remove_listener(&mut self) {
        let without = Snapshot {
            generation: 2,
            listeners: vec![None],
            clusters: self.snapshot.clusters.clone(),
            cluster_ids: HashMap::new(),
        };
        self.give(Event::Snapshot(Arc::new(without)));
    }

    /// Takes the only cluster out of the configuration.
    pub(crate) fn remove_cluster(&mut self) {
        let without = Snapshot {
            generation: 2,
            listeners: self.snapshot.listeners.clone(),
            clusters: vec![None],
            cluster_ids: HashMap::new(),
        };
        self.give(Event::Snapshot(Arc::new(without)));
    }

    /// Listeners whose sockets are being closed.
    pub(crate) fn unlistening(&self) -> usize {
        self.unlistening
    }

    /// Those sockets are closed.
    pub(crate) fn unlistened(&mut self) {
        for _ in 0..std::mem::take(&mut self.unlistening) {
            let listener = ListenerId(0);
            self.give(Event::Unlistened { listener });
        }
    }

    /// True if the engine holds the first configuration: the world's own is one of two.
    pub(crate) fn holds_first(&self) -> bool {
        Arc::strong_count(&self.snapshot) > 1
    }

    pub(crate) fn drain(&mut self) {
        self.give(Event::Drain);
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.engine.is_drained()
    }

    pub(crate) fn buffers_in_use(&mut self) -> usize {
        self.engine.buffers().in_use()
    }

    /// Others hold all buffers but so many.
    pub(crate) fn take_buffers_but(&mut self, left: usize) {
        while self.engine.buffers().available() > left {
            drop(self.engine.buffers().take());
        }
    }

    /// Nodes in the wheel of timers.
    pub(crate) fn timer_nodes(&self) -> usize {
        self.engine.timer_nodes()
    }

    /// Time passes without anything being due.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now.time = self.now.time.after(time);
    }

    pub(crate) fn next_timeout(&self) -> Time {
        self.engine.poll_timeout()
    }

    pub(crate) fn wait_seconds(&mut self, seconds: u64) {
        let until = self.now.time.after(Duration::from_secs(seconds));
        while self.engine.poll_timeout() <= until {
            self.now.time = self.engine.poll_timeout().max(self.now.time);
            self.engine.handle_timeout(self.now);
            self.carry_out();
        }
        self.now.time = until;
    }

    fn give(&mut self, event: Event) {
        self.engine.handle(event, self.now);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(op) = self.engine.poll_op() {
            match op {
                Op::Adopt { conn, .. } => self.adopted.push(conn),
                Op::Refuse { .. } => {}
                Op::Connect { conn, .. } => self.connects.push(conn),
                Op::Send { conn, segment } => {
                    self.sent
                        .entry(conn)
                        .or_default()
                        .extend_from_slice(segment.as_slice());
                    let bytes = segment.len() as u32;
                    let event = Event::Sent {
                        conn,
                        bytes,
                        buffer: segment,
                    };
                    match self.options.keep_sent {
                        true => self.unreported.entry(conn).or_default().push(event),
                        false => self.engine.handle(event, self.now),
                    }
                }
                Op::ReceiveOn { conn } => drop(self.receiving.insert(conn, true)),
                Op::ReceiveOff { conn } => drop(self.receiving.insert(conn, false)),
                Op::Shutdown { conn } => self.shut.push(conn),
                Op::Close { conn, .. } => {
                    self.closed.push(conn);
                    self.connects.retain(|asked| *asked != conn);
                    self.engine.handle(Event::Closed { conn }, self.now);
                }
                Op::Relay { from, to, bytes } => self.relays.push((from, to, bytes)),
                Op::Unlisten { .. } => self.unlistening += 1,
            }
        }
    }
}

fn endpoint(id: u32) -> Endpoint {
    Endpoint {
        id: EndpointId(id),
        address: SocketAddr::from(([192, 0, 2, 9], 80 + id as u16)),
        hostname: None,
        weight: 1,
        health: Health::Healthy,
    }
}

fn snapshot(listener: Listener, cluster: Cluster) -> Snapshot {
    Snapshot {
        generation: 1,
        listeners: vec![Some(Arc::new(listener))],
        clusters: vec![Some(Arc::new(cluster))],
        cluster_ids: HashMap::new(),
    }
}

fn cluster(options: WorldOptions) -> Cluster {
    let mut thresholds = Thresholds::default();
    let endpoints = if options.two_of_each { 2 } else { 1 };
    if options.two_of_each {
        thresholds.connections = 2;
    }
    Cluster {
        id: ClusterId(0),
        name: "origin".into(),
        policy: Policy::RoundRobin,
        priorities: vec![(0..endpoints).map(endpoint).collect()],
        overprovisioning_percent: 140,
        panic_percent: 50,
        connect_timeout: Duration::from_secs(5),
        idle_timeout: Some(Duration::from_secs(3600)),
        requests_per_connection_max: None,
        buffer_limit: 32 * 1024,
        breakers: Arc::new(Breakers::new(thresholds, Thresholds::default())),
        stats: Arc::new(PerWorker::new(1)),
    }
}

fn listener(http: Http) -> Listener {
    Listener {
        id: ListenerId(0),
        name: "main".into(),
        address: "192.0.2.2:80".parse().unwrap(),
        backlog: None,
        connections: Arc::new(ConnectionBudget::new(64, None)),
        buffer_limit: 32 * 1024,
        chains: Chains::http(Arc::new(http)),
        stats: Arc::new(PerWorker::new(1)),
    }
}

fn http(options: WorldOptions) -> Http {
    Http {
        stat_prefix: "main".into(),
        routes: Arc::new(RouteTable::compile(routes()).expect("the table is valid")),
        access_logs: Vec::new(),
        decode: RequestOptions {
            accept_http10: options.accept_http10,
            ..RequestOptions::default()
        },
        path: PathOptions {
            normalize: true,
            ..PathOptions::default()
        },
        host: HostOptions::default(),
        forward_trailers: true,
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
        upgrades: vec!["websocket".into()],
        suppress_envoy_headers: false,
    }
}

fn routes() -> RouteConfig {
    RouteConfig {
        name: "routes".into(),
        virtual_hosts: vec![VirtualHost {
            name: "any".into(),
            domains: vec!["*".into()],
            routes: vec![to_origin()],
            ..VirtualHost::default()
        }],
        ..RouteConfig::default()
    }
}

/// Everything goes to the origin.
pub(crate) fn to_origin() -> Route {
    let forward = Forward {
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
    };
    let action = Action::Forward(Box::new(forward));
    route(PathMatch::Prefix("/".into()), action)
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
