//! Out of descriptors: the worker stays up, says so, serves what it has, and accepts again when it
//! can.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::Ordering::SeqCst;

use fastpath_sys::process;

use crate::support::{Duty, start, until};

/// In the environment of a child: the driver that it runs.
const DRIVER: &str = "PENSTOCK_TEST_EXHAUSTED_DRIVER";

#[test]
fn epoll_survives_without_descriptors() {
    in_a_process_of_its_own("epoll");
}

#[test]
fn uring_survives_without_descriptors() {
    in_a_process_of_its_own("auto");
}

fn in_a_process_of_its_own(driver: &str) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "exhaustion::child", "--nocapture"])
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
    // Before anything starts: io_uring notes the limit when an accept is armed.
    let spare = File::open("/dev/null").unwrap();
    process::set_descriptor_limit(spare.as_raw_fd() as u64 + 60).unwrap();
    let world = start(driver.parse().unwrap(), 1, Duty::Echo, 64);
    let failures = || world.tally.accept_failures.load(SeqCst);
    let mut clients = Vec::new();
    let mut spare = Some(spare);
    // Every client takes one descriptor here and one there. Where the last one went there, the
    // spare one lets one more client in, who finds none there.
    while failures() == 0 {
        match TcpStream::connect(world.address) {
            Ok(client) => clients.push(client),
            Err(error) => drop(spare.take().unwrap_or_else(|| panic!("{error}"))),
        }
        until(|| failures() > 0 || world.tally.open.load(SeqCst) == clients.len());
    }
    let mut late = clients.pop().unwrap();
    for _ in 0..50 {
        clients.iter_mut().for_each(ping);
    }
    // Paused, not spinning: a try every 100 ms at most.
    assert!(failures() < 50, "{} tries", failures());
    drop(clients);
    ping(&mut late);
    drop(late);
    world.settle();
    world.end();
}

fn ping(client: &mut TcpStream) {
    client.write_all(b"ping").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
}
