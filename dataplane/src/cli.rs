//! The command line: options, their environment twins, and the exit codes.
//!
//! Options are declared once, here. An option beats its environment variable, which beats the file.
//! Envoy's long names are accepted beside ours. What a command does is in its own room: `boot`,
//! `demo`, `bootstrap`.

mod options;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::boot;
use crate::demo;
pub use options::{CheckOptions, DemoOptions, DriverOptions, FileOptions, RunOptions};
use options::{Cli, Command};
pub(crate) use version::{REVISION, VERSION};

/// How a command ends; the exit code of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// As asked.
    Success = 0,
    /// The gateway could not run: a bind, a driver, a worker.
    Failure = 1,
    /// Wrong use of the command line.
    Usage = 2,
    /// The configuration was refused (EX_CONFIG of sysexits.h).
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let parsed = Cli::try_parse_from(familiar(std::env::args_os()));
    let exit = match parsed {
        Ok(cli) => run(cli.command),
        Err(error) => {
            // Help goes to standard output, mistakes to standard error; if neither is there, the
            // exit code still says it.
            let _ = error.print();
            if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Success
            }
        }
    };
    exit.into()
}

fn run(command: Command) -> Exit {
    match command {
        Command::Run(options) => boot::run(&options),
        Command::Check(options) => boot::check(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Version(options) => version::run(&options),
    }
}

/// `penstock -t` is what people of other gateways type for `penstock check`.
fn familiar(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.collect();
    if let Some(first) = arguments.get_mut(1)
        && first == "-t"
    {
        *first = "check".into();
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let arguments = line.split_whitespace().map(OsString::from);
        Cli::try_parse_from(familiar(arguments)).map(|cli| cli.command)
    }

    fn run_options(line: &str) -> RunOptions {
        match parse(line) {
            Ok(Command::Run(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn envoys_names_mean_ours() {
        let ours = run_options("penstock run -c a.yaml --workers 3 --drain-timeout 9");
        let envoys = run_options(
            "penstock run --config-path a.yaml --concurrency 3 --drain-time-s 9 \
             --reject-unknown-dynamic-fields",
        );
        assert_eq!(ours.workers, Some(3));
        assert_eq!(ours.file.config, envoys.file.config);
        assert_eq!(ours.workers, envoys.workers);
        assert_eq!(ours.drain_timeout, envoys.drain_timeout);
    }

    #[test]
    fn minus_t_is_check() {
        assert!(matches!(
            parse("penstock -t -c a.yaml"),
            Ok(Command::Check(_))
        ));
        assert!(matches!(
            parse("penstock check -c a"),
            Ok(Command::Check(_))
        ));
    }

    #[test]
    fn mistakes_are_usage_errors() {
        for line in [
            "penstock",
            "penstock run",
            "penstock run -c a --workers 0",
            "penstock run -c a --driver dpdk",
            "penstock run -c a --config-yaml {}",
            "penstock run -c a --log-level loud",
            "penstock demo --port 65536",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
