//! One connection of the load: a request out, its answer in.
//!
//! Edges say when to go on: bytes are written at once, and read until a read comes back short.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::exchange::{Exchange, Progress};
use super::observe::Tally;
use super::{Failure, Load, Shared};
use crate::net;
use crate::poll::Edge;

/// A connection and its one request.
pub(super) struct Connection {
    stream: TcpStream,
    /// The other end took it.
    connected: bool,
    /// The other end will send no more, or nothing can be sent to it.
    ending: bool,
    /// Why it did not; the kernel says so once.
    refused: Option<io::Error>,
    exchange: Exchange,
    /// Requests answered on it.
    answered: u64,
    /// The request on its way.
    current: Option<Current>,
}

/// A request on its way.
#[derive(Clone, Copy)]
struct Current {
    sent: Instant,
    /// Nanoseconds from the begin of the load; open loop only.
    due: Option<u64>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    /// Nanoseconds.
    pub(super) service: u64,
    pub(super) due: Option<u64>,
    /// Can the connection take another request?
    pub(super) kept: bool,
    /// If not, did the other end say so?
    pub(super) announced: bool,
}

/// How far a connection came.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It goes on when the socket is ready.
    Waits,
    /// The answer is whole and right.
    Answered(Answered),
    /// The answer is whole and wrong.
    Wrong(Answered, Failure),
    /// The other end closed it between two requests.
    Left,
    /// Something came between two requests.
    Spoke,
    /// The connection could not be opened.
    Unreachable(io::Error),
    /// A kept connection was closed before the answer began.
    Stale,
    /// Something is wrong.
    Failed(Failure),
}

impl Outcome {
    /// As a failure.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Outcome::Unreachable(_) => Failure::Connect,
            Outcome::Stale => Failure::Stale,
            Outcome::Failed(kind) | Outcome::Wrong(_, kind) => *kind,
            Outcome::Waits | Outcome::Answered(_) | Outcome::Left => Failure::Closed,
            Outcome::Spoke => Failure::Malformed,
        }
    }
}

impl Connection {
    /// Begins to connect, without waiting for it; the `number` spreads source addresses.
    pub(super) fn open(load: &Load, number: usize) -> io::Result<Self> {
        Ok(Self {
            stream: net::connect(load.address, number, load.slow.is_some())?,
            connected: false,
            ending: false,
            refused: None,
            exchange: Exchange::new(load),
            answered: 0,
            current: None,
        })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// True if the other end has closed it; its answer may have come before.
    pub(super) fn is_ending(&self) -> bool {
        self.ending
    }

    /// When its request was due.
    pub(super) fn due(&self) -> Option<u64> {
        self.current.and_then(|current| current.due)
    }

    pub(super) fn is_late(&self, now: Instant, load: &Load) -> bool {
        let late = |current: Current| now.saturating_duration_since(current.sent) > load.timeout;
        self.current.is_some_and(late)
    }

    /// A new request begins and is written as far as possible. After an error the connection is
    /// beyond use, but an early answer may wait in it.
    pub(super) fn begin(
        &mut self,
        due: Option<u64>,
        shared: &Shared,
        tally: &mut Tally,
    ) -> io::Result<()> {
        let sent = Instant::now();
        self.current = Some(Current { sent, due });
        self.exchange.begin(shared);
        match shared.load.slow {
            None => self.send(shared, u64::MAX, tally),
            Some(_) => Ok(()),
        }
    }

    /// Goes on after an edge.
    pub(super) fn advance(
        &mut self,
        edge: &Edge,
        shared: &Shared,
        block: &mut [u8],
        tally: &mut Tally,
    ) -> Outcome {
        self.ending |= edge.ended;
        if !self.connected && edge.ended {
            self.refused = self
                .refused
                .take()
                .or(self.stream.take_error().unwrap_or(None));
        }
        if let Some(error) = self.refused.take() {
            return self.unreachable(error);
        }
        if shared.load.slow.is_some() && self.current.is_some() {
            return Outcome::Waits;
        }
        // A server may answer and close before it has read everything, so a failed write is not
        // the end: what it said is read first.
        let broken = self.send(shared, u64::MAX, tally).is_err();
        if let Some(error) = self.refused.take() {
            return self.unreachable(error);
        }
        if !edge.readable && !broken {
            return Outcome::Waits;
        }
        match self.receive(shared, block, broken || edge.ended, tally) {
            Outcome::Waits if broken => self.ended(),
            outcome => outcome,
        }
    }

    /// A slow connection does a little at a time.
    pub(super) fn pace(&mut self, shared: &Shared, block: &mut [u8], tally: &mut Tally) -> Outcome {
        let Some(slow) = shared.load.slow.filter(|_| self.current.is_some()) else {
            return Outcome::Waits;
        };
        let broken = self.send(shared, slow.bytes as u64, tally).is_err();
        let room = slow.bytes.clamp(1, block.len());
        match self.receive(shared, &mut block[..room], false, tally) {
            Outcome::Waits if broken => self.ended(),
            outcome => outcome,
        }
    }

    /// Writes at most `most` bytes of the request.
    fn send(&mut self, shared: &Shared, most: u64, tally: &mut Tally) -> io::Result<()> {
        let mut left = most;
        while left > 0 && self.current.is_some() && !self.exchange.is_sent(shared) {
            let mut slices = [io::IoSlice::new(&[]); net::SLICES];
            let count = self.exchange.slices(shared, left, &mut slices);
            let written = match &slices[..count] {
                [slice] => self.stream.write(slice),
                slices => self.stream.write_vectored(slices),
            };
            match written {
                Ok(written) => {
                    if !std::mem::replace(&mut self.connected, true) {
                        tally.seen.report.connects += 1;
                    }
                    self.exchange.wrote(written as u64);
                    tally.seen.bytes_out += written as u64;
                    left -= written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if !self.connected => {
                    let kind = error.kind();
                    self.refused = Some(error);
                    return Err(kind.into());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads until a read is short, or to the end if there is one.
    fn receive(
        &mut self,
        shared: &Shared,
        block: &mut [u8],
        to_end: bool,
        tally: &mut Tally,
    ) -> Outcome {
        loop {
            match self.stream.read(block) {
                Ok(0) => return self.at_end(shared),
                Ok(count) => {
                    tally.seen.report.bytes += count as u64;
                    let outcome = self.take(&block[..count], shared);
                    let slow = shared.load.slow.is_some();
                    if !matches!(outcome, Outcome::Waits) || slow {
                        return outcome;
                    }
                    if count < block.len() && !to_end {
                        return outcome;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Outcome::Waits,
                Err(error) if !self.connected => return self.unreachable(error),
                Err(_) => return self.ended(),
            }
        }
    }

    fn take(&mut self, block: &[u8], shared: &Shared) -> Outcome {
        if self.current.is_none() {
            return Outcome::Spoke;
        }
        match self.exchange.take(block, shared) {
            Ok(Progress::Waits) => Outcome::Waits,
            Ok(Progress::Whole {
                status,
                keep_alive,
                verdict,
            }) => self.complete((status, verdict), keep_alive, shared),
            Err(kind) => Outcome::Failed(kind),
        }
    }

    fn complete(
        &mut self,
        (status, verdict): (u16, Result<(), Failure>),
        keep_alive: bool,
        shared: &Shared,
    ) -> Outcome {
        let load = &shared.load;
        let Some(current) = self.current.take() else {
            return Outcome::Spoke;
        };
        self.answered += 1;
        let wanted = load.keep_alive
            && load
                .requests_per_connection
                .is_none_or(|most| self.answered < most);
        let answer = Answered {
            status,
            service: current.sent.elapsed().as_nanos() as u64,
            due: current.due,
            // An early answer leaves a request that nobody reads to its end.
            kept: keep_alive && wanted && self.exchange.is_sent(shared),
            announced: !keep_alive && load.keep_alive,
        };
        match verdict {
            Ok(()) => Outcome::Answered(answer),
            Err(kind) => Outcome::Wrong(answer, kind),
        }
    }

    /// The other end sends no more.
    fn at_end(&mut self, shared: &Shared) -> Outcome {
        if self.current.is_none() {
            return Outcome::Left;
        }
        match self.exchange.end(shared) {
            Ok(Progress::Whole {
                status, verdict, ..
            }) => self.complete((status, verdict), false, shared),
            Ok(Progress::Waits) => self.ended(),
            Err(kind) => Outcome::Failed(kind),
        }
    }

    /// Without a request that waits for it, nothing is lost yet: the next one tries again.
    fn unreachable(&self, error: io::Error) -> Outcome {
        match self.current {
            Some(_) => Outcome::Unreachable(error),
            None => Outcome::Left,
        }
    }

    /// The connection is over and the answer is not.
    fn ended(&self) -> Outcome {
        match (self.exchange.has_begun(), self.answered) {
            _ if self.current.is_none() => Outcome::Left,
            (true, _) => Outcome::Failed(Failure::Cut),
            (false, 0) => Outcome::Failed(Failure::Closed),
            (false, _) => Outcome::Stale,
        }
    }
}
