//! One connection of the load client: a request out, its answer in.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::response::{self, Response};
use super::{Failure, Load, Shared};
use crate::poll::Interest;

/// Bytes read in one call.
const READ: usize = 64 * 1024;

/// A connection and its one request.
pub(super) struct Connection {
    stream: TcpStream,
    written: usize,
    blocked: bool,
    input: Vec<u8>,
    response: Option<Response>,
    /// Requests answered on it.
    answered: u64,
    /// When the request began; `None` between requests.
    began: Option<Instant>,
}

/// How far a request came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// It goes on when the socket is ready.
    Waits,
    /// A correct answer; was the connection kept, and if not, was that announced?
    Answered { kept: bool, announced: bool },
    /// A kept connection was closed before the answer began.
    Stale,
    /// Something is wrong.
    Failed(Failure),
}

impl Connection {
    /// Connects, waiting for it: on loopback a connect that works takes no time.
    pub(super) fn open(load: &Load) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&load.address, load.timeout)?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            written: 0,
            blocked: false,
            input: Vec::new(),
            response: None,
            answered: 0,
            began: None,
        })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn interest(&self) -> Interest {
        Interest {
            read: true,
            write: self.blocked,
        }
    }

    /// A new request begins.
    pub(super) fn begin(&mut self) {
        self.began = Some(Instant::now());
        self.written = 0;
    }

    pub(super) fn is_late(&self, now: Instant, load: &Load) -> bool {
        self.began
            .is_some_and(|began| now.saturating_duration_since(began) > load.timeout)
    }

    /// Writes and reads as far as possible.
    pub(super) fn advance(&mut self, shared: &Shared, bytes: &mut u64) -> Outcome {
        // A server may answer and close before it has read everything, so a failed write is not
        // the end: what it said is read first.
        let broken = self.send(&shared.request).is_err();
        match self.receive(shared, bytes) {
            Outcome::Waits if broken => self.ended(),
            outcome => outcome,
        }
    }

    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.blocked = false;
        while self.written < request.len() {
            match self.stream.write(&request[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, shared: &Shared, bytes: &mut u64) -> Outcome {
        let mut block = [0; READ];
        loop {
            match self.stream.read(&mut block) {
                Ok(0) => return self.at_end(&shared.load),
                Ok(count) => {
                    *bytes += count as u64;
                    let outcome = self.take(&block[..count], &shared.load);
                    if outcome != Outcome::Waits || count < block.len() {
                        return outcome;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Outcome::Waits,
                Err(_) => return self.ended(),
            }
        }
    }

    fn take(&mut self, block: &[u8], load: &Load) -> Outcome {
        // Nearly always nothing waits and the block is used where it lies.
        let mut waiting = std::mem::take(&mut self.input);
        let outcome = if waiting.is_empty() {
            self.understand(block, load)
        } else {
            waiting.extend_from_slice(block);
            self.understand(&waiting, load)
        };
        outcome.unwrap_or_else(Outcome::Failed)
    }

    fn understand(&mut self, input: &[u8], load: &Load) -> Result<Outcome, Failure> {
        let mut used = 0;
        if self.response.is_none() {
            let Some((response, length)) = response::parse(input)? else {
                self.input = input.to_vec();
                return Ok(Outcome::Waits);
            };
            (self.response, used) = (Some(response), length);
        }
        let response = self.response.as_mut().expect("set just above");
        used += response.read(&input[used..], load)?;
        if response.is_complete() {
            let rest = input.len() - used;
            return self.complete(rest, load);
        }
        self.input = input[used..].to_vec();
        Ok(Outcome::Waits)
    }

    /// The answer is whole; `rest` bytes follow it, which nobody asked for.
    fn complete(&mut self, rest: usize, load: &Load) -> Result<Outcome, Failure> {
        let response = self.response.take().expect("a complete response");
        response.check(load)?;
        if rest > 0 {
            return Err(Failure::Malformed);
        }
        self.began = None;
        self.answered += 1;
        let kept = response.keep_alive && load.keep_alive;
        let announced = !response.keep_alive && load.keep_alive;
        Ok(Outcome::Answered { kept, announced })
    }

    /// The other end sends no more.
    fn at_end(&mut self, load: &Load) -> Outcome {
        if let Some(response) = &mut self.response {
            response.end();
            if response.is_complete() {
                return self.complete(0, load).unwrap_or_else(Outcome::Failed);
            }
        }
        self.ended()
    }

    /// The connection is over and the answer is not.
    fn ended(&self) -> Outcome {
        let began = self.response.is_some() || !self.input.is_empty();
        match (began, self.answered) {
            (true, _) => Outcome::Failed(Failure::Cut),
            (false, 0) => Outcome::Failed(Failure::Closed),
            (false, _) => Outcome::Stale,
        }
    }
}
