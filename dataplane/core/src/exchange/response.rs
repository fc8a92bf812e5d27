//! The response lane: head → body → trailers → done, and the answers that Penstock gives by itself.

use crate::buffer::Buffer;
use crate::config::listener::{Http, ServerHeader};
use crate::digits::append_number;
use crate::engine::Engine;
use crate::event::{ConnId, Time};
use crate::fault::{Cause, Fault, Side};
use crate::http::h1::{BodyDecoder, ConnectionHeader, HeadLimits, HeadScanner, decode_response};
use crate::http::{BodyLength, HeaderId, Method, Refusal, Version, hop};
use crate::limits;

use super::{Exchange, ResponseStage, Stage};

impl Engine {
    /// Bytes of the origin for an exchange.
    pub(crate) fn response_received(
        &mut self,
        exchange: &mut Exchange,
        buffer: Buffer,
    ) -> Result<(), Fault> {
        exchange.last_progress = self.now.time;
        if exchange.record.response_start == Time::NEVER {
            exchange.record.response_start = self.now.time;
        }
        match exchange.response_stage {
            ResponseStage::Head => self.response_head(exchange, buffer),
            ResponseStage::Body => self.response_body(exchange, buffer),
            ResponseStage::Tunnel => {
                self.tunnel_to_downstream(exchange, buffer);
                Ok(())
            }
            ResponseStage::Done => {
                // C04: bytes behind the response.
                exchange.keep_upstream = false;
                self.buffers.give(buffer);
                Ok(())
            }
        }
    }

    fn response_head(&mut self, exchange: &mut Exchange, mut buffer: Buffer) -> Result<(), Fault> {
        while exchange.response_ahead.is_empty() && exchange.response_stage == ResponseStage::Head {
            match exchange
                .scanner
                .scan(buffer.as_slice(), &HeadLimits::default())
            {
                Ok(None) => {
                    exchange.response_ahead.extend_from_slice(buffer.as_slice());
                    self.buffers.give(buffer);
                    return Ok(());
                }
                Ok(Some(len)) => {
                    if let Err(refusal) = decode_head(exchange, &buffer.as_slice()[..len]) {
                        self.buffers.give(buffer);
                        return Err(malformed(refusal));
                    }
                    buffer.advance(len);
                    if exchange.response.status >= 200 || exchange.response.status == 101 {
                        return self.final_head(exchange, Some(buffer));
                    }
                    if let Err(fault) = self.interim_head(exchange) {
                        self.buffers.give(buffer);
                        return Err(fault);
                    }
                    if buffer.is_empty() {
                        self.buffers.give(buffer);
                        return Ok(());
                    }
                }
                Err(refusal) => {
                    self.buffers.give(buffer);
                    return Err(malformed(refusal));
                }
            }
        }
        self.gathered_head(exchange, buffer)
    }

    /// A head that came in pieces. What lies behind it goes on in buffers again.
    fn gathered_head(&mut self, exchange: &mut Exchange, buffer: Buffer) -> Result<(), Fault> {
        exchange.response_ahead.extend_from_slice(buffer.as_slice());
        self.buffers.give(buffer);
        let found = exchange
            .scanner
            .scan(&exchange.response_ahead, &HeadLimits::default());
        let Some(len) = found.map_err(malformed)? else {
            return Ok(());
        };
        let ahead = std::mem::take(&mut exchange.response_ahead);
        decode_head(exchange, &ahead[..len]).map_err(malformed)?;
        if exchange.response.status >= 200 || exchange.response.status == 101 {
            self.final_head(exchange, None)?;
        } else {
            self.interim_head(exchange)?;
        }
        for piece in ahead[len..].chunks(self.buffers.payload().max(1)) {
            let mut buffer = self.buffers.take().ok_or(Fault::EXHAUSTED)?;
            buffer.fill_from(piece);
            self.response_received(exchange, buffer)?;
        }
        Ok(())
    }

    /// An interim response is passed on to clients that know them; a 100 only if it was asked for
    /// and not answered by us (R07).
    fn interim_head(&mut self, exchange: &mut Exchange) -> Result<(), Fault> {
        exchange.scanner = HeadScanner::response();
        exchange.interim += 1;
        if exchange.interim > limits::INTERIM_RESPONSES_MAX {
            return Err(malformed(Refusal::Interim));
        }
        let held = exchange.snapshot.clone();
        let http = held.http(exchange.listener, exchange.chain);
        let ours = http.is_none_or(|http| !http.proxy_continue);
        let unwanted =
            exchange.response.status == 100 && (ours || !exchange.framing.expect_continue);
        if unwanted || exchange.request.version == Version::Http10 {
            return Ok(());
        }
        hop::strip_response(&mut exchange.response);
        self.write_response(exchange, BodyLength::None, ConnectionHeader::None);
        self.send_scratch(exchange.downstream, None)
            .map_err(Fault::local)
    }

    /// Our own answer to `Expect: 100-continue` (C07).
    pub(super) fn send_continue(&mut self, exchange: &mut Exchange) -> Result<(), Fault> {
        if exchange.http().is_some_and(|http| http.proxy_continue) {
            return Ok(());
        }
        self.write_continue(exchange).map_err(Fault::local)
    }

    /// The head of the final response, or of a 101.
    fn final_head(&mut self, exchange: &mut Exchange, rest: Option<Buffer>) -> Result<(), Fault> {
        let begun = self.begin_response(exchange);
        let mut rest = rest;
        if let Err(fault) = begun {
            if let Some(buffer) = rest.take() {
                self.buffers.give(buffer);
            }
            self.scratch.clear();
            return Err(fault);
        }
        if exchange.response_stage == ResponseStage::Tunnel {
            if let Err(cause) = self.send_scratch(exchange.downstream, None) {
                rest.into_iter().for_each(|rest| self.buffers.give(rest));
                return Err(Fault::local(cause));
            }
            return self.open_tunnel(exchange, rest);
        }
        // The head waits in the scratch: it leaves in front of the first bytes of the body.
        let head = std::mem::take(&mut self.scratch);
        let framed = match rest {
            Some(buffer) => self.frame_body(exchange, buffer),
            None => Ok(None),
        };
        self.scratch = head;
        match framed {
            Ok(body) => {
                self.send_scratch(exchange.downstream, body)
                    .map_err(Fault::local)?;
                self.after_body(exchange)
            }
            Err(fault) => {
                self.send_scratch(exchange.downstream, None)
                    .map_err(Fault::local)?;
                Err(fault)
            }
        }
    }

    /// Decides framing and reuse, edits the head and writes it to the scratch.
    fn begin_response(&mut self, exchange: &mut Exchange) -> Result<(), Fault> {
        if exchange.response.status == 101 {
            return self.begin_tunnel(exchange);
        }
        let held = exchange.snapshot.clone();
        let Some(http) = held.http(exchange.listener, exchange.chain) else {
            return Err(Fault::EXHAUSTED);
        };
        // C03: an answer that overtakes the request ends both connections. C08: bytes sent for a
        // tunnel that the origin declined are never parsed, nor are those that may still be on
        // their way.
        let declined = exchange.upgrade.is_some();
        if !exchange.request_complete || exchange.stage != Stage::Sent || declined {
            exchange.keep_downstream = false;
        }
        exchange.response_framing = towards_client(exchange);
        if exchange.response_framing == BodyLength::ToClose {
            exchange.keep_downstream = false;
        }
        hop::strip_response(&mut exchange.response);
        self.own_fields(exchange, http, Origin::Upstream);
        self.edit_response(exchange);
        self.count_upstream_status(exchange);
        exchange.record.status = exchange.response.status;
        exchange.record.details = "via_upstream";
        exchange.response_stage = ResponseStage::Body;
        self.encode_head(exchange);
        Ok(())
    }

    fn begin_tunnel(&mut self, exchange: &mut Exchange) -> Result<(), Fault> {
        if !exchange.upgrading || exchange.stage != Stage::Sent {
            return Err(malformed(Refusal::SwitchingProtocols));
        }
        hop::strip_response(&mut exchange.response);
        self.edit_response(exchange);
        self.count_upstream_status(exchange);
        exchange.record.status = 101;
        exchange.record.details = "via_upstream";
        exchange.response_stage = ResponseStage::Tunnel;
        self.write_response(exchange, BodyLength::None, ConnectionHeader::Upgrade);
        Ok(())
    }

    fn encode_head(&mut self, exchange: &mut Exchange) {
        // What came true while the exchange ran: a drain, a listener that is gone, a half close.
        exchange.keep_downstream &= self.serves_on(exchange);
        let connection = match (exchange.keep_downstream, exchange.request.version) {
            (false, _) => ConnectionHeader::Close,
            (true, Version::Http10) => ConnectionHeader::KeepAlive10,
            (true, Version::Http11 | Version::Http2) => ConnectionHeader::None,
        };
        self.write_response(exchange, exchange.response_framing, connection);
    }

    fn response_body(&mut self, exchange: &mut Exchange, buffer: Buffer) -> Result<(), Fault> {
        if let Some(body) = self.frame_body(exchange, buffer)? {
            self.send(exchange.downstream, body);
        }
        self.after_body(exchange)
    }

    /// Takes the payload out of a buffer of the origin and frames it for the client.
    fn frame_body(
        &mut self,
        exchange: &mut Exchange,
        mut buffer: Buffer,
    ) -> Result<Option<Buffer>, Fault> {
        if buffer.is_empty() {
            self.buffers.give(buffer);
            return Ok(None);
        }
        let decoded = match exchange.response_body.decode(&mut buffer) {
            Ok(decoded) => decoded,
            Err(refusal) => {
                self.buffers.give(buffer);
                return Err(malformed(refusal));
            }
        };
        if decoded.rest.is_some() {
            // C04: bytes behind the response; the connection cannot be trusted any more.
            exchange.keep_upstream = false;
        }
        let payload = buffer.len() as u64;
        exchange.record.bytes_sent += payload;
        let framed = self.frame_payload(exchange.response_framing, buffer);
        let buffer = framed.map_err(Fault::local)?;
        if buffer.is_empty() {
            self.buffers.give(buffer);
            return Ok(None);
        }
        Ok(Some(buffer))
    }

    /// Ends the response if its body is complete; otherwise holds the origin back while the client
    /// is slow.
    fn after_body(&mut self, exchange: &mut Exchange) -> Result<(), Fault> {
        if !exchange.response_body.is_finished() {
            if let Some(upstream) = exchange.upstream {
                self.hold_back_origin(upstream, exchange.downstream);
                self.offer_response_relay(exchange, upstream);
            }
            return Ok(());
        }
        self.end_response(exchange)
    }

    pub(super) fn end_response(&mut self, exchange: &mut Exchange) -> Result<(), Fault> {
        self.write_response_end(exchange).map_err(Fault::local)?;
        exchange.response_stage = ResponseStage::Done;
        if let Some(cluster) = exchange.cluster() {
            let took = self.now.time.since(exchange.record.upstream_start);
            cluster.stats.of(self.worker).duration.record(took);
        }
        Ok(())
    }

    /// The origin will send no more.
    pub(crate) fn response_ended(&mut self, exchange: &mut Exchange) -> Result<(), Fault> {
        exchange.keep_upstream = false;
        match exchange.response_stage {
            ResponseStage::Head if exchange.response_ahead.is_empty() => {
                Err(Fault::connection(Side::Upstream, Cause::Ended))
            }
            ResponseStage::Head => Err(malformed(Refusal::Truncated)),
            ResponseStage::Body => {
                exchange.response_body.finish_at_eof().map_err(malformed)?;
                self.end_response(exchange)
            }
            ResponseStage::Tunnel | ResponseStage::Done => Ok(()),
        }
    }

    /// The client's connection has room again.
    pub(crate) fn response_may_flow(&mut self, id: ConnId) {
        let key = self
            .downstream(id)
            .and_then(|downstream| downstream.exchange);
        let slot = key.and_then(|key| self.exchanges.find(key));
        let exchange = slot.and_then(|slot| slot.as_ref());
        let upstream = exchange.and_then(|exchange| exchange.upstream);
        let key = exchange.map(|exchange| exchange.key);
        if let Some(link) = self.link_mut(id) {
            link.blocks = false;
        }
        if let Some(upstream) = upstream {
            self.receive(upstream, true);
        }
        if let Some(exchange) = key.and_then(|key| self.exchanges.find_mut(key)?.as_mut()) {
            exchange.last_progress = self.now.time;
        }
    }

    /// Answers a request by ourselves: the whole response leaves now.
    pub(super) fn answer(
        &mut self,
        exchange: &mut Exchange,
        status: u16,
        details: &'static str,
        body: &[u8],
    ) -> Result<(), Cause> {
        exchange.response.clear();
        exchange.response.status = status;
        if !body.is_empty() {
            exchange
                .response
                .fields
                .push_known(HeaderId::ContentType, b"text/plain");
        }
        self.send_answer(exchange, details, body)
    }

    /// Answers with a redirect.
    pub(super) fn redirect(
        &mut self,
        exchange: &mut Exchange,
        status: u16,
        location: &[u8],
    ) -> Result<(), Cause> {
        exchange.response.clear();
        exchange.response.status = status;
        exchange
            .response
            .fields
            .push_known(HeaderId::Location, location);
        self.send_answer(exchange, "redirect", b"")
    }

    fn send_answer(
        &mut self,
        exchange: &mut Exchange,
        details: &'static str,
        body: &[u8],
    ) -> Result<(), Cause> {
        let held = exchange.snapshot.clone();
        let Some(http) = held.http(exchange.listener, exchange.chain) else {
            return Err(Cause::Exhausted);
        };
        // C01: what is left of the request is not read as a next one.
        exchange.keep_downstream &= exchange.request_complete;
        exchange.keep_downstream &= exchange.upgrade.is_none(); // C08
        if exchange.record.details.is_empty() {
            exchange.record.details = details;
        }
        self.own_fields(exchange, http, Origin::Local);
        self.edit_response(exchange);
        exchange.record.status = exchange.response.status;
        let bodiless = exchange.request.method == Method::Head
            || matches!(exchange.response.status, 204 | 304);
        exchange.response_framing = match bodiless {
            true => BodyLength::None,
            false => BodyLength::Bytes(body.len() as u64),
        };
        if bodiless && exchange.request.method == Method::Head {
            exchange.response.declared_length = Some(body.len() as u64);
        }
        self.encode_head(exchange);
        if !bodiless {
            self.scratch.extend_from_slice(body);
        }
        self.send_scratch(exchange.downstream, None)?;
        // Only now: an answer that found no buffers is no answer, and the connection must not go
        // on.
        exchange.response_stage = ResponseStage::Done;
        if !bodiless {
            exchange.record.bytes_sent += body.len() as u64;
        }
        Ok(())
    }

    /// Server, date, via, and what we add for the client's information.
    fn own_fields(&mut self, exchange: &mut Exchange, http: &Http, origin: Origin) {
        let fields = &mut exchange.response.fields;
        match (&http.server, origin) {
            (ServerHeader::Overwrite(name), _) => fields.set(HeaderId::Server, name.as_bytes()),
            (ServerHeader::AppendIfAbsent(name), _) => {
                if fields.value(HeaderId::Server).is_none() {
                    fields.push_known(HeaderId::Server, name.as_bytes());
                }
            }
            (ServerHeader::PassThrough, _) => {}
        }
        if fields.value(HeaderId::Date).is_none() {
            fields.push_known(HeaderId::Date, self.date.at(self.now.wall).as_bytes());
        }
        if !http.via.is_empty() {
            fields.push_known(HeaderId::Via, http.via.as_bytes());
        }
        if http.request_id.in_response
            && let Some(id) = exchange.request.fields.value(HeaderId::XRequestId)
        {
            fields.set(HeaderId::XRequestId, id);
        }
        if matches!(origin, Origin::Upstream) && !http.suppress_envoy_headers {
            let start = exchange.record.upstream_start;
            let millis = self.now.time.since(start) / 1_000_000;
            fields.set_with(HeaderId::XEnvoyUpstreamServiceTime, |text| {
                append_number(millis, text);
            });
        }
    }

    fn edit_response(&mut self, exchange: &mut Exchange) {
        let Some(route) = exchange.route else { return };
        let held = exchange.snapshot.clone();
        let Some(http) = held.http(exchange.listener, exchange.chain) else {
            return;
        };
        let routes = &http.routes;
        if !routes.edits_response(route, exchange.choice) {
            return;
        }
        let mut response = std::mem::take(&mut exchange.response);
        let facts = exchange.facts(&self.hostname);
        routes.edit_response(
            route,
            exchange.choice,
            &mut response,
            &facts,
            &mut self.values,
        );
        exchange.response = response;
    }

    fn count_upstream_status(&self, exchange: &Exchange) {
        let Some(cluster) = exchange.cluster() else {
            return;
        };
        cluster
            .stats
            .of(self.worker)
            .counters
            .count_status(exchange.response.status);
    }
}

/// Who made a response.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Upstream,
    Local,
}

fn malformed(refusal: Refusal) -> Fault {
    Fault::connection(Side::Upstream, Cause::Malformed(refusal))
}

fn decode_head(exchange: &mut Exchange, head: &[u8]) -> Result<(), Refusal> {
    let framing = decode_response(head, exchange.request.method, &mut exchange.response)?;
    exchange.response_body = BodyDecoder::new(framing.body);
    exchange.keep_upstream = framing.keep_alive;
    Ok(())
}

/// How the body is framed towards this client (R05).
fn towards_client(exchange: &Exchange) -> BodyLength {
    let from_origin = match &exchange.response_body {
        BodyDecoder::None => BodyLength::None,
        BodyDecoder::Bytes(bytes) => BodyLength::Bytes(*bytes),
        BodyDecoder::Chunked(_) => BodyLength::Chunked,
        BodyDecoder::ToClose => BodyLength::ToClose,
    };
    match (from_origin, exchange.request.version) {
        (BodyLength::ToClose, Version::Http11) => BodyLength::Chunked,
        (BodyLength::Chunked, Version::Http10) => BodyLength::ToClose,
        (length, _) => length,
    }
}
