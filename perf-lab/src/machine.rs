//! The machine: what it is, for the record, and how much of it somebody else took, for the rules.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, getrlimit};
use rustix::thread::sched_getaffinity;

use crate::record::Environment;

/// Facts that are files of one line: name and path.
const FACTS: [(&str, &str); 12] = [
    (
        "governor",
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    ),
    (
        "transparent huge pages",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ),
    ("io_uring_disabled", "/proc/sys/kernel/io_uring_disabled"),
    ("somaxconn", "/proc/sys/net/core/somaxconn"),
    (
        "ip_local_port_range",
        "/proc/sys/net/ipv4/ip_local_port_range",
    ),
    ("tcp_tw_reuse", "/proc/sys/net/ipv4/tcp_tw_reuse"),
    ("tcp_rmem", "/proc/sys/net/ipv4/tcp_rmem"),
    ("tcp_wmem", "/proc/sys/net/ipv4/tcp_wmem"),
    ("mtu of lo", "/sys/class/net/lo/mtu"),
    (
        "clock source",
        "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    ),
    ("load average at the start", "/proc/loadavg"),
    ("command line of the kernel", "/proc/cmdline"),
];

/// The machine and its state now.
pub fn environment() -> Environment {
    let cpuinfo = text("/proc/cpuinfo");
    let meminfo = text("/proc/meminfo");
    let release = text("/etc/os-release");
    let memory = field(&meminfo, "MemTotal", ':').and_then(|value| value.split(' ').next());
    Environment {
        host: line("/proc/sys/kernel/hostname"),
        cpu_model: field(&cpuinfo, "model name", ':').unwrap_or("").to_owned(),
        cpus: sched_getaffinity(None).map_or(0, |set| set.count()),
        numa_nodes: numa_nodes(),
        memory: memory.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10,
        kernel: line("/proc/sys/kernel/osrelease"),
        system: field(&release, "PRETTY_NAME", '=')
            .unwrap_or("")
            .trim_matches('"')
            .to_owned(),
        hypervisor: hypervisor(&cpuinfo),
        congestion_control: line("/proc/sys/net/ipv4/tcp_congestion_control"),
        facts: facts(&cpuinfo),
        git_rev: git(&["rev-parse", "--short=12", "HEAD"]),
        dirty: !git(&["status", "--porcelain"]).is_empty(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn facts(cpuinfo: &str) -> Vec<(String, String)> {
    let known = FACTS
        .iter()
        .map(|(name, path)| ((*name).to_owned(), line(path)));
    let mut facts: Vec<(String, String)> = known.filter(|(_, value)| !value.is_empty()).collect();
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
    facts.push(("open files".to_owned(), limit));
    if let Some(bugs) = field(cpuinfo, "bugs", ':') {
        facts.push(("cpu bugs".to_owned(), bugs.to_owned()));
    }
    facts.push(("mitigations".to_owned(), mitigations()));
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    facts.push(("build of perf-lab".to_owned(), build.to_owned()));
    facts
}

/// Memory that lies apart: folders `node0`, `node1`, … of the kernel.
fn numa_nodes() -> u32 {
    let entries = fs::read_dir("/sys/devices/system/node").into_iter();
    let is_node = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("node"));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let entries = entries.flatten().flatten();
    u32::try_from(entries.filter(is_node).count()).unwrap_or(u32::MAX)
}

/// What the kernel does against each weakness of the CPU, those that do not concern it left out.
fn mitigations() -> String {
    let folder = Path::new("/sys/devices/system/cpu/vulnerabilities");
    let mut all: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let state = fs::read_to_string(entry.path()).ok()?;
            let state = state.trim();
            let concerns = state != "Not affected";
            concerns.then(|| format!("{}: {state}", entry.file_name().to_string_lossy()))
        })
        .collect();
    all.sort();
    all.join("; ")
}

fn hypervisor(cpuinfo: &str) -> String {
    let flags = field(cpuinfo, "flags", ':').unwrap_or("");
    if !flags.split(' ').any(|flag| flag == "hypervisor") {
        return "none".to_owned();
    }
    let named = ["/sys/hypervisor/type", "/sys/class/dmi/id/sys_vendor"].map(line);
    let named = named.into_iter().find(|name| !name.is_empty());
    named.unwrap_or_else(|| "yes, unnamed".to_owned())
}

/// Of the tree that this program was built from, where it is still there; else empty.
fn git(arguments: &[&str]) -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output();
    let output = output.ok().filter(|output| output.status.success());
    output.map_or_else(String::new, |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

/// Value behind the first line that begins with `name`.
fn field<'a>(text: &'a str, name: &str, sign: char) -> Option<&'a str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(sign));
    pairs
        .find(|(known, _)| known.trim() == name)
        .map(|(_, value)| value.trim())
}

fn line(path: &str) -> String {
    text(path).trim().to_owned()
}

/// A file, or nothing: kernels differ in what they show.
fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Time of some CPUs so far, as the kernel accounts for it.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// All of it, in ticks.
    total: u64,
    /// What the hypervisor gave to others, in ticks.
    steal: u64,
    /// Nanoseconds of the ksoftirqd threads.
    ksoftirqd: u64,
}

impl Times {
    /// Until now, of these CPUs: what the hypervisor took of those that stand idle hurt nobody, and
    /// would hide what it took of the others.
    pub fn of(cpus: &[usize]) -> Self {
        let (total, steal) = stat(&text("/proc/stat"), cpus);
        Self {
            total,
            steal,
            ksoftirqd: ksoftirqd(),
        }
    }

    /// Share of the time since `earlier` that the hypervisor took, in per cent.
    pub fn steal_since(&self, earlier: &Times) -> f64 {
        let total = self.total.saturating_sub(earlier.total).max(1);
        100.0 * self.steal.saturating_sub(earlier.steal) as f64 / total as f64
    }

    /// Nanoseconds of the ksoftirqd threads since `earlier`.
    pub fn ksoftirqd_since(&self, earlier: &Times) -> u64 {
        self.ksoftirqd.saturating_sub(earlier.ksoftirqd)
    }
}

/// Sums over lines `cpuN` of /proc/stat: user nice system idle iowait irq softirq steal; guest time
/// behind them is part of user time.
fn stat(text: &str, cpus: &[usize]) -> (u64, u64) {
    let (mut total, mut steal) = (0, 0);
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let cpu = fields.next().and_then(|name| name.strip_prefix("cpu"));
        if !cpu.is_some_and(|cpu| cpu.parse().is_ok_and(|cpu| cpus.contains(&cpu))) {
            continue;
        }
        let numbers: Vec<u64> = fields
            .take(8)
            .filter_map(|field| field.parse().ok())
            .collect();
        total += numbers.iter().sum::<u64>();
        steal += numbers.get(7).copied().unwrap_or(0);
    }
    (total, steal)
}

fn ksoftirqd() -> u64 {
    let own = |entry: fs::DirEntry| {
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        let schedstat = entry.path().join("schedstat");
        let text = name
            .starts_with("ksoftirqd/")
            .then(|| fs::read_to_string(schedstat))?;
        text.ok()?.split(' ').next()?.parse::<u64>().ok()
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(own).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_says_what_it_is() {
        let environment = environment();
        assert!(
            environment.cpus > 0 && environment.memory > 0,
            "{environment:?}"
        );
        assert!(!environment.kernel.is_empty());
        let named = |name: &str| environment.facts.iter().any(|(known, _)| known == name);
        assert!(named("open files") && named("mitigations"));
    }

    #[test]
    fn steal_is_a_share_of_the_time_of_the_cpus_that_matter() {
        let earlier = Times {
            total: 100,
            ..Times::default()
        };
        let text = "cpu  20 0 40 1320 0 8 4 8 0 0\ncpu0 10 0 20 160 0 4 2 4 0 0\n\
                    cpu1 10 0 20 960 0 4 2 4 0 0\ncpu10 9 9 9 9 9 9 9 9\nintr 7\n";
        let (total, steal) = stat(text, &[0]);
        assert_eq!((total, steal), (200, 4));
        assert_eq!(stat(text, &[0, 1]), (1_200, 8));
        let later = Times {
            total,
            steal,
            ksoftirqd: 7,
        };
        assert_eq!(later.steal_since(&earlier), 4.0);
        assert_eq!(later.ksoftirqd_since(&earlier), 7);
    }
}
