//! Every subject in every round, forwards and then backwards; CPU time of its threads for each
//! round trip that was verified. Client, relay and origin share one CPU (layout C): no cores that
//! idle, no wake-ups between cores, and all threads of a subject are counted.

use std::fmt::Write;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use perf_lab::cpu;
use perf_lab::fused::Fused;
use perf_lab::load::Load;
use perf_lab::origin::Behaviour;
use perf_lab::statistics::{Estimate, median};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::subject::{ALL, Subject, anywhere};

/// Bytes of each answer.
const SIZE: u64 = 1024;
/// Kept connections of the client, and as many to the origin.
const CONNECTIONS: [usize; 2] = [64, 256];

/// How long and how often.
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) window: Duration,
    warm_up: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rounds: 5,
            window: Duration::from_secs(2),
            warm_up: Duration::from_secs(1),
        }
    }
}

/// What every run of every subject cost, in microseconds for each round trip.
type Runs = Vec<Vec<f64>>;

impl Plan {
    /// Measures, and prints the table.
    pub(crate) fn run(&self) -> io::Result<()> {
        pin()?;
        let mut tables = Vec::new();
        for connections in CONNECTIONS {
            tables.push(self.campaign(connections)?);
        }
        print!("{}", table(&tables));
        Ok(())
    }

    /// All rounds with this many connections.
    fn campaign(&self, connections: usize) -> io::Result<Runs> {
        let mut runs = vec![Vec::new(); ALL.len()];
        for round in 1..=self.rounds {
            let forwards = 0..ALL.len();
            for index in forwards.clone().chain(forwards.rev()) {
                let cost = self.cost(ALL[index], connections)?;
                let name = ALL[index].name();
                eprintln!("{connections} connections, round {round}: {name} {cost:.2} µs");
                runs[index].push(cost);
            }
        }
        Ok(runs)
    }

    /// One run: a fresh process, a warm-up, and a window that closes before the load stops.
    fn cost(&self, subject: Subject, connections: usize) -> io::Result<f64> {
        let origin = Fused::start("origin", Behaviour::Fast, TcpListener::bind(anywhere())?)?;
        let relay = Relay::start(subject, origin.address())?;
        let mut load = Load::new(relay.address, &format!("/?size={SIZE}"));
        (load.size, load.connections) = (Some(SIZE), connections);
        let running = origin.start_load(&load)?;
        let sample = cpu::sample(relay.pid(), running, self.warm_up, self.window)?;
        if sample.report.failed() > 0 || sample.answered == 0 {
            let (name, report) = (subject.name(), sample.report);
            let why = format!("{name}: void; {sample}; {report}");
            return Err(io::Error::other(why));
        }
        Ok(sample.ns_per_request() / 1000.0)
    }
}

/// This process on the first CPU that it may use, and with it everything that it starts.
fn pin() -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu));
    let mut only = CpuSet::new();
    only.set(first.ok_or_else(|| io::Error::other("this process may use no CPU"))?);
    Ok(sched_setaffinity(None, &only)?)
}

/// A subject in a process of its own; ends when dropped.
struct Relay {
    child: Child,
    address: SocketAddr,
}

impl Relay {
    fn start(subject: Subject, origin: SocketAddr) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", subject.name(), &origin.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        match line.trim().parse() {
            Ok(address) => Ok(Self { child, address }),
            Err(_) => {
                let name = subject.name();
                child.kill()?;
                child.wait()?;
                let why = format!("{name} does not start; what it said stands above");
                Err(io::Error::other(why))
            }
        }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It has nothing to finish, and if it is gone already that is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The result as Markdown: medians over all runs, and medians of the ratios within each round.
fn table(campaigns: &[Runs]) -> String {
    let mut text = String::from("| relay on |");
    for connections in CONNECTIONS {
        write!(
            text,
            " {connections} connections, µs | ÷ first (low–high) |"
        )
        .expect(MEMORY);
    }
    text.push_str("\n|---|");
    text.push_str(&"---|---|".repeat(CONNECTIONS.len()));
    for (index, subject) in ALL.into_iter().enumerate() {
        write!(text, "\n| {} |", subject.title()).expect(MEMORY);
        for runs in campaigns {
            let ratio = ratio(&rounds(&runs[index]), &rounds(&runs[0]));
            write!(text, " {:.2} | {ratio} |", median(&runs[index])).expect(MEMORY);
        }
    }
    let count = campaigns.first().map_or(0, |runs| runs[0].len() / 2);
    let spread = Estimate::of(&vec![1.0; count]).map_or_else(String::new, |some| some.spread());
    writeln!(text, "\n\nlow–high: {spread}").expect(MEMORY);
    text
}

const MEMORY: &str = "a string takes what is written into it";

fn ratio(own: &[f64], first: &[f64]) -> String {
    let ratios: Vec<f64> = own
        .iter()
        .zip(first)
        .map(|(own, first)| own / first)
        .collect();
    match Estimate::of(&ratios) {
        Some(Estimate {
            median,
            interval: Some((low, high)),
            ..
        }) => format!("{median:.2} ({low:.2}–{high:.2})"),
        Some(Estimate { median, .. }) => format!("{median:.2}"),
        None => "–".into(),
    }
}

/// The mean of both runs of each round. The first run of a round stands as far from its middle as
/// the second, so that drift cancels.
fn rounds(runs: &[f64]) -> Vec<f64> {
    runs.chunks(2)
        .map(|pair| pair.iter().sum::<f64>() / pair.len() as f64)
        .collect()
}
