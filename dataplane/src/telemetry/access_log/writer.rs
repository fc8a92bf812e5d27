//! The thread that writes access logs.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use penstock_core::config::SinkId;
use penstock_core::stats::WorkerIndex;
use penstock_runtime::worker::LogWriter;

use super::Sinks;
use super::output::Output;
use super::ring::{Drain, LogRing, ring};
use super::sinks::id;

/// Bytes of one worker's ring: at 250 bytes a line about 4,000 lines.
const RING_BYTES: usize = 1024 * 1024;
/// The writer looks at the rings at least this often.
const POLL: Duration = Duration::from_millis(200);
/// A line is in its file after this time at the latest, however busy the rings are.
const FLUSH: Duration = Duration::from_secs(1);

/// The workers' ends, in the order of the workers.
pub type Rings = Vec<LogRing>;

/// How the runtime gets each worker's way to its ring.
pub fn log_writers(rings: Rings) -> Arc<dyn Fn(WorkerIndex) -> LogWriter + Send + Sync> {
    let rings: Vec<_> = rings
        .into_iter()
        .map(|ring| Mutex::new(Some(ring)))
        .collect();
    Arc::new(move |worker| {
        let ring = rings.get(worker.0 as usize);
        let ring = ring.and_then(|ring| ring.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut ring = ring.expect("the runtime asks once for each of its workers");
        Box::new(move |sink, line| ring.push(sink, line))
    })
}

/// The running thread. Dropping it writes what is left and waits for the thread;
/// [`AccessLogWriter::stop`] does so with a limit.
#[derive(Debug)]
pub struct AccessLogWriter {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    Reopen,
    Flush(Sender<()>),
    Stop(Sender<()>),
}

impl AccessLogWriter {
    /// Starts the thread, with one ring for each of `workers` workers.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(sinks: Arc<Sinks>, workers: usize) -> io::Result<(Self, Rings)> {
        let (mut rings, drains): (Rings, Vec<Drain>) = (0..workers)
            .map(|_| ring(RING_BYTES, sinks.clone()))
            .unzip();
        let (orders, received) = mpsc::channel();
        let writing = Writing::new(sinks, drains);
        let thread = thread::Builder::new()
            .name("penstock-log".into())
            .spawn(move || writing.run(&received))?;
        for ring in &mut rings {
            ring.wakes(thread.thread().clone());
        }
        let thread = Some(thread);
        Ok((Self { orders, thread }, rings))
    }

    /// Closes all files and opens them again by name (SIGUSR1, after rotation). Returns at once.
    pub fn reopen(&self) {
        self.order(Order::Reopen);
    }

    /// Writes everything that was pushed before the call; false if that took longer than `limit`.
    pub fn flush(&self, limit: Duration) -> bool {
        let (done, wait) = mpsc::channel();
        self.order(Order::Flush(done));
        wait.recv_timeout(limit).is_ok()
    }

    /// Writes everything and ends the thread; false if that took longer than `limit` (a stuck
    /// pipe), in which case the thread is left behind. Call it after the workers have ended.
    pub fn stop(mut self, limit: Duration) -> bool {
        let (done, wait) = mpsc::channel();
        self.order(Order::Stop(done));
        let stopped = wait.recv_timeout(limit).is_ok();
        if !stopped {
            drop(self.thread.take());
        }
        stopped
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_ok()
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
    }
}

impl Drop for AccessLogWriter {
    fn drop(&mut self) {
        let (done, _) = mpsc::channel();
        self.order(Order::Stop(done));
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the access log writer panicked; lines were lost");
        }
    }
}

/// What the thread owns.
struct Writing {
    sinks: Arc<Sinks>,
    drains: Vec<Drain>,
    outputs: Vec<Output>,
    flushed: Instant,
}

impl Writing {
    fn new(sinks: Arc<Sinks>, drains: Vec<Drain>) -> Self {
        Self {
            sinks,
            drains,
            outputs: Vec::new(),
            flushed: Instant::now(),
        }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            // Orders first: a flush covers whatever was pushed before it was asked for.
            let order = orders.try_recv();
            let moved = self.turn();
            match order {
                Ok(Order::Reopen) => self.reopen(),
                Ok(Order::Flush(done)) => {
                    self.flush();
                    // Nobody waits any more if the limit was over.
                    let _ = done.send(());
                }
                Ok(Order::Stop(done)) => {
                    self.flush();
                    let _ = done.send(());
                    return;
                }
                Err(_) if moved => {}
                Err(_) => {
                    self.flush();
                    thread::park_timeout(POLL);
                }
            }
        }
    }

    /// Empties every ring once; true if there was anything.
    fn turn(&mut self) -> bool {
        self.open_new();
        let mut moved = false;
        for drain in &mut self.drains {
            moved |= drain.drain(|sink, first, second| {
                add(&mut self.outputs, &self.sinks, sink, (first, second));
            });
        }
        if self.flushed.elapsed() >= FLUSH {
            self.flush();
        }
        moved
    }

    fn open_new(&mut self) {
        let new = self.sinks.since(self.outputs.len());
        self.outputs.extend(new.into_iter().map(Output::new));
    }

    fn flush(&mut self) {
        self.flushed = Instant::now();
        for (index, output) in self.outputs.iter_mut().enumerate() {
            if let Some(counters) = self.sinks.counters(id(index)) {
                output.flush(counters);
            }
        }
    }

    fn reopen(&mut self) {
        for (index, output) in self.outputs.iter_mut().enumerate() {
            if let Some(counters) = self.sinks.counters(id(index)) {
                output.reopen(counters);
            }
        }
    }
}

fn add(outputs: &mut Vec<Output>, sinks: &Sinks, sink: SinkId, line: (&[u8], &[u8])) {
    let index = sink.0 as usize;
    if index >= outputs.len() {
        // Named after this turn began: a worker can be faster than our look at the table.
        outputs.extend(sinks.since(outputs.len()).into_iter().map(Output::new));
    }
    if let (Some(output), Some(counters)) = (outputs.get_mut(index), sinks.counters(sink)) {
        output.add(line, counters);
    }
}
