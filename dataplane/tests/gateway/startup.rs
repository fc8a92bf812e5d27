//! What a gateway says of itself: the start-up block, `/server_info`, the series of its workers.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::Command;
use std::thread;

use fastpath_sys::confine;

use crate::hardship::wait_until;
use crate::process::{ALL, File, Gateway, configuration, drivers, fast_origin, penstock};
use crate::wire::get;

/// An origin that is never asked.
const NOWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1));

fn driver_line(gateway: &Gateway) -> &str {
    let mut lines = gateway.block.iter();
    let line = lines.find(|line| line.contains("  driver     "));
    line.expect("the block names the driver")
}

/// Without white space.
fn server_info(gateway: &Gateway) -> String {
    let text = get(gateway.admin, "/server_info").text;
    text.split_whitespace().collect()
}

#[test]
fn the_block_names_the_driver_and_its_features() {
    for driver in drivers() {
        let gateway = Gateway::start(driver, &configuration(NOWHERE, "", ALL));
        let (_, said) = driver_line(&gateway).split_once("  driver     ").unwrap();
        let name = said.split(':').next();
        assert_eq!(name, Some(driver), "{said}");
        let info = server_info(&gateway);
        assert!(info.contains(&format!("\"name\":\"{driver}\"")), "{info}");
        assert!(info.contains("\"fallback\":null"), "{info}");
        let features = said.split_once(": ").map_or("", |(_, features)| features);
        for feature in features.split(", ").filter(|name| !name.is_empty()) {
            assert!(info.contains(&format!("\"{feature}\"")), "{info}");
        }
    }
}

#[test]
fn the_block_and_server_info_say_why_it_is_epoll() {
    // The filter cannot be taken off again; it holds for this thread and what it starts.
    let confined = thread::spawn(|| {
        confine::deny_io_uring().unwrap();
        let gateway = Gateway::start("auto", &configuration(NOWHERE, "", ALL));
        assert!(driver_line(&gateway).ends_with("  driver     epoll"));
        let mut lines = gateway.block.iter();
        let line = lines.find(|line| line.contains("  fallback   "));
        assert!(
            line.is_some_and(|line| line.contains("  io_uring is ")),
            "{line:?}"
        );
        let info = server_info(&gateway);
        assert!(info.contains("\"name\":\"epoll\""), "{info}");
        assert!(info.contains("\"fallback\":\"io_uringis"), "{info}");
    });
    confined.join().unwrap();
}

#[test]
fn workers_count_their_turns() {
    for driver in drivers() {
        let origin = fast_origin();
        let gateway = Gateway::start(driver, &configuration(origin.address(), "", ALL));
        assert_eq!(get(gateway.address, "/").status, 200);
        for name in ["turns", "busy_nanoseconds", "wait_nanoseconds", "snapshots"] {
            for worker in 0..2 {
                let counted = format!("worker.{worker}.{name}_total: ");
                // A worker without requests turns when it is asked for a sign of life.
                wait_until(|| {
                    let stats = get(gateway.admin, "/stats?usedonly&filter=worker");
                    stats.text.contains(&counted)
                });
            }
        }
    }
}

#[test]
fn few_descriptors_leave_room_for_connections() {
    for driver in drivers() {
        let origin = fast_origin();
        let text = configuration(origin.address(), "", ALL);
        let gateway = Gateway::start_with(driver, &text, "ulimit -n 48", &[]);
        let last = gateway.block.last().unwrap();
        assert!(last.ends_with("48 descriptors, 8 connections"), "{last}");
        for _ in 0..20 {
            assert_eq!(get(gateway.address, "/").status, 200);
        }
        let stats = get(gateway.admin, "/stats?usedonly&filter=overflow").text;
        assert!(!stats.contains("cx_overflow"), "{driver}: {stats}");
    }
}

#[test]
fn without_descriptors_for_connections_it_does_not_start() {
    let file = File::new(&configuration(NOWHERE, "", ALL));
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""])
        .arg(penstock().get_program())
        .args(["run", "--workers", "2", "-c", file.path()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for said in [
        "limit of open descriptors is 40",
        "need 48",
        "ulimit -n",
        "LimitNOFILE",
    ] {
        assert!(text.contains(said), "{text}");
    }
}
