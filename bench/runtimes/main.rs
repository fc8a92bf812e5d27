//! The same TCP relay, which parses nothing, on five runtimes: our two drivers, tokio, tokio-uring
//! and glommio. Measures what a round trip costs each of them, so that the choice of our own
//! reactor stays a number. Nothing here is shipped; it is built with `--features runtimes` only.
//!
//! `runtimes [--rounds N] [--window SECONDS]` measures and prints a table. Each measurement starts
//! this program anew as `runtimes serve NAME ORIGIN`, which is the subject.

#![forbid(unsafe_code)]

mod glommio_relay;
mod lane;
mod measure;
mod own;
mod subject;
mod tokio_relay;
mod uring_relay;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use measure::Plan;
use subject::Subject;

const USAGE: &str = "usage: runtimes [--rounds N] [--window SECONDS]
       runtimes serve NAME ORIGIN";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["serve", name, origin] => match (Subject::named(name), origin.parse::<SocketAddr>()) {
            (Some(subject), Ok(origin)) => subject.serve(origin),
            _ => return usage(),
        },
        _ => match plan(&words) {
            Some(plan) => plan.run(),
            None => return usage(),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runtimes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn plan(words: &[&str]) -> Option<Plan> {
    let mut plan = Plan::default();
    for pair in words.chunks(2) {
        match *pair {
            ["--rounds", count] => plan.rounds = count.parse().ok().filter(|&count| count > 0)?,
            ["--window", seconds] => {
                let seconds = seconds.parse().ok()?;
                plan.window = Duration::try_from_secs_f64(seconds).ok()?;
            }
            _ => return None,
        }
    }
    Some(plan)
}
