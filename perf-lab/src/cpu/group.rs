//! A control group for one subject: its CPU time by an account that survives threads and processes
//! which end, to the nanosecond or microsecond.
//!
//! Groups can be made by root where version 2 of control groups, or `cpuacct` of version 1, is
//! mounted. Where they cannot, there is none, and the accounts of processes have to do. A group
//! that would be a party of its own in the scheduler is not used: it would change what is measured.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long processes may take to leave a group that ends.
const END: Duration = Duration::from_secs(2);

/// A group; it and what is left in it end when dropped.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
    account: Account,
}

/// Where the CPU time stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Account {
    /// `cpu.stat` of version 2, microseconds.
    Unified,
    /// `cpuacct.usage` of version 1, nanoseconds.
    Cpuacct,
}

impl Group {
    /// An empty one below our own, if there can be one here.
    pub fn create() -> Option<Self> {
        let (mounts, own) = (text("/proc/mounts"), text("/proc/self/cgroup"));
        homes(&mounts, &own)
            .into_iter()
            .find_map(|(folder, account)| Self::create_in(&folder, account))
    }

    fn create_in(folder: &Path, account: Account) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let controllers = fs::read_to_string(folder.join("cgroup.subtree_control"));
        if account == Account::Unified && has(controllers.as_deref().unwrap_or(""), ' ', "cpu") {
            return None;
        }
        let number = NUMBER.fetch_add(1, Relaxed);
        let path = folder.join(format!("perf-lab-{}-{number}", std::process::id()));
        fs::create_dir(&path).ok()?;
        let group = Self { path, account };
        // Some systems let groups be made that cannot be used.
        group.usage().is_ok().then_some(group)
    }

    /// Takes a process in, with all of its threads; those that it starts later are in it too.
    ///
    /// # Errors
    /// If the process is gone, or the system refuses.
    pub fn take(&self, pid: u32) -> io::Result<()> {
        fs::write(self.path.join("cgroup.procs"), pid.to_string())
    }

    /// CPU time of everything that is or was in it.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn usage(&self) -> io::Result<Duration> {
        let (file, read): (_, fn(&str) -> Option<Duration>) = match self.account {
            Account::Unified => ("cpu.stat", unified),
            Account::Cpuacct => ("cpuacct.usage", cpuacct),
        };
        let path = self.path.join(file);
        let strange = || io::Error::other(format!("{}: no CPU time in it", path.display()));
        read(&fs::read_to_string(&path)?).ok_or_else(strange)
    }

    /// Processes that are in it now.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn pids(&self) -> io::Result<Vec<u32>> {
        let text = fs::read_to_string(self.path.join("cgroup.procs"))?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    }

    /// Ends what the subject left behind: nothing else is in it.
    fn empty(&self) {
        for pid in self.pids().unwrap_or_default() {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            // One that is gone by now is what is wanted.
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let began = Instant::now();
        while fs::remove_dir(&self.path).is_err() && began.elapsed() < END {
            self.empty();
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Folders in which a group may be made, the better account first.
fn homes(mounts: &str, own: &str) -> Vec<(PathBuf, Account)> {
    let mut homes = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(mount), Some(kind), Some(options)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let account = match kind {
            "cgroup2" => Account::Unified,
            // Mounted together with `cpu` a group takes part in scheduling.
            "cgroup" if has(options, ',', "cpuacct") && !has(options, ',', "cpu") => {
                Account::Cpuacct
            }
            _ => continue,
        };
        if let Some(path) = own_path(own, account) {
            homes.push((Path::new(mount).join(path.trim_start_matches('/')), account));
        }
    }
    homes.sort_by_key(|(_, account)| *account != Account::Cpuacct);
    homes
}

/// Our own group: the third field of a line of `/proc/self/cgroup`.
fn own_path(own: &str, account: Account) -> Option<&str> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = match account {
            Account::Unified => controllers.is_empty(),
            Account::Cpuacct => has(controllers, ',', "cpuacct"),
        };
        is_it.then_some(path)
    })
}

fn has(list: &str, sign: char, name: &str) -> bool {
    list.trim().split(sign).any(|item| item == name)
}

fn unified(text: &str) -> Option<Duration> {
    let mut lines = text.lines();
    let usage = lines.find_map(|line| line.strip_prefix("usage_usec "))?;
    usage.parse().ok().map(Duration::from_micros)
}

fn cpuacct(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_nanos)
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_found_and_those_that_schedule_are_not() {
        let mounts = "cgroup /cg/cpuacct cgroup rw,cpuacct 0 0\n\
                      cgroup /cg/both cgroup rw,cpu,cpuacct 0 0\n\
                      proc /proc proc rw 0 0\n\
                      cgroup2 /cg/unified cgroup2 rw 0 0\n";
        let own = "4:memory:/m\n2:cpuacct:/a\n0::/u/v\n";
        let expect = [
            (PathBuf::from("/cg/cpuacct/a"), Account::Cpuacct),
            (PathBuf::from("/cg/unified/u/v"), Account::Unified),
        ];
        assert_eq!(homes(mounts, own), expect);
        assert_eq!(homes("", own), []);
    }

    #[test]
    fn accounts_are_read() {
        let text = "usage_usec 472620\nuser_usec 472620\nsystem_usec 0\n";
        assert_eq!(unified(text), Some(Duration::from_micros(472_620)));
        assert_eq!(cpuacct("17\n"), Some(Duration::from_nanos(17)));
        assert_eq!(unified("nonsense"), None);
    }
}
