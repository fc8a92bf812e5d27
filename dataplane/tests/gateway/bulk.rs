//! Bulk bodies, which pass through pipes of the kernel: every byte, both ways, also beside a client
//! that does not read.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::hardship::wait_until;
use crate::process::{Gateway, PATIENCE, configuration, drivers, fast_origin};
use crate::wire::connect;
use perf_lab::load::Load;
use perf_lab::pattern;

const MIB: u64 = 1024 * 1024;

/// Everything to the origin, for as long as it takes.
const PATIENT: &str = "- match: { prefix: / }\n  route: { cluster: origin, timeout: 0s }";

#[test]
fn bulk_passes_whole_beside_a_client_that_does_not_read() {
    for driver in drivers() {
        let origin = fast_origin();
        let gateway = Gateway::start(driver, &configuration(origin.address(), "", PATIENT));
        let pipes = || pipes(gateway.pid());
        let before = pipes();
        let mut slow = begin(&gateway, 100 * MIB);
        wait_until(|| pipes() > before);
        for upload in [None, Some(3 * MIB)] {
            let mut load = Load::new(gateway.address, &format!("/?size={}", 4 * MIB));
            (load.size, load.body, load.timeout) = (Some(4 * MIB), upload, PATIENCE);
            (load.connections, load.requests) = (4, Some(20));
            let report = load.run().expect("descriptors");
            assert_eq!(
                (report.answered, report.failed()),
                (20, 0),
                "{driver}: {report}"
            );
        }
        finish(&mut slow, 100 * MIB);
        // What a request needs that follows on the same connection has not suffered.
        slow.get_mut().write_all(&request(MIB)).unwrap();
        finish(&mut slow, MIB);
        let most = before + 2 * 8;
        assert!(
            pipes() <= most,
            "{driver}: {} pipes, {before} before",
            pipes()
        );
    }
}

fn request(size: u64) -> Vec<u8> {
    format!("GET /?size={size} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// Asks, and reads nothing.
fn begin(gateway: &Gateway, size: u64) -> BufReader<TcpStream> {
    let mut stream = connect(gateway.address);
    stream.write_all(&request(size)).unwrap();
    BufReader::new(stream)
}

/// Reads a whole response and checks every byte of its body.
fn finish(stream: &mut BufReader<TcpStream>, size: u64) {
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
    }
    let mut block = vec![0; MIB as usize];
    for offset in (0..size).step_by(block.len()) {
        stream.read_exact(&mut block).unwrap();
        assert!(pattern::holds(&block, offset), "at {offset} of {size}");
    }
}

/// Ends of pipes that a process has open.
fn pipes(pid: u32) -> usize {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links
        .filter(|link| link.to_string_lossy().starts_with("pipe:"))
        .count()
}
