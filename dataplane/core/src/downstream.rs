//! SPINE 2: one client connection, from accept to close.
//!
//! ```text
//!            first byte           head complete            response and request complete
//!   Idle ───────────────► Head ─────────────► Exchange ───────────────────────► Idle
//!     │ idle timeout        │ too slow, too     │ 101                │ last one
//!     │ drain               │ large, malformed  ▼                    ▼
//!     │                     └──────────────►  Tunnel ────────────► Flush ──► Linger ──► closed
//!     └──────────────────────────────────────────────────────────────────────────────► closed
//! ```
//!
//! `Flush` waits until everything queued has left, `Linger` until the client has closed too or
//! `delayed_close_timeout` has passed: closing at once would reset the answer away (C01).

mod ahead;

use core::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::accept::{ConnectionBudget, Refused};
use crate::buffer::Buffer;
use crate::config::{ChainId, Http, ListenerId, Snapshot};
use crate::engine::Engine;
use crate::event::{Close, ConnId, Incoming, Op, Time};
use crate::fault::{Cause, Fault, Side};
use crate::generation::Held;
use crate::http::Refusal;
use crate::http::h1::{HeadLimits, HeadScanner};
use crate::limits;
use crate::link::{Connection, Link};
use crate::slab::Key;
use crate::stats::{ListenerStats, PerWorker};

/// What a client connection awaits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// The first byte of a request.
    Idle,
    /// The rest of a request head.
    Head,
    /// The end of its exchange.
    Exchange,
    /// Bytes both ways, until both sides have ended.
    Tunnel,
    /// The last queued byte to leave.
    Flush,
    /// The client to close.
    Linger,
}

/// One client connection.
#[derive(Debug)]
pub(crate) struct Downstream {
    pub(crate) link: Link,
    pub(crate) phase: Phase,
    pub(crate) listener: ListenerId,
    /// Its filter chain: chosen once, and kept by identity.
    pub(crate) chain: ChainId,
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Number of the connection in this process.
    pub(crate) number: u64,
    /// Requests so far.
    pub(crate) requests: u32,
    /// Position in the head that is being received.
    scanner: HeadScanner,
    /// Received bytes that cannot be parsed yet.
    pub(crate) ahead: Vec<u8>,
    /// The configuration that the present request is served by.
    pub(crate) held: Option<Held>,
    /// The last configuration that knew its chain, if the current one does not.
    last: Option<Held>,
    pub(crate) exchange: Option<Key>,
    pub(crate) opened: Time,
    /// When it has been idle for too long, if it is.
    idle_until: Time,
    /// First byte of the head that is being received.
    head_start: Time,
    head_start_wall: u64,
    delayed_close: Duration,
    lingered: u64,
    budget: Arc<ConnectionBudget>,
    pub(crate) stats: Arc<PerWorker<ListenerStats>>,
}

/// Where the bytes of a complete head are.
#[derive(Debug)]
pub(crate) enum HeadBytes {
    /// At the front of a received buffer.
    Received(Buffer),
    /// Gathered from several.
    Gathered(Vec<u8>),
}

/// When a head began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadStart {
    pub(crate) time: Time,
    pub(crate) wall: u64,
}

impl Downstream {
    /// True if it has no request in hand and was idle for as long as it may.
    fn is_over_idle(&self, now: Time) -> bool {
        self.ahead.is_empty() && self.idle_until <= now
    }

    /// True if this configuration has its listener and filter chain.
    pub(crate) fn is_known(&self, snapshot: &Snapshot) -> bool {
        snapshot.chain(self.listener, self.chain).is_some()
    }

    /// The HTTP settings of its filter chain in this configuration.
    fn http<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a Arc<Http>> {
        let chain = snapshot.chain(self.listener, self.chain)?;
        snapshot.http(self.listener, chain)
    }
}

impl Engine {
    pub(crate) fn accept(
        &mut self,
        id: ListenerId,
        incoming: Incoming,
        remote: SocketAddr,
        local: SocketAddr,
    ) {
        let held = self.generations.serving(id).clone();
        let Some(listener) = held.listener(id) else {
            return self.ops.push_back(Op::Refuse { incoming });
        };
        let leaving = self.generations.current().listener(id).is_none();
        let counters = &listener.stats.of(self.worker).counters;
        let chain = listener.chains.choose();
        let http = listener
            .chains
            .find(chain)
            .and_then(|chain| held.http(id, chain));
        if let Err(refused) = listener.connections.acquire() {
            match refused {
                Refused::Listener => counters.refused_limit.add(1),
                Refused::Process => counters.refused_process_limit.add(1),
            }
            return self.ops.push_back(Op::Refuse { incoming });
        }
        self.accepted += 1;
        let number = (u64::from(self.worker.0) << 48) | self.accepted;
        let opened = self.now.time;
        let key = self.connections.insert_with(|key| {
            Connection::Downstream(Downstream {
                link: Link::new(key.into(), listener.buffer_limit),
                phase: Phase::Idle,
                listener: id,
                chain,
                remote,
                local,
                number,
                requests: 0,
                scanner: HeadScanner::request(),
                ahead: Vec::new(),
                held: None,
                last: leaving.then(|| held.clone()),
                exchange: None,
                opened,
                idle_until: Time::NEVER,
                head_start: opened,
                head_start_wall: 0,
                delayed_close: http.map_or(Duration::ZERO, |http| http.delayed_close_timeout),
                lingered: 0,
                budget: listener.connections.clone(),
                stats: listener.stats.clone(),
            })
        });
        let Some(key) = key else {
            listener.connections.release();
            counters.refused_exhausted.add(1);
            return self.ops.push_back(Op::Refuse { incoming });
        };
        counters.connections.add(1);
        counters.connections_active.up();
        self.counters().connections.up();
        self.ops.push_back(Op::Adopt {
            incoming,
            conn: key.into(),
        });
        self.await_request(key.into());
    }

    pub(crate) fn accept_failed(&mut self, id: ListenerId) {
        if let Some(listener) = self.generations.serving(id).listener(id) {
            listener
                .stats
                .of(self.worker)
                .counters
                .accept_failures
                .add(1);
        }
    }

    pub(crate) fn downstream(&self, id: ConnId) -> Option<&Downstream> {
        match self.connections.find(id.into())? {
            Connection::Downstream(downstream) => Some(downstream),
            Connection::Upstream(_) => None,
        }
    }

    pub(crate) fn downstream_mut(&mut self, id: ConnId) -> Option<&mut Downstream> {
        match self.connections.find_mut(id.into())? {
            Connection::Downstream(downstream) => Some(downstream),
            Connection::Upstream(_) => None,
        }
    }

    pub(crate) fn downstream_received(&mut self, id: ConnId, buffer: Buffer) {
        let Some(downstream) = self.downstream_mut(id) else {
            return self.buffers.give(buffer);
        };
        match downstream.phase {
            Phase::Idle if downstream.link.blocks => self.receive_behind(id, buffer),
            Phase::Idle => {
                self.begin_head(id);
                self.head_received(id, buffer);
            }
            Phase::Head => self.head_received(id, buffer),
            Phase::Exchange => self.request_received(id, buffer),
            Phase::Tunnel => self.tunnel_from_downstream(id, buffer),
            Phase::Flush | Phase::Linger => {
                downstream.lingered += buffer.len() as u64;
                let too_much = downstream.lingered > limits::LINGER_BYTES_MAX;
                self.buffers.give(buffer);
                if too_much {
                    // A reset would take the answer with it (C01): the client waits instead, until
                    // `delayed_close_timeout` has passed.
                    self.receive(id, false);
                }
            }
        }
    }

    /// A request that was under way when a client that does not read was held back.
    fn receive_behind(&mut self, id: ConnId, buffer: Buffer) {
        let kept = self.keep_ahead(id, buffer.as_slice());
        self.buffers.give(buffer);
        if !kept {
            self.close(id, Close::Reset);
        }
    }

    /// The first byte of a head is there: the configuration of this moment serves the request, or
    /// the last one that knew its listener.
    fn begin_head(&mut self, id: ConnId) {
        let (now, current) = (self.now, self.generations.current().clone());
        let Some(downstream) = self.downstream_mut(id) else {
            return;
        };
        let current = match &downstream.last {
            Some(last) if !downstream.is_known(&current) => last.clone(),
            _ => current,
        };
        downstream.phase = Phase::Head;
        downstream.scanner = HeadScanner::request();
        downstream.head_start = now.time;
        downstream.head_start_wall = now.wall;
        let timeout = downstream.http(&current).and_then(|http| http.head_timeout);
        downstream.held = Some(current);
        match timeout {
            Some(timeout) => self.arm(id, now.time.after(timeout)),
            None => self.disarm(id),
        }
    }

    fn head_received(&mut self, id: ConnId, buffer: Buffer) {
        let gathered = self
            .downstream(id)
            .is_some_and(|downstream| !downstream.ahead.is_empty());
        if !gathered {
            match self.scan_head(id, Some(buffer.as_slice())) {
                Ok(Some(len)) => self.begin_exchange(id, HeadBytes::Received(buffer), Ok(len)),
                Err(refusal) => self.begin_exchange(id, HeadBytes::Received(buffer), Err(refusal)),
                Ok(None) => {
                    let kept = self.keep_ahead(id, buffer.as_slice());
                    self.buffers.give(buffer);
                    if !kept {
                        self.give_up_head(id, Fault::EXHAUSTED);
                    }
                }
            }
            return;
        }
        let kept = self.keep_ahead(id, buffer.as_slice());
        self.buffers.give(buffer);
        if kept {
            self.parse_ahead(id)
        } else {
            self.give_up_head(id, Fault::EXHAUSTED)
        }
    }

    /// Looks for the end of the head in what was gathered.
    fn parse_ahead(&mut self, id: ConnId) {
        let found = self.scan_head(id, None);
        if let Ok(None) = found {
            return;
        }
        let ahead = self.take_ahead(id);
        self.begin_exchange(
            id,
            HeadBytes::Gathered(ahead),
            found.map(|len| len.unwrap_or(0)),
        );
    }

    /// Scans `bytes`, or what was gathered.
    fn scan_head(&mut self, id: ConnId, bytes: Option<&[u8]>) -> Result<Option<usize>, Refusal> {
        let Some(Connection::Downstream(downstream)) = self.connections.find_mut(id.into()) else {
            return Ok(None);
        };
        let held = downstream.held.as_ref();
        let limits = match held.and_then(|held| downstream.http(held)) {
            Some(http) => http.decode.limits(),
            None => HeadLimits::default(),
        };
        downstream
            .scanner
            .scan(bytes.unwrap_or(&downstream.ahead), &limits)
    }

    pub(crate) fn head_start(&self, id: ConnId) -> HeadStart {
        match self.downstream(id) {
            Some(downstream) => HeadStart {
                time: downstream.head_start,
                wall: downstream.head_start_wall,
            },
            None => HeadStart {
                time: self.now.time,
                wall: self.now.wall,
            },
        }
    }

    /// Ready for the next request: bytes in hand are parsed by [`Engine::settle`]. A client that
    /// has not read its answers gets no further one: requests are cheaper to send than to answer.
    pub(crate) fn await_request(&mut self, id: ConnId) {
        let deadline = self.idle_deadline(id);
        let Some(downstream) = self.downstream_mut(id) else {
            return;
        };
        downstream.phase = Phase::Idle;
        downstream.exchange = None;
        downstream.held = None;
        downstream.idle_until = deadline;
        let link = &mut downstream.link;
        link.blocks = link.queued > link.high;
        let (blocks, more) = (link.blocks, !downstream.ahead.is_empty());
        if downstream.link.ended && !more {
            return self.finish_downstream(id);
        }
        self.receive(id, !blocks);
        self.arm_idle(id);
        if more && !blocks {
            self.ready.push_back(id);
        }
    }

    /// S06 goes on between requests: the client is given up when it is idle for too long, or reads
    /// nothing of what is due. One whose next request is here already is not idle.
    fn arm_idle(&mut self, id: ConnId) {
        let flush = self.now.time.after(limits::FLUSH_TIMEOUT);
        let Some(downstream) = self.downstream(id) else {
            return;
        };
        let deadline = match (downstream.link.queued, downstream.ahead.is_empty()) {
            (0, _) => downstream.idle_until,
            (_, true) => downstream.idle_until.min(flush),
            (_, false) => flush,
        };
        self.arm(id, deadline);
    }

    /// An idle client has read something: it may ask again once little is left.
    fn idle_sent(&mut self, id: ConnId) {
        self.arm_idle(id);
        let Some(downstream) = self.downstream_mut(id) else {
            return;
        };
        let link = &mut downstream.link;
        if !link.blocks || link.queued > link.low() {
            return;
        }
        link.blocks = false;
        let more = !downstream.ahead.is_empty();
        self.receive(id, true);
        if more {
            self.ready.push_back(id);
        }
    }

    /// When an idle connection is given up: `idle_timeout`, `max_connection_duration`, or soon if
    /// draining. Soon is not at once: a request may be on its way already.
    fn idle_deadline(&self, id: ConnId) -> Time {
        let now = self.now.time;
        let Some(downstream) = self.downstream(id) else {
            return Time::NEVER;
        };
        let current = self.generations.current();
        let http = downstream.http(current).filter(|_| !self.draining);
        let Some(http) = http else {
            return now.after(limits::DRAIN_IDLE_GRACE);
        };
        let idle = http
            .idle_timeout
            .map_or(Time::NEVER, |timeout| now.after(timeout));
        let age = http.connection_duration_max;
        idle.min(age.map_or(Time::NEVER, |max| downstream.opened.after(max).max(now)))
    }

    /// Parses a request whose bytes are already here.
    pub(crate) fn resume(&mut self, id: ConnId) {
        let idle = self
            .downstream(id)
            .is_some_and(|downstream| downstream.phase == Phase::Idle && !downstream.link.closing);
        if !idle {
            return;
        }
        self.begin_head(id);
        self.parse_ahead(id);
        let stuck = self
            .downstream(id)
            .is_some_and(|downstream| downstream.phase == Phase::Head && downstream.link.ended);
        if stuck {
            self.finish_downstream(id);
        }
    }

    /// Answers nothing more on this connection: what is queued leaves, then it is closed.
    pub(crate) fn finish_downstream(&mut self, id: ConnId) {
        let flush = self.now.time.after(limits::FLUSH_TIMEOUT);
        let Some(downstream) = self.downstream_mut(id) else {
            return;
        };
        downstream.phase = Phase::Flush;
        downstream.exchange = None;
        downstream.held = None;
        let queued = downstream.link.queued;
        let (ended, lingers) = (downstream.link.ended, !downstream.delayed_close.is_zero());
        if !ended {
            // FIN may travel with the last bytes.
            self.shutdown(id);
        }
        drop(self.take_ahead(id));
        if lingers {
            self.receive(id, true);
        }
        self.arm(id, flush);
        if queued == 0 {
            self.linger(id);
        }
    }

    /// The client said that this request is its last, and all of it is here: nothing more is
    /// listened for, nor waited for once the response has left (RFC 9112 section 9.6).
    pub(crate) fn expect_nothing(&mut self, id: ConnId) {
        let silent = |downstream: &&mut Downstream| downstream.ahead.is_empty();
        if let Some(downstream) = self.downstream_mut(id).filter(silent) {
            downstream.delayed_close = Duration::ZERO;
            self.receive(id, false);
        }
    }

    fn linger(&mut self, id: ConnId) {
        let Some(downstream) = self.downstream_mut(id) else {
            return;
        };
        downstream.phase = Phase::Linger;
        let (ended, delay) = (downstream.link.ended, downstream.delayed_close);
        if ended || delay.is_zero() {
            return self.close(id, Close::Normal);
        }
        self.shutdown(id);
        let deadline = self.now.time.after(delay);
        self.arm(id, deadline);
    }

    /// Idle connections that `which` names are given up soon; the others learn it with their
    /// response.
    pub(crate) fn close_idle_downstreams(&mut self, which: impl Fn(&Downstream) -> bool) {
        let idle: Vec<ConnId> = self
            .connections
            .iter()
            .filter_map(|connection| match connection {
                Connection::Downstream(downstream)
                    if downstream.phase == Phase::Idle
                        && !downstream.link.closing
                        && which(downstream) =>
                {
                    Some(downstream.link.id)
                }
                _ => None,
            })
            .collect();
        let deadline = self.now.time.after(limits::DRAIN_IDLE_GRACE);
        for id in idle {
            if let Some(downstream) = self.downstream_mut(id) {
                downstream.idle_until = deadline;
            }
            self.arm_idle(id);
        }
    }

    /// Connections whose filter chain is gone keep the last configuration that knew it: a request
    /// that is already on its way is served by that one.
    pub(crate) fn keep_generation(&mut self, old: &Held) {
        let current = self.generations.current().clone();
        for connection in self.connections.iter_mut() {
            if let Connection::Downstream(downstream) = connection
                && downstream.is_known(old)
                && !downstream.is_known(&current)
            {
                downstream.last = Some(old.clone());
            }
        }
    }

    pub(crate) fn downstream_sent(&mut self, id: ConnId) {
        let flush = self.now.time.after(limits::FLUSH_TIMEOUT);
        let Some(downstream) = self.downstream_mut(id) else {
            return;
        };
        let link = &downstream.link;
        let (queued, low, blocks) = (link.queued, link.low(), link.blocks);
        match downstream.phase {
            Phase::Idle => self.idle_sent(id),
            Phase::Flush if queued == 0 => self.linger(id),
            Phase::Flush => self.arm(id, flush),
            Phase::Exchange | Phase::Tunnel if blocks => {
                if queued <= low {
                    self.response_may_flow(id);
                }
                self.watch_client_reading(id);
            }
            _ => {}
        }
    }

    pub(crate) fn downstream_ended(&mut self, id: ConnId) {
        let Some(downstream) = self.downstream_mut(id) else {
            return;
        };
        match downstream.phase {
            Phase::Idle if downstream.ahead.is_empty() => self.finish_downstream(id),
            Phase::Idle => {}
            Phase::Head => self.finish_downstream(id),
            Phase::Exchange => self.request_ended(id),
            Phase::Tunnel => self.tunnel_downstream_ended(id),
            Phase::Flush => {}
            Phase::Linger => self.close(id, Close::Normal),
        }
    }

    pub(crate) fn downstream_failed(&mut self, id: ConnId) {
        let exchange = self
            .downstream(id)
            .and_then(|downstream| downstream.exchange);
        self.close(id, Close::Reset);
        if let Some(exchange) = exchange {
            self.downstream_gone(exchange);
        }
    }

    pub(crate) fn downstream_rang(&mut self, id: ConnId) {
        let (worker, now) = (self.worker, self.now.time);
        let Some(downstream) = self.downstream_mut(id) else {
            return;
        };
        let counters = &downstream.stats.of(worker).counters;
        match downstream.phase {
            Phase::Idle if downstream.link.queued > 0 && !downstream.is_over_idle(now) => {
                counters.timeouts_flush.add(1);
                self.close(id, Close::Reset);
            }
            Phase::Idle => {
                counters.timeouts_idle.add(1);
                self.finish_downstream(id);
            }
            Phase::Head => {
                counters.timeouts_head.add(1);
                self.give_up_head(id, Fault::connection(Side::Downstream, Cause::HeadTimeout));
            }
            Phase::Flush => {
                counters.timeouts_flush.add(1);
                self.close(id, Close::Reset);
            }
            Phase::Linger => self.close(id, Close::Normal),
            Phase::Exchange | Phase::Tunnel => self.client_does_not_read(id),
        }
    }

    pub(crate) fn downstream_closed(&mut self, downstream: Downstream) {
        self.ahead_bytes -= downstream.ahead.len();
        downstream.budget.release();
        downstream
            .stats
            .of(self.worker)
            .counters
            .connections_active
            .down();
    }
}
