//! `cargo xtask gate`: instructions and allocations of the hottest cases of `bench/`, counted under
//! callgrind and compared with `bench/instructions.txt`. `--update` writes that file anew.
//!
//! Counts repeat on a shared machine where times do not. They know nothing of caches and of the
//! kernel, so a change that lowers them is shown by CPU time as well before it is believed. The
//! runner is `bench/src/bin/count.rs`, so that nothing but valgrind itself has to be installed;
//! without it the gate is skipped, and says so.

mod callgrind;
mod verdict;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use callgrind::Callgrind;
use verdict::{Recorded, Row, Verdict};

/// Rounds of each case.
const ROUNDS: u32 = 1000;
const FILE: &str = "bench/instructions.txt";

/// What to do with the counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Judge,
    Update,
}

/// Counts and judges, or writes the file anew with `--update`.
pub(crate) fn run(root: &Path, arguments: &[String]) -> ExitCode {
    let purpose = match arguments {
        [] => Purpose::Judge,
        [only] if only == "--update" => Purpose::Update,
        _ => {
            eprintln!("usage: cargo xtask gate [--update]");
            return ExitCode::from(2);
        }
    };
    match count_all(root, purpose) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gate: {error}");
            ExitCode::FAILURE
        }
    }
}

/// False if a case got worse.
fn count_all(root: &Path, purpose: Purpose) -> Result<bool, String> {
    if !succeeds("valgrind", "--version") {
        println!("gate: skipped: valgrind is not installed (Debian: apt-get install valgrind)");
        return Ok(true);
    }
    let path = root.join(FILE);
    let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {FILE}: {error}"))?;
    let recorded = Recorded::parse(&text).map_err(|error| format!("{FILE}: {error}"))?;
    let tools = tools()?;
    let callgrind = Callgrind::build(root)?;
    let mut counted = Vec::new();
    for row in &recorded.rows {
        let count = callgrind.count(&row.name, ROUNDS)?;
        let name = row.name.clone();
        counted.push(Row { name, count });
    }
    let measured = Recorded {
        tools,
        rows: counted,
    };
    let passes = judge(&recorded, &measured, purpose);
    if purpose == Purpose::Update {
        fs::write(&path, measured.to_string())
            .map_err(|error| format!("cannot write {FILE}: {error}"))?;
        println!("gate: {FILE} is written; say in the commit what changed the counts");
    }
    Ok(passes || purpose == Purpose::Update)
}

/// Prints a line for each case; false if one got worse.
fn judge(recorded: &Recorded, measured: &Recorded, purpose: Purpose) -> bool {
    let same_tools = recorded.tools == measured.tools;
    if !same_tools {
        println!(
            "gate: recorded with {}, here is {}: only allocations are judged",
            recorded.tools, measured.tools
        );
    }
    let mut passes = true;
    for (before, now) in recorded.rows.iter().zip(&measured.rows) {
        let verdict = Verdict::of(before.count, now.count, same_tools);
        println!("{:26} {} {verdict}", now.name, now.count.per_round(ROUNDS));
        passes &= verdict.passes();
    }
    if !passes && purpose == Purpose::Judge {
        println!("gate: worse; if it is worth its price: cargo xtask gate --update, with the why");
    }
    passes
}

/// Compiler, architecture and C library: other ones make other instructions of the same source.
fn tools() -> Result<String, String> {
    let compiler = output("rustc", "--version")?;
    let library = output("getconf", "GNU_LIBC_VERSION")?;
    Ok(format!("{compiler}, {}, {library}", std::env::consts::ARCH))
}

fn output(program: &str, argument: &str) -> Result<String, String> {
    let output = Command::new(program).arg(argument).output();
    let output = output.map_err(|error| format!("cannot start {program}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn succeeds(program: &str, argument: &str) -> bool {
    let output = Command::new(program).arg(argument).output();
    output.is_ok_and(|output| output.status.success())
}
