//! Replays one seed or explores many.
//!
//! `penstock-sim --seed N [--verbose]` runs one world and prints its trace.
//! `penstock-sim --seeds A..B` runs many, and stops at the first that breaks a rule.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;

use penstock_sim::{Keep, Report, Scenario, run};

/// Lines of the trace that are shown of a failing seed.
const TAIL: usize = 60;

const USAGE: &str = "usage: penstock-sim --seed N [--verbose] | --seeds A..B [--keep-going]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--seed", seed] => one(seed, TAIL),
        ["--seed", seed, "--verbose"] => one(seed, usize::MAX),
        ["--seeds", range] => many(range, Mode::StopAtFirst),
        ["--seeds", range, "--keep-going"] => many(range, Mode::KeepGoing),
        _ => usage(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    StopAtFirst,
    KeepGoing,
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn one(seed: &str, tail: usize) -> ExitCode {
    let Ok(seed) = seed.parse() else {
        return usage();
    };
    let report = run(seed, Keep::Lines);
    println!("seed {seed}: {}", Scenario::new(seed).summary());
    let skipped = report.lines.len().saturating_sub(tail);
    if tail == usize::MAX || report.violation.is_some() {
        for line in &report.lines[skipped..] {
            println!("{line}");
        }
    }
    verdict(&report)
}

fn many(range: &str, mode: Mode) -> ExitCode {
    let Some(seeds) = parse_range(range) else {
        return usage();
    };
    std::panic::set_hook(Box::new(|_| {})); // a panic is reported with its seed
    let count = seeds.end.saturating_sub(seeds.start);
    let mut broken = 0u64;
    let mut marks = 0;
    let mut outcomes = [0u64; 4];
    let mut relayed = 0;
    let mut counters = BTreeMap::new();
    for seed in seeds {
        let report = run(seed, Keep::Digest);
        marks += report.marks;
        relayed += report.relayed;
        for (sum, &count) in outcomes.iter_mut().zip(&report.outcomes) {
            *sum += u64::from(count);
        }
        for &(name, count) in &report.counters {
            *counters.entry(name).or_insert(0) += count;
        }
        if let Some(violation) = &report.violation {
            broken += 1;
            println!("seed {seed}: {violation}");
            if mode == Mode::StopAtFirst {
                return one(&seed.to_string(), TAIL);
            }
        }
    }
    for (name, count) in &counters {
        println!("{count:>12} {name}");
    }
    println!("{relayed:>12} bytes relayed by the driver");
    let [answered, declined, cut, unserved] = outcomes;
    println!("requests: {answered} answered, {declined} declined, {cut} cut, {unserved} unserved");
    println!("{count} seeds, {broken} broken, {marks} events, operations and packets");
    if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn parse_range(text: &str) -> Option<Range<u64>> {
    let (start, end) = text.split_once("..")?;
    Some(start.parse().ok()?..end.parse().ok()?)
}

fn verdict(report: &Report) -> ExitCode {
    let [answered, declined, cut, unserved] = report.outcomes;
    println!(
        "digest {:016x}, {} marks, {:.3} s of virtual time; requests answered {answered}, \
         declined {declined}, cut {cut}, unserved {unserved}",
        report.digest,
        report.marks,
        report.lasted as f64 / 1e9,
    );
    match &report.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("VIOLATION: {violation}");
            ExitCode::FAILURE
        }
    }
}
