//! SPINE 4: one server connection: connect, serve one exchange after the other, rest in the pool.
//!
//! ```text
//!   connect ──► Connecting ──► Busy ──► Idle ──► Busy …
//!                   │            │        │
//!                   │ refused    │ spoilt │ idle timeout, a byte, an end (C05)
//!                   └────────────┴────────┴──► closed
//! ```

use core::net::SocketAddr;

use crate::buffer::Buffer;
use crate::cluster::EndpointKey;
use crate::config::Cluster;
use crate::engine::Engine;
use crate::event::{Close, ConnId, IoFault, Op, Time};
use crate::exchange::{Exchange, Stage};
use crate::fault::{Cause, Fault, Side};
use crate::link::{Connection, Link};
use crate::slab::Key;

/// What an upstream connection awaits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// The connection to be made.
    Connecting,
    /// The end of its exchange.
    Busy,
    /// The next exchange.
    Idle,
}

/// One server connection.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) link: Link,
    state: State,
    pub(crate) endpoint: EndpointKey,
    high_priority: bool,
    pub(crate) exchange: Option<Key>,
    pub(crate) local: Option<SocketAddr>,
    requests: u32,
    opened: Time,
}

/// In what condition an exchange leaves its upstream connection (C04).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// Nothing was sent on it.
    Unused,
    /// Request and response complete, nothing left over, nobody asked for close.
    Done,
    /// Ended by both sides, everything delivered.
    Finished,
    /// Anything else.
    Spoilt,
}

impl Engine {
    pub(crate) fn upstream(&self, id: ConnId) -> Option<&Upstream> {
        match self.connections.find(id.into())? {
            Connection::Upstream(upstream) => Some(upstream),
            Connection::Downstream(_) => None,
        }
    }

    pub(crate) fn upstream_mut(&mut self, id: ConnId) -> Option<&mut Upstream> {
        match self.connections.find_mut(id.into())? {
            Connection::Upstream(upstream) => Some(upstream),
            Connection::Downstream(_) => None,
        }
    }

    /// Opens a connection that the circuit breaker has granted; `None` (and the grant is given
    /// back) if no slot is left.
    pub(crate) fn connect(
        &mut self,
        exchange: &Exchange,
        cluster: &Cluster,
        endpoint: EndpointKey,
        high_priority: bool,
    ) -> Option<ConnId> {
        let opened = self.now.time;
        let key = self.connections.insert_with(|key| {
            Connection::Upstream(Upstream {
                link: Link::new(key.into(), cluster.buffer_limit),
                state: State::Connecting,
                endpoint,
                high_priority,
                exchange: Some(exchange.key),
                local: None,
                requests: 0,
                opened,
            })
        });
        let Some(key) = key else {
            self.clusters.release_connection(endpoint, high_priority);
            return None;
        };
        self.counters().connections.up();
        let address = self.clusters.endpoint(endpoint).address;
        self.ops.push_back(Op::Connect {
            conn: key.into(),
            address,
        });
        self.arm(key.into(), opened.after(cluster.connect_timeout));
        cluster.stats.of(self.worker).counters.connects.add(1);
        Some(key.into())
    }

    pub(crate) fn upstream_connected(&mut self, id: ConnId, result: Result<SocketAddr, IoFault>) {
        let now = self.now.time;
        let Some(upstream) = self
            .upstream_mut(id)
            .filter(|upstream| !upstream.link.closing)
        else {
            return;
        };
        let took = now.since(upstream.opened);
        let exchange = upstream.exchange;
        let local = match result {
            Ok(local) => local,
            Err(fault) => return self.connect_failed(id, cause_of(fault)),
        };
        upstream.state = State::Busy;
        upstream.local = Some(local);
        upstream.link.alarm.disarm();
        let Some(key) = exchange else {
            return self.close(id, Close::Normal);
        };
        self.with_exchange(key, |engine, exchange| {
            if let Some(cluster) = exchange.cluster() {
                cluster
                    .stats
                    .of(engine.worker)
                    .connect_duration
                    .record(took);
            }
            if let Err(overflow) = engine.admit(exchange) {
                exchange.upstream = None;
                engine.let_upstream_go(id, Use::Unused);
                return Err(overflow);
            }
            exchange.record.upstream_local = Some(local);
            exchange.stage = Stage::Send;
            Ok(())
        });
    }

    fn connect_failed(&mut self, id: ConnId, cause: Cause) {
        let exchange = self
            .upstream_mut(id)
            .and_then(|upstream| upstream.exchange.take());
        self.close(id, Close::Normal);
        let Some(key) = exchange else { return };
        self.with_exchange(key, |engine, exchange| {
            exchange.upstream = None;
            if let Some(cluster) = exchange.cluster() {
                let counters = &cluster.stats.of(engine.worker).counters;
                match cause {
                    Cause::ConnectTimeout => counters.connect_timeouts.add(1),
                    _ => counters.connect_failures.add(1),
                }
            }
            Err(Fault::connection(Side::Upstream, cause))
        });
    }

    pub(crate) fn upstream_received(&mut self, id: ConnId, buffer: Buffer) {
        let exchange = self.upstream(id).and_then(|upstream| upstream.exchange);
        let Some(key) = exchange else {
            // C05: bytes that nobody asked for.
            self.buffers.give(buffer);
            self.count_unsolicited(id);
            return self.forget_idle(id);
        };
        let mut buffer = Some(buffer);
        self.with_exchange(key, |engine, exchange| match buffer.take() {
            Some(buffer) => engine.response_received(exchange, buffer),
            None => Ok(()),
        });
        if let Some(buffer) = buffer {
            self.buffers.give(buffer);
        }
    }

    fn count_unsolicited(&self, id: ConnId) {
        let Some(upstream) = self.upstream(id) else {
            return;
        };
        let cluster = self.clusters.endpoint(upstream.endpoint).cluster;
        if let Some(cluster) = self.generations.current().cluster(cluster) {
            cluster.stats.of(self.worker).counters.unsolicited.add(1);
        }
    }

    /// An idle connection leaves the pool and is closed.
    fn forget_idle(&mut self, id: ConnId) {
        if let Some(upstream) = self.upstream(id) {
            let endpoint = upstream.endpoint;
            self.clusters.remove(endpoint, id);
        }
        self.close(id, Close::Normal);
    }

    pub(crate) fn upstream_sent(&mut self, id: ConnId) {
        let Some(upstream) = self.upstream_mut(id) else {
            return;
        };
        let link = &mut upstream.link;
        let low = link.blocks && link.queued <= link.low();
        let flushed = link.shut && link.queued == 0;
        if !low && !flushed {
            return;
        }
        link.blocks = false;
        let Some(key) = upstream.exchange else { return };
        self.with_exchange(key, |engine, exchange| {
            exchange.last_progress = engine.now.time;
            if exchange.is_tunnel() {
                engine.tunnel_may_be_done(exchange);
            }
            if exchange.is_tunnel() || !exchange.request_complete {
                engine.receive(exchange.downstream, true);
            }
            Ok(())
        });
    }

    pub(crate) fn upstream_ended(&mut self, id: ConnId) {
        let exchange = self.upstream(id).and_then(|upstream| upstream.exchange);
        let Some(key) = exchange else {
            return self.forget_idle(id);
        };
        self.with_exchange(key, |engine, exchange| {
            if exchange.is_tunnel() {
                engine.tunnel_upstream_ended(exchange);
                return Ok(());
            }
            engine.response_ended(exchange)
        });
    }

    pub(crate) fn upstream_failed(&mut self, id: ConnId, fault: IoFault) {
        let exchange = self.upstream(id).and_then(|upstream| upstream.exchange);
        let connecting = self
            .upstream(id)
            .is_some_and(|up| up.state == State::Connecting);
        if connecting {
            return self.connect_failed(id, cause_of(fault));
        }
        let Some(key) = exchange else {
            return self.forget_idle(id);
        };
        let reset = Fault::connection(Side::Upstream, Cause::Reset);
        self.with_exchange(key, |_, _| Err(reset));
    }

    pub(crate) fn upstream_rang(&mut self, id: ConnId) {
        match self.upstream(id).map(|upstream| upstream.state) {
            Some(State::Connecting) => self.connect_failed(id, Cause::ConnectTimeout),
            Some(State::Idle) => self.forget_idle(id),
            Some(State::Busy) | None => {}
        }
    }

    /// An exchange lets go of everything it holds of its cluster.
    pub(crate) fn release_upstream(&mut self, exchange: &mut Exchange, fate: Use) {
        if let Some(ticket) = exchange.ticket.take() {
            self.clusters.forget_waiting(ticket);
        }
        let held = exchange.snapshot.clone();
        let high = exchange.wants_high_priority();
        if let Some(cluster) = exchange.cluster_id().and_then(|id| held.cluster(id)) {
            if std::mem::take(&mut exchange.waits) {
                self.clusters.release_pending(cluster, high);
            }
            if std::mem::take(&mut exchange.admitted) {
                self.clusters.release_request(cluster, high);
            }
        }
        if let Some(upstream) = exchange.upstream.take() {
            self.let_upstream_go(upstream, fate);
        }
        if let Some(endpoint) = exchange.endpoint.take() {
            self.clusters.ended(endpoint);
        }
    }

    /// A connection goes to the pool, or is closed.
    pub(crate) fn let_upstream_go(&mut self, id: ConnId, fate: Use) {
        let (now, draining) = (self.now.time, self.draining);
        let Some(upstream) = self
            .upstream_mut(id)
            .filter(|upstream| !upstream.link.closing)
        else {
            return;
        };
        upstream.exchange = None;
        upstream.requests += u32::from(fate != Use::Unused);
        let (endpoint, requests) = (upstream.endpoint, upstream.requests);
        let (ended, queued) = (upstream.link.ended, upstream.link.queued);
        let whole = matches!(fate, Use::Done | Use::Unused);
        if !whole || draining || ended || queued > 0 {
            let how = if fate == Use::Spoilt {
                Close::Reset
            } else {
                Close::Normal
            };
            return self.close(id, how);
        }
        let cluster = self.clusters.endpoint(endpoint).cluster;
        let current = self.generations.current().clone();
        let Some(cluster) = current.cluster(cluster) else {
            return self.close(id, Close::Normal);
        };
        if cluster
            .requests_per_connection_max
            .is_some_and(|max| requests >= max)
        {
            return self.close(id, Close::Normal);
        }
        upstream_idle(self.upstream_mut(id));
        self.receive(id, true);
        if let Some(timeout) = cluster.idle_timeout {
            self.arm(id, now.after(timeout));
        }
        if let Some(evicted) = self.clusters.put(endpoint, id) {
            self.close(evicted, Close::Normal);
        }
        self.vacancies.push_back(cluster.id);
    }

    pub(crate) fn upstream_closed(&mut self, upstream: Upstream) {
        let cluster = self.clusters.endpoint(upstream.endpoint).cluster;
        self.clusters
            .release_connection(upstream.endpoint, upstream.high_priority);
        self.vacancies.push_back(cluster);
    }
}

fn upstream_idle(upstream: Option<&mut Upstream>) {
    if let Some(upstream) = upstream {
        upstream.state = State::Idle;
        upstream.link.blocks = false;
    }
}

fn cause_of(fault: IoFault) -> Cause {
    match fault {
        IoFault::TimedOut => Cause::ConnectTimeout,
        IoFault::Exhausted => Cause::Exhausted,
        _ => Cause::ConnectFailed,
    }
}
