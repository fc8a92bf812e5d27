//! Names are looked up at a real DNS server on a free port of the loopback.

mod server;

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use hickory_resolver::proto::rr::RecordType;

use super::*;
use crate::translate::names::Family;

use server::{Reply, Server};

/// Longer than any test takes; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(20);

fn key(host: &str, family: Family) -> NameKey {
    NameKey {
        name: host.into(),
        port: 80,
        family,
    }
}

fn name(host: &str, family: Family, refresh: Duration) -> Name {
    Name {
        key: key(host, family),
        refresh,
        respect_ttl: false,
        retry_first: SOON,
        retry_max: SOON,
    }
}

fn v4(host: &str, refresh: Duration) -> Name {
    name(host, Family::V4Only, refresh)
}

fn sockets(addresses: &[&str]) -> Vec<SocketAddr> {
    addresses
        .iter()
        .map(|address| SocketAddr::new(address.parse().expect("an address"), 80))
        .collect()
}

/// A running lookup thread and what it reports.
struct World {
    dns: Dns,
    changes: Receiver<Resolved>,
}

impl World {
    fn new(server: &Server, names: Vec<Name>) -> Self {
        Self::with(options(server), names)
    }

    fn with(options: DnsOptions, names: Vec<Name>) -> Self {
        let (sender, changes) = mpsc::channel();
        let on_change = move |resolved| {
            // Nobody listens any more at the end of a test.
            let _ = sender.send(resolved);
        };
        let dns = Dns::start(options, names, on_change).expect("a thread can be started");
        Self { dns, changes }
    }

    fn resolved(&self, key: &NameKey) -> Option<Vec<SocketAddr>> {
        self.dns.resolved().get(key).cloned()
    }

    /// Waits for a report that gives the name these addresses.
    fn wait_for(&self, key: &NameKey, addresses: &[&str]) {
        let expect = sockets(addresses);
        while self.resolved(key).as_ref() != Some(&expect) {
            self.changes.recv_timeout(PATIENCE).expect("a change");
        }
    }
}

fn options(server: &Server) -> DnsOptions {
    DnsOptions {
        servers: Some(vec![server.address()]),
        hosts_file: PathBuf::from("/nonexistent/hosts"),
        timeout: Some(Duration::from_secs(5)),
        retries: Some(0),
    }
}

#[test]
fn a_name_is_resolved_before_ready_and_again_when_its_answer_changes() {
    let server = Server::start();
    server.set(
        "a.test",
        RecordType::A,
        Reply::addresses(&["10.0.0.1"], 3600),
    );
    let world = World::new(&server, vec![v4("a.test", SOON)]);
    assert!(world.dns.wait_ready(PATIENCE));
    let key = key("a.test", Family::V4Only);
    assert_eq!(world.resolved(&key), Some(sockets(&["10.0.0.1"])));

    // A lifetime of an hour does not keep the refresh rate from being followed.
    server.set(
        "a.test",
        RecordType::A,
        Reply::addresses(&["10.0.0.1", "10.0.0.2"], 3600),
    );
    world.wait_for(&key, &["10.0.0.1", "10.0.0.2"]);
    server.set(
        "a.test",
        RecordType::A,
        Reply::addresses(&["10.0.0.3"], 3600),
    );
    world.wait_for(&key, &["10.0.0.3"]);
    assert_eq!(world.dns.counters().changes.value(), 3);
    assert!(world.dns.counters().lookups.value() >= 3);
    assert_eq!(world.dns.counters().failures.value(), 0);
}

#[test]
fn the_lifetime_of_an_answer_is_respected_where_that_is_asked_for() {
    let server = Server::start();
    server.set("a.test", RecordType::A, Reply::addresses(&["10.0.0.1"], 1));
    let respectful = Name {
        respect_ttl: true,
        ..v4("a.test", HOUR)
    };
    let world = World::new(&server, vec![respectful]);
    assert!(world.dns.wait_ready(PATIENCE));
    server.set(
        "a.test",
        RecordType::A,
        Reply::addresses(&["10.0.0.2"], 3600),
    );
    world.wait_for(&key("a.test", Family::V4Only), &["10.0.0.2"]);
}

#[test]
fn the_last_answer_stays_while_lookups_fail() {
    let server = Server::start();
    let key = key("a.test", Family::V4Only);
    server.set("a.test", RecordType::A, Reply::addresses(&["10.0.0.1"], 1));
    let world = World::new(&server, vec![v4("a.test", SOON)]);
    world.wait_for(&key, &["10.0.0.1"]);
    for (reply, after) in [
        (Reply::NoSuchName, "10.0.0.2"),
        (Reply::NoData, "10.0.0.3"),
        (Reply::Failure, "10.0.0.4"),
    ] {
        let failures = world.dns.counters().failures.value();
        let before = world.resolved(&key);
        server.set("a.test", RecordType::A, reply);
        server.wait_asked("a.test", 3);
        assert_eq!(world.resolved(&key), before);
        assert!(world.dns.counters().failures.value() > failures);
        server.set("a.test", RecordType::A, Reply::addresses(&[after], 1));
        world.wait_for(&key, &[after]);
    }
    assert_eq!(world.dns.counters().failing.value(), 0);
}

#[test]
fn a_silent_server_is_waited_for_no_longer_than_asked() {
    let server = Server::start();
    server.set("a.test", RecordType::A, Reply::Silence);
    let patient = World::new(&server, vec![v4("a.test", HOUR)]);
    assert!(!patient.dns.wait_ready(Duration::ZERO));

    let hasty = DnsOptions {
        timeout: Some(SOON),
        ..options(&server)
    };
    let world = World::with(hasty, vec![v4("a.test", HOUR)]);
    assert!(world.dns.wait_ready(PATIENCE), "a failure is an outcome");
    assert_eq!(world.resolved(&key("a.test", Family::V4Only)), None);
    assert_eq!(world.dns.counters().failing.value(), 1);
    server.set("a.test", RecordType::A, Reply::addresses(&["10.0.0.1"], 1));
    world.wait_for(&key("a.test", Family::V4Only), &["10.0.0.1"]);
}

#[test]
fn families_are_chosen_as_asked() {
    let server = Server::start();
    server.set(
        "both.test",
        RecordType::A,
        Reply::addresses(&["10.0.0.1"], 1),
    );
    server.set(
        "both.test",
        RecordType::AAAA,
        Reply::addresses(&["fd00::1"], 1),
    );
    server.set(
        "four.test",
        RecordType::A,
        Reply::addresses(&["10.0.0.4"], 1),
    );
    server.set(
        "six.test",
        RecordType::AAAA,
        Reply::addresses(&["fd00::6"], 1),
    );
    let cases: &[(&str, Family, &[&str])] = &[
        ("both.test", Family::Auto, &["fd00::1"]),
        ("both.test", Family::V4Only, &["10.0.0.1"]),
        ("both.test", Family::V6Only, &["fd00::1"]),
        ("both.test", Family::V4Preferred, &["10.0.0.1"]),
        ("both.test", Family::All, &["10.0.0.1", "fd00::1"]),
        ("four.test", Family::Auto, &["10.0.0.4"]),
        ("four.test", Family::V6Only, &[]),
        ("four.test", Family::All, &["10.0.0.4"]),
        ("six.test", Family::Auto, &["fd00::6"]),
        ("six.test", Family::V4Only, &[]),
        ("six.test", Family::V4Preferred, &["fd00::6"]),
        ("six.test", Family::All, &["fd00::6"]),
    ];
    let names = cases
        .iter()
        .map(|&(host, family, _)| name(host, family, HOUR));
    let world = World::new(&server, names.collect());
    assert!(world.dns.wait_ready(PATIENCE));
    for &(host, family, expect) in cases {
        let expect = (!expect.is_empty()).then(|| sockets(expect));
        assert_eq!(
            world.resolved(&key(host, family)),
            expect,
            "{host} {family:?}"
        );
    }
}

#[test]
fn aliases_are_followed_and_limit_the_lifetime() {
    let server = Server::start();
    server.set(
        "a.test",
        RecordType::A,
        Reply::alias("b.test", 1, &["10.0.0.1"], 3600),
    );
    let respectful = Name {
        respect_ttl: true,
        ..v4("a.test", HOUR)
    };
    let world = World::new(&server, vec![respectful]);
    world.wait_for(&key("a.test", Family::V4Only), &["10.0.0.1"]);
    server.set(
        "a.test",
        RecordType::A,
        Reply::alias("b.test", 3600, &["10.0.0.2"], 3600),
    );
    world.wait_for(&key("a.test", Family::V4Only), &["10.0.0.2"]);
}

#[test]
fn another_order_of_the_same_addresses_is_no_change() {
    let server = Server::start();
    let key = key("a.test", Family::V4Only);
    server.set(
        "a.test",
        RecordType::A,
        Reply::addresses(&["10.0.0.1", "10.0.0.2"], 1),
    );
    let world = World::new(&server, vec![v4("a.test", SOON)]);
    world.wait_for(&key, &["10.0.0.1", "10.0.0.2"]);
    server.set(
        "a.test",
        RecordType::A,
        Reply::addresses(&["10.0.0.2", "10.0.0.1"], 1),
    );
    server.wait_asked("a.test", 3);
    assert_eq!(
        world.resolved(&key),
        Some(sockets(&["10.0.0.1", "10.0.0.2"]))
    );
    assert_eq!(world.dns.counters().changes.value(), 1);
}

#[test]
fn an_update_forgets_what_is_unwanted_and_asks_only_for_what_is_new() {
    let server = Server::start();
    for (host, address) in [
        ("a.test", "10.0.0.1"),
        ("b.test", "10.0.0.2"),
        ("c.test", "10.0.0.3"),
    ] {
        server.set(host, RecordType::A, Reply::addresses(&[address], 3600));
    }
    let world = World::new(&server, vec![v4("a.test", HOUR), v4("b.test", HOUR)]);
    assert!(world.dns.wait_ready(PATIENCE));
    world
        .dns
        .update(vec![v4("b.test", HOUR), v4("c.test", HOUR)]);
    assert!(world.dns.wait_ready(PATIENCE));
    assert_eq!(world.resolved(&key("a.test", Family::V4Only)), None);
    assert_eq!(
        world.resolved(&key("b.test", Family::V4Only)),
        Some(sockets(&["10.0.0.2"]))
    );
    assert_eq!(
        world.resolved(&key("c.test", Family::V4Only)),
        Some(sockets(&["10.0.0.3"]))
    );
    assert_eq!(server.asked("b.test"), 1);
    assert_eq!(world.dns.counters().names.value(), 2);
    world.dns.update(Vec::new());
    assert!(world.dns.wait_ready(Duration::ZERO));
    assert!(world.dns.resolved().is_empty());
}

#[test]
fn addresses_and_the_hosts_file_need_no_server() {
    let path = std::env::temp_dir().join(format!("penstock-hosts-{}", std::process::id()));
    std::fs::write(
        &path,
        "127.0.0.1 localhost\n::1 localhost\n10.1.1.1 web # web server\n",
    )
    .expect("the temporary folder is writable");
    let alone = DnsOptions {
        servers: Some(Vec::new()),
        hosts_file: path.clone(),
        ..DnsOptions::default()
    };
    let cases: &[(&str, Family, &[&str])] = &[
        ("192.0.2.1", Family::Auto, &["192.0.2.1"]),
        ("2001:db8::1", Family::V4Preferred, &["2001:db8::1"]),
        ("localhost", Family::V4Only, &["127.0.0.1"]),
        ("localhost", Family::Auto, &["::1"]),
        ("LocalHost", Family::All, &["127.0.0.1", "::1"]),
        ("web", Family::Auto, &["10.1.1.1"]),
        ("web", Family::V6Only, &[]),
        ("a.test", Family::Auto, &[]),
        ("not..a.name", Family::Auto, &[]),
    ];
    let names = cases
        .iter()
        .map(|&(host, family, _)| name(host, family, HOUR));
    let world = World::with(alone, names.collect());
    assert!(world.dns.wait_ready(PATIENCE));
    for &(host, family, expect) in cases {
        let expect = (!expect.is_empty()).then(|| sockets(expect));
        assert_eq!(
            world.resolved(&key(host, family)),
            expect,
            "{host} {family:?}"
        );
    }
    std::fs::remove_file(path).expect("it was just written");
}

#[test]
fn localhost_is_resolved_with_the_configuration_of_the_system() {
    let world = World::with(DnsOptions::default(), vec![v4("localhost", HOUR)]);
    assert!(world.dns.wait_ready(PATIENCE));
    let found = world
        .resolved(&key("localhost", Family::V4Only))
        .expect("localhost is known");
    assert!(
        found.iter().all(|address| address.ip().is_loopback()),
        "{found:?}"
    );
}

#[test]
fn many_names_are_resolved_a_few_at_a_time() {
    let server = Server::start();
    let hosts: Vec<_> = (0..500).map(|number| format!("n{number}.test")).collect();
    for (host, last) in hosts.iter().zip(0_u16..) {
        let address = IpAddr::from([10, 0, (last >> 8) as u8, last as u8]).to_string();
        server.set(host, RecordType::A, Reply::addresses(&[&address], 3600));
    }
    let world = World::new(&server, hosts.iter().map(|host| v4(host, HOUR)).collect());
    assert!(world.dns.wait_ready(PATIENCE));
    assert_eq!(world.dns.resolved().len(), 500);
    assert_eq!(world.dns.counters().failures.value(), 0);
}
