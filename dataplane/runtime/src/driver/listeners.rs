//! The listening sockets of a driver: where each stands, which of them pause, and the way out.
//!
//! A listener leaves in three steps: new clients are kept off, handshakes that have begun get a
//! moment to finish, and connections that wait in the backlog are taken. How a client is accepted
//! meanwhile is the driver's: each entry has a note of its kind for that.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::time::Duration;

use fastpath_sys::socket;
use penstock_core::config::ListenerId;
use penstock_core::event::{Event, IoFault, Time};

use super::errors::{self, Backlog};
use super::lobby::Lobby;
use crate::listen::ListenSocket;

/// How long a listener pauses when descriptors or memory ran out.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a handshake that has begun may take until its listening socket closes: the round trip
/// to a client on another continent, or what a busy machine needs to look at its last packets. A
/// client that was kept off loses nothing by it: its SYN is sent again after a second (RFC 6298
/// section 2), when the socket is closed in any case.
const FAREWELL: Duration = Duration::from_millis(250);

/// Tries to empty a backlog; more than any holds.
const BACKLOG_MOST: u32 = 1 << 16;

/// How far a listener is on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Open,
    /// Takes those whose handshake has begun, until this time (once it is known).
    Leaving(Option<Time>),
    /// Closes as soon as its backlog is empty.
    Closing,
}

/// A listening socket.
pub(super) struct Listener<N> {
    pub(super) socket: ListenSocket,
    /// The driver's.
    pub(super) note: N,
    /// Waits for its pause to end.
    pub(super) paused: bool,
    stage: Stage,
}

impl<N> Listener<N> {
    /// True if it is to take no more clients but those in its backlog.
    pub(super) fn is_closing(&self) -> bool {
        self.stage == Stage::Closing
    }
}

/// All of them, by an index that stays.
pub(super) struct Listeners<N> {
    entries: Vec<Option<Listener<N>>>,
    /// Those whose end the machine waits for.
    unlistening: Vec<ListenerId>,
    /// When those that pause, or are about to leave, are looked at.
    resume: Time,
}

impl<N> Default for Listeners<N> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            unlistening: Vec::new(),
            resume: Time::NEVER,
        }
    }
}

impl<N> Listeners<N> {
    /// One index beyond all of them.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn find(&mut self, index: usize) -> Option<&mut Listener<N>> {
        self.entries.get_mut(index)?.as_mut()
    }

    /// Where the next one is put.
    pub(super) fn vacancy(&self) -> usize {
        let free = self.entries.iter().position(Option::is_none);
        free.unwrap_or(self.entries.len())
    }

    /// Puts one there.
    pub(super) fn add(&mut self, socket: ListenSocket, note: N) {
        let index = self.vacancy();
        if index == self.entries.len() {
            self.entries.push(None);
        }
        self.entries[index] = Some(Listener {
            socket,
            note,
            paused: false,
            stage: Stage::Open,
        });
    }

    /// Lets the sockets of a listener begin to leave.
    pub(super) fn remove(&mut self, id: ListenerId) {
        for listener in self.entries.iter_mut().flatten() {
            if listener.socket.listener == id && listener.stage == Stage::Open {
                // Without the filter a client may still come in the moment before the socket
                // closes.
                let _ = socket::refuse_new(listener.socket.socket.as_fd());
                listener.stage = Stage::Leaving(None);
                self.resume = Time::default();
            }
        }
    }

    /// The same, and the machine is told when it is over.
    pub(super) fn unlisten(&mut self, id: ListenerId) {
        self.remove(id);
        self.unlistening.push(id);
        self.resume = Time::default();
    }

    /// When [`Listeners::resume`] has something to do again.
    pub(super) fn next(&self) -> Time {
        self.resume
    }

    /// Ends the pauses, if it is time; false if it is not.
    pub(super) fn resume(&mut self, now: Time) -> bool {
        if now < self.resume {
            return false;
        }
        self.resume = Time::NEVER;
        for listener in self.entries.iter_mut().flatten() {
            listener.paused = false;
            if let Stage::Leaving(end) = &mut listener.stage {
                let end = *end.get_or_insert(now.after(FAREWELL));
                match now < end {
                    true => self.resume = self.resume.min(end),
                    false => listener.stage = Stage::Closing,
                }
            }
        }
        true
    }

    /// Lets one pause that could not accept.
    pub(super) fn pause(&mut self, index: usize, now: Time, fault: IoFault) -> Option<Event> {
        self.resume = self.resume.min(now.after(PAUSE));
        let listener = self.find(index)?;
        listener.paused = true;
        let listener = listener.socket.listener;
        Some(Event::AcceptFailed { listener, fault })
    }

    /// Takes what waits in the backlog (the socket must be non-blocking), then closes: a client
    /// whose connection stands is served.
    pub(super) fn close(
        &mut self,
        index: usize,
        now: Time,
        lobby: &mut Lobby,
        events: &mut VecDeque<Event>,
    ) {
        let Some(listener) = self.find(index) else {
            return;
        };
        for _ in 0..BACKLOG_MOST {
            let error = match lobby.accept(&listener.socket) {
                Ok(event) => {
                    events.push_back(event);
                    continue;
                }
                Err(error) => error,
            };
            match errors::backlog(&error) {
                Backlog::Next => {}
                Backlog::Empty => break,
                Backlog::Later(fault) => return events.extend(self.pause(index, now, fault)),
            }
        }
        self.entries[index] = None;
    }

    /// Tells the machine which listeners it has seen the last of.
    pub(super) fn answer(&mut self, events: &mut VecDeque<Event>) {
        let entries = &self.entries;
        let leaves = |id: ListenerId| {
            let mut open = entries.iter().flatten();
            open.any(|entry| entry.socket.listener == id && entry.stage != Stage::Open)
        };
        let gone = self.unlistening.extract_if(.., |id| !leaves(*id));
        events.extend(gone.map(|listener| Event::Unlistened { listener }));
    }
}
