//! The relay as a [`Machine`]: what arrives on one side is sent on the other, unread.
//!
//! ```text
//!   Accepted ─► Adopt, Connect ─► bytes wait (bounded) ─► Connected ─► bytes go both ways
//!   End of a side ─► Shutdown of the other; both ended and all sent ─► Close, Close
//!   Failed, or not Connected ─► both are reset
//! ```
//!
//! No routes, no timeouts, no pool: it is a measure, not a proxy.

use std::collections::VecDeque;
use std::net::SocketAddr;

use penstock_core::buffer::{Buffer, BufferPool};
use penstock_core::event::{Close, ConnId, Event, Incoming, Now, Op, Time};
use penstock_core::machine::Machine;

/// Bytes on their way to a side above which the other side is not read.
const HIGH: usize = 256 * 1024;
/// And below which it is read again.
const LOW: usize = 64 * 1024;

/// A relay to one origin.
#[derive(Debug)]
pub struct RelayMachine {
    origin: SocketAddr,
    pool: BufferPool,
    ops: VecDeque<Op>,
    /// Two for each relayed connection: downstream at even slots, its upstream behind it.
    sides: Vec<Side>,
    /// Even slots without a connection.
    free: Vec<u32>,
    open: usize,
    draining: bool,
}

/// One connection.
#[derive(Debug, Default)]
struct Side {
    generation: u32,
    /// What came before the upstream was connected.
    early: Vec<Buffer>,
    /// Bytes given to be sent on it.
    queued: usize,
    connected: bool,
    /// It is not read.
    stopped: bool,
    ended: bool,
    closing: bool,
    closed: bool,
}

impl RelayMachine {
    /// A relay to `origin` with these buffers.
    pub fn new(origin: SocketAddr, pool: BufferPool) -> Self {
        Self {
            origin,
            pool,
            ops: VecDeque::new(),
            sides: Vec::new(),
            free: Vec::new(),
            open: 0,
            draining: false,
        }
    }

    fn accepted(&mut self, incoming: Incoming) {
        let slot = self.free.pop().unwrap_or_else(|| {
            let slot = self.sides.len() as u32;
            self.sides.extend([Side::default(), Side::default()]);
            slot
        });
        for slot in [slot, slot + 1] {
            let side = &mut self.sides[slot as usize];
            *side = Side {
                generation: side.generation.wrapping_add(1),
                connected: slot.is_multiple_of(2),
                ..Side::default()
            };
        }
        self.open += 1;
        let (conn, upstream) = (self.id(slot), self.id(slot + 1));
        self.ops.push_back(Op::Adopt { incoming, conn });
        self.ops.push_back(Op::Connect {
            conn: upstream,
            address: self.origin,
        });
    }

    fn connected(&mut self, conn: ConnId) {
        let side = self.side(conn);
        side.connected = true;
        let early = std::mem::take(&mut side.early);
        let sends = early.into_iter().map(|segment| Op::Send { conn, segment });
        self.ops.extend(sends);
        if self.other(conn).ended {
            self.ops.push_back(Op::Shutdown { conn });
        }
    }

    fn received(&mut self, conn: ConnId, buffer: Buffer) {
        let to = self.id(conn.slot ^ 1);
        if self.side(conn).closing || self.side(to).closing {
            return self.pool.give(buffer);
        }
        let other = self.side(to);
        other.queued += buffer.len();
        let stop = other.queued > HIGH;
        if other.connected {
            let segment = buffer;
            self.ops.push_back(Op::Send { conn: to, segment });
        } else {
            other.early.push(buffer);
        }
        let side = self.side(conn);
        if stop && !side.stopped {
            side.stopped = true;
            self.ops.push_back(Op::ReceiveOff { conn });
        }
    }

    fn sent(&mut self, conn: ConnId, bytes: usize, buffer: Buffer) {
        self.pool.give(buffer);
        let from = self.id(conn.slot ^ 1);
        let side = self.side(conn);
        side.queued -= bytes;
        let low = side.queued < LOW;
        let source = self.side(from);
        if low && source.stopped && !source.closing {
            source.stopped = false;
            self.ops.push_back(Op::ReceiveOn { conn: from });
        }
        self.finish(conn);
    }

    fn ended(&mut self, conn: ConnId) {
        self.side(conn).ended = true;
        let to = self.id(conn.slot ^ 1);
        if self.side(to).connected && !self.side(to).closing {
            self.ops.push_back(Op::Shutdown { conn: to });
        }
        self.finish(conn);
    }

    /// Closes both sides once both have ended and everything has left.
    fn finish(&mut self, conn: ConnId) {
        let over = |side: &Side| side.ended && side.queued == 0;
        if over(self.side(conn)) && over(self.other(conn)) {
            self.close_both(conn, Close::Normal);
        }
    }

    fn close_both(&mut self, conn: ConnId, how: Close) {
        for slot in [conn.slot, conn.slot ^ 1] {
            let conn = self.id(slot);
            let side = self.side(conn);
            if !std::mem::replace(&mut side.closing, true) {
                let early = std::mem::take(&mut side.early);
                early.into_iter().for_each(|buffer| self.pool.give(buffer));
                self.ops.push_back(Op::Close { conn, how });
            }
        }
    }

    fn closed(&mut self, conn: ConnId) {
        self.side(conn).closed = true;
        if self.other(conn).closed {
            self.free.push(conn.slot & !1);
            self.open -= 1;
        }
    }

    fn id(&self, slot: u32) -> ConnId {
        let generation = self.sides[slot as usize].generation;
        ConnId { slot, generation }
    }

    fn side(&mut self, conn: ConnId) -> &mut Side {
        &mut self.sides[conn.slot as usize]
    }

    fn other(&self, conn: ConnId) -> &Side {
        &self.sides[(conn.slot ^ 1) as usize]
    }
}

impl Machine for RelayMachine {
    #[inline]
    fn handle(&mut self, event: Event, _now: Now) {
        match event {
            Event::Accepted { incoming, .. } if self.draining => {
                self.ops.push_back(Op::Refuse { incoming });
            }
            Event::Accepted { incoming, .. } => self.accepted(incoming),
            Event::Connected {
                conn,
                result: Ok(_),
            } => self.connected(conn),
            Event::Connected {
                conn,
                result: Err(_),
            }
            | Event::Failed { conn, .. } => self.close_both(conn, Close::Reset),
            Event::Received { conn, buffer } => self.received(conn, buffer),
            Event::End { conn } => self.ended(conn),
            Event::Sent {
                conn,
                bytes,
                buffer,
            } => self.sent(conn, bytes as usize, buffer),
            Event::Closed { conn } => self.closed(conn),
            Event::Drain => self.draining = true,
            Event::AcceptFailed { .. }
            | Event::Unlistened { .. }
            | Event::Relayed { .. }
            | Event::Snapshot(_) => {}
        }
    }

    #[inline]
    fn poll_op(&mut self) -> Option<Op> {
        self.ops.pop_front()
    }

    fn poll_timeout(&self) -> Time {
        Time::NEVER
    }

    fn handle_timeout(&mut self, _now: Now) {}

    fn buffers(&mut self) -> &mut BufferPool {
        &mut self.pool
    }

    fn is_drained(&self) -> bool {
        self.draining && self.open == 0
    }
}
