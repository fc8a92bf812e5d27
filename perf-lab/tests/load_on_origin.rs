//! Load and origin against each other: what one sends the other checks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use perf_lab::load::{Failure, Load, Report};
use perf_lab::origin::{Behaviour, Origin};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[track_caller]
fn run(origin: &Origin, change: impl FnOnce(&mut Load)) -> Report {
    let mut load = Load::new(origin.address(), "/");
    load.requests = Some(200);
    change(&mut load);
    load.run().unwrap()
}

fn fast() -> Origin {
    Origin::start("fast", Behaviour::Fast, ANY).unwrap()
}

#[test]
fn kept_connections_are_reused() {
    let origin = fast();
    let report = run(&origin, |load| load.threads = 2);
    assert_eq!((report.answered, report.failed()), (200, 0), "{report}");
    assert_eq!(report.connects, 16);
    assert_eq!(origin.counters().requests.load(Relaxed), 200);
    assert_eq!(origin.counters().connections.load(Relaxed), 16);
}

#[test]
fn one_connection_for_each_request() {
    let origin = fast();
    let report = run(&origin, |load| load.keep_alive = false);
    assert_eq!((report.answered, report.connects), (200, 200), "{report}");
    assert_eq!(report.announced, 0);
}

#[test]
fn an_announced_close_is_no_failure() {
    let origin = fast();
    let report = run(&origin, |load| load.path = "/?close=1".into());
    assert_eq!((report.answered, report.announced), (200, 200), "{report}");
}

#[test]
fn bodies_are_checked_both_ways() {
    let origin = fast();
    for (chunked, path, size) in [
        (false, "/?size=100000", 100_000),
        (true, "/?size=1000003&chunked=1", 1_000_003),
        (true, "/?size=0&trailers=1", 0),
    ] {
        let report = run(&origin, |load| {
            load.path = path.into();
            load.size = Some(size);
            load.body = Some(50_021);
            load.chunked = chunked;
            load.requests = Some(40);
        });
        assert_eq!((report.answered, report.failed()), (40, 0), "{report}");
    }
    assert_eq!(origin.counters().malformed.load(Relaxed), 0);
}

#[test]
fn every_kind_of_failure_is_seen() {
    let origin = fast();
    let check = |path: &str, kind: Failure| {
        let report = run(&origin, |load| {
            load.path = path.into();
            load.size = Some(10);
            load.requests = Some(3);
            load.timeout = Duration::from_millis(300);
        });
        assert_eq!(report.answered, 0, "{path}: {report}");
        assert_eq!(report.failed_by(kind), 3, "{path}: {report}");
    };
    check("/?size=10&status=404", Failure::Status);
    check("/?size=11", Failure::Length);
    check("/?reset=1", Failure::Closed);
    check("/?size=10&delay=60000", Failure::Timeout);
}

#[test]
fn a_flaky_origin_fails_every_third() {
    let origin = Origin::start("flaky", Behaviour::Flaky(3), ANY).unwrap();
    let report = run(&origin, |load| load.requests = Some(30));
    let status = report.failed_by(Failure::Status);
    assert_eq!((report.answered, status), (20, 10), "{report}");
}

#[test]
fn nobody_there_is_a_failure_unless_asked_for() {
    let free = TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let mut load = Load::new(free, "/");
    assert_eq!(load.run().unwrap().failed_by(Failure::Connect), 16);
    load.until_refused = true;
    let report = load.run().unwrap();
    assert_eq!((report.failed(), report.refused), (0, 16));
}

#[test]
fn an_upgrade_becomes_an_echo() {
    let origin = fast();
    let mut stream = TcpStream::connect(origin.address()).unwrap();
    let head = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
    assert!(text.ends_with("\r\n\r\nhello"), "{text}");
}

#[test]
fn an_open_loop_sends_what_is_due_and_no_more() {
    let origin = fast();
    let mut load = Load::new(origin.address(), "/?size=100");
    (load.size, load.rate, load.threads) = (Some(100), Some(20_000.0), 2);
    load.requests = Some(500);
    let report = load.run().unwrap();
    assert_eq!((report.answered, report.failed()), (500, 0), "{report}");
    assert_eq!(report.connects, 16);
}

#[test]
fn silent_connections_stay_open_beside_the_load() {
    let origin = fast();
    let mut load = Load::new(origin.address(), "/?size=100");
    (load.size, load.requests, load.idle) = (Some(100), Some(100), 50);
    let report = load.run().unwrap();
    assert_eq!((report.answered, report.failed()), (100, 0), "{report}");
    assert_eq!(report.connects, 66);
    assert_eq!(origin.counters().requests.load(Relaxed), 150);
}
