//! Tests of the admin server over real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use penstock_core::config::{AccessLog, Snapshot};
use penstock_core::format::{Format, JsonValue};
use penstock_core::stats::{DnsCounters, PerWorker, WorkerStats};
use penstock_runtime::Choice;
use serde_json::{Value, json};

use super::*;
use crate::bootstrap::{LoadOptions, load_str};
use crate::fixture::{self, WORKERS};
use crate::telemetry::access_log::{AccessLogWriter, SinkSpec, Sinks};
use crate::telemetry::log::LogLevel;
use crate::telemetry::metrics::Build;

const BOOTSTRAP: &str = r#"
node: { id: one, cluster: edge }
static_resources:
  listeners:
  - name: main
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": "type.googleapis.com/envoy.extensions.filters.network.\
            http_connection_manager.v3.HttpConnectionManager"
          stat_prefix: in
          route_config:
            name: routes
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: { prefix: / }
                route: { cluster: a }
          http_filters:
          - name: router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: a
    connect_timeout: 1s
    type: STATIC
    load_assignment: { cluster_name: a }
"#;

/// A process that is only asked.
struct Process {
    state: Mutex<State>,
    snapshot: Arc<Snapshot>,
    workers: Arc<PerWorker<WorkerStats>>,
    loaded: Option<Loaded>,
    drains: AtomicU32,
    quits: AtomicU32,
}

impl Control for Process {
    fn state(&self) -> State {
        *self.state.lock().unwrap()
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.clone()
    }

    fn workers(&self) -> Arc<PerWorker<WorkerStats>> {
        self.workers.clone()
    }

    fn listening(&self) -> Vec<Listening> {
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        vec![Listening {
            name: "main".into(),
            address,
        }]
    }

    fn loaded(&self) -> Option<Loaded> {
        self.loaded.clone()
    }

    fn dns(&self) -> Option<Arc<DnsCounters>> {
        None
    }

    fn drain(&self) {
        self.drains.fetch_add(1, Relaxed);
    }

    fn quit(&self) {
        self.quits.fetch_add(1, Relaxed);
    }
}

struct Bench {
    process: Arc<Process>,
    level: LogLevel,
    admin: Admin,
}

impl Bench {
    fn new() -> Self {
        Self::with(fixture::snapshot())
    }

    fn with(snapshot: Snapshot) -> Self {
        let loaded = load_str("test.yaml", BOOTSTRAP, &LoadOptions::default()).unwrap();
        let process = Arc::new(Process {
            state: Mutex::new(State::Live),
            snapshot: Arc::new(snapshot),
            workers: Arc::new(PerWorker::new(WORKERS)),
            loaded: Some(Loaded {
                bootstrap: Arc::new(loaded.bootstrap),
                at: SystemTime::UNIX_EPOCH + Duration::from_secs(86_400),
            }),
            drains: AtomicU32::new(0),
            quits: AtomicU32::new(0),
        });
        let level = LogLevel::new("info").unwrap();
        let options = options(([127, 0, 0, 1], 0).into(), level.clone());
        let admin = Admin::start(options, process.clone()).unwrap();
        Self {
            process,
            level,
            admin,
        }
    }

    fn send(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(self.admin.address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        Reply::read(stream)
    }

    fn ask(&self, method: &str, target: &str) -> Reply {
        self.send(&format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ))
    }

    fn json(&self, target: &str) -> Value {
        let reply = self.ask("GET", target);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.field("content-type"), Some("application/json"));
        serde_json::from_str(&reply.body).unwrap()
    }

    /// One request, and what is expected of the answer: status and whole body.
    fn check(&self, method: &str, target: &str, expect: (u16, &str)) {
        let reply = self.ask(method, target);
        assert_eq!((reply.status, &*reply.body), expect, "{method} {target}");
    }
}

fn options(address: SocketAddr, level: LogLevel) -> Options {
    let build = Build {
        version: "0.1.0".into(),
        revision: "abc".into(),
        driver: "epoll".into(),
    };
    let command_line = json!({ "concurrency": 2, "config_path": "test.yaml" });
    Options {
        address,
        allow_public: false,
        about: About {
            build: Arc::new(build),
            command_line: command_line.as_object().unwrap().clone(),
            driver: Choice::Epoll {
                fallback: Some("io_uring is denied".into()),
            },
            started: Instant::now(),
        },
        sinks: Arc::new(Sinks::default()),
        level,
    }
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    /// Reads until the server closes, which it does after every answer.
    fn read(mut stream: TcpStream) -> Self {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let mut reply = Self {
            status: status.unwrap_or_default(),
            head: head.to_ascii_lowercase(),
            body: body.into(),
        };
        if reply.field("transfer-encoding") == Some("chunked") {
            reply.body = unchunk(body);
        }
        reply
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }
}

fn unchunk(mut text: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&rest[..size]);
        text = rest[size..].strip_prefix("\r\n").unwrap();
        if size == 0 {
            return body;
        }
    }
}

#[test]
fn readiness_follows_the_state() {
    let bench = Bench::new();
    bench.check("GET", "/ready", (200, "LIVE\n"));
    bench.check("GET", "/readyz", (200, "OK\n"));
    *bench.process.state.lock().unwrap() = State::PreInitializing;
    bench.check("GET", "/ready", (503, "PRE_INITIALIZING\n"));
    *bench.process.state.lock().unwrap() = State::Draining;
    bench.check("GET", "/ready", (503, "DRAINING\n"));
    bench.check("GET", "/readyz", (503, "not ready: draining\n"));
    bench.check("GET", "/healthz", (200, "OK\n"));
    bench.check("GET", "/livez", (200, "OK\n"));
}

#[test]
fn readiness_can_be_failed() {
    let bench = Bench::new();
    bench.check("POST", "/healthcheck/fail", (200, "OK\n"));
    bench.check("GET", "/ready", (503, "DRAINING\n"));
    assert!(
        bench
            .ask("GET", "/readyz")
            .body
            .contains("POST /healthcheck/ok")
    );
    assert!(
        bench
            .ask("GET", "/metrics")
            .body
            .contains("\npenstock_live 0\n")
    );
    bench.check("POST", "/healthcheck/ok", (200, "OK\n"));
    bench.check("GET", "/ready", (200, "LIVE\n"));
}

#[test]
fn changes_are_made_by_post_alone() {
    let bench = Bench::new();
    for path in [
        "/drain_listeners",
        "/quitquitquit",
        "/healthcheck/fail",
        "/logging?level=debug",
    ] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            let reply = bench.ask(method, path);
            assert_eq!(
                (reply.status, reply.field("allow")),
                (405, Some("post")),
                "{path}"
            );
        }
        assert!(bench.ask("GET", path).body.contains("use POST"));
    }
    assert_eq!(
        bench.ask("POST", "/ready").field("allow"),
        Some("get, head")
    );
    assert_eq!(
        bench.process.drains.load(Relaxed) + bench.process.quits.load(Relaxed),
        0
    );
    assert_eq!(bench.level.name(), "info");
    bench.check("POST", "/drain_listeners", (200, "OK\n"));
    bench.check("POST", "/quitquitquit", (200, "OK\n"));
    assert_eq!(bench.process.drains.load(Relaxed), 1);
    assert_eq!(bench.process.quits.load(Relaxed), 1);
    bench.check(
        "POST",
        "/logging?level=debug",
        (200, "active loggers:\n  penstock: debug\n"),
    );
    assert_eq!(bench.level.name(), "debug");
    assert_eq!(bench.ask("POST", "/logging?level=loud").status, 400);
    assert_eq!(bench.ask("POST", "/reset_counters").status, 501);
}

#[test]
fn pages_of_other_origins_change_nothing() {
    let bench = Bench::new();
    let address = bench.admin.address();
    let post = |fields: &str| {
        bench
            .send(&format!("POST /drain_listeners HTTP/1.1\r\n{fields}\r\n"))
            .status
    };
    assert_eq!(post("Host: localhost\r\nOrigin: http://evil.test\r\n"), 403);
    assert_eq!(post("Host: localhost\r\nOrigin: null\r\n"), 403);
    assert_eq!(post("Host: evil.test\r\nOrigin: http://evil.test\r\n"), 403);
    assert_eq!(bench.process.drains.load(Relaxed), 0);
    assert_eq!(
        post(&format!("Host: {address}\r\nOrigin: http://{address}\r\n")),
        200
    );
    let get = |host: &str| bench.send(&format!("GET /ready HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(get("evil.test:9901").status, 403);
    assert!(
        get("evil.test")
            .body
            .starts_with("Host must be a loopback address")
    );
    for host in ["LOCALHOST:1", "127.0.0.1", "[::1]:9901", "127.9.9.9:80"] {
        assert_eq!(get(host).status, 200, "{host}");
    }
    assert_eq!(bench.send("GET /ready HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
fn limits_hold() {
    let bench = Bench::new();
    let long = "a".repeat(20_000);
    assert_eq!(
        bench
            .send(&format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"))
            .status,
        431
    );
    let many = "x: y\r\n".repeat(100);
    assert_eq!(
        bench.send(&format!("GET / HTTP/1.1\r\n{many}\r\n")).status,
        431
    );
    let body = "POST /drain_listeners HTTP/1.1\r\nHost: localhost\r\nContent-Length: ";
    assert_eq!(bench.send(&format!("{body}100000\r\n\r\n")).status, 413);
    assert_eq!(bench.send(&format!("{body}3\r\n\r\nabc")).status, 200);
    assert_eq!(bench.process.drains.load(Relaxed), 1);
    assert_eq!(bench.ask("GET", "/nothing").status, 404);
    assert_eq!(bench.send("nonsense\r\n\r\n").status, 400);
}

#[test]
fn more_connections_than_slots_wait_their_turn() {
    let bench = Bench::new();
    let connect = || TcpStream::connect(bench.admin.address()).unwrap();
    let mut streams: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
    for stream in &mut streams {
        stream
            .write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    }
    for stream in streams {
        assert_eq!(Reply::read(stream).body, "LIVE\n");
    }
}

#[test]
fn a_public_address_needs_a_word() {
    let level = LogLevel::new("off").unwrap();
    let start = |address: SocketAddr, allow_public| {
        let options = Options {
            allow_public,
            ..options(address, level.clone())
        };
        Admin::start(options, Bench::new().process)
    };
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    let refused = start(any, false).unwrap_err().to_string();
    assert!(refused.contains("--admin-public"), "{refused}");
    assert!(matches!(
        start("[::]:0".parse().unwrap(), false),
        Err(AdminError::Public(_))
    ));
    let public = start(any, true).unwrap();
    let taken = start(([127, 0, 0, 1], public.address().port()).into(), false);
    assert!(matches!(taken, Err(AdminError::Bind(..))));
    let mut stream = TcpStream::connect(("127.0.0.1", public.address().port())).unwrap();
    stream
        .write_all(b"GET /ready HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        .unwrap();
    assert_eq!(Reply::read(stream).status, 200);
}

#[test]
fn index_and_help_list_everything() {
    let bench = Bench::new();
    let (index, help) = (bench.ask("GET", "/"), bench.ask("GET", "/help"));
    assert_eq!(
        index.field("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        index
            .field("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
    for path in [
        "/stats/prometheus",
        "/config_dump",
        "/quitquitquit",
        "/healthcheck/ok",
    ] {
        assert!(
            index.body.contains(path) && help.body.contains(path),
            "{path}"
        );
    }
    assert!(
        index
            .body
            .contains("<form method=\"post\" action=\"/quitquitquit\">")
    );
    assert!(help.body.contains("/quitquitquit (POST)"));
    let head = bench.ask("HEAD", "/help");
    assert_eq!((head.status, &*head.body), (200, ""));
}

#[test]
fn statistics_in_three_forms() {
    let bench = Bench::new();
    let metrics = bench.ask("GET", "/metrics");
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(metrics.field("content-type"), Some(kind));
    let build = "penstock_build_info{version=\"0.1.0\",revision=\"abc\",driver=\"epoll\"} 1\n";
    assert!(metrics.body.contains(build));
    let alias = bench.ask("GET", "/stats/prometheus?usedonly");
    assert!(alias.body.contains(build) && alias.body.len() < metrics.body.len());
    assert!(
        bench
            .ask("GET", "/stats?format=prometheus")
            .body
            .contains(build)
    );
    bench.check(
        "GET",
        "/stats?filter=server.concurrency",
        (200, "server.concurrency: 2\n"),
    );
    bench.check("GET", "/stats?usedonly&filter=%5Eworker", (200, ""));
    let stats = bench.json("/stats?format=json&filter=server.live");
    assert_eq!(
        stats["stats"][0],
        json!({ "name": "server.live", "value": 1 })
    );
    let bad = bench.ask("GET", "/stats?filter=(");
    assert!(
        bad.status == 400 && bad.body.contains("unclosed group"),
        "{}",
        bad.body
    );
    assert_eq!(
        bench
            .ask("GET", "/stats?filter=(a%7B999%7D)%7B999%7D")
            .status,
        400
    );
    assert_eq!(bench.ask("GET", "/stats?format=xml").status, 400);
}

#[test]
fn clusters_in_envoys_shapes() {
    let bench = Bench::new();
    let text = bench.ask("GET", "/clusters").body;
    for expect in [
        "a::observability_name::a\n",
        "a::default_priority::max_connections::1024\n",
        "a::high_priority::max_retries::3\n",
        "a::added_via_api::false\n",
        "a::127.0.0.1:9000::health_flags::healthy\n",
        "a::127.0.0.1:9001::hostname::one.test\n",
        "a::127.0.0.1:9001::weight::2\n",
        "a::127.0.0.1:9002::health_flags::/failed_eds_health\n",
        "a::127.0.0.1:9002::priority::1\n",
        "b:\\\"odd\\\\\\nname\\\" é::added_via_api::false\n",
    ] {
        assert!(text.contains(expect), "{expect} in\n{text}");
    }
    let document = bench.json("/clusters?format=json");
    let clusters = document["cluster_statuses"].as_array().unwrap();
    assert_eq!(clusters.len(), 2);
    assert_eq!(clusters[1]["name"], fixture::ODD_NAME);
    let thresholds = &clusters[0]["circuit_breakers"]["thresholds"];
    assert_eq!(thresholds[1]["priority"], "HIGH");
    assert_eq!(thresholds[0]["max_pending_requests"], 1024);
    let expect = json!({
        "address": { "socket_address": { "address": "127.0.0.1", "port_value": 9001 } },
        "hostname": "one.test",
        "health_status": { "eds_health_status": "DEGRADED" },
        "weight": 2,
        "priority": 0,
    });
    assert_eq!(clusters[0]["host_statuses"][1], expect);
}

#[test]
fn clusters_of_any_size_are_one_document() {
    let sizes = [0, 1, 63, 64, 65, 128, 1_000, 0];
    let clusters = sizes.iter().enumerate().map(|(id, &size)| {
        let health = penstock_core::config::cluster::Health::Healthy;
        let endpoints = (0..size).map(|id| fixture::endpoint(id, health)).collect();
        Some(fixture::cluster(
            id as u32,
            &format!("c{id}"),
            vec![endpoints],
        ))
    });
    let bench = Bench::with(Snapshot {
        clusters: clusters.collect(),
        ..Snapshot::default()
    });
    let document = bench.json("/clusters?format=json");
    let listed = document["cluster_statuses"].as_array().unwrap();
    let counts = listed
        .iter()
        .map(|one| one["host_statuses"].as_array().unwrap().len() as u32);
    assert_eq!(counts.collect::<Vec<_>>(), sizes);
    let empty = Bench::with(Snapshot::default());
    assert_eq!(
        empty.json("/clusters?format=json"),
        json!({ "cluster_statuses": [] })
    );
    empty.check("GET", "/clusters", (200, ""));
}

#[test]
fn listeners_where_they_are_bound() {
    let bench = Bench::new();
    bench.check("GET", "/listeners", (200, "main::127.0.0.1:8080\n"));
    let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": 8080 } });
    let expect = json!({ "listener_statuses": [{ "name": "main", "local_address": address }] });
    assert_eq!(bench.json("/listeners?format=json"), expect);
}

#[test]
fn the_configuration_in_envoys_shape() {
    let document = Bench::new().json("/config_dump");
    let configs = document["configs"].as_array().unwrap();
    let kinds: Vec<_> = configs
        .iter()
        .map(|config| config["@type"].as_str().unwrap())
        .collect();
    let kind = |name| format!("type.googleapis.com/envoy.admin.v3.{name}ConfigDump");
    assert_eq!(
        kinds,
        ["Bootstrap", "Clusters", "Listeners", "Routes"].map(kind)
    );
    assert_eq!(
        configs[0]["bootstrap"]["node"],
        json!({ "id": "one", "cluster": "edge" })
    );
    assert_eq!(configs[0]["last_updated"], "1970-01-02T00:00:00Z");
    let cluster = &configs[1]["static_clusters"][0]["cluster"];
    assert_eq!(
        cluster["@type"],
        "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    );
    assert_eq!(
        (&cluster["name"], &cluster["connect_timeout"]),
        (&json!("a"), &json!("1s"))
    );
    let listener = &configs[2]["static_listeners"][0]["listener"];
    let filter = &listener["filter_chains"][0]["filters"][0]["typed_config"];
    assert_eq!(filter["stat_prefix"], "in");
    let routes = &configs[3]["static_route_configs"][0]["route_config"];
    assert_eq!(routes["name"], "routes");
    assert_eq!(
        routes["virtual_hosts"][0]["routes"][0]["route"]["cluster"],
        "a"
    );
}

#[test]
fn server_info_and_memory() {
    let bench = Bench::new();
    let info = bench.json("/server_info");
    assert_eq!(info["state"], "LIVE");
    assert_eq!(info["version"], "abc/0.1.0/penstock/epoll");
    let driver =
        json!({"name": "epoll", "features": [], "lacks": null, "fallback": "io_uring is denied"});
    assert_eq!(info["driver"], driver);
    assert_eq!(info["command_line_options"]["concurrency"], 2);
    assert_eq!(info["node"]["id"], "one");
    assert!(info["uptime_all_epochs"].as_str().unwrap().ends_with('s'));
    let memory = bench.json("/memory");
    assert!(
        memory["total_physical_bytes"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 100_000
    );
}

/// A scrape that nobody reads holds one connection, not the server.
#[test]
fn a_slow_reader_hurts_nobody() {
    let cluster = |id| Some(fixture::cluster(id, &format!("cluster-{id}"), Vec::new()));
    let clusters = (0..1_000).map(cluster).collect();
    let bench = Bench::with(Snapshot {
        clusters,
        ..Snapshot::default()
    });
    let mut slow = TcpStream::connect(bench.admin.address()).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    bench.check("GET", "/ready", (200, "LIVE\n"));
    let other = bench.ask("GET", "/metrics");
    let slow = Reply::read(slow);
    let series = |reply: &Reply| {
        reply
            .body
            .lines()
            .filter(|line| !line.starts_with('#'))
            .count()
    };
    assert_eq!(series(&slow), series(&other));
    assert!(series(&slow) > 60_000, "{}", series(&slow));
}

#[test]
fn the_port_is_free_after_the_end() {
    let bench = Bench::new();
    bench.check("GET", "/ready", (200, "LIVE\n"));
    let address = bench.admin.address();
    drop(bench);
    assert!(TcpStream::connect(address).is_err());
}

/// What a client says stays in its line (O01): quotes, bytes beyond ASCII, escapes.
#[test]
fn every_request_is_one_line_of_the_access_log() {
    let name = format!("penstock-admin-{}.log", std::process::id());
    let path = std::env::temp_dir().join(name);
    let sinks = Arc::new(Sinks::default());
    let sink = sinks.intern(SinkSpec::File(path.clone())).unwrap();
    let (writer, mut rings) = AccessLogWriter::start(sinks.clone(), 1).unwrap();
    let fields = ["METHOD", "PATH", "AUTHORITY"].map(|name| {
        (
            name.to_lowercase(),
            JsonValue::Text(format!("%REQ(:{name})%")),
        )
    });
    let more = [
        ("agent", "%REQ(USER-AGENT)%"),
        ("status", "%RESPONSE_CODE%"),
        ("sent", "%BYTES_SENT%"),
    ];
    let more = more.map(|(name, text)| (name.into(), JsonValue::Text(text.into())));
    let format = Format::json(fields.into_iter().chain(more).collect()).unwrap();
    let log = AdminLog {
        logs: vec![AccessLog { sink, format }],
        ring: rings.remove(0),
    };
    let bench = Bench::new();
    let options = options(([127, 0, 0, 1], 0).into(), bench.level.clone());
    let admin = Admin::start_with_log(options, Some(log), bench.process.clone());
    let bench = Bench {
        admin: admin.unwrap(),
        ..bench
    };
    let agent = "a\\ \"\",\"status\":\"500\u{9b}31m\u{2028}\t\u{fffd}";
    let request = format!("GET /ready HTTP/1.1\r\nHost: localhost\r\nUser-Agent: {agent}\r\n\r\n");
    assert_eq!(bench.send(&request).status, 200);
    assert_eq!(bench.ask("GET", "/metrics").status, 200);
    assert_eq!(bench.ask("GET", "/%0d%0a%22?a=%0a").status, 404);
    drop(bench);
    assert!(writer.stop(Duration::from_secs(30)));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let paths: Vec<_> = lines
        .iter()
        .map(|line| line["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["/ready", "/metrics", "/%0d%0a%22?a=%0a"]);
    assert_eq!(
        (&lines[0]["status"], &lines[0]["sent"]),
        (&json!(200), &json!(5))
    );
    assert!(
        lines[0]["agent"]
            .as_str()
            .unwrap()
            .starts_with("a\\ \"\",\"status\":\"500")
    );
    assert!(!text.contains(['\u{9b}', '\u{2028}', '\t', '\r']));
    assert!(lines[1]["sent"].as_u64().unwrap() > 10_000);
    assert_eq!(lines[2]["status"], 404);
}
