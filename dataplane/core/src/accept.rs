//! Who may come in: connection limits that hold over all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A ceiling shared by all workers. Connections are counted one by one: accepting costs system
/// calls, beside which one atomic addition does not show.
#[derive(Debug)]
pub struct ConnectionBudget {
    limit: AtomicU32,
    used: AtomicU32,
    parent: Option<Arc<ConnectionBudget>>,
}

/// Why a connection was not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The listener's own limit.
    Listener,
    /// The process's limit.
    Process,
}

impl ConnectionBudget {
    /// A budget of `limit` connections inside that of `parent`.
    pub fn new(limit: u32, parent: Option<Arc<ConnectionBudget>>) -> Self {
        Self {
            limit: AtomicU32::new(limit),
            used: AtomicU32::new(0),
            parent,
        }
    }

    /// Takes one, or says whose limit is reached.
    pub fn acquire(&self) -> Result<(), Refused> {
        if !self.take() {
            return Err(Refused::Listener);
        }
        if self.parent.as_ref().is_some_and(|parent| !parent.take()) {
            self.used.fetch_sub(1, Relaxed);
            return Err(Refused::Process);
        }
        Ok(())
    }

    /// Gives one back.
    pub fn release(&self) {
        self.used.fetch_sub(1, Relaxed);
        if let Some(parent) = &self.parent {
            parent.used.fetch_sub(1, Relaxed);
        }
    }

    /// Connections counted now.
    pub fn used(&self) -> u32 {
        self.used.load(Relaxed)
    }

    /// The ceiling.
    pub fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    /// Moves the ceiling: a new configuration. Connections above a lower one stay.
    pub fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Relaxed);
    }

    fn take(&self) -> bool {
        self.used
            .fetch_update(Relaxed, Relaxed, |used| {
                (used < self.limit()).then_some(used + 1)
            })
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_nest() {
        let process = Arc::new(ConnectionBudget::new(2, None));
        let one = ConnectionBudget::new(1, Some(process.clone()));
        let two = ConnectionBudget::new(5, Some(process.clone()));
        assert_eq!(one.acquire(), Ok(()));
        assert_eq!(one.acquire(), Err(Refused::Listener));
        assert_eq!(two.acquire(), Ok(()));
        assert_eq!(two.acquire(), Err(Refused::Process));
        one.release();
        assert_eq!(two.acquire(), Ok(()));
        assert_eq!((one.used(), two.used(), process.used()), (0, 2, 2));
        process.set_limit(3);
        assert_eq!(one.acquire(), Ok(()));
        one.set_limit(0);
        one.release();
        assert_eq!(one.acquire(), Err(Refused::Listener));
    }
}
