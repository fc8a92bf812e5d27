//! What a worker needs of the proxy it drives: [`Machine`].
//!
//! The engine implements it; the runtime's tests and benchmarks implement it with far simpler
//! machines (an echo, a relay), so that a driver can be judged without HTTP. No I/O here, only the
//! wall's shape. Every turn of a worker is: events in, the timeout if it is due, then operations
//! out until there are none.

use crate::buffer::BufferPool;
use crate::config::SinkId;
use crate::event::{Event, Now, Op, Time};

/// A proxy (or anything else) that turns events into operations.
pub trait Machine {
    /// Takes one event. Operations that follow from it wait for [`Machine::poll_op`].
    fn handle(&mut self, event: Event, now: Now);

    /// The next operation to carry out, in the order in which they were decided.
    fn poll_op(&mut self) -> Option<Op>;

    /// When [`Machine::handle_timeout`] wants to be called next; [`Time::NEVER`] if not at all.
    fn poll_timeout(&self) -> Time;

    /// The time given by [`Machine::poll_timeout`] has come (or passed).
    fn handle_timeout(&mut self, now: Now);

    /// The worker's buffers. Drivers take receive buffers from here and give back what they drop.
    fn buffers(&mut self) -> &mut BufferPool;

    /// True once [`Event::Drain`] came and nothing is open any more, listeners included.
    fn is_drained(&self) -> bool;

    /// True if finished access-log lines wait. Asked every turn, so it must be as cheap as a
    /// length.
    fn log_pending(&self) -> bool {
        false
    }

    /// Hands every finished access-log line, whole and in order, to `write` and forgets it.
    fn take_log(&mut self, write: &mut dyn FnMut(SinkId, &[u8])) {
        let _ = write;
    }
}
