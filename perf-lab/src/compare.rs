//! One comparison: CPU time per request of several gateways in one run, interleaved.
//!
//! Every subject runs in every round, forwards and then backwards (A B C C B A), so that drift
//! cancels; the result is the median over rounds of the ratio to the first subject. Each run is a
//! fresh process with the same warm-up. A run with a single wrong answer is void, and so is the
//! comparison.

mod subject;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::cpu::{self, Sample};
use crate::load::Load;
use crate::origin::{Behaviour, Origin};
use crate::statistics::{deviation, median};
pub use subject::{Kind, Subject};

/// Where the parts run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Everything on one CPU.
    OneCore,
    /// The subject on the first CPU, load and origin on the second.
    Split,
}

/// What is compared, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The subjects; ratios are taken to the first one.
    pub subjects: Vec<Subject>,
    /// Where the parts run.
    pub layout: Layout,
    /// Rounds; each subject runs twice in each.
    pub rounds: usize,
    /// Load before each measurement.
    pub warm_up: Duration,
    /// Length of each measurement.
    pub window: Duration,
    /// Connections of the load.
    pub connections: usize,
    /// Body of each answer.
    pub size: u64,
    /// Kept connections, or one for each request.
    pub keep_alive: bool,
    /// Folder for configurations and logs of the subjects.
    pub folder: PathBuf,
}

/// What one subject needed.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// Median CPU time per request.
    pub microseconds: f64,
    /// Median over rounds of the ratio to the first subject.
    pub ratio: f64,
    /// Median absolute deviation of those ratios.
    pub spread: f64,
    /// New connections to the origin for each request.
    pub connections_per_request: f64,
}

impl Plan {
    /// Runs all rounds; calls `progress` after each run.
    ///
    /// # Errors
    /// If a subject does not start, or one of its answers is wrong.
    pub fn run(&self, mut progress: impl FnMut(&str, &Sample)) -> io::Result<Vec<Outcome>> {
        let mut runs: Vec<Vec<Run>> = self.subjects.iter().map(|_| Vec::new()).collect();
        for _ in 0..self.rounds {
            let forwards = 0..self.subjects.len();
            for index in forwards.clone().chain(forwards.rev()) {
                let run = self.run_one(&self.subjects[index])?;
                progress(&self.subjects[index].name, &run.sample);
                runs[index].push(run);
            }
        }
        // Kept after a failure, for the logs of the subjects; of no use after success.
        let _ = fs::remove_dir_all(&self.folder);
        let first = rounds(&runs[0]);
        let outcomes = self.subjects.iter().zip(&runs);
        Ok(outcomes
            .map(|(subject, runs)| outcome(subject, runs, &first))
            .collect())
    }

    fn run_one(&self, subject: &Subject) -> io::Result<Run> {
        let cpus = self.cpus()?;
        let all = sched_getaffinity(None)?;
        let pinned = Pinned::to(cpus.driver, all)?;
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let origin = Origin::start_on("origin", Behaviour::Fast, listener, 1)?;
        let running = {
            let _pinned = Pinned::to(cpus.subject, all)?;
            subject.start(origin.address(), &self.folder)?
        };
        sched_setaffinity(None, &single(cpus.driver))?;
        running.wait_ready()?;
        let load = self.load(running.address());
        let sample = cpu::measure(running.pid(), &load, self.warm_up)?;
        drop(running);
        drop(pinned);
        if sample.report.failed() > 0 {
            let why = format!("{}: void, {}", subject.name, sample.report);
            return Err(io::Error::other(why));
        }
        let counters = origin.counters();
        Ok(Run {
            sample,
            connections: counters
                .connections
                .load(std::sync::atomic::Ordering::Relaxed),
        })
    }

    fn load(&self, address: SocketAddr) -> Load {
        let mut load = Load::new(address, &format!("/?size={}", self.size));
        load.size = Some(self.size);
        load.keep_alive = self.keep_alive;
        load.connections = self.connections;
        load.duration = Some(self.window);
        load
    }

    fn cpus(&self) -> io::Result<Cpus> {
        let allowed = sched_getaffinity(None)?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let first = usable.next().ok_or_else(|| io::Error::other("no CPU"))?;
        match self.layout {
            Layout::OneCore => Ok(Cpus {
                subject: first,
                driver: first,
            }),
            Layout::Split => Ok(Cpus {
                subject: first,
                driver: usable
                    .next()
                    .ok_or_else(|| io::Error::other("layout S needs two CPUs"))?,
            }),
        }
    }
}

/// One run of one subject.
struct Run {
    sample: Sample,
    /// Connections that the origin accepted.
    connections: u64,
}

struct Cpus {
    subject: usize,
    /// Of load and origin.
    driver: usize,
}

/// The calling thread on one CPU; everything that it starts meanwhile inherits it.
struct Pinned {
    before: CpuSet,
}

impl Pinned {
    fn to(cpu: usize, before: CpuSet) -> io::Result<Self> {
        sched_setaffinity(None, &single(cpu))?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What was allowed before is allowed still.
        let _ = sched_setaffinity(None, &self.before);
    }
}

fn single(cpu: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(cpu);
    set
}

/// CPU time per request of each round: the mean of the two runs in it.
fn rounds(runs: &[Run]) -> Vec<f64> {
    let half = runs.len() / 2;
    (0..half)
        .map(|round| {
            let pair = [&runs[2 * round], &runs[2 * round + 1]];
            pair.iter()
                .map(|run| run.sample.ns_per_request())
                .sum::<f64>()
                / 2.0
        })
        .collect()
}

fn outcome(subject: &Subject, runs: &[Run], first: &[f64]) -> Outcome {
    let ratios: Vec<f64> = rounds(runs)
        .iter()
        .zip(first)
        .map(|(own, first)| own / first)
        .collect();
    let each: Vec<f64> = runs.iter().map(|run| run.sample.ns_per_request()).collect();
    let reuse = |run: &Run| run.connections as f64 / run.sample.report.answered.max(1) as f64;
    let reuse: Vec<f64> = runs.iter().map(reuse).collect();
    Outcome {
        name: subject.name.clone(),
        microseconds: median(&each) / 1000.0,
        ratio: median(&ratios),
        spread: deviation(&ratios),
        connections_per_request: median(&reuse),
    }
}
