//! The request lane: head → route → pick → acquire → send → body.

use std::time::Duration;

use crate::buffer::Buffer;
use crate::cluster::EndpointKey;
use crate::config::listener::Http;
use crate::config::route::{Action, Forward};
use crate::digits::append_number;
use crate::downstream::HeadBytes;
use crate::engine::Engine;
use crate::event::{Close, ConnId, Time};
use crate::fault::{Cause, Fault, Side};
use crate::http::h1::{BodyDecoder, decode_request};
use crate::http::path::{PathOutcome, normalize};
use crate::http::{BodyLength, HeaderId, Method, Refusal, Version, authority, forwarded, hop};
use crate::link::charge;
use crate::route::{Around, Lookup, OriginalPath, RouteRef, RouteTable};

use super::{Exchange, ResponseStage, Stage, Step, waiting};

impl Engine {
    /// Decodes the head, takes what came of the body, and makes the head ready to be matched.
    pub(super) fn take_request(
        &mut self,
        exchange: &mut Exchange,
        bytes: HeadBytes,
        head: Result<usize, Refusal>,
    ) -> Result<(), Fault> {
        let decoded = match (&bytes, head) {
            (_, Err(refusal)) => Err(refusal),
            (HeadBytes::Received(buffer), Ok(len)) => {
                decode_head(exchange, &buffer.as_slice()[..len]).map(|()| len)
            }
            (HeadBytes::Gathered(ahead), Ok(len)) => {
                decode_head(exchange, &ahead[..len]).map(|()| len)
            }
        };
        if decoded.is_err() {
            exchange.request.clear();
        }
        if exchange.request_complete {
            exchange.record.request_end = self.now.time;
        }
        let rest = match (bytes, decoded) {
            (HeadBytes::Received(mut buffer), Ok(len)) => {
                buffer.advance(len);
                self.take_body(exchange, buffer)
            }
            (HeadBytes::Gathered(ahead), Ok(len)) => self.take_gathered(exchange, &ahead[len..]),
            (HeadBytes::Received(buffer), Err(refusal)) => {
                self.buffers.give(buffer);
                Err(malformed(refusal))
            }
            (HeadBytes::Gathered(_), Err(refusal)) => Err(malformed(refusal)),
        };
        rest?;
        // A body may be followed by a line end that old browsers send.
        let bodiless = exchange.request_complete && exchange.framing.body == BodyLength::None;
        if bodiless && !exchange.framing.keep_alive && !exchange.framing.upgrade {
            self.expect_nothing(exchange.downstream);
        }
        self.prepare(exchange)
    }

    /// Body bytes that were gathered with the head go the way of received ones.
    fn take_gathered(&mut self, exchange: &mut Exchange, mut bytes: &[u8]) -> Result<(), Fault> {
        if exchange.request_complete {
            return self.keep_for_later(exchange, bytes);
        }
        while !bytes.is_empty() {
            let mut buffer = self.buffers.take().ok_or(Fault::EXHAUSTED)?;
            let count = buffer.fill_from(bytes);
            bytes = &bytes[count..];
            if exchange.request_complete {
                let kept = self.keep_for_later(exchange, buffer.as_slice());
                self.buffers.give(buffer);
                kept?;
            } else {
                self.take_body(exchange, buffer)?;
            }
        }
        Ok(())
    }

    /// Payload goes to `pending`, what lies behind the message is kept for later.
    fn take_body(&mut self, exchange: &mut Exchange, mut buffer: Buffer) -> Result<(), Fault> {
        let decoded = match exchange.request_body.decode(&mut buffer) {
            Ok(decoded) => decoded,
            Err(refusal) => {
                self.buffers.give(buffer);
                return Err(malformed(refusal));
            }
        };
        let kept = match decoded.rest {
            Some((start, end)) => self.keep_for_later(exchange, buffer.block(start..end)),
            None => Ok(()),
        };
        exchange.record.bytes_received += buffer.len() as u64;
        if decoded.finished {
            self.request_is_complete(exchange);
        }
        if buffer.is_empty() || exchange.response_stage == ResponseStage::Done {
            self.buffers.give(buffer);
        } else {
            exchange.pending_bytes += charge(buffer.len());
            exchange.pending.push_back(buffer);
        }
        kept
    }

    /// Bytes behind the message: the next request, or the first bytes of a tunnel. At most what was
    /// under way is held; receive stays off until they are used.
    fn keep_for_later(&mut self, exchange: &Exchange, bytes: &[u8]) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.receive(exchange.downstream, false);
        match self.keep_ahead(exchange.downstream, bytes) {
            true => Ok(()),
            false => Err(Fault::EXHAUSTED),
        }
    }

    pub(super) fn request_is_complete(&mut self, exchange: &mut Exchange) {
        if exchange.request_complete {
            return;
        }
        exchange.request_complete = true;
        exchange.request_deadline = Time::NEVER;
        exchange.record.request_end = self.now.time;
        self.start_route_timeout(exchange);
    }

    /// Everything that happens to the head before it is matched: reuse of the connection, path,
    /// authority, hop-by-hop fields, who the client is.
    fn prepare(&mut self, exchange: &mut Exchange) -> Result<(), Fault> {
        let held = exchange.snapshot.clone();
        let Some(http) = held.http(exchange.listener, exchange.chain) else {
            return Err(Fault::EXHAUSTED);
        };
        exchange.keep_downstream = exchange.framing.keep_alive && self.may_keep(exchange, http);
        if exchange.request.method == Method::Connect {
            return Err(Fault::connection(Side::Downstream, Cause::NoRoute));
        }
        self.scratch.clear();
        let outcome = normalize(exchange.request.target(), &http.path, &mut self.scratch);
        let outcome = outcome.map_err(malformed)?;
        if outcome != PathOutcome::Same {
            exchange.request.set_target(&self.scratch);
        }
        exchange
            .original_target
            .extend_from_slice(exchange.request.target());
        authority::strip(
            &mut exchange.request,
            &http.host,
            exchange.record.downstream_local.port(),
        );
        if exchange.framing.upgrade {
            let fields = exchange.request.fields.list();
            let upgrade = fields.iter().find(|field| field.id == HeaderId::Upgrade);
            exchange.upgrade = upgrade.map(|field| field.value);
        }
        hop::strip_request(&mut exchange.request.fields);
        if exchange.framing.expect_continue && !http.proxy_continue {
            exchange.request.fields.remove(HeaderId::Expect);
        }
        let record = &mut exchange.record;
        record.downstream_remote = forwarded::apply(
            http,
            &mut exchange.request,
            record.downstream_direct,
            record.downstream_local,
            &mut self.chance,
        );
        if outcome == PathOutcome::Redirect {
            // Not before: who offered an upgrade may have sent bytes behind it (C08).
            let location = exchange.original_target.clone();
            return self
                .redirect(exchange, 307, &location)
                .map_err(Fault::local);
        }
        Ok(())
    }

    /// May the client's connection serve another request after this one?
    fn may_keep(&self, exchange: &Exchange, http: &Http) -> bool {
        let Some(downstream) = self.downstream(exchange.downstream) else {
            return false;
        };
        let young = http
            .connection_duration_max
            .is_none_or(|max| downstream.opened.after(max) > self.now.time);
        let few = http
            .requests_per_connection_max
            .is_none_or(|max| downstream.requests < max);
        young && few
    }

    /// Will there be more requests on the client's connection, as far as this worker is concerned?
    pub(super) fn serves_on(&self, exchange: &Exchange) -> bool {
        let listening = self
            .downstream(exchange.downstream)
            .is_some_and(|downstream| downstream.is_known(self.generations.current()));
        let ended = self.link(exchange.downstream).is_none_or(|link| link.ended);
        listening && !self.draining && !ended
    }

    pub(super) fn route(&mut self, exchange: &mut Exchange) -> Result<Step, Fault> {
        let held = exchange.snapshot.clone();
        let Some(http) = held.http(exchange.listener, exchange.chain) else {
            return Err(Fault::EXHAUSTED);
        };
        let routes = &http.routes;
        let route = match routes.find(&exchange.request, &mut self.chance) {
            Lookup::Route(route) => route,
            Lookup::NoHost | Lookup::NoRoute { .. } => {
                return Err(Fault::exchange(Side::Local, Cause::NoRoute));
            }
            Lookup::TlsRequired { .. } => {
                let mut location = Vec::new();
                let status = RouteTable::redirect_to_https(&exchange.request, &mut location);
                self.redirect(exchange, status, &location)
                    .map_err(Fault::local)?;
                return Ok(Step::Answered);
            }
        };
        exchange.route = Some(route);
        match &routes.route(route).action {
            Action::Forward(forward) => self.forward(exchange, http, route, forward),
            Action::Redirect(_) => {
                let mut location = Vec::new();
                let status = routes.redirect(route, &exchange.request, &mut location);
                self.redirect(exchange, status, &location)
                    .map_err(Fault::local)?;
                Ok(Step::Answered)
            }
            Action::Direct(direct) => {
                let answered =
                    self.answer(exchange, direct.status, "direct_response", &direct.body);
                answered.map_err(Fault::local)?;
                Ok(Step::Answered)
            }
        }
    }

    fn forward(
        &mut self,
        exchange: &mut Exchange,
        http: &Http,
        route: RouteRef,
        forward: &Forward,
    ) -> Result<Step, Fault> {
        let held = exchange.snapshot.clone();
        let routes = &http.routes;
        let choice = routes.choose(route, &exchange.request, &held, &mut self.chance);
        let choice = choice.map_err(|cause| Fault::exchange(Side::Local, cause))?;
        exchange.choice = Some(choice);
        if let Some(idle) = forward.idle_timeout {
            exchange.idle_timeout = idle;
        }
        if let Some(max) = forward.stream_duration_max {
            let start = exchange.record.start;
            exchange.stream_deadline = max.map_or(Time::NEVER, |max| start.after(max));
        }
        exchange.upgrading = exchange
            .upgrade
            .is_some_and(|span| upgrade_allowed(http, forward, exchange.request.fields.text(span)));
        if exchange.upgrade.is_some() && !exchange.upgrading {
            return Err(Fault::exchange(Side::Local, Cause::UpgradeRefused));
        }
        self.start_route_timeout(exchange);
        if let Some(timeout) = forward.timeout.filter(|_| !http.suppress_envoy_headers) {
            announce_timeout(exchange, timeout);
        }
        let listener = held.listener(exchange.listener);
        let around = Around {
            record: &exchange.record,
            listener: listener.map_or("", |listener| &listener.name),
            cluster: held
                .cluster(choice.cluster)
                .map_or("", |cluster| &cluster.name),
            hostname: &self.hostname,
            original_path: match http.suppress_envoy_headers {
                true => OriginalPath::Drop,
                false => OriginalPath::Keep,
            },
        };
        let rewritten = routes.rewrite_request(
            route,
            choice,
            &mut exchange.request,
            &around,
            &mut self.values,
        );
        rewritten.map_err(Fault::local)?;
        Ok(Step::Next(Stage::Pick))
    }

    pub(super) fn pick(&mut self, exchange: &mut Exchange) -> Result<Step, Fault> {
        let held = exchange.snapshot.clone();
        let cluster = exchange.cluster_id().and_then(|id| held.cluster(id));
        let picked = cluster.and_then(|cluster| self.clusters.pick(cluster, &mut self.chance));
        let Some(endpoint) = picked else {
            return Err(Fault::exchange(Side::Local, Cause::NoHealthyEndpoint));
        };
        self.clusters.started(endpoint);
        exchange.endpoint = Some(endpoint);
        let state = self.clusters.endpoint(endpoint);
        exchange.record.upstream_remote = Some(state.address);
        if let (Some(hostname), Some(route)) = (&state.hostname, exchange.route)
            && let Some(http) = held.http(exchange.listener, exchange.chain)
        {
            http.routes
                .rewrite_host_auto(route, hostname, &mut exchange.request);
        }
        Ok(Step::Next(Stage::Acquire))
    }

    /// An idle connection, or a new one, or a place in the queue.
    pub(super) fn acquire(&mut self, exchange: &mut Exchange) -> Result<Step, Fault> {
        let held = exchange.snapshot.clone();
        let cluster = exchange.cluster_id().and_then(|id| held.cluster(id));
        let (Some(cluster), Some(endpoint)) = (cluster, exchange.endpoint) else {
            return Err(Fault::exchange(Side::Local, Cause::NoHealthyEndpoint));
        };
        let high = exchange.wants_high_priority();
        if !exchange.fresh_only
            && let Some(conn) = self.clusters.take(endpoint)
        {
            return self.attach(exchange, conn, endpoint);
        }
        if !exchange.waits {
            if !self.clusters.try_pending(cluster, high) {
                return Err(Fault::exchange(Side::Upstream, Cause::Overflow));
            }
            exchange.waits = true;
        }
        if self.clusters.try_connection(endpoint, high) {
            let conn = self
                .connect(exchange, cluster, endpoint, high)
                .ok_or(Fault::EXHAUSTED)?;
            exchange.upstream = Some(conn);
            exchange.reused = false;
            return Ok(Step::Next(Stage::Connect));
        }
        if exchange.fresh_only {
            self.make_room(endpoint);
        } else if let Some((other, conn)) = self.clusters.take_other(endpoint) {
            self.clusters.started(other);
            self.clusters.ended(endpoint);
            exchange.endpoint = Some(other);
            exchange.record.upstream_remote = Some(self.clusters.endpoint(other).address);
            return self.attach(exchange, conn, other);
        }
        let waiting = waiting(exchange.key);
        let ticket = match exchange.waited {
            true => self.clusters.wait_first(cluster.id, high, waiting),
            false => self.clusters.wait(cluster.id, high, waiting),
        };
        exchange.ticket = ticket;
        exchange.waited = true;
        match ticket {
            Some(_) => Ok(Step::Next(Stage::Queue)),
            None => Err(Fault::exchange(Side::Upstream, Cause::Overflow)),
        }
    }

    /// At the ceiling an idle connection gives way to a fresh one: after a stale one it would most
    /// likely be as stale.
    fn make_room(&mut self, endpoint: EndpointKey) {
        let idle = self.clusters.take(endpoint);
        let other = |(_, conn)| conn;
        let idle = idle.or_else(|| self.clusters.take_other(endpoint).map(other));
        if let Some(conn) = idle {
            self.close(conn, Close::Normal);
        }
    }

    /// An idle connection serves the exchange.
    fn attach(
        &mut self,
        exchange: &mut Exchange,
        conn: ConnId,
        endpoint: EndpointKey,
    ) -> Result<Step, Fault> {
        debug_assert!(
            exchange.endpoint == Some(endpoint),
            "a connection of another endpoint"
        );
        if let Err(overflow) = self.admit(exchange) {
            self.clusters.untake(endpoint, conn);
            return Err(overflow);
        }
        exchange.upstream = Some(conn);
        exchange.reused = true;
        let Some(upstream) = self.upstream_mut(conn) else {
            return Err(Fault::connection(Side::Upstream, Cause::Reset));
        };
        upstream.exchange = Some(exchange.key);
        upstream.link.alarm.disarm();
        exchange.record.upstream_local = upstream.local;
        if let Some(cluster) = exchange.cluster() {
            cluster.stats.of(self.worker).counters.reused.add(1);
        }
        Ok(Step::Next(Stage::Send))
    }

    /// The exchange has its connection: it no longer counts as pending but as a request.
    pub(crate) fn admit(&mut self, exchange: &mut Exchange) -> Result<(), Fault> {
        let held = exchange.snapshot.clone();
        let Some(cluster) = exchange.cluster_id().and_then(|id| held.cluster(id)) else {
            return Ok(());
        };
        let high = exchange.wants_high_priority();
        if exchange.waits {
            exchange.waits = false;
            self.clusters.release_pending(cluster, high);
        }
        if !exchange.admitted {
            if !self.clusters.try_request(cluster, high) {
                return Err(Fault::exchange(Side::Upstream, Cause::Overflow));
            }
            exchange.admitted = true;
        }
        Ok(())
    }

    /// The head leaves, in front of the first bytes of the body if they are here.
    pub(super) fn send_request(&mut self, exchange: &mut Exchange) -> Result<Step, Fault> {
        let Some(upstream) = exchange.upstream else {
            return Ok(Step::Wait);
        };
        exchange.record.attempts += 1;
        if counts_attempts(exchange) {
            let attempt = b'0' + exchange.record.attempts.min(9);
            exchange
                .request
                .fields
                .set(HeaderId::XEnvoyAttemptCount, &[attempt]);
        }
        self.write_request(exchange);
        let first = self.next_payload(exchange)?;
        self.send_scratch(upstream, first).map_err(Fault::local)?;
        exchange.record.upstream_start = self.now.time;
        if let Some(cluster) = exchange.cluster() {
            cluster.stats.of(self.worker).counters.requests.add(1);
        }
        let waits_for_continue = exchange.framing.expect_continue && !exchange.request_complete;
        if waits_for_continue && exchange.record.bytes_received == 0 {
            self.send_continue(exchange)?;
        }
        Ok(Step::Next(Stage::Body))
    }

    /// The next piece of the body, framed for the origin.
    fn next_payload(&mut self, exchange: &mut Exchange) -> Result<Option<Buffer>, Fault> {
        let Some(buffer) = exchange.pending.pop_front() else {
            return Ok(None);
        };
        exchange.pending_bytes -= charge(buffer.len());
        let framed = self.frame_payload(exchange.framing.body, buffer);
        framed.map(Some).map_err(Fault::local)
    }

    pub(super) fn relay_request_body(&mut self, exchange: &mut Exchange) -> Result<Step, Fault> {
        let Some(upstream) = exchange.upstream else {
            return Ok(Step::Wait);
        };
        while let Some(buffer) = self.next_payload(exchange)? {
            self.send(upstream, buffer);
        }
        if !exchange.request_complete {
            self.hold_back(exchange.downstream, upstream);
            if self.link(upstream).is_some_and(|link| !link.blocks) {
                self.receive(exchange.downstream, true);
            }
            self.offer_request_relay(exchange, upstream);
            return Ok(Step::Wait);
        }
        self.write_request_end(exchange, upstream)
            .map_err(Fault::local)?;
        Ok(Step::Next(Stage::Sent))
    }

    /// Bytes of the client in mid exchange.
    pub(crate) fn request_received(&mut self, id: ConnId, buffer: Buffer) {
        let Some(key) = self
            .downstream(id)
            .and_then(|downstream| downstream.exchange)
        else {
            return self.buffers.give(buffer);
        };
        let mut buffer = Some(buffer);
        self.with_exchange(key, |engine, exchange| {
            let Some(buffer) = buffer.take() else {
                return Ok(());
            };
            exchange.last_progress = engine.now.time;
            if exchange.request_complete {
                let kept = engine.keep_for_later(exchange, buffer.as_slice());
                engine.buffers.give(buffer);
                return kept;
            }
            engine.take_body(exchange, buffer)?;
            if exchange.stage < Stage::Body && engine.too_much_pending(exchange) {
                engine.receive(exchange.downstream, false);
            }
            Ok(())
        });
        if let Some(buffer) = buffer {
            self.buffers.give(buffer);
        }
    }

    /// More is waiting for the upstream connection than the client's connection may hold.
    fn too_much_pending(&self, exchange: &Exchange) -> bool {
        let high = self.link(exchange.downstream).map_or(0, |link| link.high);
        exchange.pending_bytes >= high
    }

    /// The client will send no more.
    pub(crate) fn request_ended(&mut self, id: ConnId) {
        let Some(key) = self
            .downstream(id)
            .and_then(|downstream| downstream.exchange)
        else {
            return;
        };
        self.with_exchange(key, |_, exchange| match exchange.request_complete {
            // A half-closed client still gets its answer.
            true => Ok(()),
            false => Err(Fault::connection(Side::Downstream, Cause::Ended)),
        });
    }
}

fn malformed(refusal: Refusal) -> Fault {
    Fault::connection(Side::Downstream, Cause::Malformed(refusal))
}

fn decode_head(exchange: &mut Exchange, head: &[u8]) -> Result<(), Refusal> {
    let held = exchange.snapshot.clone();
    let Some(http) = held.http(exchange.listener, exchange.chain) else {
        return Ok(());
    };
    let framing = decode_request(head, &http.decode, &mut exchange.request)?;
    exchange.framing = framing;
    exchange.request_body = BodyDecoder::new(framing.body);
    exchange.record.version = exchange.request.version;
    exchange.request_complete = exchange.request_body.is_finished();
    if exchange.request_complete {
        exchange.request_deadline = Time::NEVER;
    }
    if exchange.request.version == Version::Http10 {
        exchange.framing.expect_continue = false;
    }
    Ok(())
}

/// How long the origin has; 0 would say that there is no end.
fn announce_timeout(exchange: &mut Exchange, timeout: Duration) {
    let millis = timeout.as_millis().max(1) as u64;
    let write = |text: &mut Vec<u8>| append_number(millis, text);
    let fields = &mut exchange.request.fields;
    fields.set_with(HeaderId::XEnvoyExpectedRqTimeoutMs, write);
}

/// `include_request_attempt_count` of the virtual host.
fn counts_attempts(exchange: &Exchange) -> bool {
    let at = exchange.http().zip(exchange.route);
    at.is_some_and(|(http, route)| http.routes.host(route.host).attempt_count)
}

/// The route's own list decides before that of the connection manager (C10).
fn upgrade_allowed(http: &Http, forward: &Forward, protocol: &[u8]) -> bool {
    let is = |name: &str| name.as_bytes().eq_ignore_ascii_case(protocol);
    match forward.upgrades.iter().find(|(name, _)| is(name)) {
        Some((_, allowed)) => *allowed,
        None => http.upgrades.iter().any(|name| is(name)),
    }
}
