//! Relays from kernel to kernel through real sockets, on every driver: every byte in order, also
//! where the relay ends in the middle; ends, resets and slow readers; and no descriptor is left.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use crate::support::{Duty, World, origin, pattern, read_pattern, start, until, write_pattern};
use penstock_core::event::IoFault;
use penstock_runtime::Preference;

const MIB: u64 = 1024 * 1024;

/// One module per driver, every case in each.
macro_rules! on_both_drivers {
    ($($case:ident)*) => {
        mod epoll {
            $(#[test] fn $case() { super::$case(super::Preference::Epoll); })*
        }

        /// Where io_uring is denied, this is epoll once more.
        mod uring {
            $(#[test] fn $case() { super::$case(super::Preference::Auto); })*
        }
    };
}

on_both_drivers! {
    ten_mib_both_ways
    what_follows_a_relay_takes_the_usual_way
    an_end_within_the_count_is_told
    a_slow_reader_is_not_overrun
    a_reader_that_pauses_gets_the_rest
    a_reset_of_the_source_is_told_after_the_bytes
    a_reset_of_the_sink_is_told
    more_relays_than_there_are_pipes
}

/// An origin that sends one pattern and expects another, both of `len` bytes.
fn exchange_origin(len: u64) -> std::net::SocketAddr {
    origin(move |stream| {
        thread::scope(|scope| {
            scope.spawn(|| write_pattern(&stream, 7, len));
            read_pattern(&stream, 8, len);
        });
    })
}

fn exchange(client: &TcpStream, len: u64) {
    thread::scope(|scope| {
        scope.spawn(|| write_pattern(client, 8, len));
        read_pattern(client, 7, len);
    });
}

fn relayed(world: &World) -> u64 {
    world.tally.relayed.load(SeqCst)
}

fn ten_mib_both_ways(driver: Preference) {
    let world = start(
        driver,
        1,
        Duty::Bulk(exchange_origin(10 * MIB), 10 * MIB),
        64,
    );
    exchange(&world.client(), 10 * MIB);
    assert!(relayed(&world) > 10 * MIB, "relayed {}", relayed(&world));
    world.end();
}

fn what_follows_a_relay_takes_the_usual_way(driver: Preference) {
    let world = start(
        driver,
        1,
        Duty::Bulk(exchange_origin(3 * MIB + 5), MIB + 3),
        64,
    );
    for _ in 0..3 {
        exchange(&world.client(), 3 * MIB + 5);
    }
    assert!(relayed(&world) <= 6 * (MIB + 3));
    world.end();
}

fn an_end_within_the_count_is_told(driver: Preference) {
    let world = start(driver, 1, Duty::Bulk(exchange_origin(MIB), u64::MAX), 64);
    exchange(&world.client(), MIB);
    world.end();
}

/// Fills everything between a client that writes and an origin that does not read.
fn fill(client: &TcpStream) -> u64 {
    client.set_nonblocking(true).unwrap();
    let block: Vec<u8> = (0..MIB).map(|offset| pattern(3, offset)).collect();
    let (mut sent, mut refusals) = (0_u64, 0);
    while refusals < 1000 {
        match (&*client).write(&block[(sent % MIB) as usize..]) {
            Ok(count) => (sent, refusals) = (sent + count as u64, 0),
            Err(_) => {
                refusals += 1;
                thread::yield_now();
            }
        }
        assert!(sent < 64 * MIB, "the relay takes without end");
    }
    client.set_nonblocking(false).unwrap();
    sent
}

fn a_slow_reader_is_not_overrun(driver: Preference) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let world = start(driver, 1, Duty::Bulk(address, u64::MAX), 64);
    let client = world.client();
    let (mut at_origin, _) = listener.accept().unwrap();
    let sent = fill(&client);
    until(|| world.tally.held_most.load(SeqCst) > 0);
    assert!(world.tally.held_most.load(SeqCst) <= MIB as usize);
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut got = Vec::new();
    at_origin.read_to_end(&mut got).unwrap();
    assert_eq!(got.len() as u64, sent);
    let block: Vec<u8> = (0..MIB).map(|offset| pattern(3, offset)).collect();
    assert!(
        got.chunks(MIB as usize)
            .all(|chunk| *chunk == block[..chunk.len()])
    );
    drop((at_origin, client));
    world.settle();
    world.end();
}

fn a_reader_that_pauses_gets_the_rest(driver: Preference) {
    let address = exchange_origin(20 * MIB);
    let world = start(driver, 1, Duty::Bulk(address, 20 * MIB), 64);
    let client = world.client();
    // Others are served while this one does not read.
    until(|| world.tally.held_most.load(SeqCst) > 0);
    exchange(&world.client(), 20 * MIB);
    exchange(&client, 20 * MIB);
    world.end();
}

fn a_reset_of_the_source_is_told_after_the_bytes(driver: Preference) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let world = start(driver, 1, Duty::Bulk(address, u64::MAX), 64);
    let mut client = world.client();
    let (mut at_origin, _) = listener.accept().unwrap();
    client.write_all(b"from here").unwrap();
    at_origin.read_exact(&mut [0; 9]).unwrap();
    fastpath_sys::socket::reset_on_close(client.as_fd()).unwrap();
    drop(client);
    assert!(at_origin.read(&mut [0; 1]).is_err());
    world.settle();
    assert_eq!(*world.tally.faults.lock().unwrap(), [IoFault::Reset]);
    world.end();
}

fn a_reset_of_the_sink_is_told(driver: Preference) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let world = start(driver, 1, Duty::Bulk(address, u64::MAX), 64);
    for _ in 0..20 {
        let client = world.client();
        let (at_origin, _) = listener.accept().unwrap();
        fill(&client);
        fastpath_sys::socket::reset_on_close(at_origin.as_fd()).unwrap();
        drop(at_origin);
        let _ = (&client).read(&mut [0; 1]);
    }
    world.settle();
    assert_eq!(world.tally.in_use.load(SeqCst) / 65, 0);
    world.end();
}

fn more_relays_than_there_are_pipes(driver: Preference) {
    let world = start(driver, 1, Duty::Bulk(exchange_origin(MIB), MIB), 256);
    many(&world);
    assert!(relayed(&world) > 0);
    world.end();
}

/// Forty clients at once.
fn many(world: &World) {
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| exchange(&world.client(), MIB));
        }
    });
    world.settle();
}

/// In the environment of a child: the driver that it runs.
const DRIVER: &str = "PENSTOCK_TEST_RELAY_DRIVER";

#[test]
fn epoll_leaves_no_descriptor() {
    in_a_process_of_its_own("epoll");
}

#[test]
fn uring_leaves_no_descriptor() {
    in_a_process_of_its_own("auto");
}

fn in_a_process_of_its_own(driver: &str) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "relay::child", "--nocapture"])
        .env(DRIVER, driver)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
}

#[test]
fn child() {
    let Ok(driver) = std::env::var(DRIVER) else {
        return;
    };
    let driver: Preference = driver.parse().unwrap();
    let address = exchange_origin(MIB);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = listener.local_addr().unwrap();
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let world = start(driver, 1, Duty::Bulk(address, MIB), 256);
    many(&world);
    assert!(relayed(&world) > 0);
    world.end();
    // The origin's threads close theirs in their own time.
    until(|| open() == before);
    let world = start(driver, 1, Duty::Bulk(deaf, u64::MAX), 64);
    for _ in 0..10 {
        let client = world.client();
        let at_origin = listener.accept().unwrap();
        fill(&client);
        drop(at_origin);
    }
    world.settle();
    world.end();
    assert_eq!(open(), before);
}
