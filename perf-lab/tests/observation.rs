//! What a load says about servers that lie, stall or leave.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Duration;

use perf_lab::fused::Fused;
use perf_lab::load::{Arrivals, Failure, Load, Observation, Protocol, Running, Slow};
use perf_lab::origin::{Behaviour, Origin};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789";

/// A server that gives each connection, with its number, to `serve`.
fn server(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(ANY).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let serve = serve.clone();
            thread::spawn(move || serve(number, stream.unwrap()));
        }
    });
    address
}

/// Reads one request without a body; false at the end.
fn read_request(stream: &mut TcpStream) -> bool {
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => seen.push(byte[0]),
            _ => return false,
        }
    }
    true
}

/// Answers every request with these bytes, whatever they are.
fn answers(bytes: &'static [u8]) -> SocketAddr {
    server(
        move |_, mut stream| {
            while read_request(&mut stream) && stream.write_all(bytes).is_ok() {}
        },
    )
}

fn ten_bytes(address: SocketAddr) -> Load {
    let mut load = Load::new(address, "/");
    (load.size, load.requests, load.connections) = (Some(10), Some(3), 1);
    load
}

#[test]
fn whoever_lies_is_caught() {
    #[track_caller]
    fn check(bytes: &'static [u8], kind: Failure) {
        let report = ten_bytes(answers(bytes)).run().unwrap();
        assert_eq!(
            (report.answered, report.failed_by(kind)),
            (0, 3),
            "{report}"
        );
    }
    let wrong_byte = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n012345678x";
    check(wrong_byte, Failure::Pattern);
    let swapped = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
        5\r\n56789\r\n5\r\n01234\r\n0\r\n\r\n";
    check(swapped, Failure::Pattern);
    let short = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n012345678";
    check(short, Failure::Length);
    let status = b"HTTP/1.1 500 No\r\ncontent-length: 10\r\n\r\n0123456789";
    check(status, Failure::Status);
    let more = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789HTTP/1.1";
    check(more, Failure::Malformed);
    let framing = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n0123456789\r\n";
    check(framing, Failure::Malformed);
}

#[test]
fn a_body_that_ends_early_is_cut() {
    let address = server(|_, mut stream| {
        if read_request(&mut stream) {
            let _ = stream.write_all(&ANSWER[..ANSWER.len() - 1]);
        }
    });
    let report = ten_bytes(address).run().unwrap();
    assert_eq!(report.failed_by(Failure::Cut), 3, "{report}");
}

#[test]
fn a_wrong_byte_in_a_message_is_caught() {
    let address = server(|_, mut stream| {
        let mut block = [0; 100];
        while stream.read_exact(&mut block).is_ok() {
            block[99] ^= 1;
            if stream.write_all(&block).is_err() {
                return;
            }
        }
    });
    let mut load = ten_bytes(address);
    (load.protocol, load.body) = (Protocol::Tcp, Some(100));
    let report = load.run().unwrap();
    assert_eq!(report.failed_by(Failure::Pattern), 3, "{report}");
}

/// Adds up what is observed until it is enough.
fn observe_until(running: &Running, enough: impl Fn(&Observation) -> bool) -> Observation {
    let mut sum = Observation::nothing();
    while !enough(&sum) {
        sum.add(&running.observe());
        thread::yield_now();
    }
    sum
}

/// A server behind a gate, and a load whose requests are all due before the gate opens.
fn stalled(threads: usize, arrivals: Arrivals) -> Observation {
    let gate = Arc::new(RwLock::new(()));
    let (closed, passed) = (gate.write().unwrap(), gate.clone());
    let address = server(move |_, mut stream| {
        while read_request(&mut stream) {
            drop(passed.read());
            if stream.write_all(ANSWER).is_err() {
                return;
            }
        }
    });
    let mut load = ten_bytes(address);
    (load.requests, load.connections, load.threads) = (Some(60), 4, threads);
    (load.rate, load.arrivals) = (Some(2000.0), arrivals);
    let running = load.start().unwrap();
    let mut sum = observe_until(&running, |sum| sum.offered == 60);
    assert_eq!(
        (sum.report.answered, sum.sent),
        (0, 4),
        "as many as there are connections"
    );
    drop(closed);
    let (report, last) = running.finish_observed().unwrap();
    sum.add(&last);
    assert_eq!((report.answered, report.failed()), (60, 0), "{report}");
    sum
}

#[test]
fn latency_counts_from_the_time_at_which_a_request_was_due() {
    for (threads, arrivals) in [(1, Arrivals::Poisson), (2, Arrivals::Uniform)] {
        let sum = stalled(threads, arrivals);
        assert_eq!((sum.offered, sum.sent), (60, 60));
        assert_eq!((sum.corrected.len(), sum.service.len()), (60, 60));
        for quantile in [0.0, 0.25, 0.5, 0.75, 0.99, 1.0] {
            let corrected = sum.corrected.value_at_quantile(quantile);
            let service = sum.service.value_at_quantile(quantile);
            assert!(corrected >= service, "{quantile}: {corrected} < {service}");
        }
        assert!(sum.corrected.mean() > sum.service.mean());
        assert_eq!(sum.lateness.len(), 60);
    }
}

#[test]
fn a_silent_connection_that_is_closed_is_a_failure() {
    let gate = Arc::new(RwLock::new(()));
    let (closed, passed) = (gate.write().unwrap(), gate.clone());
    let address = server(move |number, mut stream| {
        if read_request(&mut stream) {
            if number >= 3 {
                drop(passed.read());
            }
            let _ = stream.write_all(ANSWER);
        }
    });
    let mut load = ten_bytes(address);
    (load.idle, load.requests) = (3, Some(1));
    let running = load.start().unwrap();
    let idle = |sum: &Observation| sum.report.failed_by(Failure::Idle);
    let sum = observe_until(&running, |sum| idle(sum) == 3);
    assert_eq!(sum.idle_open, 0);
    drop(closed);
    let report = running.finish().unwrap();
    assert_eq!(
        (report.answered, report.failed_by(Failure::Idle)),
        (1, 3),
        "{report}"
    );
}

#[test]
fn silent_connections_are_open_as_long_as_the_load_goes() {
    let fused = Fused::start("idle", Behaviour::Fast, TcpListener::bind(ANY).unwrap()).unwrap();
    let mut load = Load::new(fused.address(), "/?size=10");
    (load.size, load.idle, load.rate) = (Some(10), 100, Some(1000.0));
    let running = fused.start_load(&load).unwrap();
    let sum = observe_until(&running, |sum| sum.report.answered >= 50);
    assert!(running.has_begun());
    assert_eq!(running.observe().idle_open, 100);
    assert_eq!(fused.counters().open.load(Relaxed), 116);
    assert_eq!(sum.report.failed(), 0);
    running.stop();
    running.finish().unwrap();
}

#[test]
fn a_record_holds_what_was_observed() {
    let origin = Origin::start("record", Behaviour::Flaky(2), ANY).unwrap();
    let mut load = Load::new(origin.address(), "/?size=1000");
    (load.size, load.requests, load.rate) = (Some(1000), Some(40), Some(10_000.0));
    let (report, seen) = load.start().unwrap().finish_observed().unwrap();
    let record = seen.record();
    assert_eq!(record.answered, 20);
    assert_eq!(record.failures, [("status".to_owned(), 20)]);
    assert_eq!(record.statuses, [(200, 20), (503, 20)]);
    // What is whole took its time, wrong or not: sums of statuses and of latencies agree.
    assert_eq!((record.corrected.count, record.service.count), (40, 40));
    assert_eq!(record.connects, report.connects);
    assert_eq!(record.bytes_in, report.bytes);
    assert!(record.bytes_out > 40 * 40);
    let slice = seen.slice(5);
    assert_eq!((slice.at, slice.answered, slice.failed), (5, 20, 20));
}

#[test]
fn refusals_that_are_expected_are_answers() {
    let origin = Origin::start("record", Behaviour::Flaky(2), ANY).unwrap();
    let mut load = Load::new(origin.address(), "/?size=1000");
    (load.size, load.requests, load.connections) = (Some(1000), Some(40), 1);
    load.also = Some(503);
    let (report, seen) = load.start().unwrap().finish_observed().unwrap();
    let counts = (report.answered, report.refusals, report.failed());
    assert_eq!(counts, (40, 20, 0), "{report}");
    assert_eq!(seen.record().statuses, [(200, 20), (503, 20)]);
    assert_eq!(report.connects, 1, "they do not cost a connection");
}

#[test]
fn slow_clients_get_everything_in_the_end() {
    let origin = Origin::start("slow", Behaviour::Fast, ANY).unwrap();
    let mut load = Load::new(origin.address(), "/?size=30000");
    (load.size, load.body, load.requests) = (Some(30_000), Some(10_000), Some(8));
    (load.connections, load.slow) = (
        4,
        Some(Slow {
            bytes: 2000,
            every: Duration::from_millis(1),
        }),
    );
    let report = load.run().unwrap();
    assert_eq!((report.answered, report.failed()), (8, 0), "{report}");
    assert_eq!(report.connects, 4);
    assert_eq!(origin.counters().malformed.load(Relaxed), 0);
}

#[test]
fn slow_clients_are_as_slow_as_they_were_asked_to_be() {
    let origin = Origin::start("slow", Behaviour::Fast, ANY).unwrap();
    let mut load = Load::new(origin.address(), "/?size=1");
    let every = Duration::from_millis(250);
    (load.size, load.requests, load.connections) = (Some(1), Some(1), 1);
    load.slow = Some(Slow { bytes: 20, every });
    let report = load.run().unwrap();
    assert_eq!((report.answered, report.failed()), (1, 0), "{report}");
    // The head of the request is longer than 40 bytes, that of the answer too: four pauses at least
    // lie between the first bytes and the last ones. A pause may be longer, never shorter.
    assert!(report.elapsed >= every * 4, "{report}");
}

#[test]
fn a_rate_that_is_none_is_refused() {
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut load = Load::new(ANY, "/");
        load.rate = Some(rate);
        assert!(load.start().is_err(), "{rate}");
    }
}

#[test]
fn more_connections_than_descriptors_are_refused_at_once() {
    let mut load = Load::new(ANY, "/");
    load.idle = usize::MAX / 2;
    let error = load.start().err().map(|error| error.to_string());
    assert!(error.is_some_and(|text| text.contains("ulimit")));
}
