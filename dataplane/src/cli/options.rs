//! Every option of every command, with its name, doc, default and parser.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use penstock_runtime::{Preference, UringOptions};

use crate::telemetry::log::LogLevel;
use crate::translate::AdminReach;

/// Workers that can be asked for.
const WORKERS_MAX: u64 = 1024;

/// Service-mesh gateway on io_uring and epoll, configured in Envoy's format
#[derive(Debug, Parser)]
#[command(name = "penstock", version, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve what a bootstrap file says
    Run(RunOptions),
    /// Check a bootstrap file and say everything that is wrong with it (alias: penstock -t)
    Check(CheckOptions),
    /// Start a gateway with three origins on this machine and show what it does
    Demo(DemoOptions),
    /// Print version, features and the drivers that work here
    Version(VersionOptions),
}

/// Where the configuration comes from and how strictly it is read.
#[derive(Clone, Debug, Args)]
pub struct FileOptions {
    /// Bootstrap in Envoy's format, YAML or JSON
    #[arg(
        short,
        long,
        value_name = "FILE",
        alias = "config-path",
        env = "PENSTOCK_CONFIG",
        required_unless_present = "config_yaml"
    )]
    pub config: Option<PathBuf>,
    /// The bootstrap itself, in place of a file
    #[arg(long, value_name = "TEXT", conflicts_with = "config")]
    pub config_yaml: Option<String>,
    /// Warn about fields that are not served instead of refusing the file
    #[arg(long, env = "PENSTOCK_ALLOW_UNKNOWN_STATIC_FIELDS")]
    pub allow_unknown_static_fields: bool,
    /// Let the admin interface have an address that other machines reach
    #[arg(long, alias = "admin-allow-public", env = "PENSTOCK_ADMIN_PUBLIC")]
    pub admin_public: bool,
}

impl FileOptions {
    pub(crate) fn admin_reach(&self) -> AdminReach {
        match self.admin_public {
            true => AdminReach::Anywhere,
            false => AdminReach::Loopback,
        }
    }
}

/// What moves the bytes.
#[derive(Clone, Debug, Args)]
pub struct DriverOptions {
    /// What moves the bytes: auto, uring or epoll
    #[arg(
        long,
        env = "PENSTOCK_DRIVER",
        default_value = "auto",
        value_parser = str::parse::<Preference>
    )]
    pub driver: Preference,
    /// Features of io_uring to do without, for example multishot-recv,buffer-ring
    #[arg(
        long = "uring-disable",
        value_name = "LIST",
        env = "PENSTOCK_URING_DISABLE",
        default_value = "",
        hide_default_value = true,
        value_parser = str::parse::<UringOptions>
    )]
    pub uring: UringOptions,
}

/// Options of `penstock run`.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// The configuration.
    #[command(flatten)]
    pub file: FileOptions,
    /// Workers; each is pinned to a CPU of its own if there are as many as CPUs, and none is
    /// otherwise [default: the CPUs that the process may use]
    #[arg(
        long,
        value_name = "N",
        alias = "concurrency",
        env = "PENSTOCK_WORKERS",
        value_parser = workers
    )]
    pub workers: Option<usize>,
    /// The driver.
    #[command(flatten)]
    pub driver: DriverOptions,
    /// Seconds between failing readiness and closing the listeners, for balancers to notice
    #[arg(
        long,
        value_name = "SECONDS",
        env = "PENSTOCK_DRAIN_DELAY",
        default_value = "0",
        value_parser = seconds
    )]
    pub drain_delay: Duration,
    /// Seconds that open exchanges get to finish before they are cut
    #[arg(
        long,
        value_name = "SECONDS",
        alias = "drain-time-s",
        env = "PENSTOCK_DRAIN_TIMEOUT",
        default_value = "600",
        value_parser = seconds
    )]
    pub drain_timeout: Duration,
    /// What is logged: off, error, warn, info, debug or trace
    #[arg(
        short,
        long,
        value_name = "LEVEL",
        env = "PENSTOCK_LOG_LEVEL",
        default_value = "info",
        value_parser = log_level
    )]
    pub log_level: LogLevel,
    /// Overrides node.id of the bootstrap
    #[arg(long, value_name = "ID", env = "PENSTOCK_SERVICE_NODE")]
    pub service_node: Option<String>,
    /// Overrides node.cluster of the bootstrap
    #[arg(long, value_name = "NAME", env = "PENSTOCK_SERVICE_CLUSTER")]
    pub service_cluster: Option<String>,
    /// Accepted for Envoy's command lines; there are no dynamic resources yet
    #[arg(long, hide = true)]
    pub reject_unknown_dynamic_fields: bool,
}

/// Options of `penstock check`.
#[derive(Clone, Debug, Args)]
pub struct CheckOptions {
    /// The configuration.
    #[command(flatten)]
    pub file: FileOptions,
}

/// Options of `penstock demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoOptions {
    /// Port of the gateway on 127.0.0.1; 0 for any free one
    #[arg(long, env = "PENSTOCK_DEMO_PORT", default_value_t = 8080)]
    pub port: u16,
    /// Port of the admin interface on 127.0.0.1; 0 for any free one
    #[arg(long, env = "PENSTOCK_DEMO_ADMIN_PORT", default_value_t = 9901)]
    pub admin_port: u16,
    /// The driver.
    #[command(flatten)]
    pub driver: DriverOptions,
    /// End after the requests that the demo sends itself; fails if one of them does
    #[arg(long)]
    pub once: bool,
}

/// Options of `penstock version`.
#[derive(Clone, Debug, Args)]
pub(super) struct VersionOptions {
    /// One JSON object
    #[arg(long)]
    pub(super) json: bool,
}

fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=WORKERS_MAX) => Ok(count as usize),
        _ => Err(format!("a number from 1 to {WORKERS_MAX} is needed")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn log_level(text: &str) -> Result<LogLevel, String> {
    LogLevel::new(text).map_err(|error| error.to_string())
}
