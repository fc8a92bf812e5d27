//! Configuration generations in use on this worker, counted without atomics.
//!
//! A downstream takes hold of the current generation with the first byte of a request head and lets
//! go when the exchange ends. A listener that is being closed holds the last generation that knew
//! it, for clients in its backlog. Whoever sent a generation keeps a clone of it, so that letting
//! go of the last one here never frees a configuration on a data core.

use std::rc::Rc;
use std::sync::Arc;

use crate::config::{ListenerId, Snapshot};

/// A generation somebody holds on to.
pub type Held = Rc<Arc<Snapshot>>;

/// The current generation and the older ones still held.
#[derive(Debug, Default)]
pub struct Generations {
    current: Held,
    older: Vec<Held>,
    /// Listeners that are being closed: as many as have sockets that are not closed yet.
    leaving: Vec<(ListenerId, Held)>,
    nothing: Held,
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

    /// Puts a new generation in place.
    pub fn replace(&mut self, snapshot: Arc<Snapshot>) {
        let old = std::mem::replace(&mut self.current, Rc::new(snapshot));
        self.older.push(old);
    }

    /// True if an older generation is waiting to be let go.
    #[inline]
    pub fn has_older(&self) -> bool {
        !self.older.is_empty()
    }

    /// An older generation that nobody holds any more.
    pub fn retire(&mut self) -> Option<Arc<Snapshot>> {
        let index = self
            .older
            .iter()
            .position(|held| Rc::strong_count(held) == 1)?;
        Rc::into_inner(self.older.swap_remove(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_generation_is_not_retired() {
        let mut generations = Generations::default();
        let held = generations.current().clone();
        generations.replace(Arc::new(Snapshot {
            generation: 1,
            ..Snapshot::default()
        }));
        assert!(generations.retire().is_none());
        drop(held);
        assert_eq!(
            generations.retire().map(|snapshot| snapshot.generation),
            Some(0)
        );
        assert!(!generations.has_older());
    }
}
