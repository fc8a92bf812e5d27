//! Receiving: when an event is asked for, into a buffer taken then.

use std::io;
use std::os::fd::AsFd;

use fastpath_sys::socket;
use penstock_core::buffer::BufferPool;
use penstock_core::event::{ConnId, Event};

use super::connection::Is;
use super::{EpollDriver, Ready, queue_ready};
use crate::driver::{errors, queue_starved, reserve};

impl EpollDriver {
    pub(super) fn receive(&mut self, conn: ConnId, pool: &mut BufferPool) -> Option<Event> {
        let Some(connection) = self
            .connections
            .find(conn)
            .filter(|entry| entry.is(Is::QUEUED))
        else {
            self.finish_entry();
            return None;
        };
        let relayed = connection.is(Is::RELAY_FROM);
        if relayed || !connection.receives() || !connection.is(Is::READABLE) {
            connection.clear(Is::QUEUED);
            self.finish_entry();
            return None;
        }
        if pool.available() <= reserve(pool) {
            return self.starve(conn);
        }
        let Some(mut buffer) = pool.take() else {
            return self.starve(conn);
        };
        let room = buffer.receivable();
        match socket::recv(connection.fd.as_fd(), buffer.spare_mut()) {
            Ok(0) => {
                pool.give(buffer);
                Some(self.end(conn))
            }
            Ok(count) => {
                buffer.filled(count);
                if count < room && !connection.is(Is::END_SEEN) {
                    connection.clear(Is::READABLE | Is::QUEUED);
                    self.finish_entry();
                } else {
                    self.spend();
                }
                Some(Event::Received { conn, buffer })
            }
            Err(error) => {
                pool.give(buffer);
                self.receive_failed(conn, &error)
            }
        }
    }

    fn end(&mut self, conn: ConnId) -> Event {
        self.finish_entry();
        let Some(connection) = self.connections.find(conn) else {
            return Event::End { conn };
        };
        connection.clear(Is::READABLE | Is::QUEUED);
        connection.set(Is::ENDED);
        match connection.fault {
            Some(fault) => {
                connection.set(Is::FAILED);
                Event::Failed { conn, fault }
            }
            None => Event::End { conn },
        }
    }

    fn receive_failed(&mut self, conn: ConnId, error: &io::Error) -> Option<Event> {
        if error.kind() == io::ErrorKind::Interrupted {
            return None;
        }
        self.finish_entry();
        let connection = self.connections.find(conn)?;
        connection.clear(Is::READABLE | Is::QUEUED);
        if error.kind() == io::ErrorKind::WouldBlock && connection.fault.is_none() {
            return None;
        }
        connection.set(Is::FAILED);
        let fault = connection.fault.unwrap_or_else(|| errors::fault(error));
        Some(Event::Failed { conn, fault })
    }

    /// Queues a connection for buffers. A fault that waits for the bytes before it is told at once:
    /// the buffers may be those that the broken connection holds.
    fn starve(&mut self, conn: ConnId) -> Option<Event> {
        self.setup.counters().buffers_exhausted.add(1);
        self.finish_entry();
        let connection = self.connections.find(conn)?;
        // Asking takes the error away, so it is asked for only where it is told.
        let fault = match connection.fault {
            None if connection.is(Is::END_SEEN) => errors::pending(connection.fd.as_fd()),
            fault => fault,
        };
        if let Some(fault) = fault {
            connection.clear(Is::QUEUED);
            connection.set(Is::FAILED);
            return Some(Event::Failed { conn, fault });
        }
        connection.set(Is::STARVED);
        let connections = &mut self.connections;
        queue_starved(&mut self.starved, conn, |conn| {
            let connection = connections.find(conn);
            connection.is_some_and(|connection| connection.is(Is::STARVED))
        });
        None
    }

    /// Lets starved connections try again, as many as there are buffers for.
    pub(super) fn feed(&mut self, pool: &BufferPool) {
        let buffers = pool.available().saturating_sub(reserve(pool));
        for conn in self.starved.drain(..buffers.min(self.starved.len())) {
            if let Some(connection) = self.connections.find(conn) {
                connection.clear(Is::STARVED);
            }
            self.ready.push_back(Ready::Connection(conn));
        }
    }

    pub(super) fn receive_on(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        connection.set(Is::RECEIVE_ON);
        queue_ready(connection, conn, &mut self.ready);
    }

    pub(super) fn receive_off(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        connection.clear(Is::RECEIVE_ON);
        // A fault that waited for the bytes before it waits no longer: they may never be asked for.
        if let Some(fault) = connection.fault
            && !connection.is(Is::FAILED)
        {
            connection.set(Is::FAILED);
            self.immediate.push_back(Event::Failed { conn, fault });
        }
    }
}
