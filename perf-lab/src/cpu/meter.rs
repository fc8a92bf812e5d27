//! Reads what a subject used so far, by two accounts: its threads one by one, which forgets those
//! that end, and one that survives them.
//!
//! | account | source | how exact |
//! |---|---|---|
//! | threads | `/proc/PID/task/TID/schedstat` | nanoseconds, of what is alive |
//! | `cgroup` | usage of the subject's own control group | microseconds, of all there ever was |
//! | `ticks` | utime, stime, cutime, cstime of `/proc/PID/stat` | four ticks for each process |

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::accounts::{Accounts, family, tasks, tick};
use super::group::Group;
use crate::record::Cost;

/// What a record calls the account of a control group.
pub(crate) const CGROUP: &str = "cgroup";
/// What it calls the account of whole processes.
const TICKS: &str = "ticks";
/// Share of the CPU time that may be blurred in a figure that is taken from `ticks`.
const BLUR_MAX: f64 = 0.01;

/// Reads the accounts of one subject.
#[derive(Clone, Debug)]
pub struct Meter {
    /// Its process.
    pub pid: u32,
    /// Its control group, where it has one.
    pub group: Option<Arc<Group>>,
    /// Its processes come and go, as reloads make them: the account that survives is the figure.
    pub churns: bool,
}

/// Accounts at one time.
#[derive(Clone, Debug)]
pub struct Reading {
    accounts: Accounts,
    tasks: BTreeSet<u32>,
    /// Of the group, before and after the rest was read.
    group: Option<[u64; 2]>,
}

impl Meter {
    /// What was used so far.
    ///
    /// # Errors
    /// If the subject is gone.
    pub fn read(&self) -> io::Result<Reading> {
        let pids = self.pids()?;
        let usage = || self.group.as_deref().map(Group::usage).transpose();
        let before = usage()?;
        let (accounts, tasks) = (Accounts::of_all(&pids), tasks(&pids));
        let both = before.zip(usage()?);
        if accounts.processes == 0 {
            return Err(io::Error::other(format!("process {} is gone", self.pid)));
        }
        Ok(Reading {
            accounts,
            tasks,
            group: both.map(|(before, after)| [before, after].map(|time| time.as_nanos() as u64)),
        })
    }

    /// All processes of the subject.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn pids(&self) -> io::Result<Vec<u32>> {
        match &self.group {
            Some(group) => group.pids(),
            None => family(self.pid),
        }
    }

    /// What was used from `first` to `last`.
    pub fn cost(&self, first: &Reading, last: &Reading) -> Cost {
        let threads = last.accounts.since(&first.accounts);
        let (accounted, accounted_by) = match (first.group, last.group) {
            (Some(first), Some(last)) => (middle(last).saturating_sub(middle(first)), CGROUP),
            _ => (threads.accounted, TICKS),
        };
        let on_cpu = match self.churns {
            false => threads.on_cpu,
            // A figure that may be wrong by more than the rules allow is none.
            true if self.blur(first, last) as f64 > accounted as f64 * BLUR_MAX => 0,
            true => accounted,
        };
        Cost {
            on_cpu,
            accounted,
            accounted_by: accounted_by.to_owned(),
            ended: first.tasks.difference(&last.tasks).count() as u32,
            ..threads
        }
    }

    /// Nanoseconds by which both accounts may differ without a fault: what ran while they were
    /// read, or what is rounded to ticks, user and system time at both ends.
    pub fn blur(&self, first: &Reading, last: &Reading) -> u64 {
        match (first.group, last.group) {
            (Some(first), Some(last)) => (first[1] - first[0]) + (last[1] - last[0]),
            _ => 4 * tick() * u64::from(last.accounts.processes),
        }
    }
}

fn middle([before, after]: [u64; 2]) -> u64 {
    before.midpoint(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(on_cpu_ms: u64, ticks_ms: u64, group_ms: Option<u64>, tasks: &[u32]) -> Reading {
        let mut accounts = Accounts {
            user: ticks_ms * 1_000_000,
            processes: 1,
            ..Accounts::default()
        };
        accounts.usage.on_cpu = std::time::Duration::from_millis(on_cpu_ms);
        Reading {
            accounts,
            tasks: tasks.iter().copied().collect(),
            group: group_ms.map(|ms| [ms * 1_000_000; 2]),
        }
    }

    fn meter(churns: bool) -> Meter {
        Meter {
            pid: 1,
            group: None,
            churns,
        }
    }

    #[test]
    fn threads_that_end_are_counted_and_their_time_survives_in_the_other_account() {
        let first = reading(100, 100, Some(100), &[1, 2]);
        let last = reading(150, 190, Some(200), &[1, 3, 4]);
        let cost = meter(false).cost(&first, &last);
        assert_eq!((cost.on_cpu, cost.accounted), (50_000_000, 100_000_000));
        assert_eq!((cost.accounted_by.as_str(), cost.ended), ("cgroup", 1));
        assert_eq!(meter(true).cost(&first, &last).on_cpu, 100_000_000);
    }

    #[test]
    fn ticks_are_a_figure_only_where_they_are_fine_enough() {
        let first = reading(0, 0, None, &[1]);
        let long = reading(100, 5_000, None, &[1]);
        let cost = meter(true).cost(&first, &long);
        assert_eq!(cost.on_cpu, 5_000_000_000);
        assert_eq!(cost.accounted_by, "ticks");
        let short = reading(100, 200, None, &[1]);
        assert_eq!(meter(true).cost(&first, &short).on_cpu, 0);
        assert_eq!(meter(false).cost(&first, &short).on_cpu, 100_000_000);
    }
}
