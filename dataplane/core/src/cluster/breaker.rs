//! Circuit-breaker thresholds (`envoy.config.cluster.v3.CircuitBreakers`), held over all workers.
//!
//! This file is the shared half: budgets that every worker leases from. The worker's half, which
//! answers on the path, is `lease.rs`.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// `Thresholds` of one priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Thresholds {
    /// `max_connections` (1024).
    pub connections: u32,
    /// `max_pending_requests` (1024).
    pub pending: u32,
    /// `max_requests` (1024).
    pub requests: u32,
    /// `max_retries` (3).
    pub retries: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            connections: 1024,
            pending: 1024,
            requests: 1024,
            retries: 3,
        }
    }
}

/// What all workers together use of a cluster's thresholds.
#[derive(Debug)]
pub struct Breakers {
    /// DEFAULT priority.
    pub default: Shared,
    /// HIGH priority.
    pub high: Shared,
}

/// One priority: the ceilings and what is taken.
#[derive(Debug)]
pub struct Shared {
    /// Ceilings.
    pub thresholds: Thresholds,
    /// Connections.
    pub connections: Budget,
    /// Requests that wait for a connection.
    pub pending: Budget,
    /// Requests.
    pub requests: Budget,
}

impl Breakers {
    /// Nothing taken yet.
    pub fn new(default: Thresholds, high: Thresholds) -> Self {
        Self {
            default: Shared::new(default),
            high: Shared::new(high),
        }
    }
}

impl Shared {
    fn new(thresholds: Thresholds) -> Self {
        Self {
            thresholds,
            connections: Budget::new(thresholds.connections),
            pending: Budget::new(thresholds.pending),
            requests: Budget::new(thresholds.requests),
        }
    }
}

/// A ceiling over all workers and how much of it they hold, used or in reserve.
///
/// The counts guard no other memory, so relaxed ordering is enough.
#[derive(Debug)]
pub struct Budget {
    ceiling: u32,
    taken: AtomicU32,
    /// A worker went away with nothing: reserves should come back.
    wanted: AtomicBool,
}

impl Budget {
    fn new(ceiling: u32) -> Self {
        Self {
            ceiling,
            taken: AtomicU32::new(0),
            wanted: AtomicBool::new(false),
        }
    }

    /// The ceiling.
    pub fn ceiling(&self) -> u32 {
        self.ceiling
    }

    /// What all workers hold now, reserves included. Above the ceiling only for as long as uses
    /// that were carried over from a higher one last.
    pub fn taken(&self) -> u32 {
        self.taken.load(Relaxed)
    }

    /// Takes up to `block`, at least one, or nothing at the ceiling. The last of a budget is dealt
    /// out in smaller parts, so that one worker does not sit on what the others need.
    pub(super) fn take(&self, block: u32, workers: u32) -> u32 {
        let mut share = 0;
        let taken = self.taken.fetch_update(Relaxed, Relaxed, |taken| {
            let room = self.ceiling.saturating_sub(taken);
            share = block.min(room / workers.max(1)).max(1).min(room);
            (share > 0).then(|| taken + share)
        });
        match taken {
            Err(_) => self.want(),
            Ok(_) if share == block && self.wanted() => self.wanted.store(false, Relaxed),
            Ok(_) => {}
        }
        if taken.is_ok() { share } else { 0 }
    }

    /// Gives back what was taken.
    pub(super) fn give(&self, count: u32) {
        let before = self.taken.fetch_sub(count, Relaxed);
        debug_assert!(before >= count, "more given back than taken");
    }

    /// Takes `count` whatever the ceiling: uses that began under earlier thresholds.
    pub(super) fn carry(&self, count: u32) {
        self.taken.fetch_add(count, Relaxed);
    }

    /// True if some worker found nothing lately.
    #[inline]
    pub(super) fn wanted(&self) -> bool {
        self.wanted.load(Relaxed)
    }

    fn want(&self) {
        if !self.wanted() {
            self.wanted.store(true, Relaxed);
        }
    }
}
