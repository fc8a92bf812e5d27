//! Which CPUs the workers get: those that the process may use, as many as its CPU quota is worth.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fastpath_sys::affinity;

/// One CPU per worker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Placement {
    /// The CPU of each worker, in their order. A CPU stands twice only if more workers were asked
    /// for than there are CPUs.
    pub cpus: Vec<u32>,
    /// Whether workers are pinned to their CPU: only if each CPU that the process may use has one.
    pub pinned: bool,
}

impl Placement {
    /// Places `workers` workers, by default as many as the process may use CPUs (affinity mask, and
    /// the cgroup's quota rounded up).
    pub fn new(workers: Option<usize>) -> io::Result<Self> {
        let allowed = affinity::allowed_cpus()?;
        let quota = quota(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"));
        Ok(place(&allowed, workers, quota))
    }

    /// Number of workers.
    pub fn workers(&self) -> usize {
        self.cpus.len()
    }
}

fn place(allowed: &[u32], workers: Option<usize>, quota: Option<usize>) -> Placement {
    let usable = quota.map_or(allowed.len(), |quota| quota.min(allowed.len()));
    let workers = workers.unwrap_or(usable).max(1);
    Placement {
        cpus: allowed.iter().copied().cycle().take(workers).collect(),
        // With more workers than CPUs the scheduler places them better than a fixed pin; with fewer
        // it alone knows which CPUs are free, since every process would choose the same ones; and
        // under a quota below the mask, CPUs are time, not places.
        pinned: workers == allowed.len() && usable == allowed.len(),
    }
}

/// The CPU quota of this process's cgroup (version 2) and all above it, in whole CPUs, rounded up.
fn quota(membership: &Path, root: &Path) -> Option<usize> {
    let text = fs::read_to_string(membership).ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folder: PathBuf = root.join(own);
    folder
        .ancestors()
        .take_while(|folder| folder.starts_with(root))
        .filter_map(|folder| fs::read_to_string(folder.join("cpu.max")).ok())
        .filter_map(|text| parse_quota(&text))
        .min()
}

/// `cpu.max` is `max 100000` or `150000 100000`: microseconds per period.
fn parse_quota(text: &str) -> Option<usize> {
    let (quota, period) = text.trim().split_once(' ')?;
    let quota: usize = quota.parse().ok()?;
    let period: usize = period.parse().ok()?;
    (period > 0).then(|| quota.div_ceil(period).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_follow_mask_and_quota() {
        let check = |workers, quota, cpus: &[u32], pinned| {
            let expect = Placement {
                cpus: cpus.to_vec(),
                pinned,
            };
            assert_eq!(place(&[2, 3, 5], workers, quota), expect);
        };
        check(None, None, &[2, 3, 5], true);
        check(Some(2), None, &[2, 3], false);
        check(Some(3), None, &[2, 3, 5], true);
        check(Some(4), None, &[2, 3, 5, 2], false);
        check(None, Some(2), &[2, 3], false);
        check(None, Some(64), &[2, 3, 5], true);
    }

    #[test]
    fn quotas_round_up() {
        assert_eq!(parse_quota("max 100000\n"), None);
        assert_eq!(parse_quota("150000 100000\n"), Some(2));
        assert_eq!(parse_quota("1000 100000"), Some(1));
        assert_eq!(parse_quota("nonsense"), None);
    }
}
