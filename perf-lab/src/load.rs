//! A closed-loop HTTP/1.1 load client that checks every answer.
//!
//! Threads times connections, one request at a time on each. It measures nothing but counts, on
//! purpose: in a closed loop latency is not what a user sees. A connection that the other end
//! announced to close (`Connection: close`, HTTP/1.0) is opened anew and is no failure; anything
//! else that goes wrong is counted by its kind.

mod connection;
mod request;
mod response;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::poll::{Interest, Poller};
use connection::{Connection, Outcome};

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
    /// Bytes of the pattern that every answer must have; `None` accepts any body.
    pub size: Option<u64>,
    /// When a kept connection turns out to be closed before a byte of the answer, send a GET again
    /// on a fresh one, as RFC 9110 section 9.2.2 lets every client do. Counted, and no failure.
    pub resend: bool,
    /// A refused or reset connect ends that connection's loop and is no failure: the server has
    /// left. The kernel may also have opened a connection that the leaving server never took: when
    /// it ends before a byte of its first answer, a GET is sent again, and counted as such.
    pub until_refused: bool,
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
            size: None,
            resend: false,
            until_refused: false,
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
    /// If descriptors or threads have run out.
    pub fn start(&self) -> io::Result<Running> {
        let shared = Arc::new(Shared {
            load: self.clone(),
            request: request::build(self),
            started: Instant::now(),
            stop: AtomicBool::new(false),
            claimed: AtomicU64::new(0),
            answered: AtomicU64::new(0),
        });
        let threads = self.threads.clamp(1, self.connections.max(1));
        let spawn = |index: usize| {
            let share = (self.connections + threads - 1 - index) / threads;
            let client = Client::new(shared.clone(), share)?;
            let thread = std::thread::Builder::new().name(format!("load-{index}"));
            thread.spawn(move || client.run())
        };
        Ok(Running {
            threads: (0..threads).map(spawn).collect::<io::Result<_>>()?,
            shared,
        })
    }
}

/// Load that is on its way.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<io::Result<Report>>>,
}

impl Running {
    /// Correct answers so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Relaxed)
    }

    /// Lets requests that are on their way finish and sends no new ones.
    pub fn stop(&self) {
        self.shared.stop.store(true, Relaxed);
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// If a thread could not poll its sockets.
    ///
    /// # Panics
    /// If a thread did.
    pub fn finish(mut self) -> io::Result<Report> {
        let mut sum = Report::default();
        for thread in std::mem::take(&mut self.threads) {
            sum.add(&thread.join().expect("a load thread panicked")?);
        }
        sum.elapsed = self.shared.started.elapsed();
        Ok(sum)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What went wrong, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The connection could not be opened.
    Connect,
    /// A new connection was closed or reset before the first byte of the answer.
    Closed,
    /// A kept connection was closed or reset, unannounced, before the first byte of the answer.
    Stale,
    /// Reset or closed in the middle of an answer.
    Cut,
    /// No complete answer in time.
    Timeout,
    /// The answer is no HTTP, or bytes follow it.
    Malformed,
    /// Another status than the one expected.
    Status,
    /// Another length than the one expected.
    Length,
    /// A wrong byte in the body.
    Pattern,
}

impl Failure {
    /// Every kind with its name.
    pub const ALL: [(Failure, &'static str); 9] = [
        (Failure::Connect, "connect"),
        (Failure::Closed, "closed"),
        (Failure::Stale, "stale"),
        (Failure::Cut, "cut"),
        (Failure::Timeout, "timeout"),
        (Failure::Malformed, "malformed"),
        (Failure::Status, "status"),
        (Failure::Length, "length"),
        (Failure::Pattern, "pattern"),
    ];
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Correct answers.
    pub answered: u64,
    /// Failures, in the order of [`Failure::ALL`].
    pub failures: [u64; Failure::ALL.len()],
    /// Connections opened.
    pub connects: u64,
    /// Connections that the other end announced to close.
    pub announced: u64,
    /// Requests sent again on a fresh connection.
    pub resent: u64,
    /// Loops that ended because a connect was refused.
    pub refused: u64,
    /// Bytes received.
    pub bytes: u64,
    /// From start to end.
    pub elapsed: Duration,
}

impl Report {
    /// Failures of every kind.
    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }

    /// Failures of one kind.
    pub fn failed_by(&self, kind: Failure) -> u64 {
        self.failures[kind as usize]
    }

    fn add(&mut self, other: &Report) {
        self.answered += other.answered;
        for (sum, count) in self.failures.iter_mut().zip(other.failures) {
            *sum += count;
        }
        self.connects += other.connects;
        self.announced += other.announced;
        self.resent += other.resent;
        self.refused += other.refused;
        self.bytes += other.bytes;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        write!(
            f,
            "answered {} failed {} in {seconds:.2} s ({:.0}/s), {} connects, {} announced closes, \
             {} resent, {} bytes",
            self.answered,
            self.failed(),
            self.answered as f64 / seconds.max(1e-9),
            self.connects,
            self.announced,
            self.resent,
            self.bytes,
        )?;
        for ((_, name), count) in Failure::ALL.iter().zip(self.failures) {
            if count > 0 {
                write!(f, ", {name} {count}")?;
            }
        }
        Ok(())
    }
}

/// What all threads know.
#[derive(Debug)]
struct Shared {
    load: Load,
    request: Vec<u8>,
    started: Instant,
    stop: AtomicBool,
    claimed: AtomicU64,
    answered: AtomicU64,
}

impl Shared {
    /// True if one more request may be sent.
    fn claim(&self) -> bool {
        let late = |duration| self.started.elapsed() >= duration;
        if self.stop.load(Relaxed) || self.load.duration.is_some_and(late) {
            return false;
        }
        let Some(limit) = self.load.requests else {
            return true;
        };
        self.claimed.fetch_add(1, Relaxed) < limit
    }
}

/// How often timeouts are looked for.
const TICK: Duration = Duration::from_millis(100);

/// One thread: its connections and its part of the report.
struct Client {
    shared: Arc<Shared>,
    poller: Poller,
    connections: Vec<Option<Connection>>,
    report: Report,
}

impl Client {
    fn new(shared: Arc<Shared>, connections: usize) -> io::Result<Self> {
        Ok(Self {
            shared,
            poller: Poller::new()?,
            connections: (0..connections).map(|_| None).collect(),
            report: Report::default(),
        })
    }

    fn run(mut self) -> io::Result<Report> {
        for slot in 0..self.connections.len() {
            self.start(slot);
        }
        let (mut ready, mut checked) = (Vec::new(), Instant::now());
        while self.connections.iter().any(Option::is_some) {
            self.poller.wait(TICK, &mut ready)?;
            for slot in ready.drain(..) {
                self.advance(slot as usize);
            }
            if checked.elapsed() >= TICK {
                checked = Instant::now();
                self.expire(checked);
            }
        }
        Ok(self.report)
    }

    fn start(&mut self, slot: usize) {
        if self.next(slot) {
            self.advance(slot);
        }
    }

    /// Begins the next request in `slot`; false if there is none to send.
    fn next(&mut self, slot: usize) -> bool {
        if !self.shared.claim() {
            self.connections[slot] = None;
            return false;
        }
        self.begin(slot)
    }

    /// Begins a request that is claimed already, on the connection of `slot` or a new one.
    fn begin(&mut self, slot: usize) -> bool {
        if self.connections[slot].is_none() && !self.connect(slot) {
            return false;
        }
        let connection = self.connections[slot].as_mut();
        connection.map(Connection::begin).is_some()
    }

    /// Opens a connection; on failure the slot stays empty for the rest of the run.
    fn connect(&mut self, slot: usize) -> bool {
        let opened = Connection::open(&self.shared.load)
            .and_then(|connection| self.register(slot, connection));
        match opened {
            Ok(connection) => {
                self.report.connects += 1;
                self.connections[slot] = Some(connection);
                true
            }
            Err(error) => {
                use io::ErrorKind::{ConnectionRefused, ConnectionReset};
                let gone = matches!(error.kind(), ConnectionRefused | ConnectionReset);
                let left = gone && self.shared.load.until_refused;
                match left {
                    true => self.report.refused += 1,
                    false => self.report.failures[Failure::Connect as usize] += 1,
                }
                false
            }
        }
    }

    fn register(&self, slot: usize, connection: Connection) -> io::Result<Connection> {
        self.poller
            .add(connection.stream(), slot as u64, Interest::READ)?;
        Ok(connection)
    }

    /// Goes on in `slot` until it has to wait.
    fn advance(&mut self, slot: usize) {
        while let Some(connection) = &mut self.connections[slot] {
            let before = connection.interest();
            let outcome = connection.advance(&self.shared, &mut self.report.bytes);
            let after = connection.interest();
            if before != after {
                // A descriptor that is registered and open can always be changed.
                let _ = self.poller.change(connection.stream(), slot as u64, after);
            }
            if outcome == Outcome::Waits || !self.conclude(slot, outcome) {
                return;
            }
        }
    }

    /// Counts the end of a request and begins the next; false if there is none.
    fn conclude(&mut self, slot: usize, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Waits => {}
            Outcome::Answered { kept, announced } => {
                self.report.answered += 1;
                self.report.announced += u64::from(announced);
                self.shared.answered.fetch_add(1, Relaxed);
                if !kept {
                    self.connections[slot] = None;
                }
            }
            Outcome::Stale if self.shared.load.resend && self.shared.load.body.is_none() => {
                self.report.resent += 1;
                self.connections[slot] = None;
                return self.begin(slot);
            }
            Outcome::Failed(Failure::Closed)
                if self.shared.load.until_refused && self.shared.load.body.is_none() =>
            {
                self.report.resent += 1;
                self.connections[slot] = None;
                return self.begin(slot);
            }
            Outcome::Stale => self.fail(slot, Failure::Stale),
            Outcome::Failed(kind) => self.fail(slot, kind),
        }
        self.next(slot)
    }

    fn fail(&mut self, slot: usize, kind: Failure) {
        self.report.failures[kind as usize] += 1;
        self.connections[slot] = None;
    }

    fn expire(&mut self, now: Instant) {
        for slot in 0..self.connections.len() {
            let late = |connection: &Connection| connection.is_late(now, &self.shared.load);
            if self.connections[slot].as_ref().is_some_and(late) {
                self.fail(slot, Failure::Timeout);
                self.start(slot);
            }
        }
    }
}
