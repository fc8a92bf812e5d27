//! Relays: bytes that go from socket to socket through a pipe of the kernel, uncopied and unseen.
//!
//! Both drivers have them and differ only in how they learn that there is something to move. A
//! relay begins when no receive of its source is under way and everything given to its sink has
//! left; until then, and whenever that is all there is, bytes take the usual way and count.
//! `splice` is called here and not left to io_uring, which would hand each one to a thread.

use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

use fastpath_sys::pipe::Pipe;
use penstock_core::event::{ConnId, Event, IoFault};
use penstock_core::limits::RELAYS_PER_WORKER_MAX;

use super::errors;

/// Bytes that may wait in between, and the size of a pipe. More in one go runs into the pacing of
/// the congestion control, which then wakes up by timers to send the rest.
const PIPE_BYTES: usize = 256 * 1024;
/// Bytes that one relay moves per turn; what is left waits for the others.
const TURN_BYTES: u64 = 1024 * 1024;
/// Empty pipes that are kept for the next relays.
const SPARE_PIPES_MAX: usize = 64;

/// The relays of a driver.
#[derive(Default)]
pub(super) struct Relays {
    open: Vec<Relay>,
    spare: Vec<Pipe>,
}

/// One relay.
pub(super) struct Relay {
    pub(super) from: ConnId,
    pub(super) to: ConnId,
    /// Bytes that have not arrived yet.
    left: u64,
    /// Bytes in the pipe.
    held: usize,
    /// The core knows that some are.
    told_held: bool,
    /// There while it moves bytes.
    pipe: Option<Pipe>,
    begun: bool,
    /// The source has no more: why, if not by an end.
    over: Option<Option<IoFault>>,
}

/// Why a relay stopped to move bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Halt {
    /// Nothing has arrived.
    SourceEmpty,
    /// There is no room.
    SinkFull,
    /// It has had its share of the turn.
    Turn,
    /// The count is down, or the source has no more: it failed, perhaps.
    Over(Option<IoFault>),
    /// The sink is broken.
    SinkFailed(IoFault),
}

impl Relays {
    /// Takes a relay on; false if there are too many.
    pub(super) fn add(&mut self, from: ConnId, to: ConnId, bytes: u64) -> bool {
        if self.open.len() >= RELAYS_PER_WORKER_MAX {
            return false;
        }
        self.open.push(Relay {
            from,
            to,
            left: bytes,
            held: 0,
            told_held: false,
            pipe: None,
            begun: false,
            over: None,
        });
        true
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Relay> {
        self.open.get(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Relay> {
        self.open.get_mut(index)
    }

    /// A relay from or to this connection.
    pub(super) fn position(&self, conn: ConnId) -> Option<usize> {
        let concerns = |relay: &Relay| relay.from == conn || relay.to == conn;
        self.open.iter().position(concerns)
    }

    /// Bytes of a relay arrived the usual way.
    pub(super) fn missed(&mut self, from: ConnId, bytes: usize) {
        let relay = self.open.iter_mut().find(|relay| relay.from == from);
        if let Some(relay) = relay {
            relay.left = relay.left.saturating_sub(bytes as u64);
        }
    }

    /// Gives a relay its pipe.
    pub(super) fn begin(&mut self, index: usize) -> io::Result<()> {
        let pipe = match self.spare.pop() {
            Some(pipe) => pipe,
            None => Pipe::new(PIPE_BYTES)?,
        };
        self.open[index].pipe = Some(pipe);
        self.open[index].begun = true;
        Ok(())
    }

    /// Ends a relay; what it holds is dropped.
    pub(super) fn remove(&mut self, index: usize) -> Relay {
        let mut relay = self.open.swap_remove(index);
        let pipe = relay.pipe.take();
        if relay.held == 0 && self.spare.len() < SPARE_PIPES_MAX {
            self.spare.extend(pipe);
        }
        relay
    }
}

impl Relay {
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// True if bytes wait in between.
    pub(super) fn holds(&self) -> bool {
        self.held > 0
    }

    /// True if nothing is left to move.
    pub(super) fn is_done(&self) -> bool {
        self.held == 0 && (self.left == 0 || self.over.is_some())
    }

    /// Moves what there is, from the source if it `reads`. The event, if there is something to
    /// tell.
    pub(super) fn pump(
        &mut self,
        source: BorrowedFd<'_>,
        sink: BorrowedFd<'_>,
        reads: bool,
    ) -> (Halt, Option<Event>) {
        let mut moved = 0;
        let halt = loop {
            // With bytes in between, it may be the pipe that is full.
            let was_empty = self.held == 0;
            let filled = match reads {
                true => self.fill(source),
                false => 0,
            };
            match self.drain(sink) {
                Ok(count) => moved += count as u64,
                Err(halt) => break halt,
            }
            if self.held == 0 {
                if self.is_done() {
                    break Halt::Over(self.over.flatten());
                }
                if filled == 0 && (was_empty || !reads) {
                    break Halt::SourceEmpty;
                }
            }
            if moved >= TURN_BYTES {
                break Halt::Turn;
            }
        };
        (halt, self.tell(moved))
    }

    /// Takes from the source what the pipe has room for.
    fn fill(&mut self, source: BorrowedFd<'_>) -> usize {
        let room = (PIPE_BYTES - self.held).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let Some(pipe) = self
            .pipe
            .as_ref()
            .filter(|_| room > 0 && self.over.is_none())
        else {
            return 0;
        };
        match persist(|| pipe.fill_from(source, room)) {
            Ok(0) => self.over = Some(None),
            Ok(count) => {
                self.held += count;
                self.left -= count as u64;
                return count;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.over = Some(Some(errors::fault(&error))),
        }
        0
    }

    /// Gives the sink what the pipe holds.
    fn drain(&mut self, sink: BorrowedFd<'_>) -> Result<usize, Halt> {
        let Some(pipe) = self.pipe.as_ref().filter(|_| self.held > 0) else {
            return Ok(0);
        };
        match persist(|| pipe.drain_into(sink, self.held)) {
            Ok(count) => {
                self.held -= count;
                Ok(count)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Halt::SinkFull),
            Err(error) => Err(Halt::SinkFailed(errors::fault(&error))),
        }
    }

    fn tell(&mut self, bytes: u64) -> Option<Event> {
        let tells = bytes > 0 || self.held > 0 && !self.told_held;
        self.told_held = self.held > 0;
        tells.then_some(Event::Relayed {
            from: self.from,
            bytes,
            held: self.held as u32,
        })
    }
}

/// Calls again when a signal came in between.
fn persist(call: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}
