//! What moves bytes for a worker: the [`Driver`] trait, and the choice between drivers, made once.
//!
//! A driver is polled: [`Driver::wait`] submits and waits, [`Driver::poll_event`] yields what
//! happened, [`Driver::handle_op`] takes what is to happen. What both drivers promise beyond the
//! contract in `penstock_core::event`:
//!
//! - `Connected` with an error and `Failed` leave the connection to be closed by `Op::Close`, which
//!   is answered by `Closed` also for a connection that the driver does not know.
//! - Bytes that arrived before a reset are delivered before `Failed`, as far as the kernel still
//!   has them, also if a send met the reset first (an origin that answers early and closes).
//! - After `Failed` or `End`, no `Received` follows; after `Failed`, segments stay queued until
//!   `Close`.
//! - Without free buffers a receive waits, in the order of arrival, until buffers came back.

pub mod epoll;
mod errors;
mod listeners;
mod lobby;
mod relays;
mod segments;
mod table;
pub mod uring;

#[cfg(feature = "test-support")]
pub use fastpath_sys::confine;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;

use fastpath_sys::wake::Wake;
use penstock_core::buffer::BufferPool;
use penstock_core::config::ListenerId;
use penstock_core::event::{ConnId, Event, Op, Time};
use penstock_core::limits::{BUFFERS_RESERVED, CONNECTIONS_PER_WORKER};
use penstock_core::stats::{PerWorker, WorkerCounters, WorkerIndex, WorkerStats};

use self::uring::caps::{Caps, UringOptions};
use crate::listen::ListenSocket;

/// Moves bytes for one worker. Lives and dies on the worker's thread.
pub trait Driver {
    /// Submits what is queued, then waits until there is an event, the bell rings or `until` has
    /// come. Does not wait if an event is there already. An error ends the worker.
    fn wait(&mut self, pool: &mut BufferPool, now: Time, until: Time) -> io::Result<()>;

    /// The next event, if there is one.
    fn poll_event(&mut self, pool: &mut BufferPool) -> Option<Event>;

    /// Carries out an operation, or queues it until the next wait.
    fn handle_op(&mut self, op: Op, pool: &mut BufferPool);

    /// Accepts connections from one more socket.
    fn listen(&mut self, socket: ListenSocket);

    /// Closes the sockets of a listener, in three steps: new clients are kept off, handshakes that
    /// have begun get a moment to finish, and connections that wait in the backlogs are taken.
    /// Unlike `Op::Unlisten`, which does the same, it is not answered.
    fn unlisten(&mut self, listener: ListenerId);
}

/// What every driver gets.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The worker it serves.
    pub worker: WorkerIndex,
    /// Rings when the mailbox has something.
    pub bell: Arc<Wake>,
    /// The counters of all workers.
    pub stats: Arc<PerWorker<WorkerStats>>,
}

impl Setup {
    fn counters(&self) -> &WorkerCounters {
        &self.stats.of(self.worker).counters
    }
}

/// Which driver is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Preference {
    /// io_uring if it works here, else epoll.
    #[default]
    Auto,
    /// io_uring or nothing.
    Uring,
    /// epoll.
    Epoll,
}

impl FromStr for Preference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Preference::Auto),
            "uring" => Ok(Preference::Uring),
            "epoll" => Ok(Preference::Epoll),
            other => Err(format!(
                "unknown driver `{other}`: choose auto, uring or epoll"
            )),
        }
    }
}

/// The driver that was chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Choice {
    /// io_uring, with what is used of it.
    Uring(Caps),
    /// epoll.
    Epoll {
        /// Why not io_uring; `None` if epoll was asked for.
        fallback: Option<String>,
    },
}

impl Choice {
    /// `uring` or `epoll`.
    pub fn name(&self) -> &'static str {
        match self {
            Choice::Uring(_) => "uring",
            Choice::Epoll { .. } => "epoll",
        }
    }

    /// Optional features of the kernel that are used.
    pub fn features(&self) -> Vec<&'static str> {
        match self {
            Choice::Uring(caps) => caps.used(),
            Choice::Epoll { .. } => Vec::new(),
        }
    }

    /// Optional features that are not, and whether the kernel or a switch is the cause.
    pub fn lacks(&self) -> Option<String> {
        match self {
            Choice::Uring(caps) => caps.lacks(),
            Choice::Epoll { .. } => None,
        }
    }

    /// Why it is not the preferred driver.
    pub fn fallback(&self) -> Option<&str> {
        match self {
            Choice::Uring(_) => None,
            Choice::Epoll { fallback } => fallback.as_deref(),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Uring(caps) => write!(f, "uring ({caps})"),
            Choice::Epoll { fallback } => {
                write!(
                    f,
                    "epoll ({})",
                    fallback.as_deref().unwrap_or("as asked for")
                )
            }
        }
    }
}

/// Decides for all workers; an error says why the driver that was asked for does not work here.
pub fn choose(preference: Preference, options: &UringOptions) -> Result<Choice, String> {
    if preference == Preference::Epoll {
        return Ok(Choice::Epoll { fallback: None });
    }
    match (Caps::probe(options), preference) {
        (Ok(caps), _) => Ok(Choice::Uring(caps)),
        (Err(reason), Preference::Auto) => Ok(Choice::Epoll {
            fallback: Some(reason),
        }),
        (Err(why), _) => Err(format!("{why}; the drivers auto and epoll do without")),
    }
}

/// Length of a line of the starved from which those that no longer wait leave it: twice as many as
/// can wait, so that looking through it costs little per connection.
const STARVED_MOST: usize = 2 * CONNECTIONS_PER_WORKER;

/// Adds a connection to the line of those that could receive but for want of buffers.
fn queue_starved(line: &mut VecDeque<ConnId>, conn: ConnId, mut waits: impl FnMut(ConnId) -> bool) {
    if line.len() >= STARVED_MOST {
        line.retain(|conn| waits(*conn));
    }
    line.push_back(conn);
}

/// Buffers that drivers leave in the pool for what the machine writes itself (heads, local
/// replies).
fn reserve(pool: &BufferPool) -> usize {
    (BUFFERS_RESERVED / 2).min(pool.limit() / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_starved_is_bounded() {
        let mut line = VecDeque::new();
        for generation in 0..3 * STARVED_MOST as u32 {
            let conn = ConnId {
                slot: 0,
                generation,
            };
            queue_starved(&mut line, conn, |_| false);
            assert!(line.len() <= STARVED_MOST);
        }
    }
}
