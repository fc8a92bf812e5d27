//! Accepting: every readiness of a listening socket, some clients per turn.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use fastpath_sys::epoll::Interest;
use fastpath_sys::errno;
use fastpath_sys::socket::{self, Blocking};
use penstock_core::config::ListenerId;
use penstock_core::event::{ConnId, Event, Incoming, Time};

use super::connection::{self, Connection, Is};
use super::{EpollDriver, Ready, TOKEN_LISTENER};
use crate::driver::errors::{self, Backlog};
use crate::driver::{BACKLOG_MOST, FAREWELL};
use crate::listen::ListenSocket;

/// How long a listener pauses when descriptors or memory ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening socket.
pub(super) struct Listener {
    socket: ListenSocket,
    /// In the ready list.
    queued: bool,
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
}

impl EpollDriver {
    pub(super) fn add_listener(&mut self, socket: ListenSocket) {
        let listener = socket.listener;
        let index = self
            .listeners
            .iter()
            .position(Option::is_none)
            .unwrap_or_else(|| {
                self.listeners.push(None);
                self.listeners.len() - 1
            });
        let watched = socket::set_blocking(socket.socket.as_fd(), Blocking::No).and_then(|()| {
            let token = TOKEN_LISTENER | index as u64;
            self.epoll
                .add(socket.socket.as_fd(), Interest::Readable, token)
        });
        match watched {
            Ok(()) => {
                self.listeners[index] = Some(Listener {
                    socket,
                    queued: false,
                    paused: false,
                    stage: Stage::Open,
                });
            }
            Err(error) => {
                let fault = errors::fault(&error);
                self.immediate
                    .push_back(Event::AcceptFailed { listener, fault });
            }
        }
    }

    pub(super) fn remove_listeners(&mut self, id: ListenerId) {
        for listener in self.listeners.iter_mut().flatten() {
            if listener.socket.listener == id && listener.stage == Stage::Open {
                // Without the filter a client may still come in the moment before the socket
                // closes.
                let _ = socket::refuse_new(listener.socket.socket.as_fd());
                listener.stage = Stage::Leaving(None);
                self.resume = Time::default();
            }
        }
    }

    pub(super) fn queue_listener(&mut self, index: usize) {
        let Some(Some(listener)) = self.listeners.get_mut(index) else {
            return;
        };
        if !listener.queued && !listener.paused {
            listener.queued = true;
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
                let listener = self.listeners.get_mut(index)?.as_mut()?;
                listener.queued = false;
                if error.raw_os_error() == Some(errno::EAGAIN) {
                    return None;
                }
                listener.paused = true;
                self.resume = self.resume.min(self.now.after(ACCEPT_PAUSE));
                let listener = listener.socket.listener;
                Some(Event::AcceptFailed {
                    listener,
                    fault: errors::fault(&error),
                })
            }
        }
    }

    fn accept_one(&mut self, index: usize) -> io::Result<Event> {
        match self.listeners.get(index) {
            Some(Some(listener)) => self.lobby.accept(&listener.socket),
            _ => Err(io::Error::from_raw_os_error(errno::EAGAIN)),
        }
    }

    pub(super) fn resume_listeners(&mut self) {
        if self.now < self.resume {
            return;
        }
        self.resume = Time::NEVER;
        for index in 0..self.listeners.len() {
            let Some(listener) = &mut self.listeners[index] else {
                continue;
            };
            listener.paused = false;
            if let Stage::Leaving(end) = &mut listener.stage {
                let end = *end.get_or_insert(self.now.after(FAREWELL));
                if self.now >= end {
                    self.close_listener(index);
                    continue;
                }
                self.resume = self.resume.min(end);
            }
            self.queue_listener(index);
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

    /// Takes what waits in the backlog, then closes: a client whose connection stands is served.
    fn close_listener(&mut self, index: usize) {
        for _ in 0..BACKLOG_MOST {
            let error = match self.accept_one(index) {
                Ok(event) => {
                    self.immediate.push_back(event);
                    continue;
                }
                Err(error) => error,
            };
            match errors::backlog(&error) {
                Backlog::Next => {}
                Backlog::Empty => break,
                Backlog::Later(fault) => {
                    self.resume = self.resume.min(self.now.after(ACCEPT_PAUSE));
                    if let Some(entry) = &self.listeners[index] {
                        let listener = entry.socket.listener;
                        let event = Event::AcceptFailed { listener, fault };
                        self.immediate.push_back(event);
                    }
                    return;
                }
            }
        }
        self.listeners[index] = None;
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
