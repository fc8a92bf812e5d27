//! The io_uring driver: one `io_uring_enter` per turn submits, runs kernel work and waits.
//!
//! What a connection wants (receive on or off, segments to send, an end) is only noted when the
//! core says so; once per turn the dirty ones are settled: wishes become operations. Closing is a
//! walk: cancel what is in flight, reap until nothing is, then close, then say so. Until then the
//! slot is the kernel's.

mod accept;
pub mod caps;
mod connection;
mod receive;
mod relay;
mod selftest;
mod send;
mod stock;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use fastpath_sys::errno;
use fastpath_sys::socket;
use fastpath_sys::uring::{self, Block, Completion, Counts, Flight, Readiness, Ring, Shots};
use penstock_core::buffer::{Buffer, BufferPool};
use penstock_core::config::ListenerId;
use penstock_core::event::{Close, ConnId, Event, Op, Time};

use self::caps::Caps;
use self::connection::{Connection, Is, Purpose};
use self::stock::Stock;
use super::listeners::Listeners;
use super::lobby::Lobby;
use super::relays::Relays;
use super::segments::Segments;
use super::table::Table;
use super::{Driver, Setup, errors};
use crate::listen::ListenSocket;

/// Moves bytes by io_uring.
pub struct UringDriver {
    ring: Ring,
    caps: Caps,
    setup: Setup,
    connections: Table<Connection>,
    /// With each, its accept.
    listeners: Listeners<Option<Flight>>,
    /// Some listener has no accept in flight and may want one, or is to close.
    listeners_changed: bool,
    lobby: Lobby,
    segments: Segments,
    relays: Relays,
    stock: Stock,
    /// Events that come of no completion, or beside one.
    immediate: VecDeque<Event>,
    /// Have wishes that are not operations yet.
    dirty: Vec<ConnId>,
    /// Could receive but for want of buffers.
    starved: VecDeque<ConnId>,
    /// Do not receive, and when the watch for their hang-ups begins.
    unwatched: VecDeque<(Time, ConnId)>,
    now: Time,
    counted: Counts,
}

impl UringDriver {
    /// A driver without connections, for the calling thread.
    pub fn new(setup: Setup, caps: &Caps) -> io::Result<Self> {
        let mut driver = Self {
            ring: Ring::new(&caps.ring_options())?,
            caps: caps.clone(),
            setup,
            connections: Table::default(),
            listeners: Listeners::default(),
            listeners_changed: false,
            lobby: Lobby::default(),
            segments: Segments::default(),
            relays: Relays::default(),
            stock: Stock::default(),
            immediate: VecDeque::new(),
            dirty: Vec::new(),
            starved: VecDeque::new(),
            unwatched: VecDeque::new(),
            now: Time::default(),
            counted: Counts::default(),
        };
        driver.watch_bell();
        Ok(driver)
    }

    fn watch_bell(&mut self) {
        let bell = self.setup.bell.as_ref().as_fd();
        let token = Purpose::Bell.token();
        self.ring
            .poll(bell, Readiness::Readable, Shots::Multi, token);
    }

    fn complete(&mut self, completion: Completion, pool: &mut BufferPool) -> Option<Event> {
        match Purpose::of(completion.token) {
            Purpose::Bell => {
                if !completion.more {
                    self.watch_bell();
                }
                None
            }
            Purpose::Accept(index) => self.accepted(index, completion),
            Purpose::Receive(conn) => self.received(conn, completion, pool),
            Purpose::Readable(conn) => self.readable(conn, completion, pool),
            Purpose::Send(conn) => self.sent(conn, completion, pool),
            Purpose::Writable(conn) => self.writable(conn),
            Purpose::Connect(conn) => self.connected(conn, completion),
            Purpose::HangUp(conn) => self.hung_up(conn, completion),
        }
    }

    /// Turns the wishes of the dirty connections into operations.
    fn settle(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            if let Some(connection) = self.connections.find(conn) {
                connection.clear(Is::DIRTY);
                self.settle_receive(conn);
                self.settle_send(conn);
            }
        }
        // Settling marks nothing dirty; the list is kept for its memory.
        self.dirty = dirty;
    }

    fn count(&mut self) {
        let counts = self.ring.counts();
        if counts != self.counted {
            let counters = self.setup.counters();
            counters.sq_full.add(counts.sq_full - self.counted.sq_full);
            counters
                .cq_overflow
                .add(counts.cq_overflow - self.counted.cq_overflow);
            self.counted = counts;
        }
    }
}

impl Driver for UringDriver {
    fn wait(&mut self, pool: &mut BufferPool, now: Time, until: Time) -> io::Result<()> {
        self.now = now;
        self.resume_listeners();
        self.top_up(pool);
        self.feed(pool);
        self.run_relays();
        self.settle();
        let watch = self.watch(pool);
        self.count();
        let until = until.min(self.listeners.next()).min(watch);
        let timeout = (until != Time::NEVER).then(|| Duration::from_nanos(until.since(now)));
        let want = u32::from(self.immediate.is_empty() && !self.can_feed(pool));
        self.ring.enter(want, timeout)
    }

    fn poll_event(&mut self, pool: &mut BufferPool) -> Option<Event> {
        loop {
            if let Some(event) = self.immediate.pop_front() {
                return Some(event);
            }
            let completion = self.ring.poll_completion()?;
            let event = self.complete(completion, pool);
            if event.is_some() {
                return event;
            }
        }
    }

    fn handle_op(&mut self, op: Op, pool: &mut BufferPool) {
        match op {
            Op::Adopt { incoming, conn } => self.adopt(incoming, conn),
            Op::Refuse { incoming } => {
                if let Some(fd) = self.lobby.take(incoming) {
                    self.ring.close(fd);
                }
            }
            Op::Connect { conn, address } => self.connect(conn, address),
            Op::Send { conn, segment } => self.send(conn, segment, pool),
            Op::Relay { from, to, bytes } => self.relay(from, to, bytes),
            Op::ReceiveOn { conn } => self.switch_receive(conn, true),
            Op::ReceiveOff { conn } => self.switch_receive(conn, false),
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

/// Connecting and closing.
impl UringDriver {
    fn connect(&mut self, conn: ConnId, address: SocketAddr) {
        match socket::outgoing(address) {
            Ok(fd) => {
                let mut connection = Connection::new(fd);
                connection.set(Is::CONNECTING);
                let token = Purpose::Connect(conn).token();
                connection.other = Some(self.ring.connect(connection.fd.as_fd(), address, token));
                self.connections.insert(conn, connection);
            }
            Err(error) => {
                let result = Err(errors::fault(&error));
                self.immediate.push_back(Event::Connected { conn, result });
            }
        }
    }

    fn connected(&mut self, conn: ConnId, completion: Completion) -> Option<Event> {
        let connection = self.connections.find(conn)?;
        connection.other = None;
        connection.clear(Is::CONNECTING);
        if connection.is(Is::CLOSING) {
            return self.finish_close(conn);
        }
        let result = match completion.result {
            Ok(_) => socket::local_address(connection.fd.as_fd()).map_err(|e| errors::fault(&e)),
            Err(number) => Err(errors::fault_of(number)),
        };
        if result.is_ok() {
            connection.set(Is::RECEIVE_ON);
            mark_dirty(connection, conn, &mut self.dirty);
        } else {
            connection.set(Is::FAILED);
        }
        Some(Event::Connected { conn, result })
    }

    fn hung_up(&mut self, conn: ConnId, completion: Completion) -> Option<Event> {
        let connection = self.connections.find(conn)?;
        if !completion.more {
            connection.other = None;
            match completion.result {
                // Not needed any more; perhaps it is by now.
                Err(errno::ECANCELED) => mark_dirty(connection, conn, &mut self.dirty),
                // An overflow of the completion queue ended it.
                Ok(bits) if !uring::is_hang_up(bits) => {
                    mark_dirty(connection, conn, &mut self.dirty);
                }
                _ => connection.set(Is::WATCHED),
            }
        }
        if connection.is(Is::CLOSING) {
            return self.finish_close(conn);
        }
        // While a receive is wanted, it tells, after the bytes that came before.
        let tells = connection.receives() && !connection.is(Is::STARVED);
        let told = connection.is(Is::FAILED) || tells;
        if told || !completion.result.is_ok_and(uring::is_error) {
            return None;
        }
        let fault = errors::pending(connection.fd.as_fd())?;
        connection.set(Is::FAILED);
        Some(Event::Failed { conn, fault })
    }

    fn close(&mut self, conn: ConnId, how: Close, pool: &mut BufferPool) {
        let Some(connection) = self.connections.find(conn) else {
            return self.immediate.push_back(Event::Closed { conn });
        };
        if connection.is(Is::CLOSING) {
            return;
        }
        self.segments
            .clear(&mut connection.queue, |buffer| pool.give(buffer));
        if connection.is(Is::RELAY_FROM | Is::RELAY_TO) {
            self.end_relays(conn);
        }
        let Some(connection) = self.connections.find(conn) else {
            return;
        };
        connection.set(Is::CLOSING);
        if how == Close::Reset {
            connection.set(Is::RESET);
        }
        for flight in [connection.receive, connection.send, connection.other]
            .into_iter()
            .flatten()
        {
            self.ring.cancel(flight);
        }
        let closed = self.finish_close(conn);
        self.immediate.extend(closed);
    }

    /// Closes a connection that is to be closed, once nothing of it is in flight.
    fn finish_close(&mut self, conn: ConnId) -> Option<Event> {
        let connection = self.connections.find(conn)?;
        if !connection.is(Is::CLOSING) || !connection.is_quiet() {
            return None;
        }
        let connection = self.connections.remove(conn)?;
        if connection.is(Is::RESET) {
            // If it fails, the connection is gone already and a plain close does the same.
            let _ = socket::reset_on_close(connection.fd.as_fd());
        }
        self.ring.close(connection.fd);
        Some(Event::Closed { conn })
    }
}

fn mark_dirty(connection: &mut Connection, conn: ConnId, dirty: &mut Vec<ConnId>) {
    if !connection.is(Is::DIRTY) {
        connection.set(Is::DIRTY);
        dirty.push(conn);
    }
}

/// A buffer on its way to the kernel, with its window or, for a receive, its spare room.
fn block_to_fill(buffer: Buffer) -> Block {
    let start = buffer.headroom() + buffer.len();
    let window = start..start + buffer.receivable();
    Block {
        bytes: buffer.into_bytes(),
        window,
    }
}

fn block_to_send(buffer: Buffer) -> Block {
    let window = buffer.headroom()..buffer.headroom() + buffer.len();
    Block {
        bytes: buffer.into_bytes(),
        window,
    }
}

fn buffer_of(block: Block) -> Buffer {
    Buffer::from_parts(block.bytes, block.window.start, block.window.end)
}
