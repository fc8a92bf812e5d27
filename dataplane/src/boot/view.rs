//! What the admin interface sees of the gateway. Written by the control thread, read by the admin
//! thread; no lock is held longer than a copy takes.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use penstock_core::config::Snapshot;
use penstock_core::stats::{DnsCounters, PerWorker, WorkerStats};

use super::life::Wish;
use crate::admin::{Control, Listening, Loaded, State};

/// The gateway as seen from outside.
#[derive(Debug)]
pub(super) struct View {
    state: AtomicU8,
    workers: Arc<PerWorker<WorkerStats>>,
    seen: Mutex<Seen>,
    wishes: Sender<Wish>,
}

/// What changes with a configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) listening: Vec<Listening>,
    pub(super) loaded: Option<Loaded>,
    pub(super) dns: Option<Arc<DnsCounters>>,
}

/// In the order of a life; the state is kept as its place here.
const STATES: [State; 3] = [State::PreInitializing, State::Live, State::Draining];

impl View {
    pub(super) fn new(workers: Arc<PerWorker<WorkerStats>>, wishes: Sender<Wish>) -> Self {
        Self {
            state: AtomicU8::new(0),
            workers,
            seen: Mutex::default(),
            wishes,
        }
    }

    pub(super) fn set_state(&self, state: State) {
        let place = STATES.iter().position(|known| *known == state);
        self.state.store(place.unwrap_or(0) as u8, Relaxed);
    }

    pub(super) fn set_seen(&self, seen: Seen) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn wish(&self, wish: Wish) {
        // Nobody receives any more once the process ends, which is what both wishes lead to.
        let _ = self.wishes.send(wish);
    }
}

impl Control for View {
    fn state(&self) -> State {
        STATES[self.state.load(Relaxed) as usize]
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.seen().snapshot
    }

    fn workers(&self) -> Arc<PerWorker<WorkerStats>> {
        self.workers.clone()
    }

    fn listening(&self) -> Vec<Listening> {
        self.seen().listening
    }

    fn loaded(&self) -> Option<Loaded> {
        self.seen().loaded
    }

    fn dns(&self) -> Option<Arc<DnsCounters>> {
        self.seen().dns
    }

    fn drain(&self) {
        self.wish(Wish::Drain);
    }

    fn quit(&self) {
        self.wish(Wish::Quit);
    }
}
