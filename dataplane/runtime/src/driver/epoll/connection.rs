//! What the epoll driver knows of a connection.

use std::os::fd::OwnedFd;

use penstock_core::event::{ConnId, IoFault};

use crate::driver::segments::Queue;

/// Facts about a connection, one bit each.
pub(super) struct Is;

impl Is {
    /// `connect` has not come to an end.
    pub(super) const CONNECTING: u16 = 1;
    /// The core wants to receive.
    pub(super) const RECEIVE_ON: u16 = 1 << 1;
    /// A receive may yield something: an edge came and no receive has found the end since.
    pub(super) const READABLE: u16 = 1 << 2;
    /// FIN or an error is behind the bytes: receive until it shows.
    pub(super) const END_SEEN: u16 = 1 << 3;
    /// Stands in the ready list or the starved list.
    pub(super) const QUEUED: u16 = 1 << 4;
    /// A send may find room.
    pub(super) const WRITABLE: u16 = 1 << 5;
    /// Registered for edges about room.
    pub(super) const WATCHES_ROOM: u16 = 1 << 6;
    /// Stands in the dirty list.
    pub(super) const DIRTY: u16 = 1 << 7;
    /// FIN is to follow the last segment.
    pub(super) const FIN_QUEUED: u16 = 1 << 8;
    /// FIN was sent.
    pub(super) const FIN_SENT: u16 = 1 << 9;
    /// Nothing more will be received.
    pub(super) const ENDED: u16 = 1 << 10;
    /// The core was told that it is broken.
    pub(super) const FAILED: u16 = 1 << 11;
    /// Waits for buffers.
    pub(super) const STARVED: u16 = 1 << 12;
    /// A relay takes what arrives on it.
    pub(super) const RELAY_FROM: u16 = 1 << 13;
    /// A relay brings what it is to send.
    pub(super) const RELAY_TO: u16 = 1 << 14;
}

/// One connection.
pub(super) struct Connection {
    pub(super) fd: OwnedFd,
    pub(super) queue: Queue,
    is: u16,
    /// A send failed; the core hears of it after the bytes that still wait.
    pub(super) fault: Option<IoFault>,
}

impl Connection {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            queue: Queue::EMPTY,
            is: 0,
            fault: None,
        }
    }

    #[inline]
    pub(super) fn is(&self, fact: u16) -> bool {
        self.is & fact != 0
    }

    #[inline]
    pub(super) fn set(&mut self, facts: u16) {
        self.is |= facts;
    }

    #[inline]
    pub(super) fn clear(&mut self, facts: u16) {
        self.is &= !facts;
    }

    /// True if received bytes may be delivered.
    pub(super) fn receives(&self) -> bool {
        self.is & (Is::RECEIVE_ON | Is::ENDED | Is::FAILED | Is::CONNECTING) == Is::RECEIVE_ON
    }

    /// True if something is to leave.
    pub(super) fn wants_to_send(&self) -> bool {
        !self.queue.is_empty() || self.is & (Is::FIN_QUEUED | Is::FIN_SENT) == Is::FIN_QUEUED
    }

    /// True if it may leave now.
    pub(super) fn can_send(&self) -> bool {
        let open = self.is & (Is::WRITABLE | Is::CONNECTING | Is::FAILED) == Is::WRITABLE;
        open && self.fault.is_none()
    }
}

/// The token by which epoll names a connection.
pub(super) fn token(conn: ConnId) -> u64 {
    u64::from(conn.generation) << 32 | u64::from(conn.slot)
}

/// The connection that a token names.
pub(super) fn id(token: u64) -> ConnId {
    ConnId {
        slot: token as u32,
        generation: (token >> 32) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_name_connections() {
        let conn = ConnId {
            slot: 131_071,
            generation: u32::MAX,
        };
        assert_eq!(id(token(conn)), conn);
        assert!(std::mem::size_of::<Option<(u32, Connection)>>() <= 24);
    }
}
