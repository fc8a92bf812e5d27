//! Virtual time: what happens next, and when. Two things due at the same instant happen in the
//! order in which they were planned, so a run has exactly one order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use penstock_core::event::{Event, Time};

use crate::net::{Direction, LinkId};

/// Something that will happen.
#[derive(Debug)]
pub enum Action {
    /// The next packet of a link arrives.
    Arrive(LinkId, Direction),
    /// The far side of a link may send again (its pace allows it).
    Pump(LinkId),
    /// The far side of a link reads.
    Read(LinkId),
    /// The driver reports to the machine.
    Event(Event),
    /// An actor asked to be woken, with its own token.
    Wake(Actor, u64),
    /// The far side of a link learns that its own plan cut it off.
    Severed(LinkId),
    /// The next step of the script (configuration, drain, accept failure).
    Script(usize),
}

/// Who acts in the world beside the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A well-behaved or merely unlucky client.
    Client(usize),
    /// A client that breaks the rules on purpose.
    Vandal(usize),
    /// A connection of an origin.
    Origin(usize),
}

/// The queue of actions by time.
#[derive(Debug)]
pub struct Agenda {
    /// The time now.
    pub now: Time,
    sequence: u64,
    queue: BinaryHeap<Reverse<Entry>>,
}

#[derive(Debug)]
struct Entry {
    time: Time,
    sequence: u64,
    action: Action,
}

impl Agenda {
    /// Nothing planned; time starts at one second, so that "long ago" exists.
    pub fn new() -> Self {
        Self {
            now: Time(1_000_000_000),
            sequence: 0,
            queue: BinaryHeap::new(),
        }
    }

    /// Plans `action` at `time`, or now if that has passed.
    pub fn at(&mut self, time: Time, action: Action) {
        self.sequence += 1;
        self.queue.push(Reverse(Entry {
            time: time.max(self.now),
            sequence: self.sequence,
            action,
        }));
    }

    /// Plans `action` in `nanoseconds`.
    pub fn after(&mut self, nanoseconds: u64, action: Action) {
        self.at(Time(self.now.0.saturating_add(nanoseconds)), action);
    }

    /// When the next action is due.
    pub fn next_time(&self) -> Time {
        self.queue
            .peek()
            .map_or(Time::NEVER, |Reverse(entry)| entry.time)
    }

    /// The next action that is due now or earlier.
    pub fn take_due(&mut self) -> Option<Action> {
        if self.next_time() > self.now {
            return None;
        }
        self.queue.pop().map(|Reverse(entry)| entry.action)
    }
}

impl Default for Agenda {
    fn default() -> Self {
        Self::new()
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, self.sequence).cmp(&(other.time, other.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}
