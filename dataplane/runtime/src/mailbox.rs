//! Commands to workers, and what comes back: acknowledgements and the news that one is drained.
//!
//! The only way in while a worker runs. A worker looks once per turn (one atomic load when nothing
//! is there); sending rings its bell. Snapshots need no way back: the control side keeps every
//! generation until no worker holds it (see `runtime.rs`), so that none is freed on a data core.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Release};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastpath_sys::wake::Wake;
use penstock_core::config::Snapshot;
use penstock_core::stats::WorkerIndex;

use crate::listen::ListenSocket;

/// What a worker can be told.
#[derive(Debug)]
pub enum Command {
    /// Take this configuration, then listen on these sockets. A socket replaces those that the
    /// worker has for the same listener.
    Snapshot {
        /// The configuration.
        snapshot: Arc<Snapshot>,
        /// New sockets of this worker.
        sockets: Vec<ListenSocket>,
    },
    /// Finish what is open and take nothing new.
    Drain,
    /// Answer, to show that the worker turns.
    Ping,
    /// Leave at once; what is open is cut.
    Stop,
}

/// Names a command sent to all workers, to wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Ticket(pub u64);

/// How far every worker is.
#[derive(Debug)]
pub struct Progress {
    done: Box<[AtomicU64]>,
    drained: Box<[AtomicBool]>,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Progress {
    /// For `workers` workers that have done nothing yet.
    pub fn new(workers: usize) -> Self {
        Self {
            done: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            drained: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            lock: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// Workers that have not carried out the command yet.
    pub fn late(&self, ticket: Ticket) -> Vec<WorkerIndex> {
        self.missing(|worker| self.done[worker].load(Acquire) >= ticket.0)
    }

    /// Workers that still have something open (or were not told to drain).
    pub fn undrained(&self) -> Vec<WorkerIndex> {
        self.missing(|worker| self.drained[worker].load(Acquire))
    }

    /// Waits until `late` is empty or the time is over; says who is missing then.
    pub fn wait(
        &self,
        timeout: Duration,
        late: impl Fn(&Self) -> Vec<WorkerIndex>,
    ) -> Vec<WorkerIndex> {
        let end = Instant::now() + timeout;
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let missing = late(self);
            let left = end.saturating_duration_since(Instant::now());
            if missing.is_empty() || left.is_zero() {
                return missing;
            }
            let waited = self.changed.wait_timeout(guard, left);
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn missing(&self, there: impl Fn(usize) -> bool) -> Vec<WorkerIndex> {
        let workers = 0..self.done.len();
        workers
            .filter(|&worker| !there(worker))
            .map(|worker| WorkerIndex(worker as u16))
            .collect()
    }

    fn announce(&self) {
        // The lock orders the news against a waiter between its look and its sleep.
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

/// The sending end.
#[derive(Debug)]
pub struct Mailbox {
    sender: Sender<(Ticket, Command)>,
    wake: Arc<Wake>,
}

impl Mailbox {
    /// Sends a command and wakes the worker; a worker that is gone hears nothing.
    pub fn send(&self, ticket: Ticket, command: Command) {
        // A worker ends by command, or takes the process with it: there is nobody to tell.
        let _ = self.sender.send((ticket, command));
        self.wake.wake();
    }
}

/// The receiving end, owned by the worker.
#[derive(Debug)]
pub struct Inbox {
    receiver: Receiver<(Ticket, Command)>,
    wake: Arc<Wake>,
    progress: Arc<Progress>,
    worker: WorkerIndex,
}

impl Inbox {
    /// The bell that rings when something was sent; the driver watches it.
    pub fn bell(&self) -> &Arc<Wake> {
        &self.wake
    }

    /// The next command, if there is one.
    #[inline]
    pub fn poll(&self) -> Option<(Ticket, Command)> {
        self.receiver.try_recv().ok()
    }

    /// Says that everything up to this command was carried out.
    pub fn acknowledge(&self, ticket: Ticket) {
        self.progress.done[self.worker.0 as usize].store(ticket.0, Release);
        self.progress.announce();
    }

    /// Says that nothing is open any more.
    pub fn announce_drained(&self) {
        self.progress.drained[self.worker.0 as usize].store(true, Release);
        self.progress.announce();
    }
}

/// Both ends of a worker's mailbox.
pub fn mailbox(worker: WorkerIndex, progress: Arc<Progress>) -> io::Result<(Mailbox, Inbox)> {
    let (sender, receiver) = mpsc::channel();
    let wake = Arc::new(Wake::new()?);
    let inbox = Inbox {
        receiver,
        wake: Arc::clone(&wake),
        progress,
        worker,
    };
    Ok((Mailbox { sender, wake }, inbox))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_waited_for() {
        let progress = Arc::new(Progress::new(2));
        let (first, inbox) = mailbox(WorkerIndex(0), Arc::clone(&progress)).unwrap();
        first.send(Ticket(1), Command::Ping);
        let late = |progress: &Progress| progress.late(Ticket(1));
        assert_eq!(
            progress.wait(Duration::ZERO, late),
            [WorkerIndex(0), WorkerIndex(1)]
        );
        let answer = std::thread::spawn(move || {
            let (ticket, _) = inbox.poll().unwrap();
            inbox.acknowledge(ticket);
        });
        let first_alone = |progress: &Progress| {
            let late = progress.late(Ticket(1));
            late.into_iter().filter(|worker| worker.0 == 0).collect()
        };
        assert_eq!(progress.wait(Duration::from_secs(60), first_alone), []);
        answer.join().unwrap();
    }
}
