//! Which upstream connection carries a request: idle connections by endpoint, the last used first.
//!
//! Plain bookkeeping: it opens and closes nothing and knows no time. The engine's timer on a
//! connection ends its idleness ([`Clusters::remove`](crate::cluster::Clusters::remove)), and a
//! byte or an end on an idle connection does the same (C05). Only connections that may carry
//! another request come here (C04); the caller has seen to that.
//!
//! Idle connections of an endpoint form a list that is threaded through a table with one entry per
//! connection slot: putting, taking and removing from the middle are O(1) and allocate nothing once
//! the table has grown to the highest slot in use.

mod waiting;

use crate::cluster::EndpointKey;
use crate::event::ConnId;
use crate::limits::{CONNECTIONS_PER_WORKER, IDLE_PER_ENDPOINT_MAX, IDLE_PER_WORKER_MAX};

pub(crate) use waiting::{Line, LineId, Queue};
pub use waiting::{Ticket, Waiting};

const NONE: u32 = u32::MAX;

/// All idle upstream connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// By slot of the endpoint.
    lists: Vec<List>,
    /// By slot of the connection.
    links: Vec<Link>,
    idle: usize,
}

/// The idle connections of one endpoint. Ends are connection slots.
#[derive(Clone, Copy, Debug)]
struct List {
    newest: u32,
    oldest: u32,
    len: u32,
}

/// One connection slot: its place in the list of `endpoint`, or nowhere.
#[derive(Clone, Copy, Debug)]
struct Link {
    generation: u32,
    /// Slot of the endpoint; [`NONE`] while not idle.
    endpoint: u32,
    newer: u32,
    older: u32,
}

const EMPTY: List = List {
    newest: NONE,
    oldest: NONE,
    len: 0,
};

const NOWHERE: Link = Link {
    generation: 0,
    endpoint: NONE,
    newer: NONE,
    older: NONE,
};

impl Pool {
    /// Makes a connection idle. At a bound the oldest one of the endpoint leaves instead and is
    /// returned; it may be `conn` itself.
    pub(crate) fn put(&mut self, key: EndpointKey, conn: ConnId) -> Option<ConnId> {
        let full = self.idle >= IDLE_PER_WORKER_MAX || self.len(key) >= IDLE_PER_ENDPOINT_MAX;
        let evicted = if full { self.take_oldest(key) } else { None };
        if full && evicted.is_none() || conn.slot as usize >= CONNECTIONS_PER_WORKER {
            return Some(conn);
        }
        self.link(key.0.slot, conn);
        evicted
    }

    /// The connection that was used last.
    #[inline]
    pub(crate) fn take(&mut self, key: EndpointKey) -> Option<ConnId> {
        let newest = self.lists.get(key.0.slot as usize)?.newest;
        self.unlink(newest)
    }

    /// Takes this connection out; false if it is not idle at that endpoint.
    pub(crate) fn remove(&mut self, key: EndpointKey, conn: ConnId) -> bool {
        let found = self
            .links
            .get(conn.slot as usize)
            .is_some_and(|link| link.endpoint == key.0.slot && link.generation == conn.generation);
        found && self.unlink(conn.slot).is_some()
    }

    /// The connection that was idle for longest.
    pub(crate) fn take_oldest(&mut self, key: EndpointKey) -> Option<ConnId> {
        let oldest = self.lists.get(key.0.slot as usize)?.oldest;
        self.unlink(oldest)
    }

    /// Idle connections of an endpoint.
    pub(crate) fn len(&self, key: EndpointKey) -> usize {
        self.lists
            .get(key.0.slot as usize)
            .map_or(0, |list| list.len as usize)
    }

    /// Idle connections of all endpoints.
    pub(crate) fn idle(&self) -> usize {
        self.idle
    }

    fn link(&mut self, endpoint: u32, conn: ConnId) {
        grow(&mut self.lists, endpoint, EMPTY);
        grow(&mut self.links, conn.slot, NOWHERE);
        let list = &mut self.lists[endpoint as usize];
        debug_assert_eq!(self.links[conn.slot as usize].endpoint, NONE, "idle twice");
        self.links[conn.slot as usize] = Link {
            generation: conn.generation,
            endpoint,
            newer: NONE,
            older: list.newest,
        };
        match list.newest {
            NONE => list.oldest = conn.slot,
            newest => self.links[newest as usize].newer = conn.slot,
        }
        list.newest = conn.slot;
        list.len += 1;
        self.idle += 1;
    }

    fn unlink(&mut self, slot: u32) -> Option<ConnId> {
        let link = *self.links.get(slot as usize)?;
        let list = self.lists.get_mut(link.endpoint as usize)?;
        match link.newer {
            NONE => list.newest = link.older,
            newer => self.links[newer as usize].older = link.older,
        }
        match link.older {
            NONE => list.oldest = link.newer,
            older => self.links[older as usize].newer = link.newer,
        }
        list.len -= 1;
        self.idle -= 1;
        self.links[slot as usize] = NOWHERE;
        Some(ConnId {
            slot,
            generation: link.generation,
        })
    }
}

fn grow<T: Copy>(table: &mut Vec<T>, slot: u32, fill: T) {
    if table.len() <= slot as usize {
        table.resize(slot as usize + 1, fill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Key;

    fn endpoint(slot: u32) -> EndpointKey {
        EndpointKey(Key {
            slot,
            generation: 0,
        })
    }

    fn conn(slot: u32) -> ConnId {
        ConnId {
            slot,
            generation: 3,
        }
    }

    #[test]
    fn the_last_used_comes_first_and_any_can_leave() {
        let mut pool = Pool::default();
        let key = endpoint(5);
        (0..5).for_each(|slot| assert_eq!(pool.put(key, conn(slot)), None));
        for slot in [2, 0, 4] {
            assert!(pool.remove(key, conn(slot)));
            assert!(!pool.remove(key, conn(slot)));
        }
        assert!(!pool.remove(endpoint(6), conn(3)), "another endpoint's");
        let reused = ConnId {
            slot: 3,
            generation: 4,
        };
        assert!(!pool.remove(key, reused), "another use of the slot");
        assert_eq!(pool.take(key), Some(conn(3)));
        assert_eq!(pool.take(key), Some(conn(1)));
        assert_eq!(pool.take(key), None);
        assert_eq!(pool.take(endpoint(99)), None);
    }

    #[test]
    fn the_oldest_leaves_at_the_bound_of_an_endpoint() {
        let mut pool = Pool::default();
        let (one, other) = (endpoint(0), endpoint(1));
        let bound = IDLE_PER_ENDPOINT_MAX as u32;
        (0..bound).for_each(|slot| assert_eq!(pool.put(one, conn(slot)), None));
        assert_eq!(pool.put(one, conn(bound)), Some(conn(0)));
        assert_eq!(pool.put(other, conn(0)), None);
        assert_eq!(pool.idle(), IDLE_PER_ENDPOINT_MAX + 1);
    }

    #[test]
    fn the_bound_of_the_worker_refuses_what_it_cannot_exchange() {
        let mut pool = Pool::default();
        let bound = IDLE_PER_WORKER_MAX as u32;
        let per_endpoint = IDLE_PER_ENDPOINT_MAX as u32;
        for slot in 0..bound {
            assert_eq!(pool.put(endpoint(slot / per_endpoint), conn(slot)), None);
        }
        let new = endpoint(1000);
        assert_eq!(pool.put(new, conn(bound)), Some(conn(bound)));
        assert_eq!(pool.idle(), IDLE_PER_WORKER_MAX);
    }
}
