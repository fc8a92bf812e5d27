//! Runs one case a given number of times, for callgrind: `count CASE ROUNDS`, or `count --list`.
//!
//! The measured rounds are inside `rounds`, which callgrind is told to collect alone
//! (`--toggle-collect`): set-up, warm-up and the start of the process do not count. See
//! `cargo xtask gate`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Rounds before the measured ones, so that every table, queue and arena has its size.
const WARM_UP: u32 = 2000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["--list"] => list(),
        [name, count] => run(name, count),
        _ => usage(),
    }
}

fn list() -> ExitCode {
    for case in penstock_bench::cases() {
        println!("{}", case.name());
    }
    ExitCode::SUCCESS
}

fn run(name: &str, count: &str) -> ExitCode {
    let Ok(count) = count.parse() else {
        return usage();
    };
    let cases = penstock_bench::cases();
    let Some(case) = cases.iter().find(|case| case.name() == name) else {
        eprintln!("count: no case is called `{name}`; `count --list` names them all");
        return ExitCode::FAILURE;
    };
    let mut iteration = case.setup();
    (0..WARM_UP).for_each(|_| iteration());
    rounds(&mut iteration, count);
    ExitCode::SUCCESS
}

/// What is measured.
#[inline(never)]
fn rounds(iteration: &mut penstock_bench::Iteration, count: u32) {
    for _ in 0..count {
        iteration();
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: count CASE ROUNDS | count --list");
    ExitCode::from(2)
}
