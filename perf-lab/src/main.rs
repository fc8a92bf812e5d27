//! `perf-lab`: origin, load and measurements from the command line.
//!
//! Data goes to stdout, one line for each result; the exit code is 1 if any answer was wrong.

#![forbid(unsafe_code)]

mod cli;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use perf_lab::origin::Origin;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Origin(options) => origin(&options),
        Command::Load(options) => load(&options),
        Command::Cpu(options) => cpu(&options),
    };
    done.unwrap_or_else(|error| {
        eprintln!("perf-lab: {error}");
        ExitCode::FAILURE
    })
}

fn origin(options: &cli::OriginOptions) -> io::Result<ExitCode> {
    let listener = std::net::TcpListener::bind(options.listen)?;
    let origin = Origin::start_on(
        &options.label,
        options.behaviour(),
        listener,
        options.threads,
    )?;
    println!("origin {} on {}", origin.label(), origin.address());
    loop {
        std::thread::park();
    }
}

fn load(options: &cli::LoadOptions) -> io::Result<ExitCode> {
    let report = options.load().run()?;
    println!("{report}");
    Ok(verdict(report.failed()))
}

fn cpu(options: &cli::CpuOptions) -> io::Result<ExitCode> {
    let load = options.load.load();
    let sample = perf_lab::cpu::measure(options.pid, &load, options.warm_up())?;
    println!("{sample}");
    Ok(verdict(sample.report.failed()))
}

fn verdict(failed: u64) -> ExitCode {
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
