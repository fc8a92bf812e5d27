//! Both clocks of a worker, read once per turn. The core never reads one.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use penstock_core::event::{Now, Time};

/// The start of [`Time`], the same for all threads of the process.
fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}

/// Reads both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock; all clocks of a process agree.
    pub fn new() -> Self {
        Self { start: start() }
    }

    /// The monotonic clock alone.
    #[inline]
    pub fn time(&self) -> Time {
        // One nanosecond above zero, so that a time that was read never equals the default.
        Time::default().after(self.start.elapsed() + Duration::from_nanos(1))
    }

    /// Both clocks.
    #[inline]
    pub fn now(&self) -> Now {
        let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Now {
            time: self.time(),
            wall: u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
