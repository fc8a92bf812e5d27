//! What hurts a gateway: dead origins, slow clients, idle masses, no descriptors left. It stays up,
//! its other traffic is unhurt, and the counters tell.

use std::io::{Read, Write};
use std::net::TcpStream;

use perf_lab::cpu::thread_names;
use perf_lab::load::Load;

use crate::process::{ALL, Gateway, configuration, drivers, fast_origin};
use crate::wire::{connect, get, metric, read};

#[track_caller]
fn unhurt(gateway: &Gateway) {
    let mut load = Load::new(gateway.address, "/?size=1000");
    load.size = Some(1000);
    load.requests = Some(200);
    let report = load.run().unwrap();
    assert_eq!((report.answered, report.failed()), (200, 0), "{report}");
}

#[test]
fn an_origin_that_never_answers() {
    for driver in drivers() {
        let origin = fast_origin();
        let routes = format!(
            "- match: {{ path: /dead }}\n  route: {{ cluster: origin, timeout: 0.3s }}\n{ALL}"
        );
        let gateway = Gateway::start(driver, &configuration(origin.address(), "", &routes));
        let mut waiting = connect(gateway.address);
        let head = b"GET /dead?delay=600000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        waiting.write_all(head).unwrap();
        unhurt(&gateway);
        assert_eq!(read(&mut waiting).status, 504, "{driver}");
        assert!(
            metric(gateway.admin, "penstock_upstream_timeouts_total") >= 1.0,
            "{driver}"
        );
    }
}

#[test]
fn a_client_that_sends_byte_by_byte() {
    for driver in drivers() {
        let origin = fast_origin();
        let text = configuration(origin.address(), "request_headers_timeout: 0.3s", ALL);
        let gateway = Gateway::start(driver, &text);
        let mut slow = connect(gateway.address);
        slow.write_all(b"GET / HTT").unwrap();
        unhurt(&gateway);
        assert_eq!(read(&mut slow).status, 408, "{driver}");
        let name = "penstock_downstream_timeouts_total";
        assert!(metric(gateway.admin, name) >= 1.0, "{driver}");
    }
}

#[test]
fn thousands_of_idle_connections() {
    let limit = penstock_runtime::process::raise_descriptor_limit().unwrap();
    // Half of the gateway's descriptors are kept for origins.
    let count = 10_000.min((limit / 2).saturating_sub(1000)) as usize;
    for driver in drivers() {
        let origin = fast_origin();
        let gateway = Gateway::start(driver, &configuration(origin.address(), "", ALL));
        let idle: Vec<TcpStream> = (0..count).map(|_| connect(gateway.address)).collect();
        unhurt(&gateway);
        let active = metric(gateway.admin, "penstock_listener_connections_active");
        assert!(active >= count as f64, "{driver}: {active} of {count}");
        // Each of them still works.
        for mut stream in [&idle[0], &idle[count / 2], &idle[count - 1]] {
            stream
                .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                .unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            assert_eq!(&status, b"HTTP/1.1 200", "{driver}");
        }
    }
}

#[test]
fn no_descriptors_left() {
    for driver in drivers() {
        let origin = fast_origin();
        let text = configuration(origin.address(), "", ALL);
        let gateway = Gateway::start_with(driver, &text, "ulimit -n 256", &[]);
        let crowd: Vec<TcpStream> = (0..400).map(|_| connect(gateway.address)).collect();
        let refused = || {
            metric(gateway.admin, "penstock_listener_connections_refused_total")
                + metric(gateway.admin, "penstock_listener_accept_failures_total")
        };
        while refused() == 0.0 {
            std::thread::yield_now();
        }
        drop(crowd);
        while metric(gateway.admin, "penstock_listener_connections_active") > 0.0 {
            std::thread::yield_now();
        }
        unhurt(&gateway);
        assert_eq!(get(gateway.admin, "/ready").status, 200, "{driver}");
    }
}

#[test]
fn no_kernel_worker_appears() {
    for driver in drivers() {
        let origin = fast_origin();
        let gateway = Gateway::start(driver, &configuration(origin.address(), "", ALL));
        let mut load = Load::new(gateway.address, "/?size=100000");
        (load.size, load.requests, load.body) = (Some(100_000), Some(2000), Some(50_000));
        let running = load.start().unwrap();
        let mut names = Vec::new();
        while running.answered() < 1900 {
            names = thread_names(gateway.pid()).unwrap();
            let workers = names.iter().filter(|name| name.starts_with("iou-wrk"));
            assert_eq!(workers.count(), 0, "{driver}: {names:?}");
        }
        assert!(
            names.iter().any(|name| name.starts_with("penstock-w")),
            "{names:?}"
        );
        let report = running.finish().unwrap();
        assert_eq!(report.failed(), 0, "{driver}: {report}");
    }
}
