//! The simulator as a test: many seeds, the named regressions, and the same seed twice.
//!
//! A failing seed is replayed with `cargo run -p penstock-sim -- --seed N --verbose`.

use std::ops::Range;

use penstock_sim::regressions::REGRESSIONS;
use penstock_sim::{Keep, Report, run};

/// Lines of the trace shown of a failing seed.
const TAIL: usize = 40;

fn check(seed: u64) -> Report {
    let report = run(seed, Keep::Digest);
    let Some(violation) = &report.violation else {
        return report;
    };
    let lines = run(seed, Keep::Lines).lines;
    let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
    panic!("seed {seed}: {violation}\n{tail}");
}

fn check_all(seeds: Range<u64>) {
    let (mut answered, mut relayed) = (0, 0);
    for report in seeds.map(check) {
        answered += report.outcomes[0];
        relayed += report.relayed;
    }
    assert!(
        relayed > 500_000,
        "the driver relays next to nothing: {relayed} bytes"
    );
    assert!(
        answered > 1000,
        "the simulator is idle: {answered} requests answered"
    );
}

// Four quarters, so that the harness runs them beside each other.
#[test]
fn seeds_first_quarter() {
    check_all(0..1000);
}

#[test]
fn seeds_second_quarter() {
    check_all(1000..2000);
}

#[test]
fn seeds_third_quarter() {
    check_all(2000..3000);
}

#[test]
fn seeds_fourth_quarter() {
    check_all(3000..4000);
}

#[test]
fn named_seeds() {
    for regression in REGRESSIONS {
        let report = run(regression.seed, Keep::Digest);
        let (seed, reason) = (regression.seed, regression.reason);
        assert_eq!(
            report.violation, None,
            "seed {seed}, which once found: {reason}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in (0..4000).step_by(97) {
        let (one, two) = (run(seed, Keep::Digest), run(seed, Keep::Lines));
        assert_eq!(
            (one.digest, one.marks, one.outcomes),
            (two.digest, two.marks, two.outcomes),
            "seed {seed}"
        );
        assert!(two.lines.len() as u64 == two.marks, "every mark is a line");
    }
}
