//! The rules that a folder of results must keep, checked by reading it back from the disk.
//!
//! Nothing here trusts the writer: files are read as a stranger would read them, and every fault
//! says the file, the rule that it breaks and what to do.

mod fortio;
mod meshery;
mod page;
mod result;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::RECORD;

/// What can be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// A file that belongs to the folder is not there.
    Missing,
    /// A part of a file was left behind.
    Leftover,
    /// The record is damaged, or its campaign broke off.
    Record,
    /// A file cannot be read in its form.
    Form,
    /// `result.pb` and `result.yaml` are not the same message.
    Binary,
    /// An id points to nothing, or to another run.
    Ids,
    /// A time is not in UTC, or an end not after its begin.
    Times,
    /// Latencies are not those of the histogram, or it is not said what they are.
    Latency,
    /// A number that did not fit is not marked.
    Saturation,
    /// A label is unknown, missing or contradicts another.
    Labels,
    /// One of Fortio's invariants does not hold.
    Fortio,
    /// Meshery would refuse the file.
    Meshery,
    /// The page needs a network.
    Page,
}

impl Rule {
    /// Its name, for the report of a fault.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rule::Missing => "missing",
            Rule::Leftover => "leftover",
            Rule::Record => "record",
            Rule::Form => "form",
            Rule::Binary => "binary",
            Rule::Ids => "ids",
            Rule::Times => "times",
            Rule::Latency => "latency",
            Rule::Saturation => "saturation",
            Rule::Labels => "labels",
            Rule::Fortio => "fortio",
            Rule::Meshery => "meshery",
            Rule::Page => "page",
        }
    }

    /// What to do about a fault.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Rule::Record => "measure again: a record that is damaged or broke off is no result",
            Rule::Leftover => "make room on the disk, delete it, then run `perf-lab report`",
            Rule::Times | Rule::Fortio | Rule::Labels => {
                "run `perf-lab report`; if it stays, the record is wrong: measure again"
            }
            _ => "run `perf-lab report` on the folder; it writes all files anew from the record",
        }
    }
}

/// A rule that a file breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// The rule.
    pub rule: Rule,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, rule) = (self.file.display(), self.rule.name());
        write!(f, "{file}: {rule}: {} ({})", self.what, self.rule.remedy())
    }
}

/// What a leaf finds in one file: the rule and what is wrong.
type Faults = Vec<(Rule, String)>;

/// Files of every run beside those whose names hold times.
const FILES: [&str; 10] = [
    "smp/test-config.yaml",
    "smp/service-mesh-config.yaml",
    "smp/environment-config.yaml",
    "smp/result.yaml",
    "smp/result.pb",
    "smp/report.yaml",
    "meshery/test-config.yaml",
    "meshery/result.json",
    "raw/series.csv",
    "report.html",
];

/// Every rule that is broken in the folder of a campaign; none if it may be published.
#[must_use]
pub fn check(folder: &Path) -> Vec<Finding> {
    let mut findings = leftovers(folder);
    let campaign = match super::read(folder) {
        Ok(campaign) => campaign,
        Err(error) => {
            findings.push(finding(
                &folder.join(RECORD),
                Rule::Record,
                &error.to_string(),
            ));
            return findings;
        }
    };
    if !campaign.complete {
        let what = "the campaign broke off before its last run";
        findings.push(finding(&folder.join(RECORD), Rule::Record, what));
    }
    findings.extend(in_file(&folder.join("report.html"), page::check));
    for run in &campaign.runs {
        findings.extend(check_run(&folder.join(&run.id), &campaign.id, &run.id));
    }
    findings
}

fn check_run(folder: &Path, campaign: &str, run: &str) -> Vec<Finding> {
    let mut findings = leftovers(folder);
    for name in FILES.iter().filter(|name| !folder.join(name).is_file()) {
        let what = "every run has this file";
        findings.push(finding(&folder.join(name), Rule::Missing, what));
    }
    if findings.iter().any(|finding| finding.rule == Rule::Missing) {
        return findings;
    }
    findings.extend(in_file(&folder.join("report.html"), page::check));
    findings.extend(result::check(folder, campaign, run));
    for path in files(&folder.join("fortio")) {
        findings.extend(in_file(&path, fortio::check));
    }
    let meshery = folder.join("meshery");
    findings.extend(in_file(
        &meshery.join("test-config.yaml"),
        meshery::check_test,
    ));
    let record = |text: &str| meshery::check_record(text, run);
    findings.extend(in_file(&meshery.join("result.json"), record));
    findings
}

/// Parts of files below a folder, its subfolders of one level included.
fn leftovers(folder: &Path) -> Vec<Finding> {
    let below = ["", "smp", "fortio", "meshery", "raw"];
    let parts = below.iter().flat_map(|name| files(&folder.join(name)));
    let is_part = |path: &PathBuf| path.extension().is_some_and(|end| end == "part");
    let what = "writing of a file ended half-way";
    let found = parts.filter(is_part);
    found
        .map(|path| finding(&path, Rule::Leftover, what))
        .collect()
}

/// The files of a folder in order of their names; none if it is not there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn in_file(path: &Path, check: impl Fn(&str) -> Faults) -> Vec<Finding> {
    let faults = match fs::read_to_string(path) {
        Ok(text) => check(&text),
        Err(error) => vec![(Rule::Missing, error.to_string())],
    };
    let faults = faults.into_iter();
    faults
        .map(|(rule, what)| finding(path, rule, &what))
        .collect()
}

fn finding(path: &Path, rule: Rule, what: &str) -> Finding {
    let (file, what) = (path.to_owned(), what.to_owned());
    Finding { file, rule, what }
}
