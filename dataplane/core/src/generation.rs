//! Configuration generations in use on this worker, counted without atomics.
//!
//! A downstream takes hold of the current generation with the first byte of a request head and lets
//! go when the exchange ends. A listener that is being closed holds the last generation that knew
//! it, for clients in its backlog. Whoever sent a generation keeps a clone of it, so that letting
//! go of the last one here never frees a configuration on a data core.

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use crate::config::{ClusterId, ListenerId, Snapshot};

/// A hold on a generation. The last one of an older generation says so when it goes, so that
/// nothing has to look for it.
#[derive(Clone, Debug)]
pub struct Held(Rc<Generation>);

#[derive(Debug)]
struct Generation {
    snapshot: Arc<Snapshot>,
    older: Cell<bool>,
    /// Shared by all: some older generation may have lost its last hold.
    released: Rc<Cell<bool>>,
}

impl Held {
    fn new(snapshot: Arc<Snapshot>, released: &Rc<Cell<bool>>) -> Self {
        Self(Rc::new(Generation {
            snapshot,
            older: Cell::new(false),
            released: released.clone(),
        }))
    }
}

impl Deref for Held {
    type Target = Snapshot;

    #[inline]
    fn deref(&self) -> &Snapshot {
        &self.0.snapshot
    }
}

impl Drop for Held {
    #[inline]
    fn drop(&mut self) {
        // This one and that in `Generations::older`.
        if self.0.older.get() && Rc::strong_count(&self.0) == 2 {
            self.0.released.set(true);
        }
    }
}

/// The current generation and the older ones still held.
#[derive(Debug)]
pub struct Generations {
    current: Held,
    older: Vec<Rc<Generation>>,
    released: Rc<Cell<bool>>,
    /// Listeners that are being closed: as many as have sockets that are not closed yet.
    leaving: Vec<(ListenerId, Held)>,
    nothing: Held,
}

impl Default for Generations {
    fn default() -> Self {
        let released = Rc::new(Cell::new(false));
        Self {
            current: Held::new(Arc::default(), &released),
            older: Vec::new(),
            leaving: Vec::new(),
            nothing: Held::new(Arc::default(), &released),
            released,
        }
    }
}

impl Generations {
    /// The current generation.
    #[inline]
    pub fn current(&self) -> &Held {
        &self.current
    }

    /// An empty generation, for what must hold one and needs none.
    #[inline]
    pub fn nothing(&self) -> &Held {
        &self.nothing
    }

    /// The generation that serves new clients of a listener: the current one, or the last that knew
    /// it as long as its sockets are being closed. The current one, too, if no generation knows it.
    pub fn serving(&self, listener: ListenerId) -> &Held {
        if self.current.listener(listener).is_some() {
            return &self.current;
        }
        let mut leaving = self.leaving.iter().rev();
        let last = leaving.find(|(id, _)| *id == listener);
        last.map_or(&self.current, |(_, held)| held)
    }

    /// The sockets of a listener are being closed; `held` serves who connected before.
    pub fn leave(&mut self, listener: ListenerId, held: Held) {
        self.leaving.push((listener, held));
    }

    /// They are closed. If a listener came back and left again, its first leave-taking is over.
    pub fn left(&mut self, listener: ListenerId) {
        let first = self.leaving.iter().position(|(id, _)| *id == listener);
        if let Some(index) = first {
            self.leaving.remove(index);
        }
    }

    /// True if sockets are being closed.
    pub fn has_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// True if an older generation that is held has this cluster.
    pub fn older_lists(&self, cluster: ClusterId) -> bool {
        let mut older = self.older.iter();
        older.any(|held| held.snapshot.cluster(cluster).is_some())
    }

    /// Puts a new generation in place.
    pub fn replace(&mut self, snapshot: Arc<Snapshot>) {
        let next = Held::new(snapshot, &self.released);
        let old = std::mem::replace(&mut self.current, next);
        old.0.older.set(true);
        self.older.push(old.0.clone());
    }

    /// Lets older generations go that nobody holds any more; false if there are none. Costs nothing
    /// unless a last hold was dropped, however many are held.
    #[inline]
    pub fn retire(&mut self) -> bool {
        self.released.get() && self.retire_released()
    }

    #[cold]
    fn retire_released(&mut self) -> bool {
        self.released.set(false);
        let before = self.older.len();
        self.older.retain(|held| Rc::strong_count(held) > 1);
        self.older.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(generation: u64) -> Arc<Snapshot> {
        Arc::new(Snapshot {
            generation,
            ..Snapshot::default()
        })
    }

    #[test]
    fn a_held_generation_is_not_retired() {
        let first = snapshot(1);
        let mut generations = Generations::default();
        generations.replace(first.clone());
        generations.retire();
        let held = generations.current().clone();
        generations.replace(snapshot(2));
        let copy = held.clone();
        drop(held);
        assert!(!generations.retire());
        assert_eq!(Arc::strong_count(&first), 2);
        drop(copy);
        assert!(generations.retire());
        assert_eq!(Arc::strong_count(&first), 1);
        assert!(!generations.retire());
    }

    #[test]
    fn only_the_last_hold_of_an_older_generation_is_looked_at() {
        let mut generations = Generations::default();
        let pinned: Vec<_> = (1..100)
            .map(|generation| {
                generations.replace(snapshot(generation));
                generations.current().clone()
            })
            .collect();
        generations.retire();
        assert!(!generations.released.get());
        drop(generations.current().clone());
        drop(pinned[3].clone());
        assert!(!generations.released.get());
        drop(pinned);
        assert!(generations.released.get());
        assert!(generations.retire());
        assert!(generations.older.is_empty());
    }

    #[test]
    fn a_generation_that_nobody_held_goes_with_the_next() {
        let mut generations = Generations::default();
        let first = snapshot(1);
        generations.replace(first.clone());
        generations.replace(snapshot(2));
        assert!(generations.retire());
        assert_eq!(Arc::strong_count(&first), 1);
    }
}
