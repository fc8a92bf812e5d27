//! Origin and load on one thread and one poller: about half the cost of the two apart, because
//! nobody has to be woken, and one wait serves both. With 64 connections a request and its answer
//! of 1 KiB are four calls for both ends together (a write and a read each), and a wait for each
//! 30 of them.
//!
//! The origin serves from the start; loads come later, one after the other.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use crate::load::client::Client;
use crate::load::{Load, Running};
use crate::net;
use crate::origin::{Behaviour, Counters, Server, Shared};
use crate::poll::{self, Edge, Poller};

/// Token of the bell.
const TOKEN_BELL: u64 = u64::MAX - 1;
/// Where the tokens of the origin begin, behind those of the load.
const TOKEN_ORIGIN: u64 = 1 << 40;

/// A running origin whose thread takes loads; stops when dropped.
#[derive(Debug)]
pub struct Fused {
    address: SocketAddr,
    shared: Arc<Shared>,
    poller: Arc<Poller>,
    bell: Arc<OwnedFd>,
    tasks: Option<mpsc::Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

/// A load, and who waits for its end.
struct Task {
    client: Client,
    done: mpsc::Sender<io::Result<()>>,
}

impl Fused {
    /// Serves a bound listener.
    ///
    /// # Errors
    /// If descriptors or threads have run out.
    pub fn start(label: &str, behaviour: Behaviour, listener: TcpListener) -> io::Result<Self> {
        net::prepare(&listener)?;
        let (address, shared) = (listener.local_addr()?, Shared::new(label, behaviour));
        let (poller, bell) = (Arc::new(Poller::new()?), Arc::new(poll::stop_signal()?));
        poller.add(&*bell, TOKEN_BELL)?;
        let server = Server::new(listener, shared.clone(), poller.clone(), TOKEN_ORIGIN)?;
        let (tasks, inbox) = mpsc::channel();
        let mut seat = Seat {
            poller: poller.clone(),
            bell: bell.clone(),
            server,
            inbox,
            task: None,
        };
        let thread = std::thread::Builder::new().name(format!("fused-{label}"));
        Ok(Self {
            address,
            shared,
            poller,
            bell,
            tasks: Some(tasks),
            thread: Some(thread.spawn(move || drop(seat.run()))?),
        })
    }

    /// Where the origin listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the origin did so far.
    pub fn counters(&self) -> &Counters {
        self.shared.counters()
    }

    /// Starts a load on the origin's thread, after those that were given before; it has one thread
    /// whatever it says.
    ///
    /// # Errors
    /// As [`Load::start`], or if the thread could not poll and is gone.
    pub fn start_load(&self, load: &Load) -> io::Result<Running> {
        let single = Load {
            threads: 1,
            ..load.clone()
        };
        let (running, client, done) = Running::on(&single, self.poller.clone())?;
        let gone = || io::Error::other("the thread of origin and load is gone");
        let tasks = self.tasks.as_ref().ok_or_else(gone)?;
        tasks.send(Task { client, done }).map_err(|_| gone())?;
        poll::raise(&self.bell)?;
        Ok(running)
    }
}

impl Drop for Fused {
    fn drop(&mut self) {
        self.tasks = None;
        // Writing 1 to a counter that is read cannot fail before 2^64 writes.
        let _ = poll::raise(&self.bell);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Seat {
    poller: Arc<Poller>,
    bell: Arc<OwnedFd>,
    server: Server,
    inbox: mpsc::Receiver<Task>,
    task: Option<Task>,
}

impl Seat {
    fn run(&mut self) -> io::Result<()> {
        poll::be_punctual();
        let mut edges = Vec::new();
        loop {
            self.poller.wait_until(self.due(), &mut edges)?;
            if edges.iter().any(|edge| edge.token == TOKEN_BELL) {
                poll::hush(&self.bell)?;
                if !self.take_task() {
                    return Ok(());
                }
            }
            self.turn(&mut edges);
            edges.clear();
        }
    }

    fn due(&self) -> std::time::Instant {
        let server = self.server.due();
        let load = self.task.as_ref().map(|task| task.client.due());
        load.map_or(server, |load| load.min(server))
    }

    /// Looks for a load if there is none; false if no more will come.
    fn take_task(&mut self) -> bool {
        if self.task.is_none() {
            match self.inbox.try_recv() {
                Ok(task) => self.task = Some(task),
                Err(mpsc::TryRecvError::Empty) => {}
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    /// The origin first: what it answers the load can take in the same turn or the next.
    fn turn(&mut self, edges: &mut Vec<Edge>) {
        edges.retain(|edge| {
            if (TOKEN_ORIGIN..TOKEN_BELL).contains(&edge.token) {
                self.server.take(edge);
            }
            edge.token < TOKEN_ORIGIN
        });
        self.server.wake_delayed();
        let Some(task) = &mut self.task else {
            return;
        };
        task.client.turn(edges);
        if task.client.is_done() {
            // Nobody has to wait for the end.
            let _ = task.done.send(Ok(()));
            self.task = None;
            // The bell may have rung for the next one, or for the end, while this one was running.
            let _ = poll::raise(&self.bell);
        }
    }
}
