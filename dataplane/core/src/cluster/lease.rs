//! One worker's leases from the budgets of a cluster: the answer on the path, mostly without
//! touching what the workers share.
//!
//! A worker takes a block of `ceiling / (workers * 8)`, at least one, and keeps at most one block
//! in reserve. All of the reserve goes back when the worker uses nothing any more, when some worker
//! was refused, and always where a block is one. So the ceiling is never passed, small ceilings
//! (below 16 per worker) are exact, and a worker is refused only when at least 7/8 of a large one
//! is in use.

use std::sync::Arc;

use super::breaker::{Breakers, Budget, Shared};

/// What is leased.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// `max_requests`.
    Requests,
    /// `max_pending_requests`.
    Pending,
    /// `max_connections`.
    Connections,
}

const KINDS: usize = 3;
const BLOCKS_PER_WORKER: u64 = 8;

/// All leases of one worker in one cluster.
#[derive(Debug)]
pub(super) struct Leases {
    breakers: Arc<Breakers>,
    workers: u32,
    default: [Lease; KINDS],
    high: [Lease; KINDS],
}

#[derive(Clone, Copy, Default, Debug)]
struct Lease {
    used: u32,
    held: u32,
}

impl Leases {
    pub(super) fn new(breakers: Arc<Breakers>, workers: u32) -> Self {
        Self {
            breakers,
            workers,
            default: Default::default(),
            high: Default::default(),
        }
    }

    /// Takes one of `kind`; false at the ceiling.
    #[inline]
    pub(super) fn take(&mut self, kind: Kind, high: bool) -> bool {
        let workers = self.workers;
        let (lease, budget) = self.side(kind, high);
        if lease.used == lease.held {
            lease.held += budget.take(block(budget, workers), workers);
        }
        let granted = lease.used < lease.held;
        lease.used += u32::from(granted);
        granted
    }

    /// Gives one of `kind` back.
    #[inline]
    pub(super) fn give(&mut self, kind: Kind, high: bool) {
        let workers = self.workers;
        let (lease, budget) = self.side(kind, high);
        debug_assert!(lease.used > 0, "released what was not taken");
        lease.used = lease.used.saturating_sub(1);
        let surplus = lease.surplus(budget, block(budget, workers));
        if surplus > 0 {
            lease.held -= surplus;
            budget.give(surplus);
        }
    }

    /// Gives all reserves back.
    fn settle(&mut self) {
        self.each(|lease, budget| {
            let reserve = lease.held - lease.used;
            lease.held = lease.used;
            if reserve > 0 {
                budget.give(reserve);
            }
        });
    }

    /// Moves to other thresholds; what is in use counts against the new ones, even above their
    /// ceiling.
    pub(super) fn replace(&mut self, breakers: &Arc<Breakers>) {
        if Arc::ptr_eq(&self.breakers, breakers) {
            return;
        }
        self.settle();
        self.each(|lease, budget| budget.give(lease.held));
        self.breakers = Arc::clone(breakers);
        self.each(|lease, budget| budget.carry(lease.held));
    }

    /// How many of `kind` this worker uses, both priorities.
    pub(super) fn used(&self, kind: Kind) -> u32 {
        self.default[kind as usize].used + self.high[kind as usize].used
    }

    /// True if nothing is in use.
    pub(super) fn unused(&self) -> bool {
        [Kind::Requests, Kind::Pending, Kind::Connections]
            .into_iter()
            .all(|kind| self.used(kind) == 0)
    }

    #[inline]
    fn side(&mut self, kind: Kind, high: bool) -> (&mut Lease, &Budget) {
        let (leases, shared) = if high {
            (&mut self.high, &self.breakers.high)
        } else {
            (&mut self.default, &self.breakers.default)
        };
        (&mut leases[kind as usize], budget(shared, kind))
    }

    fn each(&mut self, mut visit: impl FnMut(&mut Lease, &Budget)) {
        for high in [false, true] {
            for kind in [Kind::Requests, Kind::Pending, Kind::Connections] {
                let (lease, budget) = self.side(kind, high);
                visit(lease, budget);
            }
        }
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.each(|lease, budget| budget.give(lease.held));
    }
}

impl Lease {
    /// What goes back after a release. Half a block stays, so that one more or less in use does not
    /// go to the shared budget every time.
    fn surplus(&self, budget: &Budget, block: u32) -> u32 {
        let reserve = self.held - self.used;
        if block == 1 || self.used == 0 || budget.wanted() {
            reserve
        } else if reserve > block {
            reserve - block / 2
        } else {
            0
        }
    }
}

#[inline]
fn budget(shared: &Shared, kind: Kind) -> &Budget {
    match kind {
        Kind::Requests => &shared.requests,
        Kind::Pending => &shared.pending,
        Kind::Connections => &shared.connections,
    }
}

/// What a worker takes at once.
#[inline]
fn block(budget: &Budget, workers: u32) -> u32 {
    (u64::from(budget.ceiling()) / (u64::from(workers.max(1)) * BLOCKS_PER_WORKER)).max(1) as u32
}

#[cfg(test)]
mod tests;
