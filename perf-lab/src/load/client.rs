//! One thread of a load: begins requests when they are due and counts what comes of them.
//!
//! In a closed loop a connection sends its next request when the last one is answered. In an open
//! loop the schedule says when, and a request that finds no free connection waits for one: its
//! latency counts from the time at which it was due all the same.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::connection::{Answered, Connection, Outcome};
use super::observe::{self, Tally};
use super::schedule::Schedule;
use super::silent::Silent;
use super::{Failure, Shared};
use crate::poll::{Edge, Poller};

/// How often timeouts are looked for.
const TICK: Duration = Duration::from_millis(100);
/// Bytes read in one call.
const READ: usize = 256 * 1024;
/// Marks the tokens of silent connections.
const TOKEN_SILENT: u64 = 1 << 32;

/// The connections of one thread, by slot.
pub(crate) struct Client {
    shared: Arc<Shared>,
    tally: Arc<Mutex<Tally>>,
    poller: Arc<Poller>,
    block: Vec<u8>,
    connections: Vec<Option<Connection>>,
    silent: Silent,
    /// Slots without a request, the one that waits longest in front; open loop only.
    free: VecDeque<usize>,
    /// Since when a slot is free.
    free_since: u64,
    schedule: Option<Schedule>,
    /// Requests that it may still send.
    left: u64,
    /// Slots whose connection broke while a request was written: an answer may wait nevertheless.
    broken: Vec<usize>,
    /// Requests on their way.
    busy: usize,
    /// No request follows any more.
    over: bool,
    began: Option<Instant>,
    next_tick: Instant,
    /// When slow connections go on.
    next_pace: Instant,
}

impl Client {
    /// The `index`-th thread of a load, with this share of its connections.
    pub(super) fn new(
        shared: Arc<Shared>,
        index: usize,
        tally: Arc<Mutex<Tally>>,
        poller: Arc<Poller>,
    ) -> Self {
        let share = |all: usize| (all + shared.threads - 1 - index) / shared.threads;
        Self {
            connections: (0..share(shared.load.connections)).map(|_| None).collect(),
            silent: Silent::new(share(shared.load.idle)),
            schedule: shared.schedule(index),
            left: shared.part(index),
            shared,
            tally,
            poller,
            block: vec![0; READ],
            free: VecDeque::new(),
            free_since: 0,
            broken: Vec::new(),
            busy: 0,
            over: false,
            began: None,
            next_tick: Instant::now(),
            next_pace: Instant::now(),
        }
    }

    /// True if nothing is on its way and nothing follows.
    pub(crate) fn is_done(&self) -> bool {
        self.over && self.busy == 0
    }

    /// When it wants a turn even if nothing happens.
    pub(crate) fn due(&self) -> Instant {
        if !self.broken.is_empty() {
            return Instant::now();
        }
        let Some((schedule, began)) = self.schedule.as_ref().zip(self.began) else {
            return self.next_tick;
        };
        match self.free.is_empty() || self.over {
            true => self.next_tick,
            false => self
                .next_tick
                .min(began + Duration::from_nanos(schedule.next())),
        }
    }

    /// Takes the edges that are its own, then does what is due.
    pub(crate) fn turn(&mut self, edges: &[Edge]) {
        let tally = self.tally.clone();
        let mut tally = observe::lock(&tally);
        let answered = tally.seen.report.answered;
        for slot in std::mem::take(&mut self.broken) {
            self.take(&Edge::ended(slot as u64), &mut tally);
        }
        for edge in edges {
            self.take(edge, &mut tally);
        }
        if self.began.is_none() {
            self.prepare(&mut tally);
        }
        self.send_due(&mut tally);
        let now = Instant::now();
        if self.next_tick <= now {
            self.tick(now, &mut tally);
        }
        let answered = tally.seen.report.answered - answered;
        self.shared.answered.fetch_add(answered, Relaxed);
    }

    fn take(&mut self, edge: &Edge, tally: &mut Tally) {
        let token = edge.token;
        if token >= TOKEN_SILENT {
            let slot = (token - TOKEN_SILENT) as usize;
            let (silent, shared) = (&mut self.silent, &self.shared);
            return silent.take(slot, edge, shared, &mut self.block, tally);
        }
        let slot = token as usize;
        let Some(connection) = &mut self.connections[slot] else {
            return;
        };
        let outcome = connection.advance(edge, &self.shared, &mut self.block, tally);
        self.conclude(slot, outcome, tally);
    }

    /// Opens the silent connections first; once they stand, the load begins.
    fn prepare(&mut self, tally: &mut Tally) {
        let (shared, poller) = (&self.shared, &*self.poller);
        self.silent.open(shared, poller, TOKEN_SILENT, tally);
        if !self.silent.stands() && !self.shared.is_stopped() {
            return;
        }
        self.began = Some(Instant::now());
        tally.began = self.began;
        tally.thread = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).ok();
        for slot in 0..self.connections.len() {
            match self.schedule {
                Some(_) => self.open_free(slot, tally),
                None => self.next(slot, tally),
            }
        }
    }

    /// In an open loop connections are there before requests are.
    fn open_free(&mut self, slot: usize, tally: &mut Tally) {
        match self.connect(slot) {
            Ok(()) => self.free.push_back(slot),
            Err(error) => {
                self.refused(&error, tally);
                self.free.push_back(slot);
            }
        }
    }

    fn now(&self) -> u64 {
        self.began
            .map_or(0, |began| began.elapsed().as_nanos() as u64)
    }

    /// Open loop: sends what is due as long as there are free connections.
    fn send_due(&mut self, tally: &mut Tally) {
        let Some(began) = self.began.filter(|_| !self.over) else {
            return;
        };
        while let (Some(schedule), Some(&slot)) = (&mut self.schedule, self.free.front()) {
            if self.left == 0 {
                self.over = true;
                return;
            }
            let (due, now) = (schedule.next(), began.elapsed().as_nanos() as u64);
            if due > now {
                self.over = self.shared.is_stopped();
                return;
            }
            if !self.shared.goes_on(due) {
                self.over = true;
                return;
            }
            self.left -= 1;
            schedule.step();
            self.free.pop_front();
            let late = now - due.max(self.free_since);
            tally.seen.lateness.saturating_record(late);
            self.begin(slot, Some(due), tally);
        }
    }

    /// Closed loop: begins the next request in `slot`; without one the slot is closed.
    fn next(&mut self, slot: usize, tally: &mut Tally) {
        if self.left == 0 || !self.shared.goes_on(self.now()) {
            self.over = true;
            self.connections[slot] = None;
            return;
        }
        self.left -= 1;
        self.begin(slot, None, tally);
    }

    /// Begins a request that it may send, on the connection of `slot` or a new one.
    fn begin(&mut self, slot: usize, due: Option<u64>, tally: &mut Tally) {
        self.busy += 1;
        if self.connections[slot].is_none()
            && let Err(error) = self.connect(slot)
        {
            return self.conclude(slot, Outcome::Unreachable(error), tally);
        }
        let connection = self.connections[slot].as_mut();
        let connection = connection.expect("there, or just opened");
        tally.seen.sent += 1;
        if connection.begin(due, &self.shared, tally).is_err() {
            self.broken.push(slot);
        }
    }

    fn connect(&mut self, slot: usize) -> io::Result<()> {
        let connection = Connection::open(&self.shared.load, 0)?;
        let token = slot as u64;
        self.poller.add_edges(connection.stream(), token)?;
        self.connections[slot] = Some(connection);
        Ok(())
    }

    /// Counts the end of a request and lets the slot go on.
    fn conclude(&mut self, slot: usize, outcome: Outcome, tally: &mut Tally) {
        let load = &self.shared.load;
        let again = load.body.is_none() && self.is_resent(&outcome);
        match outcome {
            Outcome::Waits => return,
            Outcome::Left => {
                tally.seen.report.dropped += 1;
                self.connections[slot] = None;
                return;
            }
            Outcome::Spoke => return self.fail(slot, Failure::Malformed, tally),
            _ if again => {
                tally.seen.report.resent += 1;
                self.busy -= 1;
                let old = self.connections[slot].take();
                return self.begin(slot, old.and_then(|old| old.due()), tally);
            }
            Outcome::Answered(answer) => {
                self.count_whole(&answer, tally);
                tally.seen.report.announced += u64::from(answer.announced);
                tally.seen.report.answered += 1;
                tally.seen.report.refusals += u64::from(load.also == Some(answer.status));
                if !answer.kept {
                    self.connections[slot] = None;
                } else if self.schedule.is_some() && self.is_ending(slot) {
                    tally.seen.report.dropped += 1;
                    self.connections[slot] = None;
                }
            }
            Outcome::Unreachable(error) => {
                self.refused(&error, tally);
                return self.unreachable(slot);
            }
            Outcome::Stale => self.fail(slot, Failure::Stale, tally),
            Outcome::Failed(kind) => self.fail(slot, kind, tally),
            Outcome::Wrong(answer, kind) => {
                self.count_whole(&answer, tally);
                self.fail(slot, kind, tally);
            }
        }
        self.release(slot, tally);
    }

    /// A whole answer took its time, right or wrong.
    fn count_whole(&self, answer: &Answered, tally: &mut Tally) {
        tally.whole(answer.status, answer.service);
        if let Some(due) = answer.due {
            let corrected = self.now().saturating_sub(due);
            tally.seen.corrected.saturating_record(corrected);
        }
    }

    /// A closed connection that waits for a request is not used; in a closed loop there is no wait,
    /// and a request that is lost is what a client would see.
    fn is_ending(&self, slot: usize) -> bool {
        let connection = self.connections[slot].as_ref();
        connection.is_some_and(Connection::is_ending)
    }

    /// A GET whose connection ended before the answer began may be sent again.
    fn is_resent(&self, outcome: &Outcome) -> bool {
        let load = &self.shared.load;
        match outcome {
            Outcome::Stale => load.resend,
            Outcome::Failed(Failure::Closed) => load.until_refused,
            _ => false,
        }
    }

    /// The slot has no request any more.
    fn release(&mut self, slot: usize, tally: &mut Tally) {
        self.busy -= 1;
        match self.schedule {
            None => self.next(slot, tally),
            Some(_) => self.set_free(slot),
        }
    }

    fn set_free(&mut self, slot: usize) {
        if self.free.is_empty() {
            self.free_since = self.now();
        }
        self.free.push_back(slot);
    }

    /// In a closed loop the slot stays empty for the rest of the run.
    fn unreachable(&mut self, slot: usize) {
        self.connections[slot] = None;
        self.busy -= 1;
        match self.schedule {
            Some(_) => self.set_free(slot),
            None => self.over |= self.busy == 0,
        }
    }

    fn refused(&self, error: &io::Error, tally: &mut Tally) {
        use io::ErrorKind::{ConnectionRefused, ConnectionReset};
        let gone = matches!(error.kind(), ConnectionRefused | ConnectionReset);
        match gone && self.shared.load.until_refused {
            true => tally.seen.report.refused += 1,
            false => tally.seen.report.failures[Failure::Connect as usize] += 1,
        }
    }

    fn fail(&mut self, slot: usize, kind: Failure, tally: &mut Tally) {
        tally.seen.report.failures[kind as usize] += 1;
        self.connections[slot] = None;
    }

    /// Timeouts, slow connections, and the end that was asked for.
    fn tick(&mut self, now: Instant, tally: &mut Tally) {
        let load = &self.shared.load;
        let paces = self.next_pace <= now;
        self.next_tick = now + TICK;
        if let Some(slow) = load.slow {
            if paces {
                self.next_pace = now + slow.every;
            }
            self.next_tick = self.next_tick.min(self.next_pace);
        }
        if self.shared.is_stopped() || load.duration.is_some_and(|end| self.is_past(end)) {
            self.over = true;
        }
        self.silent.expire(now, &self.shared, tally);
        for slot in 0..self.connections.len() {
            let Some(connection) = &mut self.connections[slot] else {
                continue;
            };
            let outcome = match connection.is_late(now, &self.shared.load) {
                true => Outcome::Failed(Failure::Timeout),
                false if !paces => continue,
                false => connection.pace(&self.shared, &mut self.block, tally),
            };
            self.conclude(slot, outcome, tally);
        }
    }

    fn is_past(&self, end: Duration) -> bool {
        self.began.is_some_and(|began| began.elapsed() >= end)
    }
}
