//! How the messages of an exchange are written for the connection they leave by.
//!
//! The lanes decide what is said and when; here it becomes bytes. Heads and last chunks gather in
//! `Engine::scratch`, so that they leave in front of the first bytes of a body.

use crate::buffer::Buffer;
use crate::engine::Engine;
use crate::event::ConnId;
use crate::fault::Cause;
use crate::http::BodyLength;
use crate::http::h1::{
    CONTINUE, ConnectionHeader, encode_chunk, encode_last_chunk, encode_request, encode_response,
};

use super::Exchange;

impl Engine {
    /// Writes the head of the request for the origin.
    pub(super) fn write_request(&mut self, exchange: &Exchange) {
        let upgrade = exchange.upgrade.filter(|_| exchange.upgrading);
        let upgrade = upgrade.map(|span| exchange.request.fields.text(span));
        self.scratch.clear();
        let body = exchange.framing.body;
        encode_request(&exchange.request, body, true, upgrade, &mut self.scratch);
    }

    /// Writes the head of a response, final or not, for the client.
    pub(super) fn write_response(
        &mut self,
        exchange: &Exchange,
        body: BodyLength,
        connection: ConnectionHeader,
    ) {
        self.scratch.clear();
        encode_response(&exchange.response, body, connection, &mut self.scratch);
    }

    /// Sends our own `100 (Continue)` to the client.
    pub(super) fn write_continue(&mut self, exchange: &Exchange) -> Result<(), Cause> {
        self.send_copy(exchange.downstream, CONTINUE)
    }

    /// Frames payload of a body that is `length` long where it goes.
    pub(super) fn frame_payload(
        &mut self,
        length: BodyLength,
        mut payload: Buffer,
    ) -> Result<Buffer, Cause> {
        if length == BodyLength::Chunked && !encode_chunk(&mut payload) {
            self.buffers.give(payload);
            return Err(Cause::Exhausted);
        }
        Ok(payload)
    }

    /// All payload of the request has left: its end, with trailers if there are any.
    pub(super) fn write_request_end(
        &mut self,
        exchange: &Exchange,
        upstream: ConnId,
    ) -> Result<(), Cause> {
        if exchange.framing.body != BodyLength::Chunked {
            return Ok(());
        }
        let trailers = exchange.request_body.trailers();
        let trailers = trailers.filter(|_| forwards_trailers(exchange));
        self.scratch.clear();
        encode_last_chunk(trailers, &mut self.scratch);
        self.send_scratch(upstream, None)
    }

    /// The same for the response.
    pub(super) fn write_response_end(&mut self, exchange: &Exchange) -> Result<(), Cause> {
        if exchange.response_framing != BodyLength::Chunked {
            return Ok(());
        }
        let trailers = exchange.response_body.trailers();
        let trailers = trailers.filter(|_| forwards_trailers(exchange));
        self.scratch.clear();
        encode_last_chunk(trailers, &mut self.scratch);
        self.send_scratch(exchange.downstream, None)
    }
}

fn forwards_trailers(exchange: &Exchange) -> bool {
    exchange.http().is_some_and(|http| http.forward_trailers)
}
