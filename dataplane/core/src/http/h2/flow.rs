//! Flow control (RFC 9113 section 5.2): windows for what we send and for what we receive.

use std::time::Duration;

use super::settings::WINDOW_MAX;
use crate::event::Time;

/// What the other side lets us send. A change of its settings can make it negative (section
/// 6.9.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SendWindow(i32);

/// A window beyond 2^31-1 (H07).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Overflow;

impl SendWindow {
    pub(crate) fn new(size: u32) -> Self {
        debug_assert!(size <= WINDOW_MAX, "settings are checked when they come");
        Self(size as i32)
    }

    /// Bytes that may be sent.
    #[inline]
    pub(crate) fn available(self) -> u32 {
        self.0.max(0) as u32
    }

    /// WINDOW_UPDATE came.
    pub(crate) fn open(&mut self, increment: u32) -> Result<(), Overflow> {
        self.shift(i64::from(increment))
    }

    /// The initial size changed by `difference`.
    pub(crate) fn shift(&mut self, difference: i64) -> Result<(), Overflow> {
        let size = i64::from(self.0) + difference;
        self.0 = i32::try_from(size).map_err(|_| Overflow)?;
        Ok(())
    }

    /// So many bytes are sent; no more than are available.
    #[inline]
    pub(crate) fn take(&mut self, len: u32) {
        debug_assert!(len <= self.available(), "sent beyond the window");
        self.0 -= len as i32;
    }
}

/// What we let the other side send: opened again in batches of at least half of the window, and
/// doubled up to a bound while it is used up faster than answers come back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveWindow {
    available: u32,
    size: u32,
    /// Used up by us and not yet given back.
    pending: u32,
    opened_at: Time,
}

impl ReceiveWindow {
    pub(crate) fn new(size: u32, now: Time) -> Self {
        Self {
            available: size,
            size,
            pending: 0,
            opened_at: now,
        }
    }

    /// Bytes that may come.
    #[inline]
    pub(crate) fn available(&self) -> u32 {
        self.available
    }

    /// Bytes came; no more than are available.
    #[inline]
    pub(crate) fn take(&mut self, len: u32) {
        debug_assert!(len <= self.available, "checked when the frame began");
        self.available = self.available.saturating_sub(len);
    }

    /// The initial size turned out smaller than what was assumed.
    pub(crate) fn shrink(&mut self, from: u32, to: u32) {
        self.available = self.available.saturating_sub(from - to);
        self.size = self.size.min(to);
    }

    /// Bytes that came are out of our hands. Returns what to announce, if it is time.
    pub(crate) fn consumed(&mut self, len: u32, growth: &Growth) -> Option<u32> {
        self.pending += len;
        if self.pending < self.size.div_ceil(2) {
            return None;
        }
        let mut increment = self.pending;
        if growth.is_due(self.opened_at) && self.size < growth.max {
            let size = self.size.saturating_mul(2).min(growth.max);
            increment += size - self.size;
            self.size = size;
        }
        self.available += increment;
        self.pending = 0;
        self.opened_at = growth.now;
        Some(increment)
    }
}

/// When a window may grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    pub(crate) now: Time,
    /// The least time that an answer took so far.
    pub(crate) round_trip: Duration,
    pub(crate) max: u32,
}

impl Growth {
    /// Half of a window went within one round trip, so the window is what slows the sender down.
    fn is_due(&self, opened_at: Time) -> bool {
        u128::from(self.now.since(opened_at)) <= self.round_trip.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h07_a_window_never_overflows() {
        let mut window = SendWindow::new(WINDOW_MAX);
        assert_eq!(window.open(1), Err(Overflow));
        window.take(10);
        assert_eq!(window.open(10), Ok(()));
        assert_eq!(window.available(), WINDOW_MAX);
    }

    #[test]
    fn a_window_may_become_negative() {
        let mut window = SendWindow::new(100);
        window.take(100);
        window.shift(-60).unwrap();
        assert_eq!(window.available(), 0);
        window.open(60).unwrap();
        assert_eq!(window.available(), 0);
        window.open(1).unwrap();
        assert_eq!(window.available(), 1);
    }

    fn growth(at: u64, max: u32) -> Growth {
        Growth {
            now: Time(at),
            round_trip: Duration::from_nanos(10),
            max,
        }
    }

    #[test]
    fn a_window_opens_by_halves() {
        let mut window = ReceiveWindow::new(100, Time(0));
        window.take(60);
        assert_eq!(window.consumed(49, &growth(99, 100)), None);
        assert_eq!(window.consumed(11, &growth(99, 100)), Some(60));
        assert_eq!(window.available(), 100);
    }

    #[test]
    fn a_window_grows_while_it_is_too_small() {
        let mut window = ReceiveWindow::new(100, Time(0));
        window.take(100);
        assert_eq!(window.consumed(100, &growth(10, 300)), Some(200));
        window.take(200);
        assert_eq!(window.consumed(200, &growth(20, 300)), Some(300));
        window.take(300);
        assert_eq!(window.consumed(300, &growth(25, 300)), Some(300));
        assert_eq!(window.available(), 300);
        window.take(300);
        assert_eq!(window.consumed(150, &growth(99, 900)), Some(150));
    }
}
