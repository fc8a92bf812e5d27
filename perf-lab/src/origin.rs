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
mod server;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::net;
use crate::poll::{Poller, raise, stop_signal};

pub(crate) use server::Server;

/// What kind of origin it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// Answers at once.
    Fast,
    /// Waits before each answer.
    Slow(Duration),
    /// Answers each n-th request with 503.
    Flaky(u64),
    /// Sends back what comes, without HTTP.
    Echo,
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
pub(crate) struct Shared {
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

const TOKEN_STOP: u64 = u64::MAX - 1;

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
        net::prepare(&listener)?;
        let mut origin = Self {
            address: listener.local_addr()?,
            shared: Shared::new(label, behaviour),
            stop: Arc::new(stop_signal()?),
            threads: Vec::new(),
        };
        for _ in 0..threads {
            let poller = Arc::new(Poller::new()?);
            poller.add(&*origin.stop, TOKEN_STOP)?;
            let (listener, shared) = (listener.try_clone()?, origin.shared.clone());
            let mut server = Server::new(listener, shared, poller.clone(), 0)?;
            let thread = std::thread::Builder::new().name(format!("origin-{label}"));
            let stop = origin.stop.clone();
            origin.threads.push(thread.spawn(move || {
                serve(&mut server, &poller);
                // The stop signal lives as long as any thread may wait for it.
                drop(stop);
            })?);
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

/// Serves until the stop signal, or until polling fails.
fn serve(server: &mut Server, poller: &Poller) {
    let mut edges = Vec::new();
    while poller.wait_until(server.due(), &mut edges).is_ok() {
        for edge in edges.drain(..) {
            match edge.token {
                TOKEN_STOP => return,
                _ => server.take(&edge),
            }
        }
        server.wake_delayed();
    }
}

impl Shared {
    pub(crate) fn new(label: &str, behaviour: Behaviour) -> Arc<Self> {
        Arc::new(Self {
            label: label.to_owned(),
            behaviour,
            counters: Counters::default(),
        })
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Counts a request; true if it is one of those that a flaky origin fails.
    fn count_request(&self) -> (u64, bool) {
        let number = self.counters.requests.fetch_add(1, Relaxed) + 1;
        let fails =
            matches!(self.behaviour, Behaviour::Flaky(n) if n > 0 && number.is_multiple_of(n));
        (number, fails)
    }
}
