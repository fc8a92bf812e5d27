//! Accepting: every readiness of a listening socket, some clients per turn.

use std::io;
use std::os::fd::AsFd;

use fastpath_sys::epoll::Interest;
use fastpath_sys::errno;
use fastpath_sys::socket::{self, Blocking};
use penstock_core::event::{ConnId, Event, Incoming};

use super::connection::{self, Connection, Is};
use super::{EpollDriver, Ready, TOKEN_LISTENER};
use crate::driver::errors;
use crate::listen::ListenSocket;

impl EpollDriver {
    pub(super) fn add_listener(&mut self, socket: ListenSocket) {
        let token = TOKEN_LISTENER | self.listeners.vacancy() as u64;
        let fd = socket.socket.as_fd();
        let watched = socket::set_blocking(fd, Blocking::No)
            .and_then(|()| self.epoll.add(fd, Interest::Readable, token));
        match watched {
            Ok(()) => self.listeners.add(socket, false),
            Err(error) => {
                let (listener, fault) = (socket.listener, errors::fault(&error));
                self.immediate
                    .push_back(Event::AcceptFailed { listener, fault });
            }
        }
    }

    pub(super) fn queue_listener(&mut self, index: usize) {
        let Some(listener) = self.listeners.find(index) else {
            return;
        };
        if !listener.note && !listener.paused {
            listener.note = true;
            self.ready.push_back(Ready::Listener(index));
        }
    }

    pub(super) fn accept(&mut self, index: usize) -> Option<Event> {
        match self.accept_one(index) {
            Ok(event) => {
                self.spend();
                Some(event)
            }
            Err(error) if errors::concerns_one_client(error.raw_os_error().unwrap_or(0)) => {
                self.spend();
                None
            }
            Err(error) => {
                self.finish_entry();
                self.listeners.find(index)?.note = false;
                if error.raw_os_error() == Some(errno::EAGAIN) {
                    return None;
                }
                self.listeners.pause(index, self.now, errors::fault(&error))
            }
        }
    }

    fn accept_one(&mut self, index: usize) -> io::Result<Event> {
        match self.listeners.find(index) {
            Some(listener) => self.lobby.accept(&listener.socket),
            None => Err(io::Error::from_raw_os_error(errno::EAGAIN)),
        }
    }

    pub(super) fn resume_listeners(&mut self) {
        if !self.listeners.resume(self.now) {
            return;
        }
        for index in 0..self.listeners.len() {
            let listener = self.listeners.find(index);
            match listener.is_some_and(|listener| listener.is_closing()) {
                true => {
                    self.listeners
                        .close(index, self.now, &mut self.lobby, &mut self.immediate);
                }
                false => self.queue_listener(index),
            }
        }
        self.listeners.answer(&mut self.immediate);
    }

    pub(super) fn adopt(&mut self, incoming: Incoming, conn: ConnId) {
        let Some(fd) = self.lobby.take(incoming) else {
            return;
        };
        let watched = self
            .epoll
            .add(fd.as_fd(), Interest::Readable, connection::token(conn));
        let mut connection = Connection::new(fd);
        connection.set(Is::RECEIVE_ON | Is::WRITABLE);
        if let Err(error) = watched {
            connection.set(Is::FAILED);
            self.immediate.push_back(Event::Failed {
                conn,
                fault: errors::fault(&error),
            });
        }
        self.connections.insert(conn, connection);
    }
}
