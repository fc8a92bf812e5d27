//! HTTP/2 (RFC 9113) as a machine without I/O, for both sides of the proxy.
//!
//! Bytes go into [`Connection::next`], which yields one [`Message`] at a time; heads come out in
//! the vocabulary of `http.rs`, body bytes stay where they were received. What must leave gathers
//! in one output; the header of a DATA frame is handed out, so that a body leaves from the buffer
//! that it came in.
//!
//! ```text
//! frame.rs       where frames begin and end, and what stands in them
//! hpack.rs       header compression
//! head.rs        fields to heads: what is well formed, and what frames the message
//! encode.rs      heads to fields
//! settings.rs    what either side allows
//! flow.rs        windows
//! stream.rs      states, slots, and a record of the closed
//! abuse.rs       what a connection may cost
//! message.rs     what comes out
//! connection.rs  ties them together
//! ```
//!
//! Timers, fairness between bodies and the order of writes are the caller's.

mod abuse;
mod connection;
mod encode;
mod error;
mod flow;
mod frame;
mod head;
mod hpack;
mod message;
mod settings;
mod stream;

pub use connection::Connection;
pub use error::{Code, Error, Reason};
pub use frame::{HEADER_LEN, PAYLOAD_MAX};
pub use message::{DataGrant, Message, ResetBy};
pub use settings::{Announced, Settings};

/// What a client sends first (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Id of a stream; odd, for only clients open streams.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId(pub u32);
