//! `cargo xtask ci`: runs `.ci/run`, so that there is one list of checks and it is readable as
//! such.

use std::path::Path;
use std::process::{Command, ExitCode};

pub(crate) fn run(root: &Path) -> ExitCode {
    match Command::new("bash").arg(root.join(".ci/run")).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot start bash for .ci/run: {error}");
            ExitCode::FAILURE
        }
    }
}
