//! The plain relay: epoll by edges, one block for all connections, read then write. Bytes are kept
//! only where the other side does not take them at once.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::net;
use crate::poll::{Edge, Poller};

/// Bytes moved by one read.
const BLOCK: usize = 64 * 1024;
const TOKEN_LISTENER: u64 = 1 << 32;

/// Relays every connection of `listener` to `origin` until polling fails.
///
/// # Errors
/// If the sockets cannot be polled.
pub fn run(listener: TcpListener, origin: SocketAddr) -> io::Result<()> {
    net::prepare(&listener)?;
    let mut relay = Relay {
        origin,
        poller: Poller::new()?,
        sides: Vec::new(),
        free: Vec::new(),
        block: vec![0; BLOCK],
    };
    relay.poller.add(&listener, TOKEN_LISTENER)?;
    let mut edges = Vec::new();
    loop {
        relay.poller.wait(Duration::from_secs(3600), &mut edges)?;
        for edge in edges.drain(..) {
            match edge.token {
                TOKEN_LISTENER => relay.accept(&listener),
                token => relay.turn(token as usize, &edge),
            }
        }
    }
}

/// Both sides of a connection have slots that differ in the last bit.
struct Relay {
    origin: SocketAddr,
    poller: Poller,
    sides: Vec<Option<Side>>,
    /// Even slots without a connection.
    free: Vec<usize>,
    block: Vec<u8>,
}

/// One socket, and the bytes that wait to be written to it.
struct Side {
    stream: TcpStream,
    waiting: Vec<u8>,
    /// The kernel may have more to read.
    readable: bool,
    /// The received bytes have an end, here or further on.
    ending: bool,
    /// Its reading end is over.
    ended: bool,
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener) {
        while let Ok(stream) = net::accept(listener) {
            // A client whose origin cannot be reached is closed, which is all that a relay can say.
            let _ = self.adopt(stream);
        }
    }

    fn adopt(&mut self, downstream: TcpStream) -> io::Result<()> {
        let upstream = net::connect(self.origin, 0, false)?;
        let slot = self.free.last().copied().unwrap_or(self.sides.len());
        self.poller.add_edges(&downstream, slot as u64)?;
        self.poller.add_edges(&upstream, slot as u64 + 1)?;
        if self.free.pop().is_none() {
            self.sides.extend([None, None]);
        }
        for (slot, stream) in [(slot, downstream), (slot + 1, upstream)] {
            self.sides[slot] = Some(Side {
                stream,
                waiting: Vec::new(),
                readable: false,
                ending: false,
                ended: false,
            });
        }
        Ok(())
    }

    fn turn(&mut self, slot: usize, edge: &Edge) {
        let Some(side) = &mut self.sides[slot] else {
            return;
        };
        side.readable |= edge.readable;
        side.ending |= edge.ended;
        // Room to write lets the other side be read again.
        let moved = self.flush(slot).and_then(|flushed| {
            if flushed {
                self.relay(slot ^ 1)?;
            }
            self.relay(slot)
        });
        if moved.is_err() || self.is_over(slot) {
            (self.sides[slot], self.sides[slot ^ 1]) = (None, None);
            self.free.push(slot & !1);
        }
    }

    /// Writes what waits for `slot`; true if anything did and all of it left.
    fn flush(&mut self, slot: usize) -> io::Result<bool> {
        let Some(side) = self.sides[slot].as_mut() else {
            return Ok(false);
        };
        if side.waiting.is_empty() {
            return Ok(false);
        }
        let written = write(&side.stream, &side.waiting)?;
        side.waiting.drain(..written);
        Ok(side.waiting.is_empty())
    }

    /// Moves blocks from `slot` to the other side until one of them would block.
    fn relay(&mut self, slot: usize) -> io::Result<()> {
        let (low, high) = self.sides.split_at_mut(slot | 1);
        let (even, odd) = (&mut low[slot & !1], &mut high[0]);
        let (Some(even), Some(odd)) = (even, odd) else {
            return Ok(());
        };
        let (from, to) = if slot.is_multiple_of(2) {
            (even, odd)
        } else {
            (odd, even)
        };
        while from.readable && !from.ended && to.waiting.is_empty() {
            match from.stream.read(&mut self.block) {
                Ok(0) => {
                    from.ended = true;
                    to.stream.shutdown(Shutdown::Write)?;
                }
                Ok(count) => {
                    // A short read has emptied the socket, and what follows makes another edge.
                    from.readable = count == self.block.len() || from.ending;
                    let written = write(&to.stream, &self.block[..count])?;
                    to.waiting.extend_from_slice(&self.block[written..count]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => from.readable = false,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_over(&self, slot: usize) -> bool {
        [slot, slot ^ 1].iter().all(|slot| {
            let side = self.sides[*slot].as_ref();
            side.is_none_or(|side| side.ended && side.waiting.is_empty())
        })
    }
}

/// What the socket takes now.
fn write(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
