//! A campaign: every subject under every workload, interleaved round by round.
//!
//! ```text
//! experiment ─► find subjects ─► folder `ID.partial`
//!   each cell with a share: closed loop of each subject ─► rate
//!   each round ─► each cell ─► A B C … C B A in an order of its own ─► once ─► rules ─► record
//! all in ─► report ─► folder `ID`
//! ```
//!
//! One subject is alive at a time, a fresh process each time. A run that breaks a rule is void and
//! says why. A campaign that breaks off stays in a folder that is called `partial`, marked as
//! incomplete, so that nobody takes it for a whole one.

mod bench;
mod calibrate;
mod folder;
mod lineup;
mod once;
mod place;
mod progress;
mod rules;
pub mod syscalls;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::experiment::Experiment;
use crate::record::Campaign;
use bench::Bench;
pub use progress::table;

/// How a campaign is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder in which the folder of the campaign is made.
    pub results: PathBuf,
    /// The command, for the record.
    pub command: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Everything that was measured.
    pub campaign: Campaign,
    /// Where it lies.
    pub folder: PathBuf,
    /// Workloads and subjects with a run that is void because answers were wrong or went astray;
    /// each with the first reason.
    pub failed: Vec<String>,
}

/// Why a campaign broke off.
#[derive(Debug)]
pub enum Failure {
    /// Somebody asked for it.
    Interrupted {
        /// What was measured so far, if anything.
        partial: Option<PathBuf>,
    },
    /// Something went wrong.
    Broken {
        /// Cause and remedy.
        why: String,
        /// What was measured so far, if anything.
        partial: Option<PathBuf>,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partial = match self {
            Failure::Interrupted { partial } => {
                f.write_str("interrupted")?;
                partial
            }
            Failure::Broken { why, partial } => {
                f.write_str(why)?;
                partial
            }
        };
        match partial {
            Some(partial) => write!(
                f,
                "\nWhat was measured so far is incomplete; it is in {}",
                partial.display()
            ),
            None => Ok(()),
        }
    }
}

/// Runs `experiment` from the first round to the report. `say` gets a line after each run and one
/// for each subject that is left out; `stop` ends it early.
///
/// # Errors
/// If it broke off; what was measured until then is kept beside the whole ones.
pub fn run(
    experiment: &Experiment,
    options: &Options,
    stop: &AtomicBool,
    say: &mut dyn FnMut(&str),
) -> Result<Outcome, Failure> {
    let broken = |why: String, partial| match stop.load(Relaxed) {
        true => Failure::Interrupted { partial },
        false => Failure::Broken { why, partial },
    };
    let mut bench =
        Bench::new(experiment, options, stop).map_err(|error| broken(error.to_string(), None))?;
    bench.campaign.skipped.iter().for_each(|skipped| {
        say(&format!("{} is left out: {}", skipped.subject, skipped.why));
    });
    let tree = &bench.campaign.environment.git_rev;
    let strangers = bench.subjects.iter();
    strangers
        .filter_map(|found| found.is_of_another_tree(tree))
        .for_each(|line| say(&line));
    if let Err(error) = bench.run(say) {
        let partial = bench.give_up();
        return Err(broken(error.to_string(), Some(partial)));
    }
    let failed = bench.failed();
    let partial = bench.folder.path().to_path_buf();
    let campaign = bench.campaign.clone();
    match bench.conclude() {
        Ok(folder) => Ok(Outcome {
            campaign,
            folder,
            failed,
        }),
        Err(error) => Err(broken(error.to_string(), Some(partial))),
    }
}
