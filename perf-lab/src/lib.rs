//! Origins, load and measurements around a gateway, over real sockets.
//!
//! The demo starts the origin, the end-to-end tests start origin and load, the experiments add the
//! measurement of CPU time. Everything here checks what it receives: an answer that is wrong in a
//! single byte is a failure, never a result. Plain threads and epoll; nothing with which the
//! gateway reads or writes is used, so that both cannot be wrong in the same way.

#![forbid(unsafe_code)]

pub mod base64;
pub mod compare;
pub mod cpu;
pub mod experiment;
pub mod fused;
pub mod load;
pub mod machine;
pub mod origin;
pub mod pattern;
pub mod record;
pub mod relay;
pub mod report;
pub mod run;
pub mod statistics;
pub mod subject;

mod body;
mod net;
mod outgoing;
mod poll;
