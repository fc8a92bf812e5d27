//! The requests that the demo sends itself: one line for each, with what came and whether that was
//! right.

use std::net::SocketAddr;

use perf_lab::load::Load;

use super::client::{self, Reply, Request};
use super::{FLAKY, Origins};

/// One request and what must come back.
struct Stop {
    what: &'static str,
    path: &'static str,
    fields: &'static [&'static str],
    status: u16,
    /// `x-origin`: who must have answered; `None` for the gateway itself.
    origin: Option<&'static str>,
}

/// In the order of the routes in the file.
const STOPS: &[Stop] = &[
    Stop {
        what: "host",
        path: "/",
        fields: &["Host: slow.localhost"],
        status: 200,
        origin: Some("slow"),
    },
    Stop {
        what: "direct response",
        path: "/hello",
        fields: &[],
        status: 200,
        origin: None,
    },
    Stop {
        what: "redirect",
        path: "/old/page",
        fields: &[],
        status: 308,
        origin: None,
    },
    Stop {
        what: "path",
        path: "/fast/page",
        fields: &[],
        status: 200,
        origin: Some("fast"),
    },
    Stop {
        what: "path",
        path: "/slow/page",
        fields: &[],
        status: 200,
        origin: Some("slow"),
    },
    Stop {
        what: "header",
        path: "/page",
        fields: &["x-origin: slow"],
        status: 200,
        origin: Some("slow"),
    },
    Stop {
        what: "default",
        path: "/page",
        fields: &[],
        status: 200,
        origin: Some("fast"),
    },
];

/// Requests of the weighted split.
const SPLIT: usize = 20;

/// Sends everything, prints the results, and says how many were wrong.
pub(super) fn take(address: SocketAddr, origins: &Origins) -> usize {
    println!("\nThe demo sends itself:");
    let mut wrong = STOPS.iter().filter(|stop| !visit(address, stop)).count();
    wrong += usize::from(!split(address));
    wrong += usize::from(!flaky(address));
    wrong += usize::from(!load(address, origins));
    match wrong {
        0 => println!("Every answer was the expected one."),
        wrong => println!("{wrong} of these were NOT as expected."),
    }
    wrong
}

fn visit(address: SocketAddr, stop: &Stop) -> bool {
    let request = Request {
        path: stop.path,
        fields: stop.fields,
    };
    let reply = client::send(address, request);
    let right = reply
        .as_ref()
        .is_ok_and(|reply| reply.status == stop.status && reply.field("x-origin") == stop.origin);
    let shown = match &reply {
        Ok(reply) => describe(reply),
        Err(error) => error.to_string(),
    };
    let asked = format!("GET {} {}", stop.path, stop.fields.join(" "));
    line(stop.what, &asked, &shown, right)
}

fn describe(reply: &Reply) -> String {
    let from = match (reply.field("x-origin"), reply.field("location")) {
        (Some(origin), _) => format!("from {origin}"),
        (_, Some(location)) => format!("to {location}"),
        _ => format!("\"{}\"", reply.body.trim()),
    };
    format!("{} {from}", reply.status)
}

/// Nine in ten are expected from the fast origin; any split is right as long as all are answered.
fn split(address: SocketAddr) -> bool {
    let request = Request {
        path: "/split",
        fields: &[],
    };
    let replies: Vec<_> = (0..SPLIT)
        .filter_map(|_| client::send(address, request).ok())
        .collect();
    let from = |origin: &str| {
        let mut count = 0;
        for reply in &replies {
            count += usize::from(reply.status == 200 && reply.field("x-origin") == Some(origin));
        }
        count
    };
    let (fast, slow) = (from("fast"), from("slow"));
    let shown = format!("{fast} from fast, {slow} from slow");
    let asked = format!("GET /split, {SPLIT} times");
    line("weights", &asked, &shown, fast + slow == SPLIT)
}

/// One in [`FLAKY`] fails, and the gateway tells the truth about it.
fn flaky(address: SocketAddr) -> bool {
    let request = Request {
        path: "/flaky/page",
        fields: &[],
    };
    let replies = (0..FLAKY).filter_map(|_| client::send(address, request).ok());
    let mut statuses: Vec<u16> = replies.map(|reply| reply.status).collect();
    let shown: Vec<String> = statuses.iter().map(u16::to_string).collect();
    statuses.sort_unstable();
    let mut expect = vec![200; FLAKY as usize - 1];
    expect.push(503);
    let asked = format!("GET /flaky/page, {FLAKY} times");
    line("failures", &asked, &shown.join(" "), statuses == expect)
}

/// Bodies both ways on kept connections, every byte checked.
fn load(address: SocketAddr, origins: &Origins) -> bool {
    const REQUESTS: u64 = 1000;
    const BYTES: u64 = 64 * 1024;
    let mut load = Load::new(address, &format!("/fast?size={BYTES}"));
    load.size = Some(BYTES);
    load.body = Some(1000);
    load.requests = Some(REQUESTS);
    let report = load.run();
    let (answered, failed) = match &report {
        Ok(report) => (report.answered, report.failed()),
        Err(_) => (0, REQUESTS),
    };
    let malformed = &origins.fast.counters().malformed;
    let intact = malformed.load(std::sync::atomic::Ordering::Relaxed) == 0;
    let right = answered == REQUESTS && failed == 0 && intact;
    let asked = format!("POST /fast, {REQUESTS} times, {} KiB back", BYTES / 1024);
    let shown = format!("{answered} intact, {failed} failed");
    line("bodies", &asked, &shown, right)
}

fn line(what: &str, asked: &str, shown: &str, right: bool) -> bool {
    let verdict = if right { "ok" } else { "WRONG" };
    println!("  {what:<16} {asked:<44} {shown:<46} {verdict}");
    right
}
