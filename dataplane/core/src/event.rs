//! The wall between the core and what moves bytes: [`Event`] in, [`Op`] out.
//!
//! A driver (uring, epoll, simulator) turns its world into events and carries out operations. Both
//! enums are closed; everything that crosses is here. Contract:
//!
//! - The engine numbers connections. `Accepted` carries a driver-chosen [`Incoming`] number, which
//!   the engine answers at once with `Op::Adopt` or `Op::Refuse`. For `Op::Connect` the engine
//!   chose the id.
//! - After `Adopt`, and after `Connected` with success, receive is on.
//! - Segments given by `Op::Send` leave in order. Each one comes back in `Sent` once all of it was
//!   handed to the kernel. The driver may write several segments with one call.
//! - `ReceiveOff` is a request: bytes already taken from the kernel may still arrive and must be
//!   kept.
//! - `End` (the other end shut down its sending side) arrives once, after the last `Received`;
//!   while receive is off it waits for `ReceiveOn`. `Failed` means that the connection is unusable
//!   in both directions, and does not wait. Neither closes it: the engine does, with `Op::Close`.
//! - `Op::Relay` is a leave, not an order. Driver and engine count down the same number: by
//!   `Received`, and by `Relayed` for bytes that went from kernel to kernel. Until it is down the
//!   engine sends to the other side only what came as `Received`. The relay ends with the count or
//!   with the close of either side, and what is held in between is dropped then. `ReceiveOff`
//!   pauses it. `End` and `Failed` of the source come after everything that it sent has left.
//! - A `Connect` that failed is a connection all the same: after `Connected` with an error, its id
//!   is free only once it was closed.
//! - `Op::Close` drops unsent segments (their buffers go back to the pool), and is always answered
//!   by `Closed`, after which no event for that id follows and the engine may use the slot again.
//! - `Op::Unlisten` is always answered by `Unlistened`, once the sockets that the listener had are
//!   closed. Until then clients come who connected before, and they are to be served.

use core::net::SocketAddr;
use std::sync::Arc;

use crate::buffer::Buffer;
use crate::config::{ListenerId, Snapshot};

/// A connection of this engine: slab slot and generation. Equal only if both are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnId {
    /// Index of the slot, below the worker's connection limit.
    pub slot: u32,
    /// Counts the uses of the slot.
    pub generation: u32,
}

/// A connection that was accepted and is not yet adopted; the number means something to the driver
/// only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Incoming(pub u32);

/// Monotonic time in nanoseconds since an arbitrary start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Time(pub u64);

impl Time {
    /// A time that never comes.
    pub const NEVER: Time = Time(u64::MAX);

    /// This time plus `duration`, saturating.
    #[inline]
    pub fn after(self, duration: std::time::Duration) -> Time {
        Time(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// Nanoseconds from `earlier` to this time, 0 if it is later.
    #[inline]
    pub fn since(self, earlier: Time) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Both clocks, read once per turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Monotonic.
    pub time: Time,
    /// Nanoseconds since the UNIX epoch; for headers and logs only.
    pub wall: u64,
}

/// Why a connection failed, as far as the kernel says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoFault {
    /// Refused by the other end (ECONNREFUSED).
    Refused,
    /// Reset by the other end (ECONNRESET, EPIPE).
    Reset,
    /// No answer in time (ETIMEDOUT).
    TimedOut,
    /// No way there (ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL).
    Unreachable,
    /// This process is out of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM).
    Exhausted,
    /// Anything else.
    Other,
}

/// What enters the engine.
#[derive(Debug)]
pub enum Event {
    /// A client connected. Answer: `Op::Adopt` or `Op::Refuse`.
    Accepted {
        /// The listener it came in by.
        listener: ListenerId,
        /// The driver's number for it.
        incoming: Incoming,
        /// Address of the client.
        remote: SocketAddr,
        /// Our address that it connected to.
        local: SocketAddr,
    },
    /// The listener could not accept; the driver pauses it and tries again by itself.
    AcceptFailed {
        /// The listener.
        listener: ListenerId,
        /// Why.
        fault: IoFault,
    },
    /// The answer to `Op::Unlisten`: nobody comes by those sockets any more.
    Unlistened {
        /// The listener.
        listener: ListenerId,
    },
    /// `Op::Connect` came to an end.
    Connected {
        /// The connection.
        conn: ConnId,
        /// Our own address, or why not; the connection must be closed even then.
        result: Result<SocketAddr, IoFault>,
    },
    /// Bytes arrived; the window of the buffer is not empty.
    Received {
        /// The connection.
        conn: ConnId,
        /// The bytes.
        buffer: Buffer,
    },
    /// Bytes left by a relay, or began to wait in it.
    Relayed {
        /// The connection on which they arrived.
        from: ConnId,
        /// How many left to the other side since the last time.
        bytes: u64,
        /// How many wait in between for the other side to take them.
        held: u32,
    },
    /// The other end will send no more.
    End {
        /// The connection.
        conn: ConnId,
    },
    /// A segment left; its buffer comes back (its window is unspecified).
    Sent {
        /// The connection.
        conn: ConnId,
        /// Bytes of the segment.
        bytes: u32,
        /// The buffer.
        buffer: Buffer,
    },
    /// The connection is broken.
    Failed {
        /// The connection.
        conn: ConnId,
        /// Why.
        fault: IoFault,
    },
    /// The answer to `Op::Close`.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// A new configuration; the engine reconciles with it.
    Snapshot(Arc<Snapshot>),
    /// Stop taking connections and finish what is open. Listeners are closed by `Op::Unlisten`.
    Drain,
}

/// What leaves the engine.
#[derive(Debug)]
pub enum Op {
    /// Take this client under this id; receive is on.
    Adopt {
        /// The driver's number.
        incoming: Incoming,
        /// The id from now on.
        conn: ConnId,
    },
    /// Close this client at once.
    Refuse {
        /// The driver's number.
        incoming: Incoming,
    },
    /// Open a connection.
    Connect {
        /// Its id.
        conn: ConnId,
        /// Where to.
        address: SocketAddr,
    },
    /// Send the window of this buffer, after everything given before.
    Send {
        /// The connection.
        conn: ConnId,
        /// The bytes.
        segment: Buffer,
    },
    /// The next bytes that arrive on one connection are for another as they are: the driver may
    /// move them by itself, behind everything given before. Bytes that it does not move arrive as
    /// `Received`. The count is that of the moment in which the operation is taken.
    Relay {
        /// Where they arrive.
        from: ConnId,
        /// Where they go.
        to: ConnId,
        /// How many there are, at least one.
        bytes: u64,
    },
    /// Receive again.
    ReceiveOn {
        /// The connection.
        conn: ConnId,
    },
    /// Receive no more for now (a hang-up is still reported).
    ReceiveOff {
        /// The connection.
        conn: ConnId,
    },
    /// Send FIN after everything given before.
    Shutdown {
        /// The connection.
        conn: ConnId,
    },
    /// Close; answered by `Event::Closed`.
    Close {
        /// The connection.
        conn: ConnId,
        /// How.
        how: Close,
    },
    /// Close the listening sockets of this listener; answered by `Event::Unlistened`.
    Unlisten {
        /// The listener.
        listener: ListenerId,
    },
}

/// How a connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// FIN, as `close(2)` does it.
    Normal,
    /// RST: what was sent may be incomplete and the other end must notice.
    Reset,
}
