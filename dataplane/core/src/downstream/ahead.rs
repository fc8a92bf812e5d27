//! Received bytes that cannot be parsed yet: heads that are not complete, pipelined requests.
//!
//! They are few and short where clients mean well, so all of a worker's connections share one
//! bound. At it, whoever holds most gives way: else a few clients that never finish their heads
//! would refuse everybody whose head comes in two segments.

use crate::engine::Engine;
use crate::event::{Close, ConnId};
use crate::fault::Fault;
use crate::limits;
use crate::link::Connection;

use super::{Downstream, Phase};

impl Engine {
    /// Keeps a copy of bytes that cannot be parsed yet; false if there is no room and nobody found
    /// who holds more.
    pub(crate) fn keep_ahead(&mut self, id: ConnId, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let full = self.ahead_bytes + bytes.len() > limits::AHEAD_BYTES_PER_WORKER;
        if full && !self.find_room(id, bytes.len()) {
            self.count_unparsed(id);
            return false;
        }
        let Some(downstream) = self.downstream_mut(id) else {
            return false;
        };
        downstream.ahead.extend_from_slice(bytes);
        self.ahead_bytes += bytes.len();
        true
    }

    pub(crate) fn take_ahead(&mut self, id: ConnId) -> Vec<u8> {
        let ahead = self
            .downstream_mut(id)
            .map(|downstream| std::mem::take(&mut downstream.ahead));
        let ahead = ahead.unwrap_or_default();
        self.ahead_bytes -= ahead.len();
        ahead
    }

    /// Finds a connection that holds more than this one would; it is given up at the end of the
    /// event, see [`Engine::shed`].
    #[cold]
    fn find_room(&mut self, id: ConnId, more: usize) -> bool {
        let held = self
            .downstream(id)
            .map_or(0, |downstream| downstream.ahead.len());
        let (slots, mut most) = (self.connections.slots(), held + more);
        let mut found: Option<ConnId> = None;
        for _ in 0..slots.min(limits::AHEAD_SEARCH_MAX) {
            self.ahead_cursor = (self.ahead_cursor + 1) % slots;
            if let Some((key, Connection::Downstream(other))) =
                self.connections.occupant(self.ahead_cursor)
                && can_be_shed(other)
                && other.ahead.len() > most
            {
                (most, found) = (other.ahead.len(), Some(key.into()));
            }
        }
        self.overloaded.extend(found);
        found.is_some()
    }

    /// Gives a connection up that holds more unparsed bytes than others may have to wait for.
    pub(crate) fn shed(&mut self, id: ConnId) {
        let Some(downstream) = self.downstream(id).filter(|it| can_be_shed(it)) else {
            return;
        };
        let (phase, exchange) = (downstream.phase, downstream.exchange);
        self.count_unparsed(id);
        match (phase, exchange) {
            (Phase::Head, _) => self.give_up_head(id, Fault::EXHAUSTED),
            (_, Some(exchange)) => {
                self.with_exchange(exchange, |_, _| Err(Fault::EXHAUSTED));
            }
            (_, None) => self.close(id, Close::Reset),
        }
    }

    fn count_unparsed(&self, id: ConnId) {
        if let Some(downstream) = self.downstream(id) {
            let counters = &downstream.stats.of(self.worker).counters;
            counters.unparsed_refused.add(1);
        }
    }
}

fn can_be_shed(downstream: &Downstream) -> bool {
    let waits = matches!(
        downstream.phase,
        Phase::Idle | Phase::Head | Phase::Exchange
    );
    waits && !downstream.link.closing && !downstream.ahead.is_empty()
}
