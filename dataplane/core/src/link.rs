//! What a connection of either side has in common, and the only places that give operations for
//! one.

use crate::buffer::Buffer;
use crate::downstream::Downstream;
use crate::engine::Engine;
use crate::event::{Close, ConnId, Op, Time};
use crate::fault::Cause;
use crate::limits;
use crate::slab::Key;
use crate::timer::{Alarm, Owner};
use crate::upstream::Upstream;

/// A connection of either side.
#[derive(Debug)]
pub(crate) enum Connection {
    /// Towards a client.
    Downstream(Downstream),
    /// Towards an origin.
    Upstream(Upstream),
}

/// State of the bytes of one connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Its id.
    pub(crate) id: ConnId,
    /// Bytes given to the driver and not yet reported as sent, as [`charge`] counts them.
    pub(crate) queued: u32,
    /// High watermark of `queued`; the low one is half of it.
    pub(crate) high: u32,
    /// Receive is on.
    pub(crate) receiving: bool,
    /// Receive was off at some time since the pace was last looked at.
    pub(crate) paused: bool,
    /// The other side's receive is off because `queued` is above the high watermark.
    pub(crate) blocks: bool,
    /// A relay holds bytes that it does not take.
    pub(crate) holds: bool,
    /// The other end sent FIN.
    pub(crate) ended: bool,
    /// We sent FIN.
    pub(crate) shut: bool,
    /// `Op::Close` was given; only `Closed` may follow.
    pub(crate) closing: bool,
    /// The timer of the connection's present phase.
    pub(crate) alarm: Alarm,
}

/// What a buffer of `len` bytes counts against a watermark. A buffer is held whole, however few
/// bytes are in it, so a peer that sends single bytes must not be able to hold them all.
pub(crate) fn charge(len: usize) -> u32 {
    len.max(limits::BUFFER_CHARGE_MIN) as u32
}

impl Link {
    /// A fresh connection with receive on.
    pub(crate) fn new(id: ConnId, high: u32) -> Self {
        Self {
            id,
            queued: 0,
            high,
            receiving: true,
            paused: false,
            blocks: false,
            holds: false,
            ended: false,
            shut: false,
            closing: false,
            alarm: Alarm::default(),
        }
    }

    /// Low watermark.
    pub(crate) fn low(&self) -> u32 {
        self.high / 2
    }
}

impl Connection {
    pub(crate) fn link(&self) -> &Link {
        match self {
            Self::Downstream(downstream) => &downstream.link,
            Self::Upstream(upstream) => &upstream.link,
        }
    }

    pub(crate) fn link_mut(&mut self) -> &mut Link {
        match self {
            Self::Downstream(downstream) => &mut downstream.link,
            Self::Upstream(upstream) => &mut upstream.link,
        }
    }
}

impl From<ConnId> for Key {
    fn from(id: ConnId) -> Self {
        Self {
            slot: id.slot,
            generation: id.generation,
        }
    }
}

impl From<Key> for ConnId {
    fn from(key: Key) -> Self {
        Self {
            slot: key.slot,
            generation: key.generation,
        }
    }
}

impl Engine {
    pub(crate) fn link(&self, id: ConnId) -> Option<&Link> {
        self.connections.find(id.into()).map(Connection::link)
    }

    pub(crate) fn link_mut(&mut self, id: ConnId) -> Option<&mut Link> {
        self.connections
            .find_mut(id.into())
            .map(Connection::link_mut)
    }

    /// Sends a segment; it goes back to the pool if the connection is on its way out.
    pub(crate) fn send(&mut self, id: ConnId, segment: Buffer) {
        let open = self.link_mut(id).filter(|link| !link.closing && !link.shut);
        match open {
            Some(link) if !segment.is_empty() => {
                link.queued += charge(segment.len());
                self.ops.push_back(Op::Send { conn: id, segment });
            }
            _ => self.buffers.give(segment),
        }
    }

    /// Sends a copy of `bytes`, however many buffers that takes, or nothing if there are too few:
    /// half a head cannot be taken back.
    pub(crate) fn send_copy(&mut self, id: ConnId, mut bytes: &[u8]) -> Result<(), Cause> {
        if self.buffers.available() < bytes.len().div_ceil(self.buffers.payload()) {
            return Err(Cause::Exhausted);
        }
        while !bytes.is_empty() {
            let mut buffer = self.buffers.take().ok_or(Cause::Exhausted)?;
            let count = buffer.fill_from(bytes);
            bytes = &bytes[count..];
            self.send(id, buffer);
        }
        Ok(())
    }

    /// Sends `self.scratch` in front of `body`: in its headroom if it fits, in buffers of its own
    /// otherwise. The scratch is left empty.
    pub(crate) fn send_scratch(&mut self, id: ConnId, body: Option<Buffer>) -> Result<(), Cause> {
        let head = std::mem::take(&mut self.scratch);
        let sent = self.send_head(id, &head, body);
        self.scratch = head;
        self.scratch.clear();
        sent
    }

    fn send_head(&mut self, id: ConnId, head: &[u8], body: Option<Buffer>) -> Result<(), Cause> {
        let Some(mut body) = body else {
            return self.send_copy(id, head);
        };
        if !body.prepend(head)
            && let Err(cause) = self.send_copy(id, head)
        {
            self.buffers.give(body);
            return Err(cause);
        }
        self.send(id, body);
        Ok(())
    }

    /// Switches receive on or off.
    pub(crate) fn receive(&mut self, id: ConnId, on: bool) {
        let Some(link) = self.link_mut(id) else {
            return;
        };
        if link.receiving == on || link.closing || link.ended {
            return;
        }
        link.receiving = on;
        link.paused |= !on;
        self.ops.push_back(if on {
            Op::ReceiveOn { conn: id }
        } else {
            Op::ReceiveOff { conn: id }
        });
    }

    /// Sends FIN after what is queued.
    pub(crate) fn shutdown(&mut self, id: ConnId) {
        let Some(link) = self.link_mut(id) else {
            return;
        };
        if link.shut || link.closing {
            return;
        }
        link.shut = true;
        self.ops.push_back(Op::Shutdown { conn: id });
    }

    /// Closes a connection; what is queued and unsent is dropped.
    pub(crate) fn close(&mut self, id: ConnId, how: Close) {
        let Some(link) = self.link_mut(id) else {
            return;
        };
        if link.closing {
            return;
        }
        link.closing = true;
        link.alarm.disarm();
        self.ops.push_back(Op::Close { conn: id, how });
    }

    /// Sets the timer of a connection.
    pub(crate) fn arm(&mut self, id: ConnId, deadline: Time) {
        let Some(connection) = self.connections.find_mut(id.into()) else {
            return;
        };
        let link = connection.link_mut();
        if !link.closing {
            let owner = Owner::Connection(id.slot);
            self.timers.arm(&mut link.alarm, owner, deadline);
        }
    }

    /// Switches the timer of a connection off.
    pub(crate) fn disarm(&mut self, id: ConnId) {
        if let Some(link) = self.link_mut(id) {
            link.alarm.disarm();
        }
    }

    /// Holds the origin back while the client is slow, and watches that the client reads at all.
    pub(crate) fn hold_back_origin(&mut self, upstream: ConnId, downstream: ConnId) {
        let blocked = self.link(downstream).is_some_and(|link| link.blocks);
        self.hold_back(upstream, downstream);
        if !blocked {
            self.watch_client_reading(downstream);
        }
    }

    /// Holds `from` back while `to` has more queued than its high watermark.
    pub(crate) fn hold_back(&mut self, from: ConnId, to: ConnId) {
        let Some(link) = self.link_mut(to) else {
            return;
        };
        // Also if it blocks already: that may have been the origin of the exchange before.
        if link.queued > link.high {
            link.blocks = true;
            self.receive(from, false);
        }
    }
}

// An idle connection costs one of these and the driver's slot: together they must stay well below
// the 512 bytes that are promised.
const _: () = assert!(size_of::<Connection>() <= 336);
