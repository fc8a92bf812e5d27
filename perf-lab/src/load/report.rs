//! What came of a load: counts, by kind. Plain values, no measurement.

use std::fmt;
use std::time::Duration;

/// What went wrong, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The connection could not be opened.
    Connect,
    /// A new connection was closed or reset before the first byte of the answer.
    Closed,
    /// A kept connection was closed or reset, unannounced, before the first byte of the answer.
    Stale,
    /// Reset or closed in the middle of an answer.
    Cut,
    /// No complete answer in time.
    Timeout,
    /// The answer is no HTTP, or bytes follow it.
    Malformed,
    /// Another status than the one expected.
    Status,
    /// Another length than the one expected.
    Length,
    /// A wrong byte in the body.
    Pattern,
    /// A connection that was to stay open and silent was closed, or something came on it.
    Idle,
}

impl Failure {
    /// Every kind with its name.
    pub const ALL: [(Failure, &'static str); 10] = [
        (Failure::Connect, "connect"),
        (Failure::Closed, "closed"),
        (Failure::Stale, "stale"),
        (Failure::Cut, "cut"),
        (Failure::Timeout, "timeout"),
        (Failure::Malformed, "malformed"),
        (Failure::Status, "status"),
        (Failure::Length, "length"),
        (Failure::Pattern, "pattern"),
        (Failure::Idle, "idle"),
    ];
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Correct answers.
    pub answered: u64,
    /// Those of them with the status of [`Load::also`](super::Load::also).
    pub refusals: u64,
    /// Failures, in the order of [`Failure::ALL`].
    pub failures: [u64; Failure::ALL.len()],
    /// Connections opened.
    pub connects: u64,
    /// Connections that the other end announced to close.
    pub announced: u64,
    /// Requests sent again on a fresh connection.
    pub resent: u64,
    /// Loops that ended because a connect was refused.
    pub refused: u64,
    /// Kept connections that the other end closed between two requests; open loop only.
    pub dropped: u64,
    /// Bytes received.
    pub bytes: u64,
    /// From start to end.
    pub elapsed: Duration,
}

impl Report {
    /// Failures of every kind.
    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }

    /// Failures of one kind.
    pub fn failed_by(&self, kind: Failure) -> u64 {
        self.failures[kind as usize]
    }

    pub(super) fn add(&mut self, other: &Report) {
        self.answered += other.answered;
        self.refusals += other.refusals;
        for (sum, count) in self.failures.iter_mut().zip(other.failures) {
            *sum += count;
        }
        self.connects += other.connects;
        self.announced += other.announced;
        self.resent += other.resent;
        self.refused += other.refused;
        self.dropped += other.dropped;
        self.bytes += other.bytes;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        write!(
            f,
            "answered {} failed {} in {seconds:.2} s ({:.0}/s), {} connects, {} announced closes, \
             {} resent, {} bytes",
            self.answered,
            self.failed(),
            self.answered as f64 / seconds.max(1e-9),
            self.connects,
            self.announced,
            self.resent,
            self.bytes,
        )?;
        for ((_, name), count) in Failure::ALL.iter().zip(self.failures) {
            if count > 0 {
                write!(f, ", {name} {count}")?;
            }
        }
        Ok(())
    }
}
