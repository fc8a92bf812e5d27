//! Everything that a process and its children used so far: CPU time by two independent accounts,
//! context switches, memory.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use super::{Usage, children};
use crate::record::Cost;

/// What a tree of processes used so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Accounts {
    /// By thread, from schedstat; threads that ended are not in it.
    pub usage: Usage,
    /// User time of whole processes, ended threads and awaited children included; nanoseconds
    /// counted in ticks.
    pub user: u64,
    /// System time, likewise.
    pub system: u64,
    /// Context switches that were asked for.
    pub voluntary: u64,
    /// Context switches that were not.
    pub involuntary: u64,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Processes.
    pub processes: u32,
}

impl Accounts {
    /// Of `pid` and all its children now.
    ///
    /// # Errors
    /// If there is no such process or /proc cannot be read.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self::of_all(&family(pid)?))
    }

    /// Of these processes; those that have ended are left out.
    pub fn of_all(pids: &[u32]) -> Self {
        let mut sum = Self::default();
        pids.iter()
            .filter_map(|pid| Self::of_one(*pid).ok())
            .for_each(|one| sum.add(&one));
        sum
    }

    fn of_one(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        let ticks = times(&stat);
        let (voluntary, involuntary) = switches(pid)?;
        let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
        Ok(Self {
            usage: Usage::of_one(pid)?,
            user: nanoseconds(ticks[0] + ticks[2]),
            system: nanoseconds(ticks[1] + ticks[3]),
            voluntary,
            involuntary,
            resident: pages.unwrap_or(0_u64) * rustix::param::page_size() as u64,
            processes: 1,
        })
    }

    fn add(&mut self, other: &Accounts) {
        self.usage.add(other.usage);
        self.user += other.user;
        self.system += other.system;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
        self.resident += other.resident;
        self.processes += other.processes;
    }

    /// What was used since `earlier`; memory before the first connection and what the machine did
    /// are not known here.
    pub fn since(&self, earlier: &Accounts) -> Cost {
        let usage = self.usage.since(earlier.usage);
        let (user, system) = (
            self.user.saturating_sub(earlier.user),
            self.system.saturating_sub(earlier.system),
        );
        Cost {
            on_cpu: usage.on_cpu.as_nanos() as u64,
            waiting: usage.waiting.as_nanos() as u64,
            user,
            system,
            switches_voluntary: self.voluntary.saturating_sub(earlier.voluntary),
            switches_involuntary: self.involuntary.saturating_sub(earlier.involuntary),
            threads: usage.threads as u32,
            resident: self.resident,
            accounted: user + system,
            ..Cost::default()
        }
    }

    /// All context switches.
    pub fn switches(&self) -> u64 {
        self.voluntary + self.involuntary
    }
}

/// `pid` and all its children.
///
/// # Errors
/// If /proc cannot be read.
pub(crate) fn family(pid: u32) -> io::Result<Vec<u32>> {
    let mut all = vec![pid];
    for child in children(pid)? {
        all.extend(family(child)?);
    }
    Ok(all)
}

/// Threads of these processes that are alive.
pub(super) fn tasks(pids: &[u32]) -> BTreeSet<u32> {
    let folders = pids
        .iter()
        .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
    let names = folders.flatten().flatten().map(|task| task.file_name());
    names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect()
}

/// Length of a tick, to which the accounts of processes are rounded.
pub(super) fn tick() -> u64 {
    1_000_000_000 / rustix::param::clock_ticks_per_second().max(1)
}

fn nanoseconds(ticks: u64) -> u64 {
    ticks * tick()
}

/// utime, stime, cutime and cstime: fields 14 to 17 of `/proc/PID/stat`.
fn times(stat: &str) -> [u64; 4] {
    let (_, rest) = stat.rsplit_once(')').unwrap_or(("", ""));
    let mut fields = rest.split_whitespace().skip(11);
    [(); 4].map(|()| {
        fields
            .next()
            .and_then(|field| field.parse().ok())
            .unwrap_or(0)
    })
}

/// Context switches of all threads.
fn switches(pid: u32) -> io::Result<(u64, u64)> {
    let (mut voluntary, mut involuntary) = (0, 0);
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the list and the question.
        let Ok(status) = fs::read_to_string(task?.path().join("status")) else {
            continue;
        };
        for line in status.lines() {
            let count = |line: &str| line.trim().parse::<u64>().unwrap_or(0);
            if let Some(rest) = line.strip_prefix("voluntary_ctxt_switches:") {
                voluntary += count(rest);
            } else if let Some(rest) = line.strip_prefix("nonvoluntary_ctxt_switches:") {
                involuntary += count(rest);
            }
        }
    }
    Ok((voluntary, involuntary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_accounts() {
        let pid = std::process::id();
        let before = Accounts::of(pid).unwrap();
        assert!(before.resident > 0 && before.processes >= 1);
        let later = Accounts::of_all(&[pid, u32::MAX]);
        assert!(later.switches() >= before.switches());
        let cost = later.since(&before);
        assert_eq!(cost.accounted, cost.user + cost.system);
    }

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 0 0 0 0 0 11 12 13 14 20 0";
        assert_eq!(times(stat), [11, 12, 13, 14]);
    }
}
