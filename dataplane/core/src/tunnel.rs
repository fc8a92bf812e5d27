//! Bytes both ways after an upgrade: no framing, watermarks in both directions, half closes passed
//! on.
//!
//! The exchange stays the owner: its timers run on, and its record is written when both sides have
//! ended or one of them broke.

use crate::buffer::Buffer;
use crate::downstream::Phase;
use crate::engine::Engine;
use crate::event::{ConnId, Time};
use crate::exchange::{Exchange, ResponseStage};
use crate::fault::Fault;

impl Exchange {
    pub(crate) fn is_tunnel(&self) -> bool {
        self.response_stage == ResponseStage::Tunnel
    }
}

impl Engine {
    /// The 101 has left: what either side sent already follows.
    pub(crate) fn open_tunnel(
        &mut self,
        exchange: &mut Exchange,
        rest: Option<Buffer>,
    ) -> Result<(), Fault> {
        exchange.route_deadline = Time::NEVER;
        exchange.keep_downstream = false;
        exchange.keep_upstream = false;
        if let Some(listener) = exchange.listener() {
            listener.stats.of(self.worker).counters.tunnels.add(1);
        }
        if let Some(downstream) = self.downstream_mut(exchange.downstream) {
            downstream.phase = Phase::Tunnel;
        }
        if let Some(rest) = rest {
            if rest.is_empty() {
                self.buffers.give(rest);
            } else {
                self.tunnel_to_downstream(exchange, rest);
            }
        }
        let ahead = self.take_ahead(exchange.downstream);
        if let Some(upstream) = exchange.upstream {
            exchange.record.bytes_received += ahead.len() as u64;
            let sent = self.send_copy(upstream, &ahead);
            sent.map_err(Fault::local)?;
            self.hold_back(exchange.downstream, upstream);
            let blocked = self.link(upstream).is_some_and(|link| link.blocks);
            if !blocked {
                self.receive(exchange.downstream, true);
            }
        }
        let ended = self
            .link(exchange.downstream)
            .is_some_and(|link| link.ended);
        if ended {
            self.pass_end(exchange, exchange.upstream);
        }
        Ok(())
    }

    pub(crate) fn tunnel_from_downstream(&mut self, id: ConnId, buffer: Buffer) {
        let Some(key) = self
            .downstream(id)
            .and_then(|downstream| downstream.exchange)
        else {
            return self.buffers.give(buffer);
        };
        let mut buffer = Some(buffer);
        self.with_exchange(key, |engine, exchange| {
            let (Some(upstream), Some(buffer)) = (exchange.upstream, buffer.take()) else {
                return Ok(());
            };
            exchange.last_progress = engine.now.time;
            exchange.record.bytes_received += buffer.len() as u64;
            engine.send(upstream, buffer);
            engine.hold_back(exchange.downstream, upstream);
            Ok(())
        });
        if let Some(buffer) = buffer {
            self.buffers.give(buffer);
        }
    }

    pub(crate) fn tunnel_to_downstream(&mut self, exchange: &mut Exchange, buffer: Buffer) {
        exchange.record.bytes_sent += buffer.len() as u64;
        self.send(exchange.downstream, buffer);
        if let Some(upstream) = exchange.upstream {
            self.hold_back_origin(upstream, exchange.downstream);
        }
    }

    pub(crate) fn tunnel_downstream_ended(&mut self, id: ConnId) {
        let Some(key) = self
            .downstream(id)
            .and_then(|downstream| downstream.exchange)
        else {
            return;
        };
        self.with_exchange(key, |engine, exchange| {
            let upstream = exchange.upstream;
            engine.pass_end(exchange, upstream);
            Ok(())
        });
    }

    pub(crate) fn tunnel_upstream_ended(&mut self, exchange: &mut Exchange) {
        let downstream = exchange.downstream;
        self.pass_end(exchange, Some(downstream));
    }

    /// One side has ended: the other one learns it; when both have, the exchange is done.
    fn pass_end(&mut self, exchange: &mut Exchange, to: Option<ConnId>) {
        if let Some(to) = to {
            self.shutdown(to);
        }
        exchange.tunnel_ends += 1;
        self.tunnel_may_be_done(exchange);
    }

    /// Both sides have ended and the origin has got everything; the client's connection flushes by
    /// itself.
    pub(crate) fn tunnel_may_be_done(&mut self, exchange: &mut Exchange) {
        let queued = exchange
            .upstream
            .and_then(|id| self.link(id))
            .map_or(0, |link| link.queued);
        if exchange.tunnel_ends == 2 && queued == 0 {
            exchange.response_stage = ResponseStage::Done;
        }
    }
}
