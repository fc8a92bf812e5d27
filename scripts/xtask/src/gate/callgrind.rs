//! One case under callgrind, and what its report says.
//!
//! Collecting is switched on by the entry into `rounds` of the runner and off by its return, so
//! that set-up, which is not the same each time, does not count. Allocations are the calls of the C
//! library's allocating functions in the same report; callgrind counts calls also while it collects
//! nothing, so a run is set off against one of twice the rounds.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::verdict::Count;

const ALLOCATING: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
];

/// The runner, optimized.
pub(super) struct Callgrind {
    runner: PathBuf,
}

impl Callgrind {
    /// Builds it as a release is built: core and bench only.
    pub(super) fn build(root: &Path) -> Result<Self, String> {
        let output = Command::new(env!("CARGO"))
            .args(["build", "--release", "--locked"])
            .args(["--package", "penstock-bench", "--bin", "count"])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(root)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cargo did not run: {error}; is it on the PATH?"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut messages = text.lines().map(serde_json::from_str::<Value>);
        let runner = messages.find_map(|message| {
            let executable = message.ok()?["executable"].as_str()?.to_owned();
            Some(PathBuf::from(executable))
        });
        match runner {
            Some(runner) if output.status.success() => Ok(Self { runner }),
            _ => Err("penstock-bench cannot be built; see above".to_owned()),
        }
    }

    /// What `rounds` rounds of a case take.
    pub(super) fn count(&self, case: &str, rounds: u32) -> Result<Count, String> {
        let (once, twice) = (self.run(case, rounds)?, self.run(case, 2 * rounds)?);
        Ok(Count {
            instructions: twice.instructions.saturating_sub(once.instructions),
            allocations: twice.allocations.saturating_sub(once.allocations),
        })
    }

    fn run(&self, case: &str, rounds: u32) -> Result<Count, String> {
        let file = self.runner.with_file_name("count.callgrind");
        let mut to_file = std::ffi::OsString::from("--callgrind-out-file=");
        to_file.push(&file);
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--toggle-collect=count::rounds*"])
            .arg(to_file)
            .arg(&self.runner)
            .args([case, &rounds.to_string()])
            .output()
            .map_err(|error| format!("cannot start valgrind: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`{case}` failed under valgrind:\n{said}"));
        }
        let report = fs::read_to_string(&file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        read(&report).ok_or(format!("`{case}`: callgrind's report has no counts"))
    }
}

/// Reads the callgrind format: `totals:`, and calls as `cfn=(id) name` followed by `calls=count`.
/// A name stands only where its id occurs first.
fn read(report: &str) -> Option<Count> {
    let mut names = HashMap::new();
    let mut called = "";
    let mut allocations = 0;
    let mut instructions = 0;
    for line in report.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            full_name(name, &mut names);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            called = full_name(name, &mut names);
        } else if let Some(calls) = line.strip_prefix("calls=") {
            let count: u64 = calls.split_whitespace().next()?.parse().ok()?;
            allocations += count * u64::from(ALLOCATING.contains(&called));
        } else if let Some(total) = line.strip_prefix("totals:") {
            instructions = total.trim().parse().ok()?;
        }
    }
    (instructions > 0).then_some(Count {
        instructions,
        allocations,
    })
}

fn full_name<'a>(text: &'a str, names: &mut HashMap<&'a str, &'a str>) -> &'a str {
    match text.split_once(' ') {
        Some((id, name)) => {
            names.insert(id, name);
            name
        }
        None => names.get(text).copied().unwrap_or(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{Count, read};

    #[test]
    fn calls_of_allocating_functions_are_summed() {
        let report = "events: Ir\n\
            fn=(1) count::rounds\n10 5\ncfn=(2) malloc\ncalls=3 100\n10 90\n\
            fn=(4) other\ncfn=(2)\ncalls=4 100\n11 7\ncfn=(5) free\ncalls=9 100\n12 7\n\
            totals: 123\n";
        let count = Count {
            instructions: 123,
            allocations: 7,
        };
        assert_eq!(read(report), Some(count));
        assert_eq!(read("events: Ir\n"), None);
    }
}
