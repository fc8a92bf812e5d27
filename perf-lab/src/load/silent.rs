//! Connections that are open beside the load: one request each, checked, then silence.
//!
//! They stand before the load begins. One that is closed, or on which something comes, is a
//! failure.

use std::time::Instant;

use super::connection::{Connection, Outcome};
use super::observe::Tally;
use super::{Failure, Shared};
use crate::poll::{Edge, Poller};

/// First requests on their way at once, so that a gateway's own pool stays small.
const AT_ONCE: usize = 32;

/// The silent connections of one thread, by slot.
pub(super) struct Silent {
    wanted: usize,
    connections: Vec<Option<Connection>>,
    /// First requests on their way.
    busy: usize,
}

impl Silent {
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            wanted,
            connections: Vec::with_capacity(wanted),
            busy: 0,
        }
    }

    /// True once every one has had its answer, or failed.
    pub(super) fn stands(&self) -> bool {
        self.connections.len() == self.wanted && self.busy == 0
    }

    /// Opens more of them.
    pub(super) fn open(
        &mut self,
        shared: &Shared,
        poller: &Poller,
        tokens: u64,
        tally: &mut Tally,
    ) {
        while self.busy < AT_ONCE && self.connections.len() < self.wanted {
            let slot = self.connections.len();
            let opened = Connection::open(&shared.load, slot).and_then(|connection| {
                poller.add_edges(connection.stream(), tokens + slot as u64)?;
                Ok(connection)
            });
            self.busy += 1;
            let outcome = match opened {
                Ok(mut connection) => {
                    // What breaks here shows as an edge or a timeout.
                    let _ = connection.begin(None, shared, tally);
                    self.connections.push(Some(connection));
                    continue;
                }
                Err(error) => {
                    self.connections.push(None);
                    Outcome::Unreachable(error)
                }
            };
            self.conclude(slot, outcome, tally);
        }
    }

    pub(super) fn take(
        &mut self,
        slot: usize,
        edge: &Edge,
        shared: &Shared,
        block: &mut [u8],
        tally: &mut Tally,
    ) {
        let Some(connection) = &mut self.connections[slot] else {
            return;
        };
        let outcome = connection.advance(edge, shared, block, tally);
        self.conclude(slot, outcome, tally);
    }

    pub(super) fn expire(&mut self, now: Instant, shared: &Shared, tally: &mut Tally) {
        if self.busy == 0 {
            return;
        }
        for slot in 0..self.connections.len() {
            let late = |connection: &Connection| connection.is_late(now, &shared.load);
            if self.connections[slot].as_ref().is_some_and(late) {
                self.conclude(slot, Outcome::Failed(Failure::Timeout), tally);
            }
        }
    }

    fn conclude(&mut self, slot: usize, outcome: Outcome, tally: &mut Tally) {
        let kind = match outcome {
            Outcome::Waits => return,
            Outcome::Answered(answer) if answer.kept => {
                self.busy -= 1;
                let connection = self.connections[slot].as_ref();
                if !connection.is_some_and(Connection::is_ending) {
                    tally.seen.idle_open += 1;
                    return;
                }
                // It did not say that it would close.
                Failure::Idle
            }
            // It was silent and ended.
            Outcome::Left | Outcome::Spoke => {
                tally.seen.idle_open -= 1;
                Failure::Idle
            }
            outcome => {
                self.busy -= 1;
                outcome.failure()
            }
        };
        tally.seen.report.failures[kind as usize] += 1;
        self.connections[slot] = None;
    }
}
