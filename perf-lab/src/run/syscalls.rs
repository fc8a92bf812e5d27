//! System calls of each subject for each request, counted by `perf trace -s` in runs of their own:
//! counting costs time, so that nothing else is measured meanwhile.
//!
//! `perf` hangs on to the subject before the load begins and lets go when it has ended, so that all
//! calls and all answers are in the same span; opening the connections is in it too.

use std::fmt::Write;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use super::bench::Bench;
use super::once::{Once, load, start};
use super::{Options, lineup};
use crate::experiment::{Cell, Experiment, Offer};
use crate::load::Load;
use crate::subject::Kind;

/// Calls that are shown by name.
const SHOWN: usize = 8;
/// How long `perf` may take to hang on.
const START: Duration = Duration::from_secs(10);
/// How often it is asked whether it does.
const PAUSE: Duration = Duration::from_millis(20);
/// Pages of each buffer of `perf`, so that it loses nothing.
const PAGES: &str = "2048";
/// Its output in the folder of the subject.
const OUTPUT: &str = "perf-trace.txt";
/// The file that is left.
const FILE: &str = "syscalls.json";

/// What one subject did under one workload.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Calls {
    /// Name of the workload.
    pub cell: String,
    /// Name of the subject.
    pub subject: String,
    /// Correct answers.
    pub answered: u64,
    /// Calls by name, the most frequent first.
    pub calls: Vec<(String, u64)>,
    /// Calls of all names for each answer.
    pub per_request: f64,
}

/// Counts the calls of every subject under every cell, once. Shares of the load are counted in a
/// closed loop, because a maximum under `perf` is none.
///
/// # Errors
/// If `perf` is not there or cannot hang on, or a subject does not start or answers wrong.
pub fn count(
    experiment: &Experiment,
    options: &Options,
    stop: &AtomicBool,
    say: &mut dyn FnMut(&str),
) -> io::Result<(Vec<Calls>, PathBuf)> {
    is_there()?;
    let bench = Bench::new(experiment, options, stop)?;
    let mut all = Vec::new();
    for (cell, subject) in lineup::pairs(experiment, &bench.subjects) {
        if stop.load(Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let found = &bench.subjects[subject];
        if found.choice.like == Kind::Direct {
            continue;
        }
        let workload = match experiment.cells[cell].offer {
            Offer::Share(_) => experiment.cells[cell].in_closed_loop(),
            Offer::Closed | Offer::Rate(_) => experiment.cells[cell].clone(),
        };
        let rate = match workload.offer {
            Offer::Rate(rate) => rate,
            Offer::Closed | Offer::Share(_) => 0,
        };
        let calls = one(&bench.setup(&workload, found, rate)?)?;
        say(&line(&calls));
        all.push(calls);
    }
    let json = serde_json::to_vec_pretty(&all).map_err(io::Error::other)?;
    let folder = bench.folder.finish_with(FILE, &json)?;
    Ok((all, folder.join(FILE)))
}

/// Every workload and subject with its most frequent calls.
pub fn table(all: &[Calls]) -> String {
    let mut text = String::new();
    let mut cell = "";
    for calls in all {
        if calls.cell != cell {
            cell = &calls.cell;
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "\n{cell}\n  {:<18} {:<16} {:>14}",
                "subject", "call", "per request"
            );
        }
        let (subject, sum) = (&calls.subject, calls.per_request);
        let _ = writeln!(text, "  {subject:<18} {:<16} {sum:>14.3}", "all");
        for (name, count) in calls.calls.iter().take(SHOWN) {
            let each = *count as f64 / calls.answered as f64;
            let _ = writeln!(text, "  {:<18} {name:<16} {each:>14.3}", "");
        }
    }
    text
}

fn line(calls: &Calls) -> String {
    let (cell, subject, sum) = (&calls.cell, &calls.subject, calls.per_request);
    format!("{cell:<24} {subject:<16} {sum:>9.3} calls/request")
}

fn is_there() -> io::Result<()> {
    let version = Command::new("perf").arg("--version").output();
    match version.is_ok_and(|output| output.status.success()) {
        true => Ok(()),
        false => Err(io::Error::other(
            "`perf` is not installed; on Debian `apt-get install linux-perf`, on Ubuntu \
             `apt-get install linux-tools-generic`",
        )),
    }
}

fn one(once: &Once<'_>) -> io::Result<Calls> {
    let (origin, process) = start(once)?;
    let name = &once.found.choice.name;
    let tracer = Tracer::start(&process.meter().pids()?, &process.folder().join(OUTPUT))?;
    let endless = load(once, process.address());
    let running = origin.start_load(&Load {
        duration: Some(once.warm_up + once.window),
        ..endless
    })?;
    let report = running.finish()?;
    let text = tracer.finish()?;
    if report.failed() > 0 || report.answered == 0 {
        return Err(io::Error::other(format!("{name}: {report}")));
    }
    let calls = parse(&text).map_err(|why| io::Error::other(format!("{name}: {why}")))?;
    let sum: u64 = calls.iter().map(|(_, count)| count).sum();
    let cell: &Cell = once.cell;
    Ok(Calls {
        cell: cell.name.clone(),
        subject: name.clone(),
        answered: report.answered,
        calls,
        per_request: sum as f64 / report.answered as f64,
    })
}

/// A `perf trace` that runs; ends when dropped.
struct Tracer {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Tracer {
    /// Hangs on to these processes.
    fn start(pids: &[u32], output: &Path) -> io::Result<Self> {
        let errors = output.with_extension("err");
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        let child = Command::new("perf")
            .args(["trace", "-s", "-m", PAGES, "-p", &pids.join(","), "-o"])
            .arg(output)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&errors)?)
            .spawn()?;
        let mut tracer = Self {
            child,
            output: output.to_owned(),
            errors,
        };
        let began = Instant::now();
        while !tracer.hangs_on() {
            if tracer.child.try_wait()?.is_some() || began.elapsed() > START {
                return Err(tracer.failed());
            }
            std::thread::sleep(PAUSE);
        }
        // Its buffers are mapped after the last event was opened, and enabled then.
        std::thread::sleep(PAUSE * 10);
        Ok(tracer)
    }

    /// It has events open.
    fn hangs_on(&self) -> bool {
        let Ok(entries) = fs::read_dir(format!("/proc/{}/fd", self.child.id())) else {
            return false;
        };
        let links = entries
            .flatten()
            .flat_map(|entry| fs::read_link(entry.path()));
        links
            .into_iter()
            .any(|link| link.to_string_lossy().contains("perf_event"))
    }

    /// Lets go, and takes what it says.
    fn finish(mut self) -> io::Result<String> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        self.child.wait()?;
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        let text = fs::read_to_string(&self.output)?;
        match text.contains("LOST") || errors.contains("LOST") {
            true => Err(io::Error::other(
                "perf lost events; choose a shorter --window or a lower rate",
            )),
            false => Ok(text),
        }
    }

    fn failed(&self) -> io::Error {
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        let last = errors.trim();
        io::Error::other(format!(
            "`perf trace` could not hang on to the subject; it needs root, or \
             kernel.perf_event_paranoid = -1: {last}"
        ))
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // One that has ended is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls of all threads by name, from the tables of `perf trace -s`: each begins with a line of
/// dashes and ends with an empty one.
fn parse(text: &str) -> Result<Vec<(String, u64)>, String> {
    let mut all: Vec<(String, u64)> = Vec::new();
    let mut is_table = false;
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        match (fields.next(), fields.next()) {
            (Some(first), _) if first.starts_with("---") => is_table = true,
            (Some(name), Some(count)) if is_table => {
                let count = count.parse::<u64>();
                let count =
                    count.map_err(|_| format!("`perf` says what nobody understands: {line}"))?;
                match all.iter_mut().find(|(known, _)| known == name) {
                    Some((_, sum)) => *sum += count,
                    None => all.push((name.to_owned(), count)),
                }
            }
            _ => is_table = false,
        }
    }
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    match all.is_empty() {
        true => Err("`perf` counted no calls".to_owned()),
        false => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_THREADS: &str = "
 Summary of events:

 relay (8520), 128861 events, 100.0%

   syscall            calls  errors  total       min       avg       max       stddev
                                     (msec)    (msec)    (msec)    (msec)        (%)
   --------------- --------  ------ -------- --------- --------- ---------     ------
   epoll_pwait          583      0   243.404     0.000     0.418     8.251      7.07%
   recvfrom           31828      0    44.804     0.001     0.001     0.048      0.26%

 helper (8521), 12 events, 0.0%

   syscall            calls  errors  total       min       avg       max       stddev
                                     (msec)    (msec)    (msec)    (msec)        (%)
   --------------- --------  ------ -------- --------- --------- ---------     ------
   epoll_pwait            6      0     0.404     0.000     0.418     8.251      7.07%

";

    #[test]
    fn the_tables_of_all_threads_are_added() {
        let calls = [
            ("recvfrom".to_owned(), 31_828),
            ("epoll_pwait".to_owned(), 589),
        ];
        assert_eq!(parse(TWO_THREADS).unwrap(), calls);
        assert!(parse("\n Summary of events:\n\n").is_err());
        let all = Calls {
            cell: "a".to_owned(),
            subject: "relay".to_owned(),
            answered: 31_828,
            per_request: 1.0185,
            calls: calls.to_vec(),
        };
        let table = table(&[all]);
        assert!(table.contains("recvfrom                  1.000"), "{table}");
        assert!(table.contains("epoll_pwait               0.019"), "{table}");
    }
}
