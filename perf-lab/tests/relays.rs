//! The null relays with checked traffic through them: every driver that works here.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use penstock_runtime::Preference;
use perf_lab::fused::Fused;
use perf_lab::load::{Load, Protocol};
use perf_lab::origin::Behaviour;
use perf_lab::relay::{self, Driven};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn fused(behaviour: Behaviour) -> Fused {
    Fused::start("fused", behaviour, TcpListener::bind(ANY).unwrap()).unwrap()
}

/// Runs `check` with the address of each relay in front of an origin of its own.
fn through_all(behaviour: Behaviour, check: impl Fn(&str, SocketAddr, &Fused)) {
    for driver in [Preference::Auto, Preference::Epoll] {
        let fused = fused(behaviour);
        let relay = Driven::start(driver, ANY, fused.address()).unwrap();
        check(&relay.driver(), relay.address(), &fused);
    }
    let (fused, listener) = (fused(behaviour), TcpListener::bind(ANY).unwrap());
    let (address, origin) = (listener.local_addr().unwrap(), fused.address());
    // It has no end of its own; the process takes it along.
    std::thread::spawn(move || relay::run(listener, origin));
    check("plain", address, &fused);
}

#[test]
fn requests_go_through() {
    through_all(Behaviour::Fast, |name, address, fused| {
        let mut load = Load::new(address, "/?size=100000");
        (load.size, load.body) = (Some(100_000), Some(70_001));
        (load.requests, load.connections) = (Some(60), 8);
        for keep_alive in [true, false] {
            load.keep_alive = keep_alive;
            let report = fused.start_load(&load).unwrap().finish().unwrap();
            assert_eq!(
                (report.answered, report.failed()),
                (60, 0),
                "{name}: {report}"
            );
        }
    });
}

#[test]
fn messages_go_through_and_come_back() {
    through_all(Behaviour::Echo, |name, address, fused| {
        for size in [64, 1024, 1_000_000] {
            let mut load = Load::new(address, "");
            (load.protocol, load.body) = (Protocol::Tcp, Some(size));
            (load.requests, load.connections) = (Some(40), 4);
            let report = fused.start_load(&load).unwrap().finish().unwrap();
            assert_eq!(
                (report.answered, report.failed()),
                (40, 0),
                "{name}: {report}"
            );
        }
    });
}

#[test]
fn an_end_is_passed_on_behind_what_came_before_it() {
    through_all(Behaviour::Echo, |name, address, _| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"to and fro").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert_eq!(text, "to and fro", "{name}");
    });
}

#[test]
fn nobody_behind_it_is_a_failure() {
    let nowhere = TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let relay = Driven::start(Preference::Epoll, ANY, nowhere).unwrap();
    let mut load = Load::new(relay.address(), "/");
    // One request for each connection: one that is reset before the load has seen it stand is not
    // used again.
    (load.requests, load.connections) = (Some(20), 20);
    let report = load.run().unwrap();
    assert_eq!((report.answered, report.failed()), (0, 20), "{report}");
}
