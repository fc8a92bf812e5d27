//! `perf-lab run` and `perf-lab list`: from what a person asks for to experiments and back.

use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use perf_lab::experiment::Experiment;
use perf_lab::run::{self, Failure, Options, syscalls};
use perf_lab::subject::find::find;
use perf_lab::subject::{Choice, Kind};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::RunOptions;

/// Exit code of a program that was interrupted, as shells have it.
const INTERRUPTED: u8 = 130;

/// Runs all experiments that `options` name, one after the other.
pub(crate) fn run(options: &RunOptions) -> io::Result<ExitCode> {
    let experiments: Vec<Experiment> = options
        .experiments
        .iter()
        .map(|name| experiment(name, options))
        .collect::<Result<_, String>>()
        .map_err(io::Error::other)?;
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: its figures say nothing; use `cargo run --release`");
    }
    let stop = stop_on_signals()?;
    let mut code = ExitCode::SUCCESS;
    if options.syscalls {
        return count(&experiments, options, &stop);
    }
    for experiment in &experiments {
        match one(experiment, options, &stop) {
            Ok(true) => {}
            Ok(false) => code = ExitCode::FAILURE,
            Err(failure) => {
                eprintln!("perf-lab: {failure}");
                return Ok(match failure {
                    Failure::Interrupted { .. } => ExitCode::from(INTERRUPTED),
                    Failure::Broken { .. } => ExitCode::FAILURE,
                });
            }
        }
    }
    Ok(code)
}

/// System calls of all experiments.
fn count(
    experiments: &[Experiment],
    options: &RunOptions,
    stop: &AtomicBool,
) -> io::Result<ExitCode> {
    for experiment in experiments {
        let settings = settings(options);
        let (calls, file) = syscalls::count(experiment, &settings, stop, &mut |line| {
            eprintln!("{line}");
        })?;
        println!("{}", syscalls::table(&calls));
        println!("calls: {}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn settings(options: &RunOptions) -> Options {
    Options {
        results: options.results.clone(),
        command: std::env::args().collect(),
    }
}

/// False if an answer was wrong anywhere.
fn one(experiment: &Experiment, options: &RunOptions, stop: &AtomicBool) -> Result<bool, Failure> {
    eprintln!("{}: {}", experiment.name, experiment.about);
    let settings = settings(options);
    let outcome = run::run(experiment, &settings, stop, &mut |line| eprintln!("{line}"))?;
    println!("{}", run::table(&outcome.campaign));
    println!("report: {}", outcome.folder.join("report.html").display());
    for line in &outcome.failed {
        eprintln!("perf-lab: {line}");
    }
    Ok(outcome.failed.is_empty())
}

/// The experiment with what the command line changes in it.
fn experiment(name: &str, options: &RunOptions) -> Result<Experiment, String> {
    let mut experiment = Experiment::find(name).map_err(|error| error.to_string())?;
    experiment.rounds = options.rounds.unwrap_or(experiment.rounds).max(1);
    experiment.seed = options.seed.unwrap_or(experiment.seed);
    experiment.warm_up = options.warm_up().unwrap_or(experiment.warm_up);
    experiment.window = options.window().unwrap_or(experiment.window);
    if experiment.window.is_zero() {
        return Err("--window must be longer than 0".to_owned());
    }
    choose_subjects(&mut experiment, &options.subjects)?;
    choose_programs(&mut experiment, &options.program)?;
    if !options.cells.is_empty() {
        choose_cells(&mut experiment, &options.cells);
    }
    match experiment.cells.is_empty() {
        true => Err(format!("{name}: no cell has a name that --cells asks for")),
        false => Ok(experiment),
    }
}

/// A whole name asks for that cell alone, part of one for all that have it.
fn choose_cells(experiment: &mut Experiment, texts: &[String]) {
    let is_name = |text: &str| experiment.cells.iter().any(|cell| cell.name == text);
    let (names, parts): (Vec<&String>, Vec<&String>) = texts.iter().partition(|text| is_name(text));
    experiment.cells.retain(|cell| {
        let is_part = parts.iter().any(|text| cell.name.contains(*text));
        is_part || names.iter().any(|name| cell.name == **name)
    });
}

fn choose_subjects(experiment: &mut Experiment, names: &[String]) -> Result<(), String> {
    if names.is_empty() {
        return Ok(());
    }
    let choices = names.iter().map(|name| {
        let mut known = experiment.subjects.iter();
        let known = known.find(|choice| choice.name == *name).cloned();
        known
            .or_else(|| Kind::named(name).map(Choice::of))
            .ok_or_else(|| {
                let names = Kind::ALL.map(|(_, name)| name).join(", ");
                format!("--subjects: `{name}` is no subject; known are {names}")
            })
    });
    experiment.subjects = choices.collect::<Result<_, String>>()?;
    Ok(())
}

fn choose_programs(experiment: &mut Experiment, programs: &[String]) -> Result<(), String> {
    for entry in programs {
        let Some((name, path)) = entry.split_once('=') else {
            return Err(format!("--program {entry}: write SUBJECT=PATH"));
        };
        let of = |choice: &&mut Choice| choice.name == name || choice.like.product() == name;
        let mut found = false;
        for choice in experiment.subjects.iter_mut().filter(of) {
            choice.program = Some(PathBuf::from(path));
            found = true;
        }
        if !found {
            let experiment = &experiment.name;
            return Err(format!(
                "--program {entry}: {experiment} has no subject `{name}`"
            ));
        }
    }
    Ok(())
}

/// A flag that Ctrl-C and SIGTERM raise. A second one ends the program at once, as usual.
fn stop_on_signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let raised = stop.clone();
    let mut signals = {
        let _guard = runtime.enter();
        [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ]
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || {
        runtime.block_on(async {
            loop {
                poll_fn(|context| any(&mut signals, context)).await;
                if raised.swap(true, Relaxed) {
                    std::process::exit(INTERRUPTED.into());
                }
                eprintln!("ending the run; what was measured is kept as incomplete");
            }
        });
    })?;
    Ok(stop)
}

fn any(signals: &mut [Signal], context: &mut Context<'_>) -> Poll<()> {
    match signals
        .iter_mut()
        .any(|signal| signal.poll_recv(context).is_ready())
    {
        true => Poll::Ready(()),
        false => Poll::Pending,
    }
}

/// Hours and minutes, or minutes.
fn clock(length: Duration) -> String {
    let minutes = length.as_secs().div_ceil(60);
    match minutes / 60 {
        0 => format!("{minutes} min"),
        hours => format!("{hours} h {} min", minutes % 60),
    }
}

/// Prints experiments and subjects.
pub(crate) fn list() -> io::Result<ExitCode> {
    println!("experiments");
    for experiment in Experiment::built_in().map_err(io::Error::other)? {
        println!("  {:<8} {}", experiment.name, experiment.about);
        println!(
            "  {:<8} {} cells, {} subjects, {} rounds, layout {}, about {}",
            "",
            experiment.cells.len(),
            experiment.subjects.len(),
            experiment.rounds,
            experiment.layout.name(),
            clock(experiment.length())
        );
    }
    println!("\nsubjects");
    for (kind, name) in Kind::ALL {
        match find(&Choice::of(kind)) {
            Ok(found) => println!("  {name:<16} {} {}", found.version, found.program.display()),
            Err(why) => println!("  {name:<16} not here: {why}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}
