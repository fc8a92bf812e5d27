//! The command line of perf-lab.

mod traffic;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(crate) use traffic::{Drive, LoadOptions, OriginOptions, RelayOptions};

use crate::reading::{CompareOptions, FolderOptions};

/// Load generator, origin and measurements for gateways
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a labelled, checked origin until stopped
    Origin(OriginOptions),
    /// Send requests, in a closed loop or at a rate, and check every answer
    Load(LoadOptions),
    /// Print CPU time per request of a process while load runs
    Cpu(CpuOptions),
    /// Relay TCP without looking at it: the floor of every proxy
    Relay(RelayOptions),
    /// Run experiments: gateways side by side, interleaved, into a folder of results
    Run(RunOptions),
    /// Print the built-in experiments and the subjects that are on this machine
    List,
    /// Write pages and files of a campaign anew from its record
    Report(FolderOptions),
    /// Check the files of a campaign against the rules of their forms
    Check(FolderOptions),
    /// Put two campaigns side by side and mark what changed beyond the noise
    Compare(CompareOptions),
}

#[derive(Debug, Args)]
pub(crate) struct CpuOptions {
    /// Process to measure, its children included
    #[arg(long)]
    pub(crate) pid: u32,
    /// Load before the measurement begins, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    warm_up: f64,
    #[command(flatten)]
    pub(crate) load: LoadOptions,
}

impl CpuOptions {
    pub(crate) fn warm_up(&self) -> Duration {
        seconds(self.warm_up)
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// Built-in experiments (see `list`) or paths of experiment files
    #[arg(value_name = "EXPERIMENT", required = true)]
    pub(crate) experiments: Vec<String>,
    /// Folder in which each campaign gets a folder of its own
    #[arg(long, value_name = "FOLDER", default_value = "results")]
    pub(crate) results: PathBuf,
    /// Use this program for a subject; may be repeated
    #[arg(long, value_name = "SUBJECT=PATH")]
    pub(crate) program: Vec<String>,
    /// Only these subjects, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) subjects: Vec<String>,
    /// Only cells of these names, or with one of these texts in their names, separated by commas
    #[arg(long, value_name = "TEXTS", value_delimiter = ',')]
    pub(crate) cells: Vec<String>,
    /// Rounds instead of those of the file; each subject runs twice in each
    #[arg(long)]
    pub(crate) rounds: Option<u32>,
    /// Length of each window in seconds instead of that of the file
    #[arg(long, value_name = "SECONDS")]
    window: Option<f64>,
    /// Load before each window in seconds instead of that of the file
    #[arg(long, value_name = "SECONDS")]
    warm_up: Option<f64>,
    /// Count system calls for each request instead, by `perf trace`, in runs of their own
    #[arg(long)]
    pub(crate) syscalls: bool,
    /// Seed of the order of subjects instead of that of the file
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

impl RunOptions {
    pub(crate) fn window(&self) -> Option<Duration> {
        self.window.map(seconds)
    }

    pub(crate) fn warm_up(&self) -> Option<Duration> {
        self.warm_up.map(seconds)
    }
}

/// Seconds as given by a person; what is no duration is none.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}
