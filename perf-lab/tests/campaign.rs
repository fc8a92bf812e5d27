//! `perf-lab run` as a person runs it: files in, folder out, and what happens on bad days. Figures
//! of a test build say nothing and are not looked at.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use perf_lab::record::{Campaign, Run};
use perf_lab::report::check::check;
use rustix::process::{Pid, Signal, kill_process};

/// A folder of one test, gone when the test is.
struct Room(PathBuf);

impl Room {
    fn new(name: &str) -> Self {
        let folder = format!("perf-lab-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes an experiment with these subjects and cells.
    fn experiment(&self, subjects: &str, cells: &str) -> PathBuf {
        let path = self.0.join("tiny.yaml");
        let text = format!(
            "name: tiny\nabout: a test\nlayout: C\nwarm_up: 50ms\nwindow: 200ms\nrounds: 1\n\
             baseline: relay-epoll\nsubjects: {subjects}\ncells:\n{cells}\n"
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// A program that is the relay until `script` ends it.
    fn program(&self, script: &str) -> PathBuf {
        let path = self.0.join("program.sh");
        let relay = env!("CARGO_BIN_EXE_perf-lab");
        fs::write(&path, format!("#!/bin/sh\nrelay={relay}\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn run(&self, experiment: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_perf-lab"));
        command
            .arg("run")
            .arg(experiment)
            .arg("--results")
            .arg(self.results());
        command
    }

    fn results(&self) -> PathBuf {
        self.0.join("results")
    }

    /// The only folder of results; by its name it is whole or partial.
    fn folder(&self) -> PathBuf {
        let mut all = fs::read_dir(self.results()).unwrap();
        let only = all.next().expect("a folder of results").unwrap().path();
        assert!(all.next().is_none(), "more than one folder");
        only
    }

    /// No folder that could be taken for a whole one.
    fn assert_partial(&self) -> Campaign {
        let folder = self.folder();
        assert!(folder.to_string_lossy().ends_with(".partial"), "{folder:?}");
        assert!(!folder.join("report.html").exists());
        let campaign = campaign(&folder);
        assert!(!campaign.complete);
        campaign
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // What cannot be removed lies among other temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn campaign(folder: &Path) -> Campaign {
    let text = fs::read_to_string(folder.join("campaign.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const CELL: &str = "  - {name: a, connections: 4, response: 100}";

#[test]
fn a_tiny_campaign_becomes_a_folder() {
    let room = Room::new("tiny");
    let cells = "  - {name: closed, connections: 4, response: 1KiB}\n  \
                 - {name: open, connections: 4, response: 1KiB, load: 20%}\n  \
                 - {name: echo, protocol: tcp, connections: 4, request: 64}\n  \
                 - {name: up, connections: 2, request: 64KiB, chunked: true}\n  \
                 - {name: refused, connections: 4, response: 1KiB, fail_every: 10}";
    let subjects = "[direct, relay-epoll, {name: second, like: relay-epoll}]";
    let output = room
        .run(&room.experiment(subjects, cells))
        .output()
        .unwrap();
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
    let output = room.run(&room.experiment(subjects, CELL)).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let campaign = campaign(&room.folder());
    assert_eq!(campaign.skipped.len(), 1);
    assert_eq!(campaign.skipped[0].subject, "absent");
    assert!(errors(&output).contains("absent is left out: there is no program /nowhere/nginx"));
}

#[test]
fn a_mistake_in_a_file_says_where_it_is() {
    let room = Room::new("mistake");
    let file = room.experiment("[relay-epoll]", "  - {name: a, conections: 4}");
    let output = room.run(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    assert!(errors.contains("tiny.yaml:10:"), "{errors}");
    assert!(
        errors.contains("`conections`") && errors.contains("connections"),
        "{errors}"
    );
    assert!(!room.results().exists());
}

#[test]
fn a_rate_that_cannot_be_reached_ends_the_campaign() {
    let room = Room::new("rate");
    let cell = "  - {name: a, connections: 1, response: 1MiB, rate: 1000000}";
    let output = room
        .run(&room.experiment("[relay-epoll]", cell))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    assert!(
        errors.contains("of 1000000 offered requests per second"),
        "{errors}"
    );
    assert!(
        errors.contains("lower its `rate`") && errors.contains("load: 50%"),
        "{errors}"
    );
    room.assert_partial();
}

#[test]
fn a_subject_that_dies_is_told_with_its_log() {
    let room = Room::new("dies");
    // It counts what it was started for: the ready check passes, the load kills it.
    let script = "\"$relay\" \"$@\" &\nsleep 0.3\nkill $!\necho out of cheese >&2\nexit 3";
    let program = room.program(script);
    let subjects = format!(
        "[relay-epoll, {{name: dying, like: relay-epoll, program: {}}}]",
        program.display()
    );
    let cell = "  - {name: a, connections: 4, response: 100}\n";
    let file = room.experiment(&subjects, cell);
    let output = room
        .run(&file)
        .args(["--window", "20"])
        .args(["--subjects", "dying"])
        .output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    assert!(
        errors.contains("dying ended by itself (exit status: 3)"),
        "{errors}"
    );
    assert!(
        errors.contains("out of cheese") && errors.contains("output.log"),
        "{errors}"
    );
    room.assert_partial();
}

#[test]
fn a_subject_that_never_answers_is_told_with_its_log() {
    let room = Room::new("refuses");
    let program = room.program("echo cannot read my file; exit 78");
    let subjects = format!(
        "[{{name: bad, like: relay-epoll, program: {}}}, relay-epoll]",
        program.display()
    );
    let output = room
        .run(&room.experiment(&subjects, CELL))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    assert!(
        errors.contains("bad ended by itself (exit status: 78)"),
        "{errors}"
    );
    assert!(errors.contains("cannot read my file"), "{errors}");
    room.assert_partial();
}

#[test]
fn what_a_wrapper_starts_is_measured_with_it() {
    let room = Room::new("wrapper");
    let script = "\"$relay\" \"$@\" &\nrelay=$!\ntrap 'kill $relay; exit 0' TERM\nwait";
    let program = room.program(script);
    let subjects = format!(
        "[relay-epoll, {{name: mine, like: relay-epoll, program: {}}}]",
        program.display()
    );
    let output = room
        .run(&room.experiment(&subjects, CELL))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let campaign = campaign(&room.folder());
    let mut own = campaign.runs.iter().filter(|run| run.subject == 1);
    assert!(own.all(|run| run.cost.threads == 2));
}

#[test]
fn cpu_time_of_processes_that_end_is_not_forgotten() {
    let room = Room::new("ending");
    let script = "\"$relay\" \"$@\" &\nrelay=$!\ntrap 'kill $relay; exit 0' TERM\nwhile :; do \
                  sh -c 'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done'; done";
    let program = room.program(script);
    let subjects = format!(
        "[{{name: mine, like: relay-epoll, program: {}}}, relay-epoll]",
        program.display()
    );
    let output = room
        .run(&room.experiment(&subjects, CELL))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let campaign = campaign(&room.folder());
    for run in campaign.runs.iter().filter(|run| run.subject == 0) {
        // With a group it is known how much went by, without one only that something did.
        let known = run.cost.accounted_by == "cgroup" && run.cost.accounted > run.cost.on_cpu;
        assert!(known || run.cost.ended > 0, "{:?}", run.cost);
        assert!(!run.void.is_empty(), "{:?}", run.cost);
    }
}

#[test]
fn answers_that_the_origin_did_not_give_are_void_and_an_exit_code() {
    let room = Room::new("foreign");
    // It answers by itself, and right: only the origin knows that it was never asked.
    let program = room.program("exec \"$relay\" origin --listen \"$3\"");
    let subjects = format!(
        "[relay-epoll, {{name: sly, like: relay-epoll, program: {}}}]",
        program.display()
    );
    let output = room
        .run(&room.experiment(&subjects, CELL))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    assert!(
        errors.contains("sly under a: 2 of 2 runs are void: "),
        "{errors}"
    );
    let campaign = campaign(&room.folder());
    let mut own = campaign.runs.iter().filter(|run| run.subject == 1);
    assert!(own.all(|run| run.void.contains("the origin read 0")));
    assert!(
        campaign.complete,
        "everything was run, and it says what it was"
    );
}

#[test]
fn one_bad_run_among_good_ones_is_named_and_an_exit_code() {
    let room = Room::new("once");
    let seen = room.0.join("seen");
    // Honest once, sly from then on.
    let script = format!(
        "[ -e {seen} ] && exec \"$relay\" origin --listen \"$3\"\ntouch {seen}\nexec \"$relay\" \"$@\"",
        seen = seen.display()
    );
    let program = room.program(&script);
    let subjects = format!(
        "[relay-epoll, {{name: sly, like: relay-epoll, program: {}}}]",
        program.display()
    );
    let output = room
        .run(&room.experiment(&subjects, CELL))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    assert!(
        errors.contains("sly under a: 1 of 2 runs are void: "),
        "{errors}"
    );
}

#[test]
fn no_rate_is_derived_from_wrong_answers() {
    let room = Room::new("maximum");
    let program = room.program("exec \"$relay\" origin --listen \"$3\"");
    let subjects = format!(
        "[relay-epoll, {{name: sly, like: relay-epoll, program: {}}}]",
        program.display()
    );
    let cell = "  - {name: a, connections: 4, response: 100, load: 50%}";
    let output = room
        .run(&room.experiment(&subjects, cell))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    assert!(
        errors.contains("sly under a in a closed loop: ") && errors.contains("the origin read 0"),
        "{errors}"
    );
    room.assert_partial();
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_whole() {
    let room = Room::new("full");
    let file = room.experiment("[relay-epoll]", CELL);
    let results = room.results();
    let line = format!(
        "trap '' XFSZ; ulimit -f 2; exec {} run {} --results {}",
        env!("CARGO_BIN_EXE_perf-lab"),
        file.display(),
        results.display()
    );
    // Where a file may not grow, writing fails as it does on a full disk.
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let errors = errors(&output);
    assert!(
        errors.contains("campaign.json") && errors.contains("make room"),
        "{errors}"
    );
    assert!(errors.contains("incomplete; it is in"), "{errors}");
    assert!(room.folder().to_string_lossy().ends_with(".partial"));
}

#[test]
fn an_interrupt_keeps_what_there_is_as_incomplete() {
    let room = Room::new("interrupt");
    let file = room.experiment("[relay-epoll, direct]", CELL);
    let mut child = room
        .run(&file)
        .args(["--rounds", "1000"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = lines.find(|line| line.as_ref().unwrap().starts_with("round 1/1000"));
    first.expect("a line of progress").unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let rest = rest.join("\n");
    assert!(rest.contains("perf-lab: interrupted"), "{rest}");
    let campaign = room.assert_partial();
    assert!(!campaign.runs.is_empty());
    let lines = fs::read_to_string(room.folder().join("runs.jsonl")).unwrap();
    let runs: Vec<Run> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(runs, campaign.runs, "each was written when it was done");
}

#[test]
fn a_disk_that_fills_up_leaves_whole_runs_only() {
    let room = Room::new("fills");
    let file = room.experiment("[relay-epoll]", CELL);
    // Room for the record without runs, and for a few of them.
    let line = format!(
        "trap '' XFSZ; ulimit -f 40; exec {} run {} --rounds 1000 --window 0.1 --results {}",
        env!("CARGO_BIN_EXE_perf-lab"),
        file.display(),
        room.results().display()
    );
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let errors = errors(&output);
    assert!(
        errors.contains("runs.jsonl") && errors.contains("make room"),
        "{errors}"
    );
    let folder = room.folder();
    assert!(folder.to_string_lossy().ends_with(".partial"));
    let lines = fs::read_to_string(folder.join("runs.jsonl")).unwrap();
    assert!(lines.ends_with('\n') && lines.lines().count() > 0);
    let whole = |line| serde_json::from_str::<Run>(line).is_ok();
    assert!(lines.lines().all(whole), "{lines}");
    assert!(!campaign(&folder).complete);
}

#[test]
fn without_perf_it_is_said_how_to_have_it() {
    let room = Room::new("syscalls");
    let output = room
        .run(&room.experiment("[relay-epoll]", CELL))
        .arg("--syscalls")
        .env("PATH", &room.0)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    assert!(errors.contains("apt-get install linux-perf"), "{errors}");
    assert!(!room.results().exists());
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
