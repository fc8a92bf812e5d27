//! Which CPU each part runs on.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::experiment::Layout;
use crate::record::Cpus;

/// CPUs of the parts. What measures is not pinned: it sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Of the subject.
    pub(super) subject: usize,
    /// Of load and origin.
    pub(super) bed: usize,
}

impl Place {
    /// On the first CPUs that this process may use.
    pub(super) fn of(layout: Layout) -> io::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        let none = || io::Error::other("layout S needs two CPUs; use layout C");
        let subject = usable.next().ok_or_else(none)?;
        let bed = match layout {
            Layout::C => subject,
            Layout::S => usable.next().ok_or_else(none)?,
        };
        Ok(Self { subject, bed })
    }

    /// As it is recorded; load and origin are one thread.
    pub(super) fn cpus(self) -> Cpus {
        let [subject, bed] = [self.subject, self.bed].map(|cpu| vec![cpu as u32]);
        Cpus {
            subject,
            load: bed.clone(),
            origin: bed,
        }
    }
}

/// The calling thread on one CPU; everything that it starts meanwhile inherits it.
pub(super) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    pub(super) fn to(cpu: usize) -> io::Result<Self> {
        let before = sched_getaffinity(None)?;
        let mut set = CpuSet::new();
        set.set(cpu);
        sched_setaffinity(None, &set)?;
        Ok(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What was allowed before is allowed still.
        let _ = sched_setaffinity(None, &self.before);
    }
}

/// Priority of load and origin in an open loop, where the system allows it.
const PUNCTUAL: i32 = -15;

/// The calling thread before others; everything that it starts meanwhile inherits it. A load that
/// waits for a CPU is late, and measures its own wait.
pub(super) struct Punctual {
    before: i32,
}

impl Punctual {
    pub(super) fn new() -> Self {
        let before = getpriority_process(None).unwrap_or(0);
        // Where it is refused, the rule about lateness still holds.
        let _ = setpriority_process(None, PUNCTUAL);
        Self { before }
    }
}

impl Drop for Punctual {
    fn drop(&mut self) {
        // Less is always allowed.
        let _ = setpriority_process(None, self.before);
    }
}
