//! Access logs on their way from the workers to files: one bounded ring per worker, one writer
//! thread.
//!
//! A worker copies a finished line into its ring ([`LogRing::push`]); when the ring is full the
//! line is dropped and counted. The writer thread takes lines out, batches them per sink and
//! writes. A full disk or a stuck pipe stops the writer at worst, never a worker.
//!
//! Lines arrive complete and escaped: what a client sent is escaped where the format is filled
//! (O01).

mod output;
mod ring;
mod sinks;
mod writer;

pub use ring::LogRing;
pub use sinks::{SINKS_MAX, SinkCounters, SinkSpec, Sinks, TooManySinks};
pub use writer::{AccessLogWriter, Rings, log_writers};

#[cfg(test)]
mod tests;
