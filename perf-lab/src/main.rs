//! `perf-lab`: origin, load and measurements from the command line.
//!
//! Data goes to stdout, one line for each result; the exit code is 1 if any answer was wrong.

#![forbid(unsafe_code)]

mod campaign;
mod cli;
mod reading;

use std::io;
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command, Drive};
use penstock_runtime::Preference;
use perf_lab::fused::Fused;
use perf_lab::load::Running;
use perf_lab::origin::Origin;
use perf_lab::relay::Driven;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Origin(options) => origin(&options),
        Command::Load(options) => load(&options),
        Command::Cpu(options) => cpu(&options),
        Command::Relay(options) => relay(&options),
        Command::Run(options) => campaign::run(&options),
        Command::List => campaign::list(),
        Command::Report(options) => reading::report(&options),
        Command::Check(options) => reading::check(&options),
        Command::Compare(options) => reading::compare(&options),
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
    let Some(listen) = options.with_origin else {
        return show(options, options.load(None).start()?);
    };
    let listener = std::net::TcpListener::bind(listen)?;
    let fused = Fused::start("fused", options.behaviour(), listener)?;
    eprintln!("origin on {}", fused.address());
    show(
        options,
        fused.start_load(&options.load(Some(fused.address())))?,
    )
}

/// Prints what came of a load.
fn show(options: &cli::LoadOptions, running: Running) -> io::Result<ExitCode> {
    let (report, seen) = running.finish_observed()?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&seen.record())?);
        return Ok(verdict(report.failed()));
    }
    println!("{report}");
    println!("{seen}");
    Ok(verdict(report.failed()))
}

fn cpu(options: &cli::CpuOptions) -> io::Result<ExitCode> {
    let load = options.load.load(None);
    let sample = perf_lab::cpu::measure(options.pid, &load, options.warm_up())?;
    println!("{sample}");
    Ok(verdict(sample.report.failed()))
}

fn relay(options: &cli::RelayOptions) -> io::Result<ExitCode> {
    let driver = match options.driver {
        Drive::Plain => {
            let listener = std::net::TcpListener::bind(options.listen)?;
            println!("relay on {} to {}", listener.local_addr()?, options.to);
            perf_lab::relay::run(listener, options.to)?;
            return Ok(ExitCode::SUCCESS);
        }
        Drive::Epoll => Preference::Epoll,
        Drive::Uring => Preference::Uring,
    };
    let relay = Driven::start(driver, options.listen, options.to)?;
    println!(
        "relay on {} to {}: {}",
        relay.address(),
        options.to,
        relay.driver()
    );
    loop {
        std::thread::park();
    }
}

fn verdict(failed: u64) -> ExitCode {
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
