//! When an exchange is given up: its whole duration, route, whole request, pace of the body,
//! silence.

use crate::config::route::Action;
use crate::engine::Engine;
use crate::event::{Close, ConnId, Time};
use crate::fault::{Cause, Fault, Side};
use crate::limits::{FLUSH_TIMEOUT, PACE_BYTES_MIN, PACE_INTERVAL};
use crate::link::Link;
use crate::slab::Key;
use crate::timer::Owner;

use super::{Exchange, ResponseStage, Stage};

impl Engine {
    /// `timeout` runs from the end of the request, once there is a route.
    pub(super) fn start_route_timeout(&self, exchange: &mut Exchange) {
        if !exchange.request_complete || exchange.route_deadline != Time::NEVER {
            return;
        }
        let route = exchange.http().zip(exchange.route);
        let timeout = match route.map(|(http, route)| &http.routes.route(route).action) {
            Some(Action::Forward(forward)) => forward.timeout,
            _ => None,
        };
        if let Some(timeout) = timeout {
            exchange.route_deadline = exchange.record.request_end.after(timeout);
        }
    }

    /// Sets the exchange's timer to the first of its deadlines.
    pub(super) fn arm_exchange(&mut self, exchange: &mut Exchange) {
        if exchange.request_complete {
            exchange.pace_deadline = Time::NEVER;
        } else if exchange.pace_deadline == Time::NEVER {
            exchange.pace_deadline = self.now.time.after(PACE_INTERVAL);
        }
        let deadline = idle_deadline(exchange)
            .min(exchange.route_deadline)
            .min(exchange.request_deadline)
            .min(exchange.stream_deadline)
            .min(exchange.pace_deadline);
        if deadline == Time::NEVER {
            return exchange.alarm.disarm();
        }
        let owner = Owner::Exchange(exchange.key.slot);
        self.timers.arm(&mut exchange.alarm, owner, deadline);
    }

    pub(crate) fn exchange_rang(&mut self, key: Key) {
        let now = self.now.time;
        self.with_exchange(key, |engine, exchange| {
            if exchange.stream_deadline <= now {
                return Err(took_too_long(exchange));
            }
            if exchange.route_deadline <= now {
                return Err(Fault::exchange(Side::Upstream, Cause::RouteTimeout));
            }
            if exchange.request_deadline <= now {
                return Err(Fault::connection(Side::Downstream, Cause::RequestTimeout));
            }
            if idle_deadline(exchange) <= now {
                let side = match exchange.request_complete {
                    true => Side::Upstream,
                    false => Side::Downstream,
                };
                return Err(Fault::connection(side, Cause::IdleTimeout));
            }
            engine.look_at_pace(exchange)
        });
    }

    /// S04: a body that trickles in slower than the minimum, without us holding it back, is given
    /// up. Once the origin answers, its pace is between the two: a stream may pause.
    fn look_at_pace(&mut self, exchange: &mut Exchange) -> Result<(), Fault> {
        if exchange.pace_deadline > self.now.time {
            return Ok(());
        }
        let received = exchange.record.bytes_received;
        let held_back = self.was_held_back(exchange);
        let pace = received.saturating_sub(exchange.pace_bytes);
        let measured = exchange.pace_bytes != u64::MAX;
        exchange.pace_deadline = self.now.time.after(PACE_INTERVAL);
        exchange.pace_bytes = if held_back { u64::MAX } else { received };
        if measured && !held_back && pace < PACE_BYTES_MIN {
            return Err(Fault::connection(Side::Downstream, Cause::RequestTimeout));
        }
        Ok(())
    }

    /// True if the client could not or needed not send at some time since this was last asked.
    fn was_held_back(&mut self, exchange: &Exchange) -> bool {
        let paused = self.link_mut(exchange.downstream).is_none_or(|link| {
            let paused = link.paused;
            link.paused = !link.receiving;
            paused
        });
        let relay_holds = exchange
            .upstream
            .and_then(|upstream| self.link(upstream))
            .is_some_and(|link| link.holds);
        // It waits for a 100 that the origin, or a connection to it, has to come first for.
        let awaits_continue =
            exchange.framing.expect_continue && exchange.record.bytes_received == 0;
        let is_answered = exchange.response_stage != ResponseStage::Head;
        paused || relay_holds || awaits_continue || is_answered || exchange.stage < Stage::Body
    }

    /// S06: the client reads nothing of what is due.
    pub(crate) fn client_does_not_read(&mut self, id: ConnId) {
        let Some(key) = self
            .downstream(id)
            .and_then(|downstream| downstream.exchange)
        else {
            return;
        };
        self.close(id, Close::Reset);
        self.with_exchange(key, |engine, exchange| {
            if let Some(listener) = exchange.listener() {
                listener
                    .stats
                    .of(engine.worker)
                    .counters
                    .timeouts_flush
                    .add(1);
            }
            Err(Fault::connection(Side::Downstream, Cause::Reset))
        });
    }

    /// Restarts the clock of S06 while the client's connection is full or a relay holds bytes for
    /// it, stops it otherwise.
    pub(crate) fn watch_client_reading(&mut self, id: ConnId) {
        let waits = |link: &Link| link.blocks || link.holds;
        match self.link(id).is_some_and(waits) {
            true => self.arm(id, self.now.time.after(FLUSH_TIMEOUT)),
            false => self.disarm(id),
        }
    }
}

/// `max_stream_duration` has passed, whoever it was that took the time.
fn took_too_long(exchange: &Exchange) -> Fault {
    match exchange.request_complete {
        true => Fault::exchange(Side::Upstream, Cause::StreamDuration),
        false => Fault::connection(Side::Downstream, Cause::StreamDuration),
    }
}

/// No byte moved until then: `stream_idle_timeout`, or the route's `idle_timeout`.
fn idle_deadline(exchange: &Exchange) -> Time {
    debug_assert!(
        exchange.response_stage != ResponseStage::Done,
        "a finished exchange waits"
    );
    let timeout = exchange.idle_timeout;
    timeout.map_or(Time::NEVER, |timeout| exchange.last_progress.after(timeout))
}
