//! The loop of one core, on one page.
//!
//! take the mailbox → wait → handle events → timeouts → drain operations → (the next wait submits)

use std::io;
use std::sync::Arc;
use std::time::Duration;

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

/// The longest wait. Nothing needs it, but a wake-up that a kernel loses would else hang whoever
/// waits for it for ever.
const WAIT_MAX: Duration = Duration::from_secs(1);

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

/// What the mailbox held.
#[derive(PartialEq, Eq)]
enum Mail {
    None,
    Some,
    Stop,
}

impl<D: Driver, M: Machine> Worker<D, M> {
    /// Turns until it is told to stop. An error means that the driver is beyond use.
    pub fn run(mut self) -> io::Result<()> {
        let clock = Clock::new();
        let mut now = clock.now();
        let mut drained = false;
        // How long the last wait took, and whether it brought events.
        let (mut waited, mut handled) = (0, false);
        loop {
            let mail = self.take_mailbox(now);
            self.count_late(waited, handled || mail != Mail::None);
            if mail == Mail::Stop {
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
            let until = self.machine.poll_timeout().min(before.after(WAIT_MAX));
            self.driver.wait(self.machine.buffers(), before, until)?;
            let turn = now;
            now = clock.now();
            self.count(turn.time, before, now.time);
            waited = now.time.since(before);
            handled = self.handle_events(now);
            if self.machine.poll_timeout() <= now.time {
                self.machine.handle_timeout(now);
                self.drain_ops();
            }
            self.write_log();
        }
    }

    fn take_mailbox(&mut self, now: Now) -> Mail {
        let mut mail = Mail::None;
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
                    return Mail::Stop;
                }
            }
            self.inbox.acknowledge(ticket);
            mail = Mail::Some;
        }
        mail
    }

    fn listen(&mut self, sockets: Vec<ListenSocket>) {
        for socket in &sockets {
            self.driver.unlisten(socket.listener);
        }
        for socket in sockets {
            self.driver.listen(socket);
        }
    }

    /// True if there were any.
    #[inline]
    fn handle_events(&mut self, now: Now) -> bool {
        for count in 0..EVENTS_PER_TURN {
            let Some(event) = self.driver.poll_event(self.machine.buffers()) else {
                return count > 0;
            };
            self.handle(event, now);
        }
        true
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

    /// Counts a wait that lasted to its bound although something had come: nobody woke the worker.
    #[inline]
    fn count_late(&self, waited: u64, found: bool) {
        if found && u128::from(waited) >= WAIT_MAX.as_nanos() {
            self.stats.of(self.index).counters.late_wakeups.add(1);
        }
    }
}

#[cfg(test)]
mod tests;
