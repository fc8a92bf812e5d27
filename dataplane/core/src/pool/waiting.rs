//! Exchanges that wait for a connection of a cluster, first come first served.

use crate::config::ClusterId;
use crate::limits::WAITING_PER_WORKER_MAX;
use crate::slab::{Key, Slab};

/// The engine's number of an exchange that waits; means nothing here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Waiting(pub u64);

/// A place in a line, to leave it early. Harmless once its turn has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ticket(Key);

/// Which line: of a cluster, by priority of the route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LineId {
    pub(crate) cluster: ClusterId,
    pub(crate) high: bool,
}

/// The ends of one line.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Line {
    first: Option<Key>,
    last: Option<Key>,
}

/// All lines of a worker; their places share one store.
#[derive(Debug)]
pub(crate) struct Queue {
    places: Slab<Place>,
}

#[derive(Debug)]
struct Place {
    waiting: Waiting,
    /// To find the line again.
    line: LineId,
    before: Option<Key>,
    behind: Option<Key>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            places: Slab::new(WAITING_PER_WORKER_MAX),
        }
    }

    /// Joins the end of a line; `None` if the worker has no place left.
    pub(crate) fn join(&mut self, line: &mut Line, id: LineId, waiting: Waiting) -> Option<Ticket> {
        let last = line.last;
        let key = self.places.insert_with(|_| Place {
            waiting,
            line: id,
            before: last,
            behind: None,
        })?;
        self.set_behind(line, last, Some(key));
        line.last = Some(key);
        Some(Ticket(key))
    }

    /// Joins the front of a line.
    pub(crate) fn join_front(
        &mut self,
        line: &mut Line,
        id: LineId,
        waiting: Waiting,
    ) -> Option<Ticket> {
        let first = line.first;
        let key = self.places.insert_with(|_| Place {
            waiting,
            line: id,
            before: None,
            behind: first,
        })?;
        self.set_before(line, first, Some(key));
        line.first = Some(key);
        Some(Ticket(key))
    }

    /// The first of a line leaves it.
    pub(crate) fn next(&mut self, line: &mut Line) -> Option<Waiting> {
        let first = line.first?;
        self.leave(line, first)
    }

    /// The line that a ticket stands in; `None` if it left.
    pub(crate) fn line_of(&self, ticket: Ticket) -> Option<LineId> {
        self.places.find(ticket.0).map(|place| place.line)
    }

    /// Leaves from any place of the line; false if it has left already.
    pub(crate) fn forget(&mut self, line: &mut Line, ticket: Ticket) -> bool {
        self.leave(line, ticket.0).is_some()
    }

    /// All who wait, in any line.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    fn leave(&mut self, line: &mut Line, key: Key) -> Option<Waiting> {
        let place = self.places.remove(key)?;
        self.set_behind(line, place.before, place.behind);
        self.set_before(line, place.behind, place.before);
        Some(place.waiting)
    }

    /// Makes `next` the one behind `at`, or the first of the line if there is no `at`.
    fn set_behind(&mut self, line: &mut Line, at: Option<Key>, next: Option<Key>) {
        match at.and_then(|key| self.places.find_mut(key)) {
            Some(place) => place.behind = next,
            None => line.first = next,
        }
    }

    /// Makes `next` the one before `at`, or the last of the line if there is no `at`.
    fn set_before(&mut self, line: &mut Line, at: Option<Key>, next: Option<Key>) {
        match at.and_then(|key| self.places.find_mut(key)) {
            Some(place) => place.before = next,
            None => line.last = next,
        }
    }
}

impl Line {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}
