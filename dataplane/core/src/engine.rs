//! SPINE 1: one core's proxy without I/O. Which connection an event concerns, and what leaves.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::access_log::LogQueue;
use crate::buffer::BufferPool;
use crate::chance::Chance;
use crate::cluster::Clusters;
use crate::config::{Chain, ClusterId, ListenerId, SinkId, Snapshot};
use crate::date::DateField;
use crate::event::{ConnId, Event, Now, Op, Time};
use crate::exchange::{Exchange, ExchangeSlot};
use crate::generation::{Generations, Held};
use crate::limits;
use crate::link::{Connection, charge};
use crate::machine::Machine;
use crate::slab::Slab;
use crate::stats::{PerWorker, WorkerCounters, WorkerIndex, WorkerStats};
use crate::timer::{Owner, Timers};

/// What an engine is made with.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Which worker this is.
    pub worker: WorkerIndex,
    /// How many there are.
    pub workers: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Bytes that a buffer receives.
    pub buffer_payload: usize,
    /// Most buffers.
    pub buffers_limit: usize,
    /// Most connections, both sides.
    pub connections_limit: usize,
    /// Name of this machine, for `%HOSTNAME%`.
    pub hostname: Box<str>,
    /// Bytes of a body still to come from which on the driver is offered to relay it
    /// (`limits::RELAY_BYTES_MIN`).
    pub relay_bytes_min: u64,
    /// Counters of the workers.
    pub stats: Arc<PerWorker<WorkerStats>>,
}

/// The proxy of one worker. See the crate's documentation for its contract.
#[derive(Debug)]
pub struct Engine {
    pub(crate) worker: WorkerIndex,
    pub(crate) now: Now,
    pub(crate) chance: Chance,
    pub(crate) buffers: BufferPool,
    pub(crate) ops: VecDeque<Op>,
    pub(crate) timers: Timers,
    pub(crate) generations: Generations,
    pub(crate) connections: Slab<Connection>,
    pub(crate) exchanges: Slab<ExchangeSlot>,
    /// Finished exchanges, kept for their memory.
    #[allow(clippy::vec_box, reason = "they move in and out of slots as boxes")]
    pub(crate) spare: Vec<Box<Exchange>>,
    pub(crate) clusters: Clusters,
    /// Downstreams with bytes of a next request in hand.
    pub(crate) ready: VecDeque<ConnId>,
    /// Clusters in which a connection came free.
    pub(crate) vacancies: VecDeque<ClusterId>,
    /// Bytes held in `Downstream::ahead` over all connections.
    pub(crate) ahead_bytes: usize,
    /// The slot that was looked at last for one that holds most of them.
    pub(crate) ahead_cursor: u32,
    /// Downstreams that are given up because they hold too many.
    pub(crate) overloaded: VecDeque<ConnId>,
    pub(crate) scratch: Vec<u8>,
    pub(crate) values: Vec<u8>,
    pub(crate) date: DateField,
    pub(crate) log: LogQueue,
    pub(crate) hostname: Box<str>,
    pub(crate) stats: Arc<PerWorker<WorkerStats>>,
    pub(crate) relay_bytes_min: u64,
    pub(crate) accepted: u64,
    pub(crate) draining: bool,
}

impl Engine {
    /// An engine without configuration: it serves nothing until the first snapshot.
    pub fn new(options: EngineOptions) -> Self {
        Self {
            worker: options.worker,
            now: Now::default(),
            chance: Chance::new(options.seed),
            buffers: BufferPool::new(options.buffer_payload, options.buffers_limit),
            ops: VecDeque::new(),
            timers: Timers::default(),
            generations: Generations::default(),
            connections: Slab::new(options.connections_limit),
            exchanges: Slab::new(options.connections_limit),
            spare: Vec::new(),
            clusters: Clusters::new(options.worker, options.workers),
            ready: VecDeque::new(),
            vacancies: VecDeque::new(),
            ahead_bytes: 0,
            ahead_cursor: 0,
            overloaded: VecDeque::new(),
            scratch: Vec::with_capacity(4096),
            values: Vec::with_capacity(1024),
            date: DateField::default(),
            log: LogQueue::new(limits::LOG_BYTES_MAX),
            hostname: options.hostname,
            stats: options.stats,
            relay_bytes_min: options.relay_bytes_min,
            accepted: 0,
            draining: false,
        }
    }

    /// Nodes of timers in the wheel, void ones included: bounded by slots, not by requests.
    pub fn timer_nodes(&self) -> usize {
        self.timers.nodes()
    }

    /// Generation of the configuration in force.
    pub fn generation(&self) -> u64 {
        self.generations.current().generation
    }

    /// Counters of this worker.
    pub(crate) fn counters(&self) -> &WorkerCounters {
        &self.stats.of(self.worker).counters
    }

    fn route_event(&mut self, event: Event) {
        match event {
            Event::Accepted {
                listener,
                incoming,
                remote,
                local,
            } => {
                self.accept(listener, incoming, remote, local);
            }
            Event::AcceptFailed { listener, .. } => self.accept_failed(listener),
            Event::Unlistened { listener } => self.generations.left(listener),
            Event::Connected { conn, result } => self.upstream_connected(conn, result),
            Event::Received { conn, buffer } => {
                self.count_received(conn, buffer.len() as u64);
                match self.side(conn) {
                    Some(SideOf::Downstream) => self.downstream_received(conn, buffer),
                    Some(SideOf::Upstream) => self.upstream_received(conn, buffer),
                    None => self.buffers.give(buffer),
                }
            }
            Event::Sent {
                conn,
                bytes,
                buffer,
            } => {
                self.buffers.give(buffer);
                self.sent(conn, bytes);
            }
            Event::Relayed { from, bytes, held } => self.relayed(from, bytes, held),
            Event::End { conn } => self.ended(conn),
            Event::Failed { conn, fault } => match self.side(conn) {
                Some(SideOf::Downstream) => self.downstream_failed(conn),
                Some(SideOf::Upstream) => self.upstream_failed(conn, fault),
                None => {}
            },
            Event::Closed { conn } => self.closed(conn),
            Event::Snapshot(snapshot) => self.take_snapshot(snapshot),
            Event::Drain => self.drain(),
        }
    }

    /// What kind of connection this is; `None` if it is gone or on its way out.
    fn side(&self, id: ConnId) -> Option<SideOf> {
        match self.connections.find(id.into())? {
            connection if connection.link().closing => None,
            Connection::Downstream(_) => Some(SideOf::Downstream),
            Connection::Upstream(_) => Some(SideOf::Upstream),
        }
    }

    fn sent(&mut self, id: ConnId, bytes: u32) {
        let Some(link) = self.link_mut(id) else {
            return;
        };
        link.queued -= charge(bytes as usize);
        let closing = link.closing;
        self.count_sent(id, u64::from(bytes));
        if closing {
            return;
        }
        match self.side(id) {
            Some(SideOf::Downstream) => self.downstream_sent(id),
            Some(SideOf::Upstream) => self.upstream_sent(id),
            None => {}
        }
    }

    /// Every byte that was read counts, whatever becomes of it.
    pub(crate) fn count_received(&self, id: ConnId, bytes: u64) {
        match self.connections.find(id.into()) {
            Some(Connection::Downstream(downstream)) => {
                let counters = &downstream.stats.of(self.worker).counters;
                counters.bytes_received.add(bytes);
            }
            Some(Connection::Upstream(upstream)) => self.clusters.count_bytes(
                upstream.endpoint,
                |counters| &counters.bytes_received,
                bytes,
            ),
            None => {}
        }
    }

    /// Every byte that the kernel took counts: heads, framing and payload.
    pub(crate) fn count_sent(&self, id: ConnId, bytes: u64) {
        match self.connections.find(id.into()) {
            Some(Connection::Downstream(downstream)) => {
                let counters = &downstream.stats.of(self.worker).counters;
                counters.bytes_sent.add(bytes);
            }
            Some(Connection::Upstream(upstream)) => {
                self.clusters
                    .count_bytes(upstream.endpoint, |counters| &counters.bytes_sent, bytes)
            }
            None => {}
        }
    }

    fn ended(&mut self, id: ConnId) {
        let side = self.side(id);
        if let Some(link) = self.link_mut(id) {
            link.ended = true;
        }
        match side {
            Some(SideOf::Downstream) => self.downstream_ended(id),
            Some(SideOf::Upstream) => self.upstream_ended(id),
            None => {}
        }
    }

    fn closed(&mut self, id: ConnId) {
        let Some(connection) = self.connections.remove(id.into()) else {
            return;
        };
        self.counters().connections.down();
        match connection {
            Connection::Downstream(downstream) => self.downstream_closed(downstream),
            Connection::Upstream(upstream) => self.upstream_closed(upstream),
        }
    }

    fn take_snapshot(&mut self, snapshot: Arc<Snapshot>) {
        let old = self.generations.current().clone();
        let mut closing = Vec::new();
        self.clusters.reconcile(&snapshot, &mut closing);
        self.generations.replace(snapshot);
        closing
            .into_iter()
            .for_each(|conn| self.close(conn, crate::event::Close::Normal));
        self.let_listeners_go(&old);
        self.counters().snapshots.add(1);
    }

    /// Listeners that are no longer configured stop accepting; their connections, and those of
    /// filter chains that are gone, finish and close.
    fn let_listeners_go(&mut self, old: &Held) {
        let current = self.generations.current().clone();
        if !loses_chains(old, &current) {
            return;
        }
        self.keep_generation(old);
        if self.draining {
            return; // every listener is closed already
        }
        for listener in old.listeners.iter().flatten() {
            if current.listener(listener.id).is_none() {
                self.unlisten(listener.id, old);
            }
        }
        self.close_idle_downstreams(|downstream| {
            downstream.is_known(old) && !downstream.is_known(&current)
        });
    }

    /// Closes a listener; `held` serves the clients in its backlog.
    fn unlisten(&mut self, listener: ListenerId, held: &Held) {
        self.generations.leave(listener, held.clone());
        self.ops.push_back(Op::Unlisten { listener });
    }

    fn drain(&mut self) {
        if self.draining {
            return;
        }
        self.draining = true;
        let current = self.generations.current().clone();
        for listener in current.listeners.iter().flatten() {
            self.unlisten(listener.id, &current);
        }
        self.close_idle_downstreams(|_| true);
        let mut idle = Vec::new();
        self.clusters.drain_idle(&mut idle);
        idle.into_iter()
            .for_each(|conn| self.close(conn, crate::event::Close::Normal));
    }

    /// What one event may leave behind: pipelined requests, generations nobody holds.
    fn settle(&mut self) {
        loop {
            if let Some(id) = self.overloaded.pop_front() {
                self.shed(id);
            } else if let Some(cluster) = self.vacancies.pop_front() {
                self.serve_waiting(cluster);
            } else if let Some(id) = self.ready.pop_front() {
                self.resume(id);
            } else if self.generations.retire() {
                // The runtime keeps a clone until every worker has let go: this frees nothing here.
                self.forget_clusters();
            } else {
                break;
            }
        }
    }

    /// Clusters that left are kept for as long as a generation that lists them is held.
    #[cold]
    fn forget_clusters(&mut self) {
        let mut closing = Vec::new();
        let generations = &self.generations;
        self.clusters
            .forget(|cluster| generations.older_lists(cluster), &mut closing);
        self.refuse_stranded();
        closing
            .into_iter()
            .for_each(|conn| self.close(conn, crate::event::Close::Normal));
    }

    fn ring(&mut self, owner: Owner) {
        let now = self.now.time;
        match owner {
            Owner::Connection(slot) => {
                let Some((key, connection)) = self.connections.occupant(slot) else {
                    return;
                };
                let alarm = &mut connection.link_mut().alarm;
                if !self.timers.ring(alarm, owner, now) {
                    return;
                }
                match self.side(key.into()) {
                    Some(SideOf::Downstream) => self.downstream_rang(key.into()),
                    Some(SideOf::Upstream) => self.upstream_rang(key.into()),
                    None => {}
                }
            }
            Owner::Exchange(slot) => {
                let Some((key, Some(exchange))) = self.exchanges.occupant(slot) else {
                    return;
                };
                if self.timers.ring(&mut exchange.alarm, owner, now) {
                    self.exchange_rang(key);
                }
            }
        }
    }
}

/// True if a filter chain of the old configuration is not in the new one.
fn loses_chains(old: &Snapshot, new: &Snapshot) -> bool {
    old.listeners.iter().flatten().any(|before| {
        let after = new.listener(before.id);
        let is_gone = |chain: &Chain| new.chain(before.id, chain.id).is_none();
        after.is_none_or(|after| !Arc::ptr_eq(before, after)) && before.chains.iter().any(is_gone)
    })
}

/// Which kind of connection.
#[derive(Clone, Copy, Debug)]
enum SideOf {
    Downstream,
    Upstream,
}

impl Machine for Engine {
    fn handle(&mut self, event: Event, now: Now) {
        self.now = now;
        self.route_event(event);
        self.settle();
    }

    fn poll_op(&mut self) -> Option<Op> {
        loop {
            match self.ops.pop_front()? {
                Op::Relay { from, to, .. } => {
                    // Bytes may have arrived since it was queued.
                    if let Some(bytes) = self.relay_bytes(from, to) {
                        return Some(Op::Relay { from, to, bytes });
                    }
                }
                op => return Some(op),
            }
        }
    }

    fn poll_timeout(&self) -> Time {
        self.timers.next()
    }

    fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        while let Some(owner) = self.timers.poll(now.time) {
            self.ring(owner);
            self.settle();
        }
    }

    fn buffers(&mut self) -> &mut BufferPool {
        &mut self.buffers
    }

    fn is_drained(&self) -> bool {
        self.draining
            && !self.generations.has_leaving()
            && self.connections.is_empty()
            && self.exchanges.is_empty()
    }

    fn log_pending(&self) -> bool {
        !self.log.is_empty()
    }

    fn take_log(&mut self, sink: &mut dyn FnMut(SinkId, &[u8])) {
        self.log.drain(sink);
    }
}
