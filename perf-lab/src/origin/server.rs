//! The connections of one origin thread: taken, advanced by edges, woken when a delay is over.
//!
//! It polls nothing itself, so that it can share a thread and a poller with a load.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use super::connection::Connection;
use crate::net;
use crate::poll::{Edge, Poller};

/// Bytes read in one call.
const READ: usize = 256 * 1024;
/// Token of the listening socket, behind those of connections.
const TOKEN_LISTENER: u64 = 1 << 32;
/// Connections taken at a time, so that those that are open have their turn.
const ACCEPTS: usize = 64;
/// Pause after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// How long it waits if nothing is due.
const LONG: Duration = Duration::from_secs(3600);

/// One thread of an origin.
pub(crate) struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
    poller: Arc<Poller>,
    /// Added to every token.
    tokens: u64,
    block: Vec<u8>,
    connections: Vec<Option<Connection>>,
    /// Slots without a connection.
    free: Vec<usize>,
    /// Answers that wait, the next one in front.
    delayed: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Server {
    /// Serves a listening socket that does not block.
    pub(crate) fn new(
        listener: TcpListener,
        shared: Arc<Shared>,
        poller: Arc<Poller>,
        tokens: u64,
    ) -> io::Result<Self> {
        poller.add_shared(&listener, tokens + TOKEN_LISTENER)?;
        Ok(Self {
            listener,
            shared,
            poller,
            tokens,
            block: vec![0; READ],
            connections: Vec::new(),
            free: Vec::new(),
            delayed: BinaryHeap::new(),
        })
    }

    /// When it wants a turn even if nothing happens.
    pub(crate) fn due(&self) -> Instant {
        let next = self.delayed.peek();
        next.map_or_else(|| Instant::now() + LONG, |Reverse((due, _))| *due)
    }

    /// Takes an edge that is its own.
    pub(crate) fn take(&mut self, edge: &Edge) {
        match edge.token - self.tokens {
            TOKEN_LISTENER => self.accept(),
            slot => self.advance(slot as usize, edge),
        }
    }

    /// Lets answers go whose time has come.
    pub(crate) fn wake_delayed(&mut self) {
        while let Some(&Reverse((due, slot))) = self.delayed.peek() {
            if due > Instant::now() {
                return;
            }
            self.delayed.pop();
            self.advance(slot, &Edge::none());
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            match net::accept(&self.listener) {
                Ok(stream) => drop(self.adopt(stream)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return std::thread::sleep(ACCEPT_PAUSE),
            }
        }
    }

    fn adopt(&mut self, stream: TcpStream) -> io::Result<()> {
        let slot = self.free.last().copied().unwrap_or(self.connections.len());
        self.poller.add_edges(&stream, self.tokens + slot as u64)?;
        let connection = Connection::new(stream, self.shared.clone());
        match self.free.pop() {
            Some(slot) => self.connections[slot] = Some(connection),
            None => self.connections.push(Some(connection)),
        }
        Ok(())
    }

    fn advance(&mut self, slot: usize, edge: &Edge) {
        let Some(connection) = &mut self.connections[slot] else {
            return;
        };
        let was_due = connection.due();
        if !connection.advance(edge, &mut self.block) {
            self.connections[slot] = None;
            self.free.push(slot);
            return;
        }
        let due = connection.due();
        if let Some(due) = due.filter(|_| due != was_due) {
            self.delayed.push(Reverse((due, slot)));
        }
    }
}
