//! Where lines go: sinks, interned so that an id stays the same over all configurations.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use penstock_core::config::SinkId;

/// Sinks that one process may ever name; each keeps a file open.
pub const SINKS_MAX: usize = 256;

/// A place that lines are written to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum SinkSpec {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, made if it is not there, always appended to.
    File(PathBuf),
}

impl SinkSpec {
    /// The sink behind `path` of a `FileAccessLog`; `/dev/stdout` and `/dev/stderr` mean the
    /// streams, which can also be written where those files cannot be opened (a socket as standard
    /// output).
    pub fn from_path(path: &str) -> Self {
        match path {
            "/dev/stdout" | "/proc/self/fd/1" => Self::Stdout,
            "/dev/stderr" | "/proc/self/fd/2" => Self::Stderr,
            _ => Self::File(path.into()),
        }
    }
}

impl fmt::Display for SinkSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => out.write_str("/dev/stdout"),
            Self::Stderr => out.write_str("/dev/stderr"),
            Self::File(path) => path.display().fmt(out),
        }
    }
}

/// Too many different access log files in the life of this process.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "access log {sink} would be sink number {next} of at most {SINKS_MAX}; \
     let listeners share a file, or restart to forget files that are no longer used",
    next = SINKS_MAX + 1
)]
pub struct TooManySinks {
    /// The one that found no place.
    pub sink: SinkSpec,
}

/// What happened to the lines of one sink. Written by all workers and the writer.
#[derive(Debug, Default)]
pub struct SinkCounters {
    /// Lines given to the kernel.
    pub written: AtomicU64,
    /// Lines dropped by workers: ring full, or line longer than the ring takes.
    pub dropped_ring_full: AtomicU64,
    /// Lines dropped by the writer: the sink could not be opened or written.
    pub dropped_write_failed: AtomicU64,
}

/// All sinks of the process. An id is never given back.
#[derive(Debug)]
pub struct Sinks {
    specs: Mutex<Vec<SinkSpec>>,
    counters: Box<[SinkCounters]>,
}

impl Default for Sinks {
    fn default() -> Self {
        Self {
            specs: Mutex::default(),
            counters: (0..SINKS_MAX).map(|_| SinkCounters::default()).collect(),
        }
    }
}

impl Sinks {
    /// The id of `sink`, the same one every time. Opens nothing.
    ///
    /// # Errors
    /// If it is new and there are [`SINKS_MAX`] already.
    pub fn intern(&self, sink: SinkSpec) -> Result<SinkId, TooManySinks> {
        let mut specs = self.specs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = specs.iter().position(|known| *known == sink) {
            return Ok(id(index));
        }
        if specs.len() == SINKS_MAX {
            return Err(TooManySinks { sink });
        }
        specs.push(sink);
        Ok(id(specs.len() - 1))
    }

    /// Counters of a sink; `None` for an id that was not made here.
    pub fn counters(&self, sink: SinkId) -> Option<&SinkCounters> {
        self.counters.get(sink.0 as usize)
    }

    /// A sink by the number of its id, with its counters.
    pub fn counted(&self, index: usize) -> Option<(SinkSpec, &SinkCounters)> {
        let specs = self.specs.lock().unwrap_or_else(PoisonError::into_inner);
        Some((specs.get(index)?.clone(), self.counters.get(index)?))
    }

    /// The sinks from `known` on.
    pub(super) fn since(&self, known: usize) -> Vec<SinkSpec> {
        let specs = self.specs.lock().unwrap_or_else(PoisonError::into_inner);
        specs.get(known..).unwrap_or_default().to_vec()
    }

    pub(super) fn count_ring_full(&self, sink: SinkId) {
        if let Some(counters) = self.counters(sink) {
            counters.dropped_ring_full.fetch_add(1, Relaxed);
        }
    }
}

pub(super) fn id(index: usize) -> SinkId {
    SinkId(u16::try_from(index).expect("SINKS_MAX fits 16 bits"))
}

const _: () = assert!(SINKS_MAX <= u16::MAX as usize);
