//! Simple machines and clients with which the driver tests see real sockets from both ends.

use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fastpath_sys::socket::ListenOptions;
use penstock_core::buffer::{Buffer, BufferPool};
use penstock_core::config::{ListenerId, Snapshot};
use penstock_core::event::{Close, ConnId, Event, IoFault, Now, Op, Time};
use penstock_core::machine::Machine;
use penstock_core::stats::WorkerIndex;
use penstock_runtime::listen::{self, Sharing};
use penstock_runtime::{Options, Placement, Preference, Runtime};

/// How long a test waits for what must come; only a hang ever takes that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes queued towards one connection above which its source is stopped, and below which it goes
/// on.
pub(crate) const HIGH: usize = 128 * 1024;
const LOW: usize = 32 * 1024;

/// What the machines of a test have seen, over all workers.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) open: AtomicUsize,
    pub(crate) accepted: AtomicUsize,
    pub(crate) accept_failures: AtomicUsize,
    pub(crate) queued_most: AtomicUsize,
    pub(crate) in_use: AtomicUsize,
    /// Bytes that the driver relayed by itself, and most that it held meanwhile.
    pub(crate) relayed: AtomicU64,
    pub(crate) held_most: AtomicUsize,
    /// Bytes that came to a mute machine all the same.
    pub(crate) muted: AtomicUsize,
    pub(crate) faults: Mutex<Vec<IoFault>>,
    /// Who holds it keeps the machines from draining.
    pub(crate) gate: Mutex<()>,
}

/// What a machine does with a client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Sends back what comes.
    Echo,
    /// Connects it with this address.
    Relay(SocketAddr),
    /// The same, and offers the driver to relay so many bytes each way by itself.
    Bulk(SocketAddr, u64),
    /// Closes it when its first bytes came, with more of them on the way.
    CloseAtFirstBytes(Close),
    /// Closes it as soon as it is accepted.
    CloseAtOnce,
    /// Stops to receive as soon as it is accepted.
    Mute,
    /// Echoes, but stops to receive from who sends `p`, until another sends `g`.
    Pause,
    /// Panics.
    Panic,
}

struct Side {
    other: ConnId,
    queued: usize,
    connected: bool,
    stopped: bool,
    ended: bool,
    closing: bool,
}

/// Echo and relay in one: an echo is a relay whose other side is itself.
pub(crate) struct Proxy {
    duty: Duty,
    pool: BufferPool,
    ops: VecDeque<Op>,
    sides: HashMap<ConnId, Side>,
    free: Vec<u32>,
    slots: u32,
    generation: u32,
    listeners: Vec<ListenerId>,
    /// Listeners whose sockets are being closed.
    unlistening: usize,
    draining: bool,
    tally: Arc<Tally>,
}

impl Proxy {
    pub(crate) fn new(duty: Duty, pool: BufferPool, tally: Arc<Tally>) -> Self {
        Self {
            duty,
            pool,
            ops: VecDeque::new(),
            sides: HashMap::new(),
            free: Vec::new(),
            slots: 0,
            generation: 0,
            listeners: vec![ListenerId(0)],
            unlistening: 0,
            draining: false,
            tally,
        }
    }

    fn open(&mut self) -> ConnId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        self.generation += 1;
        let conn = ConnId {
            slot,
            generation: self.generation,
        };
        self.tally.open.fetch_add(1, SeqCst);
        self.sides.insert(
            conn,
            Side {
                other: conn,
                queued: 0,
                connected: true,
                stopped: false,
                ended: false,
                closing: false,
            },
        );
        conn
    }

    fn accepted(&mut self, incoming: penstock_core::event::Incoming) {
        self.tally.accepted.fetch_add(1, SeqCst);
        let conn = self.open();
        self.ops.push_back(Op::Adopt { incoming, conn });
        match self.duty {
            Duty::Relay(address) | Duty::Bulk(address, _) => {
                let upstream = self.open();
                self.side(conn).other = upstream;
                self.side(upstream).other = conn;
                self.side(upstream).connected = false;
                self.ops.push_back(Op::ReceiveOff { conn });
                self.side(conn).stopped = true;
                self.ops.push_back(Op::Connect {
                    conn: upstream,
                    address,
                });
            }
            Duty::CloseAtOnce => self.close(conn, Close::Normal),
            Duty::Mute => self.ops.push_back(Op::ReceiveOff { conn }),
            Duty::Panic => panic!("as asked for"),
            Duty::Echo | Duty::Pause | Duty::CloseAtFirstBytes(_) => {}
        }
    }

    fn received(&mut self, conn: ConnId, buffer: Buffer) {
        assert!(!buffer.is_empty(), "empty Received");
        assert!(!self.sides[&conn].ended, "Received after End");
        if let Duty::CloseAtFirstBytes(how) = self.duty {
            self.pool.give(buffer);
            return self.close(conn, how);
        }
        if self.sides[&conn].closing || self.duty == Duty::Mute {
            self.tally.muted.fetch_add(buffer.len(), SeqCst);
            return self.pool.give(buffer);
        }
        if self.duty == Duty::Pause {
            self.pause(conn, buffer.as_slice()[0]);
        }
        let to = self.sides[&conn].other;
        self.side(to).queued += buffer.len();
        let queued = self.sides[&to].queued;
        self.tally.queued_most.fetch_max(queued, SeqCst);
        self.ops.push_back(Op::Send {
            conn: to,
            segment: buffer,
        });
        if queued > HIGH && !self.sides[&conn].stopped {
            self.side(conn).stopped = true;
            self.ops.push_back(Op::ReceiveOff { conn });
        }
    }

    fn pause(&mut self, conn: ConnId, byte: u8) {
        if byte == b'p' {
            self.side(conn).stopped = true;
            self.ops.push_back(Op::ReceiveOff { conn });
        }
        if byte == b'g' {
            let stopped = self.sides.iter_mut().filter(|(_, side)| side.stopped);
            for (conn, side) in stopped {
                side.stopped = false;
                self.ops.push_back(Op::ReceiveOn { conn: *conn });
            }
        }
    }

    fn sent(&mut self, conn: ConnId, bytes: u32, buffer: Buffer) {
        self.pool.give(buffer);
        self.side(conn).queued -= bytes as usize;
        let (queued, from) = (self.sides[&conn].queued, self.sides[&conn].other);
        let goes_on = queued < LOW && self.duty != Duty::Pause;
        if goes_on && self.sides.get(&from).is_some_and(|side| side.stopped) {
            self.side(from).stopped = false;
            self.ops.push_back(Op::ReceiveOn { conn: from });
        }
        self.finish(conn);
        self.finish(from);
    }

    fn ended(&mut self, conn: ConnId) {
        assert!(!self.sides[&conn].ended, "End twice");
        assert!(!self.sides[&conn].stopped, "End while receive is off");
        self.side(conn).ended = true;
        let to = self.sides[&conn].other;
        self.ops.push_back(Op::Shutdown { conn: to });
        self.finish(conn);
    }

    /// Closes both sides once both have ended and everything has left.
    fn finish(&mut self, conn: ConnId) {
        let Some(side) = self.sides.get(&conn) else {
            return;
        };
        let Some(other) = self.sides.get(&side.other) else {
            return;
        };
        if side.ended && other.ended && side.queued == 0 && other.queued == 0 {
            self.close_both(conn, Close::Normal);
        }
    }

    fn close_both(&mut self, conn: ConnId, how: Close) {
        let other = self.sides[&conn].other;
        self.close(conn, how);
        if other != conn && self.sides.contains_key(&other) {
            self.close(other, how);
        }
    }

    fn close(&mut self, conn: ConnId, how: Close) {
        let side = self.side(conn);
        if !side.closing {
            side.closing = true;
            self.ops.push_back(Op::Close { conn, how });
        }
    }

    fn side(&mut self, conn: ConnId) -> &mut Side {
        self.sides
            .get_mut(&conn)
            .expect("an event for a connection that is open")
    }
}

impl Machine for Proxy {
    fn handle(&mut self, event: Event, _now: Now) {
        match event {
            Event::Accepted {
                incoming,
                remote,
                local,
                ..
            } => {
                assert!(remote.ip().is_loopback() && local.ip().is_loopback());
                self.accepted(incoming);
            }
            Event::AcceptFailed { fault, .. } => {
                assert_eq!(fault, IoFault::Exhausted);
                self.tally.accept_failures.fetch_add(1, SeqCst);
            }
            Event::Connected {
                conn,
                result: Ok(local),
            } => {
                assert!(local.ip().is_loopback() && local.port() != 0);
                self.side(conn).connected = true;
                let downstream = self.sides[&conn].other;
                self.side(downstream).stopped = false;
                self.ops.push_back(Op::ReceiveOn { conn: downstream });
                if let Duty::Bulk(_, bytes) = self.duty {
                    for (from, to) in [(conn, downstream), (downstream, conn)] {
                        self.ops.push_back(Op::Relay { from, to, bytes });
                    }
                }
            }
            Event::Connected {
                conn,
                result: Err(fault),
            }
            | Event::Failed { conn, fault } => {
                self.tally.faults.lock().unwrap().push(fault);
                self.close_both(conn, Close::Reset);
            }
            Event::Received { conn, buffer } => self.received(conn, buffer),
            Event::End { conn } => self.ended(conn),
            Event::Sent {
                conn,
                bytes,
                buffer,
            } => self.sent(conn, bytes, buffer),
            Event::Closed { conn } => {
                self.sides.remove(&conn).expect("Closed once");
                self.free.push(conn.slot);
                self.tally.open.fetch_sub(1, SeqCst);
            }
            Event::Unlistened { listener } => {
                assert_eq!(listener, ListenerId(0));
                self.unlistening -= 1;
            }
            Event::Relayed { from, bytes, held } => {
                assert!(!self.sides[&from].ended, "Relayed after End");
                self.tally.relayed.fetch_add(bytes, SeqCst);
                self.tally.held_most.fetch_max(held as usize, SeqCst);
            }
            Event::Snapshot(_) => {}
            Event::Drain => {
                drop(self.tally.gate.lock());
                self.draining = true;
                self.unlistening += self.listeners.len();
                let listeners = self.listeners.drain(..);
                self.ops
                    .extend(listeners.map(|listener| Op::Unlisten { listener }));
            }
        }
        self.tally.in_use.store(self.pool.in_use(), SeqCst);
    }

    fn poll_op(&mut self) -> Option<Op> {
        self.ops.pop_front()
    }

    fn poll_timeout(&self) -> Time {
        Time::NEVER
    }

    fn handle_timeout(&mut self, _now: Now) {}

    fn buffers(&mut self) -> &mut BufferPool {
        &mut self.pool
    }

    fn is_drained(&self) -> bool {
        self.draining && self.unlistening == 0 && self.sides.is_empty()
    }
}

/// A running proxy.
pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) address: SocketAddr,
    pub(crate) tally: Arc<Tally>,
}

/// Starts `workers` workers that do `duty`, each with `buffers` buffers of 16 KiB.
pub(crate) fn start(driver: Preference, workers: usize, duty: Duty, buffers: usize) -> World {
    let cpus = vec![0; workers];
    let placement = Placement {
        cpus,
        pinned: false,
    };
    let options = Options {
        driver,
        ..Options::new(placement)
    };
    start_with(options, duty, buffers)
}

/// The same with options.
pub(crate) fn start_with(options: Options, duty: Duty, buffers: usize) -> World {
    start_at("127.0.0.1:0", options, duty, buffers)
}

/// The same at an address.
pub(crate) fn start_at(address: &str, options: Options, duty: Duty, buffers: usize) -> World {
    let any = address.parse().unwrap();
    let workers = options.placement.workers();
    let sockets = ListenOptions::default();
    let group = listen::bind(ListenerId(0), any, workers, &sockets, Sharing::Refused).unwrap();
    let address = group.address;
    let tally = Arc::new(Tally::default());
    let shared = Arc::clone(&tally);
    let make = move |_: WorkerIndex| {
        Proxy::new(
            duty,
            BufferPool::new(16 * 1024, buffers),
            Arc::clone(&shared),
        )
    };
    let runtime = Runtime::start(options, Arc::new(Snapshot::default()), vec![group], make);
    World {
        runtime: runtime.unwrap(),
        address,
        tally,
    }
}

impl World {
    /// Drains, checks that nothing is left open, and stops.
    pub(crate) fn end(self) {
        self.runtime.drain();
        self.runtime.wait_drained(PATIENCE).unwrap();
        assert_eq!(self.tally.open.load(SeqCst), 0);
        self.runtime.stop();
    }

    pub(crate) fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_write_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// Waits until nothing is open.
    pub(crate) fn settle(&self) {
        until(|| self.tally.open.load(SeqCst) == 0);
    }
}

/// Waits for something that must come true.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(std::time::Instant::now() < end, "it never came true");
        thread::yield_now();
    }
}

/// The byte at `offset` of the pattern `seed`; no short period, so that shifted bytes show.
pub(crate) fn pattern(seed: u64, offset: u64) -> u8 {
    let word = (offset / 8 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ seed << 1);
    (word >> (8 * (offset % 8))) as u8
}

/// Writes `len` bytes of a pattern, then FIN.
pub(crate) fn write_pattern(mut stream: &TcpStream, seed: u64, len: u64) {
    let mut offset = 0;
    while offset < len {
        let end = len.min(offset + 50_000);
        let block: Vec<u8> = (offset..end).map(|offset| pattern(seed, offset)).collect();
        stream.write_all(&block).unwrap();
        offset = end;
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
}

/// Reads to the end and checks that it is the pattern.
pub(crate) fn read_pattern(mut stream: &TcpStream, seed: u64, len: u64) {
    let mut block = vec![0; 64 * 1024];
    let mut offset = 0;
    loop {
        let count = match stream.read(&mut block) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => panic!("after {offset} of {len} bytes: {error}"),
        };
        if count == 0 {
            break;
        }
        for &byte in &block[..count] {
            assert_eq!(byte, pattern(seed, offset), "byte {offset}");
            offset += 1;
        }
    }
    assert_eq!(offset, len);
}

/// Sends a pattern and checks that it comes back.
pub(crate) fn echo(stream: &TcpStream, seed: u64, len: u64) {
    thread::scope(|scope| {
        scope.spawn(|| write_pattern(stream, seed, len));
        read_pattern(stream, seed, len);
    });
}

/// An origin that serves every connection on a thread of its own.
pub(crate) fn origin(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// A group of sockets on another port for the listener of [`start`].
pub(crate) fn another_group(workers: usize) -> penstock_runtime::ListenGroup {
    let any = "127.0.0.1:0".parse().unwrap();
    let options = ListenOptions::default();
    listen::bind(ListenerId(0), any, workers, &options, Sharing::Refused).unwrap()
}
