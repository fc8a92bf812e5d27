//! What the io_uring driver knows of a connection, and the tokens of its operations.

use std::os::fd::OwnedFd;

use fastpath_sys::uring::Flight;
use penstock_core::event::{ConnId, IoFault};

use crate::driver::segments::Queue;

/// Facts about a connection, one bit each.
pub(super) struct Is;

impl Is {
    /// `connect` has not come to an end.
    pub(super) const CONNECTING: u32 = 1;
    /// The core wants to receive.
    pub(super) const RECEIVE_ON: u32 = 1 << 1;
    /// The receive in flight was told to end.
    pub(super) const RECEIVE_CANCELLED: u32 = 1 << 2;
    /// Bytes come in plenty, or came although the core wants none: a receive that is switched off
    /// must be cancelled. Without it, it stays armed, since most that are switched off see no byte
    /// before they are switched on again.
    pub(super) const EAGER: u32 = 1 << 3;
    /// Stands in the starved list.
    pub(super) const STARVED: u32 = 1 << 4;
    /// Stands in the dirty list.
    pub(super) const DIRTY: u32 = 1 << 5;
    /// FIN is to follow the last segment.
    pub(super) const FIN_QUEUED: u32 = 1 << 6;
    /// FIN was sent.
    pub(super) const FIN_SENT: u32 = 1 << 7;
    /// Nothing more will be received.
    pub(super) const ENDED: u32 = 1 << 8;
    /// The core was told that it is broken.
    pub(super) const FAILED: u32 = 1 << 9;
    /// The watch for hang-ups ended by itself; another would end at once.
    pub(super) const WATCHED: u32 = 1 << 10;
    /// Closes as soon as nothing is in flight.
    pub(super) const CLOSING: u32 = 1 << 11;
    /// Closes with RST.
    pub(super) const RESET: u32 = 1 << 12;
    /// A relay takes what arrives on it; no receive is to be in flight.
    pub(super) const RELAY_FROM: u32 = 1 << 13;
    /// A relay brings what it is to send.
    pub(super) const RELAY_TO: u32 = 1 << 14;
    /// A client's that has sent nothing yet. Many send one request and leave: the first receive is
    /// for one time, so that nothing is in flight when it is to be closed.
    pub(super) const FRESH: u32 = 1 << 15;
    /// Stands in the list of those whose watch for hang-ups begins soon.
    pub(super) const UNWATCHED: u32 = 1 << 16;
    /// Its last bodies were offered to relays. Receives are for one time, or the body would be in
    /// buffers before the core has seen its head.
    pub(super) const BULKY: u32 = 1 << 17;
}

/// One connection.
pub(super) struct Connection {
    pub(super) fd: OwnedFd,
    pub(super) queue: Queue,
    /// The receive (or the poll in its place).
    pub(super) receive: Option<Flight>,
    /// The send (or the poll for room in its place).
    pub(super) send: Option<Flight>,
    /// Connect, later the watch for hang-ups.
    pub(super) other: Option<Flight>,
    is: u32,
    /// A send failed; the core hears of it after the bytes that still wait.
    pub(super) fault: Option<IoFault>,
}

impl Connection {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            queue: Queue::EMPTY,
            receive: None,
            send: None,
            other: None,
            is: 0,
            fault: None,
        }
    }

    #[inline]
    pub(super) fn is(&self, fact: u32) -> bool {
        self.is & fact != 0
    }

    #[inline]
    pub(super) fn set(&mut self, facts: u32) {
        self.is |= facts;
    }

    #[inline]
    pub(super) fn clear(&mut self, facts: u32) {
        self.is &= !facts;
    }

    /// True if a receive is to be in flight.
    pub(super) fn receives(&self) -> bool {
        let not = Is::ENDED | Is::FAILED | Is::CONNECTING | Is::CLOSING;
        self.is & (Is::RECEIVE_ON | not) == Is::RECEIVE_ON
    }

    /// True if a receive that is in flight but not wanted must be cancelled now.
    pub(super) fn must_stop(&self) -> bool {
        self.is & (Is::EAGER | Is::RECEIVE_CANCELLED) == Is::EAGER
    }

    /// True if it could be watched for hang-ups and is not.
    pub(super) fn wants_watch(&self) -> bool {
        let not = Is::WATCHED | Is::FAILED | Is::CONNECTING | Is::CLOSING;
        self.other.is_none() && !self.is(not)
    }

    /// True if a send may be started.
    pub(super) fn can_send(&self) -> bool {
        let not = Is::CONNECTING | Is::FAILED | Is::CLOSING;
        self.is & not == 0 && self.fault.is_none() && self.send.is_none()
    }

    /// True if the kernel knows nothing of it but the descriptor.
    pub(super) fn is_quiet(&self) -> bool {
        self.receive.is_none() && self.send.is_none() && self.other.is_none()
    }
}

/// What an operation is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    Bell,
    Accept(usize),
    Receive(ConnId),
    /// A poll in place of a receive.
    Readable(ConnId),
    Send(ConnId),
    /// A poll for room before a send.
    Writable(ConnId),
    Connect(ConnId),
    HangUp(ConnId),
}

/// Slots stay below; the bits above say which operation.
const SLOT_BITS: u32 = 24;
const _: () = assert!(penstock_core::limits::CONNECTIONS_PER_WORKER <= 1 << SLOT_BITS);

impl Purpose {
    /// The token of an operation.
    pub(super) fn token(self) -> u64 {
        let pack = |kind: u64, conn: ConnId| {
            u64::from(conn.generation) << 32 | kind << SLOT_BITS | u64::from(conn.slot)
        };
        match self {
            Purpose::Bell => 0,
            Purpose::Accept(index) => 1 << SLOT_BITS | index as u64,
            Purpose::Receive(conn) => pack(2, conn),
            Purpose::Readable(conn) => pack(3, conn),
            Purpose::Send(conn) => pack(4, conn),
            Purpose::Connect(conn) => pack(5, conn),
            Purpose::HangUp(conn) => pack(6, conn),
            Purpose::Writable(conn) => pack(7, conn),
        }
    }

    /// The operation that a token names.
    #[inline]
    pub(super) fn of(token: u64) -> Self {
        let slot = token as u32 & ((1 << SLOT_BITS) - 1);
        let conn = ConnId {
            slot,
            generation: (token >> 32) as u32,
        };
        match token as u32 >> SLOT_BITS {
            0 => Purpose::Bell,
            1 => Purpose::Accept(slot as usize),
            2 => Purpose::Receive(conn),
            3 => Purpose::Readable(conn),
            4 => Purpose::Send(conn),
            5 => Purpose::Connect(conn),
            6 => Purpose::HangUp(conn),
            _ => Purpose::Writable(conn),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_name_operations() {
        let conn = ConnId {
            slot: 131_071,
            generation: u32::MAX,
        };
        for purpose in [
            Purpose::Bell,
            Purpose::Accept(9),
            Purpose::Receive(conn),
            Purpose::Readable(conn),
            Purpose::Send(conn),
            Purpose::Connect(conn),
            Purpose::HangUp(conn),
            Purpose::Writable(conn),
        ] {
            assert_eq!(Purpose::of(purpose.token()), purpose);
        }
        assert!(std::mem::size_of::<Option<(u32, Connection)>>() <= 56);
    }
}
