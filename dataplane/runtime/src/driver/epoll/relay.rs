//! Relays on edges: readiness is remembered as for receives and sends, and used before each wait.

use std::os::fd::AsFd;

use penstock_core::event::ConnId;

use super::connection::{Connection, Is};
use super::send::await_room;
use super::{EpollDriver, queue_ready};
use crate::driver::relays::Halt;

impl EpollDriver {
    /// Takes an offer, if both sides are fit for it.
    pub(super) fn relay(&mut self, from: ConnId, to: ConnId, bytes: u64) {
        let fit = |connection: Option<&mut Connection>, not: u16| {
            let not = not | Is::CONNECTING | Is::FAILED;
            connection.is_some_and(|connection| !connection.is(not))
        };
        let fit = fit(self.connections.find(from), Is::RELAY_FROM | Is::ENDED)
            && fit(self.connections.find(to), Is::RELAY_TO);
        if !fit || !self.relays.add(from, to, bytes) {
            return;
        }
        for (conn, fact) in [(from, Is::RELAY_FROM), (to, Is::RELAY_TO)] {
            if let Some(connection) = self.connections.find(conn) {
                connection.set(fact);
            }
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
        let Some(relay) = self.relays.get_mut(index) else {
            return;
        };
        let (from, to) = (relay.from, relay.to);
        let Some((source, sink)) = self.connections.find_both(from, to) else {
            return;
        };
        let reads = source.receives() && source.is(Is::READABLE);
        let sends = sink.can_send() && sink.queue.is_empty();
        if !sends || !reads && !relay.holds() {
            return;
        }
        if !relay.has_begun() && self.relays.begin(index).is_err() {
            return self.end_relay(index);
        }
        let Some(relay) = self.relays.get_mut(index) else {
            return;
        };
        let (halt, event) = relay.pump(source.fd.as_fd(), sink.fd.as_fd(), reads);
        self.immediate.extend(event);
        match halt {
            Halt::SourceEmpty if reads => source.clear(Is::READABLE),
            Halt::SourceEmpty | Halt::Turn => {}
            Halt::SinkFull => await_room(&self.epoll, to, sink),
            Halt::Over(fault) => {
                source.fault = source.fault.or(fault);
                self.end_relay(index);
            }
            Halt::SinkFailed(fault) => self.send_failed(to, fault),
        }
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
        if let Some(connection) = self.connections.find(relay.to) {
            connection.clear(Is::RELAY_TO);
        }
        if let Some(connection) = self.connections.find(relay.from) {
            connection.clear(Is::RELAY_FROM);
            // The next receive finds out what there is, the end included.
            connection.set(Is::READABLE);
            queue_ready(connection, relay.from, &mut self.ready);
        }
    }
}
