//! A labelled origin server: says who answered, checks what it received, counts, and misbehaves on
//! request.
//!
//! Every answer carries `x-origin: LABEL`. The query of the request decides the rest:
//!
//! | parameter | effect |
//! |---|---|
//! | `size=N` | body of N bytes of the [pattern](crate::pattern) instead of a text |
//! | `chunked=1` | chunked instead of Content-Length |
//! | `trailers=1` | chunked, with the trailer `x-checked: yes` |
//! | `delay=MS` | waits before it answers |
//! | `status=N` | answers with this status |
//! | `close=1` | closes after the answer |
//! | `reset=1` | closes in place of an answer |
//!
//! Without `size` the body is a text with label, counters and the request as it arrived. A request
//! with `x-pattern: 1` must have a body that holds the pattern, or the answer is 422. An `upgrade`
//! is answered with 101 and an echo of all bytes.

mod answer;
mod connection;
mod request;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::poll::{Interest, Poller, raise, stop_signal};
use connection::Connection;

/// What kind of origin it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// Answers at once.
    Fast,
    /// Waits before each answer.
    Slow(Duration),
    /// Answers each n-th request with 503.
    Flaky(u64),
}

/// What an origin did so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Requests read to their end.
    pub requests: AtomicU64,
    /// Requests that broke the protocol, or whose body was not the one announced.
    pub malformed: AtomicU64,
    /// Connections open now.
    pub open: AtomicU64,
}

/// Name, behaviour and counters; shared by the threads of one origin.
#[derive(Debug)]
struct Shared {
    label: String,
    behaviour: Behaviour,
    counters: Counters,
}

/// A running origin; stops when dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Arc<OwnedFd>,
    threads: Vec<JoinHandle<()>>,
}

const TOKEN_LISTENER: u64 = 0;
const TOKEN_STOP: u64 = 1;
/// Pause after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

impl Origin {
    /// Binds `address` (port 0 for any free one) and serves on one thread.
    ///
    /// # Errors
    /// If the address is taken, or descriptors or threads have run out.
    pub fn start(label: &str, behaviour: Behaviour, address: SocketAddr) -> io::Result<Self> {
        Self::start_on(label, behaviour, TcpListener::bind(address)?, 1)
    }

    /// Serves a bound listener on so many threads.
    ///
    /// # Errors
    /// If descriptors or threads have run out.
    pub fn start_on(
        label: &str,
        behaviour: Behaviour,
        listener: TcpListener,
        threads: usize,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let mut origin = Self {
            address: listener.local_addr()?,
            shared: Arc::new(Shared {
                label: label.to_owned(),
                behaviour,
                counters: Counters::default(),
            }),
            stop: Arc::new(stop_signal()?),
            threads: Vec::new(),
        };
        for _ in 0..threads {
            let server = Server::new(&origin, listener.try_clone()?)?;
            let thread = std::thread::Builder::new().name(format!("origin-{label}"));
            origin.threads.push(thread.spawn(move || server.run())?);
        }
        Ok(origin)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name.
    pub fn label(&self) -> &str {
        &self.shared.label
    }

    /// What it did so far.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        // Writing 1 to a counter that is read by nobody cannot fail before 2^64 writes.
        let _ = raise(&self.stop);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One thread of an origin.
struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: Arc<OwnedFd>,
    poller: Poller,
    connections: HashMap<u64, Connection>,
    /// Connections that wait before they answer.
    delayed: Vec<u64>,
    next_token: u64,
}

impl Server {
    fn new(origin: &Origin, listener: TcpListener) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add_shared(&listener, TOKEN_LISTENER)?;
        poller.add(&*origin.stop, TOKEN_STOP, Interest::READ)?;
        Ok(Self {
            listener,
            shared: origin.shared.clone(),
            stop: origin.stop.clone(),
            poller,
            connections: HashMap::new(),
            delayed: Vec::new(),
            next_token: TOKEN_STOP + 1,
        })
    }

    fn run(mut self) {
        let mut ready = Vec::new();
        while self.poller.wait(self.patience(), &mut ready).is_ok() {
            for edge in ready.drain(..) {
                match edge.token {
                    TOKEN_STOP => return,
                    TOKEN_LISTENER => self.accept(),
                    token => self.advance(token),
                }
            }
            self.wake_delayed();
        }
        // The stop signal lives as long as any thread may wait for it.
        drop(self.stop);
    }

    /// How long the next delayed answer may be waited for.
    fn patience(&self) -> Duration {
        let due = self.delayed.iter().filter_map(|token| self.due(*token));
        due.min().map_or(Duration::from_secs(3600), |due| {
            due.saturating_duration_since(Instant::now())
        })
    }

    fn due(&self, token: u64) -> Option<Instant> {
        self.connections.get(&token)?.due()
    }

    fn wake_delayed(&mut self) {
        let now = Instant::now();
        for token in std::mem::take(&mut self.delayed) {
            match self.due(token) {
                Some(due) if due > now => self.delayed.push(token),
                Some(_) => self.advance(token),
                None => {}
            }
        }
    }

    fn accept(&mut self) {
        match self.listener.accept() {
            Ok((stream, _)) => drop(self.adopt(stream)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => std::thread::sleep(ACCEPT_PAUSE),
        }
    }

    fn adopt(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let token = self.next_token;
        self.next_token += 1;
        self.poller.add(&stream, token, Interest::READ)?;
        let connection = Connection::new(stream, self.shared.clone());
        self.connections.insert(token, connection);
        Ok(())
    }

    fn advance(&mut self, token: u64) {
        let Some(connection) = self.connections.get_mut(&token) else {
            return;
        };
        let before = connection.interest();
        if !connection.advance() {
            self.connections.remove(&token);
            return;
        }
        let after = connection.interest();
        if before != after
            && self
                .poller
                .change(connection.stream(), token, after)
                .is_err()
        {
            self.connections.remove(&token);
            return;
        }
        if connection.due().is_some() && !self.delayed.contains(&token) {
            self.delayed.push(token);
        }
    }
}

impl Shared {
    /// Counts a request; true if it is one of those that a flaky origin fails.
    fn count_request(&self) -> (u64, bool) {
        let number = self.counters.requests.fetch_add(1, Relaxed) + 1;
        let fails =
            matches!(self.behaviour, Behaviour::Flaky(n) if n > 0 && number.is_multiple_of(n));
        (number, fails)
    }
}
