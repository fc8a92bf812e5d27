//! `cargo xtask survive`: what must lose no request and what must hurt nobody, one line per run and
//! driver. The runs are the `hardship` tests of the binary, one after the other.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Runs them; fails if a request was lost.
pub(crate) fn run(root: &Path) -> ExitCode {
    let status = Command::new(env!("CARGO"))
        .args([
            "test",
            "--locked",
            "--package",
            "penstock",
            "--test",
            "gateway",
        ])
        .args(["hardship::", "--", "--nocapture", "--test-threads", "1"])
        .current_dir(root)
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: cargo did not run: {error}; is it on the PATH?");
            ExitCode::FAILURE
        }
    }
}
