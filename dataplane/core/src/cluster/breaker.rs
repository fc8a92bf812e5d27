//! Circuit-breaker thresholds (`envoy.config.cluster.v3.CircuitBreakers`), held over all workers.

use std::sync::atomic::AtomicU32;

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
    /// Connections taken.
    pub connections: AtomicU32,
    /// Waiting requests taken.
    pub pending: AtomicU32,
    /// Requests taken.
    pub requests: AtomicU32,
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
            connections: AtomicU32::new(0),
            pending: AtomicU32::new(0),
            requests: AtomicU32::new(0),
        }
    }
}
