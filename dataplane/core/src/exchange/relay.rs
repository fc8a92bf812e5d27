//! Bulk bodies that the driver may move from kernel to kernel: the offer to do so, and the count of
//! what it moved.
//!
//! Only bodies of known length whose framing is the same on both sides: their bytes need not be
//! looked at. What the driver moves is counted like what passes in buffers; what it does not move
//! arrives in buffers, so nothing depends on whether an offer is taken.

use crate::engine::Engine;
use crate::event::{ConnId, Op};
use crate::fault::Fault;
use crate::http::BodyLength;
use crate::http::h1::BodyDecoder;
use crate::link::{Connection, Link};
use crate::slab::Key;

use super::{Exchange, ResponseStage, Stage};

/// How far the offer to relay a body is. There is one per body at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Offer {
    /// Not made.
    #[default]
    None,
    /// Its operation waits to be taken.
    Queued,
    /// The driver knows of it.
    Made,
}

impl Engine {
    /// Offers the driver the rest of a response, if that is much and nothing stands in its way.
    pub(super) fn offer_response_relay(&mut self, exchange: &mut Exchange, upstream: ConnId) {
        if exchange.response_offer == Offer::None
            && self.is_bulk(&exchange.response_body, exchange.response_framing)
            && self.flows_freely(upstream, exchange.downstream)
        {
            exchange.response_offer = Offer::Queued;
            self.queue_relay(upstream, exchange.downstream);
        }
    }

    /// The same for a request.
    pub(super) fn offer_request_relay(&mut self, exchange: &mut Exchange, upstream: ConnId) {
        if exchange.request_offer == Offer::None
            && self.is_bulk(&exchange.request_body, exchange.framing.body)
            && self.flows_freely(exchange.downstream, upstream)
        {
            exchange.request_offer = Offer::Queued;
            self.queue_relay(exchange.downstream, upstream);
        }
    }

    fn is_bulk(&self, body: &BodyDecoder, framing: BodyLength) -> bool {
        let much = |left| left >= self.relay_bytes_min;
        matches!(framing, BodyLength::Bytes(_)) && body.remaining().is_some_and(much)
    }

    fn flows_freely(&self, from: ConnId, to: ConnId) -> bool {
        let source = self.link(from);
        let open = source.is_some_and(|link| link.receiving && !link.ended && !link.closing);
        let takes = |link: &Link| !link.blocks && !link.shut && !link.closing;
        open && self.link(to).is_some_and(takes)
    }

    fn queue_relay(&mut self, from: ConnId, to: ConnId) {
        self.ops.push_back(Op::Relay { from, to, bytes: 0 });
    }

    /// How many bytes an offer is about when it is taken; `None` if it is void by now.
    pub(crate) fn relay_bytes(&mut self, from: ConnId, to: ConnId) -> Option<u64> {
        let source = self.connections.find(from.into())?;
        let (lane, key) = (Lane::of(source), exchange_of(source)?);
        let open = |link: &Link| !link.closing;
        if !open(source.link()) || !self.link(to).is_some_and(open) {
            return None;
        }
        let exchange = self.exchanges.find_mut(key)?.as_mut()?;
        let (offer, body, other) = match lane {
            Lane::Request if exchange.stage == Stage::Body => (
                &mut exchange.request_offer,
                &exchange.request_body,
                exchange.upstream,
            ),
            Lane::Response if exchange.response_stage == ResponseStage::Body => (
                &mut exchange.response_offer,
                &exchange.response_body,
                Some(exchange.downstream),
            ),
            _ => return None,
        };
        let left = body.remaining().filter(|left| *left > 0)?;
        if other != Some(to) || *offer != Offer::Queued {
            return None;
        }
        *offer = Offer::Made;
        Some(left)
    }

    /// The driver moved bytes by itself, or holds some that the other side does not take.
    pub(crate) fn relayed(&mut self, from: ConnId, bytes: u64, held: u32) {
        self.count_received(from, bytes);
        let source = self.connections.find(from.into());
        let Some(source) = source.filter(|source| !source.link().closing) else {
            return;
        };
        let (lane, Some(key)) = (Lane::of(source), exchange_of(source)) else {
            return;
        };
        self.with_exchange(key, |engine, exchange| {
            if bytes > 0 {
                exchange.last_progress = engine.now.time;
            }
            match lane {
                Lane::Request => engine.request_relayed(exchange, bytes, held),
                Lane::Response => return engine.response_relayed(exchange, bytes, held),
            }
            Ok(())
        });
    }

    fn request_relayed(&mut self, exchange: &mut Exchange, bytes: u64, held: u32) {
        let Some(upstream) = exchange.upstream.filter(|_| !exchange.request_complete) else {
            return;
        };
        self.count_sent(upstream, bytes);
        exchange.record.bytes_received += bytes;
        exchange.request_body.skip(bytes);
        let held_before = self.note_held(upstream, held);
        if held_before || held > 0 {
            // S04: while the origin does not read, the client need not send.
            self.link_mut(exchange.downstream)
                .into_iter()
                .for_each(|link| link.paused = true);
        }
        if exchange.request_body.is_finished() {
            self.request_is_complete(exchange);
        }
    }

    fn response_relayed(
        &mut self,
        exchange: &mut Exchange,
        bytes: u64,
        held: u32,
    ) -> Result<(), Fault> {
        if exchange.response_stage != ResponseStage::Body {
            return Ok(());
        }
        self.count_sent(exchange.downstream, bytes);
        exchange.record.bytes_sent += bytes;
        exchange.response_body.skip(bytes);
        self.note_held(exchange.downstream, held);
        self.watch_client_reading(exchange.downstream);
        match exchange.response_body.is_finished() {
            true => self.end_response(exchange),
            false => Ok(()),
        }
    }

    /// Notes whether a relay waits for this connection to take bytes; says whether one did before.
    fn note_held(&mut self, to: ConnId, held: u32) -> bool {
        let link = self.link_mut(to);
        link.is_some_and(|link| std::mem::replace(&mut link.holds, held > 0))
    }
}

/// Which body.
#[derive(Clone, Copy)]
enum Lane {
    Request,
    Response,
}

impl Lane {
    /// The body that arrives on this connection.
    fn of(source: &Connection) -> Self {
        match source {
            Connection::Downstream(_) => Self::Request,
            Connection::Upstream(_) => Self::Response,
        }
    }
}

fn exchange_of(source: &Connection) -> Option<Key> {
    match source {
        Connection::Downstream(downstream) => downstream.exchange,
        Connection::Upstream(upstream) => upstream.exchange,
    }
}
