//! Assembly: from a bootstrap file to workers that serve it, and the life of the process.
//!
//! ```text
//! boot.rs          `run` and `check`: options in, exit code out
//!   source.rs        where the bootstrap comes from
//!   configuration.rs bootstrap, names and what stays the same over reloads → snapshot
//!   listeners.rs     which addresses are bound, which must be
//!   workers.rs       what the workers are made of
//!   settings.rs      what a gateway is started with, and why it may not start
//!   gateway.rs       everything that runs: start, reload, drain, stop
//!   view.rs          what the admin interface sees of it
//!   life.rs          signals and wishes, one after the other, until the end
//! ```
//!
//! One thread (the first one) changes things; all others only send it wishes. Nothing here runs on
//! a data core.

mod configuration;
mod gateway;
mod life;
mod listeners;
mod settings;
mod source;
mod view;
mod workers;

pub use gateway::Gateway;
pub(crate) use life::forward;
pub use life::{Drain, Wish, serve};
pub use settings::{Settings, StartFault};
pub use source::Source;

use std::sync::mpsc;

use penstock_runtime::signals::{Signal, Signals};

use crate::bootstrap::Finding;
use crate::cli::{CheckOptions, Exit, RunOptions};
use crate::telemetry::log;

/// `penstock run`: serves until told to stop.
pub fn run(options: &RunOptions) -> Exit {
    // Signals are blocked before the first thread exists, so that every thread inherits it.
    let signals = match Signals::new(&Signal::ALL) {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("signals cannot be blocked: {error}")),
    };
    if log::install(options.log_level.clone()).is_err() {
        return fail("this process already has a log");
    }
    let (wishes, received) = mpsc::channel();
    let gateway = match Gateway::start(Settings::of_run(options), wishes.clone()) {
        Ok(gateway) => gateway,
        Err(fault) => return report(&fault),
    };
    if let Err(error) = forward(signals, wishes) {
        return fail(&format!("no thread for signals: {error}"));
    }
    let drain = Drain {
        delay: options.drain_delay,
        timeout: options.drain_timeout,
    };
    serve(gateway, &received, drain)
}

/// `penstock check`: says everything that is wrong with a bootstrap, and starts nothing.
pub fn check(options: &CheckOptions) -> Exit {
    let source = Source::of(&options.file);
    match configuration::check(&source, options.file.admin_reach()) {
        Ok(notes) => {
            print(&notes);
            println!("{source}: configuration OK");
            Exit::Success
        }
        Err(findings) => {
            print(&findings.0);
            eprintln!("{source}: configuration refused");
            Exit::Configuration
        }
    }
}

/// Says why the gateway did not start; the exit code that belongs to it.
pub(crate) fn report(fault: &StartFault) -> Exit {
    if let StartFault::Configuration(findings) = fault {
        print(&findings.0);
        eprintln!("penstock: configuration refused");
        return Exit::Configuration;
    }
    fail(&log::chain(fault).to_string())
}

fn fail(why: &str) -> Exit {
    eprintln!("penstock: {why}");
    Exit::Failure
}

fn print(findings: &[Finding]) {
    findings.iter().for_each(|finding| eprintln!("{finding}"));
}
