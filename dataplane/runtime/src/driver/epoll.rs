//! The epoll driver: the equal of io_uring where that is not allowed.
//!
//! Edge-triggered: a socket is registered once, its readiness is remembered here, and `epoll_ctl`
//! is called again only for the first send that finds no room. Receives happen when an event is
//! asked for, into a buffer taken then; sends leave with one call per connection at the end of the
//! turn.

mod connection;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::time::Duration;

use fastpath_sys::epoll::{Edge, Epoll, Interest};
use fastpath_sys::errno;
use fastpath_sys::socket::{self, Blocking, Connect};
use penstock_core::buffer::{Buffer, BufferPool};
use penstock_core::config::ListenerId;
use penstock_core::event::{Close, ConnId, Event, Incoming, IoFault, Op, Time};

use self::connection::{Connection, Is};
use super::errors::{self, Backlog};
use super::lobby::Lobby;
use super::segments::Segments;
use super::table::Table;
use super::{BACKLOG_MOST, Driver, FAREWELL, Setup, queue_starved, reserve};
use crate::listen::ListenSocket;

/// Edges taken per wait.
const EDGES: usize = 512;
/// Receives per connection and turn; what is left waits for the others.
const RECEIVES_PER_TURN: u32 = 4;
/// Accepts per listener and turn.
const ACCEPTS_PER_TURN: u32 = 64;
/// Segments per send call.
const SEGMENTS_PER_SEND: usize = 16;
/// Turns in a row that may skip the kernel because events are there already.
const TURNS_WITHOUT_WAIT: u32 = 4;
/// How long a listener pauses when descriptors or memory ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TOKEN_BELL: u64 = u64::MAX;
/// Set in tokens of listeners; slots of connections stay below.
const TOKEN_LISTENER: u64 = 1 << 31;

/// Somebody who can do more without waiting.
#[derive(Clone, Copy)]
enum Ready {
    Connection(ConnId),
    Listener(usize),
}

struct Listener {
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

/// Moves bytes by epoll.
pub struct EpollDriver {
    epoll: Epoll,
    setup: Setup,
    connections: Table<Connection>,
    listeners: Vec<Option<Listener>>,
    /// Listeners whose end the machine waits for.
    unlistening: Vec<ListenerId>,
    lobby: Lobby,
    segments: Segments,
    /// Events that need no system call.
    immediate: VecDeque<Event>,
    ready: VecDeque<Ready>,
    /// How many of the ready are due this turn.
    due: usize,
    /// Receives or accepts that the first of the ready may still do.
    budget: u32,
    /// Have something to send.
    dirty: Vec<ConnId>,
    /// Could receive but for want of buffers.
    starved: VecDeque<ConnId>,
    now: Time,
    /// When paused listeners try again.
    resume: Time,
    turns_without_wait: u32,
}

impl EpollDriver {
    /// A driver without connections.
    pub fn new(setup: Setup) -> io::Result<Self> {
        let epoll = Epoll::new(EDGES)?;
        epoll.add(setup.bell.as_ref().as_fd(), Interest::Readable, TOKEN_BELL)?;
        Ok(Self {
            epoll,
            setup,
            connections: Table::default(),
            listeners: Vec::new(),
            unlistening: Vec::new(),
            lobby: Lobby::default(),
            segments: Segments::default(),
            immediate: VecDeque::new(),
            ready: VecDeque::new(),
            due: 0,
            budget: 0,
            dirty: Vec::new(),
            starved: VecDeque::new(),
            now: Time::default(),
            resume: Time::NEVER,
            turns_without_wait: 0,
        })
    }
}

impl Driver for EpollDriver {
    fn wait(&mut self, pool: &mut BufferPool, now: Time, until: Time) -> io::Result<()> {
        self.now = now;
        self.flush();
        self.feed(pool);
        self.resume_listeners();
        let busy = !self.immediate.is_empty();
        if busy && self.turns_without_wait < TURNS_WITHOUT_WAIT {
            self.turns_without_wait += 1;
            self.begin_turn();
            return Ok(());
        }
        self.turns_without_wait = 0;
        let idle = !busy && self.ready.is_empty();
        let count = self
            .epoll
            .wait(timeout(idle, now, until.min(self.resume)))?;
        for index in 0..count {
            self.take_edge(self.epoll.edge(index));
        }
        self.begin_turn();
        Ok(())
    }

    fn poll_event(&mut self, pool: &mut BufferPool) -> Option<Event> {
        loop {
            if let Some(event) = self.immediate.pop_front() {
                return Some(event);
            }
            if self.due == 0 {
                return None;
            }
            let event = match *self.ready.front()? {
                Ready::Connection(conn) => self.receive(conn, pool),
                Ready::Listener(index) => self.accept(index),
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn handle_op(&mut self, op: Op, pool: &mut BufferPool) {
        match op {
            Op::Adopt { incoming, conn } => self.adopt(incoming, conn),
            Op::Refuse { incoming } => drop(self.lobby.take(incoming)),
            Op::Connect { conn, address } => self.connect(conn, address),
            Op::Send { conn, segment } => self.send(conn, segment, pool),
            Op::ReceiveOn { conn } => self.receive_on(conn),
            Op::ReceiveOff { conn } => self.receive_off(conn),
            Op::Shutdown { conn } => self.shutdown(conn),
            Op::Close { conn, how } => self.close(conn, how, pool),
            Op::Unlisten { listener } => {
                self.unlisten(listener);
                self.unlistening.push(listener);
                self.resume = Time::default();
            }
        }
    }

    fn listen(&mut self, socket: ListenSocket) {
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

    fn unlisten(&mut self, id: ListenerId) {
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
}

/// How long the kernel may wait.
fn timeout(idle: bool, now: Time, until: Time) -> Option<Duration> {
    match until {
        _ if !idle => Some(Duration::ZERO),
        Time::NEVER => None,
        until => Some(Duration::from_nanos(until.since(now))),
    }
}

/// Edges: readiness is only noted here; what follows from it happens when events are asked for.
impl EpollDriver {
    fn take_edge(&mut self, edge: Edge) {
        if edge.token == TOKEN_BELL {
            return;
        }
        if edge.token & TOKEN_LISTENER != 0 {
            return self.queue_listener((edge.token & (TOKEN_LISTENER - 1)) as usize);
        }
        let conn = connection::id(edge.token);
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        if connection.is(Is::CONNECTING) {
            if !edge.writable() {
                return;
            }
            self.finish_connect(conn);
        }
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        if edge.readable() {
            connection.set(Is::READABLE);
        }
        if edge.ended() {
            connection.set(Is::END_SEEN);
        }
        if edge.writable() {
            connection.set(Is::WRITABLE);
        }
        self.follow_edge(conn, edge);
    }

    fn follow_edge(&mut self, conn: ConnId, edge: Edge) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        // Whoever waits for buffers may hold many: that it is gone must not wait with it.
        if edge.failed()
            && (!connection.receives() || connection.is(Is::STARVED))
            && !connection.is(Is::FAILED)
            && let Some(fault) = pending_fault(connection)
        {
            connection.set(Is::FAILED);
            self.immediate.push_back(Event::Failed { conn, fault });
            return;
        }
        if edge.writable() && connection.wants_to_send() {
            mark_dirty(connection, conn, &mut self.dirty);
        }
        queue_ready(connection, conn, &mut self.ready);
    }

    fn queue_listener(&mut self, index: usize) {
        let Some(Some(listener)) = self.listeners.get_mut(index) else {
            return;
        };
        if !listener.queued && !listener.paused {
            listener.queued = true;
            self.ready.push_back(Ready::Listener(index));
        }
    }

    fn begin_turn(&mut self) {
        self.due = self.ready.len();
        self.begin_entry();
    }

    fn begin_entry(&mut self) {
        self.budget = match self.ready.front() {
            Some(Ready::Listener(_)) => ACCEPTS_PER_TURN,
            _ => RECEIVES_PER_TURN,
        };
    }

    /// The first of the ready has nothing more to do.
    fn finish_entry(&mut self) {
        self.ready.pop_front();
        self.due -= 1;
        self.begin_entry();
    }

    /// One unit of the budget of the first of the ready; without any left it goes behind the
    /// others.
    fn spend(&mut self) {
        self.budget -= 1;
        if self.budget == 0 {
            self.ready.rotate_left(1);
            self.due -= 1;
            self.begin_entry();
        }
    }
}

/// Receiving.
impl EpollDriver {
    fn receive(&mut self, conn: ConnId, pool: &mut BufferPool) -> Option<Event> {
        let Some(connection) = self
            .connections
            .find(conn)
            .filter(|entry| entry.is(Is::QUEUED))
        else {
            self.finish_entry();
            return None;
        };
        if !connection.receives() || !connection.is(Is::READABLE) {
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
            None if connection.is(Is::END_SEEN) => pending_fault(connection),
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
    fn feed(&mut self, pool: &BufferPool) {
        let buffers = pool.available().saturating_sub(reserve(pool));
        for conn in self.starved.drain(..buffers.min(self.starved.len())) {
            if let Some(connection) = self.connections.find(conn) {
                connection.clear(Is::STARVED);
            }
            self.ready.push_back(Ready::Connection(conn));
        }
    }

    fn receive_on(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        connection.set(Is::RECEIVE_ON);
        queue_ready(connection, conn, &mut self.ready);
    }

    fn receive_off(&mut self, conn: ConnId) {
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

/// Sending.
impl EpollDriver {
    fn send(&mut self, conn: ConnId, segment: Buffer, pool: &mut BufferPool) {
        let Some(connection) = self.connections.find(conn) else {
            return pool.give(segment);
        };
        self.segments.push(&mut connection.queue, segment);
        mark_dirty(connection, conn, &mut self.dirty);
    }

    fn shutdown(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        connection.set(Is::FIN_QUEUED);
        mark_dirty(connection, conn, &mut self.dirty);
    }

    fn flush(&mut self) {
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

    fn send_failed(&mut self, conn: ConnId, fault: IoFault) {
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

/// Connections come and go.
impl EpollDriver {
    fn accept(&mut self, index: usize) -> Option<Event> {
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
            Some(Some(listener)) => self.lobby.accept(&listener.socket, Blocking::No),
            _ => Err(io::Error::from_raw_os_error(errno::EAGAIN)),
        }
    }

    fn resume_listeners(&mut self) {
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

    fn adopt(&mut self, incoming: Incoming, conn: ConnId) {
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

    fn connect(&mut self, conn: ConnId, address: std::net::SocketAddr) {
        if let Err(error) = self.start_connect(conn, address) {
            // Without a socket there is nothing to close: Close for an unknown id is answered, too.
            self.connections.remove(conn);
            let result = Err(errors::fault(&error));
            self.immediate.push_back(Event::Connected { conn, result });
        }
    }

    fn start_connect(&mut self, conn: ConnId, address: std::net::SocketAddr) -> io::Result<()> {
        let fd = socket::outgoing(address, Blocking::No)?;
        let outcome = socket::connect(fd.as_fd(), address)?;
        self.epoll
            .add(fd.as_fd(), Interest::Both, connection::token(conn))?;
        let mut connection = Connection::new(fd);
        connection.set(Is::CONNECTING | Is::WATCHES_ROOM);
        self.connections.insert(conn, connection);
        if outcome == Connect::Done {
            self.finish_connect(conn);
        }
        Ok(())
    }

    fn finish_connect(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        connection.clear(Is::CONNECTING);
        let result = match pending_fault(connection) {
            Some(fault) => Err(fault),
            None => socket::local_address(connection.fd.as_fd()).map_err(|e| errors::fault(&e)),
        };
        if result.is_err() {
            connection.set(Is::FAILED);
        } else {
            connection.set(Is::RECEIVE_ON | Is::WRITABLE);
            mark_dirty(connection, conn, &mut self.dirty);
        }
        self.immediate.push_back(Event::Connected { conn, result });
    }

    fn close(&mut self, conn: ConnId, how: Close, pool: &mut BufferPool) {
        if let Some(mut connection) = self.connections.remove(conn) {
            self.segments
                .clear(&mut connection.queue, |buffer| pool.give(buffer));
            if how == Close::Reset {
                // If it fails, the connection is gone already and a plain close does the same.
                let _ = socket::reset_on_close(connection.fd.as_fd());
            }
        }
        self.immediate.push_back(Event::Closed { conn });
    }
}

fn pending_fault(connection: &Connection) -> Option<IoFault> {
    match socket::take_error(connection.fd.as_fd()) {
        Ok(0) => None,
        Ok(number) => Some(errors::fault_of(number)),
        Err(error) => Some(errors::fault(&error)),
    }
}

fn queue_ready(connection: &mut Connection, conn: ConnId, ready: &mut VecDeque<Ready>) {
    let due = connection.receives() && connection.is(Is::READABLE);
    if due && !connection.is(Is::QUEUED) {
        connection.set(Is::QUEUED);
        ready.push_back(Ready::Connection(conn));
    }
}

fn mark_dirty(connection: &mut Connection, conn: ConnId, dirty: &mut Vec<ConnId>) {
    if !connection.is(Is::DIRTY) {
        connection.set(Is::DIRTY);
        dirty.push(conn);
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
fn await_room(epoll: &Epoll, conn: ConnId, connection: &mut Connection) {
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
