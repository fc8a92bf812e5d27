//! One request and its answer on a connection, by protocol. The bytes only: sockets, time and
//! counts are the connection's.
//!
//! TLS would stand between this and the socket; HTTP/2 and gRPC are further protocols here.

use std::io::IoSlice;

use super::response::{self, Response};
use super::{Failure, Load, Protocol, Shared};
use crate::outgoing::Outgoing;
use crate::pattern;

/// What an exchange is waiting for.
pub(super) enum Exchange {
    /// HTTP/1.1.
    Http1(Http1),
    /// Bytes of the pattern there and back.
    Tcp(Tcp),
}

/// How far the answer came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// There is more to come.
    Waits,
    /// All of it came, right or wrong.
    Whole {
        status: u16,
        keep_alive: bool,
        verdict: Result<(), Failure>,
    },
}

impl Exchange {
    pub(super) fn new(load: &Load) -> Self {
        match load.protocol {
            Protocol::Http1 => Exchange::Http1(Http1::default()),
            Protocol::Tcp => Exchange::Tcp(Tcp::default()),
        }
    }

    /// A new request.
    pub(super) fn begin(&mut self, shared: &Shared) {
        match self {
            Exchange::Http1(http) => http.begin(shared),
            Exchange::Tcp(tcp) => tcp.begin(shared),
        }
    }

    /// True if all of the request was written.
    pub(super) fn is_sent(&self, shared: &Shared) -> bool {
        match self {
            Exchange::Http1(http) => http.message(shared).is_done(http.written),
            Exchange::Tcp(tcp) => tcp.written == tcp.size,
        }
    }

    /// What is to be written next, at most `most` bytes; says how many slices.
    pub(super) fn slices<'a>(
        &self,
        shared: &'a Shared,
        most: u64,
        slices: &mut [IoSlice<'a>],
    ) -> usize {
        match self {
            Exchange::Http1(http) => http.message(shared).slices(http.written, most, slices),
            Exchange::Tcp(tcp) => {
                let left = (tcp.size - tcp.written).min(most);
                pattern::slices(tcp.base + tcp.written, left, slices)
            }
        }
    }

    /// So many bytes were written.
    pub(super) fn wrote(&mut self, count: u64) {
        match self {
            Exchange::Http1(http) => http.written += count,
            Exchange::Tcp(tcp) => tcp.written += count,
        }
    }

    /// Takes what was received.
    pub(super) fn take(&mut self, block: &[u8], shared: &Shared) -> Result<Progress, Failure> {
        match self {
            Exchange::Http1(http) => http.take(block, &shared.load),
            Exchange::Tcp(tcp) => tcp.take(block),
        }
    }

    /// The other end sends no more.
    pub(super) fn end(&mut self, shared: &Shared) -> Result<Progress, Failure> {
        match self {
            Exchange::Http1(http) => http.end(&shared.load),
            Exchange::Tcp(_) => Ok(Progress::Waits),
        }
    }

    /// True if part of the answer came.
    pub(super) fn has_begun(&self) -> bool {
        match self {
            Exchange::Http1(http) => http.response.is_some() || !http.input.is_empty(),
            Exchange::Tcp(tcp) => tcp.read > 0,
        }
    }
}

/// An HTTP/1.1 exchange.
#[derive(Default)]
pub(super) struct Http1 {
    /// Which of the prepared requests.
    request: usize,
    written: u64,
    /// Bytes that could not be understood yet.
    input: Vec<u8>,
    response: Option<Response>,
}

impl Http1 {
    fn begin(&mut self, shared: &Shared) {
        self.request = shared.next_request();
        self.written = 0;
    }

    fn message<'a>(&self, shared: &'a Shared) -> &'a Outgoing {
        &shared.requests[self.request]
    }

    fn take(&mut self, block: &[u8], load: &Load) -> Result<Progress, Failure> {
        // Nearly always nothing waits and the block is used where it lies.
        let mut waiting = std::mem::take(&mut self.input);
        if waiting.is_empty() {
            return self.understand(block, load);
        }
        waiting.extend_from_slice(block);
        self.understand(&waiting, load)
    }

    fn understand(&mut self, input: &[u8], load: &Load) -> Result<Progress, Failure> {
        let mut used = 0;
        if self.response.is_none() {
            let Some((response, length)) = response::parse(input)? else {
                self.input = input.to_vec();
                return Ok(Progress::Waits);
            };
            (self.response, used) = (Some(response), length);
        }
        let response = self.response.as_mut().expect("set just above");
        used += response.read(&input[used..], load)?;
        if response.is_complete() {
            return self.complete(input.len() - used, load);
        }
        self.input = input[used..].to_vec();
        Ok(Progress::Waits)
    }

    /// The answer is whole; `rest` bytes follow it, which nobody asked for.
    fn complete(&mut self, rest: usize, load: &Load) -> Result<Progress, Failure> {
        let response = self.response.take().expect("a complete response");
        let alone = if rest > 0 {
            Err(Failure::Malformed)
        } else {
            Ok(())
        };
        Ok(Progress::Whole {
            status: response.status,
            keep_alive: response.keep_alive,
            verdict: response.check(load).and(alone),
        })
    }

    fn end(&mut self, load: &Load) -> Result<Progress, Failure> {
        let Some(response) = &mut self.response else {
            return Ok(Progress::Waits);
        };
        response.end();
        match response.is_complete() {
            true => self.complete(0, load),
            false => Ok(Progress::Waits),
        }
    }
}

/// Bytes of the pattern there and back; offsets go on from message to message, so that a byte of
/// the last message is wrong in this one.
#[derive(Default)]
pub(super) struct Tcp {
    /// Bytes of all messages before this one.
    base: u64,
    size: u64,
    written: u64,
    read: u64,
}

impl Tcp {
    fn begin(&mut self, shared: &Shared) {
        *self = Self {
            base: self.base + self.size,
            size: shared.load.body.unwrap_or(1).max(1),
            written: 0,
            read: 0,
        };
    }

    fn take(&mut self, block: &[u8]) -> Result<Progress, Failure> {
        if block.len() as u64 > self.size - self.read {
            return Err(Failure::Length);
        }
        if !pattern::holds(block, self.base + self.read) {
            return Err(Failure::Pattern);
        }
        self.read += block.len() as u64;
        if self.read < self.size {
            return Ok(Progress::Waits);
        }
        Ok(Progress::Whole {
            status: 0,
            keep_alive: true,
            verdict: Ok(()),
        })
    }
}
