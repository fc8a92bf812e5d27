//! One connection of the origin: head, body, delay, answer, and again.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::answer::{Answer, Numbers};
use super::request::{self, HEAD_MAX, Request};
use super::{Behaviour, Shared};
use crate::body::Malformed;
use crate::pattern;
use crate::poll::Interest;

/// Bytes read in one call.
const READ: usize = 64 * 1024;
/// Bytes that wait to be understood; reading stops above.
const INPUT_MAX: usize = HEAD_MAX + READ;
/// Bytes that wait to be sent; above, neither tunnel nor pipelined requests go on.
const OUTPUT_MAX: usize = 256 * 1024;

/// A connection and what it waits for.
pub(super) struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
    number: u64,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    state: State,
    ended: bool,
}

/// What comes next, in the order of a request.
#[derive(Debug)]
enum State {
    Head,
    Body(Reading),
    Delay(Reading, Instant),
    Answer(Answer),
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
        Self {
            stream,
            shared,
            number,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            state: State::Head,
            ended: false,
        }
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn interest(&self) -> Interest {
        let waiting = self.output.len() - self.written;
        Interest {
            read: self.input.len() < INPUT_MAX && waiting < OUTPUT_MAX && !self.ended,
            write: waiting > 0,
        }
    }

    /// When it wants to be called even if nothing arrives.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Delay(_, due) => Some(*due),
            _ => None,
        }
    }

    /// Reads, works and writes as far as possible; false if the connection is over.
    pub(super) fn advance(&mut self) -> bool {
        self.turn().unwrap_or(false)
    }

    fn turn(&mut self) -> io::Result<bool> {
        if self.interest().read {
            self.receive()?;
        }
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => break,
                Err(Malformed) => self.refuse(),
            }
        }
        self.send()?;
        let idle = self.written == self.output.len();
        let over = match self.state {
            State::Closing => idle,
            State::Head | State::Body(_) | State::Tunnel => idle && self.ended,
            State::Delay(..) | State::Answer(_) => false,
        };
        Ok(!over)
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut block = [0; READ];
        match self.stream.read(&mut block) {
            Ok(0) => self.ended = true,
            Ok(count) => self.input.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// One transition; false if it must wait.
    fn step(&mut self) -> Result<bool, Malformed> {
        match std::mem::replace(&mut self.state, State::Closing) {
            State::Head => self.read_head(),
            State::Body(reading) => self.read_body(reading),
            State::Delay(reading, due) => Ok(self.wait(reading, due)),
            State::Answer(answer) => Ok(self.write_answer(answer)),
            State::Tunnel => Ok(self.echo()),
            State::Closing => Ok(false),
        }
    }

    fn read_head(&mut self) -> Result<bool, Malformed> {
        self.state = State::Head;
        if self.output.len() >= OUTPUT_MAX {
            return Ok(false);
        }
        let Some((request, used)) = request::parse(&self.input)? else {
            return Ok(false);
        };
        self.input.drain(..used);
        if request.expects_continue {
            self.output
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.state = State::Body(Reading {
            request,
            bytes: 0,
            intact: true,
        });
        Ok(true)
    }

    fn read_body(&mut self, mut reading: Reading) -> Result<bool, Malformed> {
        let Reading {
            request,
            bytes,
            intact,
        } = &mut reading;
        let used = request.body.read(&self.input, |data| {
            *intact &= !request.has_pattern || pattern::holds(data, *bytes);
            *bytes += data.len() as u64;
        })?;
        self.input.drain(..used);
        if !request.body.is_complete() {
            self.state = State::Body(reading);
            return Ok(false);
        }
        let due = Instant::now() + self.delay(&reading.request);
        self.state = State::Delay(reading, due);
        Ok(true)
    }

    fn delay(&self, request: &Request) -> Duration {
        match self.shared.behaviour {
            Behaviour::Slow(delay) => delay + request.wish.delay,
            _ => request.wish.delay,
        }
    }

    fn wait(&mut self, reading: Reading, due: Instant) -> bool {
        let is_due = due <= Instant::now();
        if is_due {
            self.begin_answer(reading);
        } else {
            self.state = State::Delay(reading, due);
        }
        is_due
    }

    fn begin_answer(&mut self, reading: Reading) {
        let (number, fails) = self.shared.count_request();
        let request = &reading.request;
        if request.wish.reset {
            self.output.clear();
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
        let label = &self.shared.label;
        let answer = Answer::begin(request, status, label, numbers, &mut self.output);
        self.state = State::Answer(answer);
    }

    fn write_answer(&mut self, mut answer: Answer) -> bool {
        let complete = answer.write(&mut self.output);
        let close = answer.close;
        self.state = match (complete, close) {
            (true, false) => State::Head,
            (true, true) => State::Closing,
            _ => State::Answer(answer),
        };
        complete
    }

    fn echo(&mut self) -> bool {
        self.output.append(&mut self.input);
        self.state = State::Tunnel;
        false
    }

    fn refuse(&mut self) {
        self.shared.counters.malformed.fetch_add(1, Relaxed);
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        self.output.extend_from_slice(answer);
        self.state = State::Closing;
    }

    /// Writes until the socket is full or nothing is left, the rest of an answer included.
    fn send(&mut self) -> io::Result<()> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            if self.written == self.output.len() {
                self.output.clear();
                self.written = 0;
                while let Ok(true) = self.step() {}
            }
        }
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.counters.open.fetch_sub(1, Relaxed);
    }
}
