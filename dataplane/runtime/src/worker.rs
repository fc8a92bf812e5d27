//! The loop of one core, on one page.
//!
//! take the mailbox → wait → handle events → timeouts → drain operations → (the next wait submits)

use std::io;
use std::sync::Arc;

use penstock_core::config::SinkId;
use penstock_core::event::{Event, Now, Time};
use penstock_core::machine::Machine;
use penstock_core::stats::{PerWorker, WorkerIndex, WorkerStats};

use crate::clock::Clock;
use crate::driver::Driver;
use crate::listen::ListenSocket;
use crate::mailbox::{Command, Inbox};

/// Events handled before the operations that they caused are submitted: a bound on how long the
/// first answer of a turn waits for the last event.
const EVENTS_PER_TURN: usize = 1024;

/// Takes one access-log line to its sink; false if it had to be dropped. Must not block.
pub type LogWriter = Box<dyn FnMut(SinkId, &[u8]) -> bool>;

/// What a worker is made of.
pub struct Worker<D, M> {
    /// Which one.
    pub index: WorkerIndex,
    /// What moves its bytes.
    pub driver: D,
    /// What it runs.
    pub machine: M,
    /// What it is told.
    pub inbox: Inbox,
    /// Where its log lines go.
    pub log: LogWriter,
    /// The counters of all workers.
    pub stats: Arc<PerWorker<WorkerStats>>,
    /// Was told to drain.
    pub draining: bool,
}

/// Whether the loop goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Turn,
    Stop,
}

impl<D: Driver, M: Machine> Worker<D, M> {
    /// Turns until it is told to stop. An error means that the driver is beyond use.
    pub fn run(mut self) -> io::Result<()> {
        let clock = Clock::new();
        let mut now = clock.now();
        let mut drained = false;
        loop {
            if self.take_mailbox(now) == Next::Stop {
                return Ok(());
            }
            if !drained && self.machine.is_drained() {
                drained = true;
                self.inbox.announce_drained();
            }
            self.stats
                .of(self.index)
                .counters
                .buffers_in_use
                .set(self.machine.buffers().in_use() as u64);
            let before = clock.time();
            let until = self.machine.poll_timeout();
            self.driver.wait(self.machine.buffers(), before, until)?;
            let turn = now;
            now = clock.now();
            self.count(turn.time, before, now.time);
            self.handle_events(now);
            if self.machine.poll_timeout() <= now.time {
                self.machine.handle_timeout(now);
                self.drain_ops();
            }
            self.write_log();
        }
    }

    fn take_mailbox(&mut self, now: Now) -> Next {
        while let Some((ticket, command)) = self.inbox.poll() {
            match command {
                Command::Snapshot { snapshot, sockets } => {
                    self.handle(Event::Snapshot(snapshot), now);
                    // Whoever drains takes no new sockets: nobody would close them.
                    if !self.draining {
                        self.listen(sockets);
                    }
                }
                Command::Drain => {
                    self.draining = true;
                    self.handle(Event::Drain, now);
                }
                Command::Ping => {}
                Command::Stop => {
                    self.write_log();
                    self.inbox.acknowledge(ticket);
                    return Next::Stop;
                }
            }
            self.inbox.acknowledge(ticket);
        }
        Next::Turn
    }

    fn listen(&mut self, sockets: Vec<ListenSocket>) {
        for socket in &sockets {
            self.driver.unlisten(socket.listener);
        }
        for socket in sockets {
            self.driver.listen(socket);
        }
    }

    #[inline]
    fn handle_events(&mut self, now: Now) {
        for _ in 0..EVENTS_PER_TURN {
            let Some(event) = self.driver.poll_event(self.machine.buffers()) else {
                break;
            };
            self.handle(event, now);
        }
    }

    /// Operations are drained after every event, so that back-pressure holds from the next one on.
    #[inline]
    fn handle(&mut self, event: Event, now: Now) {
        self.machine.handle(event, now);
        self.drain_ops();
    }

    #[inline]
    fn drain_ops(&mut self) {
        while let Some(op) = self.machine.poll_op() {
            self.driver.handle_op(op, self.machine.buffers());
        }
    }

    fn write_log(&mut self) {
        if !self.machine.log_pending() {
            return;
        }
        let counters = &self.stats.of(self.index).counters;
        let log = &mut self.log;
        self.machine.take_log(&mut |sink, line| {
            if !log(sink, line) {
                counters.log_dropped.add(1);
            }
        });
    }

    /// One turn: busy from `start` to `before`, waiting from there to `after`.
    #[inline]
    fn count(&mut self, start: Time, before: Time, after: Time) {
        let stats = self.stats.of(self.index);
        let busy = before.since(start);
        stats.counters.turns.add(1);
        stats.counters.busy_ns.add(busy);
        stats.counters.wait_ns.add(after.since(before));
        stats.loop_duration.record(busy);
    }
}
