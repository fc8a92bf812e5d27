//! TLS as a machine without I/O, over the worker's buffers; behind this wall nobody sees rustls.
//!
//! rustls shakes hands (unbuffered API), aws-lc-rs does the arithmetic, and records are ours: the
//! unbuffered API of rustls 0.23 puts every record into a vector of its own on its way in and out.
//! So once the keys are there they are taken out, and records are opened and sealed in the buffers
//! that the kernel filled or will send.
//!
//! ```text
//!  configuration ─► Acceptor, Connector (in the snapshot) ─► Stream: bytes in, Output out
//!  off the path     certificates, verification, tickets      handshake, then records
//! ```
//!
//! Time comes from a [`Clock`] that the engine tells once per turn. Randomness is the library's
//! own: the bytes of TLS are not the same from run to run, not even in the simulator.

mod acceptor;
mod certificate;
mod choice;
mod clock;
mod connector;
mod der;
mod facts;
mod failure;
mod handshake;
mod held;
pub mod hello;
mod keeper;
mod material;
mod open;
mod parameters;
mod read;
mod record;
mod stream;
mod tickets;
mod verify;

#[cfg(test)]
mod tests;

pub use acceptor::{Acceptor, AcceptorConfig, Clients};
pub use certificate::{AltName, Certificate, Chain};
pub use clock::Clock;
pub use connector::{Connector, ConnectorConfig};
pub use facts::{Facts, Version};
pub use failure::Failure;
pub use material::{Invalid, KeyPair, Problem, Source};
pub use parameters::Parameters;
pub use stream::{Ending, Output, State, Stream};
pub use tickets::{TICKET_KEY_BYTES, TicketKeys};
pub use verify::{AltNameKind, AltNameMatch, Validation};
