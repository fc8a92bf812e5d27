//! CPU time of a process: on-CPU nanoseconds of every thread of it and of its children.
//!
//! The source is the first field of `/proc/PID/task/TID/schedstat`, so helper threads and kernel
//! workers of the process (`iou-wrk-*`) count. Waiting does not. A thread that ends takes its
//! counter
//! along, so a second account that survives it stands beside (`meter`, `group`); `window` is the
//! loop that measures.

mod accounts;
mod group;
mod meter;
pub(crate) mod own;
mod window;

use std::fmt;
use std::fs;
use std::io;
use std::time::Duration;

use crate::load::{Load, Report, Running};
pub use accounts::Accounts;
pub(crate) use accounts::family;
pub use group::Group;
pub(crate) use meter::CGROUP;
pub use meter::{Meter, Reading};
pub(crate) use window::now;
pub use window::{Watched, Window};

/// What all threads of a process did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Time on a CPU.
    pub on_cpu: Duration,
    /// Time in a run queue: a sign of contention.
    pub waiting: Duration,
    /// Threads alive.
    pub threads: usize,
}

impl Usage {
    /// Of `pid` and all its children now.
    ///
    /// # Errors
    /// If there is no such process or /proc cannot be read.
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut sum = Self::of_one(pid)?;
        for child in children(pid)? {
            // A child that ended in between takes its time along; the caller compares threads.
            if let Ok(usage) = Self::of(child) {
                sum.add(usage);
            }
        }
        Ok(sum)
    }

    /// What was used since `earlier`.
    pub fn since(self, earlier: Usage) -> Usage {
        Usage {
            on_cpu: self.on_cpu.saturating_sub(earlier.on_cpu),
            waiting: self.waiting.saturating_sub(earlier.waiting),
            threads: self.threads,
        }
    }

    fn of_one(pid: u32) -> io::Result<Self> {
        let mut sum = Self::default();
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let mut fields = text.split_whitespace().map(str::parse);
            let mut next = || fields.next().and_then(Result::ok).unwrap_or(0);
            sum.add(Self {
                on_cpu: Duration::from_nanos(next()),
                waiting: Duration::from_nanos(next()),
                threads: 1,
            });
        }
        Ok(sum)
    }

    fn add(&mut self, other: Usage) {
        self.on_cpu += other.on_cpu;
        self.waiting += other.waiting;
        self.threads += other.threads;
    }
}

/// CPU time of a process over a window of checked answers.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// What the process used in the window.
    pub usage: Usage,
    /// Correct answers in the window.
    pub answered: u64,
    /// Length of the window.
    pub window: Duration,
    /// The whole load run, warm-up included.
    pub report: Report,
}

impl Sample {
    /// On-CPU time per answer.
    pub fn ns_per_request(&self) -> f64 {
        self.usage.on_cpu.as_nanos() as f64 / self.answered.max(1) as f64
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} ns CPU per request, {} requests in {:.1} s, busy {:.0} %, {} threads, {} failed",
            self.ns_per_request(),
            self.answered,
            self.window.as_secs_f64(),
            100.0 * self.usage.on_cpu.as_secs_f64() / self.window.as_secs_f64().max(1e-9),
            self.usage.threads,
            self.report.failed(),
        )
    }
}

/// Runs `load` for a warm-up and its own duration (10 s if it has none), and measures `pid` over
/// the latter. The window closes before the load stops.
///
/// # Errors
/// If there is no such process, or the load could not start.
pub fn measure(pid: u32, load: &Load, warm_up: Duration) -> io::Result<Sample> {
    let window = load.duration.unwrap_or(Duration::from_secs(10));
    let endless = Load {
        duration: None,
        ..load.clone()
    };
    sample(pid, endless.start()?, warm_up, window)
}

/// Measures `pid` under a load that has no end of its own: a warm-up, then a window that closes
/// before the load stops.
///
/// # Errors
/// If there is no such process, or a thread of the load could not poll its sockets.
pub fn sample(
    pid: u32,
    running: Running,
    warm_up: Duration,
    length: Duration,
) -> io::Result<Sample> {
    let meter = Meter {
        pid,
        group: None,
        churns: false,
    };
    let mut rest = |length| {
        std::thread::sleep(length);
        Ok(())
    };
    rest(warm_up)?;
    let window = Window {
        meter,
        running: &running,
        length,
    };
    let watched = window.watch(&mut rest)?;
    running.stop();
    Ok(Sample {
        usage: Usage {
            on_cpu: Duration::from_nanos(watched.cost.on_cpu),
            waiting: Duration::from_nanos(watched.cost.waiting),
            threads: watched.cost.threads as usize,
        },
        answered: watched.seen.report.answered,
        window: watched.seen.length,
        report: running.finish()?,
    })
}

/// Names of all threads of a process, for a check that no unexpected one exists.
///
/// # Errors
/// If there is no such process.
pub fn thread_names(pid: u32) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        if let Ok(name) = fs::read_to_string(task?.path().join("comm")) {
            names.push(name.trim_end().to_owned());
        }
    }
    Ok(names)
}

fn children(pid: u32) -> io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some(number) = number
            && parent(number) == Some(pid)
        {
            children.push(number);
        }
    }
    Ok(children)
}

/// Fourth field of `/proc/PID/stat`; the second one is in parentheses and may hold anything.
fn parent(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Usage, thread_names};

    #[test]
    fn this_process_has_threads_and_used_time() {
        let pid = std::process::id();
        let before = Usage::of(pid).unwrap();
        let sum: u64 = (0..2_000_000_u64).map(std::hint::black_box).sum();
        assert!(sum > 0);
        let used = Usage::of(pid).unwrap().since(before);
        assert!(used.threads >= 1);
        assert!(!thread_names(pid).unwrap().is_empty());
    }
}
