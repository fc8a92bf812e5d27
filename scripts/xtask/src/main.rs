//! Project tasks: `cargo xtask tidy`, `cargo xtask ci` and more.
//!
//! Not product code and never shipped. The rules that tidy checks are those of the architecture:
//! see `tidy.rs` for the list.

#![forbid(unsafe_code)]

mod ci;
mod gate;
mod gateways;
mod survive;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask <task>

  tidy      check the rules of the house over the whole tree
  ci        run everything that continuous integration runs (.ci/run)
  gate      count instructions of the hottest code and compare (--update: record them)
  peers     install nginx, HAProxy and Envoy where they are missing; let Envoy read our files
  survive   reload, drain, restart of an origin and hardship under load; prints what was lost";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next();
    let rest: Vec<String> = arguments.collect();
    match task.as_deref() {
        Some("tidy") => tidy::run(&root()),
        Some("ci") => ci::run(&root()),
        Some("gate") => gate::run(&root(), &rest),
        Some("peers") => gateways::run(&root()),
        Some("survive") => survive::run(&root()),
        Some("help" | "--help" | "-h") => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// The folder of the workspace: two above this package.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().nth(2);
    root.expect("scripts/xtask lies two folders below the workspace")
        .to_path_buf()
}
