//! `perf-lab run` as a person runs it: files in, folder out, and what happens on bad days. Figures
//! of a test build say nothing and are not looked at.

#[path = "campaign/bad_days.rs"]
mod bad_days;
#[path = "campaign/room.rs"]
mod room;

use std::process::Command;

use perf_lab::record::Campaign;
use perf_lab::report::check::check;

use room::{CELL, Room, beside_the_relay, campaign, errors};

#[test]
fn a_tiny_campaign_becomes_a_folder() {
    let room = Room::new("tiny");
    let cells = "  - {name: closed, connections: 4, response: 1KiB}\n  \
                 - {name: open, connections: 4, response: 1KiB, load: 20%}\n  \
                 - {name: echo, protocol: tcp, connections: 4, request: 64}\n  \
                 - {name: up, connections: 2, request: 64KiB, chunked: true}\n  \
                 - {name: refused, connections: 4, response: 1KiB, fail_every: 10}";
    let subjects = "[direct, relay-epoll, {name: second, like: relay-epoll}]";
    let output = room.measure(subjects, cells);
    assert!(output.status.success(), "{}", errors(&output));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    for name in [
        "closed",
        "open",
        "echo",
        "up",
        "direct",
        "relay-epoll",
        "second",
        "report:",
    ] {
        assert!(table.contains(name), "no {name} in\n{table}");
    }
    let folder = room.folder();
    let campaign = campaign(&folder);
    assert!(campaign.complete && folder.ends_with(&campaign.id));
    assert!(folder.join("report.html").is_file());
    assert!(
        !folder.join("subjects").exists(),
        "logs of a good end are of no use"
    );
    assert_eq!(campaign.runs.len(), 5 * 3 * 2);
    let findings = check(&folder);
    assert!(findings.is_empty(), "{findings:?}");
    // A busy machine may leave a window empty.
    let refused = campaign.runs.iter().filter(|run| run.cell == 4);
    let statuses = refused.flat_map(|run| run.load.statuses.iter().map(|(status, _)| *status));
    assert!(
        statuses
            .into_iter()
            .all(|status| [200, 503].contains(&status))
    );
    assert_eq!(campaign.cells[1].arrivals, "open");
    assert!(campaign.cells[1].rate > 0);
    assert!(campaign.experiment.contains("about: a test"));
    assert_eq!(campaign.seed, 1, "where the file names none");
    order_is_a_palindrome(&campaign);
    for run in &campaign.runs {
        let cpus = [&run.cpus.subject, &run.cpus.load, &run.cpus.origin];
        assert!(cpus[0].len() == 1 && cpus[1..] == [cpus[0]; 2], "{cpus:?}");
        assert!(
            run.load.failures.is_empty() && !run.series.is_empty(),
            "{}",
            run.void
        );
    }
    // A busy machine may void runs; those that count have figures.
    for run in campaign.runs.iter().filter(|run| run.void.is_empty()) {
        assert!(run.load.answered > 0 && run.cost.on_cpu > 0);
        assert!(run.load.on_cpu > 0 && run.load.resident > 0);
        assert_eq!(run.load.service.count, run.load.answered);
    }
}

/// A B C … C B A in each cell.
#[track_caller]
fn order_is_a_palindrome(campaign: &Campaign) {
    for cell in 0..campaign.cells.len() {
        let runs = campaign.runs.iter().filter(|run| run.cell == cell);
        let order: Vec<usize> = runs.map(|run| run.subject).collect();
        let back: Vec<usize> = order.iter().rev().copied().collect();
        assert_eq!(order, back);
    }
}

#[test]
fn a_subject_that_is_not_there_is_left_out() {
    let room = Room::new("absent");
    let subjects = "[relay-epoll, {name: absent, like: nginx, program: /nowhere/nginx}]";
    let output = room.measure(subjects, CELL);
    assert!(output.status.success(), "{}", errors(&output));
    let campaign = campaign(&room.folder());
    assert_eq!(campaign.skipped.len(), 1);
    assert_eq!(campaign.skipped[0].subject, "absent");
    assert!(errors(&output).contains("absent is left out: there is no program /nowhere/nginx"));
}

#[test]
fn what_a_wrapper_starts_is_measured_with_it() {
    let room = Room::new("wrapper");
    let script = "\"$relay\" \"$@\" &\nrelay=$!\ntrap 'kill $relay; exit 0' TERM\nwait";
    let program = room.program(script);
    let subjects = beside_the_relay("mine", &program, false);
    let output = room.measure(&subjects, CELL);
    assert!(output.status.success(), "{}", errors(&output));
    let campaign = campaign(&room.folder());
    let mut own = campaign.runs.iter().filter(|run| run.subject == 1);
    assert!(own.all(|run| run.cost.threads == 2));
}

#[test]
fn list_names_experiments_and_subjects() {
    let output = Command::new(env!("CARGO_BIN_EXE_perf-lab"))
        .arg("list")
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(" min\n") && text.contains(" h "), "{text}");
    for name in ["smoke", "w13", "a-a", "relay-uring", "haproxy"] {
        assert!(text.contains(name), "{text}");
    }
}
