//! Origin and load on one thread, through nothing and through a relay.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering::Relaxed;

use perf_lab::fused::Fused;
use perf_lab::load::{Load, Protocol};
use perf_lab::origin::Behaviour;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn fused(behaviour: Behaviour) -> Fused {
    Fused::start("fused", behaviour, TcpListener::bind(ANY).unwrap()).unwrap()
}

#[test]
fn one_thread_asks_and_answers() {
    let fused = fused(Behaviour::Fast);
    let mut load = Load::new(fused.address(), "/?size=1000");
    (load.size, load.requests) = (Some(1000), Some(300));
    for round in 1..=2 {
        let report = fused.start_load(&load).unwrap().finish().unwrap();
        assert_eq!((report.answered, report.failed()), (300, 0), "{report}");
        assert_eq!(fused.counters().requests.load(Relaxed), 300 * round);
    }
}

#[test]
fn large_bodies_both_ways_on_one_thread() {
    let fused = fused(Behaviour::Fast);
    for chunked in [false, true] {
        let path = if chunked {
            "/?size=3000000&chunked=1"
        } else {
            "/?size=3000000"
        };
        let mut load = Load::new(fused.address(), path);
        (load.size, load.body, load.chunked) = (Some(3_000_000), Some(2_000_003), chunked);
        (load.requests, load.connections) = (Some(12), 4);
        let report = fused.start_load(&load).unwrap().finish().unwrap();
        assert_eq!((report.answered, report.failed()), (12, 0), "{report}");
    }
}

#[test]
fn connections_come_and_go() {
    let fused = fused(Behaviour::Fast);
    let mut load = Load::new(fused.address(), "/?size=10");
    (load.size, load.requests, load.connections) = (Some(10), Some(200), 8);
    load.keep_alive = false;
    let report = fused.start_load(&load).unwrap().finish().unwrap();
    assert_eq!((report.answered, report.connects), (200, 200), "{report}");
    (load.keep_alive, load.requests_per_connection) = (true, Some(5));
    let report = fused.start_load(&load).unwrap().finish().unwrap();
    assert_eq!((report.answered, report.failed()), (200, 0), "{report}");
    assert_eq!(report.connects, 40);
}

#[test]
fn messages_come_back() {
    let fused = fused(Behaviour::Echo);
    for size in [64, 1024, 1_000_000] {
        let mut load = Load::new(fused.address(), "");
        (load.protocol, load.body, load.requests) = (Protocol::Tcp, Some(size), Some(100));
        let report = fused.start_load(&load).unwrap().finish().unwrap();
        assert_eq!((report.answered, report.failed()), (100, 0), "{report}");
    }
}

#[test]
fn an_end_that_is_asked_for_while_a_load_runs_comes_after_it() {
    let fused = fused(Behaviour::Fast);
    let load = Load::new(fused.address(), "/?size=10&delay=20");
    let running = fused.start_load(&load).unwrap();
    while running.answered() == 0 {
        std::thread::yield_now();
    }
    // Rings the bell while answers are on their way; dropping waits for the thread.
    drop(running);
    drop(fused);
}
