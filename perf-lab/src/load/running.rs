//! Load that is on its way, as those see it who watch: what was answered, offered and counted.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Instant;

use super::client::Client;
use super::observe::{self, Observation, Tally};
use super::schedule::Schedule;
use super::{Load, Report, Shared};
use crate::net;
use crate::poll::Poller;

/// Where a thread says that it has come to its end.
pub(crate) type Done = mpsc::Sender<io::Result<()>>;

/// Load that is on its way.
#[derive(Debug)]
pub struct Running {
    pub(super) shared: Arc<Shared>,
    tallies: Vec<Arc<Mutex<Tally>>>,
    done: Vec<mpsc::Receiver<io::Result<()>>>,
    observed: Mutex<Observed>,
}

/// What was observed so far.
#[derive(Debug)]
struct Observed {
    sum: Report,
    last: Instant,
    /// One for each thread.
    offers: Vec<Offer>,
}

/// What a thread is to send.
#[derive(Debug)]
pub(super) struct Offer {
    /// What became due up to the last observation.
    pub(super) schedule: Option<Schedule>,
    /// Requests that are not due yet.
    pub(super) left: u64,
}

impl Running {
    pub(super) fn new(load: &Load) -> io::Result<Self> {
        if load
            .rate
            .is_some_and(|rate| !(rate.is_finite() && rate > 0.0))
        {
            let why = "the rate must be a number above 0, in requests per second";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        net::allow(load.connections.saturating_add(load.idle))?;
        let shared = Arc::new(Shared::new(load));
        let threads = 0..shared.threads;
        Ok(Self {
            tallies: threads
                .clone()
                .map(|_| Arc::new(Mutex::new(Tally::new())))
                .collect(),
            done: Vec::new(),
            observed: Mutex::new(Observed {
                sum: Report::default(),
                last: shared.started,
                offers: threads.map(|index| shared.offer(index)).collect(),
            }),
            shared,
        })
    }

    /// A load of one thread that somebody else drives.
    pub(crate) fn on(load: &Load, poller: Arc<Poller>) -> io::Result<(Self, Client, Done)> {
        let mut running = Self::new(load)?;
        let (client, done) = running.client(0, poller);
        Ok((running, client, done))
    }

    pub(super) fn client(&mut self, index: usize, poller: Arc<Poller>) -> (Client, Done) {
        let (report, done) = mpsc::channel();
        self.done.push(done);
        let tally = self.tallies[index].clone();
        (
            Client::new(self.shared.clone(), index, tally, poller),
            report,
        )
    }

    /// Correct answers so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Relaxed)
    }

    /// True once the silent connections stand and requests may be sent.
    pub fn has_begun(&self) -> bool {
        self.tallies
            .iter()
            .all(|tally| observe::lock(tally).began.is_some())
    }

    /// What happened since the last observation, or since the start. A window is the sum of the
    /// observations in it ([`Observation::add`]); the first one is thrown away.
    pub fn observe(&self) -> Observation {
        let mut observed = self.observed();
        let now = Instant::now();
        let mut seen = observe::collect(&self.tallies);
        seen.length = now - observed.last;
        seen.report.elapsed = seen.length;
        seen.offered = self.offer(&mut observed, now);
        observed.last = now;
        observed.sum.add(&seen.report);
        seen
    }

    /// Counts what became due since the last time, up to the end of the load.
    fn offer(&self, observed: &mut Observed, now: Instant) -> u64 {
        let (load, mut offered) = (&self.shared.load, 0);
        for (offer, tally) in observed.offers.iter_mut().zip(&self.tallies) {
            let began = observe::lock(tally).began;
            if let (Some(schedule), Some(began)) = (&mut offer.schedule, began) {
                let now = now.saturating_duration_since(began);
                let now = load.duration.map_or(now, |end| end.min(now));
                let due = schedule.pass(now.as_nanos() as u64).min(offer.left);
                offer.left -= due;
                offered += due;
            }
        }
        offered
    }

    /// Lets requests that are on their way finish and sends no new ones.
    pub fn stop(&self) {
        self.shared.stop.store(true, Relaxed);
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// If a thread could not poll its sockets.
    ///
    /// # Panics
    /// If a thread did.
    pub fn finish(self) -> io::Result<Report> {
        Ok(self.finish_observed()?.0)
    }

    /// Waits for the end; the observation is of what happened since the last one.
    ///
    /// # Errors
    /// As [`Running::finish`].
    ///
    /// # Panics
    /// As [`Running::finish`].
    pub fn finish_observed(mut self) -> io::Result<(Report, Observation)> {
        for done in std::mem::take(&mut self.done) {
            done.recv().expect("a load thread panicked")?;
        }
        let last = self.observe();
        let mut sum = self.observed().sum;
        sum.elapsed = self.shared.started.elapsed();
        Ok((sum, last))
    }

    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
