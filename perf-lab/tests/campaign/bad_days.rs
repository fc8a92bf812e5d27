//! What a person sees when files, subjects, disks or answers are not as they should be.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use perf_lab::record::Run;
use rustix::process::{Pid, Signal, kill_process};

use super::room::{CELL, Room, beside_the_relay, campaign, errors, refused};

#[test]
fn a_mistake_in_a_file_says_where_it_is() {
    let room = Room::new("mistake");
    let file = room.experiment("[relay-epoll]", "  - {name: a, conections: 4}");
    let output = room.run(&file).output().unwrap();
    let errors = refused(&output);
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
    let output = room.measure("[relay-epoll]", cell);
    let errors = refused(&output);
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
    let subjects = beside_the_relay("dying", &program, false);
    let cell = "  - {name: a, connections: 4, response: 100}\n";
    let file = room.experiment(&subjects, cell);
    let output = room
        .run(&file)
        .args(["--window", "20"])
        .args(["--subjects", "dying"])
        .output();
    let output = output.unwrap();
    let errors = refused(&output);
    assert!(
        errors.contains("cell `a`: dying ended by itself (exit status: 3); find there why"),
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
    let subjects = beside_the_relay("bad", &program, true);
    let output = room.measure(&subjects, CELL);
    let errors = refused(&output);
    assert!(
        errors.contains("bad ended by itself (exit status: 78)"),
        "{errors}"
    );
    assert!(errors.contains("cannot read my file"), "{errors}");
    room.assert_partial();
}

#[test]
fn cpu_time_of_processes_that_end_is_not_forgotten() {
    let room = Room::new("ending");
    let script = "\"$relay\" \"$@\" &\nrelay=$!\ntrap 'kill $relay; exit 0' TERM\nwhile :; do \
                  sh -c 'i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done'; done";
    let program = room.program(script);
    let subjects = beside_the_relay("mine", &program, true);
    let output = room.measure(&subjects, CELL);
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
    let subjects = beside_the_relay("sly", &program, false);
    let output = room.measure(&subjects, CELL);
    let errors = refused(&output);
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
        "[ -e {seen} ] && exec \"$relay\" origin --listen \"$3\"\n\
         touch {seen}\nexec \"$relay\" \"$@\"",
        seen = seen.display()
    );
    let program = room.program(&script);
    let subjects = beside_the_relay("sly", &program, false);
    let output = room.measure(&subjects, CELL);
    let errors = refused(&output);
    assert!(
        errors.contains("sly under a: 1 of 2 runs are void: "),
        "{errors}"
    );
}

#[test]
fn no_rate_is_derived_from_wrong_answers() {
    let room = Room::new("maximum");
    let program = room.program("exec \"$relay\" origin --listen \"$3\"");
    let subjects = beside_the_relay("sly", &program, false);
    let cell = "  - {name: a, connections: 4, response: 100, load: 50%}";
    let output = room.measure(&subjects, cell);
    let errors = refused(&output);
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
    let errors = refused(&output);
    assert!(errors.contains("apt-get install linux-perf"), "{errors}");
    assert!(!room.results().exists());
}
