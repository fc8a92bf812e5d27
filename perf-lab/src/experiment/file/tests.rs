//! Experiment files: those of the repository, and what is wrong with others.

use std::time::Duration;

use super::super::{Experiment, Layout, Offer};
use crate::subject::Kind;

const GOOD: &str = "\
name: t
about: a test
layout: C
warm_up: 100ms
window: 1s
rounds: 2
baseline: relay-epoll
subjects: [direct, relay-epoll, {name: mine, like: penstock-uring, program: ./mine}]
cells:
  - name: a
    connections: [1, 64]
    response: [100, 1KiB]
  - name: b
    connections: 8
    load: [20%, 80%]
    origin_delay: 5ms
";

#[test]
fn lists_stand_for_cells() {
    let experiment = Experiment::parse("t.yaml", GOOD).unwrap();
    let names: Vec<&str> = experiment
        .cells
        .iter()
        .map(|cell| cell.name.as_str())
        .collect();
    let expect = [
        "a-100b-c1",
        "a-100b-c64",
        "a-1kib-c1",
        "a-1kib-c64",
        "b-20pc",
        "b-80pc",
    ];
    assert_eq!(names, expect);
    assert_eq!(experiment.cells[1].response, 100);
    assert_eq!(experiment.cells[5].offer, Offer::Share(80));
    assert_eq!(experiment.cells[5].in_closed_loop().name, "b");
    assert_eq!(
        experiment.cells[5].origin_delay,
        Some(Duration::from_millis(5))
    );
    assert_eq!(experiment.layout, Layout::C);
    let mine = &experiment.subjects[2];
    assert_eq!(
        (mine.name.as_str(), mine.like),
        ("mine", Kind::PenstockUring)
    );
}

#[test]
fn the_experiments_of_the_repository_are_understood() {
    let all = Experiment::built_in().unwrap();
    assert_eq!(all.len(), 11);
    for experiment in all {
        assert_eq!(Experiment::find(&experiment.name).unwrap(), experiment);
        assert!(!experiment.about.is_empty());
    }
}

#[test]
fn the_experiments_of_the_repository_are_long_enough_to_claim_something() {
    for experiment in Experiment::built_in().unwrap() {
        let (window, warm_up) = (experiment.window.as_secs(), experiment.warm_up.as_secs());
        let is_long = experiment.rounds >= 5 && window >= 10 && warm_up >= 3;
        assert!(
            is_long != (experiment.name == "smoke"),
            "{}",
            experiment.name
        );
    }
}

#[test]
fn a_length_counts_what_rates_are_derived_from() {
    let length = |load: &str| {
        let text = format!(
            "{{name: t, about: t, layout: C, warm_up: 1s, window: 2s, rounds: 1, baseline: direct, \
             subjects: [direct], cells: [{{name: a, connections: 2{load}}}]}}"
        );
        Experiment::parse("t.yaml", &text).unwrap().length()
    };
    let one = length("") / 2;
    assert_eq!(length(", load: 50%"), one * 3);
    assert_eq!(
        length(", load: [20%, 50%]"),
        one * 5,
        "one closed loop is enough for both"
    );
}

#[track_caller]
fn check(change: (&str, &str), expect: &[&str]) {
    let text = GOOD.replacen(change.0, change.1, 1);
    assert_ne!(text, GOOD);
    let error = Experiment::parse("t.yaml", &text).unwrap_err().to_string();
    for part in expect {
        assert!(error.contains(part), "{error}\nlacks {part}");
    }
}

#[test]
fn mistakes_say_place_cause_and_remedy() {
    check(
        ("rounds: 2", "runds: 2"),
        &["t.yaml:6:1:", "`runds`", "rounds"],
    );
    check(
        ("connections: 8", "conections: 8"),
        &["t.yaml:14:5:", "conections", "connections"],
    );
    check(
        ("window: 1s", "window: 1"),
        &["t.yaml:5:9:", "`1` is not", "ms, s or m"],
    );
    check(("layout: C", "layout: D"), &["t.yaml:3:9:", "`D`", "C, S"]);
    check(("rounds: 2", "rounds: 0"), &["t.yaml:6:9:", "above 0"]);
    check(
        ("[direct,", "[apache,"),
        &["t.yaml:8:", "apache", "haproxy, envoy"],
    );
    check(
        ("like: penstock-uring", "like: x"),
        &["t.yaml:8:", "`x` is no subject"],
    );
    check(("program:", "path:"), &["t.yaml:8:", "path", "program"]);
    check(("100, 1KiB", "100, 1XB"), &["t.yaml:12:", "`1XB`", "KiB"]);
    check(
        ("[20%, 80%]", "[20%, 800%]"),
        &["t.yaml:15:", "`800%`", "150%"],
    );
    check(
        ("name: b", "name: B/c"),
        &["t.yaml:", "`B/c`", "lower-case"],
    );
    check(
        ("    connections: 8\n", ""),
        &["t.yaml:15:5:", "connections"],
    );
    check(
        ("connections: 8", "connections: 8\n    rate: 5"),
        &["`rate` and `load`", "one of"],
    );
    check(
        ("baseline: relay-epoll", "baseline: nginx"),
        &["t.yaml", "`baseline: nginx`"],
    );
    check(("name: mine", "name: direct"), &["`direct` stands twice"]);
    check(("rounds: 2", "rounds: [2"), &["t.yaml:"]);
}

#[test]
fn an_unknown_experiment_is_told_the_known_ones() {
    let error = Experiment::find("nosuch").unwrap_err().to_string();
    assert!(
        error.contains("`nosuch`") && error.contains("smoke, w1"),
        "{error}"
    );
}
