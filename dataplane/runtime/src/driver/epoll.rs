//! The epoll driver: the equal of io_uring where that is not allowed.
//!
//! Edge-triggered: a socket is registered once, its readiness is remembered here, and `epoll_ctl`
//! is called again only for the first send that finds no room. Receives happen when an event is
//! asked for, into a buffer taken then; sends leave with one call per connection at the end of the
//! turn.

mod accept;
mod connection;
mod receive;
mod relay;
mod send;

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use fastpath_sys::epoll::{Edge, Epoll, Interest};
use fastpath_sys::socket::{self, Connect};
use penstock_core::buffer::BufferPool;
use penstock_core::config::ListenerId;
use penstock_core::event::{Close, ConnId, Event, Op, Time};

use self::connection::{Connection, Is};
use super::listeners::Listeners;
use super::lobby::Lobby;
use super::relays::Relays;
use super::segments::Segments;
use super::table::Table;
use super::{Driver, Setup, errors};
use crate::listen::ListenSocket;

/// Edges taken per wait.
const EDGES: usize = 512;
/// Receives per connection and turn; what is left waits for the others.
const RECEIVES_PER_TURN: u32 = 4;
/// Accepts per listener and turn.
const ACCEPTS_PER_TURN: u32 = 64;
/// Turns in a row that may skip the kernel because events are there already.
const TURNS_WITHOUT_WAIT: u32 = 4;

const TOKEN_BELL: u64 = u64::MAX;
/// Set in tokens of listeners; slots of connections stay below.
const TOKEN_LISTENER: u64 = 1 << 31;

/// Somebody who can do more without waiting.
#[derive(Clone, Copy)]
enum Ready {
    Connection(ConnId),
    Listener(usize),
}

/// Moves bytes by epoll.
pub struct EpollDriver {
    epoll: Epoll,
    setup: Setup,
    connections: Table<Connection>,
    /// With each, whether it stands in the ready list.
    listeners: Listeners<bool>,
    lobby: Lobby,
    segments: Segments,
    relays: Relays,
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
            listeners: Listeners::default(),
            lobby: Lobby::default(),
            segments: Segments::default(),
            relays: Relays::default(),
            immediate: VecDeque::new(),
            ready: VecDeque::new(),
            due: 0,
            budget: 0,
            dirty: Vec::new(),
            starved: VecDeque::new(),
            now: Time::default(),
            turns_without_wait: 0,
        })
    }
}

impl Driver for EpollDriver {
    fn wait(&mut self, pool: &mut BufferPool, now: Time, until: Time) -> io::Result<()> {
        self.now = now;
        self.flush();
        self.run_relays();
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
            .wait(timeout(idle, now, until.min(self.listeners.next())))?;
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
            Op::Relay { from, to, bytes } => self.relay(from, to, bytes),
            Op::ReceiveOn { conn } => self.receive_on(conn),
            Op::ReceiveOff { conn } => self.receive_off(conn),
            Op::Shutdown { conn } => self.shutdown(conn),
            Op::Close { conn, how } => self.close(conn, how, pool),
            Op::Unlisten { listener } => self.listeners.unlisten(listener),
        }
    }

    fn listen(&mut self, socket: ListenSocket) {
        self.add_listener(socket);
    }

    fn unlisten(&mut self, listener: ListenerId) {
        self.listeners.remove(listener);
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
            && let Some(fault) = errors::pending(connection.fd.as_fd())
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

/// Connecting and closing.
impl EpollDriver {
    fn connect(&mut self, conn: ConnId, address: std::net::SocketAddr) {
        if let Err(error) = self.start_connect(conn, address) {
            // Without a socket there is nothing to close: Close for an unknown id is answered, too.
            self.connections.remove(conn);
            let result = Err(errors::fault(&error));
            self.immediate.push_back(Event::Connected { conn, result });
        }
    }

    fn start_connect(&mut self, conn: ConnId, address: std::net::SocketAddr) -> io::Result<()> {
        let fd = socket::outgoing(address)?;
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
        let result = match errors::pending(connection.fd.as_fd()) {
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
        let relays = Is::RELAY_FROM | Is::RELAY_TO;
        if self
            .connections
            .find(conn)
            .is_some_and(|connection| connection.is(relays))
        {
            self.end_relays(conn);
        }
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
