//! Names of clusters to addresses: STRICT_DNS and LOGICAL_DNS, off the data cores.
//!
//! One housekeeping thread looks every name up again and again (by `dns_refresh_rate`, or by the
//! answer's lifetime) and reports when a set of addresses changes; `translate` makes endpoints of
//! them. It opens no connection to them and knows no cluster. A failed lookup, and one that says
//! that there is no address, changes nothing: the last good answer stays, a line is logged and
//! counted, and the name is tried again after a pause that grows.

mod hub;
mod lookup;
mod pause;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use penstock_core::stats::DnsCounters;
use tokio::sync::mpsc;

use crate::translate::names::{Name, NameKey, Resolved};

use hub::{Hub, Message};

/// Where answers come from.
#[derive(Clone, Debug)]
pub struct DnsOptions {
    /// Servers to ask, in this order; `None` for those of `/etc/resolv.conf`, with its search list.
    pub servers: Option<Vec<SocketAddr>>,
    /// Names that are answered without asking a server. Read again when it changes.
    pub hosts_file: PathBuf,
    /// How long one server is waited for; `None` for what `/etc/resolv.conf` says (5 s).
    pub timeout: Option<Duration>,
    /// Further tries after the first; `None` for what `/etc/resolv.conf` says (2).
    pub retries: Option<usize>,
}

impl Default for DnsOptions {
    fn default() -> Self {
        Self {
            servers: None,
            hosts_file: PathBuf::from("/etc/hosts"),
            timeout: None,
            retries: None,
        }
    }
}

/// The thread that looks names up. Dropping it ends the thread.
#[derive(Debug)]
pub struct Dns {
    board: Arc<Board>,
    messages: mpsc::UnboundedSender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and its owner share.
#[derive(Debug, Default)]
struct Board {
    answers: Mutex<Answers>,
    /// Signalled when nothing is awaited any more.
    ready: Condvar,
    counters: Arc<DnsCounters>,
}

#[derive(Debug, Default)]
struct Answers {
    resolved: Resolved,
    wanted: HashSet<NameKey>,
    /// Names without an outcome yet, good or bad.
    awaited: HashSet<NameKey>,
}

impl Dns {
    /// Starts to look `names` up. `on_change` gets all addresses known whenever some changed; it is
    /// called on the thread of the lookups, which wait meanwhile.
    ///
    /// # Errors
    /// If the thread or its event loop cannot be made.
    pub fn start(
        options: DnsOptions,
        names: Vec<Name>,
        on_change: impl Fn(Resolved) + Send + 'static,
    ) -> io::Result<Self> {
        let board = Arc::new(Board::default());
        let (messages, inbox) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let hub = Hub::new(options, Arc::clone(&board), messages.clone(), on_change);
        let thread = std::thread::Builder::new()
            .name("penstock-dns".into())
            .spawn(move || runtime.block_on(hub.run(inbox)))?;
        let dns = Self {
            board,
            messages,
            thread: Some(thread),
        };
        dns.update(names);
        Ok(dns)
    }

    /// Looks these names up from now on, and no others. Names that were looked up before keep their
    /// answers and their times; the system's resolver configuration is read again.
    pub fn update(&self, names: Vec<Name>) {
        self.board.want(&names);
        // The thread is there until `self` is dropped.
        let _ = self.messages.send(Message::Update(names));
    }

    /// Waits until every name has been answered or has failed once; false if that takes longer.
    pub fn wait_ready(&self, at_most: Duration) -> bool {
        let until = Instant::now() + at_most;
        let mut answers = self.board.lock();
        while !answers.awaited.is_empty() {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                return false;
            };
            answers = self
                .board
                .ready
                .wait_timeout(answers, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// All addresses known now.
    pub fn resolved(&self) -> Resolved {
        self.board.lock().resolved.clone()
    }

    /// Counters of the lookups.
    pub fn counters(&self) -> &Arc<DnsCounters> {
        &self.board.counters
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has logged it; there is nothing to save here.
            let _ = thread.join();
        }
    }
}

impl Board {
    /// The answers stay whole even if a holder panicked: each change is one step.
    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn want(&self, names: &[Name]) {
        let mut answers = self.lock();
        let wanted: HashSet<_> = names.iter().map(|name| name.key.clone()).collect();
        let new: Vec<_> = wanted.difference(&answers.wanted).cloned().collect();
        answers.awaited.extend(new);
        answers.awaited.retain(|key| wanted.contains(key));
        answers.resolved.retain(|key, _| wanted.contains(key));
        answers.wanted = wanted;
        self.signal(&answers);
    }

    /// A name has an outcome; `addresses` if it was good. True if that changed what is known.
    ///
    /// The order of an answer changes all the time and means nothing, so the same set of addresses
    /// is no change, and the first one (that of LOGICAL_DNS) stays for as long as the set does.
    fn settle(&self, key: &NameKey, addresses: Option<Vec<SocketAddr>>) -> bool {
        let mut answers = self.lock();
        if !answers.wanted.contains(key) {
            return false;
        }
        answers.awaited.remove(key);
        self.signal(&answers); // heard once the lock is released
        let Some(addresses) = addresses else {
            return false;
        };
        let known = answers.resolved.get(key);
        if known.is_some_and(|known| same_set(known, &addresses)) {
            return false;
        }
        self.counters.changes.add(1);
        answers.resolved.insert(key.clone(), addresses);
        true
    }

    fn signal(&self, answers: &Answers) {
        if answers.awaited.is_empty() {
            self.ready.notify_all();
        }
    }
}

/// Both without duplicates.
fn same_set(one: &[SocketAddr], other: &[SocketAddr]) -> bool {
    let set: HashSet<_> = one.iter().collect();
    one.len() == other.len() && other.iter().all(|address| set.contains(address))
}
