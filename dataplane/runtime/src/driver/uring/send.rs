//! Sending: one send in flight per connection, with as many queued segments as a parcel takes.

use std::os::fd::AsFd;

use fastpath_sys::errno;
use fastpath_sys::socket;
use fastpath_sys::uring::{Completion, Push, Returned};
use penstock_core::buffer::{Buffer, BufferPool};
use penstock_core::event::{ConnId, Event, IoFault};

use super::connection::{Connection, Is, Purpose};
use super::{UringDriver, block_to_send, buffer_of, mark_dirty};
use crate::driver::errors;

impl UringDriver {
    pub(super) fn send(&mut self, conn: ConnId, segment: Buffer, pool: &mut BufferPool) {
        let Some(connection) = self.connections.find(conn).filter(|c| !c.is(Is::CLOSING)) else {
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

    /// Starts the next send, or sends FIN if nothing stands before it.
    pub(super) fn settle_send(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.find(conn).filter(|c| c.can_send()) else {
            return;
        };
        let immediate = &mut self.immediate;
        // Segments without bytes need no system call.
        self.segments
            .consume(&mut connection.queue, 0, |buffer, bytes| {
                immediate.push_back(Event::Sent {
                    conn,
                    bytes,
                    buffer,
                });
            });
        if !connection.queue.is_empty() {
            let mut parcel = self.ring.parcel();
            self.segments.lend(&connection.queue, |buffer| {
                parcel.push(block_to_send(buffer)).map_err(buffer_of)
            });
            // FIN travels with the last bytes instead of in a packet of its own.
            let push =
                match connection.is(Is::FIN_QUEUED) && self.segments.all_lent(&connection.queue) {
                    true => Push::WithFin,
                    false => Push::Now,
                };
            let token = Purpose::Send(conn).token();
            connection.send = Some(self.ring.send(connection.fd.as_fd(), parcel, push, token));
        } else {
            send_fin(connection);
        }
    }

    pub(super) fn sent(
        &mut self,
        conn: ConnId,
        completion: Completion,
        pool: &mut BufferPool,
    ) -> Option<Event> {
        let Returned::Sent(mut parcel) = completion.cargo else {
            return None;
        };
        let Some(connection) = self.connections.find(conn) else {
            parcel.drain().for_each(|block| pool.give(buffer_of(block)));
            self.ring.keep_parcel(parcel);
            return None;
        };
        connection.send = None;
        if connection.is(Is::CLOSING) {
            parcel.drain().for_each(|block| pool.give(buffer_of(block)));
            self.ring.keep_parcel(parcel);
            return self.finish_close(conn);
        }
        self.segments
            .restore(&connection.queue, parcel.drain().map(buffer_of));
        self.ring.keep_parcel(parcel);
        match completion.result {
            Ok(count) => {
                let immediate = &mut self.immediate;
                self.segments
                    .consume(&mut connection.queue, count as usize, |buffer, bytes| {
                        immediate.push_back(Event::Sent {
                            conn,
                            bytes,
                            buffer,
                        });
                    });
                match connection.queue.is_empty() {
                    true => send_fin(connection),
                    false => mark_dirty(connection, conn, &mut self.dirty),
                }
                self.immediate.pop_front()
            }
            Err(errno::EINTR) => {
                mark_dirty(connection, conn, &mut self.dirty);
                None
            }
            // A kernel that heeds O_NONBLOCK here does not wait for room by itself.
            Err(errno::EAGAIN) => {
                self.await_room(conn);
                None
            }
            Err(number) => self.send_failed(conn, errors::fault_of(number)),
        }
    }

    pub(super) fn send_failed(&mut self, conn: ConnId, fault: IoFault) -> Option<Event> {
        let connection = self.connections.find(conn)?;
        connection.fault = Some(fault);
        let receives = connection.receives() && !connection.is(Is::STARVED);
        if connection.is(Is::FAILED) || receives && errors::leaves_bytes(fault) {
            // The core knows, or hears of it when the receive ends, after the bytes that still
            // wait.
            return None;
        }
        connection.set(Is::FAILED);
        Some(Event::Failed { conn, fault })
    }
}

/// Sends FIN if it is due; what was sent with [`Push::WithFin`] leaves with it.
fn send_fin(connection: &mut Connection) {
    if connection.is(Is::FIN_QUEUED) && !connection.is(Is::FIN_SENT) {
        connection.set(Is::FIN_SENT);
        // By a call of its own: the ring hands every shutdown to a thread of the kernel.
        // ENOTCONN means that the connection broke; receiving tells.
        let _ = socket::shutdown_send(connection.fd.as_fd());
    }
}
