//! The one measuring loop: a process under load, watched slice by slice over a window.
//!
//! Every figure of CPU time comes from here: of campaigns, of `perf-lab cpu` and of the relays that
//! are compared in `bench/runtimes`. The window opens after the warm-up and closes before the load
//! stops; who rests in between says how.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::meter::{Meter, Reading};
use crate::load::{Observation, Running};
use crate::record::{Cost, Slice};

/// Slices of a window.
const SLICES: u32 = 20;
const SLICE_MIN: Duration = Duration::from_millis(100);
const SLICE_MAX: Duration = Duration::from_secs(1);

/// What is watched, and how long.
#[derive(Clone, Debug)]
pub struct Window<'a> {
    /// Reads the accounts of the subject.
    pub meter: Meter,
    /// The load.
    pub running: &'a Running,
    /// Length of the window.
    pub length: Duration,
}

/// What was seen in a window.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Begin, nanoseconds since 1970.
    pub started: u64,
    /// End.
    pub ended: u64,
    /// What the load saw.
    pub seen: Observation,
    /// What the subject used.
    pub cost: Cost,
    /// Nanoseconds by which its two accounts may differ without a fault.
    pub blur: u64,
    /// The same by slices.
    pub series: Vec<Slice>,
}

impl Window<'_> {
    /// Watches from now on. `rest` waits for the length that it is given, and does meanwhile what
    /// is due.
    ///
    /// # Errors
    /// If the subject is gone, or `rest` says so.
    pub fn watch(&self, rest: &mut dyn FnMut(Duration) -> io::Result<()>) -> io::Result<Watched> {
        let slice = (self.length / SLICES).clamp(SLICE_MIN, SLICE_MAX);
        let begin = Instant::now();
        self.running.observe();
        let (started, first) = (now(), self.meter.read()?);
        let (mut seen, mut series) = (Observation::nothing(), Vec::new());
        let mut last = first.clone();
        while begin.elapsed() < self.length {
            rest(slice.min(self.length.saturating_sub(begin.elapsed())))?;
            let (observed, reading) = (self.running.observe(), self.meter.read()?);
            let at = begin.elapsed().as_nanos() as u64;
            series.push(self.slice(&observed, &reading, &last, at));
            seen.add(&observed);
            last = reading;
        }
        let cost = self.meter.cost(&first, &last);
        Ok(Watched {
            started,
            ended: now(),
            seen,
            blur: self.meter.blur(&first, &last),
            cost,
            series,
        })
    }

    fn slice(&self, observed: &Observation, now: &Reading, last: &Reading, at: u64) -> Slice {
        let used = self.meter.cost(last, now);
        Slice {
            on_cpu: used.on_cpu,
            resident: used.resident,
            switches: used.switches_voluntary + used.switches_involuntary,
            ..observed.slice(at)
        }
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
