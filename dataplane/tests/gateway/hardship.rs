//! What must not cost a request: reload, an origin's restart, drain. What must not hurt others: a
//! stopped origin, a client of one byte at a time, idle connections by the thousand, no descriptors
//! left. All of it under load that checks every byte, with one printed line per run
//! (`cargo xtask survive` shows them).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::process::{Gateway, PATIENCE, drivers, fast_origin};
use crate::wire::{connect, get, metric};
use perf_lab::load::{Load, Report, Running};
use perf_lab::origin::{Behaviour, Origin};

/// Requests that must have been answered before something is done to the gateway, and again after
/// it.
const ENOUGH: u64 = 500;

#[test]
fn reloads_under_load_lose_nothing() {
    for driver in drivers() {
        let origin = fast_origin();
        let gateway = Gateway::start(driver, &bootstrap(&[origin.address()], "first"));
        let load = load(&gateway, 16);
        for round in 0..5 {
            let answered = load.answered();
            wait_for(&load, answered + ENOUGH);
            gateway
                .file
                .write(&bootstrap(&[origin.address()], &format!("round-{round}")));
            gateway.signal("HUP");
            wait_until(|| {
                let answer = get(gateway.address, "/?size=1").text;
                answer.contains(&format!("x-config: round-{round}"))
            });
        }
        let invalid = bootstrap(&[origin.address()], "never").replace("prefix: /", "prefixx: /");
        gateway.file.write(&invalid);
        gateway.signal("HUP");
        gateway.wait_log("prefixx");
        assert!(
            get(gateway.address, "/?size=1")
                .text
                .contains("x-config: round-4")
        );
        let report = finish(load);
        show(driver, "5 reloads, 1 refused reload", &report);
    }
}

#[test]
fn an_origins_restart_under_load_loses_nothing() {
    for driver in drivers() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let start = || {
            let listener = listener.try_clone().expect("descriptors");
            Origin::start_on("origin", Behaviour::Fast, listener, 1).expect("threads")
        };
        let mut origin = start();
        let gateway = Gateway::start(driver, &bootstrap(&[address], "restart"));
        let load = load(&gateway, 16);
        for _ in 0..5 {
            wait_for(&load, load.answered() + ENOUGH);
            // All its connections end at once, those with a request on the way too.
            drop(origin);
            origin = start();
        }
        wait_for(&load, load.answered() + ENOUGH);
        let report = finish(load);
        drop(origin);
        let resent = metric(gateway.admin, "penstock_retries_total");
        show(
            driver,
            &format!("5 restarts of the origin, {resent} requests sent again"),
            &report,
        );
    }
}

#[test]
fn a_drain_under_load_loses_nothing() {
    for driver in drivers() {
        let origin = fast_origin();
        let mut gateway = Gateway::start(driver, &bootstrap(&[origin.address()], "drain"));
        let load = load_until_refused(gateway.address).start();
        let load = load.expect("descriptors");
        wait_for(&load, ENOUGH);
        gateway.signal("TERM");
        let report = load.finish().expect("the client can poll");
        assert_eq!(report.failed() + report.resent, 0, "{driver}: {report}");
        let (status, log) = gateway.wait_end();
        assert!(status.success(), "{driver}: {log}");
        show(driver, "drain by SIGTERM", &report);
    }
}

#[test]
fn a_listener_removed_under_load_loses_nothing() {
    for driver in drivers() {
        let origin = fast_origin();
        let text = bootstrap(&[origin.address()], "removed");
        for keep_alive in [false, true] {
            let gateway = Gateway::start(driver, &with_second_listener(&text));
            let mut load = load_until_refused(gateway.listeners["second"]);
            load.keep_alive = keep_alive;
            let load = load.start().expect("descriptors");
            wait_for(&load, ENOUGH);
            gateway.file.write(&text);
            gateway.signal("HUP");
            let report = load.finish().expect("the client can poll");
            assert_eq!(report.failed() + report.resent, 0, "{driver}: {report}");
            show(driver, "a listener removed by a reload", &report);
        }
    }
}

#[test]
fn a_stopped_origin_hurts_only_its_own_requests() {
    for driver in drivers() {
        let origin = fast_origin();
        // A process of its own, so that it can be stopped: a gateway that answers by itself.
        let stopped = Gateway::start("epoll", STOPPABLE);
        let addresses = [origin.address(), stopped.address];
        let gateway = Gateway::start(driver, &bootstrap(&addresses, "stop"));
        assert!(
            get(gateway.address, "/stopped")
                .text
                .starts_with("HTTP/1.1 200")
        );
        stopped.signal("STOP");
        let load = load(&gateway, 16);
        wait_for(&load, ENOUGH);
        let answer = get(gateway.address, "/stopped").text;
        assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
        wait_for(&load, load.answered() + ENOUGH);
        let report = finish(load);
        stopped.signal("CONT");
        let timeouts = metric(gateway.admin, "penstock_upstream_timeouts_total");
        assert_eq!(timeouts, 1.0);
        show(
            driver,
            "kill -STOP of another origin (504, upstream_timeouts 1)",
            &report,
        );
    }
}

#[test]
fn a_client_that_sends_a_byte_at_a_time_is_given_up() {
    for driver in drivers() {
        let origin = fast_origin();
        let gateway = Gateway::start(driver, &bootstrap(&[origin.address()], "slow"));
        let load = load(&gateway, 16);
        let mut slow = connect(gateway.address);
        slow.set_read_timeout(Some(Duration::from_millis(200)))
            .expect("a positive time");
        let mut answer = Vec::new();
        let mut bytes = b"GET / HTTP/1.1\r\nHost: slow\r\nX-Padding: "
            .iter()
            .chain(b"x".iter().cycle());
        let began = Instant::now();
        while !answer.ends_with(b"request head too slow") && began.elapsed() < PATIENCE {
            // The gateway may have closed; the answer is still there to be read.
            let _ = slow.write_all(&[*bytes.next().expect("it never ends")]);
            let mut piece = [0; 1024];
            if let Ok(count) = slow.read(&mut piece) {
                answer.extend_from_slice(&piece[..count]);
            }
        }
        assert!(
            answer.starts_with(b"HTTP/1.1 408"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        wait_for(&load, ENOUGH);
        let report = finish(load);
        assert_eq!(
            metric(gateway.admin, "penstock_downstream_timeouts_total"),
            1.0
        );
        show(
            driver,
            "a client of one byte at a time (408, timeouts head 1)",
            &report,
        );
    }
}

#[test]
fn ten_thousand_idle_connections_hurt_nobody() {
    let wanted = penstock_runtime::process::raise_descriptor_limit().unwrap_or(1024);
    let count = usize::try_from(wanted)
        .unwrap_or(usize::MAX)
        .saturating_sub(500)
        .min(10_000);
    if count < 10_000 {
        eprintln!("only {count} idle connections: the limit of descriptors is {wanted}");
    }
    for driver in drivers() {
        let origin = fast_origin();
        let gateway = Gateway::start(driver, &bootstrap(&[origin.address()], "idle"));
        // The allocator and the pools are warm before memory is looked at.
        let before_load = load(&gateway, 16);
        wait_for(&before_load, ENOUGH);
        finish(before_load);
        let before = resident_kib(gateway.pid());
        let idle: Vec<TcpStream> = (0..count).map(|_| connect(gateway.address)).collect();
        let name = "penstock_listener_connections_active";
        wait_until(|| metric(gateway.admin, name) >= count as f64);
        let grown = resident_kib(gateway.pid()).saturating_sub(before);
        let load = load(&gateway, 16);
        wait_for(&load, ENOUGH);
        let report = finish(load);
        let bytes = grown * 1024 / count as u64;
        show(
            driver,
            &format!("{count} idle connections, {bytes} bytes each"),
            &report,
        );
        drop(idle);
    }
}

#[test]
fn running_out_of_descriptors_is_survived_and_counted() {
    for driver in drivers() {
        let origin = fast_origin();
        let text = bootstrap(&[origin.address()], "descriptors");
        let gateway = Gateway::start_with(driver, &text, "ulimit -n 96", &[]);
        let load = load(&gateway, 4);
        wait_for(&load, ENOUGH);
        let crowd: Vec<TcpStream> = (0..200).map(|_| connect(gateway.address)).collect();
        wait_for(&load, load.answered() + ENOUGH);
        drop(crowd);
        let failures = "penstock_listener_accept_failures_total";
        wait_until(|| metric(gateway.admin, failures) > 0.0);
        wait_until(|| {
            get(gateway.address, "/?size=1")
                .text
                .starts_with("HTTP/1.1 200")
        });
        let report = finish(load);
        show(driver, "200 connections on 96 descriptors", &report);
    }
}

#[test]
fn no_io_uring_worker_thread_appears_under_load() {
    for driver in drivers() {
        let origin = fast_origin();
        let gateway = Gateway::start(driver, &bootstrap(&[origin.address()], "threads"));
        let load = load(&gateway, 64);
        wait_for(&load, 20 * ENOUGH);
        let names = perf_lab::cpu::thread_names(gateway.pid()).expect("it runs");
        let report = finish(load);
        assert!(
            names.iter().any(|name| name.starts_with("penstock-w")),
            "{names:?}"
        );
        assert!(
            !names.iter().any(|name| name.starts_with("iou-")),
            "{names:?}"
        );
        show(driver, "no io-wq thread", &report);
    }
}

fn load(gateway: &Gateway, connections: usize) -> Running {
    let mut load = Load::new(gateway.address, "/?size=1024");
    load.size = Some(1024);
    load.connections = connections;
    load.start().expect("descriptors")
}

/// Load on a listener that is going to close.
fn load_until_refused(address: SocketAddr) -> Load {
    let mut load = Load::new(address, "/?size=1024");
    load.size = Some(1024);
    load.until_refused = true;
    // A connect that comes when the sockets are about to close waits a second for its refusal: it
    // must hold up nobody else.
    load.threads = load.connections;
    load
}

/// Stops the load; nothing may have failed.
fn finish(load: Running) -> Report {
    load.stop();
    let report = load.finish().expect("the client can poll");
    assert_eq!(report.failed(), 0, "{report}");
    report
}

fn wait_for(load: &Running, answered: u64) {
    wait_until(|| load.answered() >= answered);
}

pub(crate) fn wait_until(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(
            began.elapsed() < PATIENCE,
            "it did not happen in {PATIENCE:?}"
        );
        std::thread::yield_now();
    }
}

fn resident_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("Linux says it");
    line.trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number")
}

fn show(driver: &str, what: &str, report: &Report) {
    println!(
        "{driver:<6} {what:<60} answered {:>7}, failed {}",
        report.answered,
        report.failed()
    );
}

/// A gateway that needs no origin.
const STOPPABLE: &str = r#"
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          route_config:
            virtual_hosts:
            - name: any
              domains: ["*"]
              routes:
              - match: {prefix: /}
                direct_response: {status: 200, body: {inline_string: here}}
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
"#;

/// The same file with its listener twice, once by the name of `second`.
fn with_second_listener(text: &str) -> String {
    let (head, rest) = text.split_once("  listeners:\n").expect("it has listeners");
    let (listener, clusters) = rest.split_once("  clusters:\n").expect("it has clusters");
    let second = listener.replace("- name: main", "- name: second");
    format!("{head}  listeners:\n{listener}{second}  clusters:\n{clusters}")
}

/// Everything to the first address, `/stopped` to the second; `mark` is in every response.
fn bootstrap(origins: &[SocketAddr], mark: &str) -> String {
    let clusters: Vec<String> = origins
        .iter()
        .enumerate()
        .map(|(index, address)| {
            format!(
                "  - name: cluster-{index}
    connect_timeout: 1s
    load_assignment:
      cluster_name: cluster-{index}
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: {}, port_value: {}}}}}",
                address.ip(),
                address.port()
            )
        })
        .collect();
    let stopped = match origins.len() {
        2 => {
            "
              - match: {path: /stopped}
                route: {cluster: cluster-1, timeout: 0.5s}"
        }
        _ => "",
    };
    format!(
        r#"
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
overload_manager:
  resource_monitors:
  - name: envoy.resource_monitors.global_downstream_max_connections
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
      max_active_downstream_connections: 20000
static_resources:
  listeners:
  - name: main
    address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: main
          request_headers_timeout: 2s
          route_config:
            response_headers_to_add:
            - header: {{key: x-config, value: {mark}}}
            virtual_hosts:
            - name: any
              domains: ["*"]
              routes:{stopped}
              - match: {{prefix: /}}
                route: {{cluster: cluster-0}}
          http_filters:
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
{}
"#,
        clusters.join("\n")
    )
}
