//! The command line of perf-lab.

mod traffic;

use std::env;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use perf_lab::compare::{Kind, Layout, Plan, Subject};
pub(crate) use traffic::{Drive, LoadOptions, OriginOptions, RelayOptions};

use crate::reading::FolderOptions;

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
    /// Write pages and files of a campaign anew from its record
    Report(FolderOptions),
    /// Check the files of a campaign against the rules of their forms
    Check(FolderOptions),
    /// Print CPU time per request of penstock, nginx and the relay, measured side by side
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
pub(crate) struct CompareOptions {
    /// The penstock binary, built with --release; left out if it is not there
    #[arg(long, default_value = "target/release/penstock")]
    penstock: PathBuf,
    /// The nginx binary; left out if it is not there
    #[arg(long, default_value = "/usr/sbin/nginx")]
    nginx: PathBuf,
    /// Everything on one CPU, or the subject on its own
    #[arg(long, value_enum, default_value_t = Place::C)]
    layout: Place,
    /// Rounds; each subject runs twice in each
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Load before each measurement, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    warm_up: f64,
    /// Length of each measurement in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    window: f64,
    /// Connections of the load
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Bytes of each answer
    #[arg(long, default_value_t = 1024)]
    size: u64,
    /// A connection for each request
    #[arg(long)]
    close: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Place {
    /// Load, origin and subject on one CPU
    C,
    /// The subject on the first CPU, the rest on the second
    S,
}

impl CompareOptions {
    pub(crate) fn title(&self) -> String {
        format!(
            "layout {:?}, {} connections, {} bytes, {}, {} rounds of 2 x {} s",
            self.layout,
            self.connections,
            self.size,
            if self.close { "close" } else { "keep-alive" },
            self.rounds,
            self.window
        )
    }

    pub(crate) fn plan(&self) -> io::Result<Plan> {
        Ok(Plan {
            subjects: self.subjects()?,
            layout: match self.layout {
                Place::C => Layout::OneCore,
                Place::S => Layout::Split,
            },
            rounds: self.rounds,
            warm_up: seconds(self.warm_up),
            window: seconds(self.window),
            connections: self.connections,
            size: self.size,
            keep_alive: !self.close,
            folder: env::temp_dir().join(format!("perf-lab-{}", std::process::id())),
        })
    }

    /// The one that ratios are taken to comes first: nginx, or the relay where there is no nginx.
    fn subjects(&self) -> io::Result<Vec<Subject>> {
        let subject = |name: &str, kind: Kind, program: PathBuf| Subject {
            name: name.to_owned(),
            kind,
            program,
        };
        let mut subjects = Vec::new();
        if self.nginx.exists() {
            subjects.push(subject("nginx", Kind::Nginx, self.nginx.clone()));
        }
        subjects.push(subject("relay", Kind::Relay, env::current_exe()?));
        let drivers = ["uring", "epoll"].iter();
        for driver in drivers.filter(|_| self.penstock.exists()) {
            let kind = Kind::Penstock {
                driver: (*driver).to_owned(),
            };
            let name = format!("penstock-{driver}");
            subjects.push(subject(&name, kind, self.penstock.clone()));
        }
        Ok(subjects)
    }
}

/// Seconds as given by a person; what is no duration is none.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}
