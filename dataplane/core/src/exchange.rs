//! SPINE 3, READ THIS FIRST: one request and its response as two lanes.
//!
//! ```text
//!  request lane   Route ─► Pick ─► Acquire ─► Connect ─► Send ─► Body ─► Sent
//!                   │        │        └──────► Queue ──┘   ▲
//!                   │        └─ no endpoint, breaker       └─ stale pooled connection: once more
//!                   └─ redirect, direct response, no route
//!  response lane  Head ─► Body ─► Done          (or Tunnel after a 101)
//! ```
//!
//! The request lane is a loop over [`Stage`]; a stage returns the next one, waits, or stops with a
//! [`Fault`]. The response lane follows the origin's bytes. Both lanes run at the same time once
//! the request head has left, so full-duplex bodies need no third state. The exchange ends when the
//! response is done: whatever is then missing of the request costs both connections.
//!
//! While a function works on an exchange it holds the box itself; the slab slot is empty, so
//! nothing can reach the same exchange twice.

mod codec;
mod deadlines;
mod relay;
mod request;
mod response;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::access_log::{Facts, Flags, Record};
use crate::buffer::Buffer;
use crate::cluster::EndpointKey;
use crate::config::cluster::Cluster;
use crate::config::listener::{Http, Listener};
use crate::config::{ChainIndex, ClusterId, ListenerId};
use crate::downstream::{HeadBytes, HeadStart, Phase};
use crate::engine::Engine;
use crate::event::{Close, ConnId, Time};
use crate::fault::{Cause, Fault, Scope, Side};
use crate::generation::Held;
use crate::http::h1::{BodyDecoder, HeadScanner, RequestFraming};
use crate::http::{BodyLength, Refusal, RequestHead, ResponseHead, Span, Version};
use crate::limits;
use crate::pool::{Ticket, Waiting};
use crate::reply::{Reply, reply_to};
use crate::retry::{Attempt, may_resend};
use crate::route::{Choice, RouteRef};
use crate::slab::Key;
use crate::timer::Alarm;
use crate::upstream::Use;

use self::relay::Offer;

/// Where the request stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    /// Which route, and what it does.
    Route,
    /// Which endpoint.
    Pick,
    /// Which connection.
    Acquire,
    /// Awaits its new connection.
    Connect,
    /// Awaits a connection that another exchange gives back.
    Queue,
    /// Head leaves.
    Send,
    /// Body follows as it arrives.
    Body,
    /// All of it has left; awaits the response.
    Sent,
}

/// Where the response stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ResponseStage {
    /// Awaits its head; nothing was sent to the client but interim responses.
    Head,
    /// The head has left: only the truth or a close may follow.
    Body,
    /// All of it was given to the client's connection.
    Done,
    /// A 101 has left: the two connections are a tunnel.
    Tunnel,
}

/// What a stage of the request lane came to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Next(Stage),
    /// An event will call [`Engine::advance`] again.
    Wait,
    /// The response is complete without an origin.
    Answered,
}

/// A slab slot; empty while somebody works on the exchange.
pub(crate) type ExchangeSlot = Option<Box<Exchange>>;

/// One request and its response.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) key: Key,
    pub(crate) downstream: ConnId,
    pub(crate) upstream: Option<ConnId>,
    pub(crate) snapshot: Held,
    pub(crate) listener: ListenerId,
    /// Its filter chain in this generation.
    pub(crate) chain: ChainIndex,
    pub(crate) route: Option<RouteRef>,
    pub(crate) choice: Option<Choice>,
    pub(crate) endpoint: Option<EndpointKey>,

    pub(crate) stage: Stage,
    pub(crate) request: RequestHead,
    pub(crate) original_target: Vec<u8>,
    pub(crate) framing: RequestFraming,
    pub(crate) request_body: BodyDecoder,
    /// Payload that waits for the upstream connection.
    pub(crate) pending: VecDeque<Buffer>,
    pub(crate) pending_bytes: u32,
    /// The whole request was received.
    pub(crate) request_complete: bool,
    /// Whether the driver was offered to relay the body by itself.
    pub(crate) request_offer: Offer,
    /// The protocol that the client offers to switch to.
    pub(crate) upgrade: Option<Span>,
    /// The offer is passed on to the origin.
    pub(crate) upgrading: bool,

    pub(crate) response_stage: ResponseStage,
    pub(crate) response: ResponseHead,
    pub(crate) scanner: HeadScanner,
    /// Bytes of a response head that is not complete yet.
    pub(crate) response_ahead: Vec<u8>,
    pub(crate) response_body: BodyDecoder,
    /// How the body is framed towards the client.
    pub(crate) response_framing: BodyLength,
    pub(crate) interim: u8,
    pub(crate) response_offer: Offer,

    /// The client's connection may serve another request after this one.
    pub(crate) keep_downstream: bool,
    /// The origin's connection may serve another request after this one.
    pub(crate) keep_upstream: bool,
    /// Its upstream connection had served before.
    pub(crate) reused: bool,
    /// Take no pooled connection: one was stale.
    pub(crate) fresh_only: bool,
    /// Counted against the cluster's threshold of pending requests.
    pub(crate) waits: bool,
    /// Had a place in the cluster's queue before.
    pub(crate) waited: bool,
    /// Its place in the cluster's queue.
    pub(crate) ticket: Option<Ticket>,
    /// Counted against the cluster's threshold of requests.
    pub(crate) admitted: bool,
    /// Ended both ways (tunnels).
    pub(crate) tunnel_ends: u8,

    pub(crate) record: Record,
    pub(crate) alarm: Alarm,
    pub(crate) route_deadline: Time,
    pub(crate) request_deadline: Time,
    pub(crate) stream_deadline: Time,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) last_progress: Time,
    /// When the pace of the request body is looked at next, and its bytes the last time.
    pub(crate) pace_deadline: Time,
    pub(crate) pace_bytes: u64,
}

impl Exchange {
    pub(crate) fn listener(&self) -> Option<&Arc<Listener>> {
        self.snapshot.listener(self.listener)
    }

    pub(crate) fn http(&self) -> Option<&Arc<Http>> {
        self.snapshot.http(self.listener, self.chain)
    }

    pub(crate) fn cluster_id(&self) -> Option<ClusterId> {
        self.choice.map(|choice| choice.cluster)
    }

    pub(crate) fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.snapshot.cluster(self.cluster_id()?)
    }

    pub(crate) fn wants_high_priority(&self) -> bool {
        use crate::config::route::Action;
        let action = self
            .http()
            .zip(self.route)
            .map(|(http, route)| &http.routes.route(route).action);
        matches!(action, Some(Action::Forward(forward)) if forward.high_priority)
    }

    /// What formats may ask for.
    pub(crate) fn facts<'a>(&'a self, hostname: &'a str) -> Facts<'a> {
        let routes = self.http().map(|http| &http.routes);
        let (route, host) = match (routes, self.route) {
            (Some(routes), Some(at)) => (&*routes.route(at).name, &*routes.host(at.host).name),
            _ => ("", ""),
        };
        Facts {
            request: &self.request,
            original_target: &self.original_target,
            response: (self.response.status != 0).then_some(&self.response),
            trailers: self.response_body.trailers(),
            record: &self.record,
            listener: self.listener().map_or("", |listener| &listener.name),
            route,
            virtual_host: host,
            cluster: self.cluster().map_or("", |cluster| &cluster.name),
            hostname,
        }
    }

    fn blank(key: Key, snapshot: Held) -> Self {
        const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        Self {
            key,
            downstream: key.into(),
            upstream: None,
            snapshot,
            listener: ListenerId(0),
            chain: ChainIndex::default(),
            route: None,
            choice: None,
            endpoint: None,
            stage: Stage::Route,
            request: RequestHead::default(),
            original_target: Vec::new(),
            framing: RequestFraming::default(),
            request_body: BodyDecoder::None,
            pending: VecDeque::new(),
            pending_bytes: 0,
            request_complete: false,
            request_offer: Offer::None,
            upgrade: None,
            upgrading: false,
            response_stage: ResponseStage::Head,
            response: ResponseHead::default(),
            scanner: HeadScanner::response(),
            response_ahead: Vec::new(),
            response_body: BodyDecoder::None,
            response_framing: BodyLength::None,
            interim: 0,
            response_offer: Offer::None,
            keep_downstream: false,
            keep_upstream: false,
            reused: false,
            fresh_only: false,
            waits: false,
            waited: false,
            ticket: None,
            admitted: false,
            tunnel_ends: 0,
            record: Record {
                start_wall: 0,
                start: Time::NEVER,
                request_end: Time::NEVER,
                upstream_start: Time::NEVER,
                response_start: Time::NEVER,
                end: Time::NEVER,
                bytes_received: 0,
                bytes_sent: 0,
                status: 0,
                flags: Flags::default(),
                details: "",
                attempts: 0,
                version: Version::Http11,
                downstream_direct: NOWHERE,
                downstream_remote: NOWHERE,
                downstream_local: NOWHERE,
                upstream_remote: None,
                upstream_local: None,
                connection: 0,
            },
            alarm: Alarm::default(),
            route_deadline: Time::NEVER,
            request_deadline: Time::NEVER,
            stream_deadline: Time::NEVER,
            idle_timeout: None,
            last_progress: Time::NEVER,
            pace_deadline: Time::NEVER,
            pace_bytes: u64::MAX,
        }
    }

    /// A finished exchange made blank again; the memory of its heads is kept.
    fn renew(&mut self, key: Key, snapshot: Held) {
        let blank = Self::blank(key, snapshot);
        let old = std::mem::replace(self, blank);
        (self.request, self.response) = (old.request, old.response);
        self.request.clear();
        self.response.clear();
        self.original_target = old.original_target;
        self.original_target.clear();
        self.pending = old.pending;
        self.response_ahead = old.response_ahead;
        self.response_ahead.clear();
    }

    fn memory(&self) -> usize {
        self.request.fields.memory()
            + self.response.fields.memory()
            + self.response_ahead.capacity()
            + self.original_target.capacity()
    }
}

/// The number by which a cluster's queue knows an exchange.
fn waiting(key: Key) -> Waiting {
    Waiting((u64::from(key.generation) << 32) | u64::from(key.slot))
}

/// The exchange behind a number of a queue.
fn exchange_key(waiting: Waiting) -> Key {
    Key {
        slot: waiting.0 as u32,
        generation: (waiting.0 >> 32) as u32,
    }
}

impl Engine {
    /// A complete head, or a refused one, begins an exchange. `head` is its length in `bytes`.
    pub(crate) fn begin_exchange(
        &mut self,
        downstream: ConnId,
        bytes: HeadBytes,
        head: Result<usize, Refusal>,
    ) {
        let start = self.head_start(downstream);
        let Some(mut exchange) = self.open_exchange(downstream, start) else {
            if let HeadBytes::Received(buffer) = bytes {
                self.buffers.give(buffer);
            }
            return self.close(downstream, Close::Reset);
        };
        let taken = self.take_request(&mut exchange, bytes, head);
        self.carry_on(exchange, taken);
    }

    /// A head that did not arrive in time, or finds no room, is answered like a request that was
    /// refused.
    pub(crate) fn give_up_head(&mut self, downstream: ConnId, fault: Fault) {
        drop(self.take_ahead(downstream));
        let start = self.head_start(downstream);
        let Some(exchange) = self.open_exchange(downstream, start) else {
            return self.close(downstream, Close::Reset);
        };
        self.carry_on(exchange, Err(fault));
    }

    fn open_exchange(&mut self, id: ConnId, start: HeadStart) -> Option<Box<Exchange>> {
        let downstream = self.downstream(id)?;
        let held = downstream.held.clone()?;
        let listener = held.listener(downstream.listener)?.clone();
        let chain = listener.chains.find(downstream.chain)?;
        let http = listener.chains.at(chain)?.http()?.clone();
        let key = self.exchanges.insert_with(|_| None)?;
        let mut exchange = match self.spare.pop() {
            Some(mut exchange) => {
                exchange.renew(key, held);
                exchange
            }
            None => Box::new(Exchange::blank(key, held)),
        };
        self.counters().exchanges.up();
        let now = self.now;
        let downstream = self.downstream_mut(id)?;
        downstream.phase = Phase::Exchange;
        downstream.exchange = Some(key);
        downstream.requests += 1;
        downstream.link.alarm.disarm();
        exchange.downstream = id;
        exchange.listener = listener.id;
        exchange.chain = chain;
        exchange.record.start = start.time;
        exchange.record.start_wall = start.wall;
        exchange.record.downstream_direct = downstream.remote;
        exchange.record.downstream_remote = downstream.remote;
        exchange.record.downstream_local = downstream.local;
        exchange.record.connection = downstream.number;
        exchange.last_progress = now.time;
        exchange.idle_timeout = http.stream_idle_timeout;
        if let Some(timeout) = http.request_timeout {
            exchange.request_deadline = start.time.after(timeout);
        }
        if let Some(max) = http.stream_duration_max {
            exchange.stream_deadline = start.time.after(max);
        }
        let counters = &listener.stats.of(self.worker).counters;
        counters.requests.add(1);
        counters.requests_active.up();
        Some(exchange)
    }

    /// Works on an exchange with its box in hand; false if it is gone or already being worked on.
    pub(crate) fn with_exchange(
        &mut self,
        key: Key,
        work: impl FnOnce(&mut Engine, &mut Exchange) -> Result<(), Fault>,
    ) -> bool {
        let Some(mut exchange) = self.exchanges.find_mut(key).and_then(Option::take) else {
            return false;
        };
        let worked = work(self, &mut exchange);
        self.carry_on(exchange, worked);
        true
    }

    /// After any work: answer a fault, run the request lane, end what is done, or put the box back.
    fn carry_on(&mut self, mut exchange: Box<Exchange>, worked: Result<(), Fault>) {
        let worked = worked.and_then(|()| self.advance(&mut exchange));
        if let Err(fault) = worked
            && exchange.response_stage != ResponseStage::Done
        {
            self.fail(&mut exchange, fault);
        }
        if exchange.response_stage == ResponseStage::Done {
            return self.conclude(exchange);
        }
        self.arm_exchange(&mut exchange);
        let key = exchange.key;
        if let Some(slot) = self.exchanges.find_mut(key) {
            *slot = Some(exchange);
        }
    }

    /// The request lane.
    fn advance(&mut self, exchange: &mut Exchange) -> Result<(), Fault> {
        if exchange.response_stage == ResponseStage::Done {
            return Ok(());
        }
        loop {
            let step = match exchange.stage {
                Stage::Route => self.route(exchange)?,
                Stage::Pick => self.pick(exchange)?,
                Stage::Acquire => self.acquire(exchange)?,
                Stage::Send => self.send_request(exchange)?,
                Stage::Body => self.relay_request_body(exchange)?,
                Stage::Connect | Stage::Queue | Stage::Sent => Step::Wait,
            };
            match step {
                Step::Next(stage) => exchange.stage = stage,
                Step::Wait | Step::Answered => return Ok(()),
            }
        }
    }

    /// Something failed: try again, answer, or cut.
    fn fail(&mut self, exchange: &mut Exchange, fault: Fault) {
        self.count_fault(exchange, fault);
        let attempt = Attempt {
            method: exchange.request.method,
            reused: exchange.reused,
            has_body: exchange.framing.body != BodyLength::None,
            response_begun: exchange.record.response_start != Time::NEVER,
            attempts: exchange.record.attempts,
        };
        if exchange.response_stage == ResponseStage::Head && may_resend(fault, attempt) {
            return self.resend(exchange);
        }
        let reply = reply_to(fault);
        exchange.record.flags.insert(reply.flags);
        exchange.record.details = reply.details;
        self.release_upstream(exchange, Use::Spoilt);
        if exchange.response_stage == ResponseStage::Head && reply.status != 0 {
            // What the origin spoils costs the client nothing but this answer.
            exchange.keep_downstream &=
                fault.scope == Scope::Exchange || fault.side == Side::Upstream;
            self.reply(exchange, reply);
        } else {
            self.cut(exchange, fault.cause);
        }
    }

    /// Answers by ourselves.
    fn reply(&mut self, exchange: &mut Exchange, reply: Reply) {
        let body = reply.body.as_bytes();
        if let Err(cause) = self.answer(exchange, reply.status, reply.details, body) {
            self.count_fault(exchange, Fault::local(cause));
            self.cut(exchange, cause);
        }
    }

    /// The client learns that the response is incomplete: nothing more is sent and the connection
    /// goes; at once if buffers ran out, for it may be what holds them.
    fn cut(&mut self, exchange: &mut Exchange, cause: Cause) {
        exchange.keep_downstream = false;
        let visible = matches!(
            exchange.response_framing,
            BodyLength::Chunked | BodyLength::Bytes(_)
        );
        exchange.response_stage = ResponseStage::Done;
        if !visible || cause == Cause::Exhausted {
            self.close(exchange.downstream, Close::Reset);
        }
    }

    /// The same request on a fresh connection.
    fn resend(&mut self, exchange: &mut Exchange) {
        if let Some(cluster) = exchange.cluster() {
            cluster.stats.of(self.worker).counters.resent.add(1);
        }
        if let Some(upstream) = exchange.upstream.take() {
            self.let_upstream_go(upstream, Use::Spoilt);
        }
        exchange.fresh_only = true;
        exchange.response_ahead.clear();
        exchange.scanner = HeadScanner::response();
        exchange.stage = Stage::Acquire;
        if let Err(fault) = self.advance(exchange) {
            self.fail(exchange, fault);
        }
    }

    /// The response is done: connections are kept or closed, the record is written, memory goes
    /// back.
    fn conclude(&mut self, mut exchange: Box<Exchange>) {
        let complete = exchange.request_complete && exchange.stage == Stage::Sent;
        let fate = match complete && exchange.keep_upstream {
            true => Use::Done,
            false if exchange.tunnel_ends == 2 => Use::Finished,
            false => Use::Spoilt,
        };
        self.release_upstream(&mut exchange, fate);
        exchange
            .pending
            .drain(..)
            .for_each(|buffer| self.buffers.give(buffer));
        exchange.record.end = self.now.time;
        self.write_record(&exchange);
        self.exchanges.remove(exchange.key);
        self.counters().exchanges.down();
        let downstream = exchange.downstream;
        if exchange.keep_downstream && exchange.request_complete {
            self.await_request(downstream);
        } else {
            self.finish_downstream(downstream);
        }
        if self.spare.len() < limits::SPARE_EXCHANGES_MAX
            && exchange.memory() <= limits::SPARE_EXCHANGE_BYTES_MAX
        {
            // The generation must not be pinned by a spare.
            exchange.snapshot = self.generations.nothing().clone();
            self.spare.push(exchange);
        }
    }

    fn write_record(&mut self, exchange: &Exchange) {
        let Some(listener) = exchange.listener() else {
            return;
        };
        let (record, worker) = (&exchange.record, self.worker);
        let stats = listener.stats.of(worker);
        stats.counters.count_status(record.status);
        stats.counters.requests_active.down();
        stats.duration.record(record.end.since(record.start));
        let Some(http) = exchange.http() else {
            return;
        };
        if let Some(route) = exchange.route {
            let stats = &http.routes.route(route).stats;
            stats.of(worker).counters.count_status(record.status);
        }
        if http.access_logs.is_empty() {
            return;
        }
        let facts = exchange.facts(&self.hostname);
        for log in &http.access_logs {
            if !self
                .log
                .push(log.sink, |line| log.format.write(&facts, line))
            {
                self.stats.of(worker).counters.log_dropped.add(1);
            }
        }
    }

    /// Connections of this cluster came free: those that wait are served, first come first.
    pub(crate) fn serve_waiting(&mut self, cluster: ClusterId) {
        while let Some(waiting) = self.clusters.next_waiting(cluster) {
            let mut waits_again = false;
            self.with_exchange(exchange_key(waiting), |engine, exchange| {
                exchange.ticket = None;
                exchange.stage = Stage::Acquire;
                engine.advance(exchange)?;
                waits_again = exchange.ticket.is_some();
                Ok(())
            });
            if waits_again {
                return;
            }
        }
    }

    /// Exchanges that waited in a cluster that is gone.
    pub(crate) fn refuse_stranded(&mut self) {
        while let Some(waiting) = self.clusters.poll_stranded() {
            self.with_exchange(exchange_key(waiting), |_, exchange| {
                exchange.ticket = None;
                Err(Fault::exchange(Side::Local, Cause::NoHealthyEndpoint))
            });
        }
    }

    /// The client went away in mid exchange.
    pub(crate) fn downstream_gone(&mut self, key: Key) {
        self.with_exchange(key, |_, _| {
            Err(Fault::connection(Side::Downstream, Cause::Reset))
        });
    }

    fn count_fault(&self, exchange: &Exchange, fault: Fault) {
        let Some(listener) = exchange.listener() else {
            return;
        };
        let stats = listener.stats.of(self.worker);
        match (fault.side, fault.cause) {
            (Side::Downstream, Cause::Malformed(refusal)) => {
                stats.refusals[refusal as usize].add(1);
            }
            (Side::Downstream, Cause::RequestTimeout) => stats.counters.timeouts_request.add(1),
            (_, Cause::StreamDuration) => stats.counters.timeouts_duration.add(1),
            (_, Cause::IdleTimeout) => stats.counters.timeouts_stream_idle.add(1),
            (Side::Downstream, Cause::Reset | Cause::Ended) => stats.counters.resets.add(1),
            (Side::Local, Cause::Exhausted) => stats.counters.overload.add(1),
            _ => {}
        }
        let Some(cluster) = exchange.cluster() else {
            return;
        };
        let counters = &cluster.stats.of(self.worker).counters;
        match (fault.side, fault.cause) {
            (Side::Upstream, Cause::Malformed(_)) => counters.protocol_errors.add(1),
            (_, Cause::RouteTimeout) => counters.timeouts.add(1),
            (Side::Upstream, Cause::Reset | Cause::Ended) => counters.resets.add(1),
            _ => {}
        }
    }
}
