//! Sending: one call per connection at the end of the turn, until the socket is full.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use fastpath_sys::epoll::{Epoll, Interest};
use fastpath_sys::socket;
use penstock_core::buffer::{Buffer, BufferPool};
use penstock_core::event::{ConnId, Event, IoFault};

use super::connection::{self, Connection, Is};
use super::{EpollDriver, mark_dirty, queue_ready};
use crate::driver::errors;
use crate::driver::segments::Segments;

/// Segments per send call.
const SEGMENTS_PER_SEND: usize = 16;

impl EpollDriver {
    pub(super) fn send(&mut self, conn: ConnId, segment: Buffer, pool: &mut BufferPool) {
        let Some(connection) = self.connections.find(conn) else {
            return pool.give(segment);
        };
        self.segments.push(&mut connection.queue, segment);
        mark_dirty(connection, conn, &mut self.dirty);
    }

    pub(super) fn shutdown(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        connection.set(Is::FIN_QUEUED);
        mark_dirty(connection, conn, &mut self.dirty);
    }

    pub(super) fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            if let Some(connection) = self.connections.find(conn) {
                connection.clear(Is::DIRTY);
                self.flush_one(conn);
            }
        }
        self.dirty = dirty;
    }

    fn flush_one(&mut self, conn: ConnId) {
        while let Some(connection) = self.connections.find(conn) {
            if !connection.can_send() {
                return;
            }
            if connection.queue.is_empty() {
                return self.send_fin(conn);
            }
            match send_some(connection, &self.segments) {
                Ok((sent, total)) => {
                    if sent < total {
                        await_room(&self.epoll, conn, connection);
                    }
                    let immediate = &mut self.immediate;
                    self.segments
                        .consume(&mut connection.queue, sent, |buffer, bytes| {
                            immediate.push_back(Event::Sent {
                                conn,
                                bytes,
                                buffer,
                            });
                        });
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => await_room(&self.epoll, conn, connection),
                    _ => return self.send_failed(conn, errors::fault(&error)),
                },
            }
        }
    }

    fn send_fin(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        if connection.is(Is::FIN_QUEUED) && !connection.is(Is::FIN_SENT) {
            connection.set(Is::FIN_SENT);
            // ENOTCONN means that the connection broke; receiving tells.
            let _ = socket::shutdown_send(connection.fd.as_fd());
        }
    }

    pub(super) fn send_failed(&mut self, conn: ConnId, fault: IoFault) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        connection.fault = Some(fault);
        let receives = connection.receives() && !connection.is(Is::STARVED);
        if receives && errors::leaves_bytes(fault) {
            connection.set(Is::READABLE | Is::END_SEEN);
            queue_ready(connection, conn, &mut self.ready);
        } else if !connection.is(Is::FAILED) {
            connection.set(Is::FAILED);
            self.immediate.push_back(Event::Failed { conn, fault });
        }
    }
}

/// One send call over the first segments: bytes taken, bytes offered.
fn send_some(connection: &Connection, segments: &Segments) -> io::Result<(usize, usize)> {
    let mut slices = [IoSlice::new(&[]); SEGMENTS_PER_SEND];
    let mut count = 0;
    let mut total = 0;
    for (slice, bytes) in slices.iter_mut().zip(segments.iter(&connection.queue)) {
        *slice = IoSlice::new(bytes);
        count += 1;
        total += bytes.len();
    }
    if total == 0 {
        return Ok((0, 0));
    }
    let sent = socket::send(connection.fd.as_fd(), &slices[..count])?;
    Ok((sent, total))
}

/// The socket is full: its next edge says when there is room.
pub(super) fn await_room(epoll: &Epoll, conn: ConnId, connection: &mut Connection) {
    connection.clear(Is::WRITABLE);
    if !connection.is(Is::WATCHES_ROOM) {
        connection.set(Is::WATCHES_ROOM);
        // Changing a registration that exists needs no memory: it cannot fail.
        let _ = epoll.modify(
            connection.fd.as_fd(),
            Interest::Both,
            connection::token(conn),
        );
    }
}
