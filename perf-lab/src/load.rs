//! An HTTP/1.1 load client that checks every answer, in a closed loop or at a rate.
//!
//! Threads times connections, one request at a time on each.
//!
//! - **Closed loop**: a connection sends its next request when the last one is answered. It shows
//!   what a gateway can carry. Its latency is recorded, but it is not what a user sees.
//! - **Open loop** ([`Load::rate`]): requests are due on a schedule. Latency counts from the time
//!   at which a request was *due*; one that finds every connection busy waits, and its wait counts.
//!   How late the load itself was is recorded too ([`Observation::lateness`]).
//!
//! A connection that the other end announced to close (`Connection: close`, HTTP/1.0) is opened
//! anew and is no failure; anything else that goes wrong is counted by its kind.
//!
//! [`Running::observe`] takes what happened since the last look, while the load goes on.

pub(crate) mod client;
mod connection;
mod exchange;
mod observe;
mod report;
mod request;
mod response;
mod running;
mod schedule;
mod silent;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::outgoing::Outgoing;
use crate::poll::{self, Poller};
use client::Client;
use running::Offer;
use schedule::Schedule;

pub use observe::{Observation, latency};
pub use report::{Failure, Report};
pub use running::Running;
pub use schedule::Arrivals;

/// What is sent, how often, and what must come back.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to connect.
    pub address: SocketAddr,
    /// Value of Host.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// Further header lines, without line ends.
    pub fields: Vec<String>,
    /// Body of the request: bytes of the pattern by POST; `None` for GET.
    pub body: Option<u64>,
    /// Send the body in chunks.
    pub chunked: bool,
    /// One connection for many requests, or one for each.
    pub keep_alive: bool,
    /// Connections in all.
    pub connections: usize,
    /// Threads that drive them.
    pub threads: usize,
    /// Requests in all; `None` for no limit.
    pub requests: Option<u64>,
    /// How long; `None` for no limit.
    pub duration: Option<Duration>,
    /// Longest wait for an answer.
    pub timeout: Duration,
    /// Status that every answer must have.
    pub status: u16,
    /// A status that answers may have as well: an origin that refuses some requests on purpose.
    pub also: Option<u16>,
    /// Bytes of the pattern that every answer must have; `None` accepts any body.
    pub size: Option<u64>,
    /// When a kept connection turns out to be closed before a byte of the answer, send a GET again
    /// on a fresh one, as RFC 9110 section 9.2.2 lets every client do. Counted, and no failure.
    pub resend: bool,
    /// A refused or reset connect ends that connection's loop and is no failure: the server has
    /// left. The kernel may also have opened a connection that the leaving server never took: when
    /// it ends before a byte of its first answer, a GET is sent again, and counted as such.
    pub until_refused: bool,
    /// What is spoken on the connections.
    pub protocol: Protocol,
    /// Requests per second in all, whatever the answers: an open loop. `None` for a closed one.
    pub rate: Option<f64>,
    /// How the gaps between requests of an open loop are spread.
    pub arrivals: Arrivals,
    /// Where arrivals and random fields come from: the same seed, the same requests.
    pub seed: u64,
    /// Connections that are opened beside and before, have one request each, and stay silent.
    pub idle: usize,
    /// Further fields of random size, 64 sets of them in turn.
    pub random_fields: usize,
    /// Bytes of a Cookie field; 0 for none.
    pub cookie: usize,
    /// Requests on a connection until it is closed; `None` for no limit.
    pub requests_per_connection: Option<u64>,
    /// Write and read a little at a time.
    pub slow: Option<Slow>,
}

/// What is spoken on the connections of a load.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// HTTP/1.1 without TLS.
    #[default]
    Http1,
    /// Bytes of the pattern, [`Load::body`] of them in each message, that must come back: through a
    /// TCP relay from an origin that echoes.
    Tcp,
}

/// How slowly a client writes and reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slow {
    /// Bytes each way at a time.
    pub bytes: usize,
    /// How often.
    pub every: Duration,
}

impl Load {
    /// GET `path` on 16 kept connections by one thread, any body, status 200, no limit.
    pub fn new(address: SocketAddr, path: &str) -> Self {
        Self {
            address,
            host: address.to_string(),
            path: path.to_owned(),
            fields: Vec::new(),
            body: None,
            chunked: false,
            keep_alive: true,
            connections: 16,
            threads: 1,
            requests: None,
            duration: None,
            timeout: Duration::from_secs(10),
            status: 200,
            also: None,
            size: None,
            resend: false,
            until_refused: false,
            protocol: Protocol::Http1,
            rate: None,
            arrivals: Arrivals::Poisson,
            seed: 1,
            idle: 0,
            random_fields: 0,
            cookie: 0,
            requests_per_connection: None,
            slow: None,
        }
    }

    /// Runs to its end and reports.
    ///
    /// # Errors
    /// If descriptors or threads have run out. What happens on connections is in the report.
    pub fn run(&self) -> io::Result<Report> {
        self.start()?.finish()
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// If descriptors or threads have run out, the limit of descriptors is below the number of
    /// connections, or the rate is not a number above 0.
    pub fn start(&self) -> io::Result<Running> {
        let mut running = Running::new(self)?;
        for index in 0..running.shared.threads {
            let poller = Arc::new(Poller::new()?);
            let (client, report) = running.client(index, poller.clone());
            let thread = std::thread::Builder::new().name(format!("load-{index}"));
            thread.spawn(move || drop(report.send(drive(client, &poller))))?;
        }
        Ok(running)
    }
}

/// One thread from start to end.
fn drive(mut client: Client, poller: &Poller) -> io::Result<()> {
    poll::be_punctual();
    let mut edges = Vec::new();
    client.turn(&edges);
    while !client.is_done() {
        poller.wait_until(client.due(), &mut edges)?;
        client.turn(&edges);
        edges.clear();
    }
    Ok(())
}

/// What all threads know.
#[derive(Debug)]
struct Shared {
    load: Load,
    threads: usize,
    requests: Vec<Outgoing>,
    next_request: AtomicUsize,
    started: Instant,
    stop: AtomicBool,
    answered: AtomicU64,
}

impl Shared {
    fn new(load: &Load) -> Self {
        Self {
            load: load.clone(),
            threads: load.threads.clamp(1, load.connections.max(1)),
            requests: request::build(load),
            next_request: AtomicUsize::new(0),
            started: Instant::now(),
            stop: AtomicBool::new(false),
            answered: AtomicU64::new(0),
        }
    }

    /// When the requests of a thread are due; `None` in a closed loop.
    fn schedule(&self, thread: usize) -> Option<Schedule> {
        let rate = self.load.rate? / self.threads as f64;
        let seed = self.load.seed.wrapping_add(thread as u64);
        Some(Schedule::new(self.load.arrivals, rate, seed))
    }

    /// The part of the requests that a thread sends, whatever the others do: so each of them uses
    /// all of its connections.
    fn part(&self, thread: usize) -> u64 {
        let Some(requests) = self.load.requests else {
            return u64::MAX;
        };
        let threads = self.threads as u64;
        let more = u64::from((thread as u64) < requests % threads);
        requests / threads + more
    }

    fn offer(&self, thread: usize) -> Offer {
        Offer {
            schedule: self.schedule(thread),
            left: self.part(thread),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// True if a request may be sent that is due so many nanoseconds after the begin.
    fn goes_on(&self, due: u64) -> bool {
        let over = |duration: Duration| u128::from(due) >= duration.as_nanos();
        !self.is_stopped() && !self.load.duration.is_some_and(over)
    }

    /// Which of the prepared requests is sent next.
    fn next_request(&self) -> usize {
        match self.requests.len() {
            1 => 0,
            count => self.next_request.fetch_add(1, Relaxed) % count,
        }
    }
}
