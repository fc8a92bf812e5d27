//! Relays on the ring: its polls say when there is something to move or room for it.
//!
//! A poll stands where a receive of the source or a send of the sink would: whoever closes the
//! connection cancels and awaits it like those.

use std::os::fd::AsFd;

use fastpath_sys::uring::{Readiness, Shots};
use penstock_core::event::{ConnId, Event};

use super::caps::Feature;
use super::connection::{Connection, Is, Purpose};
use super::{UringDriver, mark_dirty};
use crate::driver::relays::Halt;

impl UringDriver {
    /// Takes an offer, if both sides are fit for it.
    pub(super) fn relay(&mut self, from: ConnId, to: ConnId, bytes: u64) {
        let fit = |connection: Option<&mut Connection>, not: u32| {
            let not = not | Is::CONNECTING | Is::FAILED | Is::CLOSING;
            connection.is_some_and(|connection| !connection.is(not))
        };
        let fit = fit(self.connections.find(from), Is::RELAY_FROM | Is::ENDED)
            && fit(self.connections.find(to), Is::RELAY_TO);
        if !fit || !self.caps.has(Feature::Splice) || !self.relays.add(from, to, bytes) {
            return;
        }
        if let Some(connection) = self.connections.find(to) {
            connection.set(Is::RELAY_TO);
        }
        let Some(connection) = self.connections.find(from) else {
            return;
        };
        connection.set(Is::RELAY_FROM | Is::BULKY);
        if let Some(flight) = connection.receive
            && !connection.is(Is::RECEIVE_CANCELLED)
        {
            connection.set(Is::RECEIVE_CANCELLED);
            self.ring.cancel(flight);
        }
    }

    /// Moves what can be moved. What is told of it keeps the turn from waiting.
    pub(super) fn run_relays(&mut self) {
        // From the back: one that ends leaves its place to the last.
        for index in (0..self.relays.len()).rev() {
            self.run_relay(index);
        }
    }

    fn run_relay(&mut self, index: usize) {
        let Some(relay) = self.relays.get(index) else {
            return;
        };
        let (from, to, holds, begun) = (relay.from, relay.to, relay.holds(), relay.has_begun());
        if relay.is_done() {
            return self.end_relay(index);
        }
        let source = self.connections.find(from);
        let reads = source.is_some_and(|from| from.receives() && from.receive.is_none());
        let sink = self.connections.find(to);
        let sends = sink.is_some_and(|to| to.can_send() && to.queue.is_empty());
        if !sends || !reads && !holds {
            return;
        }
        if !begun && self.relays.begin(index).is_err() {
            return self.end_relay(index);
        }
        let Some(halt) = self.pump(index, from, to, reads) else {
            return;
        };
        match halt {
            Halt::SourceEmpty if reads => self.await_bytes(from),
            Halt::SourceEmpty | Halt::Turn => {}
            Halt::SinkFull => self.await_room(to),
            Halt::Over(fault) => {
                if let Some(connection) = self.connections.find(from) {
                    connection.fault = connection.fault.or(fault);
                }
                self.end_relay(index);
            }
            Halt::SinkFailed(fault) => {
                let failed = self.send_failed(to, fault);
                self.immediate.extend(failed);
            }
        }
    }

    fn pump(&mut self, index: usize, from: ConnId, to: ConnId, reads: bool) -> Option<Halt> {
        let (source, sink) = self.connections.find_both(from, to)?;
        let relay = self.relays.get_mut(index)?;
        let (halt, event) = relay.pump(source.fd.as_fd(), sink.fd.as_fd(), reads);
        self.immediate.extend(event);
        Some(halt)
    }

    fn await_bytes(&mut self, from: ConnId) {
        if let Some(connection) = self.connections.find(from) {
            let token = Purpose::Readable(from).token();
            let fd = connection.fd.as_fd();
            let flight = self.ring.poll(fd, Readiness::Readable, Shots::Once, token);
            connection.receive = Some(flight);
        }
    }

    pub(super) fn await_room(&mut self, to: ConnId) {
        if let Some(connection) = self.connections.find(to) {
            let token = Purpose::Writable(to).token();
            let fd = connection.fd.as_fd();
            let flight = self.ring.poll(fd, Readiness::Writable, Shots::Once, token);
            connection.send = Some(flight);
        }
    }

    /// There is room, or the poll for it was cancelled.
    pub(super) fn writable(&mut self, conn: ConnId) -> Option<Event> {
        let connection = self.connections.find(conn)?;
        connection.send = None;
        mark_dirty(connection, conn, &mut self.dirty);
        self.finish_close(conn)
    }

    /// Ends the relays from and to a connection that closes.
    pub(super) fn end_relays(&mut self, conn: ConnId) {
        while let Some(index) = self.relays.position(conn) {
            self.end_relay(index);
        }
    }

    /// Both sides go the usual way again.
    fn end_relay(&mut self, index: usize) {
        let relay = self.relays.remove(index);
        if let Some(connection) = self.connections.find(relay.from) {
            connection.clear(Is::RELAY_FROM);
            mark_dirty(connection, relay.from, &mut self.dirty);
            // A poll stands where the receive belongs; a receive is told to end already.
            if let Some(flight) = connection.receive {
                self.ring.cancel(flight);
            }
        }
        if let Some(connection) = self.connections.find(relay.to) {
            connection.clear(Is::RELAY_TO);
            mark_dirty(connection, relay.to, &mut self.dirty);
            if let Some(flight) = connection.send.filter(|_| relay.holds()) {
                self.ring.cancel(flight);
            }
        }
    }
}
