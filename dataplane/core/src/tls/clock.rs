//! The time of day for certificates and tickets. rustls asks a clock that is shared by all workers;
//! the core reads none, so this one shows what it was last told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

/// Seconds since 1970, told once per turn by every worker. A relaxed number is enough: nothing is
/// ordered by it, and it is written only when the second changes, so that the workers share its
/// cache line in peace.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// Tells the time, in nanoseconds since 1970.
    #[inline]
    pub fn tell(&self, wall: u64) {
        let seconds = wall / 1_000_000_000;
        if self.0.load(Ordering::Relaxed) != seconds {
            self.0.store(seconds, Ordering::Relaxed);
        }
    }

    /// Seconds since 1970, as last told.
    pub fn seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = std::time::Duration::from_secs(self.seconds());
        Some(UnixTime::since_unix_epoch(since))
    }
}
