//! Receiving: one multishot receive per connection, into buffers that the kernel takes from our
//! stock.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use fastpath_sys::errno;
use fastpath_sys::socket;
use fastpath_sys::uring::{Completion, Readiness, Returned, Shots};
use penstock_core::buffer::BufferPool;
use penstock_core::event::{ConnId, Event, Time};

use super::caps::Feature;
use super::connection::{Is, Purpose};
use super::{UringDriver, buffer_of, mark_dirty};
use crate::driver::{errors, queue_starved, reserve};

/// How long a connection that does not receive goes unwatched.
const UNWATCHED_FOR: Duration = Duration::from_millis(5);

impl UringDriver {
    pub(super) fn switch_receive(&mut self, conn: ConnId, on: bool) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        match on {
            true => connection.set(Is::RECEIVE_ON),
            false => connection.clear(Is::RECEIVE_ON),
        }
        // A fault that waited for the bytes before it waits no longer: they may never be asked for.
        if let Some(fault) = connection.fault
            && !on
            && !connection.is(Is::FAILED)
        {
            connection.set(Is::FAILED);
            self.immediate.push_back(Event::Failed { conn, fault });
        }
        mark_dirty(connection, conn, &mut self.dirty);
    }

    /// Makes what is in flight agree with what is wanted.
    pub(super) fn settle_receive(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        match (connection.receives(), connection.receive) {
            // What arrives is the relay's; while that is paused, a hang-up is watched for as ever.
            (true, _) if connection.is(Is::RELAY_FROM) => {}
            (true, None) if !connection.is(Is::STARVED) => self.arm_receive(conn),
            // Whoever waits for buffers may hold many: that it is gone must not wait with it.
            (true, None) => self.watch_hang_up(conn),
            (false, Some(flight)) if connection.must_stop() => {
                connection.set(Is::RECEIVE_CANCELLED);
                self.ring.cancel(flight);
            }
            (false, None) => self.watch_hang_up(conn),
            _ => {}
        }
    }

    fn arm_receive(&mut self, conn: ConnId) {
        let stocked = self.caps.has(Feature::BufferRing);
        if stocked && self.ring.stocked() == 0 {
            let failed = self.starve(conn);
            self.immediate.extend(failed);
            return self.watch_hang_up(conn);
        }
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        // From here on the receive tells; a watch would live until the close.
        if let Some(watch) = connection.other {
            self.ring.cancel(watch);
        }
        let once = connection.is(Is::FRESH | Is::BULKY);
        connection.clear(Is::FRESH);
        let fd = connection.fd.as_fd();
        let flight = if stocked {
            let multi = self.caps.has(Feature::MultishotRecv);
            let shots = match multi && !once {
                true => Shots::Multi,
                false => Shots::Once,
            };
            self.ring.recv(fd, shots, Purpose::Receive(conn).token())
        } else {
            let token = Purpose::Readable(conn).token();
            self.ring.poll(fd, Readiness::Readable, Shots::Once, token)
        };
        connection.receive = Some(flight);
    }

    /// A connection that does not receive would not notice that it is reset. Most do not receive
    /// for moments only, so that the watch begins a little later.
    fn watch_hang_up(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        if connection.wants_watch() && !connection.is(Is::UNWATCHED) {
            connection.set(Is::UNWATCHED);
            self.unwatched
                .push_back((self.now.after(UNWATCHED_FOR), conn));
        }
    }

    /// Begins the watches that are due; when the next one is.
    pub(super) fn watch(&mut self, pool: &BufferPool) -> Time {
        let exhausted = pool.available() <= reserve(pool);
        while let Some(&(due, conn)) = self.unwatched.front() {
            let connection = self.connections.find(conn);
            let gone = connection.is_none_or(|connection| connection.is(Is::CLOSING));
            if !gone && due > self.now {
                return due;
            }
            self.unwatched.pop_front();
            self.watch_now(conn, exhausted);
        }
        Time::NEVER
    }

    fn watch_now(&mut self, conn: ConnId, exhausted: bool) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        connection.clear(Is::UNWATCHED);
        if connection.is(Is::STARVED) && !exhausted {
            // There are buffers: it is about to receive.
            return self.watch_hang_up(conn);
        }
        let receives = connection.receives() && connection.receive.is_some();
        if connection.wants_watch() && !receives {
            let token = Purpose::HangUp(conn).token();
            let fd = connection.fd.as_fd();
            connection.other = Some(self.ring.poll(fd, Readiness::HangUp, Shots::Multi, token));
        }
    }

    pub(super) fn received(
        &mut self,
        conn: ConnId,
        completion: Completion,
        pool: &mut BufferPool,
    ) -> Option<Event> {
        let buffer = match completion.cargo {
            Returned::Received(block) => {
                let buffer = buffer_of(block);
                self.stock.took(buffer.len());
                Some(buffer)
            }
            _ => None,
        };
        let wanted = self.note_receive(conn, completion.more);
        let Some(buffer) = buffer else {
            return self.receive_ended(conn, completion.result, pool);
        };
        if !wanted {
            pool.give(buffer);
            return self.finish_close(conn);
        }
        let connection = self.connections.find(conn)?;
        if connection.is(Is::RELAY_FROM) {
            self.relays.missed(conn, buffer.len());
        }
        // A full buffer or an unwanted one: there is more where it came from.
        if buffer.receivable() == 0 || !connection.is(Is::RECEIVE_ON) {
            connection.set(Is::EAGER);
            mark_dirty(connection, conn, &mut self.dirty);
        } else if connection.is(Is::EAGER) {
            connection.clear(Is::EAGER);
        } else {
            // Twice in a row there was room left.
            connection.clear(Is::BULKY);
        }
        Some(Event::Received { conn, buffer })
    }

    /// Notes a completion of the receive; false if its bytes are of no use any more.
    fn note_receive(&mut self, conn: ConnId, more: bool) -> bool {
        let Some(connection) = self.connections.find(conn) else {
            return false;
        };
        if !more {
            connection.receive = None;
            connection.clear(Is::RECEIVE_CANCELLED);
            mark_dirty(connection, conn, &mut self.dirty);
        }
        !connection.is(Is::CLOSING | Is::FAILED)
    }

    fn receive_ended(
        &mut self,
        conn: ConnId,
        result: Result<u32, i32>,
        pool: &BufferPool,
    ) -> Option<Event> {
        let connection = self.connections.find(conn)?;
        if connection.is(Is::CLOSING) {
            return self.finish_close(conn);
        }
        if connection.is(Is::FAILED | Is::ENDED) {
            return None;
        }
        match (result, connection.fault) {
            (Err(errno::ENOBUFS), None) if connection.is(Is::RELAY_FROM) => return None,
            (Err(errno::ENOBUFS), _) => {
                self.count_dry(pool);
                return self.starve(conn);
            }
            (Err(errno::EAGAIN | errno::EINTR), _) => return None,
            (Err(errno::ECANCELED), None) => return None,
            // Nobody wants to hear of the end yet: the next receive finds it again.
            (Ok(_), None) if !connection.is(Is::RECEIVE_ON) => return None,
            _ => {}
        }
        connection.set(Is::ENDED);
        let fault = match (connection.fault, result) {
            (Some(fault), _) => fault,
            (None, Ok(_)) => return Some(Event::End { conn }),
            (None, Err(number)) => errors::fault_of(number),
        };
        connection.set(Is::FAILED);
        Some(Event::Failed { conn, fault })
    }

    /// The way without a buffer ring, and of relays: a poll said that there is something.
    pub(super) fn readable(
        &mut self,
        conn: ConnId,
        completion: Completion,
        pool: &mut BufferPool,
    ) -> Option<Event> {
        if !self.note_receive(conn, completion.more) {
            return self.finish_close(conn);
        }
        if completion.result == Err(errno::ECANCELED) {
            return self.receive_ended(conn, completion.result, pool);
        }
        if self.connections.find(conn)?.is(Is::RELAY_FROM) {
            return None; // the turn that follows moves it
        }
        let spare = pool.available() > reserve(pool);
        let Some(mut buffer) = spare.then(|| pool.take()).flatten() else {
            return self.receive_ended(conn, Err(errno::ENOBUFS), pool);
        };
        let connection = self.connections.find(conn)?;
        match socket::recv(connection.fd.as_fd(), buffer.spare_mut()) {
            Ok(count) if count > 0 => {
                buffer.filled(count);
                Some(Event::Received { conn, buffer })
            }
            ended => {
                pool.give(buffer);
                let result = ended.map(|_| 0).map_err(|error| number(&error));
                self.receive_ended(conn, result, pool)
            }
        }
    }

    /// A receive found no buffer. That the kernel was given few is no exhaustion.
    fn count_dry(&mut self, pool: &BufferPool) {
        if pool.available() <= reserve(pool) {
            self.setup.counters().buffers_exhausted.add(1);
        }
    }

    /// Queues a connection for buffers. A fault that waits for the bytes before it is told at once:
    /// the buffers may be those that the broken connection holds.
    fn starve(&mut self, conn: ConnId) -> Option<Event> {
        let connection = self.connections.find(conn)?;
        if let Some(fault) = connection.fault {
            connection.set(Is::FAILED);
            return Some(Event::Failed { conn, fault });
        }
        if !connection.is(Is::STARVED) {
            connection.set(Is::STARVED);
            let connections = &mut self.connections;
            queue_starved(&mut self.starved, conn, |conn| {
                let connection = connections.find(conn);
                connection.is_some_and(|connection| connection.is(Is::STARVED))
            });
        }
        None
    }

    /// True if more of the starved could try again: those that were fed may not need their buffers.
    pub(super) fn can_feed(&self, pool: &BufferPool) -> bool {
        !self.starved.is_empty() && self.fodder(pool) > 0
    }

    /// Buffers there are for the starved.
    fn fodder(&self, pool: &BufferPool) -> usize {
        match self.caps.has(Feature::BufferRing) {
            true => self.ring.stocked(),
            false => pool.available().saturating_sub(reserve(pool)),
        }
    }

    /// Lets starved connections try again, as many as there are buffers for.
    pub(super) fn feed(&mut self, pool: &BufferPool) {
        let buffers = self.fodder(pool);
        for conn in self.starved.drain(..buffers.min(self.starved.len())) {
            if let Some(connection) = self.connections.find(conn) {
                connection.clear(Is::STARVED);
                mark_dirty(connection, conn, &mut self.dirty);
            }
        }
    }
}

fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(errno::EINVAL)
}
