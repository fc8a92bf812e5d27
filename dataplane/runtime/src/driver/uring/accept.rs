//! Accepting: one multishot accept per listening socket, with plain descriptors.

use std::os::fd::AsFd;
use std::time::Duration;

use fastpath_sys::errno;
use fastpath_sys::socket::{self, Blocking};
use fastpath_sys::uring::{Completion, Flight, Returned, Shots};
use penstock_core::config::ListenerId;
use penstock_core::event::{ConnId, Event, Incoming, Time};

use super::caps::Feature;
use super::connection::{Connection, Is, Purpose};
use super::{UringDriver, mark_dirty};
use crate::driver::errors;
use crate::listen::ListenSocket;

/// How long a listener pauses when descriptors or memory ran out.
const PAUSE: Duration = Duration::from_millis(100);

/// A listening socket and its accept.
pub(super) struct Listener {
    socket: ListenSocket,
    accept: Option<Flight>,
    /// Waits for `resume`.
    paused: bool,
    /// Closes as soon as the accept has ended.
    leaving: bool,
}

impl UringDriver {
    pub(super) fn add_listener(&mut self, socket: ListenSocket) {
        // With O_NONBLOCK io_uring would answer EAGAIN instead of waiting.
        if let Err(error) = socket::set_blocking(socket.socket.as_fd(), Blocking::Yes) {
            let (listener, fault) = (socket.listener, errors::fault(&error));
            return self
                .immediate
                .push_back(Event::AcceptFailed { listener, fault });
        }
        let listener = Listener {
            socket,
            accept: None,
            paused: false,
            leaving: false,
        };
        match self.listeners.iter().position(Option::is_none) {
            Some(index) => self.listeners[index] = Some(listener),
            None => self.listeners.push(Some(listener)),
        }
        self.listeners_changed = true;
    }

    pub(super) fn remove_listeners(&mut self, id: ListenerId) {
        for index in 0..self.listeners.len() {
            match &mut self.listeners[index] {
                Some(listener) if listener.socket.listener == id => {
                    listener.leaving = true;
                    match listener.accept {
                        Some(accept) => self.ring.cancel(accept),
                        None => self.close_listener(index),
                    }
                }
                _ => {}
            }
        }
    }

    /// Takes what waits in the backlog, then closes: a client whose connection stands is served.
    fn close_listener(&mut self, index: usize) {
        let Some(listener) = self.listeners[index].take() else {
            return;
        };
        if socket::set_blocking(listener.socket.socket.as_fd(), Blocking::No).is_err() {
            return;
        }
        while let Ok(event) = self.lobby.accept(&listener.socket, Blocking::Yes) {
            self.immediate.push_back(event);
        }
    }

    pub(super) fn resume_listeners(&mut self) {
        if self.now >= self.resume {
            self.resume = Time::NEVER;
            self.listeners
                .iter_mut()
                .flatten()
                .for_each(|listener| listener.paused = false);
            self.listeners_changed = true;
        }
        if !self.listeners_changed {
            return;
        }
        self.listeners_changed = false;
        let multi = self.caps.has(Feature::MultishotAccept);
        let shots = if multi { Shots::Multi } else { Shots::Once };
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            let Some(listener) = listener else { continue };
            if listener.accept.is_none() && !listener.paused && !listener.leaving {
                let token = Purpose::Accept(index).token();
                let socket = listener.socket.socket.as_fd();
                listener.accept = Some(self.ring.accept(socket, shots, token));
            }
        }
    }

    pub(super) fn accepted(&mut self, index: usize, completion: Completion) -> Option<Event> {
        let listener = self.listeners.get_mut(index)?.as_mut()?;
        if !completion.more {
            listener.accept = None;
            self.listeners_changed = true;
        }
        let event = match (completion.cargo, completion.result) {
            (Returned::Accepted(fd), _) => {
                // Multishot accepts share one address, so the socket is asked. If it does not know,
                // the client is gone already.
                let remote = socket::remote_address(fd.as_fd()).ok();
                remote.and_then(|remote| self.lobby.offer(&listener.socket, fd, remote).ok())
            }
            (_, Err(errno::EAGAIN)) => None,
            (_, Err(number)) if errors::concerns_one_client(number) => None,
            (_, Err(number)) => {
                listener.paused = true;
                self.resume = self.resume.min(self.now.after(PAUSE));
                let (listener, fault) = (listener.socket.listener, errors::fault_of(number));
                Some(Event::AcceptFailed { listener, fault })
            }
            (_, Ok(_)) => None,
        };
        if !completion.more
            && self.listeners[index]
                .as_ref()
                .is_some_and(|entry| entry.leaving)
        {
            self.close_listener(index);
        }
        event
    }

    pub(super) fn adopt(&mut self, incoming: Incoming, conn: ConnId) {
        let Some(fd) = self.lobby.take(incoming) else {
            return;
        };
        let mut connection = Connection::new(fd);
        connection.set(Is::RECEIVE_ON);
        mark_dirty(&mut connection, conn, &mut self.dirty);
        self.connections.insert(conn, connection);
    }
}
