//! Which endpoint serves a request, and whether the cluster may take one more.
//!
//! [`Clusters`] is what one worker keeps of all clusters beyond snapshots: endpoints and their use,
//! the order of picks, leases from the circuit breakers, idle connections, exchanges that wait. It
//! opens nothing and knows no time; the engine asks it and tells it.
//!
//! The way of a request, in the order that Envoy has: [`pick`](Clusters::pick), then an idle
//! connection ([`take`](Clusters::take)) or else [`try_connection`](Clusters::try_connection) or
//! else [`wait`](Clusters::wait). `max_pending_requests` counts while an exchange has no connection
//! to send on, so also while one is being made ([`try_pending`](Clusters::try_pending));
//! `max_requests` counts from where it has one ([`try_request`](Clusters::try_request)).
//!
//! Who counts: this file moves the gauges `connections_active`, `connections_idle`,
//! `requests_active`, `requests_pending` and the counters `no_endpoint`, `panic`,
//! `overflow_*` and, told by the engine, `bytes_*`: gauges and bytes in the cells of the newest
//! configuration of the cluster (`translate` keeps them over generations; a cluster that left and
//! came back has new ones). Everything else (`connects`, `reused`, `requests`, statuses, failures,
//! durations) is counted by who sees it happen.

mod balance;
mod breaker;
mod endpoint;
mod lease;
mod priority;
mod schedule;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::chance::Chance;
use crate::config::{Cluster, ClusterId, Snapshot};
use crate::event::ConnId;
use crate::pool::{LineId, Pool, Queue, Ticket, Waiting};
use crate::stats::{ClusterCounters, Counter, WorkerIndex};

pub use breaker::{Breakers, Budget, Shared, Thresholds};
pub use endpoint::{EndpointKey, EndpointState};

use endpoint::Endpoints;
use lease::Kind;
use state::ClusterState;

/// All clusters as one worker sees them.
#[derive(Debug)]
pub struct Clusters {
    worker: WorkerIndex,
    workers: u32,
    /// By [`ClusterId`]. A cluster that left stays until nothing of it is in use.
    states: Vec<Option<ClusterState>>,
    endpoints: Endpoints,
    pool: Pool,
    queue: Queue,
    /// Clusters that left the configuration and that an older generation may list.
    departed: Vec<ClusterId>,
    /// Clusters that went while exchanges waited in them.
    stranded: Vec<ClusterId>,
}

impl Clusters {
    /// No cluster yet, for this one of `workers` workers.
    pub fn new(worker: WorkerIndex, workers: usize) -> Self {
        Self {
            worker,
            workers: u32::try_from(workers).unwrap_or(u32::MAX),
            states: Vec::new(),
            endpoints: Endpoints::new(),
            pool: Pool::default(),
            queue: Queue::new(),
            departed: Vec::new(),
            stranded: Vec::new(),
        }
    }

    /// Takes a new configuration. Costs one comparison per cluster that did not change.
    ///
    /// Idle connections to endpoints that left are no longer idle and are added to `closing`; they
    /// count as connections until they are released. A cluster that left still serves requests of
    /// older generations, until it is [forgotten](Self::forget).
    pub fn reconcile(&mut self, snapshot: &Snapshot, closing: &mut Vec<ConnId>) {
        if self.states.len() < snapshot.clusters.len() {
            self.states.resize_with(snapshot.clusters.len(), || None);
        }
        for index in 0..self.states.len() {
            let next = snapshot.clusters.get(index).and_then(Option::as_ref);
            match (&self.states[index], next) {
                (Some(state), Some(next)) if state.is_current(next) => {}
                (_, Some(next)) => self.adopt(index, next, closing),
                (Some(state), None) if state.listed && !state.departed => {
                    self.depart(index, closing);
                }
                (_, None) => {}
            }
        }
    }

    /// Lets clusters go that left the configuration and that no generation in use `lists`.
    /// Afterwards [`poll_stranded`](Self::poll_stranded) must be asked.
    pub fn forget(&mut self, lists: impl Fn(ClusterId) -> bool, closing: &mut Vec<ConnId>) {
        for cluster in std::mem::take(&mut self.departed) {
            let state = find_state(&mut self.states, cluster);
            if !state.is_some_and(|state| state.departed) {
                continue; // it came back
            }
            match lists(cluster) {
                true => self.departed.push(cluster),
                false => self.retire(cluster.0 as usize, closing),
            }
        }
    }

    /// The next exchange that waited in a cluster that went; it will get no connection.
    pub fn poll_stranded(&mut self) -> Option<Waiting> {
        while let Some(&cluster) = self.stranded.last() {
            if let Some(waiting) = self.next_waiting(cluster) {
                return Some(waiting);
            }
            self.stranded.pop();
        }
        None
    }

    /// Picks an endpoint by priority, health and policy; `None` if the cluster has none to offer or
    /// left.
    #[inline]
    pub fn pick(&mut self, cluster: &Cluster, chance: &mut Chance) -> Option<EndpointKey> {
        let counters = &cluster.stats.of(self.worker).counters;
        let picked = find_state(&mut self.states, cluster.id)
            .and_then(|state| state.balance.pick(&self.endpoints, chance));
        match picked {
            Some(pick) => {
                counters.panic.add(u64::from(pick.panic));
                Some(pick.key)
            }
            None => {
                counters.no_endpoint.add(1);
                None
            }
        }
    }

    /// What is known of an endpoint.
    ///
    /// # Panics
    /// If the key is no longer valid, see [`EndpointKey`].
    #[inline]
    pub fn endpoint(&self, key: EndpointKey) -> &EndpointState {
        self.endpoints
            .find(key)
            .expect("an endpoint stays for as long as something holds it")
    }

    /// A request was given to the endpoint.
    #[inline]
    pub fn started(&mut self, key: EndpointKey) {
        if let Some(endpoint) = self.endpoints.find_mut(key) {
            endpoint.active += 1;
            let cluster = endpoint.cluster;
            self.count(cluster, |counters| counters.requests_active.up());
        }
    }

    /// The endpoint is done with a request.
    pub fn ended(&mut self, key: EndpointKey) {
        let Some(endpoint) = self.endpoints.find_mut(key) else {
            return;
        };
        debug_assert!(endpoint.active > 0, "ended what was not started");
        endpoint.active = endpoint.active.saturating_sub(1);
        let (cluster, listed) = (endpoint.cluster, endpoint.listed);
        self.count(cluster, |counters| counters.requests_active.down());
        if !listed {
            self.reap(cluster, key);
        }
    }

    /// Takes one of `max_requests`; false, and counted as overflow, at the ceiling.
    #[inline]
    pub fn try_request(&mut self, cluster: &Cluster, high: bool) -> bool {
        let taken = self.lease(cluster.id, Kind::Requests, high);
        if !taken {
            cluster
                .stats
                .of(self.worker)
                .counters
                .overflow_requests
                .add(1);
        }
        taken
    }

    /// Gives back what [`try_request`](Self::try_request) took.
    #[inline]
    pub fn release_request(&mut self, cluster: &Cluster, high: bool) {
        self.unlease(cluster.id, Kind::Requests, high);
    }

    /// Takes one of `max_pending_requests`; false, and counted as overflow, at the ceiling.
    pub fn try_pending(&mut self, cluster: &Cluster, high: bool) -> bool {
        let taken = self.lease(cluster.id, Kind::Pending, high);
        if taken {
            self.count(cluster.id, |counters| counters.requests_pending.up());
        } else {
            let counters = &cluster.stats.of(self.worker).counters;
            counters.overflow_pending.add(1);
        }
        taken
    }

    /// Gives back what [`try_pending`](Self::try_pending) took.
    pub fn release_pending(&mut self, cluster: &Cluster, high: bool) {
        self.count(cluster.id, |counters| counters.requests_pending.down());
        self.unlease(cluster.id, Kind::Pending, high);
    }

    /// Takes one of `max_connections` and counts a connection to the endpoint; false, and counted
    /// as overflow, at the ceiling.
    ///
    /// As in Envoy, a worker may always have one connection to an endpoint, so that requests cannot
    /// starve because others used the budget up: all workers together stay below the ceiling plus
    /// one per worker and endpoint.
    pub fn try_connection(&mut self, key: EndpointKey, high: bool) -> bool {
        let Some(endpoint) = self.endpoints.find_mut(key) else {
            return false;
        };
        let cluster = endpoint.cluster;
        let Some(state) = find_state(&mut self.states, cluster) else {
            return false;
        };
        let first = endpoint.connections == 0;
        let taken = state.take_connection(first, high);
        endpoint.connections += u32::from(taken);
        let counters = &state.stats(self.worker).counters;
        if taken {
            counters.connections_active.up();
        } else {
            counters.overflow_connections.add(1);
        }
        taken
    }

    /// The connection is closed or could not be made: gives back what
    /// [`try_connection`](Self::try_connection) took, with the same `high`.
    pub fn release_connection(&mut self, key: EndpointKey, high: bool) {
        let Some(endpoint) = self.endpoints.find_mut(key) else {
            return;
        };
        debug_assert!(endpoint.connections > 0, "released what was not taken");
        endpoint.connections = endpoint.connections.saturating_sub(1);
        let (cluster, listed) = (endpoint.cluster, endpoint.listed);
        if let Some(state) = find_state(&mut self.states, cluster) {
            state.give_connection(high);
            state.stats(self.worker).counters.connections_active.down();
        }
        if !listed {
            self.reap(cluster, key);
        }
    }

    /// Makes a connection idle. Returns one that must be closed instead: `conn` itself if its
    /// endpoint left the configuration, or the oldest idle one of the endpoint at a bound.
    pub fn put(&mut self, key: EndpointKey, conn: ConnId) -> Option<ConnId> {
        let Some(endpoint) = self.endpoints.find(key).filter(|endpoint| endpoint.listed) else {
            return Some(conn);
        };
        let cluster = endpoint.cluster;
        let evicted = self.pool.put(key, conn);
        if evicted.is_none() {
            self.count(cluster, |counters| counters.connections_idle.up());
        }
        evicted
    }

    /// The idle connection to the endpoint that was used last.
    #[inline]
    pub fn take(&mut self, key: EndpointKey) -> Option<ConnId> {
        let cluster = self.endpoints.find(key)?.cluster;
        let conn = self.pool.take(key)?;
        self.count(cluster, |counters| counters.connections_idle.down());
        Some(conn)
    }

    /// A connection that was [taken](Self::take) and did not serve is idle again.
    pub fn untake(&mut self, key: EndpointKey, conn: ConnId) {
        let put = self.put(key, conn);
        debug_assert!(put.is_none(), "its place is taken");
    }

    /// An idle connection to another endpoint of the cluster that has the same host name, for when
    /// no further connection is allowed: better than to wait while it idles.
    pub fn take_other(&mut self, key: EndpointKey) -> Option<(EndpointKey, ConnId)> {
        let wanted = self.endpoints.find(key)?;
        let state = find_state(&mut self.states, wanted.cluster)?;
        if state.stats(self.worker).counters.connections_idle.value() == 0 {
            return None;
        }
        let serves = |other: EndpointKey| {
            let state = self.endpoints.find(other);
            self.pool.len(other) > 0 && state.is_some_and(|it| it.hostname == wanted.hostname)
        };
        let other = state.balance.keys().find(|&other| serves(other))?;
        Some((other, self.take(other)?))
    }

    /// An idle connection died or timed out; false if it was not idle.
    pub fn remove(&mut self, key: EndpointKey, conn: ConnId) -> bool {
        let Some(cluster) = self.endpoints.find(key).map(|endpoint| endpoint.cluster) else {
            return false;
        };
        let removed = self.pool.remove(key, conn);
        if removed {
            self.count(cluster, |counters| counters.connections_idle.down());
        }
        removed
    }

    /// Takes every idle connection out of the pool and adds it to `closing`: draining.
    pub fn drain_idle(&mut self, closing: &mut Vec<ConnId>) {
        for state in self.states.iter().flatten() {
            for &(_, key) in &state.members {
                empty(&mut self.pool, state, self.worker, key, closing);
            }
        }
    }

    /// An exchange waits for a connection of the cluster, behind those of its priority. `None` if
    /// the worker has no place left or the cluster left.
    pub fn wait(&mut self, cluster: ClusterId, high: bool, waiting: Waiting) -> Option<Ticket> {
        let state = find_state(&mut self.states, cluster)?;
        let id = LineId { cluster, high };
        state
            .listed
            .then(|| self.queue.join(state.line(high), id, waiting))?
    }

    /// As [`wait`](Self::wait), before all others of its priority: for one that was
    /// [next](Self::next_waiting) and found the connection gone.
    pub fn wait_first(
        &mut self,
        cluster: ClusterId,
        high: bool,
        waiting: Waiting,
    ) -> Option<Ticket> {
        let state = find_state(&mut self.states, cluster)?;
        let id = LineId { cluster, high };
        state
            .listed
            .then(|| self.queue.join_front(state.line(high), id, waiting))?
    }

    /// The exchange whose turn it is to get a connection: HIGH before DEFAULT, then by arrival. It
    /// no longer waits.
    pub fn next_waiting(&mut self, cluster: ClusterId) -> Option<Waiting> {
        let state = find_state(&mut self.states, cluster)?;
        let next = match self.queue.next(state.line(true)) {
            None => self.queue.next(state.line(false)),
            next => next,
        };
        self.retire_if_over(cluster);
        next
    }

    /// The exchange waits no longer; false if it did not any more.
    pub fn forget_waiting(&mut self, ticket: Ticket) -> bool {
        let Some(LineId { cluster, high }) = self.queue.line_of(ticket) else {
            return false;
        };
        let Some(state) = find_state(&mut self.states, cluster) else {
            return false;
        };
        let forgotten = self.queue.forget(state.line(high), ticket);
        self.retire_if_over(cluster);
        forgotten
    }

    /// Bytes moved on a connection to the endpoint, whoever it serves.
    #[inline]
    pub(crate) fn count_bytes(
        &self,
        key: EndpointKey,
        which: impl FnOnce(&ClusterCounters) -> &Counter,
        bytes: u64,
    ) {
        if let Some(endpoint) = self.endpoints.find(key) {
            self.count(endpoint.cluster, |counters| which(counters).add(bytes));
        }
    }

    /// Idle connections of this worker.
    pub fn idle(&self) -> usize {
        self.pool.idle()
    }

    /// Exchanges of this worker that wait for a connection.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Endpoints of this worker, those included that left and are still in use.
    pub fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    fn adopt(&mut self, index: usize, next: &Arc<Cluster>, closing: &mut Vec<ConnId>) {
        let state = self.states[index].get_or_insert_with(|| ClusterState::new(next, self.workers));
        let left = state.adopt(next, self.worker, &mut self.endpoints);
        self.dismiss(index, &left, closing);
    }

    /// A cluster leaves the configuration. Nothing of it idles any more.
    fn depart(&mut self, index: usize, closing: &mut Vec<ConnId>) {
        let Some(state) = &mut self.states[index] else {
            return;
        };
        state.departed = true;
        for &(_, key) in &state.members {
            empty(&mut self.pool, state, self.worker, key, closing);
        }
        let cluster = state.id();
        if !self.departed.contains(&cluster) {
            self.departed.push(cluster);
        }
    }

    fn retire(&mut self, index: usize, closing: &mut Vec<ConnId>) {
        let Some(state) = &mut self.states[index] else {
            return;
        };
        let cluster = state.id();
        let left = state.retire(&mut self.endpoints);
        if state.has_waiting() {
            self.stranded.push(cluster);
        }
        self.dismiss(index, &left, closing);
        self.retire_if_over(cluster);
    }

    /// Ends the idle connections of endpoints that left, and forgets those endpoints that are
    /// unused.
    fn dismiss(&mut self, index: usize, left: &[EndpointKey], closing: &mut Vec<ConnId>) {
        let Some(state) = &mut self.states[index] else {
            return;
        };
        for &key in left {
            empty(&mut self.pool, state, self.worker, key, closing);
            state.leaving += usize::from(!self.endpoints.reap(key));
        }
    }

    /// Frees an endpoint that left once it is unused.
    #[cold]
    fn reap(&mut self, cluster: ClusterId, key: EndpointKey) {
        if self.endpoints.reap(key) {
            if let Some(state) = &mut self.states[cluster.0 as usize] {
                state.leaving -= 1;
            }
            self.retire_if_over(cluster);
        }
    }

    /// Forgets a cluster that left once nothing of it is in use.
    fn retire_if_over(&mut self, cluster: ClusterId) {
        let slot = &mut self.states[cluster.0 as usize];
        if slot.as_ref().is_some_and(ClusterState::is_over) {
            *slot = None;
        }
    }

    #[inline]
    fn lease(&mut self, cluster: ClusterId, kind: Kind, high: bool) -> bool {
        find_state(&mut self.states, cluster).is_some_and(|state| state.leases.take(kind, high))
    }

    #[inline]
    fn unlease(&mut self, cluster: ClusterId, kind: Kind, high: bool) {
        if let Some(state) = find_state(&mut self.states, cluster) {
            state.leases.give(kind, high);
            if !state.listed {
                self.retire_if_over(cluster);
            }
        }
    }

    #[inline]
    fn count(&self, cluster: ClusterId, count: impl FnOnce(&ClusterCounters)) {
        if let Some(state) = self.states.get(cluster.0 as usize).and_then(Option::as_ref) {
            count(&state.stats(self.worker).counters);
        }
    }
}

#[inline]
fn find_state(
    states: &mut [Option<ClusterState>],
    cluster: ClusterId,
) -> Option<&mut ClusterState> {
    states.get_mut(cluster.0 as usize)?.as_mut()
}

/// Moves all idle connections of an endpoint to `closing`.
fn empty(
    pool: &mut Pool,
    state: &ClusterState,
    worker: WorkerIndex,
    key: EndpointKey,
    closing: &mut Vec<ConnId>,
) {
    while let Some(conn) = pool.take_oldest(key) {
        state.stats(worker).counters.connections_idle.down();
        closing.push(conn);
    }
}
