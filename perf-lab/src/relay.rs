//! The null relay: a TCP relay that parses nothing, on one thread and epoll. The floor of every
//! proxy that goes through the kernel's TCP.
//!
//! One upstream connection for each downstream one, one buffer, read then write. It is as simple as
//! a relay can be, on purpose: what a gateway costs beyond it is the price of HTTP.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::poll::{Interest, Poller};

/// Bytes moved by one read.
const BLOCK: usize = 64 * 1024;
/// Bytes that may wait for a side that does not read.
const WAITING_MAX: usize = 256 * 1024;
const TOKEN_LISTENER: u64 = 0;

/// Relays every connection of `listener` to `origin` until polling fails.
///
/// # Errors
/// If the sockets cannot be polled.
pub fn run(listener: TcpListener, origin: SocketAddr) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut relay = Relay {
        origin,
        poller: Poller::new()?,
        sides: HashMap::new(),
        block: vec![0; BLOCK],
        next_pair: 1,
    };
    relay
        .poller
        .add(&listener, TOKEN_LISTENER, Interest::READ)?;
    let mut ready = Vec::new();
    loop {
        relay.poller.wait(Duration::from_secs(3600), &mut ready)?;
        for edge in ready.drain(..) {
            match edge.token {
                TOKEN_LISTENER => relay.accept(&listener),
                token => relay.turn(token),
            }
        }
    }
}

/// Both sides of a connection have tokens that differ in the last bit.
struct Relay {
    origin: SocketAddr,
    poller: Poller,
    sides: HashMap<u64, Side>,
    block: Vec<u8>,
    next_pair: u64,
}

/// One socket, and the bytes that wait to be written to it.
struct Side {
    stream: TcpStream,
    waiting: Vec<u8>,
    interest: Interest,
    /// Its reading end is over.
    ended: bool,
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            // A client whose origin cannot be reached is closed, which is all that a relay can say.
            let _ = self.adopt(stream);
        }
    }

    fn adopt(&mut self, downstream: TcpStream) -> io::Result<()> {
        let upstream = TcpStream::connect(self.origin)?;
        let token = self.next_pair * 2;
        self.next_pair += 1;
        for (token, stream) in [(token, downstream), (token + 1, upstream)] {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            self.poller.add(&stream, token, Interest::READ)?;
            let side = Side {
                stream,
                waiting: Vec::new(),
                interest: Interest::READ,
                ended: false,
            };
            self.sides.insert(token, side);
        }
        Ok(())
    }

    fn turn(&mut self, token: u64) {
        if self.flush(token).and_then(|()| self.relay(token)).is_err() || self.is_over(token) {
            self.sides.remove(&token);
            self.sides.remove(&(token ^ 1));
            return;
        }
        self.rearm(token);
        self.rearm(token ^ 1);
    }

    /// Reads one block from `token` and writes it to the other side.
    fn relay(&mut self, token: u64) -> io::Result<()> {
        let Some(side) = self.sides.get_mut(&token) else {
            return Ok(());
        };
        if side.ended || !side.interest.read {
            return Ok(());
        }
        match side.stream.read(&mut self.block) {
            Ok(0) => side.ended = true,
            Ok(count) => {
                let block = std::mem::take(&mut self.block);
                let sent = self.send(token ^ 1, &block[..count]);
                self.block = block;
                return sent;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        self.pass_end(token)
    }

    fn send(&mut self, token: u64, bytes: &[u8]) -> io::Result<()> {
        let Some(side) = self.sides.get_mut(&token) else {
            return Ok(());
        };
        if !side.waiting.is_empty() {
            side.waiting.extend_from_slice(bytes);
            return Ok(());
        }
        match side.stream.write(bytes) {
            Ok(count) => side.waiting.extend_from_slice(&bytes[count..]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                side.waiting.extend_from_slice(bytes);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn flush(&mut self, token: u64) -> io::Result<()> {
        let Some(side) = self.sides.get_mut(&token) else {
            return Ok(());
        };
        if side.waiting.is_empty() {
            return Ok(());
        }
        match side.stream.write(&side.waiting) {
            Ok(count) => drop(side.waiting.drain(..count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        self.pass_end(token ^ 1)
    }

    /// The end of one side is passed on once everything before it is.
    fn pass_end(&self, token: u64) -> io::Result<()> {
        let ended = self.sides.get(&token).is_some_and(|side| side.ended);
        match self.sides.get(&(token ^ 1)) {
            Some(other) if ended && other.waiting.is_empty() => {
                other.stream.shutdown(Shutdown::Write)
            }
            _ => Ok(()),
        }
    }

    fn is_over(&self, token: u64) -> bool {
        [token, token ^ 1].iter().all(|token| {
            let side = self.sides.get(token);
            side.is_none_or(|side| side.ended && side.waiting.is_empty())
        })
    }

    fn rearm(&mut self, token: u64) {
        let blocked = self
            .sides
            .get(&(token ^ 1))
            .is_some_and(|other| other.waiting.len() >= WAITING_MAX);
        let Some(side) = self.sides.get_mut(&token) else {
            return;
        };
        let interest = Interest {
            read: !side.ended && !blocked,
            write: !side.waiting.is_empty(),
        };
        if interest != side.interest {
            side.interest = interest;
            // A descriptor that is registered and open can always be changed.
            let _ = self.poller.change(&side.stream, token, interest);
        }
    }
}
