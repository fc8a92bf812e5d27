//! One connection of the origin: head, body, delay, answer, and again.
//!
//! Bytes are used where they were received; only what cannot be used yet is kept.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::answer::{self, Numbers};
use super::request::{self, Request};
use super::{Behaviour, Shared};
use crate::body::Malformed;
use crate::net;
use crate::outgoing::Outgoing;
use crate::pattern;
use crate::poll::Edge;

/// A connection and what it waits for.
pub(super) struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
    number: u64,
    /// Received and not used yet.
    input: Vec<u8>,
    /// Written before the answer: interim responses, and what a tunnel sends back.
    output: Vec<u8>,
    written: usize,
    answer: Outgoing,
    answer_written: u64,
    state: State,
    /// The kernel may have more.
    readable: bool,
    /// The received bytes have an end, here or further on.
    ending: bool,
    ended: bool,
}

/// What comes next, in the order of a request.
#[derive(Debug)]
enum State {
    Head,
    Body(Reading),
    Delay(Reading, Instant),
    Answer { close: bool },
    Closing,
    Tunnel,
}

/// A request whose body is being read.
#[derive(Debug)]
struct Reading {
    request: Request,
    bytes: u64,
    intact: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        shared.counters.open.fetch_add(1, Relaxed);
        let number = shared.counters.connections.fetch_add(1, Relaxed) + 1;
        let state = match shared.behaviour {
            Behaviour::Echo => State::Tunnel,
            _ => State::Head,
        };
        Self {
            stream,
            shared,
            number,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            answer: Outgoing::default(),
            answer_written: 0,
            state,
            readable: false,
            ending: false,
            ended: false,
        }
    }

    /// When it wants to be called even if nothing arrives.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Delay(_, due) => Some(*due),
            _ => None,
        }
    }

    /// Goes on as far as possible after an edge, or when it is due; false if it is over.
    pub(super) fn advance(&mut self, edge: &Edge, block: &mut [u8]) -> bool {
        self.readable |= edge.readable;
        self.ending |= edge.ended;
        self.turn(block).unwrap_or(false)
    }

    fn turn(&mut self, block: &mut [u8]) -> io::Result<bool> {
        self.wake();
        loop {
            if !self.send()? {
                return Ok(true);
            }
            match self.state {
                State::Closing => return Ok(false),
                State::Delay(..) => return Ok(true),
                State::Answer { .. } => unreachable!("an answer that is sent is over"),
                State::Head | State::Body(_) | State::Tunnel if self.ended => return Ok(false),
                State::Head | State::Body(_) | State::Tunnel => {}
            }
            if !self.readable {
                return Ok(true);
            }
            self.receive(block)?;
        }
    }

    fn receive(&mut self, block: &mut [u8]) -> io::Result<()> {
        match self.stream.read(block) {
            Ok(0) => (self.ended, self.readable) = (true, false),
            Ok(count) => {
                // A short read has emptied the socket, and what follows makes another edge.
                self.readable = count == block.len() || self.ending;
                self.take(&block[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn take(&mut self, block: &[u8]) {
        let mut waiting = std::mem::take(&mut self.input);
        if waiting.is_empty() {
            return self.understand(block);
        }
        waiting.extend_from_slice(block);
        self.understand(&waiting);
    }

    /// Uses what it can and keeps the rest.
    fn understand(&mut self, bytes: &[u8]) {
        let mut used = 0;
        loop {
            match self.step(&bytes[used..]) {
                Ok(Some(count)) => used += count,
                Ok(None) => break,
                Err(Malformed) => return self.refuse(),
            }
        }
        self.input = bytes[used..].to_vec();
    }

    /// One transition and the bytes that it used; `None` if it must wait.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        match std::mem::replace(&mut self.state, State::Head) {
            State::Head => self.read_head(bytes),
            State::Body(reading) => self.read_body(reading, bytes),
            State::Tunnel => Ok(self.echo(bytes)),
            other => {
                self.state = other;
                Ok(None)
            }
        }
    }

    fn read_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let Some((request, used)) = request::parse(bytes)? else {
            return Ok(None);
        };
        if request.expects_continue {
            let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
            self.output.extend_from_slice(interim);
        }
        self.state = State::Body(Reading {
            request,
            bytes: 0,
            intact: true,
        });
        Ok(Some(used))
    }

    fn read_body(
        &mut self,
        mut reading: Reading,
        input: &[u8],
    ) -> Result<Option<usize>, Malformed> {
        let Reading {
            request,
            bytes,
            intact,
        } = &mut reading;
        let used = request.body.read(input, |data| {
            *intact &= !request.has_pattern || pattern::holds(data, *bytes);
            *bytes += data.len() as u64;
        })?;
        if !request.body.is_complete() {
            self.state = State::Body(reading);
            return Ok((used > 0).then_some(used));
        }
        match self.delay(&reading.request) {
            Duration::ZERO => self.begin_answer(&reading),
            delay => self.state = State::Delay(reading, Instant::now() + delay),
        }
        Ok(Some(used))
    }

    fn delay(&self, request: &Request) -> Duration {
        match self.shared.behaviour {
            Behaviour::Slow(delay) => delay + request.wish.delay,
            _ => request.wish.delay,
        }
    }

    /// Begins an answer whose delay is over.
    fn wake(&mut self) {
        match std::mem::replace(&mut self.state, State::Head) {
            State::Delay(reading, due) if due <= Instant::now() => self.begin_answer(&reading),
            state => self.state = state,
        }
    }

    fn begin_answer(&mut self, reading: &Reading) {
        let (number, fails) = self.shared.count_request();
        let request = &reading.request;
        if request.wish.reset {
            self.state = State::Closing;
            return;
        }
        if let Some(protocol) = &request.upgrade {
            let head = format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\
                 x-origin: {}\r\n\r\n",
                self.shared.label
            );
            self.output.extend_from_slice(head.as_bytes());
            self.state = State::Tunnel;
            return;
        }
        if !reading.intact {
            self.shared.counters.malformed.fetch_add(1, Relaxed);
        }
        let status = match (reading.intact, fails) {
            (false, _) => 422,
            (_, true) => 503,
            _ => request.wish.status.unwrap_or(200),
        };
        let numbers = Numbers {
            connection: self.number,
            request: number,
            body: reading.bytes,
        };
        let head = std::mem::take(&mut self.answer).into_head();
        self.answer = answer::build(request, status, &self.shared.label, numbers, head);
        self.answer_written = 0;
        self.state = State::Answer {
            close: request.wish.close || !request.keep_alive,
        };
    }

    /// Sends back at once what the socket takes; the rest waits, and nothing is read meanwhile.
    fn echo(&mut self, bytes: &[u8]) -> Option<usize> {
        self.state = State::Tunnel;
        if bytes.is_empty() {
            return None;
        }
        let written = match self.output.is_empty() {
            // What is wrong shows again when the rest is written.
            true => self.stream.write(bytes).unwrap_or(0),
            false => 0,
        };
        self.output.extend_from_slice(&bytes[written..]);
        Some(bytes.len())
    }

    fn refuse(&mut self) {
        self.shared.counters.malformed.fetch_add(1, Relaxed);
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        self.output.extend_from_slice(answer);
        self.state = State::Closing;
    }

    /// Writes what waits, answers of pipelined requests included; false if the socket is full.
    fn send(&mut self) -> io::Result<bool> {
        loop {
            if !self.flush()? {
                return Ok(false);
            }
            let State::Answer { close } = self.state else {
                return Ok(true);
            };
            if !self.write_answer()? {
                return Ok(false);
            }
            if close {
                self.state = State::Closing;
                return Ok(true);
            }
            self.state = State::Head;
            if !self.input.is_empty() {
                self.take(&[]);
            }
        }
    }

    fn flush(&mut self) -> io::Result<bool> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(true)
    }

    fn write_answer(&mut self) -> io::Result<bool> {
        while !self.answer.is_done(self.answer_written) {
            let mut slices = [IoSlice::new(&[]); net::SLICES];
            let count = self
                .answer
                .slices(self.answer_written, u64::MAX, &mut slices);
            match self.stream.write_vectored(&slices[..count]) {
                Ok(written) => self.answer_written += written as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.counters.open.fetch_sub(1, Relaxed);
    }
}
