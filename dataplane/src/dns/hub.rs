//! The thread's loop: one task per name looks it up again and again; the hub collects outcomes,
//! logs failures and reports changes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tracing::{info, warn};

use crate::translate::names::{Name, NameKey, Resolved};

use super::lookup::{Answer, Lookup, LookupError};
use super::pause::Pause;
use super::{Board, DnsOptions};

/// Lookups at a time: below what one server connection takes (32).
const LOOKUPS_AT_ONCE: usize = 16;

/// What the hub is told. Its queue needs no bound: a name has one outcome on the way at a time.
#[derive(Debug)]
pub(super) enum Message {
    /// These names from now on.
    Update(Vec<Name>),
    /// The outcome of one lookup.
    Found(NameKey, Result<Answer, LookupError>),
    /// The owner is gone.
    Stop,
}

pub(super) struct Hub<F> {
    lookup: Arc<Lookup>,
    board: Arc<Board>,
    messages: mpsc::UnboundedSender<Message>,
    on_change: F,
    gate: Arc<Semaphore>,
    watches: HashMap<NameKey, Watch>,
}

/// One name that is looked up.
struct Watch {
    name: Name,
    task: AbortHandle,
    /// The last lookup failed: said once, not at every try.
    failing: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<F: Fn(Resolved)> Hub<F> {
    pub(super) fn new(
        options: DnsOptions,
        board: Arc<Board>,
        messages: mpsc::UnboundedSender<Message>,
        on_change: F,
    ) -> Self {
        Self {
            lookup: Arc::new(Lookup::new(options)),
            board,
            messages,
            on_change,
            gate: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE)),
            watches: HashMap::new(),
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        while let Some(message) = inbox.recv().await {
            let mut changed = false;
            // What came together is reported together.
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Update(names) => self.update(names),
                    Message::Found(key, outcome) => changed |= self.found(&key, outcome),
                    Message::Stop => return,
                }
                next = inbox.try_recv().ok();
            }
            if changed {
                let resolved = self.board.lock().resolved.clone();
                (self.on_change)(resolved);
            }
        }
    }

    fn update(&mut self, names: Vec<Name>) {
        self.lookup.reload();
        let mut before = std::mem::take(&mut self.watches);
        for name in names {
            let watch = match before.remove(&name.key) {
                Some(watch) if watch.name == name => watch,
                _ => self.watch(name),
            };
            self.watches.insert(watch.name.key.clone(), watch);
        }
        self.board.counters.names.set(self.watches.len() as u64);
        self.count_failing();
    }

    fn watch(&self, name: Name) -> Watch {
        let (lookup, gate) = (Arc::clone(&self.lookup), Arc::clone(&self.gate));
        let task = watch(name.clone(), lookup, gate, self.messages.clone());
        Watch {
            name,
            task: tokio::spawn(task).abort_handle(),
            failing: false,
        }
    }

    /// True if addresses changed.
    fn found(&mut self, key: &NameKey, outcome: Result<Answer, LookupError>) -> bool {
        let counters = &self.board.counters;
        counters.lookups.add(1);
        let Some(watch) = self.watches.get_mut(key) else {
            return false;
        };
        let failed_before = std::mem::replace(&mut watch.failing, outcome.is_err());
        let addresses = match outcome {
            Ok(answer) => Some(with_port(answer, key.port)),
            Err(error) => {
                counters.failures.add(1);
                if !failed_before {
                    complain(key, &error);
                }
                None
            }
        };
        if failed_before && addresses.is_some() {
            info!(name = %key.name, "name is resolved again");
        }
        // Counted before anybody who waits is told.
        self.count_failing();
        self.board.settle(key, addresses)
    }

    fn count_failing(&self) {
        let failing = self.watches.values().filter(|watch| watch.failing).count();
        self.board.counters.failing.set(failing as u64);
    }
}

fn complain(key: &NameKey, error: &LookupError) {
    warn!(
        name = %key.name,
        error = error as &(dyn std::error::Error + 'static),
        "name cannot be resolved; its last addresses stay in use and it is tried again; \
         check the name and the servers in /etc/resolv.conf"
    );
}

fn with_port(answer: Answer, port: u16) -> Vec<SocketAddr> {
    answer
        .addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect()
}

/// Looks one name up until nobody wants it.
async fn watch(
    name: Name,
    lookup: Arc<Lookup>,
    gate: Arc<Semaphore>,
    messages: mpsc::UnboundedSender<Message>,
) {
    let mut pause = Pause::new(&name);
    loop {
        let outcome = {
            let _turn = gate.acquire().await;
            lookup.resolve(&name.key.name, name.key.family).await
        };
        let wait = match &outcome {
            Ok(answer) => pause.after_answer(answer.lifetime),
            Err(_) => Some(pause.after_failure()),
        };
        let message = Message::Found(name.key.clone(), outcome);
        let (Ok(()), Some(wait)) = (messages.send(message), wait) else {
            return;
        };
        tokio::time::sleep(wait).await;
    }
}
