//! The proxy as a machine: events in, operations out.
//!
//! Nothing in this crate opens a socket, reads a clock, starts a thread, takes a lock or rolls
//! dice: time and chance are arguments, bytes arrive in [`event::Event`]s and leave in
//! [`event::Op`]s. The same core therefore runs under io_uring, epoll and the simulator and cannot
//! tell them apart.

#![forbid(unsafe_code)]

pub mod accept;
pub mod access_log;
pub mod buffer;
pub mod chance;
pub mod cluster;
pub mod config;
pub mod date;
mod digits;
mod downstream;
pub mod engine;
pub mod event;
mod exchange;
pub mod fault;
pub mod format;
pub mod generation;
pub mod http;
pub mod limits;
mod link;
pub mod machine;
pub mod pool;
pub mod proxy_header;
pub mod reply;
pub mod retry;
pub mod route;
pub mod slab;
pub mod stats;
pub mod timer;
pub mod tls;
mod tunnel;
mod upstream;
