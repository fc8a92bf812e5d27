//! Each rule, broken and kept.

use super::*;
use crate::experiment::Experiment;
use crate::load::Report;
use crate::record::{Cost, Load};
use crate::subject::Choice;
use crate::subject::find::Found;

fn cell(lines: &str) -> Cell {
    let text = format!(
        "{{name: t, about: t, layout: C, warm_up: 1s, window: 1s, rounds: 1, baseline: direct, \
         subjects: [direct], cells: [{{name: a, connections: 2{lines}}}]}}"
    );
    Experiment::parse("t.yaml", &text).unwrap().cells.remove(0)
}

fn found(like: Kind) -> Found {
    Found {
        choice: Choice::of(like),
        program: "relay".into(),
        version: String::new(),
        revision: String::new(),
        modules: String::new(),
    }
}

/// A run without a fault: 1,000 answers in a second.
fn good() -> Measured {
    let load = Load {
        answered: 1_000,
        ..Load::default()
    };
    let cost = Cost {
        on_cpu: 900_000_000,
        accounted: 905_000_000,
        accounted_by: CGROUP.to_owned(),
        ..Cost::default()
    };
    let total = Report {
        answered: 1_200,
        ..Report::default()
    };
    Measured {
        started: 0,
        ended: 1_000_000_000,
        load,
        cost,
        series: Vec::new(),
        offered: 0,
        total,
        origin_total: 1_201,
        blur: 0,
    }
}

#[track_caller]
fn check(lines: &str, change: impl FnOnce(&mut Measured), expect: &str) {
    check_of(Kind::RelayEpoll, lines, change, expect);
}

#[track_caller]
fn check_of(kind: Kind, lines: &str, change: impl FnOnce(&mut Measured), expect: &str) {
    let mut measured = good();
    change(&mut measured);
    let cell = cell(lines);
    let rate = if lines.contains("rate") { 2_000 } else { 0 };
    let void = judge(&cell, &found(kind), rate, &measured);
    let text = match void {
        None => String::new(),
        Some(Void::Unreached(why)) => format!("unreached: {why}"),
        Some(Void::Fault(why)) => format!("fault: {why}"),
        Some(Void::Noise(why)) => format!("noise: {why}"),
    };
    assert!(
        text.starts_with(expect) && text.is_empty() == expect.is_empty(),
        "{text}"
    );
}

fn fail(kind: Failure, count: u64) -> impl FnOnce(&mut Measured) {
    move |measured| measured.total.failures[kind as usize] = count
}

#[test]
fn each_rule_voids_what_breaks_it() {
    check("", |_| {}, "");
    check(
        "",
        fail(Failure::Pattern, 1),
        "fault: 1 wrong answers: pattern 1",
    );
    check("", |m| m.total.answered = 0, "fault: no right answer");
    check(
        "",
        |m| m.load.answered = 0,
        "noise: no answer fell into the window",
    );
    check(
        "",
        |m| m.origin_total = 1_199,
        "fault: 1200 requests were done",
    );
    check(
        "",
        |m| m.origin_total = 1_203,
        "fault: 1200 requests were done",
    );
    check(
        "",
        |m| m.cost.steal = 2.1,
        "noise: the hypervisor took 2.1 %",
    );
    check(
        "",
        |m| m.cost.accounted = 990_000_000,
        "noise: threads account for 900 ms of CPU time and their cgroup for 990 ms",
    );
}

#[test]
fn cpu_time_that_ended_threads_took_along_is_not_forgotten() {
    let gone = |m: &mut Measured| m.cost.accounted = 990_000_000;
    // No exemption: where processes are replaced the figure is the account that survives them.
    check(", reload_every: 1s", gone, "noise: threads account for");
    check(
        "",
        |m| (m.cost.accounted, m.blur) = (990_000_000, 90_000_000),
        "",
    );
    check("", |m| m.cost.ended = 3, "");
    let ticks = |m: &mut Measured| (m.cost.accounted_by, m.cost.ended) = ("ticks".to_owned(), 3);
    check(
        "",
        ticks,
        "noise: 3 threads ended and took their CPU time along",
    );
    check(", reload_every: 1s", ticks, "");
    // What could not be accounted for is no figure, and no reason to void the rest.
    check(", reload_every: 1s", |m| m.cost.on_cpu = 0, "");
}

#[test]
fn gateways_keep_their_connections_to_the_origin() {
    let opens = |count| {
        move |m: &mut Measured| {
            (m.load.origin_connects, m.load.origin_requests) = (count, 1_000);
        }
    };
    let expect = "fault: 13 connections to the origin for 1000 requests over kept connections";
    check_of(Kind::Nginx, "", opens(12), "");
    check_of(Kind::Nginx, "", opens(13), expect);
    check_of(Kind::RelayEpoll, "", opens(1_000), "");
    check_of(Kind::Nginx, ", keep_alive: false", opens(1_000), "");
    check_of(Kind::Nginx, ", upstreams: 9", opens(1_000), "");
    check_of(Kind::Nginx, ", reload_every: 500ms", opens(18), "");
    check_of(
        Kind::Nginx,
        ", reload_every: 500ms",
        opens(19),
        "fault: 19 connections",
    );
}

#[test]
fn rates_must_be_reached() {
    check(", rate: 2000", |m| m.offered = 1_001, "");
    let expect =
        "unreached: cell `a`: relay-epoll answered 1000 of 2000 offered requests per second";
    check(", rate: 2000", |m| m.offered = 2_000, expect);
    let expect = "noise: relay-epoll answered 1000 of";
    check(", load: 50%", |m| m.offered = 2_000, expect);
    check(
        ", rate: 2000",
        |m| m.load.lateness_p99 = 1_500_000,
        "noise: the load was late by 1.5",
    );
}

#[test]
fn errors_that_were_asked_for_are_answers() {
    let refused = |count| move |m: &mut Measured| m.total.refusals = count;
    for (count, expect) in [
        (10, ""),
        (13, ""),
        (
            14,
            "fault: the origin failed 12 requests on purpose and 14 came",
        ),
        (
            9,
            "fault: the origin failed 12 requests on purpose and 9 came",
        ),
    ] {
        check(", fail_every: 100", refused(count), expect);
    }
    check(
        ", fail_every: 100",
        fail(Failure::Status, 1),
        "fault: 1 wrong answers: status 1",
    );
    check(
        ", fail_every: 100",
        fail(Failure::Cut, 1),
        "fault: 1 wrong answers: cut 1",
    );
}
