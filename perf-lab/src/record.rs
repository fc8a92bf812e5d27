//! What a measurement leaves behind: plain values, written as they are and read back later.
//!
//! This is the wall inside perf-lab. `experiment` and `run` fill a [`Campaign`]; `report` turns it
//! into files and pages and never measures; `compare` reads two of them. Times are UTC in
//! nanoseconds since 1970 or lengths in nanoseconds; sizes are bytes.

use serde::{Deserialize, Serialize};

/// One experiment as it was run: every subject, every cell, every round.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Campaign {
    /// UUID; `exp_group_uuid` of the reports.
    pub id: String,
    /// Name of the experiment.
    pub name: String,
    /// What it is about, one sentence.
    pub about: String,
    /// The experiment file, word for word.
    pub experiment: String,
    /// The command that ran it.
    pub command: Vec<String>,
    /// When the first run began.
    pub started: u64,
    /// When the last run ended.
    pub ended: u64,
    /// Where it ran.
    pub environment: Environment,
    /// Where the parts ran: `C` (all on one CPU) or `S` (the subject on its own).
    pub layout: String,
    /// Rounds; every subject runs twice in each, forwards and backwards.
    pub rounds: u32,
    /// Load before each window.
    pub warm_up: u64,
    /// Length of each window.
    pub window: u64,
    /// The workloads, in the order of the file.
    pub cells: Vec<Cell>,
    /// The subjects, in the order of the file; ratios are taken to [`Campaign::baseline`].
    pub subjects: Vec<Subject>,
    /// Subject that ratios are taken to.
    pub baseline: String,
    /// Every run, in the order of time.
    pub runs: Vec<Run>,
    /// Subjects that could not run, with the reason and the remedy.
    pub skipped: Vec<Skipped>,
    /// False until the last run is in: a campaign that broke off is never taken for a whole one.
    pub complete: bool,
    /// Decides the order of subjects, the arrivals of requests and what is random in them.
    #[serde(default)]
    pub seed: u64,
}

/// The machine and its state.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Environment {
    /// Name of the machine.
    pub host: String,
    /// As /proc/cpuinfo names it.
    pub cpu_model: String,
    /// CPUs that the process may use.
    pub cpus: u32,
    /// NUMA nodes of the machine; 0 if the kernel does not say.
    #[serde(default)]
    pub numa_nodes: u32,
    /// Memory of the machine.
    pub memory: u64,
    /// `uname -r`.
    pub kernel: String,
    /// From /etc/os-release.
    pub system: String,
    /// Hypervisor, or `none`.
    pub hypervisor: String,
    /// Congestion control of new connections.
    pub congestion_control: String,
    /// Further facts by name: governor, THP, mitigations, offloads, file limits.
    pub facts: Vec<(String, String)>,
    /// Revision of this tree; that of a measured program is [`Subject::revision`].
    pub git_rev: String,
    /// True when the tree had changes.
    pub dirty: bool,
    /// Version of perf-lab.
    pub version: String,
}

/// One workload of an experiment.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Cell {
    /// Name within the experiment, for tables and file names.
    pub name: String,
    /// `http1`, or `tcp`.
    pub protocol: String,
    /// `closed` or `open`.
    pub arrivals: String,
    /// Offered requests per second in an open loop, 0 in a closed one.
    pub rate: u64,
    /// Connections of the load.
    pub connections: u32,
    /// Connections that are open beside and say nothing.
    pub idle: u32,
    /// Bytes of each answer.
    pub response_bytes: u64,
    /// Bytes of each request body, 0 for GET.
    pub request_bytes: u64,
    /// True if bodies are chunked.
    pub chunked: bool,
    /// Fields of each request beside Host.
    pub fields: u32,
    /// Many requests on a connection, or one.
    pub keep_alive: bool,
    /// What else is particular, by name and value: a slow origin, reloads, many upstreams.
    #[serde(default)]
    pub special: Vec<(String, String)>,
}

/// What was measured.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Subject {
    /// Name in tables: `penstock-uring`, `nginx`.
    pub name: String,
    /// `penstock`, `nginx`, `haproxy`, `envoy`, `relay`, `direct`.
    pub product: String,
    /// As the program prints it.
    pub version: String,
    /// Revision that the program says it was built from; empty if it says none.
    #[serde(default)]
    pub revision: String,
    /// Of Penstock and the relays: `io_uring` or `epoll`.
    pub driver: String,
    /// Worker threads.
    pub workers: u32,
    /// The command of the first cell that it can serve, ports left out.
    pub command: Vec<String>,
    /// Its configuration in that cell, as it was given.
    pub configuration: String,
    /// How it is started in each cell; older records have the first one alone.
    #[serde(default)]
    pub starts: Vec<Start>,
}

/// How a subject is started under some cells.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Start {
    /// Indices into [`Campaign::cells`].
    pub cells: Vec<usize>,
    /// The command, ports left out.
    pub command: Vec<String>,
    /// Its configuration, as it was given.
    pub configuration: String,
}

impl Subject {
    /// Its command and configuration in a cell; nothing if it cannot serve it.
    #[must_use]
    pub fn start(&self, cell: usize) -> Option<(&[String], &str)> {
        if self.starts.is_empty() {
            return Some((&self.command, &self.configuration));
        }
        let start = self.starts.iter().find(|start| start.cells.contains(&cell));
        start.map(|start| (start.command.as_slice(), start.configuration.as_str()))
    }
}

/// A subject that did not run.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name.
    pub subject: String,
    /// Cause and remedy in one line.
    pub why: String,
}

/// One subject under one workload, once.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// UUID; `exp_uuid` of the reports.
    pub id: String,
    /// Index into [`Campaign::subjects`].
    pub subject: usize,
    /// Index into [`Campaign::cells`].
    pub cell: usize,
    /// From 0.
    pub round: u32,
    /// True for the way back of a round.
    pub backwards: bool,
    /// Begin of the window, warm-up not included.
    pub started: u64,
    /// End of the window.
    pub ended: u64,
    /// What the load saw in the window.
    pub load: Load,
    /// What the subject used in the window.
    pub cost: Cost,
    /// Why the run does not count; empty if it does.
    pub void: String,
    /// The window in slices.
    pub series: Vec<Slice>,
    /// Where the parts ran.
    #[serde(default)]
    pub cpus: Cpus,
}

/// CPUs that the parts of a run were held to, by their number in the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Cpus {
    /// Of the subject.
    pub subject: Vec<u32>,
    /// Of the load.
    pub load: Vec<u32>,
    /// Of the origin.
    pub origin: Vec<u32>,
}

/// What the load saw in the window.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Load {
    /// Correct answers.
    pub answered: u64,
    /// Answers that were wrong or did not come, by kind; kinds without a case are left out.
    pub failures: Vec<(String, u64)>,
    /// Requests by status of the answer.
    pub statuses: Vec<(u16, u64)>,
    /// Connections that the load opened.
    pub connects: u64,
    /// Connections that the origin accepted.
    pub origin_connects: u64,
    /// Requests that the origin read.
    pub origin_requests: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Latency from the time at which a request should have been sent; open loop only.
    pub corrected: Latency,
    /// Latency from the time at which it was sent.
    pub service: Latency,
    /// 99th percentile of how late requests were sent; open loop only.
    pub lateness_p99: u64,
    /// Time on a CPU of the threads of the load, and of the origin where it is on them too; 0 if it
    /// was not measured.
    #[serde(default)]
    pub on_cpu: u64,
    /// Resident memory of the process that is load and origin; 0 if it was not measured.
    #[serde(default)]
    pub resident: u64,
}

/// A histogram of nanoseconds.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    /// HdrHistogram V2, compressed, base64; empty if nothing was recorded.
    pub histogram: String,
    /// Values recorded.
    pub count: u64,
    /// Least.
    pub min: u64,
    /// Mean.
    pub mean: f64,
    /// Greatest.
    pub max: u64,
    /// Percentile and value: 50, 75, 90, 99, 99.9, 99.99.
    pub percentiles: Vec<(f64, u64)>,
}

/// What the subject used in the window, summed over all of its threads; of `direct`, which is no
/// process, what load and origin used.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Cost {
    /// Time on a CPU, from schedstat; where processes come and go, from the account that survives
    /// them. 0 if it could not be accounted for: then there is no figure and no ratio.
    pub on_cpu: u64,
    /// Time in a run queue.
    pub waiting: u64,
    /// Of it in user mode, from ticks, hence coarse.
    pub user: u64,
    /// Of it in the kernel, from ticks.
    pub system: u64,
    /// Context switches that it asked for.
    pub switches_voluntary: u64,
    /// Context switches that it did not ask for.
    pub switches_involuntary: u64,
    /// Threads at the end.
    pub threads: u32,
    /// Resident memory before the first connection.
    pub resident_before: u64,
    /// Resident memory at the end of the window.
    pub resident: u64,
    /// Time on a CPU by an account that threads and processes do not take along when they end.
    #[serde(default)]
    pub accounted: u64,
    /// Which account that is: `cgroup`, or `ticks` of whole processes; empty if there is none.
    #[serde(default)]
    pub accounted_by: String,
    /// Threads that ended in the window; their context switches and waits are not known.
    #[serde(default)]
    pub ended: u32,
    /// Time on a CPU of the kernel's ksoftirqd threads, which no process is charged for.
    #[serde(default)]
    pub ksoftirqd: u64,
    /// Share of the time that the hypervisor took, in per cent, of the CPUs of the run.
    pub steal: f64,
}

/// A slice of the window, about a tenth of a second to a second long.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Slice {
    /// End of the slice, from the begin of the window.
    pub at: u64,
    /// Correct answers in it.
    pub answered: u64,
    /// Failures in it.
    pub failed: u64,
    /// Median latency in it (corrected in an open loop).
    pub p50: u64,
    /// 99th percentile in it.
    pub p99: u64,
    /// CPU time of the subject in it.
    pub on_cpu: u64,
    /// Resident memory at its end.
    pub resident: u64,
    /// Bytes received in it.
    pub bytes_in: u64,
    /// Context switches of the subject in it.
    pub switches: u64,
}
