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
use crate::driver::errors::{self, Backlog};
use crate::driver::{BACKLOG_MOST, FAREWELL};
use crate::listen::ListenSocket;

/// How long a listener pauses when descriptors or memory ran out.
const PAUSE: Duration = Duration::from_millis(100);

/// A listening socket and its accept.
pub(super) struct Listener {
    socket: ListenSocket,
    accept: Option<Flight>,
    /// Waits for `resume`.
    paused: bool,
    stage: Stage,
}

/// How far a listener is on its way out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// Takes those whose handshake has begun, until this time (once it is known).
    Leaving(Option<Time>),
    /// Closes as soon as the accept has ended and the backlog is empty.
    Closing,
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
            stage: Stage::Open,
        };
        match self.listeners.iter().position(Option::is_none) {
            Some(index) => self.listeners[index] = Some(listener),
            None => self.listeners.push(Some(listener)),
        }
        self.listeners_changed = true;
    }

    pub(super) fn remove_listeners(&mut self, id: ListenerId) {
        for listener in self.listeners.iter_mut().flatten() {
            if listener.socket.listener == id && listener.stage == Stage::Open {
                // Without the filter a client may still come in the moment before the socket
                // closes.
                let _ = socket::refuse_new(listener.socket.socket.as_fd());
                listener.stage = Stage::Leaving(None);
                self.listeners_changed = true;
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
        for _ in 0..BACKLOG_MOST {
            let error = match self.lobby.accept(&listener.socket) {
                Ok(event) => {
                    self.immediate.push_back(event);
                    continue;
                }
                Err(error) => error,
            };
            match errors::backlog(&error) {
                Backlog::Next => {}
                Backlog::Empty => return,
                Backlog::Later(fault) => {
                    let id = listener.socket.listener;
                    self.listeners[index] = Some(listener);
                    self.resume = self.resume.min(self.now.after(PAUSE));
                    let event = Event::AcceptFailed {
                        listener: id,
                        fault,
                    };
                    return self.immediate.push_back(event);
                }
            }
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
        for index in 0..self.listeners.len() {
            self.settle_listener(index);
        }
        self.answer_unlisten();
    }

    fn answer_unlisten(&mut self) {
        let listeners = &self.listeners;
        let leaves = |id: ListenerId| {
            let mut open = listeners.iter().flatten();
            open.any(|entry| entry.socket.listener == id && entry.stage != Stage::Open)
        };
        let gone = self.unlistening.extract_if(.., |id| !leaves(*id));
        self.immediate
            .extend(gone.map(|listener| Event::Unlistened { listener }));
    }

    fn settle_listener(&mut self, index: usize) {
        let Some(listener) = &mut self.listeners[index] else {
            return;
        };
        if let Stage::Leaving(end) = &mut listener.stage {
            let end = *end.get_or_insert(self.now.after(FAREWELL));
            if self.now < end {
                self.resume = self.resume.min(end);
            } else {
                listener.stage = Stage::Closing;
            }
        }
        match (listener.stage == Stage::Closing, listener.accept) {
            (true, Some(accept)) => self.ring.cancel(accept),
            (true, None) => self.close_listener(index),
            (false, None) if !listener.paused => {
                let multi = self.caps.has(Feature::MultishotAccept);
                let shots = if multi { Shots::Multi } else { Shots::Once };
                let token = Purpose::Accept(index).token();
                let socket = listener.socket.socket.as_fd();
                listener.accept = Some(self.ring.accept(socket, shots, token));
            }
            (false, _) => {}
        }
    }

    pub(super) fn accepted(&mut self, index: usize, completion: Completion) -> Option<Event> {
        let listener = self.listeners.get_mut(index)?.as_mut()?;
        if !completion.more {
            listener.accept = None;
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
                listener.paused = true;
                self.resume = self.resume.min(self.now.after(PAUSE));
                let (listener, fault) = (listener.socket.listener, errors::fault_of(number));
                Some(Event::AcceptFailed { listener, fault })
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
