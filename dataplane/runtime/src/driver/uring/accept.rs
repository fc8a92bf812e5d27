//! Accepting: one multishot accept per listening socket, with plain descriptors.

use std::os::fd::AsFd;

use fastpath_sys::errno;
use fastpath_sys::socket::{self, Blocking};
use fastpath_sys::uring::{Completion, Returned, Shots};
use penstock_core::event::{ConnId, Event, Incoming};

use super::caps::Feature;
use super::connection::{Connection, Is, Purpose};
use super::{UringDriver, mark_dirty};
use crate::driver::errors;
use crate::listen::ListenSocket;

impl UringDriver {
    pub(super) fn add_listener(&mut self, socket: ListenSocket) {
        // With O_NONBLOCK an accept would answer EAGAIN instead of waiting.
        match socket::set_blocking(socket.socket.as_fd(), Blocking::Yes) {
            Ok(()) => {
                self.listeners.add(socket, None);
                self.listeners_changed = true;
            }
            Err(error) => {
                let (listener, fault) = (socket.listener, errors::fault(&error));
                self.immediate
                    .push_back(Event::AcceptFailed { listener, fault });
            }
        }
    }

    pub(super) fn resume_listeners(&mut self) {
        if !self.listeners.resume(self.now) && !self.listeners_changed {
            return;
        }
        self.listeners_changed = false;
        for index in 0..self.listeners.len() {
            self.settle_listener(index);
        }
        self.listeners.answer(&mut self.immediate);
    }

    fn settle_listener(&mut self, index: usize) {
        let Some(listener) = self.listeners.find(index) else {
            return;
        };
        match (listener.is_closing(), listener.note) {
            (true, Some(accept)) => self.ring.cancel(accept),
            (true, None) => self.close_listener(index),
            (false, None) if !listener.paused => {
                let multi = self.caps.has(Feature::MultishotAccept);
                let shots = if multi { Shots::Multi } else { Shots::Once };
                let token = Purpose::Accept(index).token();
                let socket = listener.socket.socket.as_fd();
                listener.note = Some(self.ring.accept(socket, shots, token));
            }
            (false, _) => {}
        }
    }

    fn close_listener(&mut self, index: usize) {
        let Some(listener) = self.listeners.find(index) else {
            return;
        };
        match socket::set_blocking(listener.socket.socket.as_fd(), Blocking::No) {
            Ok(()) => {
                self.listeners
                    .close(index, self.now, &mut self.lobby, &mut self.immediate);
            }
            // Who waits in its backlog must not be lost: it is tried again.
            Err(error) => {
                let fault = errors::fault(&error);
                let failed = self.listeners.pause(index, self.now, fault);
                self.immediate.extend(failed);
            }
        }
    }

    pub(super) fn accepted(&mut self, index: usize, completion: Completion) -> Option<Event> {
        let listener = self.listeners.find(index)?;
        if !completion.more {
            listener.note = None;
            self.listeners_changed = true;
        }
        match (completion.cargo, completion.result) {
            (Returned::Accepted(fd), _) => {
                // Multishot accepts share one address, so the socket is asked. If it does not know,
                // the client is gone already.
                let remote = socket::remote_address(fd.as_fd()).ok();
                remote.and_then(|remote| self.lobby.offer(&listener.socket, fd, remote).ok())
            }
            (_, Err(errno::EAGAIN)) => None,
            (_, Err(number)) if errors::concerns_one_client(number) => None,
            (_, Err(number)) => {
                let fault = errors::fault_of(number);
                self.listeners.pause(index, self.now, fault)
            }
            (_, Ok(_)) => None,
        }
    }

    pub(super) fn adopt(&mut self, incoming: Incoming, conn: ConnId) {
        let Some(fd) = self.lobby.take(incoming) else {
            return;
        };
        let mut connection = Connection::new(fd);
        connection.set(Is::RECEIVE_ON | Is::FRESH);
        mark_dirty(&mut connection, conn, &mut self.dirty);
        self.connections.insert(conn, connection);
    }
}
